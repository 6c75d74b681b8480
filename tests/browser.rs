//! The console in a real browser, over the running demo: messages of all channels, the views of a mail, the trace of a decision,
//! live activity; without an error in the browser and without a request to any other host.

#[path = "support/demo.rs"]
mod demo;

use std::path::{Path, PathBuf};
use std::process::Command;

use demo::Demo;

fn chromium() -> Option<PathBuf> {
    let names = ["chromium", "chromium-browser", "google-chrome"];
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .flat_map(|folder| names.map(|name| folder.join(name)))
        .find(|program| program.is_file())
}

/// What the test needs and the machine may not have: the browser, and the modules of node.
fn tools(root: &Path) -> Result<(PathBuf, PathBuf), &'static str> {
    let modules = root.join(".tools/node/node_modules");
    if !modules.join("playwright-core").is_dir() {
        return Err("playwright-core is not installed; run scripts/setup.sh");
    }
    let node = Command::new("node").arg("--version").output();
    if !node.is_ok_and(|node| node.status.success()) {
        return Err("node is not installed; run scripts/setup.sh");
    }
    let chromium = chromium().ok_or("no chromium on the PATH; run scripts/setup.sh")?;
    Ok((chromium, modules))
}

#[test]
fn a_person_finds_their_way_through_the_console() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let (chromium, modules) = match tools(root) {
        Ok(tools) => tools,
        Err(why) if std::env::var("TIDINGS_TEST_REQUIRE").is_ok_and(|it| it == "1") => {
            panic!("{why}")
        }
        Err(why) => return println!("skipped: {why}"),
    };
    let demo = Demo::start("60x");
    let shots = tempfile::tempdir().unwrap();
    let output = Command::new("node")
        .arg(root.join("tests/browser/console.mjs"))
        .arg(&demo.console)
        .args([&chromium, &modules])
        .arg(shots.path())
        .arg(env!("CARGO_BIN_EXE_tidings"))
        .args(["--address", &demo.grpc, "send", "order.shipped"])
        .args(["--to", "ada@example.com", "--var", "order.number=4799"])
        .output()
        .unwrap();
    let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    println!("{}", said(&output.stdout));
    if !output.status.success() {
        let kept = shots.keep();
        panic!(
            "{}\nscreenshots in {}",
            said(&output.stderr),
            kept.display()
        );
    }
    demo.end();
}
