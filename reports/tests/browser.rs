//! The page in a browser: it opens, filters, opens a failure and moves through its history, and nothing goes wrong.
//!
//! It needs Chromium (Debian: `apt-get install chromium`). Where there is none it says so and tests nothing.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]
#![expect(clippy::print_stderr, reason = "a test that is skipped says so")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const KUZUSYNC: &str = env!("CARGO_BIN_EXE_kuzusync");

/// Uses the page as a person would, and leaves what it saw behind.
const VISITOR: &str = r##"<script>
const seen = {};
const wait = (done) => new Promise((resolve) => setTimeout(resolve, done));
(async () => {
  const rows = [...document.querySelectorAll(".count")];
  const input = document.querySelector("input[type=search]");
  input.value = "crash";
  input.dispatchEvent(new Event("input"));
  seen.filtered = rows.length > rows.filter((row) => !row.hidden).length;
  location.hash = "failures";
  await wait(100);
  document.querySelector("tr.choice").click();
  await wait(100);
  seen.opened = location.hash.startsWith("#run-");
  seen.heading = document.querySelector("h2").textContent;
  location.hash = "run-" + (document.querySelectorAll("nav a[href^='#run-']").length - 1);
  await wait(200);
  for (let turn = 0; turn < 400 && !document.querySelector(".state b"); turn += 1) await wait(25);
  const words = [...document.querySelectorAll("svg.versions text")].map((text) => text.textContent);
  seen.versions = words.some((text) => /^1\. .+, by .+/.test(text));
  const box = document.querySelector(".diagram");
  const at = () => document.querySelector(".state b").textContent;
  const last = at();
  box.dispatchEvent(new KeyboardEvent("keydown", { key: "Home", bubbles: true }));
  seen.moved = at() !== last;
  seen.drawn = document.querySelectorAll(".diagram path").length > 0;
  seen.shown = document.querySelectorAll(".diagram text").length;
  const result = document.createElement("pre");
  result.textContent = "seen:" + JSON.stringify(seen) + ":seen";
  document.body.append(result);
})();
</script></body>"##;

fn chromium() -> Option<PathBuf> {
    let paths = std::env::var_os("PATH")?;
    let names = ["chromium", "chromium-browser", "google-chrome"];
    std::env::split_paths(&paths).flat_map(|folder| names.map(|name| folder.join(name))).find(|file| file.is_file())
}

fn kuzusync(arguments: &[&str]) -> Option<i32> {
    let mut command = Command::new(KUZUSYNC);
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().unwrap().code()
}

#[test]
fn the_page_opens_filters_and_shows_a_failure_without_an_error() {
    let Some(chromium) = chromium() else {
        eprintln!("skipped: there is no Chromium here to open the page with");
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().to_str().unwrap();
    let sweep = ["sweep", "--count", "8", "--store", "memory", "--no-cases", "--worker-dies-at", "5", "--out", out];
    assert_eq!(kuzusync(&sweep), Some(4));
    // The file says crash, and without the sabotage the run has a history to look at.
    let case = folder.path().join("cases/seed-5.json");
    let digest = "\"digest\": \"00000000000000000000000000000000\"";
    let text = fs::read_to_string(&case).unwrap();
    let end = text.trim_end().trim_end_matches('}').trim_end();
    fs::write(&case, format!("{end},\n  {digest}\n}}\n")).unwrap();
    assert_eq!(kuzusync(&["report", out]), Some(0));
    let html = fs::read_to_string(folder.path().join("report.html")).unwrap();
    fs::write(folder.path().join("visited.html"), html.replace("</body>", VISITOR)).unwrap();
    let (dom, log) = visit(&chromium, &folder.path().join("visited.html"), folder.path());
    let told = dom.split("<pre>seen:").nth(1).and_then(|rest| rest.split(":seen").next());
    let told = told.unwrap_or_else(|| panic!("the visitor did not come to an end: {log}"));
    let seen: serde_json::Value = serde_json::from_str(&told.replace("&amp;", "&").replace("&gt;", ">")).unwrap();
    for what in ["filtered", "opened", "moved", "drawn", "versions"] {
        assert_eq!(seen[what], true, "{what}: {seen}");
    }
    assert!(seen["heading"].as_str().unwrap().starts_with("CRASH"), "{seen}");
    // Only what is on the screen is drawn.
    assert!((20..500).contains(&seen["shown"].as_u64().unwrap()), "{seen}");
    let errors: Vec<&str> = log.lines().filter(|line| line.contains("CONSOLE")).collect();
    assert!(errors.is_empty(), "{errors:?}");
}

/// What the page is in the end, and what the browser said.
fn visit(chromium: &Path, page: &Path, profile: &Path) -> (String, String) {
    let mut command = Command::new(chromium);
    command.args(["--headless=new", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=20000"]);
    command.args(["--enable-logging=stderr", "--dump-dom", "--window-size=1300,1000"]);
    command.arg(format!("--user-data-dir={}", profile.join("profile").display()));
    let output = command.arg(format!("file://{}", page.display())).stdin(Stdio::null()).output().unwrap();
    (String::from_utf8_lossy(&output.stdout).into_owned(), String::from_utf8_lossy(&output.stderr).into_owned())
}
