//! The shop under test: its settings, its templates, and one customer for each order, so that a receiver knows the order by the
//! address.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use serde_json::json;
use tidings::proto::{
    self, ContactPoint, Customer, InlineRecipient, NotificationIntent, notification_intent,
};

use crate::receivers::Receivers;
use crate::skip::root;

const FIRST_USER: u64 = 100_000_000_000_000_000;
/// Right of the @ in every Message-ID.
pub(crate) const DOMAIN: &str = "shop.example";

/// What an order is told, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Mail,
    Sms,
    Chat,
    /// Category critical, as a text message.
    Recall,
    /// Category relationship, by mail: held when its outcome is unknown.
    Check,
}

impl Kind {
    /// Of twenty orders: twelve mails, four texts, one recall, one chat, two checks.
    pub(crate) fn of(order: u64) -> Self {
        match order % 20 {
            0..12 => Self::Mail,
            12..16 => Self::Sms,
            16 => Self::Recall,
            17 => Self::Chat,
            _ => Self::Check,
        }
    }
}

/// The caller's reference of an order.
pub(crate) fn reference(order: u64) -> String {
    format!("orders/{order}")
}

pub(crate) fn order_of_reference(reference: &str) -> u64 {
    reference.strip_prefix("orders/").unwrap().parse().unwrap()
}

/// From `RCPT TO:<o7@example.com>`.
pub(crate) fn order_of_mail(line: &str) -> u64 {
    let inner = line.split("<o").nth(1).unwrap();
    inner.split('@').next().unwrap().parse().unwrap()
}

pub(crate) fn order_of_phone(phone: &str) -> u64 {
    phone.strip_prefix("+49151").unwrap().parse().unwrap()
}

pub(crate) fn order_of_user(user: &str) -> u64 {
    user.parse::<u64>().unwrap() - FIRST_USER
}

pub(crate) fn mail_of(order: u64) -> String {
    format!("o{order}@example.com")
}

/// The customer whom a check of this order goes to, who must be known first.
pub(crate) fn customer(order: u64) -> Option<Customer> {
    (Kind::of(order) == Kind::Check).then(|| known(order))
}

/// A customer with the mail address of this order.
pub(crate) fn known(order: u64) -> Customer {
    let point = ContactPoint {
        channel: proto::Channel::Email.into(),
        address: mail_of(order),
        ..ContactPoint::default()
    };
    Customer {
        name: format!("customers/c{order}"),
        given_name: "Ada".into(),
        time_zone: "Europe/Berlin".into(),
        contact_points: vec![point],
        source_version: 1,
        ..Customer::default()
    }
}

pub(crate) fn intent(order: u64) -> NotificationIntent {
    let guest = |guest| notification_intent::Recipient::InlineRecipient(guest);
    let mut variables = json!({"order": {"number": order.to_string()}});
    let (template, recipient) = match Kind::of(order) {
        Kind::Mail => {
            let email_address = mail_of(order);
            let recipient = InlineRecipient {
                email_address,
                ..InlineRecipient::default()
            };
            ("order.shipped", guest(recipient))
        }
        kind @ (Kind::Sms | Kind::Recall) => {
            let phone_number = format!("+49151{order:08}");
            let recipient = InlineRecipient {
                phone_number,
                ..InlineRecipient::default()
            };
            let template = if kind == Kind::Sms {
                "order.shipped"
            } else {
                "order.recall"
            };
            (template, guest(recipient))
        }
        Kind::Chat => {
            let discord_user_id = (FIRST_USER + order).to_string();
            let recipient = InlineRecipient {
                discord_user_id,
                ..InlineRecipient::default()
            };
            ("order.shipped", guest(recipient))
        }
        Kind::Check => {
            variables["happy_url"] = json!("https://shop.example/y");
            variables["unhappy_url"] = json!("https://shop.example/n");
            let customer = format!("c{order}");
            let recipient = notification_intent::Recipient::CustomerId(customer);
            ("satisfaction.check", recipient)
        }
    };
    NotificationIntent {
        recipient: Some(recipient),
        template: template.into(),
        variables: Some(proto::structure(variables.as_object().unwrap())),
        reference: reference(order),
        ..NotificationIntent::default()
    }
}

/// Writes the settings of a gateway with its data in `data`; without receivers everything is captured.
pub(crate) fn settings(folder: &Path, data: &Path, receivers: Option<&Receivers>) -> PathBuf {
    let templates = folder.join("templates");
    if !templates.exists() {
        awake(&templates);
    }
    let mut text = format!(
        "[server]\ngrpc_address = \"127.0.0.1:0\"\nconsole_address = \"127.0.0.1:0\"\ndrain = \"6s\"\n\
         [store]\npath = {data:?}\n[catalog]\ntemplates = {templates:?}\n\
         [workers.email]\nconcurrency_critical = 4\nconcurrency_transactional = 48\nconcurrency_bulk = 12\n\
         [workers.sms]\nconcurrency_critical = 8\nconcurrency_transactional = 24\n\
         [workers.chat]\nconcurrency_transactional = 8\n"
    );
    if let Some(receivers) = receivers {
        let token = folder.join("token");
        private(&token, "token");
        let Receivers {
            mail_port,
            sms_url,
            chat_url,
            ..
        } = receivers;
        text += &format!(
            "[providers.smtp.post]\nhost = \"127.0.0.1\"\nport = {mail_port}\ntls = \"none\"\n\
             message_id_domain = \"{DOMAIN}\"\nmax_connections = 64\n\
             [providers.twilio.texts]\nbase_url = \"{sms_url}\"\naccount_sid = \"AC0123456789abcdef0123456789abcdef\"\n\
             auth_token_file = {token:?}\nfrom = \"+4930123456\"\n\
             [providers.discord.chats]\nmode = \"dm\"\nbase_url = \"{chat_url}\"\ntoken_file = {token:?}\n"
        );
    }
    let path = folder.join("tidings.toml");
    private(&path, &text);
    path
}

fn private(path: &Path, text: &str) {
    std::fs::write(path, text).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
}

/// The shop's own templates with one of category critical, in a shop where nobody sleeps and retries come soon.
fn awake(templates: &Path) {
    copy(&root().join("templates"), templates);
    let messages = templates.join("messages/order");
    let shipped = messages.join("shipped/message.toml");
    // A clock that is set ahead by a day is no reason to be silent.
    let text = std::fs::read_to_string(&shipped).unwrap();
    assert!(text.contains("ttl = \"24h\""));
    std::fs::write(&shipped, text.replace("ttl = \"24h\"", "ttl = \"10d\"")).unwrap();
    copy(&messages.join("shipped"), &messages.join("recall"));
    let replaced = |path: PathBuf, changes: &[(&str, &str)]| {
        let mut text = std::fs::read_to_string(&path).unwrap();
        for (from, to) in changes {
            assert!(text.contains(from), "{from} is not in {}", path.display());
            text = text.replace(from, to);
        }
        std::fs::write(path, text).unwrap();
    };
    replaced(
        messages.join("recall/message.toml"),
        &[
            ("transactional", "critical"),
            ("\"delivery\"", "\"recall\""),
        ],
    );
    // What is held as unknown ends while the trial still waits.
    replaced(
        templates.join("messages/satisfaction/check/message.toml"),
        &[("ttl = \"5d\"", "ttl = \"15s\"")],
    );
    let topic = "[[topics]]\nkey = \"recall\"\ncategory = \"critical\"\nname = \"Recalls\"\n\
        channels = [\"sms\", \"email\"]\nopt_in = false\n\n[[topics]]\nkey = \"order\"";
    replaced(
        templates.join("policy.toml"),
        &[
            (
                "categories = [\"relationship\", \"marketing\"]\n\n# ---",
                "categories = []\n\n# ---",
            ),
            (
                "delays = [\"5s\", \"30s\", \"2m\", \"10m\", \"30m\", \"1h\", \"2h\", \"4h\"]",
                "delays = [\"1s\", \"2s\", \"3s\"]",
            ),
            ("[[topics]]\nkey = \"order\"", topic),
        ],
    );
}

pub(crate) fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}
