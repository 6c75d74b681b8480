// Every accepted intent, newest first, by filter.

import { fill, h, notice, trouble } from './dom.js';
import { getJson } from './api.js';
import { stamp } from './time.js';
import { badge, channelName, customerName, reasonCode } from './words.js';

export const title = 'Notifications';

const EXAMPLES = ['state = "SCHEDULED"', 'state_reason = "BUDGET_EXCEEDED"', 'category = "transactional" AND channel = "sms"'];

const place = (filter) => `#/notifications${filter ? `?filter=${encodeURIComponent(filter)}` : ''}`;

function row(item) {
  const channels = [...new Set(item.channels)].map(channelName).join(', ');
  return h('li', {}, h('a', { class: 'event', href: `#/notifications/${encodeURIComponent(item.id)}` },
    stamp(item.create_time), badge(item.state, item.reason),
    h('span', { class: 'what' }, item.template),
    h('span', { class: 'whom' }, customerName(item.customer)),
    reasonCode(item.reason, item.sentence),
    h('span', { class: 'sentence' }, channels ? `${channels}. ${item.sentence}` : item.sentence)));
}

export function enter(main, params) {
  let filter = params.filter;
  let items = [];
  let asking = new AbortController();
  const list = h('ol', { class: 'events', 'aria-label': 'Notifications, newest first' });
  const more = h('div', { class: 'more' });
  const field = h('input', {
    type: 'search', value: filter, placeholder: 'Filter: state = "SCHEDULED" AND category = "marketing"',
    'aria-label': 'Filter', spellcheck: 'false', autocomplete: 'off', autocapitalize: 'off',
  });
  const form = h('form', {
    class: 'tools', role: 'search',
    onsubmit: (event) => { event.preventDefault(); apply(field.value.trim()); },
  }, field, h('button', { type: 'submit' }, 'Filter'),
  h('p', { class: 'hints' }, EXAMPLES.map((text) => h('a', { href: place(text) }, h('code', {}, text)))));
  fill(main, h('div', { class: 'page notifications' }, form, list, more));

  function apply(next) {
    if (next === filter) load();
    else location.hash = place(next);
  }

  function empty() {
    if (filter) return notice('Nothing matches this filter', ['Fields: customer_id, template, state, state_reason, channel, category, reference, labels.<key>, create_time. ', h('a', { href: place('') }, 'Show all')]);
    return notice('Nothing has been accepted yet', ['Send something: ', h('code', { class: 'command' }, 'tidings send order.confirmation --to you@shop.example --data order.json')]);
  }

  async function load(before = '') {
    asking.abort();
    asking = new AbortController();
    const { signal } = asking;
    if (!before) { items = []; fill(list, h('li', { class: 'loading' }, 'Loading…')); }
    fill(more);
    const query = new URLSearchParams({ filter, before });
    try {
      const page = await getJson(`/api/notifications?${query}`, signal);
      items.push(...page.items);
      fill(list, items.length ? items.map(row) : h('li', {}, empty()));
      if (page.next) fill(more, h('button', { type: 'button', onclick: () => load(page.next) }, 'Older'));
    } catch (error) {
      if (error.name === 'AbortError') return;
      if (before) fill(more, trouble(error, () => load(before)));
      else fill(list, h('li', {}, trouble(error, () => load())));
    }
  }

  load();
  return {
    update(next) { filter = next.filter; field.value = filter; load(); },
    leave() { asking.abort(); },
  };
}
