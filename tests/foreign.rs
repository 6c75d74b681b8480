//! A caller that shares no code with the gateway: Python's grpcio, by the example in `examples/send.py`, against the binary.

mod support {
    #[expect(dead_code, reason = "each test file uses its part of it")]
    pub(crate) mod binary;
    pub(crate) mod skip;
}

use std::process::{Command, Output};

use serde_json::Value;
use support::binary::Binary;
use support::skip::{root, tool};

/// Runs the example; `None` after saying that there is no Python.
fn example(address: &str, arguments: &[&str]) -> Option<(Option<i32>, Value)> {
    let Output {
        status,
        stdout,
        stderr,
    } = Command::new(tool(&["venv/bin/python"])?)
        .arg(root().join("examples/send.py"))
        .args([
            "order.shipped",
            "--address",
            address,
            "--request-id",
            "from-python",
        ])
        .args(arguments)
        .output()
        .unwrap();
    let answer = serde_json::from_slice(&stdout)
        .unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&stderr)));
    Some((status.code(), answer))
}

#[test]
fn the_python_example_is_accepted_replayed_and_refused() {
    let folder = tempfile::tempdir().unwrap();
    let binary = Binary::dev(folder.path());
    let good = ["--to", "ada@example.com", "--var", "order.number=4711"];
    let Some((code, first)) = example(&binary.grpc, &good) else {
        return;
    };
    assert_eq!(code, Some(0), "{first}");
    let name = first["notification"]["name"].as_str().unwrap();
    assert!(name.starts_with("notifications/"), "{first}");
    let (code, again) = example(&binary.grpc, &good).unwrap();
    assert_eq!((code, &again["replayed"]), (Some(0), &Value::Bool(true)));
    assert_eq!(again["notification"]["name"], name);

    for (arguments, code, reason, says) in [
        (
            ["--to", "ada@example.com", "--var", "order.number="],
            "INVALID_ARGUMENT",
            "VARIABLES_INVALID",
            "intent.variables/order/number",
        ),
        (
            ["--to", "ada@localhost", "--var", "order.number=1"],
            "INVALID_ARGUMENT",
            "FIELD_INVALID",
            "intent.inline_recipient.email_address",
        ),
        (
            ["--to", "nobody", "--var", "order.number=1"],
            "NOT_FOUND",
            "CUSTOMER_NOT_FOUND",
            "customer",
        ),
        (
            ["--to", "bea@example.com", "--var", "order.number=1"],
            "ALREADY_EXISTS",
            "REQUEST_ID_REUSED",
            name,
        ),
    ] {
        let (exit, answer) = example(&binary.grpc, &arguments).unwrap();
        let error = &answer["error"];
        assert_eq!(
            (exit, error["code"].as_str()),
            (Some(1), Some(code)),
            "{answer}"
        );
        assert!(error["message"].as_str().unwrap().contains(' '), "{answer}");
        let details = error["details"].as_array().unwrap();
        assert!(
            details
                .iter()
                .any(|detail| detail["reason"] == reason && detail["domain"] == "tidings"),
            "{answer}"
        );
        assert!(answer.to_string().contains(says), "{says}: {answer}");
    }
    assert_eq!(binary.terminate(), Some(0));
}

#[test]
fn the_python_example_says_when_nobody_answers() {
    // A port that was free a moment ago.
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    drop(taken);
    let to = ["--to", "ada@example.com", "--timeout", "5"];
    let Some((code, answer)) = example(&address, &to) else {
        return;
    };
    assert_eq!(code, Some(5), "{answer}");
    assert_eq!(answer["error"]["code"], "UNAVAILABLE", "{answer}");
}
