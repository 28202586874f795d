//! What the packages may depend on: one direction, and no surroundings for the engine.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::fs;
use std::path::Path;

fn manifest(package: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    fs::read_to_string(root.join(package).join("Cargo.toml")).unwrap()
}

/// The lines of `[dependencies]`.
fn dependencies(package: &str) -> Vec<String> {
    let text = manifest(package);
    let section = text.split("\n[dependencies]\n").nth(1).unwrap_or("");
    let lines = section.lines().take_while(|line| !line.starts_with('['));
    lines.filter(|line| !line.is_empty() && !line.starts_with('#')).map(str::to_owned).collect()
}

fn depends_on(package: &str, other: &str) -> bool {
    let named = |line: &String| line.starts_with(&format!("{other}.")) || line.starts_with(&format!("{other} "));
    dependencies(package).iter().any(named)
}

#[test]
fn the_engine_depends_on_no_store_no_runtime_and_no_random_source() {
    let schemars = "schemars = { workspace = true, optional = true }";
    let allowed = [
        "jiff",
        "postcard",
        "serde",
        "serde_json",
        "sha2",
        "siphasher",
        "smallvec",
        "thiserror",
        "toml",
        "uuid",
        "zstd",
    ];
    for line in dependencies("core") {
        let is_allowed = line == schemars || allowed.iter().any(|name| line.starts_with(&format!("{name}.")));
        assert!(is_allowed, "core may not depend on `{line}`");
    }
}

#[test]
fn packages_depend_in_one_direction() {
    let order = ["core", "core/kuzu", "core/sqlite", "core/directory", "core/benches", "sim", "scenarios", "reports"];
    let name = |package: &str| match package.rsplit('/').next().unwrap_or(package) {
        "benches" => "kuzusync-bench".to_owned(),
        last => format!("kuzusync-{last}"),
    };
    for (place, package) in order.iter().enumerate() {
        for later in &order[place..] {
            assert!(!depends_on(package, &name(later)), "{package} may not depend on {later}");
        }
    }
    assert!(depends_on("sim", "kuzusync-core") && depends_on("reports", "kuzusync-scenarios"), "the check sees them");
}

#[test]
fn internal_dependencies_leave_default_features_off() {
    let text = manifest(".");
    for line in text.lines().filter(|line| line.starts_with("kuzusync-")) {
        assert!(line.contains("default-features = false"), "{line}");
    }
}
