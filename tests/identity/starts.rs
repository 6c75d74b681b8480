//! What cannot be served to others is refused before a socket opens, in one line that shows no secret.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Stdio;

use crate::pki::Pki;
use crate::program::{program, run};
use crate::{ALL, binary::Binary, caller, configured, key, tls};

/// The start ends with 64 and one line that holds these words; nothing was made.
#[track_caller]
fn refused(folder: &Path, address: &str, more: &str, words: &str) {
    let config = configured(folder, address, more);
    let (code, out, err) = run(program().args(["serve", "--config"]).arg(&config));
    assert_eq!((code, out.as_str()), (64, ""), "{more}\n{err}");
    assert!(err.contains(words), "{words}:\n{err}");
    assert_eq!(err.lines().count(), 1, "{err}");
    assert!(err.starts_with("error: ") && !err.contains("tk_"), "{err}");
    assert!(!folder.join("data").exists());
}

const HERE: &str = "127.0.0.1:0";
const EVERYWHERE: &str = "0.0.0.0:0";

#[test]
fn nobody_else_is_served_without_callers_and_tls() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let Some(pki) = Pki::new(folder) else { return };
    let (tls, orders) = (tls(&pki), caller(folder, "orders", &ALL));
    for address in [EVERYWHERE, "[::]:0", "192.0.2.1:0"] {
        refused(folder, address, "", "callers must be known then");
        refused(folder, address, &tls, "callers must be known then");
        refused(folder, address, &orders, "in the clear");
    }
    let config = configured(folder, EVERYWHERE, &format!("{tls}{orders}"));
    let mut command = program();
    command.args(["serve", "--config"]).arg(&config);
    let (code, _, err) = run(command.env("TIDINGS_SERVER__CONSOLE_ADDRESS", "0.0.0.0:0"));
    assert_eq!(code, 64, "{err}");
    assert!(
        err.contains("the console asks nobody who they are"),
        "{err}"
    );

    // Together they are enough, and here neither is needed, nor where the operator has said so; the start says which it is.
    for (address, more, insecure, words) in [
        (
            EVERYWHERE,
            format!("{tls}{orders}"),
            "false",
            "orders (by TLS)",
        ),
        (
            HERE,
            orders,
            "false",
            "orders (without TLS, on this machine)",
        ),
        (
            HERE,
            String::new(),
            "false",
            "not identified: whoever reaches",
        ),
        (
            EVERYWHERE,
            String::new(),
            "true",
            "not identified, INSECURE",
        ),
    ] {
        let config = configured(folder, address, &more);
        let mut child = program()
            .args(["serve", "--config"])
            .arg(&config)
            .env("TIDINGS_SERVER__INSECURE", insecure)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let said = BufReader::new(child.stdout.take().unwrap());
        let mut lines = said.lines().map_while(Result::ok);
        let line = lines.find(|line| line.starts_with("callers"));
        child.kill().unwrap();
        child.wait().unwrap();
        let line = line.unwrap();
        assert!(line.contains(words), "{line}");
    }
}

/// Row 68.
#[test]
fn a_certificate_that_cannot_be_served_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let Some(pki) = Pki::new(folder) else { return };
    let orders = caller(folder, "orders", &ALL);
    drop(tls(&pki));
    pki.signed("second", "DNS:localhost", "ca");
    pki.dated(
        "expired",
        "DNS:localhost",
        "20200101000000Z",
        "20210101000000Z",
    );
    pki.dated(
        "early",
        "DNS:localhost",
        "20980101000000Z",
        "20990101000000Z",
    );
    pki.openssl(&[
        "pkey",
        "-in",
        "gateway.key",
        "-aes256",
        "-passout",
        "pass:pw",
        "-out",
        "locked.key",
    ]);
    pki.openssl(&[
        "ec",
        "-in",
        "gateway.key",
        "-aes256",
        "-passout",
        "pass:pw",
        "-out",
        "locked_old.key",
    ]);
    pki.request(
        "client",
        &[
            "subjectAltName=DNS:localhost",
            "extendedKeyUsage=clientAuth",
        ],
    );
    pki.openssl(&[
        "x509",
        "-req",
        "-in",
        "client.csr",
        "-CA",
        "ca.pem",
        "-CAkey",
        "ca.key",
        "-CAcreateserial",
        "-copy_extensions",
        "copy",
        "-out",
        "client.pem",
    ]);
    fs::write(folder.join("empty"), "").unwrap();
    let broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    fs::write(folder.join("broken"), broken).unwrap();
    fs::write(folder.join("garbled"), broken.replace("AAAA", "!!")).unwrap();
    fs::copy(pki.path("gateway.key"), pki.path("open.key")).unwrap();
    fs::set_permissions(pki.path("open.key"), fs::Permissions::from_mode(0o644)).unwrap();
    // Made only to be read where a key belongs.
    for name in ["gateway.pem", "empty", "broken"] {
        fs::set_permissions(pki.path(name), fs::Permissions::from_mode(0o600)).unwrap();
    }

    for (certificate, key, authority, words) in [
        (
            "absent",
            "gateway.key",
            "ca.pem",
            "absent cannot be read: No such file",
        ),
        ("empty", "gateway.key", "ca.pem", "has no certificate in it"),
        (
            "gateway.key",
            "gateway.key",
            "ca.pem",
            "has no certificate in it",
        ),
        (
            "broken",
            "gateway.key",
            "ca.pem",
            "certificate that is none",
        ),
        ("garbled", "gateway.key", "ca.pem", "cannot be read as PEM"),
        (
            "expired.pem",
            "expired.key",
            "ca.pem",
            "expired.pem has expired",
        ),
        (
            "early.pem",
            "early.key",
            "ca.pem",
            "early.pem is not valid yet",
        ),
        (
            "ca.pem",
            "ca.key",
            "ca.pem",
            "is an authority's certificate",
        ),
        ("client.pem", "client.key", "ca.pem", "is not for a server"),
        (
            "gateway.pem",
            "absent",
            "ca.pem",
            "absent cannot be read: No such file",
        ),
        ("gateway.pem", "empty", "ca.pem", "has no private key in it"),
        (
            "gateway.pem",
            "gateway.pem",
            "ca.pem",
            "has no private key in it",
        ),
        (
            "gateway.pem",
            "second.key",
            "ca.pem",
            "is not the key of the certificate",
        ),
        (
            "gateway.pem",
            "locked.key",
            "ca.pem",
            "is locked with a password",
        ),
        (
            "gateway.pem",
            "locked_old.key",
            "ca.pem",
            "is locked with a password",
        ),
        ("gateway.pem", "open.key", "ca.pem", "is open to everybody"),
        (
            "gateway.pem",
            "",
            "ca.pem",
            "server.tls.key_file: is missing",
        ),
        (
            "",
            "gateway.key",
            "ca.pem",
            "server.tls.certificate_file: is missing",
        ),
        (
            "",
            "",
            "ca.pem",
            "needs server.tls.certificate_file and server.tls.key_file",
        ),
        (
            "gateway.pem",
            "gateway.key",
            "absent",
            "absent cannot be read: No such file",
        ),
        (
            "gateway.pem",
            "gateway.key",
            "empty",
            "has no certificate in it",
        ),
        (
            "gateway.pem",
            "gateway.key",
            "gateway.key",
            "has no certificate in it",
        ),
        (
            "gateway.pem",
            "gateway.key",
            "broken",
            "certificate that is none",
        ),
    ] {
        let path = |name: &str| match name {
            "" => String::new(),
            name => pki.text(name),
        };
        let more = format!(
            "[server.tls]\ncertificate_file = {:?}\nkey_file = {:?}\nclient_ca_file = {:?}\n{orders}",
            path(certificate),
            path(key),
            path(authority)
        );
        refused(folder, HERE, &more, words);
    }
}

#[test]
fn callers_that_cannot_be_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let (one, two, three) = (key(folder, "one"), key(folder, "two"), key(folder, "three"));
    let secret = fs::read_to_string(folder.join("one.tk")).unwrap();
    let secret = secret.trim_end();
    let keys = format!("api_key_hashes = [{one:?}]");
    let read = "scopes = [\"read\"]";
    for (more, words) in [
        (
            format!("[callers.a]\n{read}"),
            "callers.a: has no credential",
        ),
        (
            format!("[callers.a]\n{read}\napi_key_hashes = []"),
            "callers.a: has no credential",
        ),
        (
            "[callers.a]".to_owned() + "\n" + &keys,
            "callers.a.scopes: is missing",
        ),
        (
            format!("[callers.a]\nscopes = []\n{keys}"),
            "callers.a.scopes: is empty",
        ),
        (
            format!("[callers.a]\nscopes = \"read\"\n{keys}"),
            "callers.a.scopes: is not a list",
        ),
        (
            format!("[callers.a]\nscopes = [\"send:marketng\"]\n{keys}"),
            "did you mean send:marketing?",
        ),
        (
            format!("[callers.a]\nscopes = [\"admin\"]\n{keys}"),
            "\"admin\" is not one of send:critical",
        ),
        (
            format!("[callers.A]\n{read}\n{keys}"),
            "callers.A: a caller's name has 1 to 32",
        ),
        (
            format!("[callers.a]\n{read}\n{keys}\nshop = \"other\""),
            "this release serves one shop, \"local\"",
        ),
        (
            format!("[callers.a]\n{read}\napi_key_hashes = [{secret:?}]"),
            "is no hash of a key",
        ),
        (
            format!("[callers.a]\n{read}\napi_key_hashes = {secret:?}"),
            "api_key_hashes: is not a list",
        ),
        (
            format!("[callers.a]\n{read}\napi_key = {secret:?}"),
            "callers.a.api_key: no such setting",
        ),
        (
            format!("[callers.a]\n{read}\napi_key_hashes = [{one:?}, {two:?}, {three:?}]"),
            "one hash, or two",
        ),
        (
            format!("[callers.a]\n{read}\n{keys}\n[callers.b]\n{read}\n{keys}"),
            "callers.a has too",
        ),
        (
            format!("[callers.a]\n{read}\ncertificate_names = [\"a.example\"]"),
            "server.tls.client_ca_file",
        ),
        (
            format!("[callers.a]\n{read}\n{keys}\n[server.x]\ny = 1"),
            "server.x.y: no such setting",
        ),
    ] {
        // An unknown key beside what it should have been is a fault of its own.
        let config = configured(folder, HERE, &more);
        let (code, out, err) = run(program().args(["serve", "--config"]).arg(&config));
        assert_eq!((code, out.as_str()), (64, ""), "{more}\n{err}");
        assert!(err.contains(words), "{words}:\n{err}");
        assert!(!err.contains(secret), "{err}");
    }
    let chosen = "127.0.0.1:0\"\nconsole_caller = \"nobody";
    refused(
        folder,
        chosen,
        &format!("[callers.a]\n{read}\n{keys}"),
        "there is no section [callers.nobody]",
    );

    // From the environment alone, with two keys.
    let (hashes, scopes) = (format!("{one},{two}"), "read, send:marketing");
    let config = configured(folder, HERE, "");
    let binary = Binary::start(
        &["serve", "--config", config.to_str().unwrap()],
        &[
            ("TIDINGS_CALLERS__SHOP_FRONT__API_KEY_HASHES", &hashes),
            ("TIDINGS_CALLERS__SHOP_FRONT__SCOPES", scopes),
        ],
    );
    assert_eq!(binary.terminate(), Some(0));
}
