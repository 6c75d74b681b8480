//! A caller that shares no code with the gateway: Python's grpcio by TLS, with a key and with a certificate.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::pki::Pki;
use crate::skip::{root, tool};
use crate::{ALL, caller, configured, key, secure, serve, tls};

/// Runs the example; `None` after saying that there is no Python.
fn example(address: &str, files: &[(&str, &Path)]) -> Option<(Option<i32>, Value)> {
    let mut command = Command::new(tool(&["venv/bin/python"])?);
    command
        .arg(root().join("examples/send.py"))
        .args(["order.shipped", "--to", "ada@example.com"])
        .args(["--var", "order.number=1", "--timeout", "20"])
        .env("TIDINGS_ADDRESS", address)
        .envs(files.iter().copied());
    let output = command.output().unwrap();
    let answer = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&output.stderr)));
    Some((output.status.code(), answer))
}

#[test]
fn the_python_example_calls_by_tls_with_a_key_and_with_a_certificate() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let Some(pki) = Pki::new(folder) else { return };
    let orders = caller(folder, "orders", &ALL);
    drop(key(folder, "stranger"));
    let names = "certificate_names = [\"spiffe://shop.example/orders\"]\n";
    let more = format!("{}{orders}{names}", tls(&pki));
    let binary = serve(&configured(folder, "0.0.0.0:0", &more));
    let address = secure(&binary);
    pki.signed("orders", "URI:spiffe://shop.example/orders", "ca");
    let authority = pki.path("ca.pem");
    let (good, wrong) = (folder.join("orders.tk"), folder.join("stranger.tk"));
    let (certificate, its_key) = (pki.path("orders.pem"), pki.path("orders.key"));
    let ca = ("TIDINGS_CA_FILE", authority.as_path());
    for (files, code) in [
        (vec![ca, ("TIDINGS_API_KEY_FILE", &good)], ""),
        (
            vec![
                ca,
                ("TIDINGS_CERTIFICATE_FILE", &certificate),
                ("TIDINGS_KEY_FILE", &its_key),
            ],
            "",
        ),
        (
            vec![ca, ("TIDINGS_API_KEY_FILE", &wrong)],
            "UNAUTHENTICATED",
        ),
        (vec![ca], "UNAUTHENTICATED"),
        // Its own authorities do not know this gateway, so it says nothing to it.
        (vec![("TIDINGS_API_KEY_FILE", &good)], "UNAVAILABLE"),
    ] {
        let Some((exit, answer)) = example(&address, &files) else {
            return;
        };
        if code.is_empty() {
            assert_eq!(exit, Some(0), "{answer}");
            let name = answer["notification"]["name"].as_str().unwrap();
            assert!(name.starts_with("notifications/"), "{answer}");
        } else {
            assert_eq!(answer["error"]["code"], code, "{answer}");
            assert_eq!(exit, Some(if code == "UNAVAILABLE" { 5 } else { 1 }));
        }
    }
    assert_eq!(binary.terminate(), Some(0));
}
