//! Bad input through the real doors: gRPC from a client that shares no code with the gateway, files and settings of the program,
//! and what arrives at the far end. `docs/bad-input.md` is the table of it; each test names its rows.

#[path = "support/binary.rs"]
#[expect(dead_code, reason = "shared with tests that use more of it")]
mod binary;
#[path = "bad_input/channels.rs"]
mod channels;
#[path = "bad_input/content.rs"]
mod content;
#[path = "bad_input/frames.rs"]
mod frames;
#[path = "support/gateway.rs"]
#[expect(dead_code, reason = "shared with tests that use more of it")]
mod gateway;
#[path = "bad_input/hostile.rs"]
mod hostile;
#[path = "support/http_fake.rs"]
#[expect(dead_code, reason = "shared with tests that use more of it")]
mod http_fake;
#[path = "bad_input/intents.rs"]
mod intents;
#[path = "bad_input/letter.rs"]
mod letter;
#[path = "support/mail_parser.rs"]
mod mail_parser;
#[path = "support/mail_server.rs"]
#[expect(dead_code, reason = "shared with tests that use more of it")]
mod mail_server;
#[path = "faults/matrix.rs"]
mod matrix;
#[path = "bad_input/page.rs"]
mod page;
#[path = "bad_input/panics.rs"]
mod panics;
#[path = "support/program.rs"]
#[expect(dead_code, reason = "shared with tests that use more of it")]
mod program;
#[path = "bad_input/recipients.rs"]
mod recipients;
#[path = "bad_input/recorder.rs"]
mod recorder;
#[path = "bad_input/refusals.rs"]
mod refusals;
#[path = "faults/report.rs"]
#[expect(dead_code, reason = "shared with tests that use more of it")]
mod report;
#[path = "bad_input/settings.rs"]
mod settings;
#[path = "delivery/shop.rs"]
#[expect(dead_code, reason = "shared with tests that use more of it")]
mod shop;
#[path = "support/skip.rs"]
mod skip;
#[path = "bad_input/strings.rs"]
mod strings;
#[path = "support/vendor_fakes.rs"]
mod vendor_fakes;
#[path = "bad_input/wire.rs"]
mod wire;
#[path = "bad_input/wrong.rs"]
mod wrong;
