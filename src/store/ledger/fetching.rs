//! Reading what workers need. Those who ask while a read is under way are read for together, in the next one: a read costs about the
//! same for one message as for ten.
//!
//! It does not read itself, and keeps nothing.

use std::collections::{BTreeSet, HashMap};
use std::future::Future;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot::{self, error::TryRecvError};

use crate::domain::id::MessageId;
use crate::store::{StoreResult, Work};

/// Who waits for a read.
#[derive(Default)]
pub(in crate::store) struct Fetching {
    asked: Mutex<Vec<Ask>>,
    /// Whoever has it reads, for all who have asked by then.
    turn: tokio::sync::Mutex<()>,
}

struct Ask {
    messages: Vec<MessageId>,
    reply: oneshot::Sender<Vec<Work>>,
}

impl Fetching {
    /// What these messages need, by `read`, which may be asked for more than that.
    pub(super) async fn fetch<F>(
        &self,
        messages: &[MessageId],
        read: impl Fn(Vec<MessageId>) -> F,
    ) -> StoreResult<Vec<Work>>
    where
        F: Future<Output = StoreResult<Vec<Work>>>,
    {
        let (reply, mut answer) = oneshot::channel();
        self.asked().push(Ask {
            messages: messages.to_vec(),
            reply,
        });
        tokio::select! {
            biased;
            answered = &mut answer => {
                if let Ok(found) = answered {
                    return Ok(found);
                }
            }
            _turn = self.turn.lock() => {
                // Whoever had the turn before may have read for us as well.
                let mut answered = answer.try_recv();
                if matches!(answered, Err(TryRecvError::Empty)) {
                    self.fetch_all(&read).await?;
                    answered = answer.try_recv();
                }
                if let Ok(found) = answered {
                    return Ok(found);
                }
            }
        }
        // Whoever read for us failed or went away: perhaps because of another message.
        read(messages.to_vec()).await
    }

    /// Reads for all who wait. Who is not alone is not told of an error, and tries alone.
    async fn fetch_all<F>(&self, read: &impl Fn(Vec<MessageId>) -> F) -> StoreResult<()>
    where
        F: Future<Output = StoreResult<Vec<Work>>>,
    {
        let mut asks = std::mem::take(&mut *self.asked());
        asks.retain(|ask| !ask.reply.is_closed());
        let wanted: BTreeSet<_> = asks.iter().flat_map(|ask| &ask.messages).copied().collect();
        let found = match read(wanted.into_iter().collect()).await {
            Ok(found) => found,
            Err(error) if asks.len() == 1 => return Err(error),
            Err(_) => return Ok(()),
        };
        let mut found: HashMap<_, _> = found
            .into_iter()
            .map(|work| (work.message.id, work))
            .collect();
        // The same message may be in two workers' hands; only one of them will be let through.
        let mut left: HashMap<MessageId, usize> = HashMap::new();
        for id in asks.iter().flat_map(|ask| &ask.messages) {
            *left.entry(*id).or_default() += 1;
        }
        for ask in asks {
            let mut take = |id: &MessageId| {
                let left = left.get_mut(id)?;
                *left -= 1;
                if *left == 0 {
                    found.remove(id)
                } else {
                    found.get(id).cloned()
                }
            };
            let works = ask.messages.iter().filter_map(&mut take).collect();
            // Who has gone meanwhile does not need it.
            let _ = ask.reply.send(works);
        }
        Ok(())
    }

    fn asked(&self) -> MutexGuard<'_, Vec<Ask>> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
