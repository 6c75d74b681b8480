//! A gateway that answers as told and remembers what it was asked.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex};

use futures::{Stream, StreamExt as _};
use prost::Message as _;
use tidings::proto::customer_service_server::CustomerService;
use tidings::proto::notification::State;
use tidings::proto::notification_service_server::NotificationService;
use tidings::proto::stream_notifications_response::Result as Answer;
use tidings::proto::template_service_server::TemplateService;
use tidings::proto::*;
use tonic::{Code, Request, Response, Status, Streaming};
use tonic_types::{ErrorDetails, StatusExt as _};

type Answered<T> = Result<Response<T>, Status>;
type Items<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

fn refusal(code: Code, reason: &str, message: &str) -> Status {
    Status::with_error_details(
        code,
        message,
        ErrorDetails::with_error_info(reason, "tidings", []),
    )
}

fn rpc_refusal(reason: &str, message: &str) -> RpcStatus {
    let status = refusal(Code::InvalidArgument, reason, message);
    RpcStatus::decode(status.details()).unwrap()
}

fn notification(id: &str, state: State, reason: &str) -> Notification {
    Notification {
        name: format!("notifications/{id}"),
        intent: Some(NotificationIntent {
            recipient: Some(notification_intent::Recipient::CustomerId("c-1".to_owned())),
            template: "order.shipped".to_owned(),
            ..NotificationIntent::default()
        }),
        state: state as i32,
        state_reason: reason.to_owned(),
        create_time: Some(wire_time("2026-11-22T14:03:11.5Z".parse().unwrap())),
        ..Notification::default()
    }
}

/// What it was asked, and what it is to answer.
#[derive(Clone, Default)]
pub(crate) struct Fake {
    pub(crate) sends: Arc<Mutex<Vec<SendNotificationRequest>>>,
    /// States that GetNotification walks through; the last one stays.
    pub(crate) states: Arc<Mutex<Vec<(State, &'static str)>>>,
    pub(crate) watches: Arc<Mutex<Vec<String>>>,
    pub(crate) pages: Arc<Mutex<Vec<i32>>>,
    pub(crate) customers: Arc<Mutex<BTreeMap<String, Customer>>>,
    pub(crate) explained: Arc<Mutex<Vec<ExplainNotificationRequest>>>,
    pub(crate) previews: Arc<Mutex<Vec<PreviewTemplateRequest>>>,
    pub(crate) preferences: Arc<Mutex<Vec<UpdatePreferencesRequest>>>,
    /// The stream is cut after this many answers.
    pub(crate) cut_after: Option<usize>,
}

impl Fake {
    fn take(
        &self,
        request: SendNotificationRequest,
    ) -> Result<SendNotificationResponse, (&'static str, &'static str)> {
        let template = request
            .intent
            .as_ref()
            .map(|intent| intent.template.clone())
            .unwrap_or_default();
        let mut sends = self.sends.lock().unwrap();
        let replayed = sends
            .iter()
            .any(|seen| seen.request_id == request.request_id);
        if template == "no.such" {
            return Err(("TEMPLATE_NOT_FOUND", "there is no template no.such"));
        }
        sends.push(request);
        Ok(SendNotificationResponse {
            notification: Some(notification("n-1", State::Accepted, "ACCEPTED")),
            replayed,
        })
    }
}

#[tonic::async_trait]
impl NotificationService for Fake {
    type StreamNotificationsStream = Items<StreamNotificationsResponse>;
    type WatchNotificationsStream = Items<WatchNotificationsResponse>;

    async fn send_notification(
        &self,
        request: Request<SendNotificationRequest>,
    ) -> Answered<SendNotificationResponse> {
        let answer = self.take(request.into_inner());
        answer
            .map(Response::new)
            .map_err(|(reason, message)| refusal(Code::NotFound, reason, message))
    }

    async fn batch_send_notifications(
        &self,
        _: Request<BatchSendNotificationsRequest>,
    ) -> Answered<BatchSendNotificationsResponse> {
        Err(Status::unimplemented("not asked for"))
    }

    async fn stream_notifications(
        &self,
        request: Request<Streaming<StreamNotificationsRequest>>,
    ) -> Answered<Self::StreamNotificationsStream> {
        let fake = self.clone();
        let answers = request.into_inner().map(move |item| {
            let item = item?;
            let result = match fake.take(item.request.unwrap_or_default()) {
                Ok(accepted) => Answer::Accepted(accepted),
                Err((reason, message)) => Answer::Error(rpc_refusal(reason, message)),
            };
            Ok(StreamNotificationsResponse {
                sequence: item.sequence,
                result: Some(result),
            })
        });
        match self.cut_after {
            Some(count) => {
                let end = futures::stream::iter([Err(Status::unavailable("going away"))]);
                Ok(Response::new(Box::pin(answers.take(count).chain(end))))
            }
            None => Ok(Response::new(Box::pin(answers))),
        }
    }

    async fn get_notification(
        &self,
        request: Request<GetNotificationRequest>,
    ) -> Answered<GetNotificationResponse> {
        let mut states = self.states.lock().unwrap();
        let (state, reason) = *states.first().unwrap();
        if states.len() > 1 {
            states.remove(0);
        }
        let id = request.into_inner().name.replace("notifications/", "");
        Ok(Response::new(GetNotificationResponse {
            notification: Some(notification(&id, state, reason)),
        }))
    }

    async fn list_notifications(
        &self,
        request: Request<ListNotificationsRequest>,
    ) -> Answered<ListNotificationsResponse> {
        let request = request.into_inner();
        if request.filter == "bad" {
            return Err(refusal(
                Code::InvalidArgument,
                "FIELD_INVALID",
                "filter: expected an operator",
            ));
        }
        self.pages.lock().unwrap().push(request.page_size);
        let notifications = (0..request.page_size.min(3))
            .map(|n| notification(&format!("n-{n}"), State::Failed, "PROVIDER_REJECTED"))
            .collect();
        Ok(Response::new(ListNotificationsResponse {
            notifications,
            next_page_token: "more".to_owned(),
        }))
    }

    async fn cancel_notification(
        &self,
        _: Request<CancelNotificationRequest>,
    ) -> Answered<CancelNotificationResponse> {
        Ok(Response::new(CancelNotificationResponse {
            cancelled_count: 2,
            missed_count: 1,
        }))
    }

    async fn explain_notification(
        &self,
        request: Request<ExplainNotificationRequest>,
    ) -> Answered<ExplainNotificationResponse> {
        self.explained.lock().unwrap().push(request.into_inner());
        let step = DecisionStep {
            rule: "topic".to_owned(),
            outcome: decision_step::Outcome::Pass as i32,
            summary: "orders are on".to_owned(),
            ..DecisionStep::default()
        };
        Ok(Response::new(ExplainNotificationResponse {
            steps: vec![step],
            verdict: "It goes out.".to_owned(),
        }))
    }

    async fn watch_notifications(
        &self,
        request: Request<WatchNotificationsRequest>,
    ) -> Answered<Self::WatchNotificationsStream> {
        let token = request.into_inner().resume_token;
        let first: usize = token.parse().unwrap_or(0);
        self.watches.lock().unwrap().push(token);
        // Two events, then the connection is lost; with the token it goes on after them.
        let events = (first..first + 2).map(|n| {
            Ok(WatchNotificationsResponse {
                event: Some(NotificationEvent {
                    id: n.to_string(),
                    time: Some(wire_time("2026-11-22T14:03:11Z".parse().unwrap())),
                    notification: Some(notification(&format!("n-{n}"), State::Sent, "HANDED_OVER")),
                    r#type: "notification.sent".to_owned(),
                }),
                resume_token: (n + 1).to_string(),
            })
        });
        let end = [Err(Status::unavailable("going away"))];
        Ok(Response::new(Box::pin(futures::stream::iter(
            events.chain(end).collect::<Vec<_>>(),
        ))))
    }
}

#[tonic::async_trait]
impl CustomerService for Fake {
    async fn upsert_customer(
        &self,
        request: Request<UpsertCustomerRequest>,
    ) -> Answered<UpsertCustomerResponse> {
        let customer = request.into_inner().customer.unwrap_or_default();
        self.customers
            .lock()
            .unwrap()
            .insert(customer.name.clone(), customer.clone());
        Ok(Response::new(UpsertCustomerResponse {
            customer: Some(customer),
        }))
    }

    async fn batch_upsert_customers(
        &self,
        request: Request<BatchUpsertCustomersRequest>,
    ) -> Answered<BatchUpsertCustomersResponse> {
        let mut answer = BatchUpsertCustomersResponse::default();
        for (index, request) in (0_i32..).zip(request.into_inner().requests) {
            let customer = request.customer.unwrap_or_default();
            if customer.locale == "bad" {
                answer.failed_requests.insert(
                    index,
                    rpc_refusal("LOCALE_INVALID", "locale is not well-formed"),
                );
            } else {
                self.customers
                    .lock()
                    .unwrap()
                    .insert(customer.name.clone(), customer);
            }
        }
        Ok(Response::new(answer))
    }

    async fn get_customer(
        &self,
        request: Request<GetCustomerRequest>,
    ) -> Answered<GetCustomerResponse> {
        let name = request.into_inner().name;
        match self.customers.lock().unwrap().get(&name) {
            Some(customer) => Ok(Response::new(GetCustomerResponse {
                customer: Some(customer.clone()),
            })),
            None => Err(refusal(
                Code::NotFound,
                "CUSTOMER_NOT_FOUND",
                "there is no such customer",
            )),
        }
    }

    async fn delete_customer(
        &self,
        _: Request<DeleteCustomerRequest>,
    ) -> Answered<DeleteCustomerResponse> {
        Ok(Response::new(DeleteCustomerResponse {
            anonymized_notification_count: 3,
        }))
    }

    async fn get_preferences(
        &self,
        request: Request<GetPreferencesRequest>,
    ) -> Answered<GetPreferencesResponse> {
        let customer_id = request.into_inner().customer_id;
        let preferences = Preferences {
            customer_id,
            etag: "e1".to_owned(),
            ..Preferences::default()
        };
        Ok(Response::new(GetPreferencesResponse {
            preferences: Some(preferences),
        }))
    }

    async fn update_preferences(
        &self,
        request: Request<UpdatePreferencesRequest>,
    ) -> Answered<UpdatePreferencesResponse> {
        let request = request.into_inner();
        self.preferences.lock().unwrap().push(request.clone());
        Ok(Response::new(UpdatePreferencesResponse {
            preferences: request.preferences,
        }))
    }
}

#[tonic::async_trait]
impl TemplateService for Fake {
    async fn list_templates(
        &self,
        _: Request<ListTemplatesRequest>,
    ) -> Answered<ListTemplatesResponse> {
        let template = Template {
            name: "templates/order.shipped".to_owned(),
            category: Category::Transactional as i32,
            channels: vec![Channel::Email as i32, Channel::Sms as i32],
            ..Template::default()
        };
        Ok(Response::new(ListTemplatesResponse {
            templates: vec![template],
            ..Default::default()
        }))
    }

    async fn get_template(&self, _: Request<GetTemplateRequest>) -> Answered<GetTemplateResponse> {
        Err(Status::unimplemented("not asked for"))
    }

    async fn preview_template(
        &self,
        request: Request<PreviewTemplateRequest>,
    ) -> Answered<PreviewTemplateResponse> {
        self.previews.lock().unwrap().push(request.into_inner());
        let content = |channel: Channel, text: &str| RenderedContent {
            channel: channel as i32,
            text: text.to_owned(),
            ..RenderedContent::default()
        };
        let email = RenderedContent {
            subject: "On its way".to_owned(),
            html: "<p>On its way</p>".to_owned(),
            ..content(Channel::Email, "On its way.\n")
        };
        Ok(Response::new(PreviewTemplateResponse {
            contents: vec![email, content(Channel::Sms, "Sent.")],
            findings: Vec::new(),
        }))
    }
}
