//! Intents from files and from the command line: what JSON can say and a notification cannot.

use tidings::proto::{RpcStatus, WireMessage as _};
use tonic::Status;
use tonic_types::StatusExt as _;

use crate::binary::Binary;
use crate::program::{program, run};

/// Each field with its rule, once the refusal has its shape: INVALID_ARGUMENT, one reason, a message that tells the first.
#[track_caller]
pub(crate) fn violations(status: &Status) -> Vec<(String, String)> {
    assert_eq!(status.code(), tonic::Code::InvalidArgument, "{status:?}");
    let wire = RpcStatus::decode(status.details()).unwrap();
    assert_eq!(wire.message, status.message());
    let details = status.get_error_details();
    assert_eq!(details.error_info().unwrap().domain, "tidings");
    let told: Vec<(String, String)> = details
        .bad_request()
        .unwrap()
        .field_violations
        .iter()
        .map(|violation| (violation.field.clone(), violation.description.clone()))
        .collect();
    let first = told.first().expect("no field is named");
    assert_eq!(status.message(), format!("{}: {}", first.0, first.1));
    told
}

/// Nested so deep, as JSON.
fn nested(levels: usize) -> String {
    format!(
        "{{\"extra\": {}{}}}",
        "[".repeat(levels - 1),
        "]".repeat(levels - 1)
    )
}

/// Rows 5 and 45, by the command line's own door.
#[test]
fn a_file_that_is_no_json_of_ours_is_refused_in_one_line() {
    let folder = tempfile::tempdir().unwrap();
    let binary = Binary::dev(&folder.path().join("data"));
    let file = folder.path().join("variables.json");
    let send = |content: &[u8]| {
        std::fs::write(&file, content).unwrap();
        run(program()
            .args([
                "send",
                "order.shipped",
                "--to",
                "ada@example.com",
                "--address",
                &binary.grpc,
                "--data",
            ])
            .arg(&file))
    };
    let (code, _, err) = send(br#"{"order": {"number": "4711"}}"#);
    assert_eq!(code, 0, "{err}");
    for (content, code, says) in [
        (nested(129).into_bytes(), 1, "recursion limit exceeded"),
        (
            nested(26).into_bytes(),
            1,
            "intent.variables: are nested too deep; at most 24 levels",
        ),
        (
            br#"{"order": {"number": 1e400}}"#.to_vec(),
            1,
            "number out of range",
        ),
        (br#"{"order": {"number": NaN}}"#.to_vec(), 1, "expected"),
        (
            br#"{"order": {"number": "\ud800"}}"#.to_vec(),
            1,
            "hex escape",
        ),
        (
            b"{\"order\": {\"number\": \"\xff\"}}".to_vec(),
            1,
            "invalid unicode",
        ),
        (b"[]".to_vec(), 1, "object"),
        (b"{\"order\": {\"number\": \"4711\"}".to_vec(), 1, "EOF"),
    ] {
        let shown = String::from_utf8_lossy(&content[..content.len().min(60)]).into_owned();
        let (ended, out, err) = send(&content);
        assert_eq!((ended, out.as_str()), (code, ""), "{shown}: {err}");
        assert!(
            err.starts_with("error: ") && err.contains(says),
            "{shown}: {err}"
        );
        assert!(!err.contains("panicked"), "{err}");
    }
    assert_eq!(binary.terminate(), Some(0));
}
