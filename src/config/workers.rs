//! `[workers]`: what this process hands over, and how much at once.

use std::fmt::Display;

use super::reader::Reader;
use crate::domain::channel::{Channel, Lane};

/// `[workers]`
#[derive(Clone, Debug)]
pub struct Workers {
    /// Which channels they serve.
    pub channels: Vec<Channel>,
    /// Which lanes they serve.
    pub lanes: Vec<Lane>,
    /// `[workers.email]`
    pub email: Concurrency,
    /// `[workers.sms]`
    pub sms: Concurrency,
    /// `[workers.chat]`
    pub chat: Concurrency,
}

impl Workers {
    pub(super) fn read(reader: &mut Reader) -> Option<Self> {
        let channels = served(reader, "workers.channels", Channel::ALL);
        let lanes = served(reader, "workers.lanes", Lane::ALL);
        let email = Concurrency::read(reader, "workers.email");
        let sms = Concurrency::read(reader, "workers.sms");
        let chat = Concurrency::read(reader, "workers.chat");
        Some(Self {
            channels: channels?,
            lanes: lanes?,
            email: email?,
            sms: sms?,
            chat: chat?,
        })
    }

    /// How many messages of a channel and lane this process may hand over at once.
    pub fn of(&self, channel: Channel, lane: Lane) -> usize {
        if !self.channels.contains(&channel) || !self.lanes.contains(&lane) {
            return 0;
        }
        let concurrency = match channel {
            Channel::Email => &self.email,
            Channel::Sms => &self.sms,
            Channel::Chat => &self.chat,
        };
        match lane {
            Lane::Critical => concurrency.critical,
            Lane::Transactional => concurrency.transactional,
            Lane::Bulk => concurrency.bulk,
        }
    }
}

/// Messages handed over at once on one channel, by lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Concurrency {
    /// Of the critical lane.
    pub critical: usize,
    /// Of the transactional lane.
    pub transactional: usize,
    /// Of the bulk lane.
    pub bulk: usize,
}

impl Concurrency {
    fn read(reader: &mut Reader, section: &str) -> Option<Self> {
        let mut lane =
            |lane: Lane| reader.count(&format!("{section}.concurrency_{lane}"), &(1..=256));
        let (critical, transactional, bulk) = (
            lane(Lane::Critical),
            lane(Lane::Transactional),
            lane(Lane::Bulk),
        );
        Some(Self {
            critical: critical? as usize,
            transactional: transactional? as usize,
            bulk: bulk? as usize,
        })
    }
}

/// Those that a list names; all of them when it is empty.
fn served<T: Copy + Display>(reader: &mut Reader, path: &str, all: &[T]) -> Option<Vec<T>> {
    let origin = reader.origin(path);
    let mut served = Vec::new();
    for word in reader.list(path)?.iter().filter(|word| !word.is_empty()) {
        match all.iter().find(|one| one.to_string() == *word) {
            Some(one) => served.push(*one),
            None => {
                let words: Vec<_> = all.iter().map(ToString::to_string).collect();
                let what = format!(
                    "has {word:?}; give some of {}, or none for all",
                    words.join(", ")
                );
                reader.fault(&origin, path, &what);
            }
        }
    }
    Some(if served.is_empty() {
        all.to_vec()
    } else {
        served
    })
}
