//! The commands on a replica directory: `init`, `adopt`, `apply`, `status`, `export-changelog`, `import-changelog`, `backup`
//! and `restore`. (Sync Policy, cases E1 to E13.)

use std::collections::BTreeMap;
use std::env;
use std::fmt::Write as _;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use clap::{ArgGroup, Args, ValueEnum};
use kuzusync_core::export::{self, File};
use kuzusync_core::id::{DatabaseId, Role};
use kuzusync_core::schema::shape::RECORDED;
use kuzusync_directory::{
    Directory, Error, GraphState, Impact, ImportOptions, ImportReport, Init as NewReplica, LeftOut, Preview, Progress,
    RowCounts, Status as ReplicaStatus, UnbuiltIndex, parse_transactions,
};
use serde_json::json;

use super::console::Console;
use super::directory::write;
use super::progress::Meter;
use super::{End, Stop};
use crate::text::plural;

/// The exit code of an import that left something out.
const LEFT_OUT: u8 = 1;

/// How many of a list are shown to people.
const SHOWN_MAX: usize = 10;

/// The environment's batch size, between the option and the settings file.
const BATCH_SIZE_VARIABLE: &str = "IMPORT_BATCH_SIZE";

/// Where the replica is.
#[derive(Debug, Args)]
struct At {
    /// The replica's directory
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl At {
    fn open(&self) -> Result<Directory, Stop> {
        Directory::open(&self.dir).map_err(stop)
    }
}

fn stop(error: Error) -> Stop {
    Stop::usage(error.to_string())
}

/// An error in a file that the command line names.
fn stop_in(file: &Path) -> impl FnOnce(Error) -> Stop {
    let file = file.to_owned();
    move |error| match error {
        Error::Line { .. } | Error::File(_) => Stop::usage(format!("`{}`, {error}", file.display())),
        Error::Gap { .. } | Error::OwnFile | Error::Engine(_) => Stop::usage(format!("`{}`: {error}", file.display())),
        other => stop(other),
    }
}

/// A file's bytes; `-` is standard input.
fn read(file: &Path) -> Result<Vec<u8>, Stop> {
    let mut bytes = Vec::new();
    let result = if file == Path::new("-") {
        std::io::stdin().lock().read_to_end(&mut bytes).map(drop)
    } else {
        fs::read(file).map(|read| bytes = read)
    };
    result.map_err(|error| Stop::usage(format!("`{}` cannot be read: {error}", file.display())))?;
    Ok(bytes)
}

fn read_text(file: &Path) -> Result<String, Stop> {
    String::from_utf8(read(file)?).map_err(|error| {
        let line = error.as_bytes()[..error.utf8_error().valid_up_to()].iter().filter(|byte| **byte == b'\n').count();
        Stop::usage(format!("`{}`, line {}: it is no UTF-8; write the file as UTF-8", file.display(), line + 1))
    })
}

/// A part, as it is written on the command line.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Part {
    /// Numbers every change; there is one per database
    Main,
    /// Exchanges files with the main
    Edge,
    /// One of equals in a database without a main
    Peer,
}

impl Part {
    fn role(self) -> Role {
        match self {
            Part::Main => Role::Main,
            Part::Edge => Role::Edge,
            Part::Peer => Role::Peer,
        }
    }
}

// ---- init ----

const INIT_EXAMPLES: &str = "Examples:
  kuzusync init --dir main                                  the main of a new database
  kuzusync init --dir shop --join main.ndjson               an edge of the database that the file is of
  kuzusync init --dir a --role peer                         one of equals, without a main
  kuzusync init --dir b --role peer --join a.ndjson

--join takes a change-log file and nothing but its first line; import it afterwards.";

/// What `init` takes.
#[derive(Debug, Args)]
#[command(after_help = INIT_EXAMPLES)]
pub struct Init {
    #[command(flatten)]
    at: At,
    /// Its part [default: main, or with --join edge]
    #[arg(long, value_name = "ROLE")]
    role: Option<Part>,
    /// What it is called in change logs [default: the directory's name]
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// The database: 32 hexadecimal digits, as `status` tells them [default: a new one]
    #[arg(long, value_name = "ID", value_parser = database, conflicts_with = "join")]
    database: Option<DatabaseId>,
    /// A change-log file of the database that it joins
    #[arg(long, value_name = "FILE")]
    join: Option<PathBuf>,
}

fn database(text: &str) -> Result<DatabaseId, String> {
    serde_json::from_value(json!(text)).map_err(|error| error.to_string())
}

/// `kuzusync init`.
pub fn init(arguments: &Init, console: &mut Console) -> End {
    let (mut role, mut database) = (arguments.role.map(Part::role), arguments.database);
    if let Some(file) = &arguments.join {
        let (of, of_role) = database_of(file)?;
        database = Some(of);
        role = role.or(Some(if of_role == Role::Peer { Role::Peer } else { Role::Edge }));
    }
    let new = NewReplica { role: role.unwrap_or(Role::Main), database, name: arguments.name.clone() };
    let directory = Directory::init(&arguments.at.dir, &new).map_err(stop)?;
    tell_new(&directory, "made", &arguments.at, console)
}

/// The database that a change-log file is of, and the part of the replica that wrote it.
fn database_of(file: &Path) -> Result<(DatabaseId, Role), Stop> {
    match export::read(&read(file)?).map_err(Error::from).map_err(stop_in(file))? {
        File::Own { meta, .. } => Ok((meta.database, meta.role)),
        File::Plain { .. } => Err(Stop::usage(format!(
            "`{}` is of another system and names no database; make the replica without `--join` and import it",
            file.display()
        ))),
    }
}

fn tell_new(directory: &Directory, what: &str, at: &At, console: &mut Console) -> End {
    let status = directory.status().map_err(stop)?;
    if at.json {
        console.json(&status)?;
    } else {
        let ReplicaStatus { name, role, database, .. } = &status;
        let role = role_name(*role);
        console.print(&format!("{what} `{name}`, {role} of database {database}, in `{}`\n", at.dir.display()))?;
    }
    Ok(0)
}

fn role_name(role: Role) -> &'static str {
    match role {
        Role::Main => "main",
        Role::Edge => "edge",
        Role::Peer => "peer",
    }
}

// ---- adopt ----

const ADOPT_EXAMPLES: &str = "Example:
  kuzusync adopt --dir main library.kuzu

The database is copied and the copy read; nothing is done to the original. Close it in other programs before. If there is no \
replica in the directory, it becomes the main of a new database. An adoption that is interrupted goes on when it is run again.";

/// What `adopt` takes.
#[derive(Debug, Args)]
#[command(after_help = ADOPT_EXAMPLES)]
pub struct Adopt {
    #[command(flatten)]
    at: At,
    /// The Kùzu database
    #[arg(value_name = "DATABASE")]
    from: PathBuf,
}

/// `kuzusync adopt`.
pub fn adopt(arguments: &Adopt, console: &mut Console) -> End {
    if !cfg!(feature = "kuzu") {
        return Err(Stop::usage(
            "this build has no Kùzu to read the database with; build without `--no-default-features`",
        ));
    }
    if let Err(error) = fs::metadata(&arguments.from) {
        return Err(Stop::usage(format!("`{}` cannot be read: {error}", arguments.from.display())));
    }
    let is_new = !arguments.at.dir.join("log.sqlite").exists();
    let new = NewReplica { role: Role::Main, database: None, name: None };
    let opened = if is_new { Directory::init(&arguments.at.dir, &new) } else { Directory::open(&arguments.at.dir) };
    let (directory, applied, left_behind) =
        opened.and_then(|directory| directory.adopt(&arguments.from)).map_err(stop)?;
    let status = directory.status().map_err(stop)?;
    if arguments.at.json {
        let document = json!({"changes": applied.changes.len(), "left_behind": left_behind, "status": status});
        console.json(&document)?;
    } else {
        let tables = plural(status.tables.len(), "table");
        let rows = plural(status.tables.values().sum(), "row");
        let mut page = format!("adopted {tables} with {rows}\n");
        for line in &left_behind {
            let _ = writeln!(page, "not adopted: {line}");
        }
        console.print(&page)?;
    }
    Ok(0)
}

// ---- apply ----

const APPLY_EXAMPLES: &str = "Examples:
  kuzusync apply --dir main changes.ndjson
  echo '{\"create_node\": {\"table\": \"User\", \"properties\": {\"id\": {\"string\": \"ann\"}}}}' | kuzusync apply --dir main -
  kuzusync apply --dir main --rules rules.toml
  kuzusync apply --dir main changes.ndjson --dry-run      what it would touch, and nothing is done

A line is a statement as in plan files (`kuzusync schema plan`), a list of statements that belong together, or \
{\"statements\": […], \"tx\": …, \"created_at\": …}; a transaction with a `tx` of 32 hexadecimal digits is carried out once, \
however often it is handed in. All lines are applied, or none.";

/// What `apply` takes.
#[derive(Debug, Args)]
#[command(after_help = APPLY_EXAMPLES, group(ArgGroup::new("what").required(true).multiple(true).args(["file", "rules"])))]
pub struct Apply {
    #[command(flatten)]
    at: At,
    /// Changes, a line of JSON each; `-` for standard input
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,
    /// A rules file, made part of the schema after the changes
    #[arg(long, value_name = "RULES.toml")]
    rules: Option<PathBuf>,
    /// Tell which tables, columns and rows it would touch, and how the graph would be changed; change nothing
    #[arg(long)]
    dry_run: bool,
}

/// `kuzusync apply`.
pub fn apply(arguments: &Apply, console: &mut Console) -> End {
    let mut directory = arguments.at.open()?;
    if arguments.dry_run {
        return preview(arguments, directory, console);
    }
    let (mut changes, mut repeated) = (Vec::new(), 0);
    if let Some(file) = &arguments.file {
        let transactions = parse_transactions(&read_text(file)?).map_err(stop_in(file))?;
        let (opened, applied) = directory.apply(transactions).map_err(stop_in(file))?;
        directory = opened;
        changes.extend(applied.changes);
        repeated += applied.repeated;
    }
    if let Some(file) = &arguments.rules {
        let (opened, applied) = directory.apply_rules(&read_text(file)?).map_err(stop_in(file))?;
        directory = opened;
        changes.extend(applied.changes);
    }
    let last_lsn = directory.status().map_err(stop)?.last_lsn;
    if arguments.at.json {
        console.json(&json!({"changes": changes, "repeated": repeated, "last_lsn": last_lsn}))?;
    } else {
        let again = if repeated > 0 { format!(", {repeated} done before") } else { String::new() };
        console.print(&format!(
            "applied {}{again}; the change log ends at row {last_lsn}\n",
            plural(changes.len(), "transaction")
        ))?;
    }
    Ok(0)
}

fn preview(arguments: &Apply, directory: Directory, console: &mut Console) -> End {
    let mut preview = Preview::of(directory).map_err(stop)?;
    let mut impacts = Vec::new();
    if let Some(file) = &arguments.file {
        let transactions = parse_transactions(&read_text(file)?).map_err(stop_in(file))?;
        let of_file = preview.transactions(transactions).map_err(stop_in(file))?;
        impacts.extend(of_file.into_iter().map(|impact| (file, impact)));
    }
    if let Some(file) = &arguments.rules {
        let of_rules = preview.rules(&read_text(file)?).map_err(stop_in(file))?;
        impacts.extend(of_rules.into_iter().map(|impact| (file, impact)));
    }
    if arguments.at.json {
        let impacts: Vec<&Impact> = impacts.iter().map(|(_, impact)| impact).collect();
        console.json(&json!({"transactions": impacts}))?;
    } else {
        console.print(&impact_page(&impacts))?;
    }
    Ok(0)
}

/// What each change of the schema would touch, then all rows by table.
fn impact_page(impacts: &[(&PathBuf, Impact)]) -> String {
    let mut page = String::new();
    let mut rows: BTreeMap<&str, RowCounts> = BTreeMap::new();
    for (file, impact) in impacts {
        if !impact.schema.steps.is_empty() {
            let _ = write!(page, "`{}`, line {}\n{}", file.display(), impact.line, impact.schema);
        }
        impact.rows.iter().for_each(|(table, counts)| rows.entry(table).or_default().add(*counts));
    }
    for (table, RowCounts { created, updated, deleted }) in rows {
        let _ = writeln!(page, "rows of {table}: {created} created, {updated} updated, {deleted} deleted");
    }
    let repeated = impacts.iter().filter(|(_, impact)| impact.is_repeated).count();
    let again = if repeated > 0 { format!(", {repeated} done before") } else { String::new() };
    let would = plural(impacts.len() - repeated, "transaction");
    page + &format!("would apply {would}{again}; nothing was changed\n")
}

// ---- status ----

const STATUS_EXAMPLES: &str = "Examples:
  kuzusync status --dir main
  kuzusync status --dir main --json
  sqlite3 main/log.sqlite 'SELECT lsn, op, table_name, pk_json, source_node FROM change_log'";

/// What `status` takes.
#[derive(Debug, Args)]
#[command(after_help = STATUS_EXAMPLES)]
pub struct Status {
    #[command(flatten)]
    at: At,
}

/// `kuzusync status`.
pub fn status(arguments: &Status, console: &mut Console) -> End {
    let status = arguments.at.open()?.status().map_err(stop)?;
    if arguments.at.json {
        console.json(&status)?;
    } else {
        console.print(&status_page(&status))?;
    }
    Ok(0)
}

fn status_page(status: &ReplicaStatus) -> String {
    let ReplicaStatus { name, role, replica, database, .. } = status;
    let mut page = format!("{name}, {} {replica}\ndatabase {database}\n", role_name(*role));
    let main = status.main.map_or_else(String::new, |main| format!(", main {}", main.short()));
    let _ = writeln!(page, "change log: {}; numbered up to {}{main}", plural_rows(status.last_lsn), status.last_number);
    let _ = writeln!(page, "schema version {}", status.schema_version);
    for (table, rows) in &status.tables {
        let _ = writeln!(page, "  {table}: {}", plural(*rows, "row"));
    }
    let graph = match &status.graph {
        GraphState::Kept => "holds what the log makes".to_owned(),
        GraphState::Rebuilt(reason) => format!("was built anew: {reason}"),
        GraphState::Broken(reason) => format!("cannot be built: {reason}"),
        GraphState::InMemory => "is in memory; this build has no Kùzu".to_owned(),
    };
    let _ = writeln!(page, "graph ({}) {graph}; digest {}", status.store, status.digest);
    for UnbuiltIndex { table, name, reason } in &status.unbuilt_indexes {
        let _ = writeln!(page, "full-text index {name} of {table} is {RECORDED}: {reason}");
    }
    if status.queued_operations > 0 {
        let _ = writeln!(page, "{} not acknowledged yet", plural(status.queued_operations, "own operation"));
    }
    let _ = writeln!(page, "audit: {}", plural_rows(status.audit));
    for synced in &status.sync_state {
        let _ = writeln!(page, "from {}: last_lsn {} of {}", synced.source_node, synced.last_lsn, synced.read_lsn);
    }
    for letter in status.dead_letters.iter().take(SHOWN_MAX) {
        let _ = writeln!(page, "left out: {} (row {}): {}", letter.tx_id, letter.lsn, letter.problem);
    }
    if status.dead_letters.len() > SHOWN_MAX {
        let _ = writeln!(page, "and {} more left out", status.dead_letters.len() - SHOWN_MAX);
    }
    page
}

fn plural_rows(rows: u64) -> String {
    plural(usize::try_from(rows).unwrap_or(usize::MAX), "row")
}

// ---- export ----

const EXPORT_EXAMPLES: &str = "Examples:
  kuzusync export-changelog --dir main --out main.ndjson
  kuzusync export-changelog --dir main --from-lsn 1200 --out main.ndjson
  kuzusync export-changelog --dir main | ssh shop kuzusync import-changelog --dir shop --in -

--from-lsn N gives the rows after row N: the `read_lsn` that the receiving replica's `status --json` tells of this one. A \
transaction is never divided.";

/// What `export-changelog` takes.
#[derive(Debug, Args)]
#[command(after_help = EXPORT_EXAMPLES)]
pub struct Export {
    #[command(flatten)]
    at: At,
    /// The rows after this one
    #[arg(long, value_name = "N", default_value_t = 0)]
    from_lsn: u64,
    /// Where to write it [default: standard output]
    #[arg(long, short, value_name = "FILE", required_if_eq("json", "true"))]
    out: Option<PathBuf>,
}

/// `kuzusync export-changelog`.
pub fn export(arguments: &Export, console: &mut Console) -> End {
    let (meta, text) = arguments.at.open()?.export(arguments.from_lsn).map_err(stop)?;
    let Some(file) = &arguments.out else {
        console.print(&text)?;
        return Ok(0);
    };
    write(file, &text)?;
    if arguments.at.json {
        console.json(&json!({"file": file, "from_lsn": meta.from_lsn, "to_lsn": meta.to_lsn, "count": meta.count}))?;
    } else {
        let (from, to) = (meta.from_lsn, meta.to_lsn);
        let rows = plural_rows(meta.count);
        console.print(&format!("wrote {rows} ({from}, {to}] to `{}`\n", file.display()))?;
    }
    Ok(0)
}

// ---- import ----

const IMPORT_EXAMPLES: &str = "Examples:
  kuzusync import-changelog --dir shop --in main.ndjson
  IMPORT_BATCH_SIZE=500 kuzusync import-changelog --dir shop --in main.ndjson
  kuzusync import-changelog --dir shop --in legacy.jsonl --allow-schema-alter
  kuzusync import-changelog --dir shop --retry              try again what was left out
  kuzusync import-changelog --dir shop --dismiss TX_ID      give up what was left out

A file is read as a whole first; nothing of a bad one is applied. To import a file twice changes nothing. A transaction that \
cannot be applied is left out alone and listed by `status`. Exit code 1 says that something was left out.

Batch size: --batch-size, else IMPORT_BATCH_SIZE, else `import_batch_size` in settings.toml, else 100.";

/// What `import-changelog` takes.
#[derive(Debug, Args)]
#[command(after_help = IMPORT_EXAMPLES, group(ArgGroup::new("what").required(true).args(["file", "retry", "dismiss"])))]
pub struct Import {
    #[command(flatten)]
    at: At,
    /// A change-log file, of kuzusync or of another system; `-` for standard input
    #[arg(long = "in", value_name = "FILE")]
    file: Option<PathBuf>,
    /// Try again what was left out
    #[arg(long)]
    retry: bool,
    /// Give up a transaction that was left out
    #[arg(long, value_name = "TX_ID")]
    dismiss: Option<String>,
    /// Transactions that are committed together
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    batch_size: Option<u32>,
    /// Add columns that the file needs and tables do not have, nullable and with the type that fits all its values
    #[arg(long)]
    allow_schema_alter: bool,
}

/// `kuzusync import-changelog`.
pub fn import(arguments: &Import, console: &mut Console) -> End {
    if let Some(tx_id) = &arguments.dismiss {
        arguments.at.open()?.dismiss(tx_id).map_err(stop)?;
        if arguments.at.json {
            console.json(&json!({"dismissed": tx_id}))?;
        } else {
            console.print(&format!("dismissed {tx_id}\n"))?;
        }
        return Ok(0);
    }
    let Some(file) = &arguments.file else { return retry(arguments, console) };
    let bytes = read(file)?;
    let mut directory = arguments.at.open()?;
    let settings = directory.settings();
    let options = ImportOptions {
        batch_size: batch_size(arguments.batch_size, settings.import_batch_size)?,
        allow_schema_alter: arguments.allow_schema_alter || settings.allow_schema_alter,
    };
    let mut meter = Meter::new();
    let imported = directory.import(&bytes, options, &mut |Progress { done, total }| {
        meter.count("import", "transactions", (done, Some(total)), "");
    });
    meter.finish();
    let report = imported.map_err(stop_in(file))?;
    if arguments.at.json {
        console.json(&report)?;
    } else {
        console.print(&import_page(&report))?;
    }
    Ok(if report.left_out.is_empty() { 0 } else { LEFT_OUT })
}

/// The option, then the environment, then the settings file.
fn batch_size(option: Option<u32>, setting: usize) -> Result<usize, Stop> {
    if let Some(size) = option {
        return Ok(size as usize);
    }
    let Some(text) = env::var_os(BATCH_SIZE_VARIABLE) else { return Ok(setting) };
    let size = text.to_str().and_then(|text| text.parse().ok()).filter(|size| *size > 0);
    size.ok_or_else(|| {
        Stop::usage(format!("{BATCH_SIZE_VARIABLE} is {text:?}; set it to a whole number from 1, or unset it"))
    })
}

fn import_page(report: &ImportReport) -> String {
    let ImportReport { applied, repeated, batches, .. } = report;
    let mut page = format!(
        "{} of {}: {applied} applied, {repeated} known before, {} left out, {} rejected, in {}\n",
        plural(report.transactions, "transaction"),
        plural(report.rows, "row"),
        report.left_out.len(),
        report.rejected.len(),
        plural(*batches, "batch"),
    );
    for column in &report.added_columns {
        let _ = writeln!(page, "added column {column}");
    }
    page.push_str(&left_out_page("left out", &report.left_out));
    page.push_str(&left_out_page("rejected", &report.rejected));
    if !report.left_out.is_empty() {
        page.push_str("mend what keeps them from being applied, then run `import-changelog --retry`\n");
    }
    page
}

fn left_out_page(what: &str, all: &[LeftOut]) -> String {
    let mut page = String::new();
    for LeftOut { tx_id, line, problem } in all.iter().take(SHOWN_MAX) {
        let line = if *line > 0 { format!(" (line {line})") } else { String::new() };
        let _ = writeln!(page, "{what}: {tx_id}{line}: {problem}");
    }
    if all.len() > SHOWN_MAX {
        let _ = writeln!(page, "and {} more {what}", all.len() - SHOWN_MAX);
    }
    page
}

fn retry(arguments: &Import, console: &mut Console) -> End {
    let report = arguments.at.open()?.retry().map_err(stop)?;
    if arguments.at.json {
        console.json(&report)?;
    } else {
        let (applied, left) = (report.applied.len(), report.left_out.len());
        let page = format!("{} applied, {left} still left out\n", plural(applied, "transaction"));
        console.print(&(page + &left_out_page("left out", &report.left_out)))?;
    }
    Ok(if report.left_out.is_empty() { 0 } else { LEFT_OUT })
}

// ---- backup and restore ----

const BACKUP_EXAMPLES: &str = "Examples:
  kuzusync backup --dir main --to main-monday.sqlite
  kuzusync restore --dir main-again --from main-monday.sqlite

A backup is one file: the change log as it was at one moment. It may be made while other commands use the directory.";

/// What `backup` takes.
#[derive(Debug, Args)]
#[command(after_help = BACKUP_EXAMPLES)]
pub struct Backup {
    #[command(flatten)]
    at: At,
    /// The file to write; it must not be there yet
    #[arg(long, value_name = "FILE")]
    to: PathBuf,
}

/// `kuzusync backup`.
pub fn backup(arguments: &Backup, console: &mut Console) -> End {
    Directory::backup(&arguments.at.dir, &arguments.to).map_err(stop)?;
    let bytes = fs::metadata(&arguments.to).map_or(0, |file| file.len());
    if arguments.at.json {
        console.json(&json!({"file": arguments.to, "bytes": bytes}))?;
    } else {
        console.print(&format!("wrote {bytes} bytes to `{}`\n", arguments.to.display()))?;
    }
    Ok(0)
}

const RESTORE_EXAMPLES: &str = "Example:
  kuzusync restore --dir main-again --from main-monday.sqlite

What is restored is a replica of its own: what the old one wrote after the backup is not lost if the old one, or a file of it, \
is still there. A restored main begins a new database with the same graph, which the others join anew.";

/// What `restore` takes.
#[derive(Debug, Args)]
#[command(after_help = RESTORE_EXAMPLES)]
pub struct Restore {
    #[command(flatten)]
    at: At,
    /// The backup
    #[arg(long, value_name = "FILE")]
    from: PathBuf,
    /// What the replica is called in change logs [default: as the old one]
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
}

/// `kuzusync restore`.
pub fn restore(arguments: &Restore, console: &mut Console) -> End {
    let restored = Directory::restore(&arguments.at.dir, &arguments.from, arguments.name.as_deref());
    tell_new(&restored.map_err(stop)?, "restored", &arguments.at, console)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_option_comes_before_the_setting() {
        assert_eq!(batch_size(Some(7), 100).ok(), Some(7));
    }
}
