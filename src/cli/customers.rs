//! `tidings customers`: view, upsert, import, preferences, erase.

use std::path::Path;

use super::args::{CustomersCommand, PreferencesOptions, UpsertOptions};
use super::bulk::{self, Progress};
use super::failure::Failure;
use super::output::{Output, Tone, Toned};
use super::session::Session;
use super::show;
use crate::client::{Refusal, Target};
use crate::domain::channel::Channel;
use crate::proto::{
    self, BatchUpsertCustomersRequest, ContactPoint, Customer, FieldMask, Preferences,
    TopicPreference, UpdatePreferencesRequest, UpsertCustomerRequest,
};

/// Customers stored by one call.
const BATCH: usize = 100;

/// Bytes of one call at most; the service takes 4 MiB.
const BATCH_BYTES: u64 = 2 * 1024 * 1024;

pub(super) async fn run(
    target: &Target,
    output: &mut Output,
    command: CustomersCommand,
) -> Result<(), Failure> {
    match command {
        CustomersCommand::View { customer } => view(target, output, &customer).await,
        CustomersCommand::Upsert(options) => upsert(target, output, options).await,
        CustomersCommand::Import { file } => import(target, output, &file).await,
        CustomersCommand::Preferences(options) => preferences(target, output, options).await,
        CustomersCommand::Erase { customer, yes } => erase(target, output, &customer, yes).await,
    }
}

async fn view(target: &Target, output: &mut Output, id: &str) -> Result<(), Failure> {
    let session = Session::open(target).await?;
    let customer = session.customer(id).await?.ok_or_else(|| {
        Failure::failed(
            format!("there is no customer {id:?} (CUSTOMER_NOT_FOUND)"),
            "check the id, or create the customer with: tidings customers upsert",
        )
    })?;
    show_customer(&session, output, &customer)
}

fn show_customer(
    session: &Session,
    output: &mut Output,
    customer: &Customer,
) -> Result<(), Failure> {
    if output.is_json() {
        return Ok(output.json(&session.write("Customer", customer)?)?);
    }
    let full_name = format!("{} {}", customer.given_name, customer.family_name);
    let changed = output.time(customer.update_time.as_ref());
    let mut fields: Vec<(String, Toned)> = [
        ("customer", show::id(&customer.name).to_owned()),
        ("name", show::or_dash(full_name.trim())),
        ("locale", show::or_dash(&customer.locale)),
        ("time zone", show::or_dash(&customer.time_zone)),
        ("changed", changed),
    ]
    .map(|(name, value)| (name.to_owned(), value.into()))
    .into();
    for point in &customer.contact_points {
        let channel = show::channel(point.channel);
        let value = if point.suppression_reason.is_empty() {
            point.address.clone().into()
        } else {
            Toned(
                format!(
                    "{} (suppressed: {})",
                    point.address, point.suppression_reason
                ),
                Tone::Bad,
            )
        };
        fields.push((channel, value));
    }
    Ok(output.fields(&fields)?)
}

/// Reads, changes what is given, writes back with the etag, so that a change in between is told and not overwritten.
async fn upsert(
    target: &Target,
    output: &mut Output,
    options: UpsertOptions,
) -> Result<(), Failure> {
    let session = Session::open(target).await?;
    let mut customer = session
        .customer(&options.customer)
        .await?
        .unwrap_or_default();
    customer.name = format!("customers/{}", options.customer);
    for (target, given) in [
        (&mut customer.given_name, options.given_name),
        (&mut customer.family_name, options.family_name),
        (&mut customer.locale, options.locale),
        (&mut customer.time_zone, options.time_zone),
    ] {
        if let Some(given) = given {
            *target = given;
        }
    }
    for (channel, given) in [
        (Channel::Email, options.email),
        (Channel::Sms, options.phone),
        (Channel::Chat, options.discord),
    ] {
        if let Some(address) = given {
            put_address(&mut customer.contact_points, channel, address);
        }
    }
    let stored = session.upsert(customer).await?;
    show_customer(&session, output, &stored)
}

/// The first address of a channel is the one that is used; an empty one takes it away.
fn put_address(points: &mut Vec<ContactPoint>, channel: Channel, address: String) {
    let wire = show::wire_channel(channel) as i32;
    let first = points.iter().position(|point| point.channel == wire);
    let at = first.unwrap_or(points.len());
    if first.is_some() {
        points.remove(at);
    }
    if !address.is_empty() {
        points.insert(
            at,
            ContactPoint {
                channel: wire,
                address,
                ..ContactPoint::default()
            },
        );
    }
}

async fn import(target: &Target, output: &mut Output, file: &Path) -> Result<(), Failure> {
    let (mut lines, size) = bulk::open(file).await?;
    let session = Session::open(target).await?;
    let mut progress = Progress::new(size, "accepted");
    let mut batch: Vec<(u64, UpsertCustomerRequest)> = Vec::new();
    let mut bytes = 0;
    while let Some(line) = lines.next().await.map_err(|error| {
        Failure::failed(format!("{} cannot be read on: {error}", file.display()), "")
    })? {
        progress.read(line.bytes);
        let number = line.number;
        match line
            .text
            .and_then(|text| session.codec.read("UpsertCustomerRequest", &text))
        {
            Ok(request) => {
                batch.push((number, request));
                bytes += line.bytes;
            }
            Err(why) => progress.refused(
                output,
                number,
                &bulk::here("FIELD_INVALID", &bulk::within_line(&why)),
            )?,
        }
        if batch.len() >= BATCH || bytes >= BATCH_BYTES {
            store(&session, output, &mut progress, std::mem::take(&mut batch)).await?;
            bytes = 0;
        }
    }
    store(&session, output, &mut progress, batch).await?;
    progress.finish(output)
}

async fn store(
    session: &Session,
    output: &mut Output,
    progress: &mut Progress,
    batch: Vec<(u64, UpsertCustomerRequest)>,
) -> Result<(), Failure> {
    if batch.is_empty() {
        return Ok(());
    }
    let (numbers, requests): (Vec<u64>, Vec<UpsertCustomerRequest>) = batch.into_iter().unzip();
    let answer = session
        .client
        .customers()
        .batch_upsert_customers(BatchUpsertCustomersRequest { requests })
        .await
        .map_err(|error| session.fault(error))?
        .into_inner();
    for (index, status) in &answer.failed_requests {
        let line = usize::try_from(*index)
            .ok()
            .and_then(|index| numbers.get(index));
        progress.refused(
            output,
            line.copied().unwrap_or(0),
            &Refusal::of_item(status),
        )?;
    }
    progress.took(numbers.len().saturating_sub(answer.failed_requests.len()) as u64);
    Ok(())
}

async fn preferences(
    target: &Target,
    output: &mut Output,
    options: PreferencesOptions,
) -> Result<(), Failure> {
    let session = Session::open(target).await?;
    let mut preferences = session.preferences(&options.customer).await?;
    let paths = apply(&mut preferences, &options);
    if !paths.is_empty() {
        preferences.customer_id.clone_from(&options.customer);
        let paths = paths.into_iter().map(str::to_owned).collect();
        preferences = session
            .update_preferences(UpdatePreferencesRequest {
                preferences: Some(preferences),
                update_mask: Some(FieldMask { paths }),
            })
            .await?;
    }
    if output.is_json() {
        return Ok(output.json(&session.write("Preferences", &preferences)?)?);
    }
    show_preferences(output, &preferences)
}

/// Makes the wished changes; the fields that were touched.
fn apply(preferences: &mut Preferences, options: &PreferencesOptions) -> Vec<&'static str> {
    let mut paths = Vec::new();
    if !options.order.is_empty() {
        preferences.channel_order = options
            .order
            .iter()
            .map(|channel| show::wire_channel(*channel) as i32)
            .collect();
        paths.push("channel_order");
    }
    for (topics, opted_out) in [(&options.opt_out, true), (&options.opt_in, false)] {
        for topic in topics {
            set_topic(&mut preferences.topics, topic, opted_out);
        }
    }
    if !options.opt_out.is_empty() || !options.opt_in.is_empty() {
        paths.push("topics");
    }
    if options.resume || options.pause_until.is_some() {
        preferences.pause_until_time = options.pause_until.map(proto::wire_time);
        paths.push("pause_until_time");
    }
    paths
}

fn set_topic(topics: &mut Vec<TopicPreference>, topic: &str, opted_out: bool) {
    match topics.iter_mut().find(|known| known.topic == topic) {
        Some(known) => known.opted_out = opted_out,
        None => topics.push(TopicPreference {
            topic: topic.to_owned(),
            opted_out,
            ..TopicPreference::default()
        }),
    }
}

fn show_preferences(output: &mut Output, preferences: &Preferences) -> Result<(), Failure> {
    let quiet = preferences.quiet_hours.as_ref().map_or_else(
        || "-".to_owned(),
        |quiet| {
            format!("{} to {} {}", quiet.start, quiet.end, quiet.time_zone)
                .trim_end()
                .to_owned()
        },
    );
    let paused = output.time(preferences.pause_until_time.as_ref());
    let mut fields: Vec<(String, Toned)> = [
        ("customer", preferences.customer_id.clone()),
        ("order", show::channels(&preferences.channel_order)),
        ("quiet hours", quiet),
        ("paused until", paused),
    ]
    .map(|(name, value)| (name.to_owned(), value.into()))
    .into();
    for topic in &preferences.topics {
        let value = if topic.opted_out {
            Toned("off".to_owned(), Tone::Quiet)
        } else if topic.enabled_channels.is_empty() {
            "on".into()
        } else {
            format!("on, {}", show::channels(&topic.enabled_channels)).into()
        };
        fields.push((format!("topic {}", topic.topic), value));
    }
    for consent in &preferences.consents {
        let name = format!(
            "consent {} {}",
            show::category(consent.category),
            show::channel(consent.channel)
        );
        let given = if consent.granted { "yes" } else { "no" };
        let value = format!(
            "{given}, {}, {}",
            output.time(consent.time.as_ref()),
            show::or_dash(&consent.source)
        );
        fields.push((name, value.into()));
    }
    Ok(output.fields(&fields)?)
}

async fn erase(target: &Target, output: &mut Output, id: &str, yes: bool) -> Result<(), Failure> {
    if !yes {
        return Err(Failure::usage(
            format!("this erases the personal data of customer {id:?} for good"),
            "add --yes if that is what you want",
        ));
    }
    let session = Session::open(target).await?;
    let count = session.erase(id).await?;
    if output.is_json() {
        return Ok(output.json(&serde_json::json!({"anonymizedNotificationCount": count}))?);
    }
    output.fields(&[
        ("erased", id.into()),
        (
            "notifications without a person now",
            count.to_string().into(),
        ),
    ])?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_replaces_the_first_of_its_channel_and_keeps_the_others() {
        let mut points = Vec::new();
        put_address(&mut points, Channel::Email, "a@shop.example".to_owned());
        put_address(&mut points, Channel::Sms, "+4915112345678".to_owned());
        put_address(&mut points, Channel::Email, "b@shop.example".to_owned());
        let addresses: Vec<_> = points.iter().map(|point| point.address.as_str()).collect();
        assert_eq!(addresses, ["b@shop.example", "+4915112345678"]);
        put_address(&mut points, Channel::Email, String::new());
        assert_eq!(points.len(), 1);
    }

    #[test]
    fn only_what_was_given_is_in_the_mask() {
        let options = PreferencesOptions {
            customer: "c".to_owned(),
            order: vec![Channel::Sms],
            opt_out: vec!["newsletter".to_owned()],
            opt_in: Vec::new(),
            pause_until: None,
            resume: false,
        };
        let mut preferences = Preferences::default();
        assert_eq!(
            apply(&mut preferences, &options),
            ["channel_order", "topics"]
        );
        assert!(preferences.topics[0].opted_out);
    }
}
