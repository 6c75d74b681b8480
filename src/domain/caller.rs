//! Who may call, and what: scopes, and the hashes of the keys that callers show.
//!
//! Plain values and their text forms. Which method needs which scope, and how a credential is found in a request, is
//! the business of the gRPC door.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};
use subtle::{Choice, ConstantTimeEq as _};

use super::channel::{Category, words};
use super::hex::hex;
use super::shop::Identity;

words! {
    /// What a caller may be allowed to do.
    Scope {
        /// Send critical messages, and call off one's own.
        SendCritical = "send:critical",
        /// Send transactional messages, and call off one's own.
        SendTransactional = "send:transactional",
        /// Send relationship messages, and call off one's own.
        SendRelationship = "send:relationship",
        /// Send marketing messages, and call off one's own.
        SendMarketing = "send:marketing",
        /// Read one's own notifications, the shop's customers and its templates.
        Read = "read",
        /// Create and change customers and their preferences.
        CustomerWrite = "customer:write",
        /// Erase customers for good.
        CustomerErase = "customer:erase",
        /// Run the gateway: say what became of what is unknown, whoever of the shop sent it.
        Operate = "operate",
    }
}

impl Scope {
    /// Those that allow to send; each is of one category.
    pub const SENDING: [Self; 4] = [
        Self::SendCritical,
        Self::SendTransactional,
        Self::SendRelationship,
        Self::SendMarketing,
    ];

    /// What sending a message of this category needs.
    pub const fn to_send(category: Category) -> Self {
        match category {
            Category::Critical => Self::SendCritical,
            Category::Transactional => Self::SendTransactional,
            Category::Relationship => Self::SendRelationship,
            Category::Marketing => Self::SendMarketing,
        }
    }
}

/// A caller that was recognised: who it is, and what it may do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// Whose data it works on.
    pub identity: Identity,
    /// What it may do; never all of it by default.
    pub scopes: Vec<Scope>,
}

impl Caller {
    /// Whoever calls an installation without credentials: `local`, with every scope.
    pub fn local() -> Self {
        Self {
            identity: Identity::local(),
            scopes: Scope::ALL.to_vec(),
        }
    }

    /// Whether it has this scope.
    pub fn may(&self, scope: Scope) -> bool {
        self.scopes.contains(&scope)
    }
}

/// A caller as it is configured: what it shows to be recognised.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownCaller {
    /// Who shows it.
    pub caller: Caller,
    /// Keys that are good now: two while one takes over from the other.
    pub keys: Vec<KeyHash>,
    /// Names in certificates that are good: URIs such as `spiffe://shop.example/orders`, or DNS names.
    pub certificate_names: Vec<String>,
}

/// What every API key starts with, so that one is known where it does not belong: in a log, in a repository.
pub const KEY_PREFIX: &str = "tk_";

/// A new API key: the prefix and 32 random bytes (256 bits) as 43 characters.
pub fn api_key(random: &[u8; 32]) -> String {
    format!("{KEY_PREFIX}{}", URL_SAFE_NO_PAD.encode(random))
}

/// Whether a text has the form of an API key. Says nothing of whether it is good.
pub fn is_api_key(text: &str) -> bool {
    text.strip_prefix(KEY_PREFIX).is_some_and(|rest| {
        rest.len() == 43
            && rest
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
    })
}

/// The SHA-256 of an API key. A slow, salted hash would gain nothing: it protects passwords, which are short enough to
/// be guessed, and a key is 256 random bits.
#[derive(Clone, PartialEq, Eq)]
pub struct KeyHash([u8; 32]);

impl KeyHash {
    const PREFIX: &str = "sha256:";

    /// The hash of a key as a caller shows it.
    pub fn of(key: &str) -> Self {
        Self(Sha256::digest(key.as_bytes()).into())
    }

    /// Reads `sha256:` and 64 lower-case hexadecimal digits; `None` for anything else.
    pub fn parse(text: &str) -> Option<Self> {
        let digits = text.strip_prefix(Self::PREFIX)?.as_bytes();
        let mut hash = [0; 32];
        let (pairs, []) = digits.as_chunks::<2>() else {
            return None;
        };
        if pairs.len() != hash.len() {
            return None;
        }
        for (byte, [high, low]) in hash.iter_mut().zip(pairs) {
            *byte = nibble(*high)? << 4 | nibble(*low)?;
        }
        Some(Self(hash))
    }

    /// Whether they are the same; takes as long for those that differ early as for those that differ late.
    pub fn matches(&self, other: &Self) -> Choice {
        self.0.ct_eq(&other.0)
    }
}

fn nibble(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}

impl fmt::Display for KeyHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", Self::PREFIX, hex(&self.0))
    }
}

impl fmt::Debug for KeyHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyHash")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_category_has_a_scope_of_its_own() {
        let scopes: Vec<_> = Category::ALL.iter().map(|c| Scope::to_send(*c)).collect();
        assert_eq!(scopes, Scope::SENDING);
        for category in Category::ALL {
            let scope = Scope::to_send(*category);
            assert_eq!(scope.as_str(), format!("send:{category}"));
        }
        assert!(Scope::ALL.iter().all(|scope| Caller::local().may(*scope)));
    }

    #[test]
    fn a_hash_is_read_back_and_nothing_else_is_one() {
        // The second vector of FIPS 180-2.
        let abc = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(KeyHash::of("abc").to_string(), abc);
        let read = KeyHash::parse(abc).unwrap();
        assert!(bool::from(read.matches(&KeyHash::of("abc"))));
        assert!(!bool::from(read.matches(&KeyHash::of("abd"))));
        for wrong in [
            "",
            "sha256:",
            &abc[7..],
            &abc[..70],
            &format!("{abc}0"),
            &format!("{abc}\n"),
            &abc.to_uppercase(),
            &abc.replace("sha256:b", "sha256:g"),
            &abc.replace("sha256", "sha512"),
        ] {
            assert_eq!(KeyHash::parse(wrong), None, "{wrong:?}");
        }
    }

    #[test]
    fn a_key_is_known_by_its_form() {
        let key = api_key(&[255; 32]);
        assert!(key.starts_with("tk_") && is_api_key(&key), "{key}");
        for wrong in [
            "",
            "tk_",
            "tk_short",
            &key[3..],
            &format!("{key}A"),
            &format!("{key} "),
            &format!("{key}\n"),
            &key.replace('_', "+"),
        ] {
            assert!(!is_api_key(wrong), "{wrong:?}");
        }
    }
}
