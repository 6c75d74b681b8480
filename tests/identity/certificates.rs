//! Certificates: which are believed, by which end.

use std::io::ErrorKind;
use std::time::Duration;

use tidings::client::{Client, ClientError, Target};
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;
use tonic::{Code, Status};

use crate::binary::Binary;
use crate::calls::{Refusal, get, send, shipped, try_send};
use crate::pki::Pki;
use crate::{ALL, caller, configured, connect, secure, serve, tls, with_certificate, with_key};

const ORDERS: &str = "URI:spiffe://shop.example/orders";

/// A gateway with one caller by two names and one by another, each with a key too.
fn started(pki: &Pki, folder: &std::path::Path) -> Binary {
    let orders = caller(folder, "orders", &ALL);
    let news = caller(folder, "news", &ALL);
    let more = format!(
        "{}{orders}certificate_names = [\"spiffe://shop.example/orders\", \"Orders.Shop.Example\"]\n\
         {news}certificate_names = [\"spiffe://shop.example/news\"]\n",
        tls(pki)
    );
    serve(&configured(folder, "0.0.0.0:0", &more))
}

/// A call with this target; a handshake that fails shows when the first answer is read, or before.
async fn called(target: &Target, id: &str) -> Result<String, ClientError> {
    let client = Client::connect_to(target).await?;
    let sent = try_send(&client, id, shipped("1")).await?;
    Ok(sent.notification.unwrap().name)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_of_the_authority_with_a_known_name_is_a_caller() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let Some(pki) = Pki::new(folder) else { return };
    let binary = started(&pki, folder);
    let address = secure(&binary);
    pki.signed("orders", &format!("{ORDERS},DNS:pod-7.example"), "ca");
    pki.signed("by_host", "DNS:orders.shop.example", "ca");
    pki.signed("news", "URI:spiffe://shop.example/news", "ca");

    let orders = connect(&with_certificate(&address, &pki, "orders")).await;
    let name = send(&orders, "r", shipped("1")).await.name;
    // The same caller by its other name and by its key, and another by its own.
    let by_host = connect(&with_certificate(&address, &pki, "by_host")).await;
    assert_eq!(get(&by_host, &name).await.name, name);
    let by_key = connect(&with_key(&address, folder, "orders")).await;
    assert_eq!(get(&by_key, &name).await.name, name);
    let news = connect(&with_certificate(&address, &pki, "news")).await;
    let status = asked(&news, &name).await;
    assert_eq!(status.code(), Code::NotFound);

    // A key beside a certificate has to be of the same caller.
    for (key, reason) in [
        ("orders", "NOTIFICATION_NOT_FOUND"),
        ("news", "UNAUTHENTICATED"),
    ] {
        let both = Target {
            api_key_file: Some(folder.join(format!("{key}.tk"))),
            ..with_certificate(&address, &pki, "orders")
        };
        let absent = "notifications/0192f600-0000-7000-8000-000000000000";
        let status = asked(&connect(&both).await, absent).await;
        assert_eq!(Refusal::of(&status).reason, reason, "{key}");
    }
    assert_eq!(binary.terminate(), Some(0));
}

async fn asked(client: &Client, name: &str) -> Status {
    let request = tidings::proto::GetNotificationRequest { name: name.into() };
    let answer = client.notifications().get_notification(request).await;
    answer.unwrap_err()
}

#[tokio::test(flavor = "multi_thread")]
async fn any_other_certificate_is_none() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let Some(pki) = Pki::new(folder) else { return };
    let binary = started(&pki, folder);
    let address = secure(&binary);
    let _ = rustls::crypto::ring::default_provider().install_default();
    pki.authority("other");
    pki.signed("orders", ORDERS, "ca");
    pki.signed("foreign", ORDERS, "other");
    pki.dated("expired", ORDERS, "20200101000000Z", "20210101000000Z");
    pki.dated("early", ORDERS, "20980101000000Z", "20990101000000Z");
    pki.request(
        "server",
        &[
            &format!("subjectAltName={ORDERS}"),
            "extendedKeyUsage=serverAuth",
        ],
    );
    pki.openssl(&[
        "x509",
        "-req",
        "-in",
        "server.csr",
        "-CA",
        "ca.pem",
        "-CAkey",
        "ca.key",
        "-CAcreateserial",
        "-copy_extensions",
        "copy",
        "-out",
        "server.pem",
    ]);
    // Not believed: there is no connection, whatever key is shown with it.
    for name in ["foreign", "expired", "early", "server"] {
        for key in [None, Some(folder.join("orders.tk"))] {
            let target = Target {
                api_key_file: key,
                ..with_certificate(&address, &pki, name)
            };
            let error = called(&target, name).await.unwrap_err();
            assert!(
                matches!(error, ClientError::Unreachable { .. }),
                "{name}: {error:?}"
            );
        }
    }
    // Believed and not known: names that are not exactly right, the subject alone, two callers at once.
    for (name, names) in [
        ("stranger", "URI:spiffe://shop.example/stranger"),
        ("below", "URI:spiffe://shop.example/orders/x"),
        ("upper", "URI:spiffe://shop.example/Orders"),
        ("host", "DNS:shop.example"),
        ("wild", "DNS:*.shop.example"),
        ("as_host", "DNS:spiffe"),
        ("mail", "email:orders@shop.example"),
        ("address", "IP:127.0.0.1"),
        (
            "both",
            "URI:spiffe://shop.example/orders,URI:spiffe://shop.example/news",
        ),
    ] {
        pki.signed(name, names, "ca");
        let error = called(&with_certificate(&address, &pki, name), name).await;
        let ClientError::Refused(refusal) = error.unwrap_err() else {
            panic!("{name}");
        };
        assert_eq!(refusal.reason, "UNAUTHENTICATED", "{name}");
    }
    // None at all is the same, and a key alone is enough.
    let nothing = Target {
        ca_file: Some(pki.path("ca.pem")),
        ..Target::at(&address)
    };
    let error = called(&nothing, "none").await.unwrap_err();
    assert!(error.to_string().starts_with("UNAUTHENTICATED"), "{error}");
    assert!(
        called(&with_key(&address, folder, "orders"), "key")
            .await
            .is_ok()
    );
    assert!(
        called(&with_certificate(&address, &pki, "orders"), "good")
            .await
            .is_ok()
    );
    assert_eq!(binary.terminate(), Some(0));
}

/// Who begins no handshake holds up nobody, and is cut off.
#[tokio::test(flavor = "multi_thread")]
async fn peers_that_are_silent_are_cut_off_and_others_are_served_meanwhile() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let Some(pki) = Pki::new(folder) else { return };
    let binary = started(&pki, folder);
    let address = secure(&binary);
    let mut silent = Vec::new();
    for _ in 0..100 {
        let door = address.trim_start_matches("https://");
        silent.push(TcpStream::connect(door).await.unwrap());
    }
    let orders = connect(&with_key(&address, folder, "orders")).await;
    send(&orders, "r", shipped("1")).await;
    let mut byte = [0];
    let still = silent[0].try_read(&mut byte);
    assert!(still.is_err_and(|error| error.kind() == ErrorKind::WouldBlock));
    for mut socket in silent {
        let cut = tokio::time::timeout(Duration::from_secs(20), socket.read(&mut byte));
        assert!(matches!(cut.await.unwrap(), Ok(0) | Err(_)));
    }
    assert_eq!(binary.terminate(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_believes_the_right_gateway_only() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let Some(pki) = Pki::new(folder) else { return };
    let binary = started(&pki, folder);
    let address = secure(&binary);
    let _ = rustls::crypto::ring::default_provider().install_default();
    pki.authority("other");
    let good = with_key(&address, folder, "orders");
    assert!(called(&good, "good").await.is_ok());
    for (target, words) in [
        // Another authority, the public ones, a name that is not in the certificate.
        (
            Target {
                ca_file: Some(pki.path("other.pem")),
                ..good.clone()
            },
            "certificate",
        ),
        (
            Target {
                ca_file: None,
                ..good.clone()
            },
            "certificate",
        ),
        (
            Target {
                address: address.replace("localhost", "127.0.0.2"),
                ..good.clone()
            },
            "certificate",
        ),
    ] {
        let error = called(&target, "r").await.unwrap_err();
        assert!(
            matches!(error, ClientError::Unreachable { .. }),
            "{error:?}"
        );
        assert!(error.to_string().contains(words), "{error}");
    }
    // In the clear nobody is heard at all.
    let plain = Target::at(&address.replace("https", "http"));
    assert!(called(&plain, "r").await.is_err());
    assert_eq!(binary.terminate(), Some(0));
}
