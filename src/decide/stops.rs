//! What ends an intent, or puts it off, before any channel is looked at.

use super::{Facts, Objection, Trace, experiment};
use crate::domain::channel::Category;
use crate::domain::decision::Rule;
use crate::domain::reason::Reason;

/// Asks every stop in order; the answer is the chosen variant's name.
pub(super) fn check(facts: &Facts<'_>, trace: &mut Trace) -> Result<String, Objection> {
    trace.pass(
        Rule::Schema,
        format!("variables match {}@{}", facts.manifest.key, facts.bundle),
    );
    request(facts, trace)?;
    collapse(facts, trace)?;
    expiry(facts, trace)?;
    send_time(facts, trace)?;
    let variant = holdout(facts, trace)?;
    topic(facts, trace)?;
    Ok(variant)
}

fn request(facts: &Facts<'_>, trace: &mut Trace) -> Result<(), Objection> {
    match &facts.case.once {
        Some((caller, first)) => {
            let objection = trace.end(
                Rule::Request,
                Reason::DuplicateOnceKey,
                "another with its once key was accepted before",
            );
            // Another caller's notification is not named to this one.
            if *caller == facts.case.notification.identity.caller {
                trace.evidence("first", format!("notifications/{first}").into());
            }
            Err(objection)
        }
        None => {
            trace.pass(Rule::Request, "new");
            Ok(())
        }
    }
}

fn collapse(facts: &Facts<'_>, trace: &mut Trace) -> Result<(), Objection> {
    let intent = &facts.case.notification.intent;
    if intent.collapse_key.is_empty() {
        return Ok(());
    }
    let Some((newer, handed_over)) = facts.case.newer else {
        trace.pass(Rule::Collapse, "the newest with its collapse key");
        return Ok(());
    };
    let objection = if handed_over {
        trace.end(
            Rule::Collapse,
            Reason::Collapsed,
            "a newer one with its collapse key has gone out",
        )
    } else {
        trace.end(
            Rule::Collapse,
            Reason::Superseded,
            "a newer one with its collapse key is on its way",
        )
    };
    trace.evidence("newer", format!("notifications/{newer}").into());
    Err(objection)
}

fn expiry(facts: &Facts<'_>, trace: &mut Trace) -> Result<(), Objection> {
    let expire_time = facts.case.notification.intent.expire_time;
    if expire_time <= facts.now() {
        return Err(trace.end(
            Rule::Expiry,
            Reason::Expired,
            format!("expired {expire_time:.0}"),
        ));
    }
    trace.pass(Rule::Expiry, format!("expires {expire_time:.0}"));
    Ok(())
}

fn send_time(facts: &Facts<'_>, trace: &mut Trace) -> Result<(), Objection> {
    match facts.case.notification.intent.send_time {
        Some(send_time) if send_time > facts.now() => Err(trace.hold(
            Rule::SendTime,
            Reason::SendTime,
            send_time,
            format!("not before {send_time:.0}, as the caller asked"),
        )),
        _ => Ok(()),
    }
}

fn holdout(facts: &Facts<'_>, trace: &mut Trace) -> Result<String, Objection> {
    let customer = facts.case.customer.id.as_str();
    let manifest = facts.manifest;
    let Some(variant) =
        experiment::variant(&manifest.variants, &manifest.key, customer, &manifest.salt)
    else {
        return Ok(String::new());
    };
    if variant.name == experiment::HOLDOUT {
        return Err(trace.end(
            Rule::Holdout,
            Reason::Holdout,
            "the customer is in the group that gets nothing",
        ));
    }
    trace.pass(Rule::Holdout, format!("variant {}", variant.name));
    Ok(variant.name.clone())
}

fn topic(facts: &Facts<'_>, trace: &mut Trace) -> Result<(), Objection> {
    let topic = &facts.manifest.topic;
    if facts.manifest.category == Category::Critical {
        trace.pass(Rule::Topic, "critical: the customer's choices do not count");
        return Ok(());
    }
    if facts
        .case
        .customer
        .preferences
        .topic(topic)
        .is_some_and(|preference| preference.opted_out)
    {
        return Err(trace.end(
            Rule::Topic,
            Reason::TopicOptedOut,
            format!("{topic} is off"),
        ));
    }
    trace.pass(Rule::Topic, format!("{topic} is on"));
    Ok(())
}
