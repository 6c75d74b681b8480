//! Who calls: keys and certificates at the gRPC door of the program itself, and what a caller may see.

#[path = "support/binary.rs"]
#[expect(dead_code, reason = "each test file uses its part of it")]
mod binary;
#[path = "support/calls.rs"]
#[expect(dead_code, reason = "each test file uses its part of it")]
mod calls;
#[path = "identity/certificates.rs"]
mod certificates;
#[path = "identity/foreign.rs"]
mod foreign;
#[path = "identity/guide.rs"]
mod guide;
#[path = "identity/keys.rs"]
mod keys;
#[path = "identity/methods.rs"]
mod methods;
#[path = "identity/others.rs"]
mod others;
#[path = "support/pki.rs"]
mod pki;
#[path = "identity/probes.rs"]
mod probes;
#[path = "support/program.rs"]
mod program;
#[path = "identity/shops.rs"]
mod shops;
#[path = "support/skip.rs"]
mod skip;
#[path = "identity/starts.rs"]
mod starts;

use std::fs;
use std::path::{Path, PathBuf};

use tidings::client::{Client, Target};

use binary::Binary;
use pki::Pki;
use program::{field, program, run};

/// A configuration of free ports and a data folder, gRPC on `address`.
fn configured(folder: &Path, address: &str, more: &str) -> PathBuf {
    let file = folder.join("tidings.toml");
    let data = folder.join("data");
    let text = format!(
        "[server]\ngrpc_address = \"{address}\"\nconsole_address = \"127.0.0.1:0\"\n[store]\npath = {data:?}\n{more}\n"
    );
    fs::write(&file, text).unwrap();
    file
}

/// `[server.tls]` with the certificate `gateway`, which is made here, and the authority of callers' certificates.
fn tls(pki: &Pki) -> String {
    pki.signed("gateway", "DNS:localhost,IP:127.0.0.1", "ca");
    let [certificate, key, authority] =
        ["gateway.pem", "gateway.key", "ca.pem"].map(|name| pki.path(name));
    format!(
        "[server.tls]\ncertificate_file = {certificate:?}\nkey_file = {key:?}\nclient_ca_file = {authority:?}\n"
    )
}

/// Makes a key in `NAME.tk` with the program; its hash.
fn key(folder: &Path, name: &str) -> String {
    let file = folder.join(format!("{name}.tk"));
    let (code, out, err) = run(program().args(["keys", "new", "--out"]).arg(&file));
    assert_eq!(code, 0, "{err}");
    field(&out, "hash").to_owned()
}

/// A section for a caller with a key of its own in `NAME.tk`.
fn caller(folder: &Path, name: &str, scopes: &[&str]) -> String {
    let hash = key(folder, name);
    format!("[callers.{name}]\nscopes = {scopes:?}\napi_key_hashes = [\"{hash}\"]\n")
}

/// Every scope.
const ALL: [&str; 8] = [
    "send:critical",
    "send:transactional",
    "send:relationship",
    "send:marketing",
    "read",
    "customer:write",
    "customer:erase",
    "operate",
];

fn serve(config: &Path) -> Binary {
    Binary::start(&["serve", "--config", config.to_str().unwrap()], &[])
}

/// The gateway by TLS, from outside as it were.
fn secure(binary: &Binary) -> String {
    let port = binary.grpc.rsplit(':').next().unwrap();
    format!("https://localhost:{port}")
}

/// A target with the key in `NAME.tk`.
fn with_key(address: &str, folder: &Path, name: &str) -> Target {
    Target {
        api_key_file: Some(folder.join(format!("{name}.tk"))),
        ca_file: address.starts_with("https").then(|| folder.join("ca.pem")),
        ..Target::at(address)
    }
}

/// A target with the certificate `NAME.pem`.
fn with_certificate(address: &str, pki: &Pki, name: &str) -> Target {
    Target {
        ca_file: Some(pki.path("ca.pem")),
        certificate_file: Some(pki.path(&format!("{name}.pem"))),
        key_file: Some(pki.path(&format!("{name}.key"))),
        ..Target::at(address)
    }
}

async fn connect(target: &Target) -> Client {
    // One provider of cryptography for the test's process, as the program has.
    let _ = rustls::crypto::ring::default_provider().install_default();
    Client::connect_to(target).await.unwrap()
}
