//! L4: the gRPC client of the command line: a connection, the generated clients over it, and errors in words.
//!
//! Retries nothing: the caller knows whether a call may be repeated.

use std::time::Duration;

use tonic::transport::{Channel, Endpoint};
use tonic_types::StatusExt as _;

use crate::proto::RpcStatus;
use crate::proto::customer_service_client::CustomerServiceClient;
use crate::proto::notification_service_client::NotificationServiceClient;
use crate::proto::template_service_client::TemplateServiceClient;

/// How long a connection may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// An open connection to a gateway.
#[derive(Clone, Debug)]
pub struct Client {
    channel: Channel,
}

/// A call that did not answer as asked.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The address is none.
    #[error("{0:?} is not an address")]
    Address(String),
    /// Nobody answers, or the connection broke.
    #[error("{0}")]
    Unreachable(String),
    /// The gateway said no.
    #[error("{reason}: {message}")]
    Refused {
        /// The reason of the closed list, or gRPC's own code.
        reason: String,
        /// Its sentence.
        message: String,
    },
}

impl Client {
    /// Connects to `host:port` or a URL.
    ///
    /// # Errors
    /// When the address is none, or nobody answers there within five seconds.
    pub async fn connect(address: &str) -> Result<Self, ClientError> {
        let url = if address.contains("://") {
            address.to_owned()
        } else {
            format!("http://{address}")
        };
        let endpoint = Endpoint::from_shared(url)
            .map_err(|_| ClientError::Address(address.to_owned()))?
            .connect_timeout(CONNECT_TIMEOUT);
        let channel = endpoint
            .connect()
            .await
            .map_err(|error| ClientError::Unreachable(error.to_string()))?;
        Ok(Self { channel })
    }

    /// The notification service.
    pub fn notifications(&self) -> NotificationServiceClient<Channel> {
        NotificationServiceClient::new(self.channel.clone())
    }

    /// The customer service.
    pub fn customers(&self) -> CustomerServiceClient<Channel> {
        CustomerServiceClient::new(self.channel.clone())
    }

    /// The template service.
    pub fn templates(&self) -> TemplateServiceClient<Channel> {
        TemplateServiceClient::new(self.channel.clone())
    }
}

impl From<tonic::Status> for ClientError {
    fn from(status: tonic::Status) -> Self {
        let info = status.get_details_error_info();
        // What the transport reports has no details of ours.
        if info.is_none() && status.code() == tonic::Code::Unavailable {
            return Self::Unreachable(status.message().to_owned());
        }
        Self::Refused {
            reason: info.map_or_else(|| format!("{:?}", status.code()), |info| info.reason),
            message: status.message().to_owned(),
        }
    }
}

impl From<&RpcStatus> for ClientError {
    fn from(status: &RpcStatus) -> Self {
        use tonic_types::RpcStatusExt as _;
        let reason = status.get_details_error_info().map_or_else(
            || format!("{:?}", tonic::Code::from_i32(status.code)),
            |info| info.reason,
        );
        Self::Refused {
            reason,
            message: status.message.clone(),
        }
    }
}
