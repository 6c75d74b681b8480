//! `grpc.health.v1`: one status for the process, its services and its roles. They come and go together: a role that this
//! process does not run is not listed.

use tonic_health::ServingStatus;
use tonic_health::pb::health_server::HealthServer;
use tonic_health::server::{HealthReporter, HealthService};

const SERVICES: [&str; 5] = [
    "",
    "tidings.v1.NotificationService",
    "tidings.v1.CustomerService",
    "tidings.v1.TemplateService",
    "tidings.v1.OperatorService",
];

/// The handle by which the process says whether it serves. It does not, until [`Health::serving`].
#[derive(Clone, Debug)]
pub struct Health {
    reporter: HealthReporter,
    roles: Vec<String>,
}

impl Health {
    /// For the process, its services and these roles.
    pub async fn new(roles: Vec<String>) -> Self {
        let health = Self {
            reporter: HealthReporter::new(),
            roles,
        };
        health.not_serving().await;
        health
    }

    /// Calls are welcome.
    pub async fn serving(&self) {
        self.set(ServingStatus::Serving).await;
    }

    /// Send new calls elsewhere.
    pub async fn not_serving(&self) {
        self.set(ServingStatus::NotServing).await;
    }

    async fn set(&self, status: ServingStatus) {
        for name in SERVICES {
            self.reporter.set_service_status(name, status).await;
        }
        for role in &self.roles {
            self.reporter.set_service_status(role, status).await;
        }
    }

    pub(super) fn service(&self) -> HealthServer<HealthService> {
        HealthServer::new(HealthService::from_health_reporter(self.reporter.clone()))
    }
}
