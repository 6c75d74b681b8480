//! `[server]`: the doors, who may reach them, and what this process does.

use std::net::SocketAddr;
use std::time::Duration;

use super::layers::Origin;
use super::reader::Reader;
use super::roles::Roles;
use super::tls::{self, Tls};
use crate::domain::caller::KnownCaller;

/// `[server]`
#[derive(Clone, Debug)]
pub struct Server {
    /// What this process does.
    pub roles: Roles,
    /// gRPC; port 0 picks one.
    pub grpc_address: SocketAddr,
    /// Console, health, metrics.
    pub console_address: SocketAddr,
    /// Health and metrics alone, in the clear; `None`: only where the console is.
    pub health_address: Option<SocketAddr>,
    /// The caller whose notifications the console shows; `None`: the first by name.
    pub console_caller: Option<String>,
    /// What gRPC is encrypted with; `None`: nothing.
    pub tls: Option<Tls>,
    /// Whether others than this machine are served although nobody is asked who they are.
    pub insecure: bool,
    /// Whether the interface can be asked for.
    pub reflection: bool,
    /// How long work in flight may take after SIGTERM.
    pub drain: Duration,
}

impl Server {
    pub(super) fn read(reader: &mut Reader, callers: &[KnownCaller]) -> Option<Self> {
        let roles = Roles::read(reader);
        let grpc_origin = reader.origin("server.grpc_address");
        let console_origin = reader.origin("server.console_address");
        let grpc = reader.address("server.grpc_address");
        let console = reader.address("server.console_address");
        let health_origin = reader.origin("server.health_address");
        let health = reader.optional_address("server.health_address");
        let insecure = insecure(reader, callers);
        let console_caller = console_caller(reader, callers);
        // A certificate that was given and is refused is a fault of its own.
        let wants_tls = reader.is_said("server.tls.certificate_file");
        let tls = tls::read(reader);
        let reflection = reader.switch("server.reflection");
        let drain = reader.duration(
            "server.drain",
            &(Duration::from_secs(1)..=Duration::from_secs(600)),
        );
        let (roles, grpc, console) = (roles?, grpc?, console?);
        // Without intake only health is answered there.
        if roles.ingest && insecure != Some(true) {
            refuse_strangers(reader, &grpc_origin, grpc, callers, wants_tls);
        }
        let knows_clients = tls.as_ref().is_some_and(|tls| tls.knows_clients);
        if wants_tls == tls.is_some() && !knows_clients {
            refuse_unverified(reader, callers);
        }
        // Without the console only health and metrics are served there, which show no person.
        if roles.console && !console.ip().is_loopback() {
            reader.refuse_reachable(
                &console_origin,
                "server.console_address",
                console,
                "the console asks nobody who they are: put a proxy that does before it",
            );
        }
        if same_door(grpc, console) {
            reader.fault(
                &console_origin,
                "server.console_address",
                "is the same as server.grpc_address; give each its own port",
            );
        }
        if health.is_some_and(|health| same_door(health, grpc) || same_door(health, console)) {
            reader.fault(
                &health_origin,
                "server.health_address",
                "is that of another door; give it a port of its own",
            );
        }
        Some(Self {
            roles,
            grpc_address: grpc,
            console_address: console,
            health_address: health,
            console_caller,
            tls,
            insecure: insecure?,
            reflection: reflection?,
            drain: drain?,
        })
    }
}

/// `server.insecure`. Who calls is asked where callers are named, so the two contradict each other.
fn insecure(reader: &mut Reader, callers: &[KnownCaller]) -> Option<bool> {
    let path = "server.insecure";
    let origin = reader.origin(path);
    let insecure = reader.switch(path)?;
    if insecure && !callers.is_empty() {
        let what = "means that nobody is asked who they are, and there are callers: leave one of the two out";
        reader.fault(&origin, path, what);
    }
    Some(insecure)
}

/// The caller that the console stands for.
fn console_caller(reader: &mut Reader, callers: &[KnownCaller]) -> Option<String> {
    let path = "server.console_caller";
    let origin = reader.origin(path);
    let chosen = reader.optional_text(path)?;
    let known = |caller: &&KnownCaller| caller.caller.identity.caller.as_str() == chosen;
    if !callers.iter().any(|caller| known(&caller)) {
        let what = format!("is {chosen:?}, and there is no section [callers.{chosen}]");
        reader.fault(&origin, path, &what);
    }
    Some(chosen)
}

/// Whoever can be reached by other machines knows its callers, and hears their keys through TLS only.
fn refuse_strangers(
    reader: &mut Reader,
    origin: &Origin,
    grpc: SocketAddr,
    callers: &[KnownCaller],
    tls: bool,
) {
    let why = if grpc.ip().is_loopback() || (tls && !callers.is_empty()) {
        return;
    } else if callers.is_empty() {
        "callers must be known then: add a section [callers.NAME] for each and a certificate in [server.tls]"
    } else {
        "what callers send, their keys too, would cross the network in the clear: set server.tls.certificate_file and server.tls.key_file"
    };
    reader.refuse_reachable(origin, "server.grpc_address", grpc, why);
}

/// A certificate's name means something only when an authority that is trusted here has signed it.
fn refuse_unverified(reader: &mut Reader, callers: &[KnownCaller]) {
    let certified = callers
        .iter()
        .filter(|one| !one.certificate_names.is_empty());
    for known in certified {
        let path = format!("callers.{}.certificate_names", known.caller.identity.caller);
        reader.fault(
            &Origin::Default,
            &path,
            "cannot be verified; name the authority that signs callers' certificates as server.tls.client_ca_file",
        );
    }
}

/// Port 0 is picked anew each time, so it never collides.
fn same_door(left: SocketAddr, right: SocketAddr) -> bool {
    left == right && left.port() != 0
}
