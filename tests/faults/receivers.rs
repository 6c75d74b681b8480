//! The customers' side: a mail server, a Twilio-shaped and a Discord-shaped service in the harness's own process. Each takes what
//! it is given, notes it in the ledger, and only then answers. Some orders get trouble, always the same ones: a passing refusal, a slow
//! answer, a connection that closes instead of the answer.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use crate::http_fake::request;
use crate::ledger::{Entry, Ledger};
use crate::shop;
use crate::vendor_fakes::{discord_refuses, form, twilio_refuses};

/// How the receivers behave.
#[derive(Clone, Copy)]
pub(crate) struct Manners {
    /// From the acceptance to its answer.
    pub(crate) delay: Duration,
    /// Whether some orders get trouble.
    pub(crate) trouble: bool,
}

/// What an order gets at its first try.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Course {
    Take,
    TakeSlowly,
    TakeAndHangUp,
    Refuse,
}

struct Shared {
    ledger: Ledger,
    manners: Manners,
    tries: Mutex<HashMap<u64, u32>>,
    /// A channel over which everything is refused.
    refusing: Mutex<Option<&'static str>>,
    refused: AtomicUsize,
    connections: AtomicU64,
}

/// Run until they are dropped.
pub(crate) struct Receivers {
    pub(crate) mail_port: u16,
    pub(crate) sms_url: String,
    pub(crate) chat_url: String,
    shared: Arc<Shared>,
    tasks: Vec<JoinHandle<()>>,
}

impl Receivers {
    pub(crate) async fn start(ledger: Ledger, manners: Manners) -> Self {
        let shared = Arc::new(Shared {
            ledger,
            manners,
            tries: Mutex::default(),
            refusing: Mutex::default(),
            refused: AtomicUsize::new(0),
            connections: AtomicU64::new(0),
        });
        let mut tasks = Vec::new();
        let mut ports = Vec::new();
        for kind in [Kind::Mail, Kind::Sms, Kind::Chat] {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            ports.push(listener.local_addr().unwrap().port());
            tasks.push(tokio::spawn(listen(listener, kind, shared.clone())));
        }
        Self {
            mail_port: ports[0],
            sms_url: format!("http://127.0.0.1:{}", ports[1]),
            chat_url: format!("http://127.0.0.1:{}/api/v10", ports[2]),
            shared,
            tasks,
        }
    }

    /// From now on everything over this channel is refused, for a while; `None`: nothing.
    pub(crate) fn refuse(&self, channel: Option<&'static str>) {
        *self.shared.refusing.lock().unwrap() = channel;
    }

    /// How often something was refused because everything is.
    pub(crate) fn refused(&self) -> usize {
        self.shared.refused.load(Ordering::SeqCst)
    }
}

impl Drop for Receivers {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

#[derive(Clone, Copy)]
enum Kind {
    Mail,
    Sms,
    Chat,
}

async fn listen(listener: TcpListener, kind: Kind, shared: Arc<Shared>) {
    let mut open = tokio::task::JoinSet::new();
    while let Ok((socket, _)) = listener.accept().await {
        let shared = shared.clone();
        let connection = shared.connections.fetch_add(1, Ordering::Relaxed);
        open.spawn(async move {
            // A sender that dies in the middle is what this is all about.
            let _ = match kind {
                Kind::Mail => mail(socket, &shared, connection).await,
                Kind::Sms => http(socket, &shared, connection, sms).await,
                Kind::Chat => http(socket, &shared, connection, chat).await,
            };
        });
        while open.try_join_next().is_some() {}
    }
}

impl Shared {
    fn course(&self, channel: &str, order: u64) -> Course {
        if *self.refusing.lock().unwrap() == Some(channel) {
            self.refused.fetch_add(1, Ordering::SeqCst);
            return Course::Refuse;
        }
        let mut tries = self.tries.lock().unwrap();
        let before = tries.entry(order).or_default();
        *before += 1;
        if *before > 1 || !self.manners.trouble {
            return Course::Take;
        }
        match order.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 54 {
            0..30 => Course::Refuse,
            30..40 => Course::TakeAndHangUp,
            40..60 => Course::TakeSlowly,
            _ => Course::Take,
        }
    }

    /// Notes it, and waits as long as the answer takes. `false`: there is none.
    async fn take(
        &self,
        channel: &str,
        order: u64,
        key: &str,
        connection: u64,
        course: Course,
    ) -> bool {
        let told = course != Course::TakeAndHangUp;
        let entry = Entry {
            channel: channel.to_owned(),
            order,
            key: key.to_owned(),
            connection,
            at: self.ledger.now(),
            told,
        };
        self.ledger.note(entry).await;
        let delay = self.manners.delay;
        let slow = if course == Course::TakeSlowly { 3 } else { 1 };
        tokio::time::sleep(delay * slow).await;
        told
    }
}

async fn mail(socket: TcpStream, shared: &Shared, connection: u64) -> std::io::Result<()> {
    socket.set_nodelay(true)?;
    let mut socket = BufReader::new(socket);
    socket.write_all(b"220 mail\r\n").await?;
    let (mut line, mut to) = (String::new(), 0);
    while socket.read_line(&mut line).await? > 0 {
        let answer: &[u8] = match line.get(..4).unwrap_or_default() {
            "EHLO" => b"250-mail\r\n250 8BITMIME\r\n",
            "RCPT" => {
                to = shop::order_of_mail(&line);
                b"250 ok\r\n"
            }
            "DATA" => {
                socket.write_all(b"354 go\r\n").await?;
                let mut text = String::new();
                while !text.ends_with("\r\n.\r\n") {
                    if socket.read_line(&mut text).await? == 0 {
                        return Ok(());
                    }
                }
                let mut lines = text.lines();
                let key = lines.find_map(|line| line.strip_prefix("Message-ID: "));
                match shared.course("email", to) {
                    Course::Refuse => b"451 later\r\n",
                    course => {
                        let key = key.expect("a mail has a Message-ID");
                        if !shared.take("email", to, key, connection, course).await {
                            return Ok(());
                        }
                        b"250 kept\r\n"
                    }
                }
            }
            _ => b"250 ok\r\n",
        };
        socket.write_all(answer).await?;
        line.clear();
    }
    Ok(())
}

/// What a service makes of a request: an answer, or a message to take.
enum Asked {
    Answer(u16, Value),
    Message {
        channel: &'static str,
        order: u64,
        key: String,
        answer: (u16, Value),
    },
}

async fn http(
    mut socket: TcpStream,
    shared: &Shared,
    connection: u64,
    read: fn(&crate::http_fake::Seen) -> Asked,
) -> std::io::Result<()> {
    socket.set_nodelay(true)?;
    let mut unread = Vec::new();
    while let Some(seen) = request(&mut socket, &mut unread).await {
        let (status, body) = match read(&seen) {
            Asked::Answer(status, body) => (status, body),
            Asked::Message {
                channel,
                order,
                key,
                answer,
            } => match shared.course(channel, order) {
                Course::Refuse => (503, json!({"message": "later"})),
                course => {
                    if !shared.take(channel, order, &key, connection, course).await {
                        return Ok(());
                    }
                    answer
                }
            },
        };
        let body = body.to_string();
        let head = format!(
            "HTTP/1.1 {status} x\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        socket.write_all((head + &body).as_bytes()).await?;
    }
    Ok(())
}

fn sms(seen: &crate::http_fake::Seen) -> Asked {
    if let Some(status) = twilio_refuses(seen) {
        return Asked::Answer(status, json!({"code": 1, "message": "broken contract"}));
    }
    let form = form(&seen.body);
    let (_, to) = form.iter().find(|(name, _)| name == "To").unwrap();
    Asked::Message {
        channel: "sms",
        order: shop::order_of_phone(to),
        key: String::new(),
        answer: (201, json!({"sid": "SM1", "status": "queued"})),
    }
}

fn chat(seen: &crate::http_fake::Seen) -> Asked {
    if let Some(status) = discord_refuses(seen) {
        return Asked::Answer(
            status,
            json!({"code": 50035, "message": "Invalid Form Body"}),
        );
    }
    let body = seen.json();
    if seen.path.ends_with("/users/@me/channels") {
        // Each user has the channel of the same number.
        return Asked::Answer(200, json!({"id": body["recipient_id"], "type": 1}));
    }
    let user = seen.path.split('/').nth_back(1).unwrap();
    Asked::Message {
        channel: "chat",
        order: shop::order_of_user(user),
        key: body["nonce"].as_str().unwrap_or_default().to_owned(),
        answer: (200, json!({"id": "333333333333333333"})),
    }
}
