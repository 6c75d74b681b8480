//! What a hand-over needs beside the message: its bundle, its content, and the hash of what will be sent.

use std::time::Duration;

use sha2::{Digest as _, Sha256};

use super::Worker;
use crate::catalog::Bundle;
use crate::catalog::choice::{bundle_for, locale_for};
use crate::domain::address::Personal;
use crate::domain::content::{Content, Outgoing};
use crate::domain::customer::Profile;
use crate::domain::hex::hex;
use crate::domain::sms;
use crate::event;
use crate::render::{Filling, Links, render};
use crate::store::Work;

/// A message with everything that its hand-over needs.
pub(super) struct Filled {
    pub(super) outgoing: Outgoing,
    pub(super) bundle: String,
    pub(super) content_hash: String,
    pub(super) sms_segments: u32,
}

impl Worker {
    /// Makes the bundles readable that another process has accepted or claimed this notification with.
    pub(super) async fn fetch_bundles(&self, work: &Work) {
        let notification = &work.notification;
        for id in [&notification.bundle, &notification.accepted_bundle] {
            if id.is_empty() || self.catalog.bundle(id).is_some() {
                continue;
            }
            let archive = loop {
                match self.store.bundle(&notification.identity.shop, id).await {
                    Ok(archive) => break archive,
                    Err(error) => self.wait_for_store(&error).await,
                }
            };
            // One that is not there, or is damaged, is told by what cannot be filled.
            if let Some(archive) = archive
                && let Err(error) = self.catalog.adopt(&archive)
            {
                event::templates_refused(&error);
            }
        }
    }

    pub(super) fn fill(&self, work: &Work) -> Result<Filled, String> {
        let bundle = bundle_for(&self.catalog, &work.notification)
            .ok_or("the bundle that it was accepted with is gone")?;
        let started = self.clock.now();
        let filled = self.content(work, &bundle);
        let took = Duration::try_from(self.clock.now().duration_since(started)).unwrap_or_default();
        event::rendered(
            work.message.channel,
            &work.notification.intent.template,
            filled.is_ok(),
            took,
        );
        let content = filled?;

        let sms_segments = match &content {
            Content::Sms { text } => sms::segments(text).count,
            Content::Email { .. } | Content::Chat { .. } => 0,
        };
        let attachments = match content {
            Content::Email { .. } => work.notification.intent.attachments.clone(),
            Content::Sms { .. } | Content::Chat { .. } => Vec::new(),
        };
        let outgoing = Outgoing {
            message: work.message.id,
            notification: work.notification.id,
            address: work.message.address.clone(),
            recipient_name: full_name(&work.customer.profile),
            category: work.notification.category,
            template: work.notification.intent.template.clone(),
            content,
            attachments,
        };
        let fingerprint = self
            .providers
            .get(&work.message.channel)
            .map(|provider| provider.fingerprint(&outgoing))
            .unwrap_or_default();
        let content_hash = hex(&Sha256::digest(fingerprint));
        Ok(Filled {
            outgoing,
            bundle: bundle.id().to_owned(),
            content_hash,
            sms_segments,
        })
    }

    fn content(&self, work: &Work, bundle: &Bundle) -> Result<Content, String> {
        let (intent, profile) = (&work.notification.intent, &work.customer.profile);
        let policy = self.catalog.policy();
        let zone = if profile.time_zone.is_empty() {
            &policy.time_zone
        } else {
            &profile.time_zone
        };
        let filling = Filling {
            bundle,
            template: &intent.template,
            channel: work.message.channel,
            locale: locale_for(&intent.locale, &profile.locale, &policy.locale),
            variables: &intent.variables,
            given_name: profile.given_name.reveal(),
            time_zone: zone,
            message_id: &work.message.id.to_string(),
            // Signed links come with the customers' own pages; until then the shop's stand in.
            links: Links::default(),
            variant: &work.message.variant,
        };
        render(&filling).map_err(|error| error.to_string())
    }
}

/// As it stands in the address line of a mail.
fn full_name(profile: &Profile) -> Personal {
    let names = [profile.given_name.reveal(), profile.family_name.reveal()];
    Personal::new(names.join(" ").trim())
}
