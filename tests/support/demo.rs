//! `tidings demo --headless` as a process with a folder of its own for temporary files; ended when it is dropped.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

/// How long the demo may take for what the tests wait for.
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) struct Demo {
    child: Child,
    said: Arc<(Mutex<Vec<String>>, Condvar)>,
    folder: tempfile::TempDir,
    pub(crate) grpc: String,
    /// With `http://`.
    pub(crate) console: String,
}

impl Demo {
    /// Starts it on free ports and waits until both doors are open.
    pub(crate) fn start(speed: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut child = Command::new(env!("CARGO_BIN_EXE_tidings"))
            .args(["demo", "--headless", "--port", "0", "--ui-port", "0"])
            .args(["--speed", speed])
            .env("TMPDIR", folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let said: Arc<(Mutex<Vec<String>>, Condvar)> = Arc::default();
        let (stdout, heard) = (child.stdout.take().unwrap(), said.clone());
        // Reads to the end, so that the demo never waits for a reader.
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                heard.0.lock().unwrap().push(line);
                heard.1.notify_all();
            }
        });
        let mut demo = Self {
            child,
            said,
            folder,
            grpc: String::new(),
            console: String::new(),
        };
        demo.grpc = demo.fact("gRPC");
        demo.console = demo.fact("console");
        demo
    }

    /// What it printed after a word at the start of a line.
    fn fact(&self, word: &str) -> String {
        let line = self.until(|lines| lines.iter().find(|line| line.starts_with(word)).cloned());
        line[word.len()..].trim().to_owned()
    }

    /// Waits until its output holds what is looked for.
    pub(crate) fn until<T>(&self, find: impl Fn(&[String]) -> Option<T>) -> T {
        let lines = self.said.0.lock().unwrap();
        let missing = |lines: &mut Vec<String>| find(lines).is_none();
        let waited = self.said.1.wait_timeout_while(lines, PATIENCE, missing);
        let (lines, _) = waited.unwrap();
        find(&lines).unwrap_or_else(|| panic!("not said in time: {lines:#?}"))
    }

    /// SIGTERM. It ends by itself with code 0 and leaves nothing behind.
    pub(crate) fn end(mut self) {
        let left = || std::fs::read_dir(self.folder.path()).unwrap().count();
        assert_eq!(left(), 1, "the demo has a folder of its own");
        let id = self.child.id().to_string();
        assert!(Command::new("kill").arg(id).status().unwrap().success());
        assert_eq!(self.child.wait().unwrap().code(), Some(0));
        assert_eq!(left(), 0, "the demo left a folder behind");
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
