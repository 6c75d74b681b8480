// Times as people read them: exact, in the customer's zone where it is known, and always in UTC.

import { h } from './dom.js';

const formats = new Map();
const TIME = { hour: '2-digit', minute: '2-digit', second: '2-digit', hourCycle: 'h23' };
const DAY = { day: '2-digit', month: 'short' };
const PARTS = { clock: TIME, minute: { ...TIME, second: undefined }, day: DAY, full: { weekday: 'short', ...DAY, ...TIME } };

function format(zone, kind) {
  const key = `${kind} ${zone}`;
  if (!formats.has(key)) {
    let made = null;
    try {
      made = new Intl.DateTimeFormat('en-GB', { timeZone: zone, ...PARTS[kind] });
    } catch { /* a zone that this browser does not know */ }
    formats.set(key, made);
  }
  return formats.get(key);
}

function words(iso, zone, kind) {
  const date = new Date(iso);
  if (Number.isNaN(date.getTime())) return null;
  return format(zone, kind)?.format(date) ?? null;
}

/** `20:30:05` in UTC. */
export const clock = (iso) => words(iso, 'UTC', 'clock') ?? '';

/** `Sun, 22 Nov, 20:30:05` in UTC. */
export const moment = (iso) => words(iso, 'UTC', 'full') ?? '';

/** `22 Nov` small and the time in UTC, to the second or the minute, for lists. */
export function stamp(iso, kind = 'clock', withDay = true) {
  return h('time', { datetime: iso, title: iso }, withDay && h('span', { class: 'day' }, words(iso, 'UTC', 'day')), words(iso, 'UTC', kind));
}

/** An instant in the customer's zone with UTC beside it; UTC alone when no zone is known. */
export function both(iso, zone) {
  if (!iso) return h('span', { class: 'muted' }, '–');
  if (/^\+?9{4,}/.test(iso)) return h('span', {}, 'never');
  const there = zone && zone !== 'UTC' ? words(iso, zone, 'full') : null;
  if (!there) return h('time', { datetime: iso, title: iso }, `${moment(iso)} UTC`);
  const sameDay = there.slice(0, 7) === moment(iso).slice(0, 7);
  return h('time', { datetime: iso, title: iso }, there, ' ',
    h('span', { class: 'muted' }, `${sameDay ? clock(iso) : moment(iso)} UTC`));
}
