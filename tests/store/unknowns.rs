//! What nobody knows the end of, and what operators say about it.

use std::sync::Arc;

use tidings::domain::channel::Category;
use tidings::domain::decision::Rule;
use tidings::domain::id::{Ids, NotificationId};
use tidings::domain::notification::{AttemptResult, MessageState};
use tidings::domain::policy::Resolution;
use tidings::domain::reason::{Reason, Status};
use tidings::domain::shop::CallerId;
use tidings::store::{Ending, Resolved, Said};

use crate::support::*;

/// One that is held as unknown, with what its claim was.
async fn held(f: &Fixture, customer: &str) -> (NotificationId, Claimed) {
    let one = f
        .accept(f.intent(customer).category(Category::Marketing))
        .await;
    let claimed = f.claim(one.id, start()).await;
    let unknown = Ending::Unknown { resend_at: None };
    assert!(f.settle(&claimed, unknown, start()).await);
    (one.id, claimed)
}

fn said(notification: NotificationId, resolution: Resolution) -> Said {
    Said {
        notification,
        message: None,
        resolution,
        by: CallerId::new("ops"),
        reason: "the log has it".to_owned(),
        now: start() + SECOND,
    }
}

async fn say(f: &Fixture, said: Said) -> Resolved {
    f.store.resolve(&shop().shop, said).await.unwrap()
}

pub(crate) async fn an_operator_ends_an_unknown(f: Fixture) {
    let f = f.capped(1);
    let rows = [
        (Resolution::Sent, status(Reason::HandedOver)),
        (Resolution::Drop, Status::UNKNOWN_ENDED),
    ];
    for (resolution, ends) in rows {
        let customer = resolution.as_str();
        let (id, claimed) = held(&f, customer).await;
        let listed = f.store.unknown(&shop().shop, None, 9).await.unwrap();
        let [one] = listed.as_slice() else {
            panic!("{listed:?}")
        };
        assert_eq!((one.notification, one.messages.len()), (id, 1));
        assert_eq!(one.messages[0].id, claimed.claim.message);
        assert_eq!(one.caller, shop().caller);

        assert_eq!(say(&f, said(id, resolution)).await, Resolved::Done(ends));
        let record = f.record(id).await;
        assert_eq!(record.notification.status, ends);
        assert_eq!(record.attempts[0].result, AttemptResult::Unknown);
        let steps = record.notification.decision.unwrap().steps;
        let line = steps.last().unwrap();
        assert_eq!(line.rule, Rule::Operator);
        assert!(line.summary.starts_with("ops said at 2026-11-22T12:00:01Z"));
        assert!(line.summary.ends_with(": the log has it"), "{line:?}");
        assert!(steps.len() > 1, "what was decided before is still told");

        assert_eq!(
            say(&f, said(id, Resolution::Resend)).await,
            Resolved::NotUnknown(ends)
        );
        assert!(
            f.store
                .unknown(&shop().shop, None, 9)
                .await
                .unwrap()
                .is_empty()
        );
        // It was sent, or may have been: it counts.
        let next = f
            .accept(f.intent(customer).category(Category::Marketing))
            .await;
        assert_eq!(next.status, status(Reason::BudgetExceeded));
        let events = f.store.events(&shop(), 0, 100).await.unwrap();
        let own: Vec<_> = events
            .iter()
            .filter(|event| event.notification == id)
            .map(|event| event.status)
            .collect();
        assert_eq!(
            own,
            [status(Reason::Ready), status(Reason::ProviderUnknown), ends]
        );
    }
}

pub(crate) async fn an_operator_sends_an_unknown_again(f: Fixture) {
    let (id, claimed) = held(&f, "ada").await;
    let other = held(&f, "bob").await.0;
    assert_eq!(
        say(&f, said(id, Resolution::Resend)).await,
        Resolved::Done(status(Reason::Retry))
    );
    let message = f.message(id).await;
    assert_eq!(message.id, claimed.claim.message, "the same id");
    assert!(
        !f.settle(&claimed, sent(), start() + SECOND).await,
        "the answer of the first try comes too late"
    );
    let ready = f
        .ready(message.channel, Category::Marketing, start() + SECOND)
        .await;
    assert_eq!(ready.len(), 1);
    let again = f.claim(id, start() + SECOND).await;
    assert_eq!(again.tries, 2);
    assert!(f.settle(&again, sent(), start() + SECOND).await);
    assert_eq!(f.status(id).await, status(Reason::HandedOver));
    assert_eq!(f.status(other).await, status(Reason::ProviderUnknown));
}

/// One message of several may be answered for.
pub(crate) async fn an_operator_answers_for_one_message(f: Fixture) {
    let new = f.intent("ada").category(Category::Marketing);
    let one = f
        .accept(new.with(|intent| "everywhere".clone_into(&mut intent.template)))
        .await;
    for message in f.record(one.id).await.messages {
        let claim = f.claim_of(&message, start());
        let outcome = f.store.claim(claim.clone()).await.unwrap();
        let claimed = f.claimed(claim, &outcome);
        let unknown = Ending::Unknown { resend_at: None };
        assert!(f.settle(&claimed, unknown, start()).await);
    }
    let listed = f.store.unknown(&shop().shop, None, 9).await.unwrap();
    let [first, second] = listed[0].messages.as_slice() else {
        panic!("{listed:?}")
    };
    let of = |message, resolution| Said {
        message: Some(message),
        ..said(one.id, resolution)
    };
    let foreign = of(Ids::new().message(start()), Resolution::Sent);
    assert_eq!(say(&f, foreign).await, Resolved::NotFound);
    let held = status(Reason::ProviderUnknown);
    assert_eq!(
        say(&f, of(first.id, Resolution::Drop)).await,
        Resolved::Done(held)
    );
    assert_eq!(
        say(&f, of(first.id, Resolution::Sent)).await,
        Resolved::NotUnknown(held),
        "it was dropped"
    );
    assert_eq!(
        say(&f, of(second.id, Resolution::Sent)).await,
        Resolved::Done(status(Reason::HandedOver))
    );
    let states: Vec<_> = f.record(one.id).await.messages;
    let states: Vec<_> = states.iter().map(|message| message.state).collect();
    assert_eq!(states, [MessageState::Undeliverable, MessageState::Sent]);
}

pub(crate) async fn what_is_not_unknown_is_not_resolved(f: Fixture) {
    let ready = f.accept(f.intent("ada")).await;
    let over = f.accept(f.intent("bob")).await;
    f.send(over.id, start()).await;
    for (id, stands) in [(ready.id, Reason::Ready), (over.id, Reason::HandedOver)] {
        for resolution in Resolution::ALL {
            let said = said(id, *resolution);
            assert_eq!(say(&f, said).await, Resolved::NotUnknown(status(stands)));
        }
        assert_eq!(f.status(id).await, status(stands));
    }
    let (id, _) = held(&f, "eve").await;
    let nobody = Ids::new().notification(start());
    assert_eq!(
        say(&f, said(nobody, Resolution::Drop)).await,
        Resolved::NotFound
    );
    let elsewhere = other_shop().shop;
    let there = f
        .store
        .resolve(&elsewhere, said(id, Resolution::Drop))
        .await
        .unwrap();
    assert_eq!(there, Resolved::NotFound);
    let listed = f.store.unknown(&elsewhere, None, 9).await.unwrap();
    assert!(listed.is_empty(), "{listed:?}");
    let who = f.record(id).await.notification.intent.customer;
    f.store.erase(&shop().shop, &who, start()).await.unwrap();
    assert_eq!(
        say(&f, said(id, Resolution::Resend)).await,
        Resolved::Erased
    );
    assert_eq!(
        say(&f, said(id, Resolution::Drop)).await,
        Resolved::Done(Status::UNKNOWN_ENDED)
    );
}

pub(crate) async fn unknowns_are_paged_in_order(f: Fixture) {
    let mut ids = Vec::new();
    for customer in 0..6 {
        let category = match customer {
            0..4 => Category::Marketing,
            _ => Category::Transactional,
        };
        let new = f.intent(&format!("c{customer}")).category(category);
        // The first ends last, and two end together.
        let life = DAY - SECOND * (customer / 2);
        let one = f
            .accept(new.with(|intent| intent.expire_time = start() + life))
            .await;
        let claimed = f.claim(one.id, start()).await;
        let unknown = Ending::Unknown { resend_at: None };
        assert!(f.settle(&claimed, unknown, start()).await);
        ids.push(one.id);
    }
    for size in [1, 2, 5, 9] {
        let mut found = Vec::new();
        let mut after = None;
        loop {
            let page = f.store.unknown(&shop().shop, after, size).await.unwrap();
            let Some(last) = page.last() else { break };
            assert!(page.len() <= size as usize);
            after = Some(last.place());
            found.extend(page.iter().map(|one| one.notification));
        }
        let expected = [4, 5, 2, 3, 0, 1].map(|index: usize| ids[index]);
        assert_eq!(found, expected, "pages of {size}");
    }
}

/// Operators, the expiry and a late answer at the same moment: one of them is heard.
pub(crate) async fn of_all_who_end_an_unknown_one_does(f: Fixture) {
    let f = Arc::new(f);
    let end = start() + DAY;
    for round in 0..30 {
        let (id, claimed) = held(&f, &format!("c{round}")).await;
        // One that is sent again may expire and be unknown again, so that each has rounds of its own.
        let expires = round < 15;
        let third = if expires {
            Resolution::Drop
        } else {
            Resolution::Resend
        };
        let mut tasks = Vec::new();
        for resolution in [Resolution::Sent, Resolution::Drop, third] {
            let f = f.clone();
            tasks.push(tokio::spawn(async move {
                matches!(say(&f, said(id, resolution)).await, Resolved::Done(_))
            }));
        }
        let (expiring, answering) = (f.clone(), f.clone());
        tasks.push(tokio::spawn(async move {
            expires && expiring.store.end_expired(end).await.unwrap() == 1
        }));
        tasks.push(tokio::spawn(async move {
            answering.settle(&claimed, sent(), end).await
        }));
        let heard = settled(tasks).await;
        assert!(!heard[4], "the late answer was heard");
        let heard = heard.into_iter().filter(|heard| *heard).count();
        assert_eq!(heard, 1, "round {round}");
        let events = f.store.events(&shop(), 0, 10_000).await.unwrap();
        let own = events.iter().filter(|event| event.notification == id);
        assert_eq!(own.count(), 3, "ready, unknown, and one more");
    }
}
