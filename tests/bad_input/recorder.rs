//! A mail server that writes down what came over its sockets, byte for byte, and takes everything. What is no command of a good
//! session is a fault: a body that ended too early would be read as commands.

use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// One mail as it came.
#[derive(Clone, Debug, Default)]
pub(crate) struct Recorded {
    /// The whole MAIL line, without its end.
    pub(crate) from: String,
    /// The whole RCPT lines.
    pub(crate) to: Vec<String>,
    /// With the dots that were added, without the last line.
    pub(crate) data: Vec<u8>,
}

impl Recorded {
    /// Without the dots that were added.
    pub(crate) fn mail(&self) -> Vec<u8> {
        let mut mail = Vec::with_capacity(self.data.len());
        for line in self.data.split_inclusive(|byte| *byte == b'\n') {
            mail.extend_from_slice(line.strip_prefix(b".").unwrap_or(line));
        }
        mail
    }
}

#[derive(Default)]
struct Seen {
    mails: Vec<Recorded>,
    faults: Vec<String>,
}

pub(crate) struct Recorder {
    pub(crate) port: u16,
    seen: Arc<Mutex<Seen>>,
    task: tokio::task::JoinHandle<()>,
}

impl Recorder {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let seen = Arc::new(Mutex::default());
        let shared = Arc::clone(&seen);
        let task = tokio::spawn(async move {
            let mut open = tokio::task::JoinSet::new();
            while let Ok((socket, _)) = listener.accept().await {
                let seen = Arc::clone(&shared);
                open.spawn(async move {
                    if let Err(fault) = talk(socket, &seen).await {
                        seen.lock().unwrap().faults.push(fault);
                    }
                });
            }
        });
        Self { port, seen, task }
    }

    /// The mails since the last time, and every fault so far.
    pub(crate) fn take(&self) -> (Vec<Recorded>, Vec<String>) {
        let mut seen = self.seen.lock().unwrap();
        (std::mem::take(&mut seen.mails), seen.faults.clone())
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Bytes up to and with `end`; `None` when the peer has gone.
async fn until(socket: &mut TcpStream, unread: &mut Vec<u8>, end: &[u8]) -> Option<Vec<u8>> {
    let mut looked = 0;
    loop {
        let found = unread[looked..]
            .windows(end.len())
            .position(|window| window == end);
        if let Some(at) = found {
            let rest = unread.split_off(looked + at + end.len());
            return Some(std::mem::replace(unread, rest));
        }
        looked = unread.len().saturating_sub(end.len() - 1);
        if socket.read_buf(unread).await.ok()? == 0 {
            return None;
        }
    }
}

async fn talk(mut socket: TcpStream, seen: &Mutex<Seen>) -> Result<(), String> {
    let (mut unread, mut mail) = (Vec::new(), Recorded::default());
    let gone = |error: std::io::Error| format!("the peer has gone: {error}");
    socket.write_all(b"220 recorder\r\n").await.map_err(gone)?;
    while let Some(line) = until(&mut socket, &mut unread, b"\r\n").await {
        let line = &line[..line.len() - 2];
        if line.iter().any(|byte| matches!(byte, 0..32 | 127)) {
            return Err(format!("a control character in a command: {line:?}"));
        }
        let text = String::from_utf8_lossy(line).into_owned();
        let answer: &[u8] = match text.get(..4).unwrap_or_default() {
            "EHLO" => b"250-recorder\r\n250-8BITMIME\r\n250 SMTPUTF8\r\n",
            "MAIL" => {
                mail = Recorded {
                    from: text,
                    ..Recorded::default()
                };
                b"250 ok\r\n"
            }
            "RCPT" => {
                mail.to.push(text);
                b"250 ok\r\n"
            }
            "DATA" => {
                socket.write_all(b"354 go\r\n").await.map_err(gone)?;
                let Some(data) = until(&mut socket, &mut unread, b"\r\n.\r\n").await else {
                    return Err("the peer left within a mail".to_owned());
                };
                mail.data = data[..data.len() - 3].to_vec();
                seen.lock().unwrap().mails.push(std::mem::take(&mut mail));
                b"250 kept\r\n"
            }
            "RSET" | "NOOP" | "QUIT" => b"250 ok\r\n",
            _ => return Err(format!("no command: {text:?}")),
        };
        socket.write_all(answer).await.map_err(gone)?;
    }
    Ok(())
}
