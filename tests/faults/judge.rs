//! The judge: holds what callers were told and what the gateway says became of it against what the receivers wrote down.
//! Pure; it trusts the ledger first, the callers second and the gateway last.

use std::collections::BTreeMap;

use tidings::domain::id::MessageId;
use tidings::proto::{Notification, notification};

use crate::ledger::Entry;
use crate::load::Acknowledged;
use crate::shop::{self, Kind};

/// Everything there is to judge by.
#[derive(Default)]
pub(crate) struct Case {
    pub(crate) acknowledged: Acknowledged,
    pub(crate) ledger: Vec<Entry>,
    /// How often an order was being handed over at a moment of death.
    pub(crate) handing_over: BTreeMap<u64, u32>,
    /// All that the gateway has, at the quiet end.
    pub(crate) notifications: Vec<Notification>,
    /// How many the store counts, by state.
    pub(crate) tally: BTreeMap<String, i64>,
}

/// The verdict in figures, and every fault in a sentence.
#[derive(Clone, Debug, Default)]
pub(crate) struct Verdict {
    pub(crate) intents: u64,
    /// Answered OK, and not there, not ended, or said to be sent and never received.
    pub(crate) lost: u64,
    /// Received more than once.
    pub(crate) duplicates: u64,
    /// Of these, more than deaths and withheld answers explain.
    pub(crate) unexplained: u64,
    /// Tries whose outcome nobody knows.
    pub(crate) ambiguous: u64,
    /// Ended unsent because their time was over.
    pub(crate) expired: u64,
    pub(crate) faults: Vec<String>,
}

pub(crate) fn judge(case: &Case) -> Verdict {
    let mut verdict = Verdict {
        intents: u64::try_from(case.acknowledged.len()).unwrap(),
        ..Verdict::default()
    };
    let mut received: BTreeMap<u64, Vec<&Entry>> = BTreeMap::new();
    for entry in &case.ledger {
        received.entry(entry.order).or_default().push(entry);
    }
    let mut kept: BTreeMap<u64, Vec<&Notification>> = BTreeMap::new();
    for one in &case.notifications {
        let order = shop::order_of_reference(&one.intent.as_ref().unwrap().reference);
        kept.entry(order).or_default().push(one);
    }
    for (order, name) in &case.acknowledged {
        let kept = kept.get(order).map_or(&[][..], Vec::as_slice);
        let received = received.get(order).map_or(&[][..], Vec::as_slice);
        let deaths = case.handing_over.get(order).copied().unwrap_or_default();
        match kept {
            [one] if one.name == *name => verdict.one(*order, one, received, deaths),
            [] => verdict.lose(*order, "was answered OK and is not there"),
            _ => verdict.fault(*order, &format!("is {} notifications", kept.len())),
        }
    }
    for order in kept.keys().chain(received.keys()) {
        if !case.acknowledged.contains_key(order) {
            verdict.fault(*order, "was not asked for to the end");
        }
    }
    verdict.count(case);
    verdict
}

impl Verdict {
    fn fault(&mut self, order: u64, what: &str) {
        self.faults.push(format!("order {order} {what}"));
    }

    fn lose(&mut self, order: u64, what: &str) {
        self.lost += 1;
        self.fault(order, what);
    }

    /// One order that is there once.
    fn one(&mut self, order: u64, one: &Notification, received: &[&Entry], deaths: u32) {
        let attempts = one.messages.iter().flat_map(|message| &message.attempts);
        let results: Vec<&str> = attempts
            .map(|attempt| attempt.status.as_ref().map_or("", |status| &status.message))
            .collect();
        let tries = |result: &str| results.iter().filter(|known| **known == result).count();
        let (ok, unknown) = (tries("ok"), tries("unknown"));
        self.ambiguous += u64::try_from(unknown).unwrap();
        self.ended(order, one, received.len(), unknown);
        if ok > 1 || received.len() > ok + unknown {
            let received = received.len();
            self.unexplained += 1;
            self.fault(order, &format!("was received {received} times over {results:?}: something was sent after its outcome was known"));
        }
        self.repeats(order, received, deaths);
        self.identity(order, one, received);
    }

    fn ended(&mut self, order: u64, one: &Notification, received: usize, unknown: usize) {
        use notification::State::{Expired, Failed, Sent};
        let status = (one.state(), one.state_reason.as_str());
        match status {
            (Sent, "HANDED_OVER") if received > 0 => {}
            (Sent, "HANDED_OVER") => self.lose(order, "is said to be sent, and nobody has it"),
            (Failed, "PROVIDER_UNKNOWN") if unknown > 0 => {}
            (Expired, _) | (Failed, "RETRIES_EXHAUSTED")
                if Kind::of(order) == Kind::Check && received == 0 =>
            {
                self.expired += 1;
            }
            _ => self.lose(
                order,
                &format!("ended {status:?}, received {received} times"),
            ),
        }
    }

    /// Repeats must be explained by what happened outside of the gateway: its death in the middle, an answer that was withheld.
    fn repeats(&mut self, order: u64, received: &[&Entry], deaths: u32) {
        let repeats = received.len().saturating_sub(1);
        let withheld = received.iter().filter(|entry| !entry.told).count();
        let explained = if Kind::of(order) == Kind::Check {
            0
        } else {
            usize::try_from(deaths).unwrap() + withheld
        };
        self.duplicates += u64::try_from(repeats).unwrap();
        if repeats > explained {
            self.unexplained += u64::try_from(repeats - explained).unwrap();
            let times: Vec<_> = received.iter().map(|entry| entry.at).collect();
            self.fault(
                order,
                &format!(
                    "was received at {times:?}, {deaths} deaths and {withheld} withheld answers"
                ),
            );
        }
    }

    /// All of it under one id, the one that the gateway says.
    fn identity(&mut self, order: u64, one: &Notification, received: &[&Entry]) {
        let Some(message) = one.messages.first() else {
            return;
        };
        let id = MessageId::parse(message.name.rsplit('/').next().unwrap()).unwrap();
        for entry in received {
            let expected = match entry.channel.as_str() {
                "email" => format!("<{id}@{}>", shop::DOMAIN),
                "chat" => id.nonce().to_string(),
                _ => String::new(),
            };
            if entry.key != expected {
                self.unexplained += 1;
                let key = &entry.key;
                self.fault(order, &format!("was received as {key}, not {expected}"));
            }
        }
    }

    /// Every intent is in exactly one state, and the store's own count says the same.
    fn count(&mut self, case: &Case) {
        let mut states: BTreeMap<String, i64> = BTreeMap::new();
        for one in &case.notifications {
            let state = one.state().as_str_name().trim_start_matches("STATE_");
            *states.entry(state.to_owned()).or_default() += 1;
        }
        if states != case.tally {
            let fault = format!("the store counts {:?}, there are {states:?}", case.tally);
            self.faults.push(fault);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tidings::proto::{DeliveryAttempt, Message, NotificationIntent, RpcStatus};

    use super::*;

    const ID: &str = "019a0000-0000-7000-8000-00000000002a";

    fn entry(order: u64, told: bool) -> Entry {
        Entry {
            channel: "email".into(),
            order,
            key: format!("<{ID}@shop.example>"),
            connection: 1,
            at: Duration::ZERO,
            told,
        }
    }

    fn sent(order: u64, results: &[&str]) -> Notification {
        let attempts = results.iter().map(|result| DeliveryAttempt {
            status: Some(RpcStatus {
                message: (*result).to_owned(),
                ..RpcStatus::default()
            }),
            ..DeliveryAttempt::default()
        });
        Notification {
            name: format!("notifications/{order}"),
            intent: Some(NotificationIntent {
                reference: shop::reference(order),
                ..NotificationIntent::default()
            }),
            state: notification::State::Sent.into(),
            state_reason: "HANDED_OVER".into(),
            messages: vec![Message {
                name: format!("notifications/{order}/messages/{ID}"),
                attempts: attempts.collect(),
                ..Message::default()
            }],
            ..Notification::default()
        }
    }

    /// Order 1, a mail, sent and received as these say.
    fn case(results: &[&str], ledger: Vec<Entry>) -> Case {
        Case {
            acknowledged: [(1, "notifications/1".to_owned())].into(),
            ledger,
            notifications: vec![sent(1, results)],
            tally: [("SENT".to_owned(), 1)].into(),
            ..Case::default()
        }
    }

    #[test]
    fn what_is_well_is_found_well() {
        let mut well = case(&["unknown", "ok"], vec![entry(1, true), entry(1, true)]);
        well.handing_over.insert(1, 1);
        let verdict = judge(&well);
        assert_eq!(verdict.faults, [""; 0]);
        assert_eq!(
            (verdict.intents, verdict.duplicates, verdict.ambiguous),
            (1, 1, 1)
        );
        let withheld = case(&["unknown", "ok"], vec![entry(1, false), entry(1, true)]);
        assert_eq!(judge(&withheld).faults, [""; 0]);
    }

    #[test]
    fn every_fault_is_found() {
        let lost = Case {
            notifications: Vec::new(),
            tally: BTreeMap::new(),
            ..case(&["ok"], vec![])
        };
        assert_eq!(judge(&lost).lost, 1);
        assert_eq!(judge(&case(&["ok"], vec![])).lost, 1, "nobody has it");
        let mut stuck = case(&["ok"], vec![entry(1, true)]);
        stuck.notifications[0].state = notification::State::Processing.into();
        assert_eq!(judge(&stuck).lost, 1);

        let twice = vec![entry(1, true), entry(1, true)];
        let doubled = judge(&case(&["unknown", "ok"], twice.clone()));
        assert_eq!((doubled.duplicates, doubled.unexplained), (1, 1));
        let mut after = case(&["ok"], twice);
        after.handing_over.insert(1, 1);
        assert_eq!(judge(&after).unexplained, 1, "sent after its outcome");
        let mut renamed = case(&["ok"], vec![entry(1, true)]);
        renamed.ledger[0].key = "<other@shop.example>".into();
        assert_eq!(judge(&renamed).unexplained, 1);

        let mut split = case(&["ok"], vec![entry(1, true)]);
        split.notifications.push(sent(1, &["ok"]));
        assert!(!judge(&split).faults.is_empty());
        let mut stray = case(&["ok"], vec![entry(1, true), entry(2, true)]);
        assert!(!judge(&stray).faults.is_empty());
        stray.ledger.pop();
        assert!(judge(&stray).faults.is_empty());
        stray.tally.insert("FAILED".into(), 1);
        assert!(!judge(&stray).faults.is_empty(), "the count is wrong");
    }

    /// A check is held when its outcome is unknown: death explains no repeat of it.
    #[test]
    fn what_is_held_is_never_repeated() {
        let order = 18;
        assert_eq!(Kind::of(order), Kind::Check);
        let held = Case {
            acknowledged: [(order, format!("notifications/{order}"))].into(),
            ledger: vec![entry(order, true), entry(order, true)],
            handing_over: [(order, 1)].into(),
            notifications: vec![sent(order, &["unknown", "ok"])],
            tally: [("SENT".to_owned(), 1)].into(),
        };
        assert_eq!(judge(&held).unexplained, 1);
    }
}
