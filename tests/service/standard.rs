//! The standard services: health and reflection.

use std::collections::BTreeSet;

use futures::stream;
use tonic::Code;
use tonic::transport::{Channel, Endpoint};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use crate::at_noon;
use crate::gateway::Embedded;

const SERVICES: [&str; 4] = [
    "tidings.v1.CustomerService",
    "tidings.v1.NotificationService",
    "tidings.v1.OperatorService",
    "tidings.v1.TemplateService",
];

async fn channel(gateway: &Embedded) -> Channel {
    let address = format!("http://{}", gateway.grpc_address());
    Endpoint::from_shared(address)
        .unwrap()
        .connect()
        .await
        .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_process_and_each_service_say_that_they_serve() {
    let gateway = at_noon().await;
    let mut health = HealthClient::new(channel(&gateway).await);
    let asked = |service: &str| HealthCheckRequest {
        service: service.into(),
    };
    for service in SERVICES.iter().chain(&[""]) {
        let answer = health.check(asked(service)).await.unwrap().into_inner();
        assert_eq!(answer.status(), ServingStatus::Serving, "{service:?}");
    }
    let unknown = health
        .check(asked("tidings.v1.InsightService"))
        .await
        .unwrap_err();
    assert_eq!(unknown.code(), Code::NotFound);

    let mut watch = health.watch(asked("")).await.unwrap().into_inner();
    assert_eq!(
        watch.message().await.unwrap().unwrap().status(),
        ServingStatus::Serving
    );
    let stopping = tokio::spawn(gateway.stop());
    assert_eq!(
        watch.message().await.unwrap().unwrap().status(),
        ServingStatus::NotServing,
        "before it goes"
    );
    drop((watch, health));
    stopping.await.unwrap();
}

macro_rules! listed {
    ($version:ident, $channel:expr) => {{
        use tonic_reflection::pb::$version::ServerReflectionRequest;
        use tonic_reflection::pb::$version::server_reflection_client::ServerReflectionClient;
        use tonic_reflection::pb::$version::server_reflection_request::MessageRequest;
        use tonic_reflection::pb::$version::server_reflection_response::MessageResponse;

        let ask = |message| ServerReflectionRequest {
            host: String::new(),
            message_request: Some(message),
        };
        let asked = [
            ask(MessageRequest::ListServices(String::new())),
            ask(MessageRequest::FileContainingSymbol(
                "tidings.v1.NotificationIntent".into(),
            )),
        ];
        let mut client = ServerReflectionClient::new($channel);
        let mut answers = client
            .server_reflection_info(stream::iter(asked))
            .await
            .unwrap()
            .into_inner();
        let first = answers.message().await.unwrap().unwrap().message_response;
        let Some(MessageResponse::ListServicesResponse(list)) = first else {
            panic!("{first:?}")
        };
        let second = answers.message().await.unwrap().unwrap().message_response;
        assert!(
            matches!(second, Some(MessageResponse::FileDescriptorResponse(_))),
            "{second:?}"
        );
        list.service
            .into_iter()
            .map(|service| service.name)
            .collect::<BTreeSet<String>>()
    }};
}

#[tokio::test(flavor = "multi_thread")]
async fn the_services_describe_themselves_in_both_versions() {
    let gateway = at_noon().await;
    let channel = channel(&gateway).await;
    for names in [
        listed!(v1, channel.clone()),
        listed!(v1alpha, channel.clone()),
    ] {
        for service in SERVICES {
            assert!(names.contains(service), "{names:?}");
        }
    }
    drop(channel);
    gateway.stop().await;
}
