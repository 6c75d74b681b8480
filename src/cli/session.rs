//! The connection to a gateway as commands use it: one place for each call, and faults turned into words and exit
//! codes.

use crate::client::{Client, ClientError, Refusal, Target};
use crate::proto::{
    CancelNotificationRequest, CancelNotificationResponse, Customer, DeleteCustomerRequest,
    ExplainNotificationRequest, ExplainNotificationResponse, GetCustomerRequest,
    GetNotificationRequest, GetPreferencesRequest, JsonCodec, ListNotificationsRequest,
    ListNotificationsResponse, ListTemplatesRequest, ListTemplatesResponse, ListUnknownRequest,
    ListUnknownResponse, Notification, Preferences, PreviewTemplateRequest,
    PreviewTemplateResponse, RecoverStoreRequest, RecoverStoreResponse, ResolveUnknownRequest,
    ResolveUnknownResponse, SendNotificationRequest, SendNotificationResponse,
    UpdatePreferencesRequest, UpsertCustomerRequest, WireMessage,
};

use super::failure::{Exit, Failure};

/// An open connection and what is needed to read and write JSON.
pub(super) struct Session {
    pub(super) client: Client,
    pub(super) codec: JsonCodec,
    pub(super) address: String,
}

impl Session {
    /// Connects.
    pub(super) async fn open(target: &Target) -> Result<Self, Failure> {
        let codec = codec()?;
        let client = Client::connect_to(target)
            .await
            .map_err(|error| failure(&target.address, error))?;
        Ok(Self {
            client,
            codec,
            address: target.address.clone(),
        })
    }

    /// A call's fault as a failure.
    pub(super) fn fault(&self, error: impl Into<ClientError>) -> Failure {
        failure(&self.address, error.into())
    }

    /// A message as JSON.
    pub(super) fn write<M: WireMessage>(
        &self,
        name: &str,
        message: &M,
    ) -> Result<serde_json::Value, Failure> {
        self.codec
            .write(name, message)
            .map_err(|error| Failure::failed(format!("the answer has no JSON form: {error}"), ""))
    }

    pub(super) async fn send(
        &self,
        request: SendNotificationRequest,
    ) -> Result<SendNotificationResponse, Failure> {
        let answer = self.client.notifications().send_notification(request).await;
        Ok(answer.map_err(|error| self.fault(error))?.into_inner())
    }

    pub(super) async fn notification(&self, name: &str) -> Result<Notification, Failure> {
        let request = GetNotificationRequest {
            name: name.to_owned(),
        };
        let answer = self.client.notifications().get_notification(request).await;
        let answer = answer.map_err(|error| self.fault(error))?.into_inner();
        Ok(answer.notification.unwrap_or_default())
    }

    pub(super) async fn list(
        &self,
        request: ListNotificationsRequest,
    ) -> Result<ListNotificationsResponse, Failure> {
        let answer = self
            .client
            .notifications()
            .list_notifications(request)
            .await;
        Ok(answer.map_err(|error| self.fault(error))?.into_inner())
    }

    pub(super) async fn cancel(
        &self,
        request: CancelNotificationRequest,
    ) -> Result<CancelNotificationResponse, Failure> {
        let answer = self
            .client
            .notifications()
            .cancel_notification(request)
            .await;
        Ok(answer.map_err(|error| self.fault(error))?.into_inner())
    }

    pub(super) async fn explain(
        &self,
        request: ExplainNotificationRequest,
    ) -> Result<ExplainNotificationResponse, Failure> {
        let answer = self
            .client
            .notifications()
            .explain_notification(request)
            .await;
        Ok(answer.map_err(|error| self.fault(error))?.into_inner())
    }

    /// A customer; `None` when there is none of that id.
    pub(super) async fn customer(&self, id: &str) -> Result<Option<Customer>, Failure> {
        let request = GetCustomerRequest {
            name: format!("customers/{id}"),
        };
        match self.client.customers().get_customer(request).await {
            Ok(answer) => Ok(answer.into_inner().customer),
            Err(status) => match ClientError::from(status) {
                ClientError::Refused(refusal) if refusal.reason == "CUSTOMER_NOT_FOUND" => Ok(None),
                error => Err(self.fault(error)),
            },
        }
    }

    pub(super) async fn upsert(&self, customer: Customer) -> Result<Customer, Failure> {
        let request = UpsertCustomerRequest {
            customer: Some(customer),
            update_mask: None,
        };
        let answer = self.client.customers().upsert_customer(request).await;
        let answer = answer.map_err(|error| self.fault(error))?.into_inner();
        Ok(answer.customer.unwrap_or_default())
    }

    /// Erases a customer; how many notifications lost their person.
    pub(super) async fn erase(&self, id: &str) -> Result<i32, Failure> {
        let request = DeleteCustomerRequest {
            name: format!("customers/{id}"),
        };
        let answer = self.client.customers().delete_customer(request).await;
        let answer = answer.map_err(|error| self.fault(error))?.into_inner();
        Ok(answer.anonymized_notification_count)
    }

    pub(super) async fn preferences(&self, id: &str) -> Result<Preferences, Failure> {
        let request = GetPreferencesRequest {
            customer_id: id.to_owned(),
        };
        let answer = self.client.customers().get_preferences(request).await;
        let answer = answer.map_err(|error| self.fault(error))?.into_inner();
        Ok(answer.preferences.unwrap_or_default())
    }

    pub(super) async fn update_preferences(
        &self,
        request: UpdatePreferencesRequest,
    ) -> Result<Preferences, Failure> {
        let answer = self.client.customers().update_preferences(request).await;
        let answer = answer.map_err(|error| self.fault(error))?.into_inner();
        Ok(answer.preferences.unwrap_or_default())
    }

    pub(super) async fn templates(
        &self,
        request: ListTemplatesRequest,
    ) -> Result<ListTemplatesResponse, Failure> {
        let answer = self.client.templates().list_templates(request).await;
        Ok(answer.map_err(|error| self.fault(error))?.into_inner())
    }

    pub(super) async fn preview(
        &self,
        request: PreviewTemplateRequest,
    ) -> Result<PreviewTemplateResponse, Failure> {
        let answer = self.client.templates().preview_template(request).await;
        Ok(answer.map_err(|error| self.fault(error))?.into_inner())
    }

    pub(super) async fn unknown(
        &self,
        request: ListUnknownRequest,
    ) -> Result<ListUnknownResponse, Failure> {
        let answer = self.client.operations().list_unknown(request).await;
        Ok(answer.map_err(|error| self.fault(error))?.into_inner())
    }

    pub(super) async fn recover(
        &self,
        request: RecoverStoreRequest,
    ) -> Result<RecoverStoreResponse, Failure> {
        let answer = self.client.operations().recover_store(request).await;
        Ok(answer.map_err(|error| self.fault(error))?.into_inner())
    }

    pub(super) async fn resolve(
        &self,
        request: ResolveUnknownRequest,
    ) -> Result<ResolveUnknownResponse, Failure> {
        let answer = self.client.operations().resolve_unknown(request).await;
        Ok(answer.map_err(|error| self.fault(error))?.into_inner())
    }
}

/// The JSON codec.
pub(super) fn codec() -> Result<JsonCodec, Failure> {
    JsonCodec::new().map_err(|error| Failure::failed(error, "this build is broken; build it again"))
}

fn failure(address: &str, error: ClientError) -> Failure {
    match error {
        ClientError::Unreachable { cause, .. } => Failure::told(
            Exit::Unreachable,
            format!("no gateway answers at {address}: {cause}"),
            unreached(&cause),
        ),
        ClientError::Unusable(sentence) => Failure::usage(sentence, ""),
        ClientError::Refused(refusal) => {
            let advice = match refusal.retry_after {
                Some(after) => format!("wait {} s and run it again", after.as_secs().max(1)),
                None => advice(&refusal).to_owned(),
            };
            Failure::failed(sentence(&refusal), advice)
        }
    }
}

/// What to do when there was no connection: one end may not like the other's certificate.
fn unreached(cause: &str) -> &'static str {
    if cause.contains("certificate") || cause.contains("alert") {
        "check --ca-file, the authority of the gateway's certificate, and --certificate-file, yours"
    } else if cause.contains("corrupt message") {
        "the gateway speaks without TLS; name it with http://"
    } else {
        "start one with: tidings dev    or name another with --address or TIDINGS_ADDRESS"
    }
}

/// A refusal on one line: its sentence, every further field, its reason.
pub(super) fn sentence(refusal: &Refusal) -> String {
    // The sentence is about the first field already.
    let further: String = refusal
        .fields
        .iter()
        .skip(1)
        .map(|(field, rule)| format!("; {field}: {rule}"))
        .collect();
    format!("{}{further} ({})", refusal.message, refusal.reason)
}

/// What to do about a refusal whose own sentence does not say it.
fn advice(refusal: &Refusal) -> &'static str {
    let field = refusal.fields.first().map_or("", |(field, _)| field);
    match refusal.reason.as_str() {
        "FIELD_INVALID" if field == "name" => "see what there is with: tidings notifications list",
        "FIELD_INVALID" if field.ends_with(".topic") => {
            "see the topics with: tidings templates list"
        }
        "TEMPLATE_NOT_FOUND" => "see what there is with: tidings templates list",
        "CUSTOMER_NOT_FOUND" => {
            "check the id, or create the customer with: tidings customers upsert"
        }
        "NOTIFICATION_NOT_FOUND" => "see what there is with: tidings notifications list",
        "VARIABLES_INVALID" => "see what the template takes with: tidings templates list --json",
        "UNAUTHENTICATED" => "show a key with: --api-key-file FILE",
        "PERMISSION_DENIED" => "whoever runs the gateway gives scopes to callers",
        "REQUEST_ID_REUSED" => "give another --request-id, or the same request again",
        "ETAG_MISMATCH" => "somebody else changed it in between; run it again",
        "OVERLOADED" | "STORE_UNAVAILABLE" | "STORE_FULL" | "CALLER_QUOTA_EXCEEDED" => {
            "wait a little and run it again"
        }
        _ => "",
    }
}
