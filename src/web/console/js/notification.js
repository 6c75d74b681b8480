// One notification: where it is and why, how it came to that, and what was tried.

import { calm, fill, h, trouble } from './dom.js';
import { getJson, part } from './api.js';
import { listen } from './feed.js';
import { both } from './time.js';
import { badge, channelName, channelTag, customerName, title as titled, tone } from './words.js';

export const title = 'Notification';

const MARKS = {
  pass: ['✓', 'passed'], skip_channel: ['✗', 'one channel fell'], delay: ['…', 'has to wait'], stop: ['✗', 'ends here'],
};

const RESULT_TONES = { ok: 'ok', transient: 'wait', throttled: 'wait', unknown: 'wait', sending: 'flow', permanent: 'bad' };
const MESSAGE_TONES = { queued: 'wait', sending: 'flow', sent: 'ok', delivered: 'ok', bounced: 'bad', undeliverable: 'bad', cancelled: 'off', unknown: 'wait' };

const facts = (...pairs) => h('dl', { class: 'facts' }, pairs.filter(([, value]) => value !== null && value !== '' && value !== undefined)
  .map(([name, value]) => [h('dt', {}, name), h('dd', {}, value)]));

const code = (text) => (text ? h('code', {}, text) : null);

function verdict(decision, zone) {
  const { verdict: it } = decision;
  if (it.kind === 'send') {
    const then = it.then.length ? `, then ${it.then.map(channelName).join(', ')} if that fails for good` : '';
    const variant = it.variant ? `, variant ${it.variant}` : '';
    return ['Send by ', it.channels.map(channelName).join(' and '), then, variant, '.'];
  }
  if (it.kind === 'hold') return ['Hold until ', both(it.until, zone), ': ', it.sentence];
  return [titled(it.state), ': ', it.sentence];
}

const plain = (it) => (typeof it === 'object' && it !== null ? JSON.stringify(it) : String(it));

/** A fact of a rule: a list has a line for each entry. */
function fact(it) {
  const line = (each) => (typeof each === 'object' && each !== null && !Array.isArray(each)
    ? Object.entries(each).map(([name, value]) => `${name}: ${plain(value)}`).join(' · ') : plain(each));
  return Array.isArray(it) ? it.map((each) => h('p', {}, line(each))) : line(it);
}

function evidence(step, opened) {
  const entries = Object.entries(step.evidence ?? {});
  if (!entries.length) return null;
  return h('details', { 'data-rule': step.rule, open: opened.has(step.rule) }, h('summary', {}, 'Evidence'),
    h('dl', { class: 'facts' }, entries.map(([name, it]) => [h('dt', {}, name), h('dd', {}, fact(it))])));
}

function trace(decision, zone, opened) {
  if (!decision) return h('p', { class: 'muted' }, 'It has not been decided yet.');
  return [
    h('ol', { class: 'trace' }, decision.steps.map((step) => {
      const [mark, words] = MARKS[step.outcome] ?? ['?', step.outcome];
      return h('li', { class: `step ${step.outcome}` },
        h('span', { class: 'mark', title: words }, h('span', { 'aria-hidden': 'true' }, mark), h('span', { class: 'hidden' }, words)),
        h('span', { class: 'rule' }, step.rule),
        h('div', { class: 'said' }, step.summary, step.reason && [' ', h('code', { class: 'reason' }, step.reason)], evidence(step, opened)));
    })),
    h('p', { class: 'verdict' }, verdict(decision, zone)),
    h('p', { class: 'muted' }, 'Decided ', both(decision.time, zone), ' under policy ', code(decision.policy_version)),
  ];
}

function attempt(it, zone) {
  return h('li', { class: 'attempt' },
    h('span', { class: `state tone-${RESULT_TONES[it.result] ?? 'off'}` }, titled(it.result)),
    h('div', {},
      h('p', {}, h('b', {}, `Try ${it.number}`), ' by ', it.provider, ' · ', both(it.start_time, zone),
        it.took_ms !== null && h('span', { class: 'muted' }, ` · took ${it.took_ms} ms`)),
      it.reply && h('p', { class: 'reply' }, it.reply),
      it.content_hash && h('p', { class: 'muted hash', title: `SHA-256 of what was sent: ${it.content_hash}` }, `sha256 ${it.content_hash.slice(0, 16)}…`)));
}

function message(it, zone) {
  return h('section', { class: 'card message-card' },
    h('h3', {}, channelTag(it.channel), ' to ', it.to, ' ', h('span', { class: `state tone-${MESSAGE_TONES[it.state] ?? 'off'}` }, titled(it.state))),
    it.captured && h('a', { class: 'why', href: `#/inbox/${part(it.id)}` }, 'Open in the inbox'),
    facts(['Provider', it.provider || 'none yet'], ['Its name for it', code(it.provider_message_id)], ['Tries', String(it.tries)],
      ['Lane', it.lane], ['Variant', it.variant], ['Segments', it.sms_segments ? String(it.sms_segments) : null],
      ['Due', it.state === 'queued' ? both(it.due_at, zone) : null], ['Fallback', it.fallback.map(channelName).join(', ')]),
    it.attempts.length
      ? h('ol', { class: 'attempts' }, it.attempts.map((one) => attempt(one, zone)))
      : h('p', { class: 'muted' }, 'No byte has gone to a provider yet.'));
}

function about(it, zone) {
  const labels = Object.entries(it.labels ?? {}).map(([key, value]) => h('code', { class: 'label' }, `${key}=${value}`));
  const told = !zone ? 'not known; times are in UTC' : it.zone_source === 'caller' ? `${zone} (as the caller told)` : zone;
  return h('section', { class: 'card' }, h('h2', {}, 'What was asked'), facts(
    ['Customer', [customerName(it.customer), it.guest ? h('span', { class: 'muted' }, ' guest') : null]],
    ['Zone', told], ['Locale', it.locale],
    ['Category', `${it.category}, ${it.lane} lane`], ['Topic', it.topic],
    ['Caller', `${it.caller} of ${it.shop}`], ['Reference', it.reference], ['Labels', labels.length ? labels : null],
    ['Accepted', both(it.create_time, zone)], ['Changed', both(it.update_time, zone)],
    ['Not before', it.send_time && both(it.send_time, zone)], ['Never after', both(it.expire_time, zone)],
    ['Next look', it.due_at && both(it.due_at, zone)],
    ['Once key', code(it.once_key)], ['Collapse key', code(it.collapse_key)], ['Cancellation key', code(it.cancellation_key)],
    ['Bundle', code(it.bundle || it.accepted_bundle)], ['Id', code(it.id)]));
}

function whole(it, opened) {
  const { zone } = it;
  return [
    h('header', { class: 'letter' },
      h('a', { class: 'back', href: '#/notifications' }, '← Notifications'),
      h('h1', {}, it.template, h('span', { class: 'muted' }, ' → '), h('span', { title: it.customer }, customerName(it.customer))),
      h('p', { class: `outcome tone-${tone(it.state, it.reason)}` }, badge(it.state, it.reason), h('code', { class: 'reason' }, it.reason), ' ',
        h('span', {}, it.sentence), it.due_at && !it.settled && h('span', { class: 'until' }, ' Until ', both(it.due_at, zone), '.'))),
    h('div', { class: 'columns' },
      h('div', {},
        h('section', { class: 'card' }, h('h2', {}, 'Decision'), trace(it.decision, zone, opened)),
        h('h2', {}, it.messages.length === 1 ? 'Message' : 'Messages'),
        it.messages.length ? it.messages.map((one) => message(one, zone)) : h('p', { class: 'muted' }, 'None was made: nothing is sent unless the decision says so.')),
      about(it, zone)),
  ];
}

export function enter(main, params) {
  let { id } = params;
  let asking = new AbortController();
  const page = h('article', { class: 'page notification' });
  fill(main, page);

  async function load(first) {
    asking.abort();
    asking = new AbortController();
    if (first) fill(page, h('p', { class: 'loading' }, 'Loading…'));
    try {
      const it = await getJson(`/api/notifications/${part(id)}`, asking.signal);
      const opened = new Set([...page.querySelectorAll('details[open]')].map((each) => each.dataset.rule));
      fill(page, whole(it, opened));
    } catch (error) {
      if (error.name === 'AbortError' || (!first && error.status === undefined)) return;
      fill(page, h('a', { class: 'back', href: '#/notifications' }, '← Notifications'), trouble(error, () => load(true)));
    }
  }

  const again = calm(() => load(false), 250);
  const stop = listen((news) => { if (news.kind === 'event' && news.event.id === id) again(); });
  load(true);
  return {
    update(next) { id = next.id; load(true); },
    leave() { stop(); asking.abort(); },
  };
}
