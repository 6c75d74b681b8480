//! Contact points: checked when they are made, masked whenever they are shown by accident.
//!
//! Rules: mail by RFC 5321 with a public domain and no address literal, phones in E.164 as libphonenumber
//! knows them, Discord users as snowflakes.

use std::fmt;
use std::hash::{Hash, Hasher};

use hmac::{KeyInit as _, Mac as _};
use serde::{Deserialize, Serialize};

use super::channel::Channel;
use super::hex::hex;

/// Text that is about a person: Debug and Display mask it.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, Default)]
#[serde(transparent)]
pub struct Personal(String);

impl Personal {
    /// Takes the text as it is.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself, for those who must have it.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// Whether there is no text.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Debug for Personal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl fmt::Display for Personal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// Why a text is not an address, as a sentence about what to change.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct AddressError(pub String);

/// An address on one channel, in its one normal form.
#[derive(Clone, Serialize, Deserialize)]
pub struct Address {
    channel: Channel,
    text: Personal,
}

impl PartialEq for Address {
    fn eq(&self, other: &Self) -> bool {
        self.channel == other.channel && self.key() == other.key()
    }
}

impl Eq for Address {}

impl Hash for Address {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.channel.hash(state);
        self.key().hash(state);
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:***", self.channel)
    }
}

impl Address {
    /// Checks and normalises `text` for `channel`.
    ///
    /// # Errors
    /// A sentence that says what is wrong with it, without repeating it.
    pub fn try_new(channel: Channel, text: &str) -> Result<Self, AddressError> {
        let text = match channel {
            Channel::Email => email(text)?,
            Channel::Sms => phone(text)?,
            Channel::Chat => snowflake(text)?,
        };
        Ok(Self {
            channel,
            text: Personal(text),
        })
    }

    /// The channel it is on.
    pub fn channel(&self) -> Channel {
        self.channel
    }

    /// The address itself.
    pub fn reveal(&self) -> &str {
        self.text.reveal()
    }

    /// What two spellings of the same mailbox share; the key of suppressions.
    pub fn key(&self) -> String {
        self.text.reveal().to_lowercase()
    }

    /// A keyed hash (HMAC-SHA-256, hexadecimal) that stands for the address where the address itself must not be kept.
    pub fn digest(&self, key: &[u8; 32]) -> String {
        let mut mac = hmac::Hmac::<sha2::Sha256>::new_from_slice(key)
            .unwrap_or_else(|_| unreachable!("any key length fits"));
        mac.update(self.channel.as_str().as_bytes());
        mac.update(b":");
        mac.update(self.key().as_bytes());
        hex(&mac.finalize().into_bytes())
    }

    /// The address as a person may see it in a list: enough to recognise, too little to use.
    pub fn masked(&self) -> String {
        let text = self.text.reveal();
        match self.channel {
            Channel::Email => match text.split_once('@') {
                Some((local, domain)) => {
                    format!("{}***@{domain}", local.chars().next().unwrap_or('*'))
                }
                None => "***".to_owned(),
            },
            Channel::Sms | Channel::Chat => {
                let tail: String = text
                    .chars()
                    .skip(text.chars().count().saturating_sub(3))
                    .collect();
                format!("***{tail}")
            }
        }
    }
}

fn email(text: &str) -> Result<String, AddressError> {
    let fail = |why: &str| Err(AddressError(why.to_owned()));
    if text.len() > 254 {
        return fail("a mail address has at most 254 bytes (RFC 5321)");
    }
    if text.chars().any(|c| c.is_control() || c.is_whitespace()) {
        return fail("a mail address has no spaces, line breaks or control characters");
    }
    let options = email_address::Options::default()
        .without_display_text()
        .without_domain_literal()
        .with_required_tld();
    let parsed = email_address::EmailAddress::parse_with_options(text, options)
        .map_err(|error| AddressError(format!("not a mail address: {error}")))?;
    if parsed.local_part().starts_with('"') {
        return fail("a quoted local part is not accepted");
    }
    // Mail programs that decode it would read another address (RFC 2047 5: not within an address).
    if parsed.local_part().contains("=?") {
        return fail("a mail address that looks like an encoded word (=?) is not accepted");
    }
    let domain = parsed.domain().to_ascii_lowercase();
    let last = domain.rsplit('.').next().unwrap_or_default();
    if last.chars().all(|c| c.is_ascii_digit())
        || matches!(last, "localhost" | "local" | "internal" | "invalid" | "lan")
    {
        return fail("the mail domain is not a public one");
    }
    Ok(format!("{}@{domain}", parsed.local_part()))
}

fn phone(text: &str) -> Result<String, AddressError> {
    let digits = text.strip_prefix('+').unwrap_or_default();
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) || digits.len() > 15 {
        return Err(AddressError(
            "a phone number is in E.164 form: +, country code, number, at most 15 digits"
                .to_owned(),
        ));
    }
    let number = phonenumber::parse(None, text).map_err(|_| {
        AddressError("not a phone number with its country, such as +4915112345678".to_owned())
    })?;
    if !phonenumber::is_viable(text) {
        return Err(AddressError(
            "no country has such a phone number".to_owned(),
        ));
    }
    let database = &phonenumber::metadata::DATABASE;
    if matches!(
        number.number_type(database),
        phonenumber::Type::PremiumRate | phonenumber::Type::SharedCost
    ) {
        return Err(AddressError(
            "a premium-rate number gets no messages".to_owned(),
        ));
    }
    Ok(number.format().mode(phonenumber::Mode::E164).to_string())
}

fn snowflake(text: &str) -> Result<String, AddressError> {
    let well_formed = (15..=20).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
    match text.parse::<u64>() {
        Ok(id) if well_formed && id != 0 && !text.starts_with('0') => Ok(text.to_owned()),
        _ => Err(AddressError(
            "a Discord user id is a snowflake: 15 to 20 digits".to_owned(),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_that_are_none_are_refused() {
        for (channel, text) in [
            (Channel::Email, "a@b.com\r\nRCPT TO:<e@x>"),
            (Channel::Email, "a@[127.0.0.1]"),
            (Channel::Email, "a@localhost"),
            (Channel::Email, "postmaster@[IPv6:::1]"),
            (Channel::Email, "\"a b\"@c.com"),
            (Channel::Email, "plain"),
            (Channel::Sms, "0049151234"),
            (Channel::Sms, "+49 (0) 151"),
            (Channel::Sms, "+4915112345678901234567"),
            (Channel::Chat, "not-a-number"),
            (Channel::Chat, "0"),
        ] {
            assert!(Address::try_new(channel, text).is_err(), "{channel} {text}");
        }
    }

    #[test]
    fn an_address_is_kept_and_shown_masked() {
        let address = Address::try_new(Channel::Email, "Ada.L@Example.COM").unwrap();
        assert_eq!(address.reveal(), "Ada.L@example.com");
        assert_eq!(address.key(), "ada.l@example.com");
        assert_eq!(format!("{address:?}"), "email:***");
        assert_eq!(address.masked(), "A***@example.com");
        assert_eq!(
            Address::try_new(Channel::Sms, "+4915112345678")
                .unwrap()
                .masked(),
            "***678"
        );
    }
}
