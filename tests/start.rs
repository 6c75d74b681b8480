//! What stands in the way of a start is told in one line and by an exit code, `doctor` finds it beforehand, and a backup
//! is a start like any other.

mod support {
    pub(crate) mod binary;
    pub(crate) mod program;
    pub(crate) mod skip;
}

use std::net::TcpListener;
use std::path::Path;
use std::process::Command;

use serde_json::Value;
use support::binary::Binary;
use support::program::{Ended, field, program, run};

/// A configuration of free ports and a data folder in `folder`, with more behind it.
fn configuration(folder: &Path, more: &str) -> String {
    let file = folder.join("tidings.toml");
    let data = folder.join("data");
    std::fs::write(
        &file,
        format!(
            "[server]\ngrpc_address = \"127.0.0.1:0\"\nconsole_address = \"127.0.0.1:0\"\n[store]\npath = {data:?}\n{more}"
        ),
    )
    .unwrap();
    file.to_str().unwrap().to_owned()
}

/// A start that must fail: with `code`, one line on standard error that holds `words`, and nothing on standard output.
fn fails(code: i32, words: &str, command: &mut Command) {
    let (ended, out, err) = run(command);
    assert_eq!(ended, code, "{err}");
    assert!(
        err.starts_with("error: ") && err.contains(words),
        "{words}: {err}"
    );
    assert_eq!((err.lines().count(), out.as_str()), (1, ""), "{err}");
}

const BAD_PROVIDER: &str = "[providers.smtp.main]\nhost = \"no host\"\n";

#[test]
fn a_start_that_cannot_be_says_why_in_one_line() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap();
    let config = configuration(folder.path(), "");
    let serve = |config: &str| {
        let mut command = program();
        command.args(["serve", "--config", config]);
        command
    };

    // What is configured wrong is found before the data folder is made and before a port is asked for.
    let absent = folder.path().join("absent");
    let mut missing = serve(&config);
    fails(
        64,
        "absent cannot be read",
        missing
            .env("TIDINGS_CATALOG__TEMPLATES", &absent)
            .env("TIDINGS_SERVER__GRPC_ADDRESS", taken.to_string()),
    );
    let refused = configuration(folder.path(), BAD_PROVIDER);
    fails(
        64,
        "providers.smtp.main: host \"no host\" is not a host name",
        serve(&refused).env("TIDINGS_SERVER__GRPC_ADDRESS", taken.to_string()),
    );
    assert!(!data.exists());

    let config = configuration(folder.path(), "");
    for variable in [
        "TIDINGS_SERVER__GRPC_ADDRESS",
        "TIDINGS_SERVER__CONSOLE_ADDRESS",
    ] {
        let words = format!(
            "{taken} cannot be listened on: Address already in use; stop the other process"
        );
        fails(1, &words, serve(&config).env(variable, taken.to_string()));
    }
    // A folder below a file cannot be made by anybody, not even by root.
    let impossible = folder.path().join("tidings.toml/data");
    fails(
        1,
        "choose one that this user can write",
        serve(&config).env("TIDINGS_STORE__PATH", &impossible),
    );
    let owner = Binary::dev(&data);
    fails(1, "is in use by another process", &mut serve(&config));
    owner.kill();
}

/// What doctor says about one thing, and its exit code.
fn doctor(config: &str, what: &str, variables: &[(&str, &str)]) -> (i32, bool, String) {
    let mut command = program();
    command.args(["doctor", "--json", "--config", config]);
    let (code, out, err) = run(command.envs(variables.iter().copied()));
    let findings: Value = serde_json::from_str(&out).unwrap_or_else(|_| panic!("{out}{err}"));
    let findings = findings.as_array().unwrap();
    let all_good = findings.iter().all(|finding| finding["good"] == true);
    assert_eq!(code == 0, all_good, "{out}");
    let found = findings
        .iter()
        .find(|finding| finding["what"] == what)
        .unwrap_or_else(|| panic!("nothing about {what}: {out}"));
    (
        code,
        found["good"] == true,
        found["sentence"].as_str().unwrap().to_owned(),
    )
}

#[test]
fn doctor_finds_each_fault_and_makes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let finds = |config: &str, what: &str, variables: &[(&str, &str)], words: &str| {
        let (code, good, sentence) = doctor(config, what, variables);
        assert!(
            code == 1 && !good && sentence.contains(words),
            "{what}: {sentence}"
        );
    };
    let config = configuration(folder.path(), "");
    let (code, good, sentence) = doctor(&config, "store", &[]);
    assert!(
        code == 0 && good && sentence.contains("does not exist yet"),
        "{sentence}"
    );
    let (code, out, _) = run(program().args(["doctor", "--config", &config]));
    assert!(
        code == 0 && out.lines().all(|line| line.starts_with('✓')),
        "{out}"
    );

    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap().to_string();
    finds(
        &config,
        "gRPC",
        &[("TIDINGS_SERVER__GRPC_ADDRESS", &taken)],
        "Address already in use",
    );
    finds(
        &config,
        "console",
        &[("TIDINGS_SERVER__CONSOLE_ADDRESS", &taken)],
        "Address already in use",
    );
    let impossible = folder.path().join("tidings.toml/data");
    finds(
        &config,
        "store",
        &[("TIDINGS_STORE__PATH", impossible.to_str().unwrap())],
        "cannot be used",
    );
    let absent = folder.path().join("absent");
    finds(
        &config,
        "templates",
        &[("TIDINGS_CATALOG__TEMPLATES", absent.to_str().unwrap())],
        "absent cannot be read",
    );
    let broken = folder.path().join("broken");
    std::fs::create_dir(&broken).unwrap();
    std::fs::write(broken.join("shop.toml"), "nonsense = 1\n").unwrap();
    finds(
        &config,
        "templates",
        &[("TIDINGS_CATALOG__TEMPLATES", broken.to_str().unwrap())],
        "shop.toml",
    );

    finds(
        &configuration(folder.path(), BAD_PROVIDER),
        "providers",
        &[],
        "is not a host name",
    );
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = nobody.local_addr().unwrap().port();
    drop(nobody);
    let unreachable =
        format!("[providers.smtp.main]\nhost = \"127.0.0.1\"\nport = {port}\ntls = \"none\"\n");
    finds(
        &configuration(folder.path(), &unreachable),
        "email by main",
        &[],
        "cannot connect to 127.0.0.1",
    );
    assert!(!data.exists(), "doctor made the data folder");

    let config = configuration(folder.path(), "");
    let owner = Binary::dev(&data);
    finds(&config, "store", &[], "is in use by another process");
    owner.kill();
    let (code, _, sentence) = doctor(&config, "store", &[]);
    assert!(
        code == 0 && sentence.contains("holds 0 notifications"),
        "{sentence}"
    );

    let broken = configuration(folder.path(), "max_sizes = \"1GiB\"\n");
    let (code, good, sentence) = doctor(&broken, "configuration", &[]);
    assert!(
        code == 64 && !good && sentence.contains("did you mean store.max_size?"),
        "{sentence}"
    );
}

/// The two ways to back up that docs/operators.md names.
#[test]
fn a_backup_starts_as_a_gateway_of_its_own() {
    let Some(python) = support::skip::tool(&["venv/bin/python"]) else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let live = Binary::dev(&data);
    let (code, out, err) = send(&live);
    assert_eq!(code, 0, "{err}");
    let id = field(&out, "notification").to_owned();
    let restored = folder.path().join("restored");
    std::fs::create_dir(&restored).unwrap();
    // What sqlite3's `.backup` does.
    let script =
        "import sqlite3, sys\nsqlite3.connect(sys.argv[1]).backup(sqlite3.connect(sys.argv[2]))\n";
    let done = Command::new(python)
        .args(["-c", script])
        .arg(data.join("tidings.db"))
        .arg(restored.join("tidings.db"))
        .status()
        .unwrap();
    assert!(done.success());
    let copy = Binary::dev(&restored);
    let view = ["notifications", "view", &id, "--address", &copy.grpc];
    let (code, out, err) = run(program().args(view));
    assert_eq!(
        (code, field(&out, "state")),
        (0, "SENT (HANDED_OVER)"),
        "{err}"
    );
    assert_ne!(copy.console, live.console);
    // The one that was copied went on all the while.
    let (code, _, err) = send(&live);
    assert_eq!(code, 0, "{err}");

    // The other way: the folder as it is, once the gateway has stopped.
    assert_eq!(copy.terminate(), Some(0));
    assert_eq!(live.terminate(), Some(0));
    let copied = folder.path().join("copied");
    let done = Command::new("cp").arg("-a").args([&data, &copied]).status();
    assert!(done.unwrap().success());
    let config = configuration(folder.path(), "");
    let variables = [("TIDINGS_STORE__PATH", copied.to_str().unwrap())];
    let (code, _, told) = doctor(&config, "store", &variables);
    assert_eq!(code, 1, "{told}");
    assert!(
        told.contains("holds 2 notifications, and the store is a copy"),
        "{told}"
    );
    let copy = Binary::dev(&copied);
    let (code, _, err) = send(&copy);
    assert_eq!(code, 1);
    assert!(err.contains("tidings recover"), "{err}");
    let (code, out, err) = run(program().args(["recover", "--complete", "--address", &copy.grpc]));
    assert_eq!((code, field(&out, "untouched")), (0, "0"), "{err}");
    let list = ["notifications", "list", "--address", &copy.grpc];
    let (code, out, err) = run(program().args(list));
    assert_eq!((code, out.lines().count()), (0, 2), "{err}");
}

fn send(gateway: &Binary) -> Ended {
    run(program().args([
        "send",
        "order.shipped",
        "--to",
        "ada@example.com",
        "--var",
        "order.number=4711",
        "--wait",
        "--address",
        &gateway.grpc,
    ]))
}
