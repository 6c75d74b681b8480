//! Python's own mail parser (tests/servers/parse_mail.py) as one process for many mails: what another program makes of the bytes
//! that were sent.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde_json::Value;

use crate::skip::{root, tool};

pub(crate) struct MailParser {
    child: Child,
    mails: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl MailParser {
    /// Starts it; `None` after saying that there is no Python.
    pub(crate) fn start() -> Option<Self> {
        let mut child = Command::new(tool(&["venv/bin/python"])?)
            .arg(root().join("tests/servers/parse_mail.py"))
            .arg("--batch")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        Some(Self {
            mails: child.stdin.take().unwrap(),
            answers: BufReader::new(child.stdout.take().unwrap()),
            child,
        })
    }

    pub(crate) fn parse(&mut self, mail: &[u8]) -> Value {
        let length = u32::try_from(mail.len()).unwrap().to_be_bytes();
        self.mails.write_all(&length).unwrap();
        self.mails.write_all(mail).unwrap();
        self.mails.flush().unwrap();
        let mut line = String::new();
        self.answers.read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap()
    }
}

impl Drop for MailParser {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// The names of the headers, in order, repeats included; none of a mail that the parser cannot take.
pub(crate) fn header_names(parsed: &Value) -> Vec<String> {
    let headers = parsed["headers"].as_array().into_iter().flatten();
    headers
        .map(|header| header[0].as_str().unwrap().to_owned())
        .collect()
}

/// The types of the parts, in order.
pub(crate) fn part_types(parsed: &Value) -> Vec<String> {
    let parts = parsed["parts"].as_array().into_iter().flatten();
    parts
        .map(|part| part["type"].as_str().unwrap().to_owned())
        .collect()
}
