//! The command `kuzusync`.

fn main() -> std::process::ExitCode {
    kuzusync_reports::command::main()
}
