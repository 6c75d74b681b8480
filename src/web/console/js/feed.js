// The live feed: one connection for the whole console, opened again when it breaks, going on where it was.

export const CAP = 500;

const RECENT = 200;
const SLOWEST = 15_000;

/** The latest events, newest first, at most CAP. */
export const rows = [];

let last = null;
let wait = 1000;
let state = 'connecting';
const hearers = new Set();

/** Calls `hear({kind, event?})` for `event`, `reset` and `state`; returns how to stop. */
export function listen(hear) {
  hearers.add(hear);
  return () => hearers.delete(hear);
}

export const current = () => state;

function tell(news) {
  for (const hear of [...hearers]) hear(news);
}

function become(next) {
  if (state === next) return;
  state = next;
  tell({ kind: 'state' });
}

function take(event) {
  // A smaller number than before: another store, whose story begins anew.
  if (last !== null && event.sequence <= last) {
    rows.length = 0;
    tell({ kind: 'reset' });
  }
  last = event.sequence;
  rows.unshift(event);
  if (rows.length > CAP) rows.length = CAP;
  tell({ kind: 'event', event });
}

export function open() {
  const place = last === null ? '' : `&after=${last}`;
  const source = new EventSource(`/api/events?recent=${RECENT}${place}`);
  source.onopen = () => {
    wait = 1000;
    become('live');
  };
  source.onmessage = (message) => {
    try { take(JSON.parse(message.data)); } catch (error) { console.warn('an event that cannot be read', error); }
  };
  source.onerror = () => {
    // The browser would try again by itself, but not after every kind of failure; so it is always done here.
    source.close();
    become('lost');
    setTimeout(open, wait);
    wait = Math.min(wait * 2, SLOWEST);
  };
}
