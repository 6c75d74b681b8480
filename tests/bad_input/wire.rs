//! Requests with wrong values and bytes that are no request, sent by Python's grpcio (tests/servers/hostile_caller.py) to the
//! binary. After each, the same connection and a new one serve a good call; the log holds no panic.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::binary::Binary;
use crate::skip::{root, tool};

/// The binary on a folder of its own, with its log in a file.
pub(crate) fn logged(folder: &Path) -> Binary {
    let log = File::create(folder.join("log")).unwrap();
    let data = folder.join("data");
    let arguments = [
        "dev",
        "--headless",
        "--port",
        "0",
        "--ui-port",
        "0",
        "--data",
    ];
    let arguments = [&arguments[..], &[data.to_str().unwrap()]].concat();
    Binary::logging_to(Stdio::from(log), &arguments, &[])
}

/// What the log says, once it is known to hold no panic.
#[track_caller]
pub(crate) fn calm_log(folder: &Path) -> String {
    let log = std::fs::read_to_string(folder.join("log")).unwrap();
    assert!(!log.contains("panicked"), "{log}");
    log
}

/// All answers by case; `None` after saying that there is no Python.
fn answers(address: &str) -> Option<BTreeMap<String, Value>> {
    let output = Command::new(tool(&["venv/bin/python"])?)
        .arg(root().join("tests/servers/hostile_caller.py"))
        .arg(address)
        .output()
        .unwrap();
    let told = String::from_utf8(output.stdout).unwrap();
    let fault = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{told}\n{fault}");
    let line = |line: &str| {
        let answer: Value = serde_json::from_str(line).unwrap();
        (answer["case"].as_str().unwrap().to_owned(), answer)
    };
    Some(told.lines().map(line).collect())
}

/// Case, code, and what its sentence says; these carry no details, for no service has seen them.
const UNREADABLE: [(&str, &str, &str); 16] = [
    (
        "over_the_limit",
        "OUT_OF_RANGE",
        "the limit is: 4194304 bytes",
    ),
    ("cut_short", "INTERNAL", "buffer underflow"),
    ("wrong_wire_type", "INTERNAL", "invalid wire type"),
    ("group_for_a_message", "INTERNAL", "invalid wire type"),
    ("group_without_end", "INTERNAL", "invalid varint"),
    (
        "group_end_without_begin",
        "INTERNAL",
        "unexpected end group tag",
    ),
    ("length_past_the_end", "INTERNAL", "buffer underflow"),
    ("endless_number", "INTERNAL", "invalid varint"),
    ("field_zero", "INTERNAL", "invalid tag value: 0"),
    ("random_bytes", "INTERNAL", "failed to decode"),
    ("nested_101", "INTERNAL", "recursion limit reached"),
    ("nested_5000", "INTERNAL", "recursion limit reached"),
    (
        "no_utf8_reference",
        "INTERNAL",
        "NotificationIntent.reference",
    ),
    (
        "no_utf8_address",
        "INTERNAL",
        "InlineRecipient.email_address",
    ),
    ("no_utf8_variable", "INTERNAL", "not UTF-8"),
    ("lone_surrogate", "INTERNAL", "not UTF-8"),
];

/// Case, reason, field, and the rule in its words; all are INVALID_ARGUMENT.
const REFUSED: [(&str, &str, &str, &str); 27] = [
    ("empty", "FIELD_INVALID", "intent", "say what to send"),
    (
        "batch_501",
        "BATCH_SIZE_INVALID",
        "requests",
        "1 to 500 requests, this one has 501",
    ),
    (
        "batch_0",
        "BATCH_SIZE_INVALID",
        "requests",
        "1 to 500 requests, this one has 0",
    ),
    (
        "id_empty",
        "FIELD_INVALID",
        "request_id",
        "is required: give 1 to 128 characters",
    ),
    (
        "id_129",
        "FIELD_INVALID",
        "request_id",
        "has 129 characters, at most 128",
    ),
    (
        "id_nul",
        "FIELD_INVALID",
        "request_id",
        "U+0000, character 2",
    ),
    (
        "id_line_break",
        "FIELD_INVALID",
        "request_id",
        "U+000A, character 2",
    ),
    (
        "send_time_1970",
        "SEND_TIME_INVALID",
        "intent.send_time",
        "leave it out to send now",
    ),
    (
        "send_time_year_9999",
        "SEND_TIME_INVALID",
        "intent.send_time",
        "9999-12-30",
    ),
    (
        "send_time_year_10000",
        "SEND_TIME_INVALID",
        "intent.send_time",
        "9999-12-30",
    ),
    (
        "send_time_before_year_1",
        "SEND_TIME_INVALID",
        "intent.send_time",
        "5 minutes in the past",
    ),
    (
        "send_time_far",
        "SEND_TIME_INVALID",
        "intent.send_time",
        "out of range",
    ),
    (
        "send_time_nanos",
        "SEND_TIME_INVALID",
        "intent.send_time",
        "between 0 and 999999999",
    ),
    (
        "send_time_negative_nanos",
        "SEND_TIME_INVALID",
        "intent.send_time",
        "between 0 and 999999999",
    ),
    (
        "expires_before_it_is_sent",
        "SEND_TIME_INVALID",
        "intent.expire_time",
        "after send_time",
    ),
    (
        "zone_mars",
        "FIELD_INVALID",
        "intent.inline_recipient.time_zone",
        "IANA name such as",
    ),
    (
        "zone_path",
        "FIELD_INVALID",
        "intent.inline_recipient.time_zone",
        "IANA name such as",
    ),
    (
        "locale_300",
        "LOCALE_INVALID",
        "intent.locale",
        "at most 35 characters",
    ),
    (
        "locale_underscore",
        "LOCALE_INVALID",
        "intent.locale",
        "such as pt-BR",
    ),
    (
        "channel_9999",
        "FIELD_INVALID",
        "intent.routing.channels[0]",
        "name CHANNEL_EMAIL",
    ),
    (
        "channel_unset",
        "FIELD_INVALID",
        "intent.routing.channels[0]",
        "name CHANNEL_EMAIL",
    ),
    (
        "method_9999",
        "FIELD_INVALID",
        "intent.routing.method",
        "METHOD_FIRST or METHOD_ALL",
    ),
    (
        "number_nan",
        "VARIABLES_INVALID",
        "intent.variables/order/number",
        "send a finite number",
    ),
    (
        "number_infinite",
        "VARIABLES_INVALID",
        "intent.variables/order/number",
        "send a finite number",
    ),
    (
        "value_without_kind",
        "VARIABLES_INVALID",
        "intent.variables/order/number",
        "null_value",
    ),
    (
        "number_of_huge_text",
        "VARIABLES_INVALID",
        "intent.variables",
        "at most 131072",
    ),
    (
        "variables_25_levels",
        "VARIABLES_INVALID",
        "intent.variables",
        "at most 24 levels",
    ),
];

/// What is right however odd it looks.
const TAKEN: [&str; 5] = [
    "zone_empty",
    "locale_unknown",
    "gzip",
    "id_first_use",
    "id_of_a_hundred",
];

/// Rows 1, 4 to 15 and 45.
#[test]
fn a_foreign_caller_is_told_what_is_wrong_and_is_served_again() {
    let folder = tempfile::tempdir().unwrap();
    let binary = logged(folder.path());
    let Some(mut answers) = answers(&binary.grpc) else {
        return;
    };
    let mut told = |case: &str, code: &str| {
        let answer = answers.remove(case);
        let answer = answer.unwrap_or_else(|| panic!("{case} was not sent"));
        assert_eq!(answer["code"], code, "{answer}");
        assert_eq!(
            (&answer["same"], &answer["fresh"]),
            (&"OK".into(), &"OK".into()),
            "{answer}"
        );
        answer
    };
    for (case, code, says) in UNREADABLE {
        let answer = told(case, code);
        assert!(
            answer["message"].as_str().unwrap().contains(says),
            "{answer}"
        );
        assert_eq!(answer["reason"], "", "{answer}");
    }
    for (case, reason, field, says) in REFUSED {
        let answer = told(case, "INVALID_ARGUMENT");
        assert_eq!(answer["reason"], reason, "{answer}");
        assert_eq!(answer["fields"][0][0], field, "{answer}");
        assert!(
            answer["fields"][0][1].as_str().unwrap().contains(says),
            "{answer}"
        );
    }
    for case in TAKEN {
        let answer = told(case, "OK");
        if case == "id_of_a_hundred" {
            assert_eq!(
                answer["facts"],
                serde_json::json!({"names": "1", "first": "1"})
            );
        }
    }
    let reused = told("id_reused", "ALREADY_EXISTS");
    assert_eq!(reused["reason"], "REQUEST_ID_REUSED");
    let first = reused["facts"]["first"].as_str().unwrap();
    assert!(first.starts_with("notifications/"), "{reused}");
    assert!(answers.is_empty(), "sent and not looked at: {answers:?}");
    assert_eq!(binary.terminate(), Some(0));
    calm_log(folder.path());
}
