//! Every method has its row, and nobody passes the gate who should not.

use std::collections::BTreeSet;
use std::convert::Infallible;

use prost::Message as _;
use prost_types::FileDescriptorSet;
use tonic::Code;

use super::*;
use crate::domain::caller::api_key;
use crate::domain::shop::{CallerId, Identity, ShopId};
use crate::proto;

/// The paths of every method in these descriptors.
fn described(sets: &[&[u8]]) -> BTreeSet<String> {
    let mut paths = BTreeSet::new();
    for set in sets {
        for file in FileDescriptorSet::decode(*set).unwrap().file {
            for service in &file.service {
                for method in &service.method {
                    paths.insert(format!(
                        "/{}.{}/{}",
                        file.package(),
                        service.name(),
                        method.name()
                    ));
                }
            }
        }
    }
    paths
}

#[test]
fn every_method_that_is_described_has_a_row_and_no_other() {
    let served = described(&[
        proto::DESCRIPTORS,
        tonic_health::pb::FILE_DESCRIPTOR_SET,
        tonic_reflection::pb::v1::FILE_DESCRIPTOR_SET,
        tonic_reflection::pb::v1alpha::FILE_DESCRIPTOR_SET,
    ]);
    let rows: BTreeSet<_> = METHODS.iter().map(|(path, _)| (*path).to_owned()).collect();
    assert_eq!(rows, served);
    assert_eq!(rows.len(), METHODS.len(), "a method has two rows");
    // Only health is open, and whoever knows nobody knows no method of ours.
    for (path, need) in METHODS {
        let ours = path.starts_with("/tidings.");
        let open = path.starts_with("/grpc.health.");
        assert_eq!(*need == Need::Nothing, open, "{path}");
        assert_eq!(*need == Need::Known, !ours && !open, "{path}");
    }
}

fn known(name: &str, shop: &str, scopes: &[Scope], random: u8) -> KnownCaller {
    KnownCaller {
        caller: Caller {
            identity: Identity {
                shop: ShopId::new(shop),
                caller: CallerId::new(name),
            },
            scopes: scopes.to_vec(),
        },
        keys: vec![KeyHash::of(&api_key(&[random; 32]))],
        certificate_names: vec![format!("spiffe://shop.example/{name}")],
    }
}

/// Two shops; the second one's caller may nothing.
fn callers() -> Callers {
    let mut rotating = known("orders", "first", Scope::ALL, 1);
    rotating.keys.push(KeyHash::of(&api_key(&[11; 32])));
    Callers::new(&[
        rotating,
        known("newsletter", "first", &[Scope::SendMarketing], 2),
        known("other", "second", &[], 3),
    ])
}

/// A service that says who called it.
#[derive(Clone)]
struct Behind;

impl Service<http::Request<()>> for Behind {
    type Response = http::Response<String>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<()>) -> Self::Future {
        let caller = request.extensions().get::<Arc<Caller>>();
        let name = caller.map_or("nobody", |caller| caller.identity.caller.as_str());
        ready(Ok(http::Response::new(name.to_owned())))
    }
}

/// Who was let through to a method, or how the call was refused.
async fn asked(path: &str, headers: &[String], names: &[&str]) -> Result<String, Status> {
    let mut gate = Gates::new(callers()).layer(Behind);
    let mut request = http::Request::new(());
    *request.uri_mut() = path.parse().unwrap();
    for header in headers {
        let value = http::HeaderValue::from_bytes(header.as_bytes()).unwrap();
        request
            .headers_mut()
            .append(http::header::AUTHORIZATION, value);
    }
    if !names.is_empty() {
        let names = names.iter().map(|name| (*name).to_owned()).collect();
        request.extensions_mut().insert(Peer::certified(names));
    }
    let answer = gate.call(request).await.unwrap();
    match Status::from_header_map(answer.headers()) {
        Some(status) => Err(status),
        None => Ok(answer.into_body()),
    }
}

fn key(random: u8) -> String {
    format!("Bearer {}", api_key(&[random; 32]))
}

/// The whole table: each method with each kind of caller.
#[tokio::test]
async fn each_method_is_open_to_those_who_may_and_to_nobody_else() {
    for (path, need) in METHODS {
        let open = *need == Need::Nothing;
        for (headers, name) in [
            (vec![], None),
            (vec![key(9)], None),
            (vec![key(1)], Some("orders")),
            (vec![key(11)], Some("orders")),
            (vec![key(2)], Some("newsletter")),
            (vec![key(3)], Some("other")),
        ] {
            let answer = asked(path, &headers, &[]).await;
            let may = match (name, need) {
                (_, Need::Nothing) | (Some("orders"), _) | (Some(_), Need::Known) => true,
                (Some("newsletter"), need) => *need == Need::Sending,
                (None | Some(_), _) => false,
            };
            match (answer, name) {
                (Ok(caller), _) if open => assert_eq!(caller, "nobody"),
                (Ok(caller), Some(name)) if may => assert_eq!(caller, name, "{path}"),
                (Err(status), None) if !open => {
                    assert_eq!(status.code(), Code::Unauthenticated, "{path}");
                    assert_eq!(status.message(), unknown().message);
                }
                (Err(status), Some(name)) if !may => {
                    assert_eq!(status.code(), Code::PermissionDenied, "{path} {name}");
                    assert!(status.message().contains("scope"), "{status}");
                }
                (answer, _) => panic!("{path} by {name:?}: {answer:?}"),
            }
        }
    }
}

#[tokio::test]
async fn a_method_without_a_row_is_reached_by_nobody() {
    for path in [
        "/tidings.v1.NotificationService/",
        "/tidings.v1.NotificationService/DropEverything",
        "/tidings.v1.NotificationService/GetNotification/",
        "//tidings.v1.NotificationService/GetNotification",
        "/tidings.v1.notificationservice/getnotification",
        "/tidings.v1.OperatorService/PauseDelivery",
        "/",
    ] {
        let known = asked(path, &[key(1)], &[]).await.unwrap_err();
        assert_eq!(known.code(), Code::Unimplemented, "{path}");
        let unknown = asked(path, &[], &[]).await.unwrap_err();
        assert_eq!(unknown.code(), Code::Unauthenticated, "{path}");
    }
}

const GET: &str = "/tidings.v1.NotificationService/GetNotification";

#[tokio::test]
async fn a_credential_that_is_not_exactly_right_is_none() {
    let good = api_key(&[1; 32]);
    for headers in [
        vec![String::new()],
        vec!["Bearer".into()],
        vec!["Bearer ".into()],
        vec![good.clone()],
        vec![format!("Basic {good}")],
        vec![format!("Bearer  {good}")],
        vec![format!("Bearer {good} ")],
        vec![format!("Bearer {good}\u{e9}")],
        vec![format!("Bearer {}", &good[..good.len() - 1])],
        vec![format!("Bearer {good}A")],
        vec![format!("Bearer {}", good.to_uppercase())],
        vec![format!("Bearer {}", KeyHash::of(&good))],
        vec![key(1), key(1)],
        vec![key(9), key(1)],
        vec![key(1), key(2)],
    ] {
        let status = asked(GET, &headers, &[]).await.unwrap_err();
        assert_eq!(status.code(), Code::Unauthenticated, "{headers:?}");
        assert_eq!(status.message(), unknown().message, "{headers:?}");
    }
    let lower = format!("bearer {good}");
    assert_eq!(asked(GET, &[lower], &[]).await.unwrap(), "orders");
}

#[tokio::test]
async fn a_certificate_names_one_caller_and_agrees_with_the_key() {
    let (orders, other) = (
        "spiffe://shop.example/orders",
        "spiffe://shop.example/other",
    );
    let extra = "gateway.shop.example";
    assert_eq!(asked(GET, &[], &[orders]).await.unwrap(), "orders");
    assert_eq!(asked(GET, &[], &[extra, orders]).await.unwrap(), "orders");
    assert_eq!(asked(GET, &[key(1)], &[orders]).await.unwrap(), "orders");
    assert_eq!(asked(GET, &[key(1)], &[extra]).await.unwrap(), "orders");
    for (headers, names) in [
        (vec![], vec![extra]),
        (vec![], vec!["spiffe://shop.example/orders/"]),
        (vec![], vec!["spiffe://shop.example/Orders"]),
        // Of two callers at once.
        (vec![], vec![orders, other]),
        (vec![key(1)], vec![orders, other]),
        // A key of one and a certificate of another, either way round.
        (vec![key(1)], vec![other]),
        (vec![key(3)], vec![orders]),
        // A bad key is not made good by a certificate.
        (vec![key(9)], vec![orders]),
    ] {
        let status = asked(GET, &headers, &names).await.unwrap_err();
        assert_eq!(
            status.code(),
            Code::Unauthenticated,
            "{headers:?} {names:?}"
        );
    }
}

#[test]
fn without_callers_everybody_is_local() {
    let request = http::Request::new(());
    let caller = Callers::new(&[]).of(&request).unwrap();
    assert_eq!(*caller, Caller::local());
}
