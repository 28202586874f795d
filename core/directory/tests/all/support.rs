//! Small replicas, and the words that the tests share.

use std::path::Path;

use kuzusync_core::id::{DatabaseId, Role};
use kuzusync_core::value::Value;
use kuzusync_core::view::View;
use kuzusync_directory::{Directory, ImportOptions, ImportReport, Init, parse_transactions};
use tempfile::TempDir;

pub(crate) const SCHEMA: &str = r#"[{"create_node_table": {"table": "User", "columns": [{"name": "id", "type": "STRING"}, {"name": "name", "type": "STRING"}, {"name": "visits", "type": "INT64"}], "primary_key": "id"}}, {"create_node_table": {"table": "City", "columns": [{"name": "name", "type": "STRING"}], "primary_key": "name"}}, {"create_edge_table": {"table": "LIVES_IN", "from": "User", "to": "City", "columns": []}}]"#;

pub(crate) const DATABASE: DatabaseId = DatabaseId([5; 16]);

/// Replicas beside each other.
pub(crate) struct Place(TempDir);

impl Place {
    pub(crate) fn new() -> Place {
        Place(tempfile::tempdir().unwrap())
    }

    pub(crate) fn path(&self, name: &str) -> std::path::PathBuf {
        self.0.path().join(name)
    }

    pub(crate) fn init(&self, name: &str, role: Role) -> Directory {
        Directory::init(&self.path(name), &Init { role, database: Some(DATABASE), name: None }).unwrap()
    }

    /// A replica that holds the tables.
    pub(crate) fn with_tables(&self, name: &str, role: Role) -> Directory {
        apply(self.init(name, role), SCHEMA)
    }
}

pub(crate) fn apply(directory: Directory, text: &str) -> Directory {
    directory.apply(parse_transactions(text).unwrap()).unwrap().0
}

pub(crate) fn user(id: &str, visits: i64) -> String {
    format!(
        r#"{{"create_node": {{"table": "User", "properties": {{"id": {{"string": "{id}"}}, "visits": {{"int64": {visits}}}}}}}}}"#
    )
}

pub(crate) fn rename(id: &str, name: &str) -> String {
    format!(
        r#"{{"update_node": {{"table": "User", "key": {{"string": "{id}"}}, "properties": {{"name": {{"string": "{name}"}}}}}}}}"#
    )
}

pub(crate) fn options() -> ImportOptions {
    ImportOptions { batch_size: 100, allow_schema_alter: false }
}

pub(crate) fn import(directory: &mut Directory, text: &str) -> ImportReport {
    directory.import(text.as_bytes(), options(), &mut |_| {}).unwrap()
}

/// What a replica exports, all of it or what `to` lacks.
pub(crate) fn exported(from: &Directory, to: &Directory) -> String {
    let client = from.replica().id().to_string();
    let states = to.status().unwrap().sync_state;
    let read = states.iter().find(|state| state.client_id == client).map_or(0, |state| state.read_lsn);
    from.export(read).unwrap().1
}

/// Brings what one has to the other.
pub(crate) fn carry(from: &Directory, to: &mut Directory) -> ImportReport {
    let text = exported(from, to);
    import(to, &text)
}

pub(crate) fn cell(view: &View, id: &str, column: &str) -> Option<Value> {
    view.node("User", &Value::from(id))?.get(column).cloned()
}

/// A cell of a column of the log, by SQL, as another program reads it.
pub(crate) fn sql(path: &Path, query: &str) -> Vec<Vec<String>> {
    let connection = rusqlite::Connection::open(path.join("log.sqlite")).unwrap();
    let mut statement = connection.prepare(query).unwrap();
    let columns = statement.column_count();
    let read = |row: &rusqlite::Row<'_>| {
        (0..columns)
            .map(|column| {
                Ok(match row.get::<_, rusqlite::types::Value>(column)? {
                    rusqlite::types::Value::Null => "NULL".to_owned(),
                    rusqlite::types::Value::Integer(number) => number.to_string(),
                    rusqlite::types::Value::Text(text) => text,
                    other => format!("{other:?}"),
                })
            })
            .collect()
    };
    statement.query_map([], read).unwrap().collect::<Result<_, _>>().unwrap()
}
