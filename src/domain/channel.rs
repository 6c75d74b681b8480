//! Channels, categories, lanes: the closed words that routing and policy hang on.

/// A closed set of lower-case words with one spelling in configuration, store, logs and metrics.
macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $word:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
        pub enum $name { $($(#[$vdoc])* #[serde(rename = $word)] $variant),+ }

        impl $name {
            /// Every value, in order.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The one spelling.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word),+ }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(self.as_str())
            }
        }

        impl std::str::FromStr for $name {
            type Err = $crate::domain::channel::UnknownWord;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                match text {
                    $($word => Ok(Self::$variant),)+
                    _ => Err($crate::domain::channel::UnknownWord { word: text.to_owned(), known: &[$($word),+] }),
                }
            }
        }
    };
}
pub(crate) use words;

/// A word that is not in its closed list.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{word:?} is not one of {}", known.join(", "))]
pub struct UnknownWord {
    /// What was given.
    pub word: String,
    /// What would have been right.
    pub known: &'static [&'static str],
}

words! {
    /// A way to reach a customer.
    Channel {
        /// Mail by SMTP.
        Email = "email",
        /// A text message to a phone.
        Sms = "sms",
        /// A chat message; Discord is the first provider.
        Chat = "chat",
    }
}

words! {
    /// The legal and social class of a message, most important first. Policy hangs on it.
    Category {
        /// Security notice, product recall: goes out whatever the customer chose, save to a dead address.
        Critical = "critical",
        /// Order, invoice, delivery: never capped.
        Transactional = "transactional",
        /// Satisfaction check, review request, care guide: capped, opt-out.
        Relationship = "relationship",
        /// Newsletter, voucher, recommendation: opt-in, capped, one-click unsubscribe.
        Marketing = "marketing",
    }
}

words! {
    /// The queue a message travels on. It follows from the category, never from the caller.
    Lane {
        /// Critical only.
        Critical = "critical",
        /// Transactional only.
        Transactional = "transactional",
        /// Relationship and marketing.
        Bulk = "bulk",
    }
}

impl Category {
    /// The lane that messages of this category travel on.
    pub const fn lane(self) -> Lane {
        match self {
            Self::Critical => Lane::Critical,
            Self::Transactional => Lane::Transactional,
            Self::Relationship | Self::Marketing => Lane::Bulk,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_read_back() {
        for category in Category::ALL {
            assert_eq!(category.as_str().parse(), Ok(*category));
        }
        let error = "fax".parse::<Channel>().unwrap_err();
        assert_eq!(error.to_string(), "\"fax\" is not one of email, sms, chat");
    }

    #[test]
    fn importance_is_the_order_of_the_list() {
        assert!(Category::Critical < Category::Transactional);
        assert!(Category::Relationship < Category::Marketing);
    }
}
