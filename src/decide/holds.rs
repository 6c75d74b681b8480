//! What makes a notification wait although it may be sent.

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use super::{Facts, Objection, Trace};
use crate::domain::budget::Budget;
use crate::domain::channel::{Category, Channel};
use crate::domain::decision::Rule;
use crate::domain::policy::{OnBudget, Pause};
use crate::domain::reason::Reason;

/// Asks every hold in order.
pub(super) fn check(
    facts: &Facts<'_>,
    trace: &mut Trace,
    channels: &[Channel],
) -> Result<(), Objection> {
    pause(facts, trace, channels)?;
    customer_pause(facts, trace)?;
    outcome(facts, trace)?;
    let zone = Zone::of(facts);
    // Quiet hours are the customer's, the window is marketing's: the trace names the stronger one first.
    quiet_hours(facts, trace, &zone)?;
    window(facts, trace, &zone)?;
    budget(facts, trace, &zone)
}

/// The customer's zone, else the shop's, else UTC.
struct Zone {
    name: String,
    zone: TimeZone,
}

impl Zone {
    fn of(facts: &Facts<'_>) -> Self {
        let own = facts.case.customer.profile.time_zone.as_str();
        Self::named([own, facts.policy.time_zone.as_str()])
    }

    fn named<'a>(names: impl IntoIterator<Item = &'a str>) -> Self {
        let found = names
            .into_iter()
            .filter(|name| !name.is_empty())
            .find_map(|name| {
                let zone = TimeZone::get(name).ok()?;
                Some(Self {
                    name: name.to_owned(),
                    zone,
                })
            });
        found.unwrap_or_else(|| Self {
            name: "UTC".into(),
            zone: TimeZone::UTC,
        })
    }

    fn clock(&self, at: Timestamp) -> String {
        format!(
            "{} in {}",
            at.to_zoned(self.zone.clone()).strftime("%H:%M"),
            self.name
        )
    }

    fn date(&self, at: Timestamp) -> String {
        format!(
            "{} {}",
            at.to_zoned(self.zone.clone()).strftime("%Y-%m-%d %H:%M"),
            self.name
        )
    }
}

fn pause(facts: &Facts<'_>, trace: &mut Trace, channels: &[Channel]) -> Result<(), Objection> {
    let identity = &facts.case.notification.identity;
    let concerns = |pause: &&Pause| match pause.kind.as_str() {
        "channel" => channels
            .iter()
            .any(|channel| channel.as_str() == pause.value),
        "category" => facts.manifest.category.as_str() == pause.value,
        "template" => facts.manifest.key == pause.value,
        "topic" => facts.manifest.topic == pause.value,
        "caller" => identity.caller.as_str() == pause.value,
        "shop" => identity.shop.as_str() == pause.value,
        _ => false,
    };
    let in_force = |pause: &&Pause| pause.until.is_none_or(|until| until > facts.now());
    let Some(pause) = facts.case.pauses.iter().filter(in_force).find(concerns) else {
        return Ok(());
    };
    let until = pause.until.unwrap_or(Timestamp::MAX);
    let summary = format!("{} {} is paused: {}", pause.kind, pause.value, pause.reason);
    Err(trace.hold(Rule::Pause, Reason::DeliveryPaused, until, summary))
}

fn customer_pause(facts: &Facts<'_>, trace: &mut Trace) -> Result<(), Objection> {
    let preferences = &facts.case.customer.preferences;
    let Some(until) = preferences.pause_until.filter(|until| *until > facts.now()) else {
        return Ok(());
    };
    let passes = match facts.manifest.category {
        Category::Critical => true,
        Category::Transactional => !preferences.pause_all,
        Category::Relationship | Category::Marketing => false,
    };
    if passes {
        trace.pass(
            Rule::CustomerPause,
            format!("the customer pauses until {until:.0}, but not this category"),
        );
        return Ok(());
    }
    Err(trace.hold(
        Rule::CustomerPause,
        Reason::CustomerPaused,
        until,
        format!("the customer pauses until {until:.0}"),
    ))
}

fn outcome(facts: &Facts<'_>, trace: &mut Trace) -> Result<(), Objection> {
    let Some(required) = &facts.manifest.requires_outcome else {
        return Ok(());
    };
    if facts.case.outcomes.contains(required) {
        trace.pass(Rule::Outcome, format!("{required} has happened"));
        return Ok(());
    }
    // Whoever records the outcome has it decided again at once.
    let until = facts.case.notification.intent.expire_time;
    Err(trace.hold(
        Rule::Outcome,
        Reason::OutcomeRequired,
        until,
        format!("{required} has not happened"),
    ))
}

fn quiet_hours(facts: &Facts<'_>, trace: &mut Trace, zone: &Zone) -> Result<(), Objection> {
    let applies = facts
        .policy
        .quiet_categories
        .contains(&facts.manifest.category)
        || facts.manifest.quiet_hours;
    if !applies || facts.manifest.category == Category::Critical {
        trace.pass(
            Rule::QuietHours,
            format!("{} may be sent at any hour", facts.manifest.category),
        );
        return Ok(());
    }
    let own = facts.case.customer.preferences.quiet_hours.as_ref();
    let own_zone = own
        .filter(|own| !own.time_zone.is_empty())
        .map(|own| Zone::named([own.time_zone.as_str()]));
    let zone = own_zone.as_ref().unwrap_or(zone);
    let hours = own.map_or(facts.policy.quiet_hours, |own| own.window);
    let now = facts.now();
    let Some(end) = hours.quiet_until(now, &zone.zone) else {
        trace.pass(
            Rule::QuietHours,
            format!("{}, quiet {hours}", zone.clock(now)),
        );
        return Ok(());
    };
    // What was held is spread over the first minutes after the end, so that nobody's morning starts with a flood.
    let until = end.checked_add(spread(facts)).unwrap_or(end);
    let summary = format!("{}, quiet {hours} → {}", zone.clock(now), zone.date(until));
    let objection = trace.hold(Rule::QuietHours, Reason::QuietHours, until, summary);
    trace.evidence("quiet_hours", format!("{hours} {}", zone.name).into());
    Err(objection)
}

fn spread(facts: &Facts<'_>) -> SignedDuration {
    let millis = u64::try_from(facts.policy.spread.as_millis()).unwrap_or(0);
    let tail = facts
        .case
        .notification
        .id
        .as_bytes()
        .iter()
        .rev()
        .take(7)
        .fold(0_u64, |value, byte| value << 8 | u64::from(*byte));
    let share = tail.checked_rem(millis).unwrap_or(0);
    SignedDuration::from_millis(i64::try_from(share).unwrap_or(0))
}

fn window(facts: &Facts<'_>, trace: &mut Trace, zone: &Zone) -> Result<(), Objection> {
    let Some(window) = &facts.manifest.send_window else {
        return Ok(());
    };
    let now = facts.now();
    match window.opens_at(now, &zone.zone) {
        None => {
            trace.pass(
                Rule::Window,
                format!("{}, open {}", zone.clock(now), window.hours),
            );
            Ok(())
        }
        Some(opens) => {
            let summary = format!("{}, opens {}", zone.clock(now), zone.date(opens));
            Err(trace.hold(Rule::Window, Reason::OutsideSendWindow, opens, summary))
        }
    }
}

fn budget(facts: &Facts<'_>, trace: &mut Trace, zone: &Zone) -> Result<(), Objection> {
    let candidate = facts.usage();
    let own = own_ceiling(facts);
    let limits: Vec<&Budget> = facts
        .policy
        .budgets
        .iter()
        .chain(own.as_ref())
        .filter(|budget| budget.limits(&candidate))
        .collect();
    if limits.is_empty() {
        trace.pass(
            Rule::Budget,
            format!("{} is not limited", facts.manifest.category),
        );
        return Ok(());
    }
    let now = facts.now();
    let usage = &facts.case.usage;
    let full = limits
        .iter()
        .filter_map(|budget| Some((budget.free_at(usage, &candidate, now)?, *budget)));
    let Some((until, budget)) = full.max_by_key(|(free, _)| *free) else {
        let room = limits.iter().map(|budget| {
            format!(
                "{} {} of {}",
                budget.name,
                budget.used(usage, &candidate, now).len(),
                budget.max
            )
        });
        trace.pass(Rule::Budget, room.collect::<Vec<_>>().join(", "));
        return Ok(());
    };
    let used = budget.used(usage, &candidate, now);
    let list: Vec<String> = used
        .iter()
        .map(|past| {
            format!(
                "{} ({})",
                past.template,
                past.at.to_zoned(zone.zone.clone()).strftime("%m-%d")
            )
        })
        .collect();
    let days = budget.window.as_hours() / 24;
    let span = match days {
        1 => "a day".to_owned(),
        days => format!("{days} days"),
    };
    let summary = format!(
        "{} allows {} in {span}, {} counted: {}",
        budget.name,
        budget.max,
        used.len(),
        list.join(", ")
    );
    let objection = match facts.manifest.on_budget {
        OnBudget::Skip => trace.end(Rule::Budget, Reason::BudgetSkipped, summary),
        OnBudget::Delay => {
            let summary = if until == Timestamp::MAX {
                summary
            } else {
                format!("{summary} → {}", zone.date(until))
            };
            trace.hold(Rule::Budget, Reason::BudgetExceeded, until, summary)
        }
    };
    trace.evidence("budget", budget.name.clone().into());
    trace.evidence("max", budget.max.into());
    trace.evidence("used", list.into());
    Err(objection)
}

/// The customer's own ceiling for the topic, as a budget.
fn own_ceiling(facts: &Facts<'_>) -> Option<Budget> {
    let preference = facts
        .case
        .customer
        .preferences
        .topic(&facts.manifest.topic)?;
    if preference.max_per_30_days == 0
        || matches!(
            facts.manifest.category,
            Category::Critical | Category::Transactional
        )
    {
        return None;
    }
    Some(Budget {
        name: format!("own ceiling for {}", preference.topic),
        categories: Vec::new(),
        templates: vec![facts.manifest.key.clone()],
        window: SignedDuration::from_hours(30 * 24),
        max: preference.max_per_30_days,
        per_subject: false,
    })
}
