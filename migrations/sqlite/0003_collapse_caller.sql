-- A collapse key is its caller's own: nobody calls off what another has sent.
ALTER TABLE collapse RENAME TO collapse_before;

CREATE TABLE collapse (
    shop TEXT NOT NULL,
    customer TEXT NOT NULL,
    caller TEXT NOT NULL,
    collapse_key TEXT NOT NULL,
    event_time INTEGER NOT NULL,
    notification BLOB NOT NULL,
    PRIMARY KEY (shop, customer, caller, collapse_key)
) STRICT, WITHOUT ROWID;

INSERT INTO collapse (shop, customer, caller, collapse_key, event_time, notification)
SELECT c.shop, c.customer, coalesce(n.caller, h.caller), c.collapse_key, c.event_time, c.notification
FROM collapse_before c LEFT JOIN notification n ON n.id = c.notification LEFT JOIN history h ON h.id = c.notification
WHERE coalesce(n.caller, h.caller) IS NOT NULL;

DROP TABLE collapse_before;
