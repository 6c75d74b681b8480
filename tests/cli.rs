//! The program itself, where no gateway is needed: exit codes, error texts, pipes.

#![expect(clippy::unwrap_used, reason = "a test says what it expects by failing")]

use std::io::Read as _;
use std::net::TcpListener;
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;

/// The program with nothing of ours in its environment.
fn tidings() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tidings"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("TIDINGS_") {
            command.env_remove(name);
        }
    }
    command.stdin(Stdio::null());
    command
}

fn run(arguments: &[&str]) -> Output {
    tidings().args(arguments).output().unwrap()
}

fn code(output: &Output) -> i32 {
    output.status.code().unwrap()
}

fn errors(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// An address that nobody listens on: bound once and let go.
fn nobody() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().to_string()
}

#[test]
fn a_wrong_call_ends_with_2_and_help_and_version_with_0() {
    for arguments in [
        &["fly"][..],
        &["send"],
        &["send", "order.shipped"],
        &["demo", "--speed", "fast"],
        &[],
    ] {
        let output = run(arguments);
        assert_eq!(code(&output), 2, "{arguments:?}");
        assert!(
            output.stdout.is_empty(),
            "{arguments:?}: errors go to standard error"
        );
    }
    for arguments in [
        &["--help"][..],
        &["--version"],
        &["send", "--help"],
        &["customers", "upsert", "--help"],
    ] {
        let output = run(arguments);
        assert_eq!(code(&output), 0, "{arguments:?}");
        assert!(!output.stdout.is_empty(), "{arguments:?}");
    }
    let version = run(&["--version"]);
    assert_eq!(
        String::from_utf8(version.stdout).unwrap().trim(),
        concat!("tidings ", env!("CARGO_PKG_VERSION"))
    );
}

#[test]
fn every_command_that_finds_no_gateway_ends_with_5_and_says_what_to_do() {
    let address = nobody();
    let folder = TempDir::new().unwrap();
    let lines = folder.path().join("lines.jsonl");
    std::fs::write(&lines, "{}\n").unwrap();
    let lines = lines.to_str().unwrap();
    for arguments in [
        &["send", "order.shipped", "--to", "c-1"][..],
        &["send", "--file", lines],
        &["explain", "0192f600-0000-7000-8000-000000000000"],
        &["explain", "--template", "t", "--to", "c"],
        &["tail"],
        &["notifications", "list"],
        &["notifications", "view", "x"],
        &["notifications", "cancel", "--key", "k"],
        &["customers", "view", "c-1"],
        &["customers", "import", lines],
        &["customers", "preferences", "c-1"],
        &["customers", "erase", "c-1", "--yes"],
        &["templates", "list", "--json"],
        &["templates", "render", "t"],
    ] {
        let output = tidings()
            .args(arguments)
            .args(["--address", &address])
            .output()
            .unwrap();
        assert_eq!(code(&output), 5, "{arguments:?}: {}", errors(&output));
        let text = errors(&output);
        assert!(
            text.starts_with(&format!("error: no gateway answers at {address}")),
            "{text}"
        );
        assert_eq!(
            text.lines().count(),
            2,
            "one line what, one line what to do: {text}"
        );
        assert!(output.stdout.is_empty());
    }
    let output = tidings()
        .arg("tail")
        .env("TIDINGS_ADDRESS", &address)
        .output()
        .unwrap();
    assert_eq!(code(&output), 5);
}

#[test]
fn a_peer_that_speaks_something_else_is_no_gateway() {
    use std::io::Write as _;
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let peer = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let _ = stream.write_all(b"220 mail.example ESMTP\r\n");
        let _ = stream.read(&mut [0; 64]);
    });
    let output = tidings()
        .args(["notifications", "list", "--address", &address])
        .output()
        .unwrap();
    peer.join().unwrap();
    assert_ne!(code(&output), 0);
    assert!(
        errors(&output).starts_with("error: "),
        "{}",
        errors(&output)
    );
    assert!(!errors(&output).contains("panicked"));
}

#[test]
fn what_is_wrong_before_the_call_is_told_without_one() {
    let folder = TempDir::new().unwrap();
    let array = folder.path().join("array.json");
    std::fs::write(&array, "[1]").unwrap();
    let absent = folder.path().join("absent.json");
    let (array, absent) = (array.to_str().unwrap(), absent.to_str().unwrap());
    let send = ["send", "order.shipped", "--to", "c-1"];
    for (more, want_code, want) in [
        (&["--data", array][..], 1, "is JSON, but no object"),
        (&["--data", absent], 1, "cannot be read"),
        (&["--attach", absent], 1, "cannot be read"),
        (&["--data", "/dev/zero"], 1, "is larger than"),
        (&["--var", "plain"], 2, "has no ="),
        (&["--var", "n:={"], 2, "is not JSON"),
        (
            &["--address", "not an address"],
            5,
            "not an address; give host:port",
        ),
    ] {
        let output = tidings().args(send).args(more).output().unwrap();
        assert_eq!(code(&output), want_code, "{more:?}: {}", errors(&output));
        assert!(
            errors(&output).contains(want),
            "{more:?}: {}",
            errors(&output)
        );
    }
    let output = run(&["customers", "erase", "c-1"]);
    assert_eq!(code(&output), 2);
    assert!(errors(&output).contains("--yes"));
    let output = run(&["send", "--file", absent]);
    assert_eq!(code(&output), 1, "{}", errors(&output));
}

#[test]
fn completions_are_printed_and_a_closed_pipe_ends_quietly() {
    let output = run(&["completions", "bash"]);
    assert_eq!(code(&output), 0);
    assert!(
        String::from_utf8(output.stdout)
            .unwrap()
            .contains("complete -F _tidings")
    );

    // Nobody reads: the other end is closed before the program starts.
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let output = tidings()
        .args(["completions", "zsh"])
        .stdout(writer)
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
        .wait_with_output()
        .unwrap();
    assert_eq!(errors(&output), "");
    assert_eq!(code(&output), 0);
}

#[test]
fn a_bad_configuration_ends_with_64_and_a_line_for_each_fault() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("tidings.toml");
    std::fs::write(&file, "[server]\ndrian = \"1s\"\nreflection = 3\n").unwrap();
    for command in ["serve", "doctor"] {
        let output = tidings()
            .arg(command)
            .arg("--config")
            .arg(&file)
            .output()
            .unwrap();
        assert_eq!(code(&output), 64, "{command}: {}", errors(&output));
        // What doctor finds is what it was asked for; a start that fails is an error.
        let text = if command == "doctor" {
            String::from_utf8(output.stdout.clone()).unwrap()
        } else {
            errors(&output)
        };
        assert!(
            text.contains("tidings.toml:2: server.drian")
                && text.contains("tidings.toml:3: server.reflection"),
            "{text}"
        );
    }
    let output = tidings()
        .arg("serve")
        .env("TIDINGS_SERVER__DRIAN", "1s")
        .output()
        .unwrap();
    assert_eq!(code(&output), 64, "{}", errors(&output));
    let output = tidings()
        .arg("serve")
        .env("TIDINGS_CONFIG", "/nowhere/tidings.toml")
        .output()
        .unwrap();
    assert_eq!(code(&output), 64, "{}", errors(&output));
}
