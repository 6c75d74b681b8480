//! The headers of a mail as they go out. Each is clean lines by construction; lettre's own are used where they are that.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lettre::message::header::{Header, HeaderName, HeaderValue};

use super::{MAX_NAME_CHARS, clean_line};

/// A header whose value is ASCII on one line by construction.
macro_rules! plain_header {
    ($(#[$doc:meta])* $kind:ident($self:ident), $name:literal, $value:expr) => {
        $(#[$doc])*
        impl Header for $kind {
            fn name() -> HeaderName {
                HeaderName::new_from_ascii_str($name)
            }

            fn parse(_: &str) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
                Err(concat!($name, " is only written").into())
            }

            fn display(&$self) -> HeaderValue {
                let value: String = $value;
                HeaderValue::dangerous_new_pre_encoded(Self::name(), value.clone(), value)
            }
        }
    };
}

macro_rules! mailbox_header {
    ($kind:ident, $name:literal) => {
        impl Header for $kind {
            fn name() -> HeaderName {
                HeaderName::new_from_ascii_str($name)
            }

            fn parse(_: &str) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
                Err(concat!($name, " is only written").into())
            }

            fn display(&self) -> HeaderValue {
                // lettre reads the bare address, and writes the encoded form.
                let (bare, encoded) = (self.0.address.clone(), self.0.encoded());
                HeaderValue::dangerous_new_pre_encoded(Self::name(), bare, encoded)
            }
        }
    };
}

/// A name and an address. lettre would leave a dot in a name unquoted, which strict readers refuse (RFC 5322 3.4).
#[derive(Clone)]
pub(super) struct Mailbox {
    name: String,
    address: String,
}

impl Mailbox {
    pub(super) fn new(name: &str, address: &lettre::Address) -> Self {
        Self {
            name: clean_line(name, MAX_NAME_CHARS),
            address: address.to_string(),
        }
    }

    fn encoded(&self) -> String {
        let Self { name, address } = self;
        let plain = |c: char| c.is_ascii_alphanumeric() || c == ' ';
        if name.is_empty() {
            address.clone()
        } else if name.chars().all(plain) {
            format!("{name} <{address}>")
        } else if name.is_ascii() && !name.contains("=?") {
            let quoted = name.replace('\\', "\\\\").replace('"', "\\\"");
            format!("\"{quoted}\"\r\n <{address}>")
        } else {
            format!("{}\r\n <{address}>", encoded_words(name))
        }
    }
}

/// RFC 2047, a line for each word; a character is never cut in two.
fn encoded_words(text: &str) -> String {
    const MAX_WORD_BYTES: usize = 45;
    let mut words = vec![String::new()];
    for c in text.chars() {
        match words.last_mut() {
            Some(word) if word.len() + c.len_utf8() <= MAX_WORD_BYTES => word.push(c),
            _ => words.push(c.to_string()),
        }
    }
    let encode = |word: &String| format!("=?utf-8?b?{}?=", STANDARD.encode(word));
    words.iter().map(encode).collect::<Vec<_>>().join("\r\n ")
}

#[derive(Clone)]
pub(super) struct From(pub(super) Mailbox);
mailbox_header!(From, "From");

#[derive(Clone)]
pub(super) struct To(pub(super) Mailbox);
mailbox_header!(To, "To");

/// lettre would leave alone what looks like an encoded word already, and a reader would decode it.
#[derive(Clone)]
pub(super) struct Subject(pub(super) String);

impl Header for Subject {
    fn name() -> HeaderName {
        HeaderName::new_from_ascii_str("Subject")
    }

    fn parse(_: &str) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        Err("Subject is only written".into())
    }

    fn display(&self) -> HeaderValue {
        let text = self.0.clone();
        if text.contains("=?") {
            let encoded = encoded_words(&text);
            HeaderValue::dangerous_new_pre_encoded(Self::name(), text, encoded)
        } else {
            HeaderValue::new(Self::name(), text)
        }
    }
}

/// RFC 3834: no out-of-office replies, please.
#[derive(Clone)]
pub(super) struct AutoSubmitted;
plain_header!(
    AutoSubmitted(self),
    "Auto-Submitted",
    "auto-generated".to_owned()
);

#[derive(Clone)]
pub(super) struct TemplateName(pub(super) String);
plain_header!(
    TemplateName(self),
    "X-Notification-Template",
    self.0.clone()
);

/// RFC 2369.
#[derive(Clone)]
pub(super) struct ListUnsubscribe(pub(super) String);
plain_header!(ListUnsubscribe(self), "List-Unsubscribe", self.0.clone());

/// RFC 8058.
#[derive(Clone)]
pub(super) struct ListUnsubscribePost;
plain_header!(
    ListUnsubscribePost(self),
    "List-Unsubscribe-Post",
    "List-Unsubscribe=One-Click".to_owned()
);
