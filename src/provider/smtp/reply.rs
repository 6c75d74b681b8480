//! Reading what a server said, by its bytes (RFC 5321 4.2).
//!
//! Promise: a reply counts only when it is whole, well formed and alone; everything else is a reason to doubt the
//! connection. Text that is not UTF-8 does not make a reply unreadable: what counts is the code.

use std::fmt;

use super::super::About;

/// What a reply answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// MAIL: who sends.
    Sender,
    /// RCPT: to whom.
    Recipient,
    /// DATA, before anything of the mail was sent.
    Data,
    /// The final dot: the mail itself.
    Mail,
}

/// One whole reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Reply {
    /// 200 to 599.
    pub(super) code: u16,
    /// The lines' texts, joined.
    pub(super) text: String,
}

/// What the bytes heard since the last command come to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Heard {
    /// Exactly one reply.
    One(Reply),
    /// A reply, and more after it.
    Surplus(Reply, Vec<u8>),
    /// No whole reply yet.
    Partial,
    /// Not SMTP.
    Unreadable,
}

impl Reply {
    /// The enhanced status code at the beginning, `(5, 1, 1)` (RFC 3463).
    pub(super) fn enhanced(&self) -> Option<(u16, u16, u16)> {
        let mut numbers = self
            .text
            .split_whitespace()
            .next()?
            .split('.')
            .map(str::parse);
        match (
            numbers.next()?,
            numbers.next()?,
            numbers.next()?,
            numbers.next(),
        ) {
            (Ok(class), Ok(subject), Ok(detail), None) => Some((class, subject, detail)),
            _ => None,
        }
    }

    /// Whether a refusal at RCPT says that the recipient's mailbox or domain does not exist, rather than that it is full,
    /// busy or picky. 5.1.7 to 5.1.9 are about the sender.
    pub(super) fn says_no_such_mailbox(&self) -> bool {
        matches!(self.code, 550 | 551 | 553)
            && matches!(self.enhanced(), Some((5, 1, detail)) if !(7..=9).contains(&detail))
    }
}

impl Reply {
    /// Whom a refusal concerns (RFC 3463): mailboxes and content are this mail's, systems, networks and protocol the server's;
    /// policy is the mail's where the server has seen it, else ours. Without an enhanced code the basic one decides.
    pub(super) fn about(&self, step: Step) -> About {
        let of_the_message = match (self.enhanced(), step) {
            (Some((_, 1, detail)), Step::Recipient) => !(7..=9).contains(&detail),
            (Some((class, subject, detail)), _) => {
                let of_the_mail = step == Step::Mail && (class == 5 || subject == 7);
                of_the_mail || matches!((subject, detail), (2 | 6, _) | (3, 4))
            }
            (None, Step::Recipient) => matches!(self.code, 450 | 550..=553),
            (None, Step::Mail) => self.code >= 500,
            (None, Step::Sender | Step::Data) => false,
        };
        if of_the_message {
            About::Message
        } else {
            About::Provider
        }
    }
}

impl fmt::Display for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.code, self.text)
    }
}

/// Reads the first reply.
pub(super) fn read(bytes: &[u8]) -> Heard {
    let mut rest = bytes;
    let mut code = None;
    let mut texts: Vec<String> = Vec::new();
    loop {
        let Some(end) = rest.windows(2).position(|pair| pair == b"\r\n") else {
            return Heard::Partial;
        };
        let (line, after) = rest.split_at(end);
        rest = after.get(2..).unwrap_or_default();
        let Some((number, more, text)) = split(line) else {
            return Heard::Unreadable;
        };
        if code.is_some_and(|code| code != number) {
            return Heard::Unreadable;
        }
        code = Some(number);
        texts.push(String::from_utf8_lossy(text).into_owned());
        if !more {
            let reply = Reply {
                code: number,
                text: texts.join(" "),
            };
            return if rest.is_empty() {
                Heard::One(reply)
            } else {
                Heard::Surplus(reply, rest.to_vec())
            };
        }
    }
}

/// Code, whether more lines follow, text.
fn split(line: &[u8]) -> Option<(u16, bool, &[u8])> {
    let (digits, rest) = line.split_at_checked(3)?;
    if line.contains(&b'\r') || line.contains(&b'\n') || line.contains(&0) {
        return None;
    }
    let code = match digits {
        [
            first @ b'2'..=b'5',
            second @ b'0'..=b'5',
            third @ b'0'..=b'9',
        ] => {
            u16::from(first - b'0') * 100 + u16::from(second - b'0') * 10 + u16::from(third - b'0')
        }
        _ => return None,
    };
    match rest {
        [] => Some((code, false, rest)),
        [b' ', text @ ..] => Some((code, false, text)),
        [b'-', text @ ..] => Some((code, true, text)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(code: u16, text: &str) -> Heard {
        Heard::One(Reply {
            code,
            text: text.to_owned(),
        })
    }

    #[test]
    fn whole_replies_are_read() {
        assert_eq!(read(b"250 2.0.0 ok\r\n"), one(250, "2.0.0 ok"));
        assert_eq!(read(b"250\r\n"), one(250, ""));
        assert_eq!(read(b"550-a\r\n550-b\r\n550 c\r\n"), one(550, "a b c"));
        assert_eq!(
            read(b"250 gr\xfc\xdfe\r\n"),
            one(250, "gr\u{fffd}\u{fffd}e")
        );
    }

    #[test]
    fn everything_else_is_doubt() {
        for bytes in [b"" as &[u8], b"250", b"250 ok", b"250 ok\r", b"250-a\r\n"] {
            assert_eq!(read(bytes), Heard::Partial, "{bytes:?}");
        }
        for bytes in [
            b"600 ok\r\n" as &[u8],
            b"099 ok\r\n",
            b"25\r\n",
            b"25 ok\r\n",
            b"2500 ok\r\n",
            b"250_ok\r\n",
            b"260 ok\r\n",
            b"\xff\xfe\xfd\r\n",
            b"250-a\r\n550 b\r\n",
            b"250 a\n250 b\r\n",
            b"HTTP/1.1 200 OK\r\n",
        ] {
            assert_eq!(read(bytes), Heard::Unreadable, "{bytes:?}");
        }
        assert!(matches!(
            read(b"354 go\r\n250 ok\r\n"),
            Heard::Surplus(Reply { code: 354, .. }, _)
        ));
    }

    fn reply(text: &str) -> Reply {
        match read(format!("{text}\r\n").as_bytes()) {
            Heard::One(reply) => reply,
            other => panic!("{text}: {other:?}"),
        }
    }

    #[test]
    fn a_refusal_concerns_the_message_or_the_server() {
        use Step::{Data, Mail, Recipient, Sender};
        for (step, text, about) in [
            (Recipient, "550 5.1.1 no such user", About::Message),
            (
                Recipient,
                "553 5.1.8 sender's domain does not exist",
                About::Provider,
            ),
            (Recipient, "450 4.2.1 mailbox busy", About::Message),
            (Recipient, "552 5.2.2 mailbox full", About::Message),
            (Recipient, "550 no", About::Message),
            (Recipient, "450 not now", About::Message),
            (Recipient, "421 4.3.2 shutting down", About::Provider),
            (
                Recipient,
                "452 4.3.1 insufficient system storage",
                About::Provider,
            ),
            (Recipient, "451 try later", About::Provider),
            (Recipient, "554 5.7.1 relay access denied", About::Provider),
            (Recipient, "450 4.7.1 client host rejected", About::Provider),
            (Sender, "550 5.1.8 who are you", About::Provider),
            (Sender, "451 4.3.0 not now", About::Provider),
            (Sender, "552 5.3.4 too big", About::Message),
            (Data, "554 no", About::Provider),
            (Mail, "451 4.3.0 local error", About::Provider),
            (Mail, "452 no room", About::Provider),
            (Mail, "554 5.1.1 no such user", About::Message),
            (Mail, "554 5.7.1 refused as spam", About::Message),
            (Mail, "451 4.7.1 ask again", About::Message),
            (Mail, "552 5.3.4 too big", About::Message),
            (Mail, "554 no", About::Message),
            (Mail, "421 4.3.2 shutting down", About::Provider),
        ] {
            assert_eq!(reply(text).about(step), about, "{step:?} {text}");
        }
    }

    #[test]
    fn only_a_missing_mailbox_is_dead() {
        let dead = |text: &str| reply(text.trim_end()).says_no_such_mailbox();
        assert!(dead("550 5.1.1 no such user\r\n"));
        assert!(dead("553 5.1.3 bad address\r\n"));
        assert!(!dead("550 5.7.1 blocked\r\n"));
        assert!(!dead("552 5.2.2 full\r\n"));
        assert!(!dead("553 5.1.8 sender's domain does not exist\r\n"));
        assert!(!dead("550 no\r\n"));
        assert!(!dead("450 5.1.1 later\r\n"));
    }
}
