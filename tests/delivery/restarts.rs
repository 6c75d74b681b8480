//! What waits outlives the process. How it dies under load is in tests/faults.rs.

use jiff::SignedDuration;
use tidings::client::Client;
use tidings::domain::clock::{Clock as _, SystemClock};
use tidings::proto::{self, notification};

use crate::binary::Binary;
use crate::gateway::folder;
use crate::mail_server::MailServer;
use crate::shop::{file, guest, reach, send, shipped, tries};

const SENT: (notification::State, &str) = (notification::State::Sent, "HANDED_OVER");

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_fires_after_a_kill_once() {
    let Some(server) = MailServer::start("plain") else {
        return;
    };
    let folder = folder();
    let config = file(folder.path(), server.port, "");
    let arguments = ["serve", "--config", config.to_str().unwrap()];
    let binary = Binary::start(&arguments, &[]);
    let client = Client::connect(&binary.grpc).await.unwrap();
    let due = SystemClock.now() + SignedDuration::from_secs(3);
    let mut intent = shipped("later", guest("ada@example.com"));
    intent.send_time = Some(proto::wire_time(due));
    let later = send(&client, "r-1", intent).await;
    let retry = send(&client, "r-2", shipped("retry", guest("flaky@example.com"))).await;
    reach(
        &client,
        &later,
        (notification::State::Scheduled, "SEND_TIME"),
    )
    .await;
    reach(&client, &retry, (notification::State::Scheduled, "RETRY")).await;
    assert!(
        SystemClock.now() < due,
        "the machine is too slow for this test"
    );
    binary.kill();
    assert!(server.kept().is_empty());

    let binary = Binary::start(&arguments, &[]);
    let client = Client::connect(&binary.grpc).await.unwrap();
    let sent = reach(&client, &later, SENT).await;
    let began = proto::time(sent.messages[0].attempts[0].start_time.as_ref().unwrap()).unwrap();
    assert!(began >= due, "{began} is before {due}");
    assert_eq!(tries(&sent), [(1, "ok".to_owned())]);
    let sent = reach(&client, &retry, SENT).await;
    let expected = [(1, "transient".to_owned()), (2, "ok".to_owned())];
    assert_eq!(tries(&sent), expected);
    assert_eq!(binary.terminate(), Some(0));
    assert_eq!(server.kept().len(), 2);
}
