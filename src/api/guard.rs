//! A bug in a handler costs its own call: the caller is answered INTERNAL, the panic is counted, the connection and the
//! process go on.

use std::convert::Infallible;
use std::panic::AssertUnwindSafe;

use futures::future::BoxFuture;
use futures::{FutureExt as _, Stream, StreamExt as _};
use tonic::Status;
use tonic::body::Body;
use tonic::codegen::{Context, Poll, Service, http};
use tonic::server::NamedService;

use super::errors::refuse;
use crate::domain::rejection::{Rejection, RejectionReason};
use crate::event;

/// A service whose handlers may panic.
#[derive(Clone)]
pub(super) struct Guarded<S>(pub(super) S);

impl<S: NamedService> NamedService for Guarded<S> {
    const NAME: &'static str = S::NAME;
}

type Answer = Result<http::Response<Body>, Infallible>;

impl<S> Service<http::Request<Body>> for Guarded<S>
where
    S: Service<http::Request<Body>, Response = http::Response<Body>, Error = Infallible>,
    S::Future: Send + 'static,
{
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Answer>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let answered = AssertUnwindSafe(self.0.call(request)).catch_unwind();
        Box::pin(async { answered.await.unwrap_or_else(|_| Ok(failed().into_http())) })
    }
}

/// The same for a stream of answers, which is made after its handler has returned: it ends with INTERNAL.
pub(super) fn guarded<T>(
    answers: impl Stream<Item = Result<T, Status>>,
) -> impl Stream<Item = Result<T, Status>> {
    AssertUnwindSafe(answers)
        .catch_unwind()
        .map(|answer| answer.unwrap_or_else(|_| Err(failed())))
}

fn failed() -> Status {
    event::task_panicked("api");
    refuse(Rejection::new(
        RejectionReason::Internal,
        "the gateway failed; its log tells why",
    ))
}

#[cfg(test)]
mod tests {
    use futures::stream;
    use tonic::Code;

    use super::*;

    #[derive(Clone)]
    struct Buggy;

    impl Service<http::Request<Body>> for Buggy {
        type Response = http::Response<Body>;
        type Error = Infallible;
        type Future = BoxFuture<'static, Answer>;

        fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
            Poll::Ready(Ok(()))
        }

        fn call(&mut self, _: http::Request<Body>) -> Self::Future {
            Box::pin(async { panic!("a bug") })
        }
    }

    #[tokio::test]
    async fn a_handler_that_panics_answers_internal() {
        let request = http::Request::new(Body::empty());
        let answer = Guarded(Buggy).call(request).await.unwrap();
        let status = Status::from_header_map(answer.headers()).unwrap();
        assert_eq!(status.code(), Code::Internal);
        assert!(!status.details().is_empty(), "the reason goes with it");
        assert!(!format!("{status:?}").contains("a bug"), "{status:?}");
    }

    #[tokio::test]
    async fn a_stream_that_panics_ends_with_internal() {
        let answers = stream::iter(0..3).map(|number| {
            assert!(number < 1, "a bug");
            Ok(number)
        });
        let seen: Vec<_> = guarded(answers).collect().await;
        assert_eq!(seen.len(), 2);
        assert_eq!(seen[0].as_ref().unwrap(), &0);
        assert_eq!(seen[1].as_ref().unwrap_err().code(), Code::Internal);
    }
}
