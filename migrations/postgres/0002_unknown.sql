-- What nobody knows the end of is listed by shop, in order of acceptance.
CREATE INDEX notification_unknown ON notification (shop, id) WHERE task = 'unknown';
