-- Times are microseconds since 1970 (UTC), ids are UUIDs of version 7, words are the domain's spellings: as in the embedded store.
-- `notification` holds open rows only; a settled row moves to `history`. Keys compare by bytes ("C"): quick, and the same on every
-- version of the system's locales.

CREATE TABLE meta (
    name text PRIMARY KEY,
    value bytea NOT NULL
);

CREATE TABLE request (
    shop text COLLATE "C" NOT NULL,
    caller text COLLATE "C" NOT NULL,
    request_id text COLLATE "C" NOT NULL,
    payload_hash bytea NOT NULL,
    notification uuid NOT NULL,
    create_time bigint NOT NULL,
    PRIMARY KEY (shop, caller, request_id)
);

-- One row a customer, for ever: what decides about a customer holds it, so that no two decisions see the same room in a budget.
CREATE TABLE customer_lock (
    shop text COLLATE "C" NOT NULL,
    customer text COLLATE "C" NOT NULL,
    PRIMARY KEY (shop, customer)
);

-- Rows live for minutes and change four times: room in the page for the next version (fillfactor), and a vacuum that comes by the
-- thousand rows, not by the fifth of a backlog of millions. No index on what changes but those that find what is to be done.
CREATE TABLE notification (
    id uuid PRIMARY KEY,
    shop text COLLATE "C" NOT NULL,
    caller text COLLATE "C" NOT NULL,
    customer text COLLATE "C" NOT NULL,
    category text COLLATE "C" NOT NULL,
    topic text NOT NULL,
    template text NOT NULL,
    accepted_bundle text COLLATE "C" NOT NULL,
    bundle text COLLATE "C" NOT NULL,
    state text COLLATE "C" NOT NULL,
    reason text COLLATE "C" NOT NULL,
    -- What is to be done at due_at: 'plan', 'unknown' (the end of what is held as unknown); NULL: nothing, the messages have their own.
    task text COLLATE "C",
    due_at bigint,
    expire_time bigint NOT NULL,
    event_time bigint NOT NULL,
    create_time bigint NOT NULL,
    update_time bigint NOT NULL,
    collapse_key text COLLATE "C" NOT NULL,
    cancellation_key text COLLATE "C" NOT NULL,
    reference text NOT NULL,
    lane text COLLATE "C" NOT NULL
) WITH (fillfactor = 75, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 1000,
        autovacuum_analyze_scale_factor = 0.05, autovacuum_vacuum_cost_delay = 0);

CREATE INDEX notification_due ON notification (task, lane, due_at) WHERE task IS NOT NULL;
-- What says most comes first: on a small table, for which the planner has no numbers yet, two indexes that begin with the shop would
-- look alike, and the wrong one reads the whole shop.
CREATE INDEX notification_caller ON notification (caller, shop, id);
CREATE INDEX notification_customer ON notification (customer, shop, caller, id);
CREATE INDEX notification_collapse ON notification (collapse_key, customer, shop) WHERE collapse_key <> '';
CREATE INDEX notification_cancellation ON notification (cancellation_key, caller, shop) WHERE cancellation_key <> '';
-- Messages that wait behind a provider are ended at their expiry although no worker takes them.
CREATE INDEX notification_expiry ON notification (expire_time) WHERE task IS NULL;

-- One partition a month of ending, made ahead; the last one takes what none was made for, so that nothing is ever refused.
CREATE TABLE history (
    id uuid NOT NULL,
    shop text COLLATE "C" NOT NULL,
    caller text COLLATE "C" NOT NULL,
    customer text COLLATE "C" NOT NULL,
    category text COLLATE "C" NOT NULL,
    topic text NOT NULL,
    template text NOT NULL,
    accepted_bundle text COLLATE "C" NOT NULL,
    bundle text COLLATE "C" NOT NULL,
    state text COLLATE "C" NOT NULL,
    reason text COLLATE "C" NOT NULL,
    task text COLLATE "C",
    due_at bigint,
    expire_time bigint NOT NULL,
    event_time bigint NOT NULL,
    create_time bigint NOT NULL,
    update_time bigint NOT NULL,
    collapse_key text COLLATE "C" NOT NULL,
    cancellation_key text COLLATE "C" NOT NULL,
    reference text NOT NULL,
    lane text COLLATE "C" NOT NULL,
    final_time bigint NOT NULL,
    PRIMARY KEY (id, final_time)
) PARTITION BY RANGE (final_time);

CREATE TABLE history_rest PARTITION OF history DEFAULT;

CREATE INDEX history_caller ON history (caller, shop, id);
CREATE INDEX history_customer ON history (customer, shop, caller, id);
CREATE INDEX history_cancellation ON history (cancellation_key, caller, shop) WHERE cancellation_key <> '';

CREATE TABLE detail (
    notification uuid PRIMARY KEY,
    intent text NOT NULL,
    decision text
) WITH (fillfactor = 90);

CREATE TABLE content (
    notification uuid PRIMARY KEY,
    variables text NOT NULL,
    attachments text
);

-- As `notification`: each row changes at every step of its way.
CREATE TABLE message (
    id uuid PRIMARY KEY,
    notification uuid NOT NULL,
    shop text COLLATE "C" NOT NULL,
    channel text COLLATE "C" NOT NULL,
    address text NOT NULL,
    digest text COLLATE "C" NOT NULL,
    lane text COLLATE "C" NOT NULL,
    state text COLLATE "C" NOT NULL,
    fence bigint NOT NULL,
    tries bigint NOT NULL,
    -- A try ended without an answer: whatever comes later, it may have been sent.
    maybe_sent bigint NOT NULL,
    due_at bigint NOT NULL,
    provider text NOT NULL,
    provider_message_id text NOT NULL,
    variant text NOT NULL,
    sms_segments bigint NOT NULL,
    fallback text NOT NULL,
    -- Who is handing it over, while somebody is.
    process uuid,
    -- When it was given to the queue, by the database's clock; every other change clears it.
    published_at bigint
) WITH (fillfactor = 75, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 1000,
        autovacuum_analyze_scale_factor = 0.05, autovacuum_vacuum_cost_delay = 0);

CREATE INDEX message_notification ON message (notification);
CREATE INDEX message_ready ON message (channel, lane, due_at) WHERE state = 'queued' AND published_at IS NULL;
CREATE INDEX message_published ON message (channel, lane, published_at) WHERE state = 'queued' AND published_at IS NOT NULL;
CREATE INDEX message_digest ON message (digest, shop) WHERE state = 'queued';
CREATE INDEX message_sending ON message (process) WHERE state = 'sending';

-- Which notifications a message carries when it carries several; that of a single one stands in its row.
CREATE TABLE member (
    message uuid NOT NULL,
    notification uuid NOT NULL,
    PRIMARY KEY (message, notification)
);

CREATE TABLE attempt (
    message uuid NOT NULL,
    id uuid NOT NULL,
    provider text NOT NULL,
    start_time bigint NOT NULL,
    end_time bigint,
    number bigint NOT NULL,
    result text COLLATE "C" NOT NULL,
    reply text NOT NULL,
    content_hash text NOT NULL,
    PRIMARY KEY (message, id)
) WITH (fillfactor = 80);

CREATE TABLE usage (
    shop text COLLATE "C" NOT NULL,
    customer text COLLATE "C" NOT NULL,
    notification uuid NOT NULL,
    at bigint NOT NULL,
    category text COLLATE "C" NOT NULL,
    topic text NOT NULL,
    template text NOT NULL,
    subject text NOT NULL,
    PRIMARY KEY (shop, customer, notification)
) WITH (fillfactor = 80);

-- The newest notification of each collapse key, also after it has gone out.
CREATE TABLE collapse (
    shop text COLLATE "C" NOT NULL,
    customer text COLLATE "C" NOT NULL,
    caller text COLLATE "C" NOT NULL,
    collapse_key text COLLATE "C" NOT NULL,
    event_time bigint NOT NULL,
    notification uuid NOT NULL,
    PRIMARY KEY (shop, customer, caller, collapse_key)
) WITH (fillfactor = 80);

-- Kept for ever, so as a keyed hash: a key may name a person. One for the whole shop; the caller is who used it first.
CREATE TABLE once_key (
    shop text COLLATE "C" NOT NULL,
    digest text COLLATE "C" NOT NULL,
    caller text COLLATE "C" NOT NULL,
    notification uuid NOT NULL,
    PRIMARY KEY (shop, digest)
);

CREATE TABLE customer (
    shop text COLLATE "C" NOT NULL,
    id text COLLATE "C" NOT NULL,
    profile text NOT NULL,
    preferences text NOT NULL,
    revision bigint NOT NULL,
    update_time bigint NOT NULL,
    PRIMARY KEY (shop, id)
) WITH (fillfactor = 90);

-- Append only: every consent that was ever recorded, with its proof.
CREATE TABLE consent (
    sequence bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    shop text COLLATE "C" NOT NULL,
    customer text COLLATE "C" NOT NULL,
    entry text NOT NULL,
    record_time bigint NOT NULL
);

CREATE INDEX consent_customer ON consent (shop, customer);

CREATE TABLE suppression (
    shop text COLLATE "C" NOT NULL,
    channel text COLLATE "C" NOT NULL,
    digest text COLLATE "C" NOT NULL,
    reason text NOT NULL,
    create_time bigint NOT NULL,
    PRIMARY KEY (shop, channel, digest)
);

CREATE INDEX suppression_time ON suppression (shop, create_time);

CREATE TABLE outcome (
    shop text COLLATE "C" NOT NULL,
    customer text COLLATE "C" NOT NULL,
    name text COLLATE "C" NOT NULL,
    time bigint NOT NULL,
    PRIMARY KEY (shop, customer, name)
);

CREATE TABLE pause (
    shop text COLLATE "C" NOT NULL,
    kind text COLLATE "C" NOT NULL,
    value text COLLATE "C" NOT NULL,
    reason text NOT NULL,
    until bigint,
    PRIMARY KEY (shop, kind, value)
);

CREATE TABLE bundle (
    shop text COLLATE "C" NOT NULL,
    id text COLLATE "C" NOT NULL,
    archive bytea NOT NULL,
    create_time bigint NOT NULL,
    PRIMARY KEY (shop, id)
);

-- By the database's clock, so that no process's own clock decides who is dead. Few rows that change all the time.
CREATE TABLE process (
    id uuid PRIMARY KEY,
    start_time bigint NOT NULL,
    heartbeat_time bigint NOT NULL
) WITH (fillfactor = 20, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 500);

CREATE TABLE rate_lease (
    provider text COLLATE "C" NOT NULL,
    process uuid NOT NULL,
    permits bigint NOT NULL,
    until bigint NOT NULL,
    PRIMARY KEY (provider, process)
) WITH (fillfactor = 20, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 500);

-- An event's sequence is its transaction's number less the base, times 2^20, plus its place in the transaction: it grows with every
-- transaction, and whoever reads only below the oldest transaction that still runs never skips one. A base below zero keeps it growing
-- where a copy was restored beside a smaller count of transactions.
CREATE TABLE event_base (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    base bigint NOT NULL
);

INSERT INTO event_base (base) VALUES (pg_current_xact_id()::text::bigint - 1);

CREATE TABLE event (
    sequence bigint PRIMARY KEY,
    shop text COLLATE "C" NOT NULL,
    caller text COLLATE "C" NOT NULL,
    notification uuid NOT NULL,
    state text COLLATE "C" NOT NULL,
    reason text COLLATE "C" NOT NULL,
    time bigint NOT NULL
);

CREATE INDEX event_caller ON event (shop, caller, sequence);

-- How many notifications are in each status, kept with every change: counting a long history would take seconds. Each connection
-- writes in a slot of its own, or all would wait for each other here; a slot may hold less than nothing, the sum may not.
CREATE TABLE tally (
    shop text COLLATE "C" NOT NULL,
    caller text COLLATE "C" NOT NULL,
    state text COLLATE "C" NOT NULL,
    reason text COLLATE "C" NOT NULL,
    slot smallint NOT NULL,
    count bigint NOT NULL,
    PRIMARY KEY (shop, caller, state, reason, slot)
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);
