//! A mail server that keeps every mail it was given to its end, and answers as it is told: late, to the first never, or to
//! nobody.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};

/// How it fails everybody.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Fault {
    /// By its greeting.
    Greeting(&'static str),
    /// By its answer to any recipient.
    Recipient(&'static str),
    /// By its answer to any mail.
    Dot(&'static str),
    /// By no answer to any mail, ever.
    Hang,
    /// By hanging up on whoever connects.
    HangUp,
}

pub(crate) struct PostOffice {
    pub(crate) port: u16,
    shared: Arc<Shared>,
    task: tokio::task::JoinHandle<()>,
}

#[derive(Default)]
struct Shared {
    delay: Duration,
    withholding: bool,
    mails: Mutex<Vec<String>>,
    fault: Mutex<Option<Fault>>,
    failed: AtomicUsize,
}

impl PostOffice {
    /// Answers each final dot after `delay`, or, `withholding`, that of the first mail never.
    pub(crate) async fn start(delay: Duration, withholding: bool) -> Self {
        let shared = Arc::new(Shared {
            delay,
            withholding,
            ..Shared::default()
        });
        Self::run(shared).await
    }

    /// Fails everybody until it is told otherwise.
    pub(crate) async fn failing(fault: Fault) -> Self {
        let shared = Arc::new(Shared {
            fault: Mutex::new(Some(fault)),
            ..Shared::default()
        });
        Self::run(shared).await
    }

    async fn run(shared: Arc<Shared>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let ours = Arc::clone(&shared);
        let task = tokio::spawn(async move {
            let mut open = tokio::task::JoinSet::new();
            while let Ok((socket, _)) = listener.accept().await {
                let ours = Arc::clone(&ours);
                open.spawn(async move { drop(talk(socket, &ours).await) });
            }
        });
        Self { port, shared, task }
    }

    pub(crate) fn fail(&self, fault: Fault) {
        *self.shared.fault.lock().unwrap() = Some(fault);
    }

    pub(crate) fn recover(&self) {
        *self.shared.fault.lock().unwrap() = None;
    }

    /// How often it has failed somebody.
    pub(crate) fn failed(&self) -> usize {
        self.shared.failed.load(Ordering::SeqCst)
    }

    /// Every mail whose final dot came, in order, whatever was answered.
    pub(crate) fn mails(&self) -> Vec<String> {
        self.shared.mails.lock().unwrap().clone()
    }

    /// Their Message-IDs.
    pub(crate) fn message_ids(&self) -> Vec<String> {
        let id = |mail: &String| {
            let mut lines = mail.lines();
            let found = lines.find_map(|line| line.strip_prefix("Message-ID: "));
            found.unwrap().to_owned()
        };
        self.mails().iter().map(id).collect()
    }
}

impl Drop for PostOffice {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Shared {
    fn fault(&self) -> Option<Fault> {
        *self.fault.lock().unwrap()
    }

    fn fail(&self, words: &'static str) -> String {
        self.failed.fetch_add(1, Ordering::SeqCst);
        format!("{words}\r\n")
    }
}

async fn talk(socket: TcpStream, shared: &Shared) -> std::io::Result<()> {
    let mut socket = BufReader::new(socket);
    match shared.fault() {
        Some(Fault::HangUp) => {
            shared.fail("");
            return Ok(());
        }
        Some(Fault::Greeting(words)) => {
            return socket.write_all(shared.fail(words).as_bytes()).await;
        }
        _ => socket.write_all(b"220 post\r\n").await?,
    }
    let mut line = String::new();
    while socket.read_line(&mut line).await? > 0 {
        let answer = match (line.get(..4).unwrap_or_default(), shared.fault()) {
            ("EHLO", _) => "250-post\r\n250 8BITMIME\r\n".to_owned(),
            ("RCPT", Some(Fault::Recipient(words))) => shared.fail(words),
            ("DATA", fault) => {
                socket.write_all(b"354 go\r\n").await?;
                let mut mail = String::new();
                while !mail.ends_with("\r\n.\r\n") {
                    if socket.read_line(&mut mail).await? == 0 {
                        return Ok(());
                    }
                }
                if let Some(Fault::Dot(words)) = fault {
                    shared.fail(words)
                } else if let Some(Fault::Hang) = fault {
                    shared.fail("");
                    return std::future::pending().await;
                } else {
                    let first = {
                        let mut kept = shared.mails.lock().unwrap();
                        kept.push(mail);
                        kept.len() == 1
                    };
                    if shared.withholding && first {
                        std::future::pending::<()>().await;
                    }
                    tokio::time::sleep(shared.delay).await;
                    "250 kept\r\n".to_owned()
                }
            }
            _ => "250 ok\r\n".to_owned(),
        };
        socket.write_all(answer.as_bytes()).await?;
        line.clear();
    }
    Ok(())
}
