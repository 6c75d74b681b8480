//! Variants through a whole gateway: who gets which, and that it is kept with the message and in the decision.

use std::path::Path;

use tidings::catalog::Source;
use tidings::proto::explain_notification_request::Subject;
use tidings::proto::{
    Channel, Customer, ExplainNotificationRequest, PreviewTemplateRequest, notification,
};

use crate::calls::{NOON, at, get, review, send};
use crate::gateway::{Embedded, copy, folder};
use crate::{point, upsert};

const MESSAGE: &str = "messages/review/request";

/// A gateway whose invitation to a review is an experiment.
async fn gateway() -> Embedded {
    let folder = folder();
    let templates = folder.path().join("templates");
    copy(
        &Path::new(env!("CARGO_MANIFEST_DIR")).join("templates"),
        &templates,
    );
    let at_file = |file: &str| templates.join(MESSAGE).join(file);
    let manifest = std::fs::read_to_string(at_file("message.toml")).unwrap();
    let variants = "[[variants]]\nname = \"control\"\nweight = 45\n[[variants]]\nname = \"b\"\nweight = 45\n[[variants]]\nname = \"holdout\"\nweight = 10\n";
    std::fs::write(at_file("message.toml"), format!("{manifest}\n{variants}")).unwrap();
    std::fs::create_dir_all(at_file("variants/b")).unwrap();
    std::fs::write(
        at_file("variants/b/email.txt.hbs"),
        "the other text {{url review_url}} {{url links.unsubscribe}}",
    )
    .unwrap();
    Embedded::start(folder, Source::Folder(templates), at(NOON)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_chosen_variant_is_recorded_and_a_holdout_gets_nothing() {
    let gateway = gateway().await;
    // Worked out by another program: src/decide/experiment.rs.
    for (customer, variant) in [
        ("c-1", "b"),
        ("c-2", "control"),
        ("c-10", "holdout"),
        ("c-19", "holdout"),
    ] {
        let ada = Customer {
            name: format!("customers/{customer}"),
            time_zone: "Europe/Berlin".into(),
            contact_points: vec![point(Channel::Email, "ada@example.com")],
            ..Customer::default()
        };
        upsert(&gateway, ada, &[]).await;
        let name = send(&gateway.client, customer, review(customer)).await.name;
        gateway.settle().await;
        let kept = get(&gateway.client, &name).await;
        let explained = gateway
            .client
            .notifications()
            .explain_notification(ExplainNotificationRequest {
                subject: Some(Subject::Name(name.clone())),
                evaluate_time: None,
            })
            .await
            .unwrap()
            .into_inner();
        let step = explained
            .steps
            .iter()
            .find(|step| step.rule == "holdout")
            .unwrap();
        if variant == "holdout" {
            assert_eq!(kept.state(), notification::State::Suppressed, "{customer}");
            assert_eq!(kept.state_reason, "HOLDOUT", "{customer}");
            assert!(kept.messages.is_empty(), "{kept:?}");
            assert_eq!(step.reason, "HOLDOUT", "{step:?}");
        } else {
            assert_eq!(
                kept.state(),
                notification::State::Sent,
                "{customer} {kept:?}"
            );
            assert_eq!(kept.messages[0].variant, variant, "{customer}");
            assert!(
                step.summary.contains(&format!("variant {variant}")),
                "{step:?}"
            );
            let id = kept.messages[0].name.rsplit('/').next().unwrap();
            let file = gateway
                .folder()
                .join("outbox/email")
                .join(format!("{id}.json"));
            let sent = std::fs::read_to_string(&file).unwrap_or_default();
            assert_eq!(
                sent.contains("the other text"),
                variant == "b",
                "{customer}: {sent}"
            );
        }
    }
    let preview = |variant: &str| PreviewTemplateRequest {
        name: "templates/review.request".into(),
        variant: variant.into(),
        ..PreviewTemplateRequest::default()
    };
    for (variant, other) in [("b", true), ("control", false), ("", false)] {
        let answer = gateway
            .client
            .templates()
            .preview_template(preview(variant))
            .await
            .unwrap();
        let text = answer.into_inner().contents.remove(0).text;
        assert_eq!(text.contains("the other text"), other, "{variant}");
    }
    gateway.stop().await;
}
