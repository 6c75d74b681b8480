//! A small HTTP/1.1 server that keeps every request it saw and answers, or misbehaves, as it is told.

use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// A request as it came.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) method: String,
    /// With the query.
    pub(crate) path: String,
    /// Names in lower case.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Seen {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }
}

/// What to do with a request.
#[derive(Clone, Debug)]
pub(crate) enum Reaction {
    /// A whole answer.
    Answer(u16, Vec<(&'static str, String)>, Vec<u8>),
    /// Just these bytes, and the end of the connection.
    Raw(Vec<u8>),
    /// No answer, ever.
    Hang,
}

pub(crate) fn json(status: u16, body: &serde_json::Value) -> Reaction {
    Reaction::Answer(
        status,
        vec![("content-type", "application/json".to_owned())],
        body.to_string().into_bytes(),
    )
}

type React = Arc<dyn Fn(&Seen) -> Reaction + Send + Sync>;

/// Runs until it is dropped.
pub(crate) struct HttpFake {
    pub(crate) url: String,
    seen: Arc<Mutex<Vec<Seen>>>,
    task: tokio::task::JoinHandle<()>,
}

impl HttpFake {
    pub(crate) async fn start(react: impl Fn(&Seen) -> Reaction + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (react, log): (React, _) = (Arc::new(react), Arc::clone(&seen));
        let task = tokio::spawn(async move {
            let mut open = tokio::task::JoinSet::new();
            while let Ok((socket, _)) = listener.accept().await {
                open.spawn(serve(socket, Arc::clone(&react), Arc::clone(&log)));
            }
        });
        Self { url, seen, task }
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }
}

impl Drop for HttpFake {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(mut socket: TcpStream, react: React, log: Arc<Mutex<Vec<Seen>>>) {
    let mut unread = Vec::new();
    while let Some(seen) = request(&mut socket, &mut unread).await {
        log.lock().unwrap().push(seen.clone());
        match react(&seen) {
            Reaction::Answer(status, headers, body) => {
                let mut head = format!(
                    "HTTP/1.1 {status} Fake\r\ncontent-length: {}\r\n",
                    body.len()
                );
                for (name, value) in headers {
                    head.push_str(&format!("{name}: {value}\r\n"));
                }
                head.push_str("\r\n");
                if socket.write_all(head.as_bytes()).await.is_err()
                    || socket.write_all(&body).await.is_err()
                {
                    return;
                }
            }
            Reaction::Raw(bytes) => {
                let _ = socket.write_all(&bytes).await;
                return;
            }
            Reaction::Hang => std::future::pending().await,
        }
    }
}

pub(crate) async fn request(socket: &mut TcpStream, unread: &mut Vec<u8>) -> Option<Seen> {
    let head_end = loop {
        match unread.windows(4).position(|four| four == b"\r\n\r\n") {
            Some(at) => break at,
            None if socket.read_buf(unread).await.ok()? == 0 => return None,
            None => {}
        }
    };
    let head = String::from_utf8_lossy(&unread[..head_end]).into_owned();
    let mut lines = head.split("\r\n");
    let mut first = lines.next()?.split(' ');
    let mut seen = Seen {
        method: first.next()?.to_owned(),
        path: first.next()?.to_owned(),
        headers: lines
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
            .collect(),
        body: Vec::new(),
    };
    let size: usize = seen
        .header("content-length")
        .map_or(0, |text| text.parse().unwrap());
    while unread.len() < head_end + 4 + size {
        if socket.read_buf(unread).await.ok()? == 0 {
            return None;
        }
    }
    seen.body = unread[head_end + 4..head_end + 4 + size].to_vec();
    unread.drain(..head_end + 4 + size);
    Some(seen)
}
