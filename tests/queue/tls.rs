//! Who may talk to whom: both sides show a certificate of an authority that the other one knows.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use tidings::queue::rabbitmq::{RabbitQueue, Settings, Tls};
use tidings::queue::{NotQueued, Queue};

use crate::promises::{PLACE, jobs, publish};
use crate::rabbitmq::{Certificate, Node};

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn only_a_broker_that_is_known_is_talked_to() {
    let folder = tempfile::tempdir().unwrap();
    let (ours, theirs) = (
        Authority::new(folder.path(), "ours"),
        Authority::new(folder.path(), "theirs"),
    );
    let (certificate, key) = ours.issue("localhost");
    let shown = Certificate {
        ca: &ours.certificate,
        certificate: &certificate,
        key: &key,
    };
    let Some(node) = Node::start_with(Some(&shown)) else {
        return;
    };
    let by = |authority: &Authority, identity| {
        let tls = Tls {
            ca_file: Some(authority.certificate.clone()),
            identity,
        };
        RabbitQueue::open(Settings {
            hosts: vec![("localhost".into(), node.tls_port)],
            tls: Some(tls),
            ..node.settings()
        })
    };
    let good = by(&ours, Some(ours.issue("client")));
    // They have the same time as the one that is let in, and more.
    let refused = [
        ("another authority", by(&theirs, Some(ours.issue("client")))),
        ("no certificate", by(&ours, None)),
        (
            "a foreign certificate",
            by(&ours, Some(theirs.issue("client"))),
        ),
    ];
    publish(&good, &jobs(PLACE, 1)).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    for (why, queue) in &refused {
        assert!(!queue.connection().borrow().is_up(), "{why}");
        assert_eq!(
            queue.publish(&jobs(PLACE, 1)).await,
            [Err(NotQueued)],
            "{why}"
        );
    }
}

/// An authority of the test's own, made by openssl.
struct Authority {
    folder: PathBuf,
    certificate: PathBuf,
    key: PathBuf,
}

impl Authority {
    fn new(folder: &Path, name: &str) -> Self {
        let folder = folder.join(name);
        std::fs::create_dir(&folder).unwrap();
        let (certificate, key) = (folder.join("ca.pem"), folder.join("ca.key"));
        let subject = format!("/CN={name}");
        openssl(
            &[
                "req",
                "-x509",
                "-newkey",
                "ec",
                "-pkeyopt",
                "ec_paramgen_curve:prime256v1",
            ],
            &["-nodes", "-days", "30", "-subj", &subject],
            &[("-keyout", &key), ("-out", &certificate)],
        );
        Self {
            folder,
            certificate,
            key,
        }
    }

    /// A certificate for a name, and its key.
    fn issue(&self, name: &str) -> (PathBuf, PathBuf) {
        let at = |end: &str| self.folder.join(format!("{name}.{end}"));
        let (certificate, key, request, extra) = (at("pem"), at("key"), at("csr"), at("ext"));
        std::fs::write(&extra, format!("subjectAltName=DNS:{name}\n")).unwrap();
        let subject = format!("/CN={name}");
        openssl(
            &[
                "req",
                "-newkey",
                "ec",
                "-pkeyopt",
                "ec_paramgen_curve:prime256v1",
            ],
            &["-nodes", "-subj", &subject],
            &[("-keyout", &key), ("-out", &request)],
        );
        openssl(
            &["x509", "-req", "-days", "30", "-CAcreateserial"],
            &[],
            &[
                ("-in", &request),
                ("-CA", &self.certificate),
                ("-CAkey", &self.key),
                ("-extfile", &extra),
                ("-out", &certificate),
            ],
        );
        (certificate, key)
    }
}

fn openssl(command: &[&str], more: &[&str], files: &[(&str, &Path)]) {
    let mut openssl = Command::new("openssl");
    openssl.args(command).args(more);
    for (name, path) in files {
        openssl.arg(name).arg(path);
    }
    let done = openssl.output().unwrap();
    assert!(
        done.status.success(),
        "{}",
        String::from_utf8_lossy(&done.stderr)
    );
}
