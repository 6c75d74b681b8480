//! What nobody knows the end of, and what follows when an operator says it.
//!
//! Promise: whoever is quicker wins, an operator, another one, or the expiry. Each looks at the state under the notification's lock, and
//! an answer of a provider that comes later finds another fence. It does not ask providers.

use std::collections::{BTreeSet, HashMap};

use jiff::Timestamp;
use serde_json::json;

use super::batch::Tx;
use super::erase::DETAILS;
use super::lookup;
use super::open::Open;
use super::rows::{Head, Letter, Task, cut, from_json, head_columns};
use super::session::{Session, Statement, bind, find_ids, id_list, select};
use super::statement::by_ids;
use super::unit::Unit;
use crate::domain::channel::Lane;
use crate::domain::decision::{Decision, Rule, Step, StepOutcome, Verdict};
use crate::domain::id::{MessageId, NotificationId};
use crate::domain::notification::{Message, MessageState};
use crate::domain::policy::Resolution;
use crate::domain::reason::{Reason, Status};
use crate::domain::shop::ShopId;
use crate::store::{Resolved, Said, StoreResult, Unknown, UnknownPlace};

/// One lane's, what ends first before the rest.
pub(super) const PAGE: Statement<'_> = Statement::same(
    "SELECT n.id FROM notification n WHERE n.task = 'unknown' AND n.lane = ?1 AND n.due_at >= ?2 AND n.shop = ?3 \
     AND (n.due_at > ?2 OR n.id > ?4) ORDER BY n.due_at, n.id LIMIT ?5",
);
pub(super) const HEADS: Statement<'_> =
    by_ids!(head_columns!(), "notification" "n", "n.id", "", "", "");

pub(super) fn list(
    session: &mut dyn Session,
    shop: &ShopId,
    after: Option<UnknownPlace>,
    limit: u32,
) -> StoreResult<Vec<Unknown>> {
    let ids = page(session, shop, after, limit)?;
    let list = id_list(&ids);
    let mut heads = select(session, HEADS, &bind![&list], Head::read)?;
    heads.sort_by_key(|head| ids.iter().position(|id| *id == head.id));
    let mut messages: HashMap<NotificationId, Vec<Message>> = HashMap::new();
    for letter in select(session, lookup::MESSAGES, &bind![list], Letter::read)? {
        let message = letter.message;
        if message.state == MessageState::Unknown {
            let of = messages.entry(message.notification).or_default();
            of.push(message);
        }
    }
    let unknown = |head: Head| Unknown {
        notification: head.id,
        caller: head.identity.caller,
        template: head.template,
        category: head.category,
        since: head.update_time,
        expire_time: head.expire_time,
        messages: messages.remove(&head.id).unwrap_or_default(),
    };
    Ok(heads.into_iter().map(unknown).collect())
}

fn page(
    session: &mut dyn Session,
    shop: &ShopId,
    after: Option<UnknownPlace>,
    limit: u32,
) -> StoreResult<Vec<NotificationId>> {
    let mut ids = Vec::new();
    for lane in Lane::ALL {
        let room = i64::from(limit) - i64::try_from(ids.len()).unwrap_or(i64::MAX);
        let (due_at, id) = match &after {
            Some(place) if place.lane > *lane => continue,
            Some(place) if place.lane == *lane => {
                (place.expire_time, *place.notification.as_bytes())
            }
            _ => (Timestamp::UNIX_EPOCH, [0; 16]),
        };
        if room > 0 {
            let parameters = bind![lane.as_str(), due_at, shop, &id, room];
            ids.extend(find_ids(session, PAGE, &parameters)?);
        }
    }
    Ok(ids)
}

pub(super) fn resolve(tx: &mut Tx<'_>, shop: &ShopId, said: &Said) -> StoreResult<Resolved> {
    let id = said.notification;
    let mut unit = Unit::default();
    unit.load(tx, &[id])?;
    let open = unit.get_mut(id);
    let Some(open) = open.filter(|open| open.head.identity.shop == *shop) else {
        return ended(tx, shop, id);
    };
    let of_it = |message: MessageId| open.held.iter().any(|one| one.letter.message.id == message);
    if said.message.is_some_and(|message| !of_it(message)) {
        return Ok(Resolved::NotFound);
    }
    let asked = asked(open, said.message);
    if asked.is_empty() && !(is_whole(open) && said.message.is_none()) {
        return Ok(Resolved::NotUnknown(open.head.status));
    }
    if open.is_erased() && said.resolution == Resolution::Resend {
        return Ok(Resolved::Erased);
    }
    apply(open, &asked, said);
    open.decision = Some(traced(tx, said)?);
    let status = open.head.status;
    unit.flush(tx)?;
    Ok(Resolved::Done(status))
}

/// One that is not open: it has ended, or is not there for this shop.
fn ended(tx: &mut Tx<'_>, shop: &ShopId, id: NotificationId) -> StoreResult<Resolved> {
    let mut found = lookup::notifications(tx.session, &BTreeSet::from([id]), false)?;
    let own = found.pop().filter(|one| one.identity.shop == *shop);
    Ok(own.map_or(Resolved::NotFound, |one| Resolved::NotUnknown(one.status)))
}

/// The messages that are unknown, all or the one that was named.
fn asked(open: &Open, named: Option<MessageId>) -> Vec<MessageId> {
    open.held
        .iter()
        .filter(|held| held.letter.message.state == MessageState::Unknown)
        .map(|held| held.letter.message.id)
        .filter(|id| named.is_none_or(|named| named == *id))
        .collect()
}

/// Whether it is unknown itself, with no message that is: it had none yet when the store was restored.
fn is_whole(open: &Open) -> bool {
    open.head.task == Some(Task::Unknown) && asked(open, None).is_empty()
}

fn apply(open: &mut Open, asked: &[MessageId], said: &Said) {
    let now = said.now;
    if asked.is_empty() {
        return match said.resolution {
            Resolution::Sent => open.conclude(Status::from(Reason::HandedOver), now),
            Resolution::Drop => open.conclude(Status::UNKNOWN_ENDED, now),
            Resolution::Resend => {
                let accepted = Status::from(Reason::Accepted);
                open.wait(accepted, Some(Task::Plan), Some(now), now);
            }
        };
    }
    for id in asked {
        let Some(held) = open.message_mut(*id) else {
            continue;
        };
        held.change.mark();
        let message = &mut held.letter.message;
        match said.resolution {
            Resolution::Sent => message.state = MessageState::Sent,
            // That it may have been sent is remembered beside its state.
            Resolution::Drop => message.state = MessageState::Undeliverable,
            Resolution::Resend => {
                message.state = MessageState::Queued;
                message.due_at = cut(now);
            }
        }
    }
    let is_open = |state| {
        matches!(
            state,
            MessageState::Queued | MessageState::Sending | MessageState::Unknown
        )
    };
    if open.held.iter().any(|held| is_open(held.state())) {
        open.follow(Reason::Retry, now);
    } else {
        open.end_unknown(now);
    }
}

/// The decision with a line about what was said.
fn traced(tx: &mut Tx<'_>, said: &Said) -> StoreResult<Decision> {
    let list = id_list([&said.notification]);
    let decided = select(tx.session, DETAILS, &bind![list], |row| {
        row.get::<Option<String>>(2)
    })?;
    let decided = decided.into_iter().flatten().next();
    let mut decision = match decided {
        Some(text) => from_json(&text)?,
        None => Decision {
            verdict: Verdict::End {
                reason: Reason::ProviderUnknown,
            },
            steps: Vec::new(),
            policy_version: String::new(),
            time: said.now,
        },
    };
    decision.steps.push(step(said));
    Ok(decision)
}

fn step(said: &Said) -> Step {
    let (by, resolution) = (&said.by, said.resolution);
    let words = match resolution {
        Resolution::Sent => "it was sent",
        Resolution::Resend => "it is to be sent again",
        Resolution::Drop => "it is to be dropped",
    };
    let colon = if said.reason.is_empty() { "" } else { ": " };
    let mut evidence = serde_json::Map::new();
    evidence.insert("by".to_owned(), json!(by.as_str()));
    evidence.insert("time".to_owned(), json!(said.now.to_string()));
    evidence.insert("resolution".to_owned(), json!(resolution.as_str()));
    if let Some(message) = said.message {
        evidence.insert("message".to_owned(), json!(message.to_string()));
    }
    Step {
        rule: Rule::Operator,
        outcome: StepOutcome::Pass,
        reason: None,
        summary: format!(
            "{by} said at {:.0} that {words}{colon}{}",
            said.now, said.reason
        ),
        evidence,
        channel: None,
    }
}
