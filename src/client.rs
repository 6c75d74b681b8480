//! L4: the command line's way to a running gateway.
//!
//! Connects once, in the clear or by TLS, shows the caller's key or certificate, gives the services as their generated clients, and turns what went wrong into lines that a person
//! can act on. Does not retry: the person, or the script, decides.

use std::time::Duration;

use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use crate::proto::customer_service_client::CustomerServiceClient;
use crate::proto::notification_service_client::NotificationServiceClient;
use crate::proto::operator_service_client::OperatorServiceClient;
use crate::proto::template_service_client::TemplateServiceClient;

mod target;

pub use target::Target;
use target::{Credential, Prepared};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const KEEPALIVE: Duration = Duration::from_secs(20);
/// A single notification with its variables can be larger than the usual 4 MiB.
const MAX_MESSAGE_BYTES: usize = 16 * 1024 * 1024;

/// A connection to a gateway. Clones share it.
#[derive(Clone, Debug)]
pub struct Client {
    line: Line,
}

/// A connection that shows the caller's key with every call.
type Line = InterceptedService<Channel, Credential>;

/// Why a call did not do what was asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClientError {
    /// No gateway answers there.
    #[error("no gateway answers at {address}: {cause}")]
    Unreachable {
        /// Where it was looked for; empty when an open connection broke.
        address: String,
        /// What the network said.
        cause: String,
    },
    /// The address, the key or a certificate cannot be used; nothing was sent.
    #[error("{0}")]
    Unusable(String),
    /// The gateway said no.
    #[error(transparent)]
    Refused(Refusal),
}

/// A gateway's "no".
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}: {message}")]
pub struct Refusal {
    /// The stable reason, or gRPC's own code where the service was not asked.
    pub reason: String,
    /// A sentence.
    pub message: String,
    /// Each field with the rule that it breaks.
    pub fields: Vec<(String, String)>,
    /// Further facts by name, such as the name under a reused request id.
    pub facts: Vec<(String, String)>,
    /// When to come again, where the gateway said so.
    pub retry_after: Option<Duration>,
}

impl Client {
    /// Connects to `host:port` or `http://host:port`, without a credential.
    ///
    /// # Errors
    /// [`ClientError::Unreachable`], also for an address that is none.
    pub async fn connect(address: &str) -> Result<Self, ClientError> {
        Self::connect_to(&Target::at(address)).await
    }

    /// Connects as the target says.
    ///
    /// # Errors
    /// [`ClientError::Unusable`] for files that cannot be used and a key that would cross the network in the clear, else as
    /// [`Client::connect`].
    pub async fn connect_to(target: &Target) -> Result<Self, ClientError> {
        let unreachable = |cause: String| ClientError::Unreachable {
            address: target.address.clone(),
            cause,
        };
        let Prepared {
            uri,
            tls,
            credential,
        } = target.prepare()?;
        let mut endpoint = Endpoint::from_shared(uri)
            .map_err(|_| unreachable("not an address; give host:port".to_owned()))?
            .connect_timeout(CONNECT_TIMEOUT)
            .http2_keep_alive_interval(KEEPALIVE)
            .keep_alive_while_idle(true);
        if let Some(tls) = tls {
            endpoint = endpoint
                .tls_config(tls)
                .map_err(|error| ClientError::Unusable(root_cause(&error)))?;
        }
        let channel = endpoint
            .connect()
            .await
            .map_err(|error| unreachable(root_cause(&error)))?;
        Ok(Self {
            line: InterceptedService::new(channel, credential),
        })
    }

    /// Sending, following, explaining.
    pub fn notifications(&self) -> NotificationServiceClient<Line> {
        NotificationServiceClient::new(self.line.clone())
            .max_decoding_message_size(MAX_MESSAGE_BYTES)
    }

    /// Customers and their choices.
    pub fn customers(&self) -> CustomerServiceClient<Line> {
        CustomerServiceClient::new(self.line.clone()).max_decoding_message_size(MAX_MESSAGE_BYTES)
    }

    /// Templates.
    pub fn templates(&self) -> TemplateServiceClient<Line> {
        TemplateServiceClient::new(self.line.clone()).max_decoding_message_size(MAX_MESSAGE_BYTES)
    }

    /// Running the gateway.
    pub fn operations(&self) -> OperatorServiceClient<Line> {
        OperatorServiceClient::new(self.line.clone())
    }
}

impl ClientError {
    /// What the process ends with: 5 when no gateway answers, 2 when it was asked wrongly, else 1.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Unreachable { .. } => 5,
            Self::Unusable(_) => 2,
            Self::Refused(_) => 1,
        }
    }

    /// The error in lines for a terminal: what happened, then each field and fact.
    pub fn lines(&self) -> Vec<String> {
        let mut lines = vec![self.to_string()];
        if let Self::Refused(refusal) = self {
            let fields = refusal.fields.iter();
            lines.extend(fields.map(|(field, rule)| format!("  {field}: {rule}")));
            let facts = refusal.facts.iter();
            lines.extend(facts.map(|(name, value)| format!("  {name} = {value}")));
            if let Some(after) = refusal.retry_after {
                lines.push(format!("  try again in {} s", after.as_secs().max(1)));
            }
        }
        lines
    }
}

impl From<Status> for ClientError {
    fn from(status: Status) -> Self {
        let details = status.get_error_details();
        let info = details.error_info();
        if info.is_none()
            && let Some(cause) = lost(&status)
        {
            return Self::Unreachable {
                address: String::new(),
                cause,
            };
        }
        Self::Refused(Refusal::of(&status))
    }
}

impl Refusal {
    /// What a status says, from a call or from an item of a batch.
    pub fn of(status: &Status) -> Self {
        let details = status.get_error_details();
        let info = details.error_info();
        let mut facts: Vec<(String, String)> = info
            .map(|info| info.metadata.clone().into_iter().collect())
            .unwrap_or_default();
        facts.sort();
        Self {
            reason: info.map_or_else(
                || format!("{:?}", status.code()),
                |info| info.reason.clone(),
            ),
            message: status.message().to_owned(),
            fields: details
                .bad_request()
                .map(|bad| {
                    bad.field_violations
                        .iter()
                        .map(|violation| (violation.field.clone(), violation.description.clone()))
                        .collect()
                })
                .unwrap_or_default(),
            facts,
            retry_after: details.retry_info().and_then(|info| info.retry_delay),
        }
    }

    /// What became of an item of a batch or stream.
    pub fn of_item(status: &crate::proto::RpcStatus) -> Self {
        use prost::Message as _;
        let encoded = status.encode_to_vec();
        Self::of(&Status::with_details(
            Code::from_i32(status.code),
            status.message.clone(),
            encoded.into(),
        ))
    }
}

/// Why there was no answer, when there was none. The transport says UNAVAILABLE, as services do, who then say why; other codes
/// of its own have a cause, which no status of a gateway has.
fn lost(status: &Status) -> Option<String> {
    let cause = std::error::Error::source(status).map(root_cause);
    match (status.code(), cause) {
        (Code::Unavailable, cause) => Some(cause.unwrap_or_else(|| status.message().to_owned())),
        // So ends a TLS handshake of which only the other end knows yet that it failed.
        (Code::Cancelled, Some(_)) => Some(
            "the connection was closed before it was used, as by a gateway that does not take a certificate"
                .to_owned(),
        ),
        (Code::Unknown, cause) => cause,
        _ => None,
    }
}

/// The innermost error tells what the network said; the outer ones only that there was one.
fn root_cause(error: &(dyn std::error::Error + 'static)) -> String {
    let mut inner = error;
    while let Some(source) = inner.source() {
        inner = source;
    }
    inner.to_string()
}

#[cfg(test)]
mod tests;
