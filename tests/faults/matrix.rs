//! The rows of the fault matrix, as its page lists them. How each is run stands in `rows.rs`, and for those that need no process of
//! their own in `tests/delivery/rows.rs` and `tests/bad_input/strings.rs`; several processes are in `tests/cluster/rows.rs`.

/// A fault and what must hold under it.
pub(crate) struct Row {
    pub(crate) name: &'static str,
    /// A sentence.
    pub(crate) promise: &'static str,
    /// How many make it believable, and what they are called.
    pub(crate) wanted: u64,
    pub(crate) unit: &'static str,
}

pub(crate) const ALL: &[Row] = &[
    Row {
        name: "F1",
        promise: "kill -9 at any moment: nothing acknowledged is lost, nothing is doubled but what was being handed over",
        wanted: 1_000,
        unit: "kills",
    },
    Row {
        name: "F2",
        promise: "kill -9 at each named point: the same",
        wanted: 450,
        unit: "kills",
    },
    Row {
        name: "F6",
        promise: "power cut: whatever was acknowledged is on the disk, and the store is whole",
        wanted: 500,
        unit: "cuts",
    },
    Row {
        name: "F7",
        promise: "no room, a disk that fails, no file handles: a sentence and never a false OK; it stays up and goes on within 5 s after",
        wanted: 800,
        unit: "shortages",
    },
    Row {
        name: "F11",
        promise: "a mail's connection ends or breaks behind any byte, either way: UNKNOWN only after the final dot, else another try",
        wanted: 14_170,
        unit: "cuts",
    },
    Row {
        name: "F12",
        promise: "a provider that hangs or drips: its own messages reach their deadlines, no other channel is slower",
        wanted: 20,
        unit: "trials",
    },
    Row {
        name: "F13",
        promise: "a provider that fails or throttles everybody: left alone after 20 failures, asked once in 30 s, then each message once",
        wanted: 100,
        unit: "trials",
    },
    Row {
        name: "F16",
        promise: "intents that nobody can fill: each ends with its reason, every other one is sent",
        wanted: 1_000,
        unit: "poison",
    },
    Row {
        name: "F17",
        promise: "hand-overs that panic: the process goes on, each costs its message one try",
        wanted: 1_000,
        unit: "panics",
    },
    Row {
        name: "F18",
        promise: "SIGTERM under load with clients that hang: exit 0 within the deadline, nothing lost, nothing left open",
        wanted: 200,
        unit: "stops",
    },
    Row {
        name: "F21",
        promise: "the clock is set by an hour and a day, forward and back: nothing twice, nothing a second early, nothing stands still",
        wanted: 200,
        unit: "steps",
    },
    Row {
        name: "F22",
        promise: "quiet hours end in every zone as Python's zoneinfo says, each minute around each change of its clock, 2026 to 2030",
        wanted: 590,
        unit: "zones",
    },
    Row {
        name: "F23",
        promise: "killed for want of memory: nothing acknowledged is lost",
        wanted: 20,
        unit: "kills",
    },
    Row {
        name: "F1x3",
        promise: "kill -9 of one of three replicas over one PostgreSQL and one RabbitMQ: the same as F1",
        wanted: 500,
        unit: "kills",
    },
    Row {
        name: "F3",
        promise: "kill -9 of the broker: intents are taken meanwhile, nothing is lost, nobody is started again",
        wanted: 50,
        unit: "kills",
    },
    Row {
        name: "F4",
        promise: "the broker loses all it had: it is published again from the store",
        wanted: 5,
        unit: "wipes",
    },
    Row {
        name: "F5",
        promise: "kill -9 of the database: nothing is OK meanwhile, nothing is lost, nobody is started again",
        wanted: 50,
        unit: "kills",
    },
    Row {
        name: "F8",
        promise: "a broker short of memory or disk takes nothing in for three minutes: intake goes on in level memory, all is sent after",
        wanted: 4,
        unit: "alarms",
    },
    Row {
        name: "F9",
        promise: "broker, database, mail server or text and chat services stand still: noticed by own deadlines, nobody is stuck, all goes on after",
        wanted: 80,
        unit: "stand-stills",
    },
    Row {
        name: "F10",
        promise: "a cluster of three brokers is parted in seven ways for a minute each: the larger part works on, nothing is lost or doubled",
        wanted: 14,
        unit: "partitions",
    },
    Row {
        name: "F20",
        promise: "a process that is paused until others have taken over sends nothing of that when it goes on",
        wanted: 20,
        unit: "pauses",
    },
    Row {
        name: "F18x3",
        promise: "SIGTERM to one of three replicas under load with clients that hang: exit 0 within the deadline, nothing lost, nothing left open",
        wanted: 20,
        unit: "stops",
    },
    Row {
        name: "F19",
        promise: "three replicas restarted in turn at 200 intents a second: no call fails with three retries, nothing lost, nothing twice",
        wanted: 20,
        unit: "rolls",
    },
    Row {
        name: "F12x3",
        promise: "a mail server that takes 30 s for a reply, seen by three processes: a text's p99 is at most half as long again",
        wanted: 20,
        unit: "trials",
    },
    Row {
        name: "F25",
        promise: "a mail server is back and 20,000 letters wait in three processes: never more than its limit of 50 a second, 80 % of it used",
        wanted: 20,
        unit: "returns",
    },
    Row {
        name: "RATE",
        promise: "three processes share a provider's limit of 50 a second: never more than that and a slice of 200 ms, 95 % of it used",
        wanted: 5,
        unit: "minutes",
    },
    Row {
        name: "LANES",
        promise: "50,000 letters in the bulk lane: p50 and p99 of a delivery notice are less than twice what they are without",
        wanted: 5,
        unit: "trials",
    },
    Row {
        name: "F6pg",
        promise: "power cut of the database: whatever was acknowledged is on its disk, rows and indexes agree",
        wanted: 50,
        unit: "cuts",
    },
    Row {
        name: "F13x3",
        promise: "a mail server that refuses everybody: each of three processes asks once in 30 s, other channels go on, then each mail once",
        wanted: 10,
        unit: "outages",
    },
    Row {
        name: "F21x2",
        promise: "two processes with clocks 90 s ahead and behind, one killed: nothing twice, nothing a second early",
        wanted: 200,
        unit: "orders for later",
    },
    Row {
        name: "F27",
        promise: "jobs with a flipped bit in the broker's queues: aside and counted, or of no effect; all others are sent",
        wanted: 1_000,
        unit: "flips",
    },
    Row {
        name: "AWAY",
        promise: "the broker is away for ten minutes under load: intents are taken, all is sent after",
        wanted: 3,
        unit: "outages",
    },
    Row {
        name: "MIME",
        promise: "strings that try to break out, in every field that reaches a mail: the headers, envelope, parts and lines of any other mail",
        wanted: 1_000_000,
        unit: "strings",
    },
];

pub(crate) fn named(name: &str) -> &'static Row {
    let found = ALL.iter().find(|row| row.name == name);
    found.unwrap_or_else(|| panic!("there is no row {name}"))
}
