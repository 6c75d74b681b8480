//! Customers between the wire and the domain: what a service tells of one, as a change of what is stored.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use unic_langid::LanguageIdentifier;

use super::{Findings, bad_field, channel, has_control, id_in, mask, time, wire_channel};
use crate::domain::address::{Address, Personal};
use crate::domain::customer::{ContactPoint, Customer, CustomerId, GUEST_PREFIX, Profile};
use crate::domain::locale::{LOCALE_RULE, is_locale};
use crate::domain::rejection::{Rejection, RejectionReason};
use crate::proto;

const MAX_ID_CHARS: usize = 128;
const MAX_NAME_CHARS: usize = 256;
const MAX_ZONE_CHARS: usize = 64;
/// More than one a channel is refused anyway; this bounds the list of findings.
const MAX_CONTACT_POINTS: usize = 8;

const FIELDS: &[&str] = &[
    "given_name",
    "family_name",
    "locale",
    "time_zone",
    "contact_points",
    "source_version",
];

/// What a service tells of a customer: fields that are `None` stay as they are.
#[derive(Clone, Debug, PartialEq)]
pub struct ProfileChange {
    /// Whom.
    pub id: CustomerId,
    etag: String,
    given_name: Option<Personal>,
    family_name: Option<Personal>,
    locale: Option<String>,
    time_zone: Option<String>,
    contact_points: Option<Vec<ContactPoint>>,
    source_version: Option<i64>,
}

/// An id that a caller may read: 1 to 128 characters, no control characters.
///
/// # Errors
/// A sentence.
pub fn customer_id(id: &str) -> Result<CustomerId, &'static str> {
    if id.is_empty() || id.chars().nth(MAX_ID_CHARS).is_some() {
        return Err("a customer id has 1 to 128 characters");
    }
    if has_control(id) {
        return Err("a customer id has no control characters");
    }
    Ok(CustomerId::new(id))
}

/// The id in `customers/{id}`.
///
/// # Errors
/// `FIELD_INVALID` on `field`.
pub fn customer_name(name: &str, field: &str) -> Result<CustomerId, Rejection> {
    let id = id_in(name, "customers")
        .ok_or_else(|| bad_field(field, "a customer is named customers/{id}"))?;
    customer_id(id).map_err(|why| bad_field(field, why))
}

/// No such customer.
pub fn not_found(id: &CustomerId) -> Rejection {
    Rejection::new(
        RejectionReason::CustomerNotFound,
        format!("there is no customer {:?}", id.as_str()),
    )
}

/// The etag of a customer; it changes with every change.
pub fn etag(customer: &Customer) -> String {
    format!("r{}", customer.revision)
}

/// Refuses a stale etag; an empty one is none.
///
/// # Errors
/// `ETAG_MISMATCH`.
pub fn check_etag(given: &str, current: Option<&Customer>) -> Result<(), Rejection> {
    if given.is_empty() || current.is_some_and(|customer| etag(customer) == given) {
        return Ok(());
    }
    Err(Rejection::new(
        RejectionReason::EtagMismatch,
        "the customer has changed since this etag was read; read it again",
    ))
}

/// A locale in canonical form; empty stays empty.
///
/// # Errors
/// A sentence.
pub fn locale(text: &str) -> Result<String, &'static str> {
    if text.is_empty() {
        return Ok(String::new());
    }
    if !is_locale(text) {
        return Err(LOCALE_RULE);
    }
    // Extensions have no canonical form that anybody here would look at.
    Ok(text
        .parse::<LanguageIdentifier>()
        .map_or_else(|_| text.to_owned(), |locale| locale.to_string()))
}

/// A time zone by its IANA name; empty stays empty.
///
/// # Errors
/// A sentence.
pub fn time_zone(name: &str) -> Result<String, &'static str> {
    const WRONG: &str = "must be an IANA name such as Europe/Berlin, or empty for the shop's";
    if name.is_empty() {
        return Ok(String::new());
    }
    // Names only: nothing that could lead to a file beside the database.
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '/' | '_' | '-' | '+');
    if name.len() > MAX_ZONE_CHARS || !name.chars().all(plain) {
        return Err(WRONG);
    }
    let zone = TimeZone::get(name).map_err(|_| WRONG)?;
    Ok(zone.iana_name().unwrap_or(name).to_owned())
}

/// Reads what a service tells. Without a mask only the fields that are set are changed.
///
/// # Errors
/// With the path of every field that breaks its rule, below `customer`.
pub fn profile_change(request: proto::UpsertCustomerRequest) -> Result<ProfileChange, Rejection> {
    let masked = mask(request.update_mask.as_ref(), FIELDS)?;
    let wire = request
        .customer
        .ok_or_else(|| bad_field("customer", "say which customer"))?;
    let id = customer_name(&wire.name, "customer.name")?;
    if id.as_str().starts_with(GUEST_PREFIX) {
        return Err(bad_field(
            "customer.name",
            "ids that begin with \"guest:\" are given by the gateway",
        ));
    }
    let wanted = |path: &str, given: bool| match &masked {
        None => given,
        Some(paths) => paths.contains(&path),
    };
    let mut findings = Findings::default();
    let given_name = wanted("given_name", !wire.given_name.is_empty())
        .then(|| personal(wire.given_name, "customer.given_name", &mut findings));
    let family_name = wanted("family_name", !wire.family_name.is_empty())
        .then(|| personal(wire.family_name, "customer.family_name", &mut findings));
    let locale = wanted("locale", !wire.locale.is_empty()).then(|| {
        locale(&wire.locale).unwrap_or_else(|why| {
            findings.add(RejectionReason::LocaleInvalid, "customer.locale", why);
            String::new()
        })
    });
    let time_zone = wanted("time_zone", !wire.time_zone.is_empty()).then(|| {
        time_zone(&wire.time_zone).unwrap_or_else(|why| {
            findings.field("customer.time_zone", why);
            String::new()
        })
    });
    let contact_points = wanted("contact_points", !wire.contact_points.is_empty())
        .then(|| contact_points(&wire.contact_points, &mut findings));
    if wire.source_version < 0 {
        findings.field("customer.source_version", "must not be negative");
    }
    let source_version =
        wanted("source_version", wire.source_version != 0).then_some(wire.source_version);
    findings.finish(ProfileChange {
        id,
        etag: wire.etag,
        given_name,
        family_name,
        locale,
        time_zone,
        contact_points,
        source_version,
    })
}

fn personal(text: String, field: &str, findings: &mut Findings) -> Personal {
    if text.chars().nth(MAX_NAME_CHARS).is_some() {
        findings.field(field, "has more than 256 characters; shorten it");
    } else if has_control(&text) {
        findings.field(field, "has a control character; take it out");
    }
    Personal::new(text)
}

fn contact_points(wire: &[proto::ContactPoint], findings: &mut Findings) -> Vec<ContactPoint> {
    let mut points: Vec<ContactPoint> = Vec::new();
    if wire.len() > MAX_CONTACT_POINTS {
        findings.field(
            "customer.contact_points",
            "must hold at most one address for each channel",
        );
        return points;
    }
    for (index, wire) in wire.iter().enumerate() {
        let field = |name: &str| format!("customer.contact_points[{index}].{name}");
        let channel = match channel(wire.channel) {
            Ok(channel) => channel,
            Err(why) => {
                findings.field(field("channel"), why);
                continue;
            }
        };
        if points
            .iter()
            .any(|point| point.address.channel() == channel)
        {
            findings.field(
                field("channel"),
                format!("is a second address for {channel}; send one"),
            );
            continue;
        }
        let verify_time = time(
            wire.verify_time.as_ref(),
            RejectionReason::FieldInvalid,
            &field("verify_time"),
            findings,
        );
        match Address::try_new(channel, &wire.address) {
            Ok(address) => points.push(ContactPoint {
                address,
                verify_time,
            }),
            Err(why) => findings.field(field("address"), why.to_string()),
        }
    }
    points
}

impl ProfileChange {
    /// The customer as it is to be stored. One that a newer source version has written stays as it is.
    ///
    /// # Errors
    /// `ETAG_MISMATCH`.
    pub fn apply(&self, current: Option<&Customer>, now: Timestamp) -> Result<Customer, Rejection> {
        check_etag(&self.etag, current)?;
        let mut customer = current
            .cloned()
            .unwrap_or_else(|| Customer::unknown(self.id.clone(), now));
        if self
            .source_version
            .is_some_and(|version| version < customer.profile.source_version)
        {
            return Ok(customer);
        }
        self.overwrite(&mut customer.profile);
        Ok(customer)
    }

    fn overwrite(&self, profile: &mut Profile) {
        fn set<T: Clone>(field: &mut T, value: Option<&T>) {
            if let Some(value) = value {
                field.clone_from(value);
            }
        }
        set(&mut profile.given_name, self.given_name.as_ref());
        set(&mut profile.family_name, self.family_name.as_ref());
        set(&mut profile.locale, self.locale.as_ref());
        set(&mut profile.time_zone, self.time_zone.as_ref());
        set(&mut profile.source_version, self.source_version.as_ref());
        if let Some(points) = &self.contact_points {
            profile.contact_points = points
                .iter()
                .map(|point| keep_proof(point, &profile.contact_points))
                .collect();
        }
    }
}

/// A service that repeats an address without its proof does not take the proof away.
fn keep_proof(point: &ContactPoint, stored: &[ContactPoint]) -> ContactPoint {
    let proof = stored
        .iter()
        .find(|stored| stored.address == point.address)
        .and_then(|stored| stored.verify_time);
    ContactPoint {
        address: point.address.clone(),
        verify_time: point.verify_time.or(proof),
    }
}

/// A customer for the wire.
pub fn wire_customer(customer: &Customer) -> proto::Customer {
    let profile = &customer.profile;
    proto::Customer {
        name: format!("customers/{}", customer.id),
        given_name: profile.given_name.reveal().to_owned(),
        family_name: profile.family_name.reveal().to_owned(),
        locale: profile.locale.clone(),
        time_zone: profile.time_zone.clone(),
        contact_points: profile
            .contact_points
            .iter()
            .map(|point| proto::ContactPoint {
                channel: wire_channel(point.address.channel()).into(),
                address: point.address.reveal().to_owned(),
                verify_time: point.verify_time.map(proto::wire_time),
                suppression_reason: String::new(),
            })
            .collect(),
        etag: etag(customer),
        update_time: Some(proto::wire_time(customer.update_time)),
        source_version: profile.source_version,
    }
}

#[cfg(test)]
mod tests;
