// The inbox: every message that an outbox provider has taken, as the customer would see it.

import { calm, fill, h, icon, notice, trouble } from './dom.js';
import { getJson } from './api.js';
import { listen } from './feed.js';
import { stamp } from './time.js';
import { channelName } from './words.js';
import { showMessage } from './message.js';

export const title = 'Inbox';

// What a person has chosen stays chosen while they look elsewhere.
const chosen = { channel: '', search: '' };

function empty(about) {
  if (chosen.channel || chosen.search) {
    return notice('Nothing matches', 'Change the search or the channel above.');
  }
  const where = about ? h('code', {}, about.grpc_address) : 'its address';
  return notice('Nothing has been sent yet',
    ['Send something: ', h('code', { class: 'command' }, 'tidings send order.confirmation --to you@shop.example --data order.json'),
      'or call ', h('code', {}, 'SendNotification'), ' at ', where, '.'],
    'Messages appear here for every channel whose provider is the outbox. What was accepted and not sent is under Notifications.');
}

/** A line of the list: marks of the chat's markdown are left out, the day is told where it changes. */
function row(item, selected, newest) {
  const subject = item.channel === 'chat' ? item.title.replace(/\*\*|__|~~|`/g, '') : item.title;
  const sameDay = item.time.slice(0, 10) === newest.time.slice(0, 10);
  return h('li', {}, h('a', {
    class: 'mail', href: `#/inbox/${encodeURIComponent(item.id)}`, 'data-id': item.id, 'data-channel': item.channel,
    'aria-current': item.id === selected ? 'true' : null,
  },
  icon(item.channel), h('span', { class: 'hidden' }, `${channelName(item.channel)}: `),
  h('span', { class: 'subject' }, subject || '(no subject)'), stamp(item.time, 'minute', !sameDay),
  h('span', { class: 'second' }, h('span', { class: 'who' }, item.to), h('span', { class: 'from-template' }, item.template))));
}

function matches(item) {
  const words = chosen.search.toLowerCase().split(/\s+/).filter(Boolean);
  const text = `${item.title} ${item.to} ${item.template}`.toLowerCase();
  return (!chosen.channel || item.channel === chosen.channel) && words.every((word) => text.includes(word));
}

function channelFilter(onChange) {
  const option = (value, label) => h('label', {},
    h('input', { type: 'radio', name: 'channel', value, checked: chosen.channel === value, onchange: () => { chosen.channel = value; onChange(); } }),
    h('span', {}, label));
  return h('fieldset', { class: 'segments' }, h('legend', { class: 'hidden' }, 'Channel'),
    option('', 'All'), option('email', 'Mail'), option('sms', 'SMS'), option('chat', 'Chat'));
}

export function enter(main, params, about) {
  let items = null;
  let failure = null;
  let limit = Infinity;
  let id = params.id;
  let leaveMessage = null;
  let gone = false;
  let offered = false;
  const list = h('ul', { class: 'mails', 'aria-label': 'Messages, newest first' });
  const tally = h('p', { class: 'tally', role: 'status' });
  const reader = h('section', { class: 'reader', 'aria-label': 'Message' });
  const search = h('input', {
    type: 'search', placeholder: 'Search subject, address, template', 'aria-label': 'Search the inbox',
    oninput: () => { chosen.search = search.value; draw(); },
  });
  search.value = chosen.search;
  const page = h('div', { class: 'inbox' },
    h('aside', { class: 'list' }, h('div', { class: 'tools' }, search, channelFilter(() => draw())), list, tally), reader);
  fill(main, page);

  const visible = () => (items ?? []).filter(matches);

  function draw() {
    if (failure && !items) { fill(list, h('li', {}, trouble(failure, load))); return; }
    if (!items) { fill(list, h('li', { class: 'loading' }, 'Loading…')); return; }
    const some = visible();
    const focused = document.activeElement?.closest?.('.mail')?.dataset.id;
    fill(list, some.length ? some.map((item) => row(item, id, items[0])) : h('li', {}, empty(about())));
    if (focused) mark(focused)?.focus({ preventScroll: true });
    const more = items.length >= limit ? ` The newest ${limit} are listed.` : '';
    fill(tally, some.length ? `${some.length} message${some.length === 1 ? '' : 's'}.${more}` : '');
  }

  const mark = (wanted) => [...list.querySelectorAll('.mail')].find((link) => link.dataset.id === wanted);

  async function load() {
    try {
      const answer = await getJson('/api/inbox');
      ({ items, limit } = answer);
      failure = null;
      if (gone) return;
      draw();
      if (!id) offer();
    } catch (error) {
      failure = error;
      if (!gone) draw();
    }
  }

  /** Opens the newest message for somebody who has just come, where there is room beside the list. */
  function offer() {
    if (!offered && items.length && matchMedia('(min-width: 761px)').matches) {
      location.replace(`#/inbox/${encodeURIComponent(items[0].id)}`);
    } else if (!reader.firstChild) showReader();
    offered = items.length > 0;
  }

  function showReader() {
    leaveMessage?.();
    leaveMessage = null;
    page.classList.toggle('reading', Boolean(id));
    if (id) leaveMessage = showMessage(reader, id);
    else fill(reader, items?.length ? notice('Choose a message', 'j and k go through them, / searches.') : null);
  }

  function step(by) {
    const some = visible();
    const at = some.findIndex((item) => item.id === id);
    const next = some[at < 0 ? 0 : Math.min(Math.max(at + by, 0), some.length - 1)];
    if (next) location.hash = `#/inbox/${encodeURIComponent(next.id)}`;
    return true;
  }

  const stop = listen((news) => { if (news.kind !== 'state') soon(); });
  const soon = calm(load, 1000);
  draw();
  showReader();
  load();
  return {
    update(next) {
      id = next.id;
      draw();
      showReader();
      mark(id)?.scrollIntoView({ block: 'nearest' });
    },
    about: () => draw(),
    key: (key) => (key === 'j' ? step(1) : key === 'k' ? step(-1) : false),
    leave() { gone = true; stop(); leaveMessage?.(); },
  };
}
