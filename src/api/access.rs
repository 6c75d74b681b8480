//! The gate before every service: who calls, and whether they may call this.
//!
//! It fails closed. A method without a row in [`METHODS`] is not reached by anybody; a handler finds its caller in the request
//! or refuses. What a caller may see is not asked here: every question to the store carries the caller's identity. Which
//! category a message has is known behind the gate only, where `intake` asks for the scope of that category.

use std::sync::Arc;

use futures::future::{Either, Ready, ready};
use subtle::ConditionallySelectable as _;
use tonic::Status;
use tonic::codegen::{Context, Poll, Service, http};
use tower_layer::Layer;

use super::errors::refuse;
use super::listen::Peer;
use crate::domain::caller::{Caller, KeyHash, KnownCaller, Scope};
use crate::domain::rejection::{Rejection, RejectionReason};
use crate::event;

/// What a method asks of its caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Need {
    /// Nothing, not even a credential.
    Nothing,
    /// To be known.
    Known,
    /// A scope to send something, whatever the category.
    Sending,
    /// This scope.
    Scope(Scope),
}

/// Every method that is served, with what it needs. A test compares it with the descriptors.
const METHODS: &[(&str, Need)] = &[
    (
        "/tidings.v1.NotificationService/SendNotification",
        Need::Sending,
    ),
    (
        "/tidings.v1.NotificationService/BatchSendNotifications",
        Need::Sending,
    ),
    (
        "/tidings.v1.NotificationService/StreamNotifications",
        Need::Sending,
    ),
    (
        "/tidings.v1.NotificationService/CancelNotification",
        Need::Sending,
    ),
    (
        "/tidings.v1.NotificationService/GetNotification",
        Need::Scope(Scope::Read),
    ),
    (
        "/tidings.v1.NotificationService/ListNotifications",
        Need::Scope(Scope::Read),
    ),
    (
        "/tidings.v1.NotificationService/ExplainNotification",
        Need::Scope(Scope::Read),
    ),
    (
        "/tidings.v1.NotificationService/WatchNotifications",
        Need::Scope(Scope::Read),
    ),
    (
        "/tidings.v1.CustomerService/UpsertCustomer",
        Need::Scope(Scope::CustomerWrite),
    ),
    (
        "/tidings.v1.CustomerService/BatchUpsertCustomers",
        Need::Scope(Scope::CustomerWrite),
    ),
    (
        "/tidings.v1.CustomerService/UpdatePreferences",
        Need::Scope(Scope::CustomerWrite),
    ),
    (
        "/tidings.v1.CustomerService/DeleteCustomer",
        Need::Scope(Scope::CustomerErase),
    ),
    (
        "/tidings.v1.CustomerService/GetCustomer",
        Need::Scope(Scope::Read),
    ),
    (
        "/tidings.v1.CustomerService/GetPreferences",
        Need::Scope(Scope::Read),
    ),
    (
        "/tidings.v1.TemplateService/ListTemplates",
        Need::Scope(Scope::Read),
    ),
    (
        "/tidings.v1.TemplateService/GetTemplate",
        Need::Scope(Scope::Read),
    ),
    (
        "/tidings.v1.TemplateService/PreviewTemplate",
        Need::Scope(Scope::Read),
    ),
    (
        "/tidings.v1.OperatorService/ListUnknown",
        Need::Scope(Scope::Operate),
    ),
    (
        "/tidings.v1.OperatorService/ResolveUnknown",
        Need::Scope(Scope::Operate),
    ),
    (
        "/tidings.v1.OperatorService/RecoverStore",
        Need::Scope(Scope::Operate),
    ),
    ("/grpc.health.v1.Health/Check", Need::Nothing),
    ("/grpc.health.v1.Health/Watch", Need::Nothing),
    (
        "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
        Need::Known,
    ),
    (
        "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
        Need::Known,
    ),
];

/// Everybody who may call.
#[derive(Clone, Debug)]
pub enum Callers {
    /// Whoever reaches the door is this caller: for doors that only this machine reaches.
    Unidentified(Arc<Caller>),
    /// Those who show one of these credentials.
    Known {
        /// Keys, by their hash.
        keys: Vec<(KeyHash, Arc<Caller>)>,
        /// Names in certificates that the transport has verified.
        names: Vec<(String, Arc<Caller>)>,
    },
}

impl Callers {
    /// From the configured ones; without any, nobody is asked who they are.
    pub fn new(known: &[KnownCaller]) -> Self {
        if known.is_empty() {
            return Self::Unidentified(Arc::new(Caller::local()));
        }
        let (mut keys, mut names) = (Vec::new(), Vec::new());
        for one in known {
            let caller = Arc::new(one.caller.clone());
            let hashes = one.keys.iter().cloned();
            keys.extend(hashes.map(|hash| (hash, Arc::clone(&caller))));
            let certified = one.certificate_names.iter().cloned();
            names.extend(certified.map(|name| (name, Arc::clone(&caller))));
        }
        Self::Known { keys, names }
    }

    /// Who calls. A key and a certificate that name different callers name nobody, and neither do two keys.
    fn of<B>(&self, request: &http::Request<B>) -> Option<Arc<Caller>> {
        let (keys, names) = match self {
            Self::Unidentified(caller) => return Some(Arc::clone(caller)),
            Self::Known { keys, names } => (keys, names),
        };
        let peer = request.extensions().get::<Peer>();
        let shown = peer.map_or(&[][..], |peer| &peer.certificate_names);
        let mut certified = names
            .iter()
            .filter(|(name, _)| shown.contains(name))
            .map(|(_, caller)| caller);
        let by_certificate = certified.next();
        if certified.any(|other| Some(other) != by_certificate) {
            return None;
        }
        let mut headers = request
            .headers()
            .get_all(http::header::AUTHORIZATION)
            .iter();
        let Some(header) = headers.next() else {
            return by_certificate.cloned();
        };
        if headers.next().is_some() {
            return None;
        }
        let by_key = by_key(keys, bearer(header)?)?;
        let agree = by_certificate.is_none_or(|caller| *caller == by_key);
        agree.then_some(by_key)
    }
}

/// The token of `Bearer TOKEN`; the scheme in any case (RFC 9110, 11.1).
fn bearer(header: &http::HeaderValue) -> Option<&str> {
    let (scheme, token) = header.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(token)
}

/// Whose key it is. Looks at every key whatever it finds, and compares in constant time, so that the time tells nothing.
fn by_key(keys: &[(KeyHash, Arc<Caller>)], token: &str) -> Option<Arc<Caller>> {
    let hash = KeyHash::of(token);
    let mut found = u32::MAX;
    for (index, (known, _)) in (0_u32..).zip(keys) {
        found = u32::conditional_select(&found, &index, known.matches(&hash));
    }
    let (_, caller) = keys.get(usize::try_from(found).ok()?)?;
    Some(Arc::clone(caller))
}

/// What a method needs; `None` for one that is not served.
fn need_of(path: &str) -> Option<Need> {
    let row = METHODS.iter().find(|(known, _)| *known == path);
    row.map(|(_, need)| *need)
}

/// Whether a known caller has what a method needs.
fn admit(caller: &Caller, path: &str, need: Option<Need>) -> Result<(), Status> {
    let scopes: &[Scope] = match &need {
        Some(Need::Nothing | Need::Known) => return Ok(()),
        Some(Need::Scope(scope)) => std::slice::from_ref(scope),
        Some(Need::Sending) => &Scope::SENDING,
        // As gRPC has it; here rather than behind the gate, so that a method without a row is not reached.
        None => return Err(Status::unimplemented("there is no such method")),
    };
    if scopes.iter().any(|scope| caller.may(*scope)) {
        return Ok(());
    }
    event::call_refused(RejectionReason::PermissionDenied);
    Err(refuse(lacks(caller, path, scopes)))
}

fn lacks(caller: &Caller, path: &str, scopes: &[Scope]) -> Rejection {
    let words: Vec<_> = scopes.iter().map(|scope| scope.as_str()).collect();
    let (scopes, (_, method)) = (
        words.join(" or "),
        path.rsplit_once('/').unwrap_or_default(),
    );
    Rejection::new(
        RejectionReason::PermissionDenied,
        format!(
            "{method} needs the scope {scopes}, which {} does not have",
            caller.identity.caller
        ),
    )
    .with("scope", scopes)
}

/// The same for every credential that is none: who guesses learns nothing.
pub(super) fn unknown() -> Rejection {
    Rejection::new(
        RejectionReason::Unauthenticated,
        "no caller is known by what this call shows; show an API key as \"authorization: Bearer tk_…\", or a certificate with a known name",
    )
}

/// Puts a [`Gate`] before services.
#[derive(Clone, Debug)]
pub(super) struct Gates(Arc<Callers>);

impl Gates {
    pub(super) fn new(callers: Callers) -> Self {
        Self(Arc::new(callers))
    }
}

impl<S> Layer<S> for Gates {
    type Service = Gate<S>;

    fn layer(&self, inner: S) -> Gate<S> {
        Gate {
            callers: Arc::clone(&self.0),
            inner,
        }
    }
}

/// Lets through what the caller may call, with the caller beside the request.
#[derive(Clone, Debug)]
pub(super) struct Gate<S> {
    callers: Arc<Callers>,
    inner: S,
}

impl<S> Gate<S> {
    fn pass<B>(&self, request: &mut http::Request<B>) -> Result<(), Status> {
        let path = request.uri().path();
        let need = need_of(path);
        if need == Some(Need::Nothing) {
            return Ok(());
        }
        let caller = self.callers.of(request).ok_or_else(|| {
            event::call_refused(RejectionReason::Unauthenticated);
            refuse(unknown())
        })?;
        admit(&caller, path, need)?;
        request.extensions_mut().insert(caller);
        Ok(())
    }
}

impl<S, B, R> Service<http::Request<B>> for Gate<S>
where
    S: Service<http::Request<B>, Response = http::Response<R>>,
    R: Default,
{
    type Response = http::Response<R>;
    type Error = S::Error;
    type Future = Either<Ready<Result<http::Response<R>, S::Error>>, S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: http::Request<B>) -> Self::Future {
        match self.pass(&mut request) {
            Ok(()) => Either::Right(self.inner.call(request)),
            Err(status) => Either::Left(ready(Ok(status.into_http()))),
        }
    }
}

#[cfg(test)]
mod tests;
