//! The filter language of lists and watches (a part of AIP-160) and its evaluation.
//!
//! Fields: `customer_id`, `template`, `state`, `state_reason`, `channel`, `category`, `reference`, `labels.<key>`, `create_time`.
//! Operators `= != < > <= >=`, `AND`, `OR`, parentheses. Order comparisons are for `create_time` only.
//! As AIP-160 wants it, `OR` binds more tightly than `AND`: `a AND b OR c` means `a AND (b OR c)`.
//! Values are bare words or quoted with `"` or `'`; states and reasons are normalised to upper, channels and categories to
//! lower case. The store turns the tree into SQL; [`Filter::matches`] is for watches.

use jiff::Timestamp;

use super::notification::Record;
use super::rejection::Rejection;

mod parser;

/// A field that can be filtered by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Field {
    /// The customer's id.
    CustomerId,
    /// The template key.
    Template,
    /// The notification's state, `FAILED`.
    State,
    /// Its reason, `BUDGET_EXCEEDED`.
    StateReason,
    /// A channel that one of its messages is on, `email`.
    Channel,
    /// The category, `marketing`.
    Category,
    /// The caller's own reference.
    Reference,
    /// A label's value.
    Label(String),
}

/// A comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operator {
    /// `=`
    Equal,
    /// `!=`
    NotEqual,
    /// `<`
    Less,
    /// `<=`
    LessOrEqual,
    /// `>`
    Greater,
    /// `>=`
    GreaterOrEqual,
}

/// A filter as a tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Filter {
    /// The empty filter.
    Everything,
    /// Both.
    And(Box<Filter>, Box<Filter>),
    /// One of them.
    Or(Box<Filter>, Box<Filter>),
    /// A field is, or (`equal` false) is not, the value.
    Text {
        /// Which.
        field: Field,
        /// `=` or `!=`.
        equal: bool,
        /// What.
        value: String,
    },
    /// The time of acceptance against an instant.
    CreateTime(Operator, Timestamp),
}

impl Filter {
    /// Whether a notification passes. Channel and messages are taken from the record.
    pub fn matches(&self, record: &Record) -> bool {
        match self {
            Self::Everything => true,
            Self::And(left, right) => left.matches(record) && right.matches(record),
            Self::Or(left, right) => left.matches(record) || right.matches(record),
            Self::Text {
                field,
                equal,
                value,
            } => holds(field, value, record) == *equal,
            Self::CreateTime(operator, instant) => {
                operator.holds(&record.notification.create_time, instant)
            }
        }
    }

    /// Reads a filter.
    ///
    /// # Errors
    /// `FIELD_INVALID` on `filter`, with the position and what was expected there.
    pub fn parse(text: &str) -> Result<Self, Rejection> {
        parser::parse(text)
    }
}

fn holds(field: &Field, value: &str, record: &Record) -> bool {
    let notification = &record.notification;
    match field {
        Field::CustomerId => notification.intent.customer.as_str() == value,
        Field::Template => notification.intent.template == value,
        Field::State => notification.status.state.as_str() == value,
        Field::StateReason => notification.status.reason.as_str() == value,
        Field::Channel => record
            .messages
            .iter()
            .any(|message| message.channel.as_str() == value),
        Field::Category => notification.category.as_str() == value,
        Field::Reference => notification.intent.reference == value,
        Field::Label(key) => notification
            .intent
            .labels
            .get(key)
            .is_some_and(|label| label == value),
    }
}

impl Operator {
    fn holds<T: Ord>(self, left: &T, right: &T) -> bool {
        match self {
            Self::Equal => left == right,
            Self::NotEqual => left != right,
            Self::Less => left < right,
            Self::LessOrEqual => left <= right,
            Self::Greater => left > right,
            Self::GreaterOrEqual => left >= right,
        }
    }
}
