//! The stored cases in `cases/`: each is run in every test run and has to be what it says.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::fs;
use std::path::{Path, PathBuf};

use kuzusync_scenarios::format;
use kuzusync_scenarios::stored::StoredCase;
use kuzusync_sim::sometimes;
use kuzusync_sim::store::StoreChoice;

/// Every stored case with its file.
fn cases() -> Vec<(PathBuf, StoredCase)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("cases");
    let mut files: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let read = |file: PathBuf| {
        let case = StoredCase::from_json(&fs::read_to_string(&file).unwrap());
        let case = case.unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        (file, case)
    };
    files.into_iter().map(read).collect()
}

#[test]
fn every_stored_case_is_what_it_says() {
    assert!(!cases().is_empty());
    for (file, case) in cases() {
        let comparison = case.compare(&case.replay().unwrap());
        assert!(comparison.holds(), "{}: {comparison:?}", file.display());
    }
}

#[test]
fn every_stored_case_that_passes_does_so_on_every_store() {
    for store in StoreChoice::ALL.into_iter().filter(|store| store.is_built()) {
        for (file, case) in cases().into_iter().filter(|(_, case)| case.failure.is_none()) {
            let outcome = StoredCase { store, digest: None, ..case.clone() }.replay().unwrap();
            assert_eq!(outcome.failure, None, "{} on {store}", file.display());
        }
    }
}

#[test]
fn every_stored_case_is_of_the_format_and_tells_why_it_is_kept() {
    let (mut schemas, mut compiler) = (boon::Schemas::new(), boon::Compiler::new());
    compiler.add_resource("schema.json", format::case_schema()).unwrap();
    let schema = compiler.compile("schema.json", &mut schemas).unwrap();
    for (file, case) in cases() {
        let json = serde_json::from_str(&fs::read_to_string(&file).unwrap()).unwrap();
        let complaint = schemas.validate(&json, schema).err().map(|error| error.to_string());
        assert_eq!(complaint, None, "{}", file.display());
        assert!(case.story.is_some_and(|story| !story.is_empty()), "{} has no story", file.display());
        assert!(!case.reaches.is_empty(), "{} could pass because nothing happens in it", file.display());
        let unknown: Vec<_> = case.reaches.iter().filter(|name| !sometimes::all().contains(&name.as_str())).collect();
        assert!(unknown.is_empty(), "{}: no situation is called {unknown:?}", file.display());
    }
}
