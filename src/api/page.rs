//! Page sizes and page tokens (AIP-158).
//!
//! A token is a position and a seal over it: bound to the list, its filter, its order and the caller. A token that was
//! changed, or is used with another list, is refused. It hides nothing that its owner could not read anyway.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use crate::domain::rejection::{Rejection, RejectionReason};
use crate::domain::shop::Identity;

/// The size of a page when none is asked for.
pub const DEFAULT_SIZE: u32 = 50;
/// The largest page; more is cut to it.
pub const MAX_SIZE: u32 = 1000;
/// No token is longer.
const MAX_TOKEN_BYTES: usize = 512;
const SEAL_BYTES: usize = 16;

/// How many items a page may have.
///
/// # Errors
/// `FIELD_INVALID` on `page_size`, when it is negative.
pub fn size(asked: i32) -> Result<u32, Rejection> {
    match u32::try_from(asked) {
        Ok(0) => Ok(DEFAULT_SIZE),
        Ok(asked) => Ok(asked.min(MAX_SIZE)),
        Err(_) => Err(Rejection::field(
            RejectionReason::FieldInvalid,
            "page_size",
            "must not be negative; 0 asks for the default of 50",
        )),
    }
}

/// What a token is good for.
#[derive(Clone, Copy, Debug)]
pub struct Scope<'a> {
    /// The list: the name of its method.
    pub list: &'a str,
    /// Whose list.
    pub identity: &'a Identity,
    /// As it was written.
    pub filter: &'a str,
    /// In its normal form.
    pub order: &'a str,
}

/// Makes and reads tokens.
#[derive(Clone)]
pub struct Tokens {
    key: [u8; 32],
}

impl std::fmt::Debug for Tokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Tokens")
    }
}

impl Tokens {
    /// With a key that all processes of an installation share and that outlives them: tokens are good as long as it is.
    pub fn new(key: [u8; 32]) -> Self {
        Self { key }
    }

    fn mac(&self, scope: &Scope<'_>, position: &[u8]) -> Hmac<Sha256> {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.key)
            .unwrap_or_else(|_| unreachable!("any key length fits"));
        let parts: [&[u8]; 6] = [
            scope.list.as_bytes(),
            scope.identity.shop.as_str().as_bytes(),
            scope.identity.caller.as_str().as_bytes(),
            scope.filter.as_bytes(),
            scope.order.as_bytes(),
            position,
        ];
        for part in parts {
            // With its length, so that no two lists of parts look alike.
            mac.update(&(part.len() as u64).to_be_bytes());
            mac.update(part);
        }
        mac
    }

    /// The token that goes on behind `position`.
    pub fn seal(&self, scope: &Scope<'_>, position: &[u8]) -> String {
        let seal = self.mac(scope, position).finalize().into_bytes();
        let mut token = position.to_vec();
        token.extend(seal.iter().take(SEAL_BYTES));
        URL_SAFE_NO_PAD.encode(token)
    }

    /// The position in a token; `None` for one that was not made for this scope.
    pub fn open(&self, scope: &Scope<'_>, token: &str) -> Option<Vec<u8>> {
        if token.len() > MAX_TOKEN_BYTES {
            return None;
        }
        let bytes = URL_SAFE_NO_PAD.decode(token).ok()?;
        let (position, seal) = bytes.split_at_checked(bytes.len().checked_sub(SEAL_BYTES)?)?;
        self.mac(scope, position)
            .verify_truncated_left(seal)
            .ok()
            .map(|()| position.to_vec())
    }

    /// The position that `page_token` asks for, `None` for the first page; `read` makes it a value.
    ///
    /// # Errors
    /// `FIELD_INVALID` on `page_token`.
    pub fn position<T>(
        &self,
        scope: &Scope<'_>,
        token: &str,
        read: impl FnOnce(&[u8]) -> Option<T>,
    ) -> Result<Option<T>, Rejection> {
        if token.is_empty() {
            return Ok(None);
        }
        self.open(scope, token)
            .and_then(|position| read(&position))
            .map(Some)
            .ok_or_else(|| {
                Rejection::field(
                    RejectionReason::FieldInvalid,
                    "page_token",
                    "is not the next_page_token of a page with the same filter and order; leave it empty for the first page",
                )
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::shop::{CallerId, ShopId};

    fn scope(identity: &Identity) -> Scope<'_> {
        Scope {
            list: "ListNotifications",
            identity,
            filter: "state = FAILED",
            order: "create_time desc",
        }
    }

    #[test]
    fn sizes_have_a_default_and_an_end() {
        assert_eq!(size(0), Ok(50));
        assert_eq!(size(7), Ok(7));
        assert_eq!(size(1001), Ok(1000));
        assert_eq!(size(i32::MAX), Ok(1000));
        for negative in [-1, i32::MIN] {
            assert_eq!(size(negative).unwrap_err().violations[0].field, "page_size");
        }
    }

    #[test]
    fn a_token_is_good_for_its_own_list_only() {
        let tokens = Tokens::new([7; 32]);
        let local = Identity::local();
        let other = Identity {
            shop: ShopId::new("loca"),
            caller: CallerId::new("llocal"),
        };
        let token = tokens.seal(&scope(&local), b"0123456789abcdef");
        assert_eq!(
            tokens.open(&scope(&local), &token).as_deref(),
            Some(&b"0123456789abcdef"[..])
        );
        for foreign in [
            Scope {
                filter: "",
                ..scope(&local)
            },
            Scope {
                order: "create_time",
                ..scope(&local)
            },
            Scope {
                list: "ListTemplates",
                ..scope(&local)
            },
            scope(&other),
        ] {
            assert_eq!(tokens.open(&foreign, &token), None, "{foreign:?}");
        }
        assert_eq!(Tokens::new([8; 32]).open(&scope(&local), &token), None);
    }

    #[test]
    fn a_forged_token_is_refused() {
        let tokens = Tokens::new([7; 32]);
        let local = Identity::local();
        let token = tokens.seal(&scope(&local), b"position");
        for index in 0..token.len() {
            let mut forged = token.clone().into_bytes();
            forged[index] = if forged[index] == b'A' { b'B' } else { b'A' };
            let forged = String::from_utf8(forged).unwrap();
            assert_eq!(tokens.open(&scope(&local), &forged), None, "{index}");
        }
        for forged in ["A", "!!", "AAAA", "ü", &token[1..], &"A".repeat(100_000)] {
            let refused = tokens.position(&scope(&local), forged, |_| Some(()));
            assert_eq!(refused.unwrap_err().violations[0].field, "page_token");
        }
        assert_eq!(tokens.position(&scope(&local), "", |_| Some(())), Ok(None));
    }
}
