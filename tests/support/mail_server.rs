//! A real mail server in Python (tests/servers/smtpd.py), on a port of its own until it is dropped.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::skip::{root, tool};

pub(crate) struct MailServer {
    child: Child,
    pub(crate) port: u16,
    pub(crate) ca: Option<PathBuf>,
    folder: tempfile::TempDir,
}

/// One accepted mail.
pub(crate) struct Kept {
    /// Envelope, session, faults.
    pub(crate) details: serde_json::Value,
    /// The bytes.
    pub(crate) eml: Vec<u8>,
}

/// The Python of the tests, or `None` after saying that the test is skipped.
pub(crate) fn python() -> Option<PathBuf> {
    tool(&["venv/bin/python"])
}

impl MailServer {
    /// Starts it in a mode: plain, starttls, tls or auth.
    pub(crate) fn start(mode: &str) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let mut child = Command::new(python()?)
            .arg(root().join("tests/servers/smtpd.py"))
            .args(["--mode", mode, "--slow", "1", "--dump"])
            .arg(folder.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        let ready: serde_json::Value =
            serde_json::from_str(&line).expect("the server's first line");
        Some(Self {
            child,
            port: u16::try_from(ready["port"].as_u64().unwrap()).unwrap(),
            ca: ready["ca"].as_str().map(PathBuf::from),
            folder,
        })
    }

    /// All accepted mails, in order.
    pub(crate) fn kept(&self) -> Vec<Kept> {
        let mut files: Vec<PathBuf> = std::fs::read_dir(self.folder.path())
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.extension().is_some_and(|end| end == "json"))
            .collect();
        files.sort();
        files.iter().map(|path| Kept::read(path)).collect()
    }
}

impl Kept {
    fn read(path: &Path) -> Self {
        Self {
            details: serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap(),
            eml: std::fs::read(path.with_extension("eml")).unwrap(),
        }
    }
}

impl Drop for MailServer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
