//! The providers against real sockets: a real mail server, a hostile one, and HTTP doors that keep to the vendors' contracts.

#[path = "provider/contract.rs"]
mod contract;
#[path = "provider/discord.rs"]
mod discord;
#[path = "support/http_fake.rs"]
mod http_fake;
#[path = "support/mail_server.rs"]
mod mail_server;
#[path = "provider/mime.rs"]
mod mime;
#[path = "provider/outbox.rs"]
mod outbox;
#[path = "support/outgoing.rs"]
mod outgoing;
#[path = "support/prism.rs"]
mod prism;
#[path = "support/skip.rs"]
mod skip;
#[path = "provider/smtp_hostile.rs"]
mod smtp_hostile;
#[path = "provider/smtp_real.rs"]
mod smtp_real;
#[path = "provider/smtp_script.rs"]
mod smtp_script;
#[path = "provider/twilio.rs"]
mod twilio;
#[path = "support/vendor_fakes.rs"]
mod vendor_fakes;
