//! `[queue]`: how ready work travels to workers.

use super::reader::Reader;
use crate::queue::rabbitmq;

/// `[queue]`
#[derive(Clone, Debug)]
pub struct Queue {
    /// Which queue.
    pub kind: QueueKind,
    /// Messages of one channel and lane that may be out at once.
    pub window: usize,
}

/// The queues there are.
#[derive(Clone, Debug)]
pub enum QueueKind {
    /// Inside the process.
    Memory,
    /// A broker that processes share.
    Rabbitmq(Box<rabbitmq::Settings>),
}

/// The words of `queue.kind`.
#[derive(Clone, Copy)]
enum Word {
    Memory,
    Rabbitmq,
}

impl Queue {
    pub(super) fn read(reader: &mut Reader) -> Option<Self> {
        let kind = reader.word(
            "queue.kind",
            &[("memory", Word::Memory), ("rabbitmq", Word::Rabbitmq)],
        );
        let window = reader
            .count("queue.window", &(1..=1_000_000))
            .map(|window| window as usize);
        let rabbitmq = rabbitmq(reader, window);
        Some(Self {
            kind: match kind? {
                Word::Memory => QueueKind::Memory,
                Word::Rabbitmq => QueueKind::Rabbitmq(Box::new(rabbitmq?)),
            },
            window: window?,
        })
    }
}

/// `[queue.rabbitmq]`
fn rabbitmq(reader: &mut Reader, window: Option<usize>) -> Option<rabbitmq::Settings> {
    reader.allow_empty("queue.rabbitmq");
    let hosts = hosts(reader);
    let vhost = reader.required_text(
        "queue.rabbitmq.virtual_host",
        "the virtual host, usually \"/\"",
    );
    let user = reader.required_text("queue.rabbitmq.user", "who signs in");
    let password = reader.secret("queue.rabbitmq.password_file");
    let encrypted = reader.switch("queue.rabbitmq.tls");
    let ca_file = reader.readable_file("queue.rabbitmq.ca_file");
    let certificate = reader.readable_file("queue.rabbitmq.certificate_file");
    let key_origin = reader.origin("queue.rabbitmq.key_file");
    let key = reader.readable_file("queue.rabbitmq.key_file");
    let prefetch = reader.count("queue.rabbitmq.prefetch", &(1..=1_000));
    if certificate.is_some() != key.is_some() {
        let what = "goes with queue.rabbitmq.certificate_file: give both or neither";
        reader.fault(&key_origin, "queue.rabbitmq.key_file", what);
    }
    let tls = rabbitmq::Tls {
        ca_file,
        identity: certificate.zip(key),
    };
    Some(rabbitmq::Settings {
        hosts: hosts?,
        vhost,
        user,
        password: password
            .map(|secret| secret.reveal().to_owned())
            .unwrap_or_default(),
        tls: encrypted?.then_some(tls),
        prefetch: u16::try_from(prefetch?).ok()?,
        window: window?,
        ..rabbitmq::Settings::default()
    })
}

fn hosts(reader: &mut Reader) -> Option<Vec<(String, u16)>> {
    let path = "queue.rabbitmq.hosts";
    let origin = reader.origin(path);
    let texts = reader.list(path)?;
    let hosts: Vec<_> = texts
        .iter()
        .filter_map(|text| {
            let (host, port) = text.rsplit_once(':')?;
            Some((host.to_owned(), port.parse().ok()?)).filter(|(host, _)| !host.is_empty())
        })
        .collect();
    if hosts.is_empty() || hosts.len() < texts.len() {
        let what = "is no list of brokers; give each as a name and a port, such as [\"mq-1:5672\", \"mq-2:5672\"]";
        reader.fault(&origin, path, what);
        return None;
    }
    Some(hosts)
}
