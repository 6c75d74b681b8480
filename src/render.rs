//! L3: filling a template of a bundle for one message.
//!
//! Promise: the content fits its channel (one-line subject, SMS within its segments, chat within Discord's limit), all
//! values in it are escaped for where they stand, and a failure says file and line and no variable's value. It reads
//! no clock and sends nothing; the same filling gives the same content, byte for byte.

pub use crate::catalog::compose::RenderError;

use crate::catalog::Bundle;
use crate::catalog::compose::{Order, compose};
use crate::domain::channel::Channel;
use crate::domain::content::Content;
use crate::domain::intent::Variables;

/// What is filled, for whom.
#[derive(Debug, Clone)]
pub struct Filling<'a> {
    /// The version that the message is pinned to.
    pub bundle: &'a Bundle,
    /// The template's key.
    pub template: &'a str,
    /// Where it is read.
    pub channel: Channel,
    /// BCP 47; the nearest of the shop's is taken.
    pub locale: &'a str,
    /// Checked against the template's schema at accept.
    pub variables: &'a Variables,
    /// For the salutation; empty: the manifest's fallback.
    pub given_name: &'a str,
    /// IANA; empty: the shop's.
    pub time_zone: &'a str,
    /// Shown nowhere unless the template does.
    pub message_id: &'a str,
    /// Signed links to the customer's pages.
    pub links: Links,
    /// The arm of an experiment; empty: none.
    pub variant: &'a str,
}

/// Links of one customer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Links {
    /// The preference page.
    pub preferences: String,
    /// One click ends it (RFC 8058).
    pub unsubscribe: String,
}

/// Fills the template.
///
/// # Errors
/// Where and why it cannot be filled; trying again does not help.
pub fn render(filling: &Filling<'_>) -> Result<Content, RenderError> {
    let shop = filling.bundle.shop();
    let or_shop = |link: &'_ str, own: &'_ str| {
        if link.is_empty() {
            own.to_owned()
        } else {
            link.to_owned()
        }
    };
    let preferences = or_shop(&filling.links.preferences, &shop.preferences_url);
    let unsubscribe = or_shop(&filling.links.unsubscribe, &shop.unsubscribe_url);
    compose(
        filling.bundle,
        &Order {
            template: filling.template,
            channel: filling.channel,
            locale: filling.locale,
            variables: filling.variables,
            given_name: filling.given_name,
            time_zone: filling.time_zone,
            message_id: filling.message_id,
            preferences: &preferences,
            unsubscribe: &unsubscribe,
            variant: filling.variant,
        },
    )
}
