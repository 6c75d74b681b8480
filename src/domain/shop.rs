//! Shops and callers: the two names that stand in every key.

use serde::{Deserialize, Serialize};

macro_rules! name_type {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            /// The name as configuration or the store gives it.
            pub fn new(name: impl Into<String>) -> Self {
                Self(name.into())
            }

            /// The plain text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

name_type!(
    /// A brand with its own customers, templates and policy.
    ShopId
);
name_type!(
    /// The service behind a credential.
    CallerId
);

name_type!(
    /// The customer's id as the shop's services know it, or a guest's pseudonym (`guest:` and an HMAC of the address).
    CustomerId
);

/// What the id of a guest starts with; callers cannot choose such ids.
pub const GUEST_PREFIX: &str = "guest:";

/// Who is calling: on whose behalf, and which service.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Identity {
    /// The shop whose customers are meant.
    pub shop: ShopId,
    /// The service.
    pub caller: CallerId,
}

impl Identity {
    /// The identity of a single-machine installation without credentials: `local` of shop `local`.
    pub fn local() -> Self {
        Self {
            shop: ShopId::new("local"),
            caller: CallerId::new("local"),
        }
    }
}
