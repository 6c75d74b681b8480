//! A [`Line`] for every channel and lane.

use super::line::Line;
use crate::domain::channel::{Channel, Lane};

/// By channel, then by lane.
pub(super) struct Lines([[Line; 3]; 3]);

impl Lines {
    /// Lines that remember at most so many jobs each.
    pub(super) fn new(most_remembered: usize) -> Self {
        let lane = |_| Line::new(most_remembered);
        Self([(); 3].map(|()| [(); 3].map(lane)))
    }

    /// The one of a channel and lane.
    pub(super) fn of(&self, channel: Channel, lane: Lane) -> &Line {
        let Self([email, sms, chat]) = self;
        let [critical, transactional, bulk] = match channel {
            Channel::Email => email,
            Channel::Sms => sms,
            Channel::Chat => chat,
        };
        match lane {
            Lane::Critical => critical,
            Lane::Transactional => transactional,
            Lane::Bulk => bulk,
        }
    }

    /// The broker has nothing any more.
    pub(super) fn wiped(&self) {
        self.0.iter().flatten().for_each(Line::wiped);
    }
}
