//! The socket under lettre: plain or TLS, with a memory of what was heard since the last command.
//!
//! lettre reads a reply line without end into memory, takes minutes over a reply of many lines, does not say whether bytes
//! came after a reply, and does not tell whether the final dot had left when something failed. This stream does: it ends a
//! reply over 64 KiB or 256 lines, keeps the bytes of the current one, and notes the final dot. It interprets nothing.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use lettre::transport::smtp::client::AsyncTokioStream;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use crate::domain::pulse::Pulse;
use crate::failpoint::{self, Point};

/// More than this without a new command is not a reply.
const MAX_REPLY_BYTES: usize = 64 * 1024;

/// Neither is this many lines: lettre reads a reply from its beginning again at each of them.
const MAX_REPLY_LINES: usize = 256;

/// What lettre writes after a body, in a write of its own. It cannot be part of a body, whose dots are doubled.
const FINAL_DOT: &[u8] = b"\r\n.\r\n";

/// Why a mail is not ended.
const NOT_HEARD_OF: &str =
    "the store has not heard of this process for too long, so that another one may have taken over";

/// A connection to a server; clones share it. Only one task uses it at a time.
#[derive(Clone, Debug)]
pub(super) struct Line(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    socket: Socket,
    peer: SocketAddr,
    /// Read before anything from the socket.
    foreword: Vec<u8>,
    heard: Vec<u8>,
    lines: usize,
    dot_begun: bool,
    /// Without it no final dot leaves.
    pulse: Option<Arc<Pulse>>,
}

#[derive(Debug)]
pub(super) enum Socket {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
    /// Taken out, to be wrapped in TLS.
    Gone,
}

impl Line {
    pub(super) fn new(socket: Socket, peer: SocketAddr) -> Self {
        Self(Arc::new(Mutex::new(State {
            socket,
            peer,
            foreword: Vec::new(),
            heard: Vec::new(),
            lines: 0,
            dot_begun: false,
            pulse: None,
        })))
    }

    /// The same with a greeting to be read first: after STARTTLS a server does not greet again, but lettre expects it.
    pub(super) fn with_greeting(socket: Socket, peer: SocketAddr) -> Self {
        let line = Self::new(socket, peer);
        line.lock().foreword = b"220 again\r\n".to_vec();
        line
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the socket out.
    pub(super) fn take(&self) -> Socket {
        std::mem::replace(&mut self.lock().socket, Socket::Gone)
    }

    /// Forgets what was heard: a new command begins.
    pub(super) fn listen(&self) {
        let mut state = self.lock();
        state.heard.clear();
        state.lines = 0;
        state.dot_begun = false;
    }

    /// From now on a final dot leaves only while this process may hand over.
    pub(super) fn heed(&self, pulse: &Arc<Pulse>) {
        self.lock().pulse = Some(Arc::clone(pulse));
    }

    /// All bytes since [`Line::listen`].
    pub(super) fn heard(&self) -> Vec<u8> {
        self.lock().heard.clone()
    }

    /// Whether any byte of the final dot may have left since [`Line::listen`].
    pub(super) fn dot_begun(&self) -> bool {
        self.lock().dot_begun
    }

    /// Whether the server is silent and there, as it must be when it is not its turn. What it did say is used up.
    pub(super) fn is_quiet(&self) -> bool {
        let mut state = self.lock();
        if !state.foreword.is_empty() {
            return true;
        }
        let mut bytes = [0_u8; 1];
        let mut buffer = ReadBuf::new(&mut bytes);
        let mut context = Context::from_waker(Waker::noop());
        state
            .socket
            .poll_read(&mut context, &mut buffer)
            .is_pending()
    }
}

impl Socket {
    fn poll_read(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Plain(socket) => Pin::new(socket).poll_read(cx, buf),
            Self::Tls(socket) => Pin::new(socket).poll_read(cx, buf),
            Self::Gone => Poll::Ready(Err(gone())),
        }
    }
}

fn gone() -> io::Error {
    io::Error::new(
        io::ErrorKind::NotConnected,
        "the connection is in use elsewhere",
    )
}

impl AsyncTokioStream for Line {
    fn peer_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.lock().peer)
    }
}

impl AsyncRead for Line {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let mut state = self.lock();
        let before = buf.filled().len();
        if state.foreword.is_empty() {
            std::task::ready!(state.socket.poll_read(cx, buf))?;
        } else {
            let some = state.foreword.len().min(buf.remaining());
            let foreword: Vec<u8> = state.foreword.drain(..some).collect();
            buf.put_slice(&foreword);
        }
        let new = buf.filled().get(before..).unwrap_or_default();
        state.heard.extend_from_slice(new);
        state.lines += new.iter().filter(|byte| **byte == b'\n').count();
        if state.heard.len() > MAX_REPLY_BYTES || state.lines > MAX_REPLY_LINES {
            return Poll::Ready(Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "the server's reply does not end",
            )));
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Line {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let mut state = self.lock();
        let is_dot = bytes == FINAL_DOT;
        if is_dot {
            if state.pulse.as_ref().is_some_and(|pulse| !pulse.may_send()) {
                return Poll::Ready(Err(io::Error::other(NOT_HEARD_OF)));
            }
            state.dot_begun = true;
        }
        let written = std::task::ready!(match &mut state.socket {
            Socket::Plain(socket) => Pin::new(socket).poll_write(cx, bytes),
            Socket::Tls(socket) => Pin::new(socket).poll_write(cx, bytes),
            Socket::Gone => Poll::Ready(Err(gone())),
        });
        if is_dot && written.is_ok() {
            failpoint::hit(Point::AfterDot);
        }
        Poll::Ready(written)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.lock().socket {
            Socket::Plain(socket) => Pin::new(socket).poll_flush(cx),
            Socket::Tls(socket) => Pin::new(socket).poll_flush(cx),
            Socket::Gone => Poll::Ready(Err(gone())),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.lock().socket {
            Socket::Plain(socket) => Pin::new(socket).poll_shutdown(cx),
            Socket::Tls(socket) => Pin::new(socket).poll_shutdown(cx),
            Socket::Gone => Poll::Ready(Ok(())),
        }
    }
}
