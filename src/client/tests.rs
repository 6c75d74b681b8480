//! What a person is told when a call fails.

use tonic_types::ErrorDetails;

use super::*;

fn refused() -> Status {
    let mut details = ErrorDetails::with_error_info(
        "REQUEST_ID_REUSED",
        "tidings",
        std::collections::HashMap::from([("name".to_owned(), "notifications/1".to_owned())]),
    );
    details.add_bad_request_violation("request_id", "was used for another intent");
    details.set_retry_info(Some(Duration::from_secs(30)));
    Status::with_error_details(Code::AlreadyExists, "the id was used before", details)
}

#[test]
fn a_refusal_is_told_with_its_fields_and_facts() {
    let error = ClientError::from(refused());
    assert_eq!(error.exit_code(), 1);
    assert_eq!(
        error.lines(),
        [
            "REQUEST_ID_REUSED: the id was used before",
            "  request_id: was used for another intent",
            "  name = notifications/1",
            "  try again in 30 s",
        ]
    );
}

#[test]
fn an_item_of_a_batch_is_told_the_same_way() {
    use prost::Message as _;
    let wire = crate::proto::RpcStatus::decode(refused().details()).unwrap();
    assert_eq!(Refusal::of_item(&wire), Refusal::of(&refused()));
}

#[test]
fn a_service_that_is_busy_is_not_unreachable() {
    let details =
        ErrorDetails::with_error_info("OVERLOADED", "tidings", std::collections::HashMap::new());
    let busy = Status::with_error_details(Code::Unavailable, "too much", details);
    assert_eq!(ClientError::from(busy).exit_code(), 1);
    assert_eq!(
        ClientError::from(Status::unavailable("broken pipe")).exit_code(),
        5
    );
    assert_eq!(
        ClientError::from(Status::out_of_range("message too large")).lines(),
        ["OutOfRange: message too large"]
    );
}

#[tokio::test]
async fn where_nobody_listens_nobody_answers() {
    // A port that was free a moment ago.
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    for address in [
        format!("127.0.0.1:{port}"),
        format!("http://127.0.0.1:{port}"),
        "https://127.0.0.1:1".to_owned(),
        "not an address".to_owned(),
        String::new(),
    ] {
        let error = Client::connect(&address).await.unwrap_err();
        assert_eq!(error.exit_code(), 5, "{address}");
        assert!(error.to_string().contains(&address), "{error}");
    }
}
