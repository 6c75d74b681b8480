//! Texts that change while the gateway runs.

use std::fs::File;
use std::path::Path;
use std::time::Duration;

use tidings::catalog::Source;
use tidings::client::Client;
use tidings::config::Config;
use tidings::proto::{self, notification};

use crate::binary::Binary;
use crate::gateway::{Embedded, copy, folder};
use crate::mail_server::MailServer;
use crate::shop::{
    NOON, after, at, get, guest, message_id, place, post, reach, send, shipped, status, tries,
    until,
};
use crate::skip::root;

const SENT: (notification::State, &str) = (notification::State::Sent, "HANDED_OVER");
const TEXT: &str = "messages/order/shipped/i18n/en.ftl";
const OLD: &str = "has left our warehouse";

/// Changes the words of a file of the templates.
fn change(templates: &Path, file: &str, from: &str, to: &str) {
    let path = templates.join(file);
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(text.contains(from), "{from} in {file}");
    std::fs::write(path, text.replace(from, to)).unwrap();
}

/// Sends through a gateway of `dev`, and answers with the text that it captured.
async fn captured(client: &Client, data: &Path, id: &str) -> String {
    let name = send(client, id, shipped(id, guest("ada@example.com"))).await;
    let sent = reach(client, &name, SENT).await;
    let message = sent.messages[0].name.rsplit('/').next().unwrap();
    let file = data.join("outbox/email").join(format!("{message}.json"));
    std::fs::read_to_string(file).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_text_is_live_and_a_broken_one_is_told_and_not_used() {
    let folder = folder();
    let (templates, data, log) = (
        folder.path().join("templates"),
        folder.path().join("data"),
        folder.path().join("log"),
    );
    copy(&root().join("templates"), &templates);
    let arguments = [
        "dev",
        "--headless",
        "--port",
        "0",
        "--ui-port",
        "0",
        "--data",
        data.to_str().unwrap(),
        "--templates",
        templates.to_str().unwrap(),
    ];
    let binary = Binary::logging_to(File::create(&log).unwrap().into(), &arguments, &[]);
    let client = Client::connect(&binary.grpc).await.unwrap();
    let logged = |words: &str| {
        std::fs::read_to_string(&log)
            .unwrap()
            .matches(words)
            .count()
    };
    assert!(captured(&client, &data, "1").await.contains(OLD));

    change(&templates, TEXT, OLD, "is on the train");
    until("the change", || {
        logged("the changed templates are live") == 1
    })
    .await;
    assert!(
        captured(&client, &data, "2")
            .await
            .contains("is on the train")
    );

    let broken = "messages/order/shipped/email.txt.hbs";
    change(&templates, broken, "{{t 'closing'}}", "{{t 'closing'");
    until("the fault", || {
        logged("the changed templates are not used") == 1
    })
    .await;
    let text = std::fs::read_to_string(templates.join(broken)).unwrap();
    let line = 1 + text
        .lines()
        .position(|line| line == "{{t 'closing'")
        .unwrap();
    let told = std::fs::read_to_string(&log).unwrap();
    let place = told.lines().find(|line| line.contains(broken));
    let place = place.unwrap_or_else(|| panic!("{broken} is not named: {told}"));
    // The parser sees it where the braces should have ended, or on the line after.
    let near = [line, line + 1].map(|line| format!("{broken}:{line}"));
    assert!(near.iter().any(|near| place.contains(near)), "{place}");
    assert!(
        captured(&client, &data, "3")
            .await
            .contains("is on the train")
    );

    change(&templates, broken, "{{t 'closing'", "{{t 'closing'}}");
    change(&templates, TEXT, "is on the train", "is in the air");
    let mut number = 4;
    while !captured(&client, &data, &number.to_string())
        .await
        .contains("is in the air")
    {
        assert!(number < 100, "the mended templates are not live");
        number += 1;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(logged("the changed templates are not used"), 1, "told once");
    assert_eq!(binary.terminate(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_gets_the_new_text_and_what_was_tried_keeps_the_old() {
    let Some(server) = MailServer::start("plain") else {
        return;
    };
    let folder = folder();
    let templates = folder.path().join("templates");
    copy(&root().join("templates"), &templates);
    let mut config = Config::embedded(&folder.path().join("data"));
    config.catalog.reload = true;
    place(&mut config, vec![post(server.port)]);
    let source = Source::Folder(templates.clone());
    let gateway = Embedded::start_with(folder, config, source, at(NOON)).await;
    let client = &gateway.client;
    let tried = send(client, "r-1", shipped("1", guest("flaky@example.com"))).await;
    let mut later = shipped("2", guest("ada@example.com"));
    later.send_time = Some(proto::wire_time(after(at(NOON), 3_600_000)));
    let later = send(client, "r-2", later).await;
    gateway.settle().await;
    let waiting = get(client, &tried).await;
    assert_eq!(status(&waiting), (notification::State::Scheduled, "RETRY"));
    let old = waiting.template_revision;
    assert_eq!(get(client, &later).await.template_revision, "");

    change(&templates, TEXT, OLD, "is on the train");
    let mut number = 0;
    let new = loop {
        let id = format!("probe-{number}");
        let probe = send(client, &id, shipped(&id, guest("ada@example.com"))).await;
        gateway.settle().await;
        let revision = get(client, &probe).await.template_revision;
        if revision != old {
            break revision;
        }
        assert!(number < 100, "the change is not live");
        number += 1;
        tokio::time::sleep(Duration::from_millis(100)).await;
    };

    gateway.run_until(after(at(NOON), 3_601_000)).await;
    let mails = server.kept();
    for (name, revision, words, count) in
        [(&tried, &old, OLD, 2), (&later, &new, "is on the train", 1)]
    {
        let sent = get(client, name).await;
        assert_eq!(status(&sent), SENT);
        assert_eq!(
            (&sent.template_revision, tries(&sent).len()),
            (revision, count)
        );
        let id = message_id(&sent, 0);
        let texts = mails.iter().map(|mail| String::from_utf8_lossy(&mail.eml));
        let unfolded: Vec<_> = texts
            .filter(|text| text.contains(&id))
            .map(|text| text.replace("=\r\n", ""))
            .collect();
        assert_eq!(unfolded.len(), 1);
        assert!(
            unfolded[0].replace("\r\n", " ").contains(words),
            "{}",
            unfolded[0]
        );
    }
    gateway.stop().await;
}
