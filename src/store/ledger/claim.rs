//! Beginning a hand-over: everything that may have changed since the message was queued is checked here, in the transaction
//! that writes the attempt, and what follows from a refusal is written with it.

use std::collections::{HashMap, HashSet};

use super::batch::Tx;
use super::facts::{AddressKey, suppressed};
use super::open::{Charge, Held};
use super::rows::cut;
use super::session::{Statement, bind, blob, corrupt, find_ids, message_list, select};
use super::statement::by_ids;
use super::unit::Unit;
use crate::domain::id::AttemptId;
use crate::domain::notification::{Attempt, AttemptResult, MessageState};
use crate::domain::reason::{Reason, State, Status};
use crate::store::{Claim, ClaimOutcome, StoreResult};

pub(super) const UNDER_WAY: Statement<'_> = by_ids!(
    "a.id, a.number",
    "attempt" "a",
    "a.message",
    "",
    " AND a.result = 'sending'",
    ""
);

/// The notifications of messages, none while the store is held.
pub(super) const CLAIMABLE: Statement<'_> = by_ids!(
    "DISTINCT m.notification",
    "message" "m",
    "m.id",
    "",
    " AND NOT EXISTS (SELECT 1 FROM meta WHERE name = 'hold')",
    ""
);

pub(super) fn run(tx: &mut Tx<'_>, claims: &[&Claim]) -> StoreResult<Vec<ClaimOutcome>> {
    let mut unit = Unit::default();
    let messages = message_list(claims.iter().map(|claim| &claim.message));
    let claimable = find_ids(tx.session, CLAIMABLE, &bind![messages])?;
    unit.load(tx, &claimable)?;
    let addresses: HashSet<_> = unit
        .iter()
        .flat_map(|open| {
            let shop = &open.head.identity.shop;
            open.held.iter().map(|held| held.letter.address_key(shop))
        })
        .collect();
    let dead = suppressed(tx.session, &addresses)?;
    let begun = begun(tx, &mut unit, claims)?;
    let outcomes = claims
        .iter()
        .map(|claim| begin(&mut unit, claim, &dead, &begun))
        .collect();
    unit.flush(tx)?;
    Ok(outcomes)
}

/// Which claims have begun their hand-over already, with how many tries it was: the caller did not hear our answer and asks again.
fn begun(
    tx: &mut Tx<'_>,
    unit: &mut Unit,
    claims: &[&Claim],
) -> StoreResult<HashMap<AttemptId, u32>> {
    let again: Vec<_> = claims
        .iter()
        .filter(|claim| {
            unit.by_message(claim.message)
                .and_then(|open| open.message_mut(claim.message))
                .is_some_and(|held| is_repeat(held, claim))
        })
        .map(|claim| &claim.message)
        .collect();
    if again.is_empty() {
        return Ok(HashMap::new());
    }
    let found = select(tx.session, UNDER_WAY, &bind![message_list(again)], |row| {
        let id = AttemptId::from_slice(blob(row, 0)?)
            .ok_or_else(|| corrupt("an id that is not 16 bytes long"))?;
        Ok((id, row.get(1)?))
    })?;
    Ok(found.into_iter().collect())
}

fn is_repeat(held: &Held, claim: &Claim) -> bool {
    held.state() == MessageState::Sending && held.letter.message.fence == claim.fence + 1
}

fn begin(
    unit: &mut Unit,
    claim: &Claim,
    dead: &HashMap<AddressKey, String>,
    begun: &HashMap<AttemptId, u32>,
) -> ClaimOutcome {
    let Some(open) = unit.by_message(claim.message) else {
        return ClaimOutcome::Refused;
    };
    let now = claim.now;
    let shop = open.head.identity.shop.clone();
    let expired = open.head.expire_time.as_microsecond() <= now.as_microsecond();
    let underway = matches!(open.head.status.state, State::Processing | State::Scheduled);
    let Some(held) = open.message_mut(claim.message) else {
        return ClaimOutcome::Refused;
    };
    if let (true, Some(tries)) = (is_repeat(held, claim), begun.get(&claim.attempt)) {
        return ClaimOutcome::Claimed {
            fence: claim.fence + 1,
            tries: *tries,
        };
    }
    let current = held.state() == MessageState::Queued && held.letter.message.fence == claim.fence;
    if !current || !underway {
        return ClaimOutcome::Refused;
    }
    let suppressed = dead.contains_key(&held.letter.address_key(&shop));
    if expired {
        open.call_off(Status::from(Reason::Expired), now);
        return ClaimOutcome::Refused;
    }
    if suppressed {
        if !open.decide_again(now) {
            open.call_off(Status::from(Reason::AddressSuppressed), now);
        }
        return ClaimOutcome::Refused;
    }
    held_over(open, claim).map_or(ClaimOutcome::Refused, |attempt| {
        let fence = claim.fence + 1;
        unit.begin_attempt(&attempt);
        ClaimOutcome::Claimed {
            fence,
            tries: attempt.number,
        }
    })
}

/// Puts the message into the worker's hands.
fn held_over(open: &mut super::open::Open, claim: &Claim) -> Option<Attempt> {
    if open.head.bundle.is_empty() {
        open.head.bundle.clone_from(&claim.bundle);
    }
    let held = open.message_mut(claim.message)?;
    held.change.mark();
    let message = &mut held.letter.message;
    message.state = MessageState::Sending;
    message.fence += 1;
    message.tries += 1;
    message.provider.clone_from(&claim.provider);
    message.sms_segments = claim.sms_segments;
    let number = message.tries;
    open.charge = Charge::Move(claim.now);
    open.follow(Reason::Ready, claim.now);
    Some(Attempt {
        id: claim.attempt,
        message: claim.message,
        provider: claim.provider.clone(),
        start_time: cut(claim.now),
        end_time: None,
        number,
        result: AttemptResult::Sending,
        reply: String::new(),
        content_hash: claim.content_hash.clone(),
    })
}
