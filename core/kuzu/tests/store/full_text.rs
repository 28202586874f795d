//! probe

use kuzu::{Connection, Database, SystemConfig};

fn ask(connection: &Connection<'_>, text: &str) -> String {
    match connection.query(text) {
        Ok(result) => {
            let rows: Vec<String> = result.take(8).map(|row| format!("{row:?}")).collect();
            format!("OK {}", rows.join(" | "))
        }
        Err(error) => format!("ERR {error}"),
    }
}

#[test]
fn probe() {
    for on_disk in [false, true] {
        let folder = tempfile::tempdir().unwrap();
        let database = if on_disk {
            Database::new(folder.path().join("db"), SystemConfig::default().buffer_pool_size(256 << 20)).unwrap()
        } else {
            Database::in_memory(SystemConfig::default().buffer_pool_size(256 << 20)).unwrap()
        };
        let connection = Connection::new(&database).unwrap();
        for text in [
            "CREATE NODE TABLE T(id INT64, name STRING, other STRING, PRIMARY KEY(id))",
            "CREATE (:T {id: 1, name: 'the quick brown fox', other: 'x'}), (:T {id: 2, name: 'a lazy dog', other: 'y'})",
            "CALL SHOW_LOADED_EXTENSIONS() RETURN *",
            "CALL CREATE_FTS_INDEX('T', 'words', ['name'])",
            "CALL QUERY_FTS_INDEX('T', 'words', 'fox') RETURN node.id, score",
            "CREATE (:T {id: 3, name: 'another fox', other: 'z'})",
            "CALL QUERY_FTS_INDEX('T', 'words', 'fox') RETURN node.id, score",
            "MATCH (t:T) WHERE t.id = 1 SET t.name = 'a cat'",
            "CALL QUERY_FTS_INDEX('T', 'words', 'fox') RETURN node.id, score",
            "CALL QUERY_FTS_INDEX('T', 'words', 'cat') RETURN node.id, score",
            "MATCH (t:T) WHERE t.id = 3 DELETE t",
            "CALL QUERY_FTS_INDEX('T', 'words', 'fox') RETURN node.id, score",
            "CALL SHOW_TABLES() RETURN *",
            "CALL SHOW_INDEXES() RETURN *",
            "ALTER TABLE T DROP other",
            "ALTER TABLE T ADD more STRING",
            "ALTER TABLE T RENAME name TO title",
            "CALL QUERY_FTS_INDEX('T', 'words', 'cat') RETURN node.id, score",
            "ALTER TABLE T DROP title",
            "ALTER TABLE T DROP name",
            "ALTER TABLE T RENAME TO U",
            "CALL QUERY_FTS_INDEX('U', 'words', 'cat') RETURN node.id, score",
            "DROP TABLE U",
            "DROP TABLE T",
            "CALL DROP_FTS_INDEX('T', 'words')",
            "CALL DROP_FTS_INDEX('U', 'words')",
            "CALL SHOW_TABLES() RETURN *",
            "DROP TABLE U",
            "DROP TABLE T",
            "CALL SHOW_TABLES() RETURN *",
        ] {
            println!("{on_disk} {text}\n    {}", ask(&connection, text));
        }
        if on_disk {
            for entry in std::fs::read_dir(folder.path()).unwrap() {
                let entry = entry.unwrap();
                println!("{:?} {}", entry.path(), entry.metadata().unwrap().len());
            }
        }
    }
}
