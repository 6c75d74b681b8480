//! Which channels are left, and in which order.

use super::{Facts, Objection, Trace, names};
use crate::domain::channel::{Category, Channel};
use crate::domain::decision::Rule;
use crate::domain::intent::RoutingMethod;
use crate::domain::reason::Reason;

/// A reason against one channel, with a sentence, or nothing against it.
type Fall = Option<(Reason, String)>;

/// What a filter asks about one channel.
type Against = fn(&Facts<'_>, Channel) -> Fall;

/// Asks every filter about every channel that is left. At least one channel comes out.
pub(super) fn filter(facts: &Facts<'_>, trace: &mut Trace) -> Result<Vec<Channel>, Objection> {
    let filters: [(Rule, Against); 7] = [
        (Rule::Address, address),
        (Rule::Suppression, suppression),
        (Rule::Consent, consent),
        (Rule::Channel, turned_off),
        (Rule::Content, content),
        (Rule::Dispatch, failed_before),
        (Rule::Route, route),
    ];
    let mut left = Channel::ALL.to_vec();
    let mut fallen = Vec::new();
    for (rule, against) in filters {
        left.retain(|channel| match against(facts, *channel) {
            None => true,
            Some((reason, summary)) => {
                trace.skip(rule, *channel, reason, &summary);
                fallen.push((*channel, reason, summary));
                false
            }
        });
        if left.is_empty() {
            let (reason, why) = last_fall(facts, &fallen);
            return Err(trace.end(rule, reason, format!("no channel is left; {why}")));
        }
        if !matches!(rule, Rule::Dispatch | Rule::Route) {
            trace.pass(rule, kept(facts, rule, &left));
        }
    }
    Ok(left)
}

/// What a filter that left channels says about them.
fn kept(facts: &Facts<'_>, rule: Rule, left: &[Channel]) -> String {
    let left = names(left);
    let category = facts.manifest.category;
    match (rule, category) {
        (Rule::Suppression, _) => format!("no entry for {left}"),
        (Rule::Consent, Category::Critical | Category::Transactional) => {
            format!("{category} needs none")
        }
        (Rule::Consent, Category::Relationship) => {
            format!("{category} by {left}: no objection")
        }
        (Rule::Consent, Category::Marketing) => format!("{category} by {left}: on record"),
        (Rule::Channel, Category::Critical) => format!("{category} may use any"),
        (Rule::Channel, _) => format!("{left}: not turned off for {}", facts.manifest.topic),
        (Rule::Content, _) => format!("{} has {left}", facts.manifest.key),
        _ => left,
    }
}

/// The reason of the last channel that fell, of those that the caller asked for; a failed hand-over weighs more than all.
fn last_fall(facts: &Facts<'_>, fallen: &[(Channel, Reason, String)]) -> (Reason, String) {
    let asked = |channel: Channel| asked_for(facts).is_none_or(|asked| asked.contains(&channel));
    let last = fallen.iter().rfind(|(channel, ..)| asked(*channel));
    let (reason, why) = last.map_or(
        (Reason::NoContactPoint, String::new()),
        |(_, reason, why)| (*reason, why.clone()),
    );
    if facts.case.failed.is_empty() {
        (reason, why)
    } else {
        (Reason::ProviderRejected, why)
    }
}

fn asked_for<'a>(facts: &Facts<'a>) -> Option<&'a [Channel]> {
    let routing = facts.case.notification.intent.routing.as_ref()?;
    (!routing.channels.is_empty()).then_some(routing.channels.as_slice())
}

fn address(facts: &Facts<'_>, channel: Channel) -> Fall {
    let missing = facts.case.customer.profile.address(channel).is_none();
    missing.then(|| {
        (
            Reason::NoContactPoint,
            format!("{channel}: the customer has no address there"),
        )
    })
}

fn suppression(facts: &Facts<'_>, channel: Channel) -> Fall {
    let (_, why) = facts
        .case
        .suppressed
        .iter()
        .find(|(suppressed, _)| *suppressed == channel)?;
    Some((
        Reason::AddressSuppressed,
        format!("{channel}: on the list ({why})"),
    ))
}

fn consent(facts: &Facts<'_>, channel: Channel) -> Fall {
    let category = facts.manifest.category;
    let recorded = facts.case.customer.preferences.consent(category, channel);
    let why = match category {
        Category::Critical | Category::Transactional => return None,
        Category::Relationship | Category::Marketing if facts.case.customer.is_guest() => {
            "a guest gave none"
        }
        Category::Relationship => match recorded {
            Some(consent) if !consent.granted => "objected to",
            _ => return None,
        },
        Category::Marketing => match recorded {
            Some(consent) if consent.granted => return None,
            Some(_) => "withdrawn",
            None => "never given",
        },
    };
    Some((
        Reason::ConsentMissing,
        format!("{category} by {channel}: {why}"),
    ))
}

fn turned_off(facts: &Facts<'_>, channel: Channel) -> Fall {
    if facts.manifest.category == Category::Critical {
        return None;
    }
    let preference = facts
        .case
        .customer
        .preferences
        .topic(&facts.manifest.topic)?;
    let off =
        !preference.enabled_channels.is_empty() && !preference.enabled_channels.contains(&channel);
    off.then(|| {
        (
            Reason::ChannelDisabledByCustomer,
            format!("{channel} is off for {}", preference.topic),
        )
    })
}

fn content(facts: &Facts<'_>, channel: Channel) -> Fall {
    let missing = !facts.content.contains(&channel);
    missing.then(|| {
        (
            Reason::NoContentForChannel,
            format!("{} has none for {channel}", facts.manifest.key),
        )
    })
}

fn failed_before(facts: &Facts<'_>, channel: Channel) -> Fall {
    let failed = facts.case.failed.contains(&channel);
    failed.then(|| {
        (
            Reason::ProviderRejected,
            format!("{channel} failed for good"),
        )
    })
}

fn route(facts: &Facts<'_>, channel: Channel) -> Fall {
    let cut = !asked_for(facts)?.contains(&channel);
    cut.then(|| {
        (
            Reason::NoContactPoint,
            format!("{channel}: the caller asked for others"),
        )
    })
}

/// Orders what is left and splits it: those to send on now, those to fall back to.
pub(super) fn choose(
    facts: &Facts<'_>,
    trace: &mut Trace,
    left: Vec<Channel>,
) -> (Vec<Channel>, Vec<Channel>) {
    let (order, whose) = order(facts);
    let mut ordered = left;
    // A stable sort: channels that the order does not name keep their place behind those it names.
    ordered.sort_by_key(|channel| {
        order
            .iter()
            .position(|named| named == channel)
            .unwrap_or(usize::MAX)
    });

    let all = facts
        .case
        .notification
        .intent
        .routing
        .as_ref()
        .is_some_and(|routing| routing.method == RoutingMethod::All);
    if all {
        trace.pass(
            Rule::Choice,
            format!("{} (the caller asked for all)", names(&ordered)),
        );
        return (ordered, Vec::new());
    }
    let then = ordered.split_off(1.min(ordered.len()));
    let rest = if then.is_empty() {
        String::new()
    } else {
        format!(", then {}", names(&then))
    };
    trace.pass(Rule::Choice, format!("{} ({whose}){rest}", names(&ordered)));
    (ordered, then)
}

fn order<'a>(facts: &Facts<'a>) -> (&'a [Channel], &'static str) {
    let preferences = &facts.case.customer.preferences;
    let by_topic = preferences
        .topic(&facts.manifest.topic)
        .map(|preference| preference.enabled_channels.as_slice());
    let by_category = preferences
        .category_orders
        .iter()
        .find(|order| order.category == facts.manifest.category);
    [
        (asked_for(facts), "the caller's order"),
        (by_topic, "topic order"),
        (
            by_category.map(|order| order.channels.as_slice()),
            "category order",
        ),
        (
            Some(preferences.channel_order.as_slice()),
            "the customer's preferred channel",
        ),
        (
            Some(facts.manifest.channels.as_slice()),
            "the template's order",
        ),
    ]
    .into_iter()
    .find_map(|(order, whose)| {
        order
            .filter(|order| !order.is_empty())
            .map(|order| (order, whose))
    })
    .unwrap_or((facts.policy.channel_order.as_slice(), "the shop's order"))
}
