//! L0: plain values and pure rules. Nothing here reads a clock, a file or a socket, but `clock` itself.

pub mod address;
pub mod breaker;
pub mod budget;
pub mod caller;
pub mod channel;
pub mod clock;
pub mod content;
pub mod customer;
pub mod decision;
pub mod draft;
pub mod filter;
pub mod hex;
pub mod hold;
pub mod id;
pub mod intent;
pub mod locale;
pub mod notification;
pub mod policy;
pub mod pulse;
pub mod quiet_hours;
pub mod rate;
pub mod reason;
pub mod rejection;
pub mod shop;
pub mod sms;
