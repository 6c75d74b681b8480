//! `CustomerService`: what services tell of customers, and what customers have chosen.

use std::collections::BTreeMap;
use std::sync::Arc;

use tonic::{Request, Response, Status};

use crate::api::Shared;
use crate::api::convert::bad_field;
use crate::api::convert::customer::{
    ProfileChange, customer_id, customer_name, not_found, profile_change, wire_customer,
};
use crate::api::convert::preferences::{preferences_change, wire_preferences};
use crate::api::errors::{refuse, rpc_status, store_fault, store_status};
use crate::api::notifications::check_batch;
use crate::domain::customer::{Customer, CustomerId};
use crate::domain::rejection::{Rejection, RejectionReason};
use crate::domain::shop::ShopId;
use crate::proto;
use crate::proto::customer_service_server::CustomerService;
use crate::store::Change;

/// The service.
#[derive(Clone)]
pub(super) struct CustomerDoor {
    shared: Arc<Shared>,
}

#[tonic::async_trait]
impl CustomerService for CustomerDoor {
    async fn upsert_customer(
        &self,
        request: Request<proto::UpsertCustomerRequest>,
    ) -> Result<Response<proto::UpsertCustomerResponse>, Status> {
        let shop = self.shop_of(&request)?;
        let change = profile_change(request.into_inner()).map_err(refuse)?;
        let changes = vec![self.change(change)];
        let customer = self.change_one(&shop, changes).await.map_err(refuse)?;
        Ok(Response::new(proto::UpsertCustomerResponse {
            customer: Some(wire_customer(&customer)),
        }))
    }

    async fn batch_upsert_customers(
        &self,
        request: Request<proto::BatchUpsertCustomersRequest>,
    ) -> Result<Response<proto::BatchUpsertCustomersResponse>, Status> {
        let shop = self.shop_of(&request)?;
        let requests = request.into_inner().requests;
        check_batch(requests.len()).map_err(refuse)?;
        let failed_requests = self.upsert_batch(&shop, requests).await.map_err(refuse)?;
        Ok(Response::new(proto::BatchUpsertCustomersResponse {
            failed_requests,
        }))
    }

    async fn get_customer(
        &self,
        request: Request<proto::GetCustomerRequest>,
    ) -> Result<Response<proto::GetCustomerResponse>, Status> {
        let shop = self.shop_of(&request)?;
        let id = customer_name(&request.into_inner().name, "name").map_err(refuse)?;
        let customer = self.find(&shop, id).await?;
        Ok(Response::new(proto::GetCustomerResponse {
            customer: Some(wire_customer(&customer)),
        }))
    }

    async fn delete_customer(
        &self,
        request: Request<proto::DeleteCustomerRequest>,
    ) -> Result<Response<proto::DeleteCustomerResponse>, Status> {
        let shop = self.shop_of(&request)?;
        let id = customer_name(&request.into_inner().name, "name").map_err(refuse)?;
        let erased = self
            .shared
            .store
            .erase(&shop, &id, self.shared.clock.now())
            .await
            .map_err(store_status)?
            .ok_or_else(|| refuse(not_found(&id)))?;
        Ok(Response::new(proto::DeleteCustomerResponse {
            anonymized_notification_count: i32::try_from(erased).unwrap_or(i32::MAX),
        }))
    }

    async fn get_preferences(
        &self,
        request: Request<proto::GetPreferencesRequest>,
    ) -> Result<Response<proto::GetPreferencesResponse>, Status> {
        let shop = self.shop_of(&request)?;
        let id = customer_id(&request.into_inner().customer_id)
            .map_err(|why| refuse(bad_field("customer_id", why)))?;
        let customer = self.find(&shop, id).await?;
        Ok(Response::new(proto::GetPreferencesResponse {
            preferences: Some(wire_preferences(&customer)),
        }))
    }

    async fn update_preferences(
        &self,
        request: Request<proto::UpdatePreferencesRequest>,
    ) -> Result<Response<proto::UpdatePreferencesResponse>, Status> {
        let shop = self.shop_of(&request)?;
        let known_topic = |topic: &str| self.shared.knows_topic(topic);
        let now = self.shared.clock.now();
        let change = preferences_change(request.into_inner(), now, &known_topic).map_err(refuse)?;
        let id = change.id.clone();
        let apply: Change = Arc::new(move |current| change.apply(current));
        let customer = self
            .change_one(&shop, vec![(id, apply)])
            .await
            .map_err(refuse)?;
        Ok(Response::new(proto::UpdatePreferencesResponse {
            preferences: Some(wire_preferences(&customer)),
        }))
    }
}

impl CustomerDoor {
    /// The shop whose customers the caller means.
    fn shop_of<T>(&self, request: &Request<T>) -> Result<ShopId, Status> {
        let caller = self.shared.caller_of(request)?;
        Ok(caller.identity.shop.clone())
    }

    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    async fn find(&self, shop: &ShopId, id: CustomerId) -> Result<Customer, Status> {
        self.shared
            .store
            .customers(shop, std::slice::from_ref(&id))
            .await
            .map_err(store_status)?
            .pop()
            .ok_or_else(|| refuse(not_found(&id)))
    }

    /// The change for the store, which may run it more than once.
    fn change(&self, change: ProfileChange) -> (CustomerId, Change) {
        let now = self.shared.clock.now();
        let id = change.id.clone();
        (id, Arc::new(move |current| change.apply(current, now)))
    }

    async fn change_all(
        &self,
        shop: &ShopId,
        changes: Vec<(CustomerId, Change)>,
    ) -> Result<Vec<Result<Customer, Rejection>>, Rejection> {
        self.shared
            .store
            .change(shop, changes, self.shared.clock.now())
            .await
            .map_err(|error| store_fault(&error))
    }

    async fn change_one(
        &self,
        shop: &ShopId,
        changes: Vec<(CustomerId, Change)>,
    ) -> Result<Customer, Rejection> {
        self.change_all(shop, changes)
            .await?
            .pop()
            .unwrap_or_else(|| {
                Err(Rejection::new(
                    RejectionReason::Internal,
                    "the gateway did not answer; send it again",
                ))
            })
    }

    /// Each for itself; what failed, by its index.
    async fn upsert_batch(
        &self,
        shop: &ShopId,
        requests: Vec<proto::UpsertCustomerRequest>,
    ) -> Result<BTreeMap<i32, proto::RpcStatus>, Rejection> {
        let mut failed = BTreeMap::new();
        let mut places = Vec::new();
        let mut changes = Vec::new();
        for (index, request) in (0..).zip(requests) {
            match profile_change(request) {
                Ok(change) => {
                    places.push(index);
                    changes.push(self.change(change));
                }
                Err(rejection) => {
                    failed.insert(index, rpc_status(&rejection));
                }
            }
        }
        if changes.is_empty() {
            return Ok(failed);
        }
        let results = self.change_all(shop, changes).await?;
        for (index, result) in places.into_iter().zip(results) {
            if let Err(rejection) = result {
                failed.insert(index, rpc_status(&rejection));
            }
        }
        Ok(failed)
    }
}
