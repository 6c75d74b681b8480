//! What waits outlives the process, and a process that is asked to stop stops.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::SignedDuration;
use tidings::client::Client;
use tidings::domain::clock::{Clock as _, Stopwatch, SystemClock};
use tidings::proto::{self, notification};

use crate::binary::Binary;
use crate::gateway::folder;
use crate::mail_server::MailServer;
use crate::post_office::PostOffice;
use crate::shop::{file, guest, message_id, reach, send, shipped, tries, try_send};

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

#[tokio::test(flavor = "multi_thread")]
async fn a_process_under_load_ends_in_time_and_keeps_what_it_acknowledged() {
    let server = PostOffice::start(Duration::ZERO, false).await;
    let folder = folder();
    let config = file(folder.path(), server.port, "");
    let arguments = ["serve", "--config", config.to_str().unwrap()];
    let binary = Binary::start(&arguments, &[]);
    let client = Client::connect(&binary.grpc).await.unwrap();
    // Open, and never a byte of HTTP/2.
    let hanging = tokio::net::TcpStream::connect(&binary.grpc).await.unwrap();
    let mut calls = tokio::task::JoinSet::new();
    for caller in 0..16 {
        let client = client.clone();
        calls.spawn(async move {
            let mut accepted = Vec::new();
            for order in 0.. {
                let id = format!("{caller}-{order}");
                let intent = shipped(&id, guest("ada@example.com"));
                let Ok(answer) = try_send(&client, &id, intent).await else {
                    break;
                };
                accepted.push(answer.name);
            }
            accepted
        });
    }
    crate::shop::until("load", || server.mails().len() > 50).await;
    let asked = Stopwatch::start();
    let code = tokio::task::spawn_blocking(move || binary.terminate());
    assert_eq!(code.await.unwrap(), Some(0));
    // Four seconds to drain, one for tasks that hang; the rest is the machine's.
    let took = asked.elapsed();
    assert!(took < Duration::from_secs(8), "{took:?}");
    drop(hanging);
    let accepted: Vec<String> = calls.join_all().await.into_iter().flatten().collect();
    println!("{} acknowledged, ended in {took:?}", accepted.len());
    assert!(accepted.len() > 50);

    let binary = Binary::start(&arguments, &[]);
    let client = Client::connect(&binary.grpc).await.unwrap();
    let mut expected = Vec::new();
    for name in &accepted {
        let sent = reach(&client, name, SENT).await;
        expected.push(message_id(&sent, 0));
    }
    assert_eq!(binary.terminate(), Some(0));
    let mut mails: BTreeMap<String, usize> = BTreeMap::new();
    for id in server.message_ids() {
        *mails.entry(id).or_default() += 1;
    }
    for id in &expected {
        assert_eq!(mails.get(id), Some(&1), "{id}");
    }
}
