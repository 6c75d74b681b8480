-- Messages that wait behind a provider are ended at their expiry although no worker takes them.
CREATE INDEX notification_expiry ON notification (expire_time) WHERE task IS NULL;
