//! A process that dies between the final dot and its answer: nobody knows, and the category decides.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::json as value;
use tidings::catalog::Source;
use tidings::client::Client;
use tidings::config::Config;
use tidings::domain::clock::{Clock as _, SystemClock};
use tidings::proto::{self, notification};

use crate::binary::Binary;
use crate::gateway::{Embedded, copy, folder};
use crate::post_office::PostOffice;
use crate::program::{program, run};
use crate::shop::{
    after, customer, file, get, guest, intent, message_id, place, post, reach, send, shipped,
    status, to_customer, tries, until,
};
use crate::skip::root;

/// Takes the first mail and never says so; answers all others.
async fn withholding() -> PostOffice {
    PostOffice::start(Duration::ZERO, true).await
}

fn serve(config: &Path) -> Binary {
    Binary::start(&["serve", "--config", config.to_str().unwrap()], &[])
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transactional_mail_is_sent_again_under_the_same_id() {
    let server = withholding().await;
    let folder = folder();
    let config = file(folder.path(), server.port, "");
    let binary = serve(&config);
    let client = Client::connect(&binary.grpc).await.unwrap();
    let name = send(&client, "r-1", shipped("1", guest("ada@example.com"))).await;
    until("the first mail", || server.mails().len() == 1).await;
    let handing_over = get(&client, &name).await;
    assert_eq!(tries(&handing_over), [(1, String::new())], "it runs");
    binary.kill();

    let binary = serve(&config);
    let client = Client::connect(&binary.grpc).await.unwrap();
    let sent = reach(&client, &name, (notification::State::Sent, "HANDED_OVER")).await;
    assert_eq!(
        tries(&sent),
        [(1, "unknown".to_owned()), (2, "ok".to_owned())]
    );
    let id = message_id(&sent, 0);
    assert_eq!(server.message_ids(), [id.clone(), id]);
    assert_eq!(binary.terminate(), Some(0));
}

/// A gateway that died while it was handing over a relationship mail, in a shop where nobody is asleep: its settings, and the mail's name.
async fn died(server: &PostOffice, folder: &Path) -> (PathBuf, String) {
    // The binary runs on the system's clock, at whatever hour.
    let templates = folder.join("templates");
    copy(&root().join("templates"), &templates);
    let policy = templates.join("policy.toml");
    let text = std::fs::read_to_string(&policy).unwrap();
    let awake = text.replacen(
        "categories = [\"relationship\", \"marketing\"]",
        "categories = []",
        1,
    );
    assert_ne!(awake, text);
    std::fs::write(&policy, awake).unwrap();

    let more = format!("[catalog]\ntemplates = {templates:?}\n");
    let config = file(folder, server.port, &more);
    let binary = serve(&config);
    let client = Client::connect(&binary.grpc).await.unwrap();
    customer(&client, "ada", "ada@example.com").await;
    let check = intent(
        "satisfaction.check",
        to_customer("ada"),
        &value!({"order": {"number": "1"}, "happy_url": "https://shop.example/y", "unhappy_url": "https://shop.example/n"}),
    );
    let name = send(&client, "r-1", check).await;
    until("the mail", || server.mails().len() == 1).await;
    binary.kill();
    (config, name)
}

/// Through the program itself: what is held is listed, and an operator has it sent again.
#[tokio::test(flavor = "multi_thread")]
async fn an_operator_has_a_held_mail_sent_again() {
    let server = withholding().await;
    let folder = folder();
    let (config, name) = died(&server, folder.path()).await;
    let binary = serve(&config);
    let client = Client::connect(&binary.grpc).await.unwrap();
    let held = (notification::State::Sent, "PROVIDER_UNKNOWN");
    reach(&client, &name, held).await;
    let tidings = |arguments: &[&str]| {
        let mut command = program();
        command.args(arguments).args(["--address", &binary.grpc]);
        run(&mut command)
    };
    let id = name.rsplit('/').next().unwrap();
    let (code, listed, err) = tidings(&["unknown", "list"]);
    assert_eq!(code, 0, "{err}");
    let cells: Vec<_> = listed.trim_end().split('\t').collect();
    assert_eq!(cells[2], id, "{listed}");
    assert_eq!(
        cells[4..],
        ["satisfaction.check", "local", "email", "post", "1"]
    );
    assert!(!listed.contains("example.com"), "{listed}");

    let again = [
        "unknown",
        "resolve",
        id,
        "--as",
        "resend",
        "--reason",
        "not in their log",
    ];
    let (code, said, err) = tidings(&again);
    assert_eq!(code, 0, "{err}");
    assert!(said.contains("SCHEDULED (RETRY)"), "{said}");
    let sent = reach(&client, &name, (notification::State::Sent, "HANDED_OVER")).await;
    let message_id = message_id(&sent, 0);
    assert_eq!(server.message_ids(), [message_id.clone(), message_id]);

    let (code, _, err) = tidings(&again);
    assert_eq!(code, 1);
    assert!(
        err.contains("is not unknown: it is SENT (HANDED_OVER)"),
        "{err}"
    );
    let (_, told, _) = tidings(&["explain", id]);
    assert!(told.contains("local said at"), "{told}");
    assert!(
        told.contains("it is to be sent again: not in their log"),
        "{told}"
    );
    let (_, none, _) = tidings(&["unknown", "list"]);
    assert_eq!(none, "");
    assert_eq!(binary.terminate(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relationship_mail_is_held_and_ends_at_its_expiry() {
    let server = withholding().await;
    let folder = folder();
    let (_, name) = died(&server, folder.path()).await;
    let templates = folder.path().join("templates");

    let mut config = Config::embedded(&folder.path().join("data"));
    place(&mut config, vec![post(server.port)]);
    let gateway =
        Embedded::start_with(folder, config, Source::Folder(templates), SystemClock.now()).await;
    gateway.settle().await;
    let held = get(&gateway.client, &name).await;
    assert_eq!(
        status(&held),
        (notification::State::Sent, "PROVIDER_UNKNOWN")
    );
    assert_eq!(tries(&held), [(1, "unknown".to_owned())]);
    let expiry = proto::time(held.next_attempt_time.as_ref().unwrap()).unwrap();
    let life = expiry.duration_since(proto::time(held.create_time.as_ref().unwrap()).unwrap());
    assert_eq!(life.as_hours(), 5 * 24);

    gateway.run_until(after(expiry, -1_000)).await;
    assert_eq!(
        status(&get(&gateway.client, &name).await),
        (notification::State::Sent, "PROVIDER_UNKNOWN")
    );
    gateway.run_until(after(expiry, 1_000)).await;
    let ended = get(&gateway.client, &name).await;
    assert_eq!(
        status(&ended),
        (notification::State::Failed, "PROVIDER_UNKNOWN")
    );
    assert_eq!(tries(&ended).len(), 1);
    assert_eq!(server.mails().len(), 1, "it was sent again");
    gateway.stop().await;
}
