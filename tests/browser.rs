//! The console in a real browser, over the running demo: messages of all channels, the views of a mail, the trace of a decision,
//! live activity; without an error in the browser and without a request to any other host.
//!
//! `TIDINGS_CONSOLE=http://127.0.0.1:PORT` uses a gateway that runs already.

#![expect(clippy::expect_used, reason = "a test says what it expects by failing")]

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

/// How long the demo may take to open its doors.
const START: Duration = Duration::from_secs(30);

/// A running demo; it is told to end when it is dropped.
struct Gateway {
    console: String,
    child: Option<Child>,
}

impl Gateway {
    fn start() -> Self {
        if let Ok(console) = std::env::var("TIDINGS_CONSOLE") {
            return Self {
                console,
                child: None,
            };
        }
        let mut child = Command::new(env!("CARGO_BIN_EXE_tidings"))
            .args(["demo", "--headless", "--port", "0", "--ui-port", "0"])
            .stdout(Stdio::piped())
            .spawn()
            .expect("the demo starts");
        let stdout = child.stdout.take().expect("a pipe");
        let (found, console) = mpsc::channel();
        // Reads to the end, so that the demo never waits for a reader.
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                if let Some(("console", address)) = line.split_once(' ') {
                    let _ = found.send(address.trim().to_owned());
                }
            }
        });
        let mut gateway = Self {
            console: String::new(),
            child: Some(child),
        };
        gateway.console = console
            .recv_timeout(START)
            .expect("the demo prints `console  http://…`");
        gateway
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let Some(child) = &mut self.child else { return };
        let _ = Command::new("kill").arg(child.id().to_string()).status();
        for _ in 0..100 {
            if !matches!(child.try_wait(), Ok(None)) {
                return;
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        let _ = child.kill();
        let _ = child.wait();
    }
}

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
#[ignore = "the demo is not wired yet"]
fn a_person_finds_their_way_through_the_console() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let (chromium, modules) = match tools(root) {
        Ok(tools) => tools,
        Err(why) if std::env::var("TIDINGS_TEST_REQUIRE").is_ok_and(|it| it == "1") => {
            panic!("{why}")
        }
        Err(why) => return println!("skipped: {why}"),
    };
    let gateway = Gateway::start();
    let shots = tempfile::tempdir().expect("a folder for screenshots");
    let output = Command::new("node")
        .arg(root.join("tests/browser/console.mjs"))
        .arg(&gateway.console)
        .args([&chromium, &modules])
        .arg(shots.path())
        .output()
        .expect("node runs");
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
}
