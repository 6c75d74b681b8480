//! The inbox through the door.

use super::*;

#[tokio::test]
async fn a_mail_is_a_document_that_can_do_nothing() {
    let desk = Desk::open(|_| {}).await;
    let id = desk.ids.message(samples::start());
    let mail = samples::mail(id, 0, HOSTILE, samples::MAIL_HTML);
    desk.inbox.0.lock().unwrap().push(mail);

    let html = desk.get(&format!("/api/inbox/{id}/html")).await;
    let policy = html.header("content-security-policy");
    assert!(policy.starts_with("sandbox "), "{policy}");
    assert!(policy.contains("default-src 'none'"), "{policy}");
    for allowed in ["allow-scripts", "allow-same-origin", "allow-forms", "http"] {
        assert!(!policy.contains(allowed), "{policy}");
    }
    assert_eq!(html.header("x-frame-options"), "SAMEORIGIN");
    assert!(html.text().contains("Thank you, Ada"));

    let item = desk.get(&format!("/api/inbox/{id}")).await;
    assert_eq!(item.header("content-type"), "application/json");
    assert_eq!(item.json()["content"]["subject"], HOSTILE);
    let headers = item.json()["headers"].clone();
    let folded = headers
        .as_array()
        .unwrap()
        .iter()
        .find(|it| it["name"] == "X-Long");
    assert_eq!(folded.unwrap()["value"], "one two");

    let source = desk.get(&format!("/api/inbox/{id}/source")).await;
    assert_eq!(source.header("content-type"), "text/plain; charset=utf-8");
    assert!(source.text().starts_with("Message-ID: <"));
}

#[tokio::test]
async fn an_attachment_is_saved_and_not_shown() {
    let desk = Desk::open(|_| {}).await;
    let id = desk.ids.message(samples::start());
    let mut mail = samples::mail(id, 0, "s", "");
    mail.0.attachments[0].filename = "a\"\r\nX-Evil: 1.html".into();
    mail.0.attachments[0].media_type = "text/html".into();
    desk.inbox.0.lock().unwrap().push(mail);
    let answer = desk.get(&format!("/api/inbox/{id}/attachments/0")).await;
    assert_eq!(answer.body, b"%PDF-1.7");
    assert!(
        answer
            .header("content-disposition")
            .starts_with("attachment; ")
    );
    assert!(
        answer
            .header("content-security-policy")
            .starts_with("sandbox;")
    );
    assert_eq!(answer.header("x-content-type-options"), "nosniff");
    assert!(!answer.head.contains("\nX-Evil"));
    for index in ["1", "-1", "99999999999999999999", "x"] {
        let path = format!("/api/inbox/{id}/attachments/{index}");
        assert_eq!(desk.get(&path).await.status, 404, "{index}");
    }
}

#[tokio::test]
async fn the_inbox_is_listed_by_channel_and_leads_to_its_notification() {
    let desk = Desk::open(|_| {}).await;
    let record = samples::record(&desk.ids, 0, "delivery.shipped", "c-42", Reason::HandedOver);
    let ok = [(AttemptResult::Ok, "taken")];
    let record = samples::with_message(&desk.ids, record, Channel::Sms, MessageState::Sent, &ok);
    let message = record.messages[0].id;
    let notification = record.notification.id;
    desk.store.records.lock().unwrap().push(record);
    let emoji = "🎂".repeat(40);
    let mut sms = samples::sms(message, 2, &emoji);
    sms.0.summary.notification = notification;
    desk.inbox.0.lock().unwrap().push(sms);
    let other = desk.ids.message(samples::start());
    desk.inbox
        .0
        .lock()
        .unwrap()
        .push(samples::chat(other, 1, "**hello**"));

    let all = desk.get("/api/inbox").await.json();
    assert_eq!(all["items"].as_array().unwrap().len(), 2);
    let sms = desk.get("/api/inbox?channel=sms").await.json();
    assert_eq!(sms["items"][0]["id"], message.to_string());
    assert_eq!(sms["items"].as_array().unwrap().len(), 1);
    let fax = desk.get("/api/inbox?channel=fax").await;
    assert_eq!(fax.status, 400);
    assert!(
        fax.json()["message"]
            .as_str()
            .unwrap()
            .contains("email, sms, chat")
    );

    let item = desk.get(&format!("/api/inbox/{message}")).await.json();
    assert_eq!(item["content"]["segments"], 2);
    assert_eq!(item["content"]["encoding"], "UCS-2");
    assert_eq!(item["notification"], notification.to_string());
    assert_eq!(
        desk.get(&format!("/api/inbox/{message}/html")).await.status,
        404
    );
}
