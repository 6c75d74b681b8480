-- Times are microseconds since 1970 (UTC), ids are 16 bytes (UUID version 7), words are the domain's spellings.
-- `notification` holds open rows only and is small in bytes: what is asked and what was decided lies in `detail`,
-- variables and attachments in `content`. A settled row moves to `history`; detail, content, messages and attempts
-- stay where they are, keyed by id, and are reached through partial indexes while they are open.

CREATE TABLE meta (
    name TEXT PRIMARY KEY,
    value BLOB NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE request (
    shop TEXT NOT NULL,
    caller TEXT NOT NULL,
    request_id TEXT NOT NULL,
    payload_hash BLOB NOT NULL,
    notification BLOB NOT NULL,
    create_time INTEGER NOT NULL,
    PRIMARY KEY (shop, caller, request_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE notification (
    id BLOB PRIMARY KEY,
    shop TEXT NOT NULL,
    caller TEXT NOT NULL,
    customer TEXT NOT NULL,
    category TEXT NOT NULL,
    topic TEXT NOT NULL,
    template TEXT NOT NULL,
    accepted_bundle TEXT NOT NULL,
    bundle TEXT NOT NULL,
    state TEXT NOT NULL,
    reason TEXT NOT NULL,
    -- What is to be done at due_at: 'plan', 'unknown' (the end of what is held as unknown); NULL: nothing, the messages have their own.
    task TEXT,
    due_at INTEGER,
    expire_time INTEGER NOT NULL,
    event_time INTEGER NOT NULL,
    create_time INTEGER NOT NULL,
    update_time INTEGER NOT NULL,
    collapse_key TEXT NOT NULL,
    cancellation_key TEXT NOT NULL,
    reference TEXT NOT NULL,
    lane TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX notification_due ON notification (task, lane, due_at) WHERE task IS NOT NULL;
CREATE INDEX notification_caller ON notification (shop, caller, id);
CREATE INDEX notification_customer ON notification (shop, customer, caller, id);
CREATE INDEX notification_collapse ON notification (shop, customer, collapse_key) WHERE collapse_key <> '';
CREATE INDEX notification_cancellation ON notification (shop, caller, cancellation_key) WHERE cancellation_key <> '';

-- Ids grow with time, so that old rows are dropped by ranges of the primary key.
CREATE TABLE history (
    id BLOB PRIMARY KEY,
    shop TEXT NOT NULL,
    caller TEXT NOT NULL,
    customer TEXT NOT NULL,
    category TEXT NOT NULL,
    topic TEXT NOT NULL,
    template TEXT NOT NULL,
    accepted_bundle TEXT NOT NULL,
    bundle TEXT NOT NULL,
    state TEXT NOT NULL,
    reason TEXT NOT NULL,
    task TEXT,
    due_at INTEGER,
    expire_time INTEGER NOT NULL,
    event_time INTEGER NOT NULL,
    create_time INTEGER NOT NULL,
    update_time INTEGER NOT NULL,
    collapse_key TEXT NOT NULL,
    cancellation_key TEXT NOT NULL,
    reference TEXT NOT NULL,
    lane TEXT NOT NULL,
    final_time INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX history_caller ON history (shop, caller, id);
CREATE INDEX history_customer ON history (shop, customer, caller, id);
CREATE INDEX history_cancellation ON history (shop, caller, cancellation_key) WHERE cancellation_key <> '';

CREATE TABLE detail (
    notification BLOB PRIMARY KEY,
    intent TEXT NOT NULL,
    decision TEXT
) STRICT, WITHOUT ROWID;

CREATE TABLE content (
    notification BLOB PRIMARY KEY,
    variables TEXT NOT NULL,
    attachments TEXT
) STRICT, WITHOUT ROWID;

CREATE TABLE message (
    id BLOB PRIMARY KEY,
    notification BLOB NOT NULL,
    shop TEXT NOT NULL,
    channel TEXT NOT NULL,
    address TEXT NOT NULL,
    digest TEXT NOT NULL,
    lane TEXT NOT NULL,
    state TEXT NOT NULL,
    fence INTEGER NOT NULL,
    tries INTEGER NOT NULL,
    -- A try ended without an answer: whatever comes later, it may have been sent.
    maybe_sent INTEGER NOT NULL,
    due_at INTEGER NOT NULL,
    provider TEXT NOT NULL,
    provider_message_id TEXT NOT NULL,
    variant TEXT NOT NULL,
    sms_segments INTEGER NOT NULL,
    fallback TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX message_notification ON message (notification);
CREATE INDEX message_ready ON message (channel, lane, due_at) WHERE state = 'queued';
CREATE INDEX message_digest ON message (shop, digest) WHERE state = 'queued';
CREATE INDEX message_sending ON message (state) WHERE state = 'sending';

-- Which notifications a message carries when it carries several; that of a single one stands in its row.
CREATE TABLE member (
    message BLOB NOT NULL,
    notification BLOB NOT NULL,
    PRIMARY KEY (message, notification)
) STRICT, WITHOUT ROWID;

CREATE TABLE attempt (
    message BLOB NOT NULL,
    id BLOB NOT NULL,
    provider TEXT NOT NULL,
    start_time INTEGER NOT NULL,
    end_time INTEGER,
    number INTEGER NOT NULL,
    result TEXT NOT NULL,
    reply TEXT NOT NULL,
    content_hash TEXT NOT NULL,
    PRIMARY KEY (message, id)
) STRICT, WITHOUT ROWID;

CREATE TABLE usage (
    shop TEXT NOT NULL,
    customer TEXT NOT NULL,
    notification BLOB NOT NULL,
    at INTEGER NOT NULL,
    category TEXT NOT NULL,
    topic TEXT NOT NULL,
    template TEXT NOT NULL,
    subject TEXT NOT NULL,
    PRIMARY KEY (shop, customer, notification)
) STRICT, WITHOUT ROWID;

-- The newest notification of each collapse key, also after it has gone out.
CREATE TABLE collapse (
    shop TEXT NOT NULL,
    customer TEXT NOT NULL,
    collapse_key TEXT NOT NULL,
    event_time INTEGER NOT NULL,
    notification BLOB NOT NULL,
    PRIMARY KEY (shop, customer, collapse_key)
) STRICT, WITHOUT ROWID;

-- Kept for ever, so as a keyed hash: a key may name a person. One for the whole shop; the caller is who used it first.
CREATE TABLE once_key (
    shop TEXT NOT NULL,
    digest TEXT NOT NULL,
    caller TEXT NOT NULL,
    notification BLOB NOT NULL,
    PRIMARY KEY (shop, digest)
) STRICT, WITHOUT ROWID;

CREATE TABLE customer (
    shop TEXT NOT NULL,
    id TEXT NOT NULL,
    profile TEXT NOT NULL,
    preferences TEXT NOT NULL,
    revision INTEGER NOT NULL,
    update_time INTEGER NOT NULL,
    PRIMARY KEY (shop, id)
) STRICT, WITHOUT ROWID;

-- Append only: every consent that was ever recorded, with its proof.
CREATE TABLE consent (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT,
    shop TEXT NOT NULL,
    customer TEXT NOT NULL,
    entry TEXT NOT NULL,
    record_time INTEGER NOT NULL
) STRICT;

CREATE INDEX consent_customer ON consent (shop, customer);

CREATE TABLE suppression (
    shop TEXT NOT NULL,
    channel TEXT NOT NULL,
    digest TEXT NOT NULL,
    reason TEXT NOT NULL,
    create_time INTEGER NOT NULL,
    PRIMARY KEY (shop, channel, digest)
) STRICT, WITHOUT ROWID;

CREATE INDEX suppression_time ON suppression (shop, create_time);

CREATE TABLE outcome (
    shop TEXT NOT NULL,
    customer TEXT NOT NULL,
    name TEXT NOT NULL,
    time INTEGER NOT NULL,
    PRIMARY KEY (shop, customer, name)
) STRICT, WITHOUT ROWID;

CREATE TABLE pause (
    shop TEXT NOT NULL,
    kind TEXT NOT NULL,
    value TEXT NOT NULL,
    reason TEXT NOT NULL,
    until INTEGER,
    PRIMARY KEY (shop, kind, value)
) STRICT, WITHOUT ROWID;

CREATE TABLE bundle (
    shop TEXT NOT NULL,
    id TEXT NOT NULL,
    archive BLOB NOT NULL,
    create_time INTEGER NOT NULL,
    PRIMARY KEY (shop, id)
) STRICT;

CREATE TABLE process (
    id BLOB PRIMARY KEY,
    start_time INTEGER NOT NULL,
    heartbeat_time INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE rate_lease (
    provider TEXT NOT NULL,
    process BLOB NOT NULL,
    permits INTEGER NOT NULL,
    until INTEGER NOT NULL,
    PRIMARY KEY (provider, process)
) STRICT, WITHOUT ROWID;

CREATE TABLE event (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT,
    shop TEXT NOT NULL,
    caller TEXT NOT NULL,
    notification BLOB NOT NULL,
    state TEXT NOT NULL,
    reason TEXT NOT NULL,
    time INTEGER NOT NULL
) STRICT;

CREATE INDEX event_caller ON event (shop, caller);

-- How many notifications are in each status, kept with every change: counting a long history would take seconds.
CREATE TABLE tally (
    shop TEXT NOT NULL,
    caller TEXT NOT NULL,
    state TEXT NOT NULL,
    reason TEXT NOT NULL,
    count INTEGER NOT NULL,
    PRIMARY KEY (shop, caller, state, reason)
) STRICT, WITHOUT ROWID;
