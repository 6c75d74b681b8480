//! Two shops behind one door: not served by this release's settings, and kept apart all the same.

use std::sync::Arc;

use tidings::api::{self, Callers, Doors, Health};
use tidings::catalog::{Catalog, Source};
use tidings::client::Client;
use tidings::domain::caller::{Caller, KeyHash, KnownCaller, Scope, api_key};
use tidings::domain::clock::{Clock, SystemClock};
use tidings::domain::id::Ids;
use tidings::domain::shop::{CallerId, Identity, ShopId};
use tidings::intake::Intake;
use tidings::planner::Planner;
use tidings::proto::{
    ContactPoint, Customer, DeleteCustomerRequest, GetCustomerRequest, GetPreferencesRequest,
    Preferences, UpdatePreferencesRequest, UpsertCustomerRequest,
};
use tidings::store::sqlite::SqliteStore;
use tidings::store::{Plans, Store};
use tokio::net::TcpListener;
use tonic::Status;

use crate::calls::{Refusal, customer, get, send, shipped, try_send};
use crate::{connect, with_key};

/// Serves two shops; the address and what ends it.
async fn two_shops(folder: &std::path::Path) -> (String, tokio::sync::oneshot::Sender<()>) {
    let known = ["first", "second"].map(|shop| {
        let random = [u8::try_from(shop.len()).unwrap(); 32];
        std::fs::write(folder.join(format!("{shop}.tk")), api_key(&random)).unwrap();
        KnownCaller {
            caller: Caller {
                // The same name: the shop alone must keep them apart.
                identity: Identity {
                    shop: ShopId::new(shop),
                    caller: CallerId::new("orders"),
                },
                scopes: Scope::ALL.to_vec(),
            },
            keys: vec![KeyHash::of(&api_key(&random))],
            certificate_names: Vec::new(),
        }
    });
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let store = SqliteStore::open(folder, clock.now()).await.unwrap();
    let token_key = *store.secret();
    let store: Arc<dyn Store> = Arc::new(store);
    let catalog = Arc::new(Catalog::open(Source::Embedded).unwrap());
    let ids = Arc::new(Ids::new());
    let plans: Arc<dyn Plans> = Arc::new(Planner::new(catalog.clone(), ids.clone()));
    let doors = Doors {
        intake: Arc::new(Intake::new(
            store.clone(),
            catalog.clone(),
            plans,
            clock.clone(),
            ids,
        )),
        store,
        catalog,
        clock,
        callers: Callers::new(&known),
        tls: None,
        token_key,
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let (stop, stopped) = tokio::sync::oneshot::channel();
    let health = Health::new(Vec::new()).await;
    tokio::spawn(async move {
        let shutdown = async move { drop(stopped.await) };
        api::serve(
            listener,
            Some(doors),
            api::Settings::default(),
            health,
            shutdown,
        )
        .await
        .unwrap();
    });
    (address, stop)
}

async fn upsert(client: &Client, id: &str, mail: &str) {
    let request = UpsertCustomerRequest {
        customer: Some(Customer {
            name: format!("customers/{id}"),
            contact_points: vec![ContactPoint {
                channel: 1,
                address: mail.into(),
                ..ContactPoint::default()
            }],
            ..Customer::default()
        }),
        update_mask: None,
    };
    client.customers().upsert_customer(request).await.unwrap();
}

async fn customer_of(client: &Client, id: &str) -> Result<Customer, Status> {
    let name = format!("customers/{id}");
    let mut customers = client.customers();
    let answer = customers.get_customer(GetCustomerRequest { name }).await?;
    Ok(answer.into_inner().customer.unwrap())
}

/// How every method that takes a customer's id refuses one.
async fn by_id(client: &Client, id: &str) -> Vec<(String, String)> {
    let mut customers = client.customers();
    let name = format!("customers/{id}");
    let preferences = Preferences {
        customer_id: id.into(),
        ..Preferences::default()
    };
    let mut refused = vec![
        customer_of(client, id).await.unwrap_err(),
        customers
            .get_preferences(GetPreferencesRequest {
                customer_id: id.into(),
            })
            .await
            .unwrap_err(),
        customers
            .delete_customer(DeleteCustomerRequest { name })
            .await
            .unwrap_err(),
    ];
    refused.push(
        customers
            .update_preferences(UpdatePreferencesRequest {
                preferences: Some(preferences),
                update_mask: None,
            })
            .await
            .unwrap_err(),
    );
    let mut intent = shipped("1");
    intent.recipient = customer(id);
    refused.push(try_send(client, "by-id", intent).await.unwrap_err());
    refused
        .iter()
        .map(Refusal::of)
        .map(|refusal| (refusal.reason, refusal.words.replace(id, "ID")))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shop_sees_nothing_of_another() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let (address, stop) = two_shops(folder).await;
    let first = connect(&with_key(&address, folder, "first")).await;
    let second = connect(&with_key(&address, folder, "second")).await;

    upsert(&first, "c-1", "ada@example.com").await;
    let absent = by_id(&second, "c-9").await;
    assert!(
        absent
            .iter()
            .all(|(reason, _)| reason == "CUSTOMER_NOT_FOUND"),
        "{absent:?}"
    );
    assert_eq!(by_id(&second, "c-1").await, absent);

    // The same id is another person there, and neither changes nor erases the first.
    upsert(&second, "c-1", "bea@example.com").await;
    let mail = |customer: Customer| customer.contact_points[0].address.clone();
    assert_eq!(
        mail(customer_of(&second, "c-1").await.unwrap()),
        "bea@example.com"
    );
    let name = "customers/c-1".to_owned();
    let erase = DeleteCustomerRequest { name };
    second.customers().delete_customer(erase).await.unwrap();
    assert_eq!(
        mail(customer_of(&first, "c-1").await.unwrap()),
        "ada@example.com"
    );

    // Nor does it reach a notification, a request id or a list.
    let sent = send(&first, "r", shipped("1")).await.name;
    let other = send(&second, "r", shipped("2")).await.name;
    assert_eq!(get(&second, &other).await.name, other);
    let request = tidings::proto::GetNotificationRequest { name: sent };
    let refused = second.notifications().get_notification(request).await;
    let refusal = Refusal::of(&refused.unwrap_err());
    assert_eq!(refusal.reason, "NOTIFICATION_NOT_FOUND");
    let listed = second
        .notifications()
        .list_notifications(tidings::proto::ListNotificationsRequest::default())
        .await
        .unwrap()
        .into_inner();
    let names: Vec<_> = listed.notifications.iter().map(|one| &one.name).collect();
    assert_eq!(names, [&other]);
    drop(stop);
}
