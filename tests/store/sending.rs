//! Handing over: claims, outcomes, take-over, calling off.

use std::collections::BTreeSet;
use std::time::Duration;

use tidings::domain::channel::{Category, Channel};
use tidings::domain::notification::{AttemptResult, MessageState};
use tidings::domain::policy::UnknownRule;
use tidings::domain::reason::{Reason, Status};
use tidings::store::{CancelTarget, Cancelled, Claim, ClaimOutcome, Ending, Settlement};

use crate::support::*;

pub(crate) async fn a_message_goes_from_ready_to_history(f: Fixture) {
    let one = f.accept(f.intent("ada")).await;
    assert_eq!(one.status, status(Reason::Ready));
    let ready = f
        .ready(Channel::Email, Category::Transactional, start())
        .await;
    let message = f.message(one.id).await;
    assert_eq!(
        (ready[0].message, ready[0].fence),
        (message.id, message.fence)
    );
    assert!(
        f.ready(Channel::Sms, Category::Transactional, start())
            .await
            .is_empty()
    );
    assert!(
        f.ready(Channel::Email, Category::Marketing, start())
            .await
            .is_empty()
    );

    let work = f.store.work(&[message.id]).await.unwrap().remove(0);
    assert_eq!(work.message, message);
    assert_eq!(work.notification.intent.variables.0["order"], "4711");
    assert_eq!(work.customer.profile.given_name.reveal(), "Ada");

    let now = start() + SECOND;
    let claimed = f.claim(one.id, now).await;
    assert_eq!((claimed.fence, claimed.tries), (message.fence + 1, 1));
    assert!(
        f.ready(Channel::Email, Category::Transactional, now)
            .await
            .is_empty()
    );
    let record = f.record(one.id).await;
    assert_eq!(record.attempts[0].result, AttemptResult::Sending);
    assert_eq!(record.notification.bundle, "bundle-1");

    assert!(f.settle(&claimed, sent(), now + SECOND).await);
    let record = f.record(one.id).await;
    assert_eq!(record.notification.status, status(Reason::HandedOver));
    assert_eq!(record.messages[0].state, MessageState::Sent);
    assert_eq!(record.messages[0].provider_message_id, "p-1");
    let attempt = &record.attempts[0];
    assert_eq!((attempt.result, attempt.number), (AttemptResult::Ok, 1));
    assert_eq!(attempt.reply, "250 ok");
    assert!(attempt.end_time.is_some());
    assert!(f.store.work(&[message.id]).await.unwrap().is_empty());
    assert_eq!(f.store.next_due().await.unwrap(), None);
}

pub(crate) async fn workers_who_ask_together_each_get_their_own(f: Fixture) {
    let mut messages = Vec::new();
    for one in 0..20 {
        let accepted = f.accept(f.intent(&format!("customer-{one}"))).await;
        messages.push(f.message(accepted.id).await.id);
    }
    for _ in 0..10 {
        let mut asking = tokio::task::JoinSet::new();
        // Each is in three workers' hands, and one of the three lets go.
        for (at, message) in (0..).zip(messages.iter().cycle().take(60)) {
            let (store, message) = (f.store.clone(), *message);
            asking.spawn(async move {
                let fetch = async { store.work(&[message]).await.unwrap() };
                if at < 20 {
                    let _gone = tokio::time::timeout(Duration::from_micros(at * 50), fetch).await;
                } else {
                    let found = fetch.await;
                    assert_eq!(found.len(), 1);
                    assert_eq!(found[0].message.id, message);
                }
            });
        }
        let all = tokio::time::timeout(Duration::from_secs(60), asking.join_all());
        assert_eq!(all.await.expect("somebody was forgotten").len(), 60);
    }
    assert!(
        f.store
            .work(&[f.ids.message(start())])
            .await
            .unwrap()
            .is_empty()
    );
}

pub(crate) async fn a_stale_fence_changes_nothing(f: Fixture) {
    let one = f.accept(f.intent("ada")).await;
    let message = f.message(one.id).await;
    let claim = f.claim_of(&message, start());
    // Two workers with the same job, at once: one of them has it.
    let twin = f.claim_of(&message, start());
    let (left, right) = tokio::join!(f.store.claim(claim.clone()), f.store.claim(twin.clone()));
    let outcomes = [left.unwrap(), right.unwrap()];
    let refused = outcomes
        .iter()
        .filter(|one| **one == ClaimOutcome::Refused)
        .count();
    assert_eq!(refused, 1);
    let winner = if outcomes[0] == ClaimOutcome::Refused {
        twin
    } else {
        claim
    };
    assert_eq!(f.record(one.id).await.attempts.len(), 1);

    let stale = Claimed {
        claim: winner.clone(),
        fence: message.fence,
        tries: 1,
    };
    assert!(!f.settle(&stale, sent(), start()).await);
    let mut wrong = winner.clone();
    wrong.fence = 7;
    assert_eq!(f.store.claim(wrong).await.unwrap(), ClaimOutcome::Refused);
    let current = Claimed {
        claim: winner,
        fence: message.fence + 1,
        tries: 1,
    };
    assert!(f.settle(&current, sent(), start()).await);
    let before = f.record(one.id).await;
    assert!(
        !f.settle(&current, rejected(), start()).await,
        "an outcome is final"
    );
    assert_eq!(f.record(one.id).await, before);
}

pub(crate) async fn a_claim_may_be_repeated(f: Fixture) {
    let one = f.accept(f.intent("ada")).await;
    let claim = f.claim_of(&f.message(one.id).await, start());
    let first = f.store.claim(claim.clone()).await.unwrap();
    assert!(matches!(first, ClaimOutcome::Claimed { tries: 1, .. }));
    let again = f.store.claim(claim.clone()).await.unwrap();
    assert_eq!(again, first, "the answer was lost on its way");
    assert_eq!(f.record(one.id).await.attempts.len(), 1);
    let other = Claim {
        attempt: f.ids.attempt(start()),
        ..claim.clone()
    };
    assert_eq!(f.store.claim(other).await.unwrap(), ClaimOutcome::Refused);
    let claimed = f.claimed(claim, &first);
    assert!(f.settle(&claimed, sent(), start()).await);
    let late = f.store.claim(claimed.claim.clone()).await.unwrap();
    assert_eq!(late, ClaimOutcome::Refused, "it has been sent");
}

pub(crate) async fn a_claim_is_refused_after_expiry(f: Fixture) {
    let f = f.capped(1);
    let one = f
        .accept(f.intent("ada").category(Category::Marketing))
        .await;
    let claim = f.claim_of(&f.message(one.id).await, start() + DAY);
    assert_eq!(f.store.claim(claim).await.unwrap(), ClaimOutcome::Refused);
    let record = f.record(one.id).await;
    assert_eq!(record.notification.status, status(Reason::Expired));
    assert_eq!(record.messages[0].state, MessageState::Cancelled);
    assert!(record.attempts.is_empty());
    let next = f
        .accept(f.intent("ada").category(Category::Marketing))
        .await;
    assert_eq!(
        next.status,
        status(Reason::Ready),
        "the slot was given back"
    );
}

pub(crate) async fn a_claim_is_refused_for_a_suppressed_address(f: Fixture) {
    // Two in one go: the first one's bounce reaches the second one's claim, whatever is queued.
    let [one, two] = [
        f.accept(f.intent("ada")).await,
        f.accept(f.intent("ada")).await,
    ];
    let message = f.message(two.id).await;
    let claimed = f.claim(one.id, start()).await;
    let bounced = Ending::Failed {
        reason: Reason::ProviderRejected,
        suppress: Some("hard_bounce".to_owned()),
    };
    assert!(f.settle(&claimed, bounced, start()).await);
    let claim = f.claim_of(&message, start());
    assert_eq!(f.store.claim(claim).await.unwrap(), ClaimOutcome::Refused);
    assert_eq!(f.plan(start()).await, 2);
    for id in [one.id, two.id] {
        assert_eq!(f.message(id).await.channel, Channel::Sms);
    }
    let list = f.store.suppressions(&shop().shop, 10).await.unwrap();
    assert_eq!(list[0].reason, "hard_bounce");
    assert!(!list[0].digest.contains('@'));
}

pub(crate) async fn a_retry_waits_and_is_claimed_again(f: Fixture) {
    let one = f.accept(f.intent("ada")).await;
    let claimed = f.claim(one.id, start()).await;
    let due_at = start() + SECOND * 30;
    let retry = |due_at, reason| Ending::Retry {
        due_at,
        result: AttemptResult::Throttled,
        reason,
    };
    assert!(
        f.settle(&claimed, retry(due_at, Reason::ProviderThrottled), start())
            .await
    );
    let record = f.record(one.id).await;
    assert_eq!(
        record.notification.status,
        status(Reason::ProviderThrottled)
    );
    assert_eq!(record.notification.due_at, Some(record.messages[0].due_at));
    assert_eq!(record.attempts[0].result, AttemptResult::Throttled);
    assert!(
        f.ready(Channel::Email, Category::Transactional, start())
            .await
            .is_empty()
    );
    assert_eq!(
        f.ready(Channel::Email, Category::Transactional, due_at)
            .await
            .len(),
        1
    );
    assert_eq!(f.plan(due_at).await, 0, "the message has its own time");

    let claimed = f.claim(one.id, due_at).await;
    assert_eq!(claimed.tries, 2);
    assert_eq!(f.status(one.id).await, status(Reason::Ready));
    // A retry after the expiry comes due at the expiry, where its claim ends it.
    assert!(
        f.settle(&claimed, retry(start() + DAY * 9, Reason::Retry), due_at)
            .await
    );
    let end = start() + DAY;
    assert_eq!(
        f.ready(Channel::Email, Category::Transactional, end)
            .await
            .len(),
        1
    );
    let claim = f.claim_of(&f.message(one.id).await, end);
    assert_eq!(f.store.claim(claim).await.unwrap(), ClaimOutcome::Refused);
    assert_eq!(f.status(one.id).await, status(Reason::Expired));
}

pub(crate) async fn a_permanent_failure_falls_back_and_then_fails(f: Fixture) {
    let one = f.accept(f.intent("ada")).await;
    let claimed = f.claim(one.id, start()).await;
    assert!(f.settle(&claimed, rejected(), start()).await);
    assert_eq!(f.status(one.id).await, status(Reason::Accepted));
    assert_eq!(f.plan(start()).await, 1);
    let message = f.message(one.id).await;
    assert_eq!((message.channel, message.fallback.len()), (Channel::Sms, 0));
    let claimed = f.claim(one.id, start()).await;
    assert!(f.settle(&claimed, rejected(), start()).await);
    let record = f.record(one.id).await;
    assert_eq!(record.notification.status, status(Reason::ProviderRejected));
    let states: Vec<_> = record
        .messages
        .iter()
        .map(|message| message.state)
        .collect();
    assert_eq!(states, [MessageState::Bounced, MessageState::Bounced]);
    assert_eq!(record.attempts.len(), 2);
}

pub(crate) async fn every_channel_counts_together(f: Fixture) {
    let new = || {
        f.intent("ada")
            .with(|intent| intent.template = "everywhere".to_owned())
    };
    let settle = async |id, endings: [Ending; 2]| {
        for ending in endings {
            assert_eq!(f.status(id).await, status(Reason::Ready));
            let claimed = f.claim(id, start()).await;
            assert!(f.settle(&claimed, ending, start()).await);
        }
        f.status(id).await
    };
    let one = f.accept(new()).await;
    assert_eq!(
        settle(one.id, [rejected(), sent()]).await,
        status(Reason::HandedOver)
    );
    let two = f.accept(new()).await;
    assert_eq!(
        settle(two.id, [sent(), rejected()]).await,
        status(Reason::HandedOver)
    );
    let three = f.accept(new()).await;
    assert_eq!(
        settle(three.id, [rejected(), rejected()]).await,
        status(Reason::ProviderRejected)
    );
    // Half of it gone: calling off stops the other half, and it counts as missed.
    let four = f.accept(new()).await;
    f.send(four.id, start()).await;
    let target = CancelTarget::Notification(four.id);
    let cancelled = f
        .store
        .cancel(&shop(), target, start())
        .await
        .unwrap()
        .unwrap();
    assert_eq!((cancelled.cancelled, cancelled.missed), (0, 1));
    let record = f.record(four.id).await;
    assert_eq!(record.notification.status, status(Reason::HandedOver));
    let states: BTreeSet<_> = record
        .messages
        .iter()
        .map(|message| message.state)
        .collect();
    assert_eq!(
        states,
        BTreeSet::from([MessageState::Sent, MessageState::Cancelled])
    );
}

pub(crate) async fn an_unknown_is_held_until_its_expiry(f: Fixture) {
    let f = f.capped(1);
    let one = f
        .accept(f.intent("ada").category(Category::Marketing))
        .await;
    let claimed = f.claim(one.id, start()).await;
    assert!(
        f.settle(&claimed, Ending::Unknown { resend_at: None }, start())
            .await
    );
    let record = f.record(one.id).await;
    assert_eq!(record.notification.status, status(Reason::ProviderUnknown));
    assert_eq!(record.messages[0].state, MessageState::Unknown);
    assert_eq!(record.attempts[0].result, AttemptResult::Unknown);
    assert_eq!(
        f.store.next_due().await.unwrap(),
        record.notification.due_at
    );
    assert!(
        !f.settle(&claimed, sent(), start()).await,
        "the fence has moved"
    );
    let missed = f
        .store
        .cancel(&shop(), CancelTarget::Notification(one.id), start())
        .await;
    assert_eq!(missed.unwrap().unwrap().missed, 1);
    assert_eq!(f.store.end_expired(start() + SECOND).await.unwrap(), 0);
    assert_eq!(f.store.end_expired(start() + DAY).await.unwrap(), 1);
    assert_eq!(f.status(one.id).await, Status::UNKNOWN_ENDED);
    let next = f
        .accept(f.intent("ada").category(Category::Marketing))
        .await;
    assert_eq!(
        next.status,
        status(Reason::BudgetExceeded),
        "it may have been sent, so it counts"
    );
}

pub(crate) async fn an_unknown_is_sent_again_with_the_same_id(f: Fixture) {
    let one = f.accept(f.intent("ada")).await;
    let claimed = f.claim(one.id, start()).await;
    let resend_at = Some(start() + SECOND);
    assert!(
        f.settle(&claimed, Ending::Unknown { resend_at }, start())
            .await
    );
    assert_eq!(f.status(one.id).await, status(Reason::Retry));
    let message = f.message(one.id).await;
    assert_eq!(message.id, claimed.claim.message);
    assert!(message.fence > claimed.fence);
    // It may be with the customer already: neither a new choice nor a new message may come of it.
    f.change("ada", opt_out("orders"), start()).await;
    assert_eq!(f.message(one.id).await.id, message.id);
    let again = f.claim(one.id, start() + SECOND).await;
    assert_eq!(again.tries, 2);
    assert!(f.settle(&again, sent(), start() + SECOND).await);
    assert_eq!(f.status(one.id).await, status(Reason::HandedOver));
}

pub(crate) async fn a_resend_that_expires_ends_as_unknown(f: Fixture) {
    let one = f.accept(f.intent("ada")).await;
    let claimed = f.claim(one.id, start()).await;
    let resend_at = Some(start() + SECOND);
    assert!(
        f.settle(&claimed, Ending::Unknown { resend_at }, start())
            .await
    );
    let end = start() + DAY;
    let claim = f.claim_of(&f.message(one.id).await, end);
    assert_eq!(f.store.claim(claim).await.unwrap(), ClaimOutcome::Refused);
    assert_eq!(f.status(one.id).await, status(Reason::ProviderUnknown));
    assert_eq!(f.store.end_expired(end).await.unwrap(), 1);
    assert_eq!(
        f.status(one.id).await,
        Status::UNKNOWN_ENDED,
        "not EXPIRED: it may be there"
    );
}

/// A provider that is left alone, no worker, a worker that has died: nobody claims, and nothing is silent.
pub(crate) async fn what_no_worker_takes_ends_at_its_expiry(f: Fixture) {
    let f = f.capped(1);
    let ready = f
        .accept(f.intent("ada").category(Category::Marketing))
        .await;
    let job = f.message(ready.id).await;
    let waiting = f.accept(f.intent("bob")).await;
    let claimed = f.claim(waiting.id, start()).await;
    let retry = Ending::Retry {
        due_at: start() + DAY * 2,
        result: AttemptResult::Transient,
        reason: Reason::ProviderCircuitOpen,
    };
    assert!(f.settle(&claimed, retry, start()).await);
    assert_eq!(
        f.status(waiting.id).await,
        status(Reason::ProviderCircuitOpen)
    );
    let resent = f.accept(f.intent("eve")).await;
    let claimed = f.claim(resent.id, start()).await;
    let resend_at = Some(start() + SECOND);
    let unknown = Ending::Unknown { resend_at };
    assert!(f.settle(&claimed, unknown, start()).await);
    let sending = f.accept(f.intent("dan")).await;
    let handing_over = f.claim(sending.id, start()).await;

    let end = start() + DAY;
    assert_eq!(f.store.end_expired(end - SECOND).await.unwrap(), 0);
    let mut ended = Vec::new();
    while ended.last() != Some(&0) {
        ended.push(f.store.end_expired(end).await.unwrap());
    }
    assert_eq!(ended, [3, 1, 0], "the resent one is held first");
    for id in [ready.id, waiting.id] {
        let record = f.record(id).await;
        assert_eq!(record.notification.status, status(Reason::Expired));
        assert_eq!(record.messages[0].state, MessageState::Cancelled);
    }
    assert_eq!(
        f.status(resent.id).await,
        Status::UNKNOWN_ENDED,
        "it may be there"
    );
    let claim = f.claim_of(&job, end);
    assert_eq!(f.store.claim(claim).await.unwrap(), ClaimOutcome::Refused);
    assert!(f.settle(&handing_over, sent(), end).await);
    assert_eq!(f.status(sending.id).await, status(Reason::HandedOver));
    let next = f
        .accept(f.intent("ada").category(Category::Marketing))
        .await;
    assert_eq!(next.status, status(Reason::Ready), "it gave its slot back");
}

/// Everybody who is silent now is dead.
const NOT_HEARD_OF: Duration = Duration::ZERO;

pub(crate) async fn dead_processes_are_taken_over(f: Fixture) {
    let order = f.accept(f.intent("ada")).await;
    let news = f
        .accept(f.intent("ada").category(Category::Marketing))
        .await;
    let waiting = f.accept(f.intent("ada")).await;
    let dead = f.claim(order.id, start()).await;
    f.claim(news.id, start()).await;
    let f = f.restart().await;
    let rule = |category| match category {
        Category::Critical | Category::Transactional => UnknownRule::Resend,
        Category::Relationship | Category::Marketing => UnknownRule::Hold,
    };
    let now = start() + SECOND;
    assert_eq!(
        f.store.take_over(now, NOT_HEARD_OF, &rule).await.unwrap(),
        2
    );
    assert_eq!(
        f.store.take_over(now, NOT_HEARD_OF, &rule).await.unwrap(),
        0
    );
    assert_eq!(f.status(order.id).await, status(Reason::Retry));
    assert_eq!(f.status(news.id).await, status(Reason::ProviderUnknown));
    assert_eq!(f.status(waiting.id).await, status(Reason::Ready));
    let record = f.record(order.id).await;
    assert_eq!(record.attempts[0].result, AttemptResult::Unknown);
    assert_eq!(record.messages[0].id, dead.claim.message);
    assert_eq!(
        f.ready(Channel::Email, Category::Transactional, now)
            .await
            .len(),
        2
    );
    assert!(
        !f.settle(&dead, sent(), now).await,
        "the dead one's answer comes too late"
    );
}

pub(crate) async fn what_could_not_be_rendered_is_settled_without_a_claim(f: Fixture) {
    let one = f
        .accept(f.intent("ada").with(|intent| {
            intent.contact.as_mut().unwrap().addresses.truncate(1);
        }))
        .await;
    let message = f.message(one.id).await;
    let settlement = |fence| Settlement {
        message: message.id,
        attempt: None,
        fence,
        ending: Ending::Failed {
            reason: Reason::RenderFailed,
            suppress: None,
        },
        reply: String::new(),
        now: start(),
    };
    assert!(!f.store.settle(settlement(message.fence + 1)).await.unwrap());
    assert!(f.store.settle(settlement(message.fence)).await.unwrap());
    let record = f.record(one.id).await;
    assert_eq!(record.notification.status, status(Reason::RenderFailed));
    assert_eq!(record.messages[0].state, MessageState::Undeliverable);
    assert!(record.attempts.is_empty());
}

pub(crate) async fn cancelling_calls_off_what_is_not_handed_over(f: Fixture) {
    let keyed = || {
        f.intent("ada")
            .with(|intent| intent.cancellation_key = "order:1".to_owned())
    };
    let sent_before = f.accept(keyed()).await;
    f.send(sent_before.id, start()).await;
    let sending = f.accept(keyed()).await;
    let claimed = f.claim(sending.id, start()).await;
    let queued = f.accept(keyed()).await;
    let held = f
        .accept(keyed().with(|intent| intent.send_time = Some(start() + SECOND)))
        .await;
    let others = f.accept(keyed().by(other_caller())).await;

    let key = CancelTarget::Key("order:1".to_owned());
    let cancelled = f
        .store
        .cancel(&shop(), key, start())
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        cancelled,
        Cancelled {
            cancelled: 2,
            missed: 2
        }
    );
    for id in [queued.id, held.id] {
        assert_eq!(f.status(id).await, status(Reason::Cancelled));
    }
    assert_eq!(f.plan(start() + SECOND).await, 0);
    assert!(f.settle(&claimed, sent(), start()).await);
    assert_eq!(f.status(sending.id).await, status(Reason::HandedOver));
    let left = f
        .ready(Channel::Email, Category::Transactional, start())
        .await;
    assert_eq!(left.len(), 1, "only the other caller's");

    let cancel = async |id| {
        let target = CancelTarget::Notification(id);
        f.store.cancel(&shop(), target, start()).await.unwrap()
    };
    assert_eq!(cancel(others.id).await, None);
    assert_eq!(cancel(f.ids.notification(start())).await, None);
    assert_eq!(
        cancel(queued.id).await,
        Some(Cancelled {
            cancelled: 0,
            missed: 1
        })
    );
    let last = f.accept(f.intent("ada")).await;
    assert_eq!(
        cancel(last.id).await,
        Some(Cancelled {
            cancelled: 1,
            missed: 0
        })
    );
    let unused = CancelTarget::Key("order:2".to_owned());
    let none = f.store.cancel(&shop(), unused, start()).await.unwrap();
    assert_eq!(none, Some(Cancelled::default()));
}

pub(crate) async fn the_next_due_time_is_the_earliest(f: Fixture) {
    assert_eq!(f.store.next_due().await.unwrap(), None);
    let at = |seconds: i32| start() + SECOND * seconds;
    let micros = |instant: jiff::Timestamp| instant.as_microsecond();
    let next = async || micros(f.store.next_due().await.unwrap().unwrap());
    f.accept(
        f.intent("ada")
            .with(|intent| intent.send_time = Some(at(60))),
    )
    .await;
    assert_eq!(next().await, micros(at(60)));
    let one = f
        .accept(f.intent("ada").category(Category::Marketing))
        .await;
    assert_eq!(next().await, micros(start()));
    let claimed = f.claim(one.id, start()).await;
    assert_eq!(next().await, micros(at(60)));
    let retry = Ending::Retry {
        due_at: at(30),
        result: AttemptResult::Transient,
        reason: Reason::Retry,
    };
    f.settle(&claimed, retry, start()).await;
    assert_eq!(next().await, micros(at(30)));
}
