//! A TCP proxy that spoils what passes through it, each direction for itself, also on connections that are open already.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// What happens to the bytes of one direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Nothing.
    None,
    /// They come later, in order.
    Delay(Duration),
    /// They are taken and never arrive; no end is seen either. In both directions this is a pulled cable.
    Drop,
    /// They are not taken: the kernel keeps what it has room for, and all of it arrives when this is over. In both directions this is a
    /// peer that was stopped where it stood.
    Hold,
    /// The connection breaks, for both sides, with a reset.
    Reset,
    /// So many bytes of each connection arrive, then its end does.
    TruncateAt(u64),
    /// So many bytes of each connection arrive, then it breaks, for both sides.
    ResetAt(u64),
    /// The receiver sees the end of this direction; the other one goes on.
    HalfClose,
}

/// So much of a connection is remembered in each direction.
const REMEMBERED: usize = 1 << 20;

/// What went over the newest connection.
#[derive(Clone, Debug, Default)]
pub(crate) struct Passed {
    /// All that the client had said when it was read, also what did not arrive.
    pub(crate) said_by_client: Vec<u8>,
    /// What was passed on to the client.
    pub(crate) told_to_client: Vec<u8>,
}

type Memory = Arc<Mutex<Passed>>;

pub(crate) struct FaultProxy {
    address: SocketAddr,
    newest: Arc<Mutex<Memory>>,
    open: Arc<AtomicUsize>,
    to_server: watch::Sender<Fault>,
    to_client: watch::Sender<Fault>,
    /// Ends with the proxy, and every connection with it.
    accepting: JoinSet<()>,
}

impl FaultProxy {
    /// In front of `server`, on a free port.
    pub(crate) async fn start(server: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (to_server, to_client) = (
            watch::Sender::new(Fault::None),
            watch::Sender::new(Fault::None),
        );
        let (up, down) = (to_server.subscribe(), to_client.subscribe());
        let (newest, open) = (
            Arc::<Mutex<Memory>>::default(),
            Arc::<AtomicUsize>::default(),
        );
        let (known, counted) = (newest.clone(), open.clone());
        let mut accepting = JoinSet::new();
        accepting.spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                tokio::select! {
                    accepted = listener.accept() => {
                        let (client, _) = accepted.unwrap();
                        let memory = Memory::default();
                        *known.lock().unwrap() = memory.clone();
                        counted.fetch_add(1, Ordering::SeqCst);
                        let passing = connection(client, server, up.clone(), down.clone(), memory);
                        connections.spawn(passing);
                    }
                    Some(_) = connections.join_next() => {
                        counted.fetch_sub(1, Ordering::SeqCst);
                    }
                }
            }
        });
        Self {
            newest,
            open,
            address,
            to_server,
            to_client,
            accepting,
        }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// What went over the newest connection so far.
    pub(crate) fn newest(&self) -> Passed {
        let memory = self.newest.lock().unwrap().clone();
        memory.lock().unwrap().clone()
    }

    /// How many connections there are.
    pub(crate) fn open(&self) -> usize {
        self.open.load(Ordering::SeqCst)
    }

    /// Spoils what the client sends, from now on.
    pub(crate) fn to_server(&self, fault: Fault) {
        self.to_server.send_replace(fault);
    }

    /// Spoils what the server sends, from now on.
    pub(crate) fn to_client(&self, fault: Fault) {
        self.to_client.send_replace(fault);
    }

    /// Both directions.
    pub(crate) fn both(&self, fault: Fault) {
        self.to_server(fault);
        self.to_client(fault);
    }
}

impl Drop for FaultProxy {
    fn drop(&mut self) {
        self.accepting.abort_all();
    }
}

/// Why a direction is over.
enum Over {
    /// Its sender has ended, and its receiver was told.
    Ended,
    /// The connection is to be broken.
    Broken,
}

async fn connection(
    client: TcpStream,
    server: SocketAddr,
    up: watch::Receiver<Fault>,
    down: watch::Receiver<Fault>,
    memory: Memory,
) {
    // Nobody listens: the client sees its connection end, as it would without us.
    let Ok(server) = TcpStream::connect(server).await else {
        return;
    };
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let (client_read, client_write) = client.into_split();
    let (server_read, server_write) = server.into_split();
    let mut upward = Way::new(client_read, server_write, up, true, memory.clone());
    let mut downward = Way::new(server_read, client_write, down, false, memory);
    let over = {
        let (upward, downward) = (upward.pass(), downward.pass());
        tokio::pin!(upward, downward);
        // One direction may end while the other goes on; a break is one of both.
        tokio::select! {
            over = &mut upward => match over {
                Over::Ended => downward.await,
                Over::Broken => Over::Broken,
            },
            over = &mut downward => match over {
                Over::Ended => upward.await,
                Over::Broken => Over::Broken,
            },
        }
    };
    if matches!(over, Over::Broken) {
        // A half that is dropped alone says an orderly end; both together, with nothing to linger for, reset their peer.
        for (read, write) in [(upward.read, downward.write), (downward.read, upward.write)] {
            let whole = read.reunite(write).unwrap();
            let _ = whole.set_zero_linger();
        }
    }
}

/// One direction of one connection.
struct Way {
    read: OwnedReadHalf,
    write: OwnedWriteHalf,
    fault: watch::Receiver<Fault>,
    /// Whether the client is the one who speaks.
    upward: bool,
    memory: Memory,
    passed: u64,
    ended: bool,
}

impl Way {
    fn new(
        read: OwnedReadHalf,
        write: OwnedWriteHalf,
        fault: watch::Receiver<Fault>,
        upward: bool,
        memory: Memory,
    ) -> Self {
        Self {
            read,
            write,
            fault,
            upward,
            memory,
            passed: 0,
            ended: false,
        }
    }

    async fn pass(&mut self) -> Over {
        let mut buffer = vec![0; 16 * 1024];
        loop {
            let fault = *self.fault.borrow_and_update();
            match fault {
                Fault::Reset => return Over::Broken,
                Fault::ResetAt(limit) if self.passed >= limit => return Over::Broken,
                Fault::HalfClose => self.end().await,
                Fault::TruncateAt(limit) if self.passed >= limit => self.end().await,
                _ => {}
            }
            let read = tokio::select! {
                // The proxy itself outlives its connections.
                _ = self.fault.changed() => continue,
                read = self.read.read(&mut buffer), if fault != Fault::Hold => read,
            };
            let bytes = match read {
                Ok(0) if fault == Fault::Drop => std::future::pending().await,
                Ok(0) => {
                    self.end().await;
                    return Over::Ended;
                }
                Ok(count) => &buffer[..count],
                Err(_) => return Over::Broken,
            };
            if self.upward {
                remember(&mut self.memory.lock().unwrap().said_by_client, bytes);
            }
            let bytes = match fault {
                Fault::None => bytes,
                Fault::Delay(by) => {
                    tokio::time::sleep(by).await;
                    bytes
                }
                Fault::TruncateAt(limit) | Fault::ResetAt(limit) => {
                    let left = usize::try_from(limit - self.passed.min(limit)).unwrap();
                    &bytes[..left.min(bytes.len())]
                }
                Fault::Drop | Fault::Hold | Fault::Reset | Fault::HalfClose => continue,
            };
            if self.ended || bytes.is_empty() {
                continue;
            }
            if !self.upward {
                remember(&mut self.memory.lock().unwrap().told_to_client, bytes);
            }
            if self.write.write_all(bytes).await.is_err() {
                return Over::Broken;
            }
            self.passed += bytes.len() as u64;
        }
    }

    /// Tells the receiver that nothing more comes.
    async fn end(&mut self) {
        if !self.ended {
            self.ended = true;
            let _ = self.write.shutdown().await;
        }
    }
}

fn remember(memory: &mut Vec<u8>, bytes: &[u8]) {
    let room = REMEMBERED.saturating_sub(memory.len());
    memory.extend(&bytes[..room.min(bytes.len())]);
}
