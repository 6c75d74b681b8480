//! Customers and their choices, suppressions, outcomes, erasure; and bundles.

use std::sync::Arc;

use tidings::domain::channel::{Category, Channel};
use tidings::domain::customer::CustomerId;
use tidings::domain::notification::MessageState;
use tidings::domain::reason::Reason;
use tidings::domain::rejection::{Rejection, RejectionReason};
use tidings::store::{Change, ClaimOutcome};

use crate::support::*;

pub(crate) async fn a_changed_preference_decides_again(f: Fixture) {
    let f = f.capped(1);
    let news = f
        .accept(f.intent("ada").category(Category::Marketing))
        .await;
    let waiting = f
        .accept(f.intent("ada").category(Category::Marketing))
        .await;
    let sending = f.accept(f.intent("ada")).await;
    let others = f.accept(f.intent("bob")).await;
    assert_eq!(waiting.status, status(Reason::BudgetExceeded));
    let message = f.message(news.id).await;
    f.claim(sending.id, start()).await;

    let customer = f.change("ada", opt_out("orders"), start()).await;
    assert_eq!((customer.revision, customer.id.as_str()), (1, "ada"));
    // What was queued on the old choice cannot be claimed any more.
    let claim = f.claim_of(&message, start());
    assert_eq!(f.store.claim(claim).await.unwrap(), ClaimOutcome::Refused);
    assert_eq!(f.status(news.id).await, status(Reason::Accepted));
    assert_eq!(
        f.record(news.id).await.messages[0].state,
        MessageState::Cancelled
    );
    assert_eq!(f.plan(start()).await, 2);
    for id in [news.id, waiting.id] {
        assert_eq!(f.status(id).await, status(Reason::TopicOptedOut));
    }
    assert_eq!(
        f.status(sending.id).await,
        status(Reason::Ready),
        "it is being handed over"
    );
    assert_eq!(f.status(others.id).await, status(Reason::Ready));

    // The same once more changes nothing and decides nothing.
    let later = start() + SECOND;
    let same = f.change("ada", opt_out("orders"), later).await;
    assert_eq!(same, customer);
    assert_eq!(f.plan(later).await, 0);
}

pub(crate) async fn a_suppression_decides_again_and_is_listed(f: Fixture) {
    let one = f.accept(f.intent("ada")).await;
    let address = email("ada@example.com");
    f.store
        .suppress(&shop().shop, &address, "complaint", start())
        .await
        .unwrap();
    assert_eq!(f.plan(start()).await, 1);
    assert_eq!(f.message(one.id).await.channel, Channel::Sms);
    let next = f.accept(f.intent("ada")).await;
    assert_eq!(f.message(next.id).await.channel, Channel::Sms);
    let phone = phone("+4915112345678");
    f.store
        .suppress(&shop().shop, &phone, "stop_keyword", start() + SECOND)
        .await
        .unwrap();
    f.plan(start() + SECOND).await;
    assert_eq!(f.status(one.id).await, status(Reason::AddressSuppressed));
    let list = f.store.suppressions(&shop().shop, 10).await.unwrap();
    let reasons: Vec<_> = list.iter().map(|entry| entry.reason.as_str()).collect();
    assert_eq!(reasons, ["stop_keyword", "complaint"]);
    assert!(
        f.store
            .suppressions(&other_shop().shop, 10)
            .await
            .unwrap()
            .is_empty()
    );
    let elsewhere = f.accept(f.intent("ada").by(other_shop())).await;
    assert_eq!(
        elsewhere.status,
        status(Reason::Ready),
        "the list is the shop's own"
    );
}

pub(crate) async fn an_outcome_decides_again(f: Fixture) {
    let new = f
        .intent("ada")
        .with(|intent| intent.template = "needs.payment".to_owned());
    let one = f.accept(new).await;
    assert_eq!(one.status, status(Reason::OutcomeRequired));
    let ada = CustomerId::new("ada");
    assert_eq!(f.plan(start() + SECOND).await, 0);
    let now = start() + SECOND;
    f.store
        .record_outcome(&shop().shop, &ada, "paid", now)
        .await
        .unwrap();
    assert_eq!(f.plan(now).await, 1);
    assert_eq!(f.status(one.id).await, status(Reason::Ready));
    f.store
        .record_outcome(&shop().shop, &ada, "paid", now)
        .await
        .unwrap();
    assert_eq!(f.plan(now).await, 0, "it was known");
}

pub(crate) async fn customers_are_changed_each_for_itself(f: Fixture) {
    let refuse: Change = Arc::new(|_| Err(Rejection::new(RejectionReason::EtagMismatch, "older")));
    let panics: Change = Arc::new(|_| panic!("a change with a bug"));
    let [ada, bob, eve] = ["ada", "bob", "eve"].map(CustomerId::new);
    let changes = vec![
        (ada.clone(), profile("ada@example.org", "Ada")),
        (bob.clone(), refuse),
        (eve.clone(), panics),
        (ada.clone(), opt_out("news")),
    ];
    let answers = f
        .store
        .change(&shop().shop, changes, start())
        .await
        .unwrap();
    assert_eq!(answers[0].as_ref().unwrap().revision, 1);
    assert_eq!(
        answers[1].as_ref().unwrap_err().reason,
        RejectionReason::EtagMismatch
    );
    assert_eq!(
        answers[2].as_ref().unwrap_err().reason,
        RejectionReason::Internal
    );
    let last = answers[3].as_ref().unwrap();
    assert_eq!(last.revision, 2);
    assert_eq!(last.profile.given_name.reveal(), "Ada");
    let ids = [bob, ada.clone(), eve];
    let found = f.store.customers(&shop().shop, &ids).await.unwrap();
    assert_eq!(found, std::slice::from_ref(last));
    assert!(
        f.store
            .customers(&other_shop().shop, &[ada])
            .await
            .unwrap()
            .is_empty()
    );

    // Fifty concurrent changes: none is lost.
    let f = Arc::new(f);
    let tasks: Vec<_> = (0..50)
        .map(|_| {
            let f = Arc::clone(&f);
            let add: Change = Arc::new(|before| {
                let mut customer = before.cloned().unwrap();
                customer.profile.source_version += 1;
                Ok(customer)
            });
            tokio::spawn(async move { f.change("ada", add, start()).await })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    let found = f
        .store
        .customers(&shop().shop, &[CustomerId::new("ada")])
        .await
        .unwrap();
    assert_eq!(
        (found[0].revision, found[0].profile.source_version),
        (52, 59)
    );
}

pub(crate) async fn erasing_keeps_a_pseudonym(f: Fixture) {
    let ada = CustomerId::new("ada");
    f.change("ada", profile("ada@example.org", "Adalovelace"), start())
        .await;
    let ended = f.accept(f.intent("ada")).await;
    f.send(ended.id, start()).await;
    let open = f.accept(f.intent("ada")).await;
    let sending = f.accept(f.intent("ada")).await;
    let claimed = f.claim(sending.id, start()).await;
    let others = f.accept(f.intent("bob")).await;

    let now = start() + SECOND;
    assert_eq!(
        f.store.erase(&shop().shop, &ada, now).await.unwrap(),
        Some(3)
    );
    assert_eq!(f.store.erase(&shop().shop, &ada, now).await.unwrap(), None);
    assert!(
        f.store
            .customers(&shop().shop, &[ada])
            .await
            .unwrap()
            .is_empty()
    );
    assert_eq!(f.status(open.id).await, status(Reason::Cancelled));
    let names: Vec<_> = [ended.id, open.id, sending.id]
        .map(|id| f.record(id))
        .into_iter()
        .collect();
    let mut pseudonyms = Vec::new();
    for record in names {
        let record = record.await;
        let intent = &record.notification.intent;
        assert!(intent.contact.is_none() && intent.variables.0.is_empty());
        assert!(
            record
                .messages
                .iter()
                .all(|message| message.address.reveal().is_empty())
        );
        assert!(
            record
                .attempts
                .iter()
                .all(|attempt| attempt.reply.is_empty())
        );
        let decision = record.notification.decision.unwrap();
        assert!(decision.steps.iter().all(|step| step.evidence.is_empty()));
        pseudonyms.push(intent.customer.clone());
    }
    pseudonyms.dedup();
    assert_eq!(pseudonyms.len(), 1);
    assert!(pseudonyms[0].as_str().starts_with("erased:"));
    // What was being handed over ends as it will, but is not tried again.
    let retry = tidings::store::Ending::Retry {
        due_at: now,
        result: tidings::domain::notification::AttemptResult::Transient,
        reason: Reason::Retry,
    };
    assert!(f.settle(&claimed, retry, now).await);
    assert_eq!(f.status(sending.id).await, status(Reason::Cancelled));
    assert_eq!(f.record(others.id).await.notification, others);
}

pub(crate) async fn a_guest_has_one_pseudonym_an_address(f: Fixture) {
    let guest = |text| f.store.guest(&shop().shop, &email(text));
    assert_eq!(guest("Ada@Example.com"), guest("ada@example.com"));
    assert_ne!(guest("ada@example.com"), guest("bob@example.com"));
    assert!(guest("ada@example.com").as_str().starts_with("guest:"));
    assert_eq!(guest("ada@example.com").as_str().len(), 38);
}

pub(crate) async fn bundles_are_kept_once(f: Fixture) {
    let shop = shop().shop;
    f.store
        .keep_bundle(&shop, "b1", vec![1, 2, 3], start())
        .await
        .unwrap();
    f.store
        .keep_bundle(&shop, "b1", vec![9], start())
        .await
        .unwrap();
    assert_eq!(
        f.store.bundle(&shop, "b1").await.unwrap(),
        Some(vec![1, 2, 3])
    );
    assert_eq!(f.store.bundle(&shop, "b2").await.unwrap(), None);
    assert_eq!(
        f.store.bundle(&other_shop().shop, "b1").await.unwrap(),
        None
    );
}
