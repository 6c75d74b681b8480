//! The bidirectional stream: items in, one acknowledgement each.
//!
//! What has already arrived is accepted together, so that a fast sender shares commits; nothing waits for more to come.
//! At most [`MAX_IN_FLIGHT`] such groups are on their way, each bounded in items and bytes; beyond that the stream is not
//! read, and HTTP/2 flow control slows the sender down. An item that is refused answers its error and the stream goes on.

use std::collections::VecDeque;
use std::sync::Arc;

use futures::future::BoxFuture;
use futures::stream::{self, FuturesUnordered};
use futures::{FutureExt as _, Stream, StreamExt as _};
use prost::Message as _;
use tonic::{Status, Streaming};

use super::batch::send_all;
use crate::api::errors::{refuse, rpc_status};
use crate::api::{Shared, leaving};
use crate::domain::caller::Caller;
use crate::proto;
use crate::proto::stream_notifications_response::Result as Outcome;

const MAX_GROUP_ITEMS: usize = 256;
const MAX_GROUP_BYTES: usize = 4 * 1024 * 1024;
const MAX_IN_FLIGHT: usize = 4;

type Item = proto::StreamNotificationsRequest;
type Acknowledgement = proto::StreamNotificationsResponse;

struct Flow {
    shared: Arc<Shared>,
    caller: Arc<Caller>,
    inbound: Streaming<Item>,
    in_flight: FuturesUnordered<BoxFuture<'static, Vec<Acknowledgement>>>,
    acknowledgements: VecDeque<Acknowledgement>,
    /// Whether more may come in.
    open: bool,
    /// How the stream ends, told after the last acknowledgement.
    fault: Option<Status>,
}

/// The acknowledgements of a stream of items.
pub(super) fn answers(
    shared: Arc<Shared>,
    caller: Arc<Caller>,
    inbound: Streaming<Item>,
) -> impl Stream<Item = Result<Acknowledgement, Status>> + Send {
    let flow = Flow {
        shared,
        caller,
        inbound,
        in_flight: FuturesUnordered::new(),
        acknowledgements: VecDeque::new(),
        open: true,
        fault: None,
    };
    stream::unfold(flow, |mut flow| async move {
        let next = flow.next().await?;
        Some((next, flow))
    })
}

impl Flow {
    async fn next(&mut self) -> Option<Result<Acknowledgement, Status>> {
        loop {
            if let Some(acknowledgement) = self.acknowledgements.pop_front() {
                return Some(Ok(acknowledgement));
            }
            if !self.open && self.in_flight.is_empty() {
                return self.fault.take().map(Err);
            }
            let stopping = self.shared.stopping.clone();
            tokio::select! {
                Some(done) = self.in_flight.next(), if !self.in_flight.is_empty() => {
                    self.acknowledgements.extend(done);
                }
                () = stopping.cancelled(), if self.open => {
                    self.open = false;
                    self.fault = Some(refuse(leaving()));
                }
                item = self.inbound.next(), if self.open && self.in_flight.len() < MAX_IN_FLIGHT => {
                    if let Some(first) = self.take(item) {
                        let group = self.gather(first);
                        let accepting = accept(Arc::clone(&self.shared), Arc::clone(&self.caller), group);
                        self.in_flight.push(accepting.boxed());
                    }
                }
            }
        }
    }

    /// An item that came in, or the end of them.
    fn take(&mut self, item: Option<Result<Item, Status>>) -> Option<Item> {
        match item {
            Some(Ok(item)) => return Some(item),
            Some(Err(status)) => self.fault = Some(status),
            None => {}
        }
        self.open = false;
        None
    }

    /// The first item with all others that are already there.
    fn gather(&mut self, first: Item) -> Vec<Item> {
        let mut bytes = first.encoded_len();
        let mut group = vec![first];
        while self.open && group.len() < MAX_GROUP_ITEMS && bytes < MAX_GROUP_BYTES {
            let Some(item) = self.inbound.next().now_or_never() else {
                break;
            };
            if let Some(item) = self.take(item) {
                bytes += item.encoded_len();
                group.push(item);
            }
        }
        group
    }
}

async fn accept(
    shared: Arc<Shared>,
    caller: Arc<Caller>,
    group: Vec<Item>,
) -> Vec<Acknowledgement> {
    let (sequences, requests): (Vec<i64>, Vec<_>) = group
        .into_iter()
        .map(|item| (item.sequence, item.request.unwrap_or_default()))
        .unzip();
    let results = send_all(&shared, &caller, requests, false).await;
    sequences
        .into_iter()
        .zip(results)
        .map(|(sequence, result)| Acknowledgement {
            sequence,
            result: Some(match result {
                Ok(accepted) => Outcome::Accepted(accepted),
                Err(rejection) => Outcome::Error(rpc_status(&rejection)),
            }),
        })
        .collect()
}
