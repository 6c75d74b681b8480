//! Settings that cannot be, given to the program itself: it ends with a code and one clear line, before it opens anything, and
//! shows no secret.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::binary::Binary;
use crate::program::{program, run};
use crate::skip::skip;

const SECRET: &str = "c4n4ry-s3cret";

/// A configuration of free ports and a data folder, with `more` from its sixth line on.
fn configured(folder: &Path, more: &str) -> PathBuf {
    let file = folder.join("tidings.toml");
    let data = folder.join("data");
    let text = format!(
        "[server]\ngrpc_address = \"127.0.0.1:0\"\nconsole_address = \"127.0.0.1:0\"\n[store]\npath = {data:?}\n{more}\n"
    );
    fs::write(&file, text).unwrap();
    file
}

fn serve(config: &Path) -> Command {
    let mut command = program();
    command.args(["serve", "--config"]).arg(config);
    command
}

/// The start ends with `code` and one line that holds `words`; nothing of the secret is shown and nothing was made.
#[track_caller]
fn fails(code: i32, words: &str, command: &mut Command) {
    let (ended, out, err) = run(command);
    assert_eq!(ended, code, "{err}");
    assert!(
        err.starts_with("error: ") && err.contains(words),
        "{words}: {err}"
    );
    assert_eq!((err.lines().count(), out.as_str()), (1, ""), "{err}");
    assert!(!err.contains(SECRET) && !err.contains("panicked"), "{err}");
}

/// Row 63.
#[test]
fn a_file_that_is_not_understood_is_refused_with_its_line() {
    let folder = tempfile::tempdir().unwrap();
    for (more, words) in [
        (
            "max_sizes = \"1GiB\"",
            "tidings.toml:6: store.max_sizes: no such setting; did you mean store.max_size?",
        ),
        (
            "[sever]\ndrain = \"1s\"",
            "tidings.toml:7: sever.drain: no such setting; did you mean server.drain?",
        ),
        (
            "[queue]\nwindow = \"many\"",
            "tidings.toml:7: queue.window: is \"many\"; give a whole number",
        ),
        (
            "[queue]\nwindow = 1.5",
            "tidings.toml:7: queue.window: is 1.5; give a whole number",
        ),
        (
            "[queue]\nwindow = 1\nwindow = 2",
            "tidings.toml:8: not readable as TOML: duplicate key",
        ),
        (
            "[queue]\n\twindow: 3",
            "tidings.toml:7: not readable as TOML",
        ),
        (
            "queue:\n\twindow: 3",
            "tidings.toml:6: not readable as TOML",
        ),
        (
            "[telemetry]\nlog = \"a\\u0000b\"",
            "tidings.toml:7: telemetry.log",
        ),
    ] {
        fails(64, words, &mut serve(&configured(folder.path(), more)));
    }
    fs::write(folder.path().join("latin1.toml"), b"# caf\xe9\n").unwrap();
    fails(
        64,
        "is not UTF-8",
        &mut serve(&folder.path().join("latin1.toml")),
    );
    fails(
        64,
        "absent.toml cannot be read",
        &mut serve(&folder.path().join("absent.toml")),
    );
    assert!(!folder.path().join("data").exists());
}

/// Row 64.
#[test]
fn a_duration_that_is_none_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    for bad in [
        "\"-1s\"",
        "\"0s\"",
        "\"1e9d\"",
        "\"99999999999d\"",
        "\"1 month\"",
        "\"\"",
        "\"5\"",
        "3",
        "[]",
        "\"11m\"",
    ] {
        let file = folder.path().join("tidings.toml");
        fs::write(&file, format!("[server]\n# how long\ndrain = {bad}\n")).unwrap();
        let words = "tidings.toml:3: server.drain: is ";
        fails(64, words, &mut serve(&file));
        fails(
            64,
            "give a duration with a unit from 1s to 10m, such as \"5m\"",
            &mut serve(&file),
        );
    }
}

/// Row 65.
#[test]
fn a_secret_is_read_from_a_private_file_and_never_shown() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    let config = configured(
        folder.path(),
        &format!("[providers.discord.main]\ntoken_file = {file:?}"),
    );
    let place = "tidings.toml:7: providers.discord.main.token_file: ";
    let says = |words: &str| {
        fails(
            64,
            &format!("{place}{}{words}", file.display()),
            &mut serve(&config),
        );
    };
    says(" cannot be read: No such file");
    for (content, mode, words) in [
        ("", 0o600, " is empty; write the secret into it"),
        ("\n \n", 0o600, " is empty; write the secret into it"),
        (
            SECRET,
            0o604,
            " is open to everybody on this machine (mode 604); run: chmod 600",
        ),
        (
            &format!("{SECRET}\n{SECRET}\n"),
            0o600,
            " holds more than one line",
        ),
        (
            &format!("{SECRET}\u{0}"),
            0o600,
            " holds more than one line or a control character",
        ),
        (&SECRET.repeat(2000), 0o600, " is larger than 16384 bytes"),
    ] {
        fs::write(&file, content).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
        says(words);
    }
    // With the line break that every editor leaves it is good, and no word of it is told at the most talkative.
    fs::write(&file, format!("{SECRET}\r\n")).unwrap();
    let log = folder.path().join("log");
    let stderr = fs::File::create(&log).unwrap().into();
    let arguments = ["serve", "--config", config.to_str().unwrap()];
    let binary = Binary::logging_to(stderr, &arguments, &[("TIDINGS_TELEMETRY__LOG", "trace")]);
    let (_, out, err) = run(program()
        .args(["doctor", "--json", "--config"])
        .arg(&config));
    assert!(!out.contains(SECRET) && !err.contains(SECRET), "{out}{err}");
    assert_eq!(binary.terminate(), Some(0));
    let log = fs::read_to_string(log).unwrap();
    assert!(!log.contains(SECRET), "{log}");
}

/// Row 66: what `tests/start.rs` does not have: a file system that takes no writing, and a clock that was never set.
#[test]
fn a_machine_that_cannot_carry_it_is_told_in_one_line() {
    let folder = tempfile::tempdir().unwrap();
    let config = configured(folder.path(), "");
    let mut command = serve(&config);
    fails(
        1,
        "choose one that this user can write",
        command.env("TIDINGS_STORE__PATH", "/proc/tidings"),
    );

    let Some(library) = stopped_clock(folder.path()) else {
        return;
    };
    let words = "the clock says 1970-01-01T00:16:40Z, before 2020";
    fails(1, words, serve(&config).env("LD_PRELOAD", library));
    assert!(!folder.path().join("data").exists());
}

/// A library that makes it 1970 for the program that is started with it.
fn stopped_clock(folder: &Path) -> Option<PathBuf> {
    let (source, library) = (folder.join("clock.c"), folder.join("clock.so"));
    let code = "#define _GNU_SOURCE\n#include <time.h>\n#include <unistd.h>\n#include <sys/syscall.h>\n\
        int clock_gettime(clockid_t id, struct timespec *t) {\n\
        if (id == CLOCK_REALTIME) { t->tv_sec = 1000; t->tv_nsec = 0; return 0; }\n\
        return syscall(SYS_clock_gettime, id, t);\n}\n";
    fs::write(&source, code).unwrap();
    let compiled = Command::new("cc")
        .args(["-shared", "-fPIC", "-o"])
        .args([&library, &source])
        .status();
    match compiled {
        Ok(status) if status.success() => Some(library),
        _ => {
            skip("cc cannot make a shared library");
            None
        }
    }
}

/// Row 67.
#[test]
fn a_variable_that_is_no_setting_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let config = configured(folder.path(), "");
    for (name, words) in [
        (
            "TIDINGS_SERVER__DRIAN",
            "TIDINGS_SERVER__DRIAN: no such setting; did you mean TIDINGS_SERVER__DRAIN?",
        ),
        (
            "TIDINGS_SERVER_DRAIN",
            "did you mean TIDINGS_SERVER__DRAIN?",
        ),
        ("TIDINGS_XYZZY", "TIDINGS_SECTION__KEY"),
    ] {
        fails(64, words, serve(&config).env(name, SECRET));
    }
    let wrong = "TIDINGS_QUEUE__WINDOW: is \"none\"; give a whole number from 1 to 1000000";
    fails(
        64,
        wrong,
        serve(&config).env("TIDINGS_QUEUE__WINDOW", "none"),
    );
}

/// Row 68, the authorities of a mail server; those of callers and the gateway's own files are in `tests/identity/starts.rs`.
#[test]
fn authorities_that_are_none_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ca.pem");
    let more = format!("[providers.smtp.main]\nhost = \"127.0.0.1\"\nca_file = {file:?}");
    let config = configured(folder.path(), &more);
    fails(
        64,
        "ca.pem cannot be read: No such file",
        &mut serve(&config),
    );
    for (content, words) in [
        (
            String::new(),
            "has no certificate in it; give the authority's in PEM",
        ),
        (
            SECRET.to_owned(),
            "has no certificate in it; give the authority's in PEM",
        ),
        (
            format!("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n# {SECRET}\n"),
            "has no certificate in it; give the authority's in PEM",
        ),
        (
            "-----BEGIN CERTIFICATE-----\n!!\n-----END CERTIFICATE-----\n".to_owned(),
            "ca_file",
        ),
        (
            "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n".to_owned(),
            "ca_file",
        ),
    ] {
        fs::write(&file, content).unwrap();
        fails(64, words, &mut serve(&config));
    }
    // What the gateway shows itself has a section of its own.
    for key in ["cert_file", "key_file", "tls"] {
        let config = configured(folder.path(), &format!("[server]\n{key} = \"x\""));
        let (code, _, err) = run(&mut serve(&config));
        assert_eq!(code, 64, "{err}");
    }
}

/// Row 69.
#[tokio::test(flavor = "multi_thread")]
async fn data_of_a_newer_version_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    assert_eq!(Binary::dev(&data).terminate(), Some(0));
    let file = data.join("tidings.db");
    let connection = rusqlite::Connection::open(&file).unwrap();
    connection
        .pragma_update(None, "user_version", 9999)
        .unwrap();
    connection.close().unwrap();
    let before = fs::read(&file).unwrap();
    let config = configured(folder.path(), "");
    fails(1, "newer version", &mut serve(&config));
    assert!(
        fs::read(&file).unwrap() == before,
        "it was changed all the same"
    );
}
