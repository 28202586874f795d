//! The command `kuzusync-planted`: the same, with bugs in it that the harness has to find.

fn main() -> std::process::ExitCode {
    kuzusync_reports::command::main()
}
