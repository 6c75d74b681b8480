//! Delivery through the whole gateway: real providers, a real mail server, doors that keep to the vendors' contracts, and a
//! process that is killed.

#[path = "delivery/arrives.rs"]
mod arrives;
#[path = "support/binary.rs"]
#[expect(dead_code, reason = "shared with tests that use more of it")]
mod binary;
#[path = "delivery/bugs.rs"]
mod bugs;
#[path = "delivery/called_off.rs"]
mod called_off;
#[path = "delivery/cut.rs"]
mod cut;
#[path = "delivery/failing.rs"]
mod failing;
#[path = "support/fault_proxy.rs"]
#[expect(dead_code, reason = "shared with tests that use more of it")]
mod fault_proxy;
#[path = "support/gateway.rs"]
#[expect(dead_code, reason = "shared with tests that use more of it")]
mod gateway;
#[path = "support/http_fake.rs"]
#[expect(dead_code, reason = "shared with tests that use more of it")]
mod http_fake;
#[path = "delivery/limits.rs"]
mod limits;
#[path = "support/mail_server.rs"]
#[expect(dead_code, reason = "shared with tests that use more of it")]
mod mail_server;
#[path = "faults/matrix.rs"]
mod matrix;
#[path = "delivery/poison.rs"]
mod poison;
#[path = "delivery/post_office.rs"]
mod post_office;
#[path = "support/program.rs"]
#[expect(dead_code, reason = "shared with tests that use more of it")]
mod program;
#[path = "faults/report.rs"]
#[expect(dead_code, reason = "shared with tests that use more of it")]
mod report;
#[path = "delivery/restarts.rs"]
mod restarts;
#[path = "delivery/retries.rs"]
mod retries;
#[path = "delivery/rows.rs"]
mod rows;
#[path = "delivery/shop.rs"]
mod shop;
#[path = "support/skip.rs"]
mod skip;
#[path = "delivery/slow.rs"]
mod slow;
#[path = "delivery/templates.rs"]
mod templates;
#[path = "delivery/unknown.rs"]
mod unknown;
#[path = "support/vendor_fakes.rs"]
mod vendor_fakes;
