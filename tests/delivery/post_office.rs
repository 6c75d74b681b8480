//! A mail server that keeps every mail it was given to its end, and answers as it is told: late, or to the first never.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};

pub(crate) struct PostOffice {
    pub(crate) port: u16,
    mails: Arc<Mutex<Vec<String>>>,
    task: tokio::task::JoinHandle<()>,
}

impl PostOffice {
    /// Answers each final dot after `delay`, or, `withholding`, that of the first mail never.
    pub(crate) async fn start(delay: Duration, withholding: bool) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let mails = Arc::new(Mutex::default());
        let kept = Arc::clone(&mails);
        let task = tokio::spawn(async move {
            let mut open = tokio::task::JoinSet::new();
            while let Ok((socket, _)) = listener.accept().await {
                let kept = Arc::clone(&kept);
                open.spawn(async move { drop(talk(socket, &kept, delay, withholding).await) });
            }
        });
        Self { port, mails, task }
    }

    /// Every mail whose final dot came, in order, whatever was answered.
    pub(crate) fn mails(&self) -> Vec<String> {
        self.mails.lock().unwrap().clone()
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

async fn talk(
    socket: TcpStream,
    kept: &Mutex<Vec<String>>,
    delay: Duration,
    withholding: bool,
) -> std::io::Result<()> {
    let mut socket = BufReader::new(socket);
    socket.write_all(b"220 post\r\n").await?;
    let mut line = String::new();
    while socket.read_line(&mut line).await? > 0 {
        let answer: &[u8] = match line.get(..4).unwrap_or_default() {
            "EHLO" => b"250-post\r\n250 8BITMIME\r\n",
            "DATA" => {
                socket.write_all(b"354 go\r\n").await?;
                let mut mail = String::new();
                while !mail.ends_with("\r\n.\r\n") {
                    if socket.read_line(&mut mail).await? == 0 {
                        return Ok(());
                    }
                }
                let first = {
                    let mut kept = kept.lock().unwrap();
                    kept.push(mail);
                    kept.len() == 1
                };
                if withholding && first {
                    std::future::pending::<()>().await;
                }
                tokio::time::sleep(delay).await;
                b"250 kept\r\n"
            }
            _ => b"250 ok\r\n",
        };
        socket.write_all(answer).await?;
        line.clear();
    }
    Ok(())
}
