//! Whether the broker can be reached: by both links, or it counts as away.

use std::sync::{Mutex, PoisonError};

use tokio::sync::watch;

use crate::domain::clock::Stopwatch;
use crate::event::BrokerLink;
use crate::queue::Connection;

/// What both links say, as one state.
pub(super) struct Reach {
    up: Mutex<Up>,
    told: watch::Sender<Connection>,
}

#[derive(Default)]
struct Up {
    publishing: bool,
    consuming: bool,
}

impl Reach {
    /// Away until both links have said otherwise.
    pub(super) fn new() -> Self {
        Self {
            up: Mutex::default(),
            told: watch::Sender::new(Connection::Away(Stopwatch::start())),
        }
    }

    /// The state.
    pub(super) fn state(&self) -> watch::Receiver<Connection> {
        self.told.subscribe()
    }

    /// A link is up, or not.
    pub(super) fn tell(&self, link: BrokerLink, now: bool) {
        let mut up = self.up.lock().unwrap_or_else(PoisonError::into_inner);
        match link {
            BrokerLink::Publishing => up.publishing = now,
            BrokerLink::Consuming => up.consuming = now,
        }
        let both = up.publishing && up.consuming;
        self.told.send_if_modified(|state| {
            let news = state.is_up() != both;
            if news {
                *state = if both {
                    Connection::Up
                } else {
                    Connection::Away(Stopwatch::start())
                };
            }
            news
        });
    }
}
