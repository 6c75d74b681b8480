//! Accepting connections from anybody: bounded in number, and none may sit there without speaking TLS, where it is served,
//! and HTTP/2.
//!
//! The loop survives everything `accept` can say (RUSTSEC-2024-0376): a peer that has gone is forgotten, and when the process
//! is out of file handles it waits until there are some again.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures::{Stream, StreamExt as _, stream};
use rustls::pki_types::CertificateDer;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Sleep, sleep};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tonic::transport::server::Connected;
use webpki::EndEntityCert;

use crate::event;

/// How long to leave `accept` alone after it failed.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// A peer has this long to send the connection preface (RFC 9113, 3.4).
const PREFACE_TIMEOUT: Duration = Duration::from_secs(10);
const PREFACE_BYTES: usize = 24;
/// A peer has this long for its part of the TLS handshake.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);

/// Connections, never ending, at most `max` at a time.
pub(super) fn incoming(
    listener: TcpListener,
    max: usize,
) -> impl Stream<Item = io::Result<Connection>> {
    let permits = Arc::new(Semaphore::new(max.min(Semaphore::MAX_PERMITS)));
    stream::unfold((listener, permits), |(listener, permits)| async move {
        let connection = next(&listener, &permits).await;
        Some((Ok(connection), (listener, permits)))
    })
}

/// The same connections once each has shown what TLS asks of it; one that fails is closed, and none waits for another.
pub(super) fn secured(
    connections: impl Stream<Item = io::Result<Connection>>,
    config: Arc<rustls::ServerConfig>,
    max: usize,
) -> impl Stream<Item = io::Result<Connection>> {
    let acceptor = TlsAcceptor::from(config);
    connections
        .map(move |connection| {
            let acceptor = acceptor.clone();
            // On a task of its own: the signature that a handshake needs must not hold up the others.
            tokio::spawn(async move { connection?.secure(&acceptor).await })
        })
        .buffer_unordered(max.max(1))
        .filter_map(|shaken| {
            let good = match shaken {
                Ok(Ok(connection)) => Some(Ok(connection)),
                Ok(Err(error)) => {
                    tracing::debug!(%error, "a TLS handshake failed");
                    None
                }
                Err(bug) => {
                    if bug.is_panic() {
                        event::task_panicked("handshake");
                    }
                    None
                }
            };
            std::future::ready(good)
        })
}

async fn next(listener: &TcpListener, permits: &Arc<Semaphore>) -> Connection {
    let mut failing = false;
    loop {
        match listener.accept().await {
            Ok((socket, _)) => match Arc::clone(permits).try_acquire_owned() {
                Ok(permit) => return Connection::new(socket, permit),
                // Closing tells the peer at once; leaving it in the backlog would make it wait for nothing.
                Err(_) => tracing::debug!("too many connections, one was closed"),
            },
            Err(error) => {
                // Once for a row of failures, not once each.
                if !failing {
                    tracing::warn!(%error, "a connection could not be accepted");
                }
                failing = true;
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// What a peer has shown of itself, for every call on its connection.
#[derive(Clone, Debug, Default)]
pub(super) struct Peer {
    /// The URIs and DNS names in its certificate, which the transport has verified; none without one.
    pub(super) certificate_names: Arc<[String]>,
}

impl Peer {
    pub(super) fn certified(names: Vec<String>) -> Self {
        Self {
            certificate_names: names.into(),
        }
    }
}

/// The names by which a certificate identifies (its subject alternative names): URIs as they are, DNS names in lower case.
fn names_in(certificate: &CertificateDer<'_>) -> Vec<String> {
    let Ok(certificate) = EndEntityCert::try_from(certificate) else {
        return Vec::new();
    };
    let uris = certificate.valid_uri_names().map(str::to_owned);
    let hosts = certificate.valid_dns_names().map(str::to_ascii_lowercase);
    uris.chain(hosts).collect()
}

/// What bytes go over.
#[derive(Debug)]
enum Socket {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

/// Either kind as what both can do.
trait Line: AsyncRead + AsyncWrite + Unpin {}
impl<T: AsyncRead + AsyncWrite + Unpin> Line for T {}

impl Socket {
    fn line(&mut self) -> Pin<&mut dyn Line> {
        match self {
            Self::Plain(socket) => Pin::new(socket),
            Self::Tls(stream) => Pin::new(stream.as_mut()),
        }
    }
}

/// A connection with its place among the permitted ones.
#[derive(Debug)]
pub(super) struct Connection {
    socket: Socket,
    peer: Peer,
    /// What is still missing of the preface, and until when.
    preface: Option<(usize, Pin<Box<Sleep>>)>,
    _permit: OwnedSemaphorePermit,
}

impl Connection {
    fn new(socket: TcpStream, permit: OwnedSemaphorePermit) -> Self {
        // Small frames go out at once; a socket that cannot do that works all the same.
        let _ = socket.set_nodelay(true);
        Self {
            socket: Socket::Plain(socket),
            peer: Peer::default(),
            preface: Some((PREFACE_BYTES, Box::pin(sleep(PREFACE_TIMEOUT)))),
            _permit: permit,
        }
    }

    /// Shakes hands; the time for the preface begins anew.
    async fn secure(self, acceptor: &TlsAcceptor) -> io::Result<Self> {
        let Socket::Plain(socket) = self.socket else {
            return Ok(self);
        };
        let shaken = tokio::time::timeout(HANDSHAKE_TIMEOUT, acceptor.accept(socket)).await??;
        let (_, session) = shaken.get_ref();
        let certificate = session.peer_certificates().and_then(<[_]>::first);
        let names = certificate.map(names_in).unwrap_or_default();
        Ok(Self {
            socket: Socket::Tls(Box::new(shaken)),
            peer: Peer::certified(names),
            preface: Some((PREFACE_BYTES, Box::pin(sleep(PREFACE_TIMEOUT)))),
            _permit: self._permit,
        })
    }

    fn note_read(&mut self, bytes: usize) {
        if let Some((missing, _)) = &mut self.preface {
            *missing = missing.saturating_sub(bytes);
            if *missing == 0 {
                self.preface = None;
            }
        }
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        if let Poll::Ready(result) = self.socket.line().poll_read(cx, buffer) {
            self.note_read(buffer.filled().len().saturating_sub(before));
            return Poll::Ready(result);
        }
        if let Some((_, deadline)) = &mut self.preface {
            ready!(deadline.as_mut().poll(cx));
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        Poll::Pending
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.socket.line().poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.socket.line().poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.socket.line().poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.socket.line().poll_write_vectored(cx, bytes)
    }

    fn is_write_vectored(&self) -> bool {
        match &self.socket {
            Socket::Plain(socket) => socket.is_write_vectored(),
            Socket::Tls(stream) => stream.is_write_vectored(),
        }
    }
}

impl Connected for Connection {
    type ConnectInfo = Peer;

    fn connect_info(&self) -> Self::ConnectInfo {
        self.peer.clone()
    }
}

#[cfg(test)]
mod tests {
    use futures::StreamExt as _;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    async fn listening() -> (TcpListener, std::net::SocketAddr) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        (listener, address)
    }

    #[tokio::test]
    async fn one_connection_too_many_is_closed_and_a_place_that_comes_free_is_given_again() {
        let (listener, address) = listening().await;
        let mut connections = Box::pin(incoming(listener, 1));
        let _first = TcpStream::connect(address).await.unwrap();
        let held = connections.next().await.unwrap().unwrap();

        let mut second = TcpStream::connect(address).await.unwrap();
        let mut byte = [0];
        let refused = tokio::select! {
            _ = connections.next() => panic!("there was no place"),
            read = second.read(&mut byte) => read,
        };
        assert!(matches!(refused, Ok(0) | Err(_)));

        drop(held);
        let _third = TcpStream::connect(address).await.unwrap();
        assert!(connections.next().await.unwrap().is_ok());
    }

    #[tokio::test]
    async fn who_does_not_speak_is_cut_off_and_who_does_is_not() {
        let (listener, address) = listening().await;
        let mut connections = Box::pin(incoming(listener, 2));
        let _silent = TcpStream::connect(address).await.unwrap();
        let mut silent = connections.next().await.unwrap().unwrap();
        let mut speaking = TcpStream::connect(address).await.unwrap();
        let mut heard = connections.next().await.unwrap().unwrap();
        // The deadline of the test is shorter than that of the product, and is the same code.
        for connection in [&mut silent, &mut heard] {
            let soon = Box::pin(sleep(Duration::from_millis(50)));
            connection.preface = Some((PREFACE_BYTES, soon));
        }
        let error = silent.read(&mut [0; 64]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);

        speaking
            .write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
            .await
            .unwrap();
        let mut preface = [0; PREFACE_BYTES];
        heard.read_exact(&mut preface).await.unwrap();
        let waited = tokio::time::timeout(Duration::from_millis(200), heard.read(&mut [0])).await;
        assert!(
            waited.is_err(),
            "after the preface there is no deadline: {waited:?}"
        );
    }
}
