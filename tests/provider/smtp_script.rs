//! A mail server that says what its script says, at each step of the dialogue.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// What the server does at one step.
#[derive(Clone, Debug)]
pub(crate) enum Act {
    Say(&'static [u8]),
    /// Says it after a while.
    Later(u64, &'static [u8]),
    /// Says the first, and the second after a while.
    Twice(&'static [u8], u64, &'static [u8]),
    /// Says it and hangs up.
    Last(&'static [u8]),
    /// Bytes without an end, until the client has had enough.
    Flood,
    Hang,
    Close,
}

use Act::{Close, Flood, Hang, Last, Later, Say, Twice};

/// The script; at the final dot one act for each mail of the server's life, the last one for all further mails.
#[derive(Clone, Debug)]
pub(crate) struct Script {
    pub(crate) greeting: Act,
    pub(crate) ehlo: Act,
    pub(crate) mail: Act,
    pub(crate) rcpt: Act,
    pub(crate) data: Act,
    /// Hangs up after so many bytes of the body.
    pub(crate) hang_up_after_bytes: Option<usize>,
    pub(crate) dot: Vec<Act>,
}

impl Default for Script {
    fn default() -> Self {
        Self {
            greeting: Say(b"220 script\r\n"),
            ehlo: Say(b"250-script\r\n250 8BITMIME\r\n"),
            mail: Say(b"250 ok\r\n"),
            rcpt: Say(b"250 ok\r\n"),
            data: Say(b"354 go\r\n"),
            hang_up_after_bytes: None,
            dot: vec![Say(b"250 kept\r\n")],
        }
    }
}

#[derive(Default)]
pub(crate) struct Counts {
    pub(crate) connections: AtomicUsize,
    pub(crate) mails: AtomicUsize,
    open: AtomicUsize,
    pub(crate) most_open: AtomicUsize,
    pub(crate) flooded_bytes: AtomicUsize,
}

pub(crate) struct ScriptServer {
    pub(crate) port: u16,
    pub(crate) counts: Arc<Counts>,
    task: tokio::task::JoinHandle<()>,
}

impl ScriptServer {
    pub(crate) async fn start(script: Script) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let counts = Arc::new(Counts::default());
        let shared = Arc::clone(&counts);
        let task = tokio::spawn(async move {
            let mut open = tokio::task::JoinSet::new();
            while let Ok((socket, _)) = listener.accept().await {
                open.spawn(connection(socket, script.clone(), Arc::clone(&shared)));
            }
        });
        Self { port, counts, task }
    }
}

impl Drop for ScriptServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn connection(socket: TcpStream, script: Script, counts: Arc<Counts>) {
    counts.connections.fetch_add(1, Ordering::SeqCst);
    let open = counts.open.fetch_add(1, Ordering::SeqCst) + 1;
    counts.most_open.fetch_max(open, Ordering::SeqCst);
    dialogue(socket, script, &counts).await;
    counts.open.fetch_sub(1, Ordering::SeqCst);
}

async fn dialogue(mut socket: TcpStream, script: Script, counts: &Counts) -> Option<()> {
    let mut unread = Vec::new();
    act(&mut socket, &script.greeting, counts).await?;
    loop {
        let line = until(&mut socket, &mut unread, b"\r\n").await?;
        let verb: String = line.chars().take(4).collect::<String>().to_uppercase();
        match verb.as_str() {
            "EHLO" => act(&mut socket, &script.ehlo, counts).await?,
            "MAIL" => act(&mut socket, &script.mail, counts).await?,
            "RCPT" => act(&mut socket, &script.rcpt, counts).await?,
            "DATA" => {
                act(&mut socket, &script.data, counts).await?;
                if let Some(enough) = script.hang_up_after_bytes {
                    while unread.len() < enough && socket.read_buf(&mut unread).await.ok()? > 0 {}
                    return None;
                }
                until(&mut socket, &mut unread, b"\r\n.\r\n").await?;
                let number = counts.mails.fetch_add(1, Ordering::SeqCst);
                let answer = script.dot.get(number).or(script.dot.last()).unwrap();
                act(&mut socket, answer, counts).await?;
            }
            "QUIT" => {
                let _ = socket.write_all(b"221 bye\r\n").await;
                return None;
            }
            _ => act(&mut socket, &Say(b"500 what\r\n"), counts).await?,
        }
    }
}

async fn until(socket: &mut TcpStream, unread: &mut Vec<u8>, end: &[u8]) -> Option<String> {
    loop {
        if let Some(at) = unread.windows(end.len()).position(|part| part == end) {
            let line = String::from_utf8_lossy(&unread[..at]).into_owned();
            unread.drain(..at + end.len());
            return Some(line);
        }
        if socket.read_buf(unread).await.ok()? == 0 {
            return None;
        }
    }
}

async fn act(socket: &mut TcpStream, act: &Act, counts: &Counts) -> Option<()> {
    match act {
        Say(bytes) => socket.write_all(bytes).await.ok(),
        Later(millis, bytes) => {
            tokio::time::sleep(Duration::from_millis(*millis)).await;
            socket.write_all(bytes).await.ok()
        }
        Twice(first, millis, second) => {
            socket.write_all(first).await.ok()?;
            tokio::time::sleep(Duration::from_millis(*millis)).await;
            socket.write_all(second).await.ok()
        }
        Flood => {
            let junk = [b'2'; 16 * 1024];
            socket.write_all(b"250 ").await.ok()?;
            while let Ok(some) = socket.write(&junk).await {
                counts.flooded_bytes.fetch_add(some, Ordering::SeqCst);
            }
            None
        }
        Last(bytes) => {
            let _ = socket.write_all(bytes).await;
            None
        }
        Hang => std::future::pending().await,
        Close => None,
    }
}
