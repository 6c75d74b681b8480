//! What the broker itself can do with bodies like ours: the reference of `tidings bench`. Published with confirms, consumed and
//! acknowledged one by one, over one connection and a durable quorum queue, and nothing else.

use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use lapin::BasicProperties;
use lapin::options::{
    BasicAckOptions, BasicConsumeOptions, BasicPublishOptions, BasicQosOptions,
    ConfirmSelectOptions,
};
use lapin::types::FieldTable;

use super::connect::{CannotConnect, Host, open};
use super::publish::PERSISTENT;
use super::settings::Settings;
use super::topology;
use crate::domain::clock::Stopwatch;
use crate::queue::{Job, wire};

/// Unconfirmed at a time, and in the consumer's hands.
const IN_FLIGHT: u16 = 500;
const QUEUE: &str = "tidings.floor";

/// Why there is no figure.
#[derive(Debug, thiserror::Error)]
pub enum NoFloor {
    /// The broker is not there.
    #[error(transparent)]
    Connect(#[from] CannotConnect),
    /// It refused something.
    #[error("the broker refused: {0}")]
    Broker(#[from] lapin::Error),
}

/// Messages a second, from the first that is published to the last that is acknowledged.
///
/// # Errors
/// See [`NoFloor`].
pub async fn floor(settings: &Settings, jobs: &[Job]) -> Result<f64, NoFloor> {
    let connection = open(settings, &Host::of(settings, 0)?, "tidings bench").await?;
    let (publishing, consuming) = (
        connection.create_channel().await?,
        connection.create_channel().await?,
    );
    topology::declare_floor(&publishing, QUEUE).await?;
    publishing
        .confirm_select(ConfirmSelectOptions::default())
        .await?;
    consuming
        .basic_qos(IN_FLIGHT, BasicQosOptions::default())
        .await?;
    let mut consumer = consuming
        .basic_consume(
            QUEUE.into(),
            "floor".into(),
            BasicConsumeOptions::default(),
            FieldTable::default(),
        )
        .await?;
    let clock = Stopwatch::start();
    let publish = async {
        let mut awaited = FuturesUnordered::new();
        for job in jobs {
            if awaited.len() >= usize::from(IN_FLIGHT) {
                let confirmed: Option<lapin::Result<_>> = awaited.next().await;
                confirmed.transpose()?;
            }
            let confirm = publishing
                .basic_publish(
                    "".into(),
                    QUEUE.into(),
                    BasicPublishOptions::default(),
                    &wire::encode(job),
                    BasicProperties::default().with_delivery_mode(PERSISTENT),
                )
                .await?;
            awaited.push(confirm);
        }
        while let Some(confirmed) = awaited.next().await {
            confirmed?;
        }
        Ok::<(), lapin::Error>(())
    };
    let consume = async {
        for _ in jobs {
            let Some(delivery) = consumer.next().await else {
                break;
            };
            delivery?.acker.ack(BasicAckOptions::default()).await?;
        }
        Ok::<(), lapin::Error>(())
    };
    futures::try_join!(publish, consume)?;
    let rate = jobs.len() as f64 / clock.elapsed().as_secs_f64();
    topology::remove(&publishing, QUEUE).await?;
    connection.close(200, "measured".into()).await?;
    Ok(rate)
}
