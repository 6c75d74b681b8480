// The gateway's closed words, as the console draws them.

import { h, icon } from './dom.js';

const TONES = {
  ACCEPTED: 'flow', PROCESSING: 'flow', SCHEDULED: 'wait', SENT: 'ok', DELIVERED: 'ok',
  SUPPRESSED: 'off', CANCELLED: 'off', EXPIRED: 'off', FAILED: 'bad',
};

export const title = (word) => {
  const text = String(word).replaceAll('_', ' ').toLowerCase();
  return text.charAt(0).toUpperCase() + text.slice(1);
};

/** The tone of a state; a held unknown is not yet well. */
export const tone = (state, reason) => (reason === 'PROVIDER_UNKNOWN' && state === 'SENT' ? 'wait' : TONES[state] ?? 'off');

/** A state as a dot and a word. */
export function badge(state, reason) {
  return h('span', { class: `state tone-${tone(state, reason)}` }, title(state));
}

/** The reason's code, with its sentence at hand. */
export function reasonCode(reason, sentence) {
  return h('code', { class: 'reason', title: sentence }, reason);
}

const CHANNELS = { email: 'Mail', sms: 'SMS', chat: 'Chat' };

export const channelName = (channel) => CHANNELS[channel] ?? channel;

/** A channel as drawing and word. */
export function channelTag(channel) {
  return h('span', { class: 'channel' }, icon(channel), channelName(channel));
}

/** The first part of an id: enough to tell rows apart. */
export const short = (id) => String(id).slice(-8);

/** A size for people. */
export function bytes(count) {
  if (count < 1000) return `${count} B`;
  if (count < 1_000_000) return `${(count / 1000).toFixed(1)} kB`;
  return `${(count / 1_000_000).toFixed(1)} MB`;
}

/** A guest's pseudonym is long and says nothing; the rest is shown as it is. */
export const customerName = (id) => {
  const text = String(id ?? '');
  return text.startsWith('guest:') ? `guest ${text.slice(6, 14)}` : text;
};
