// What is happening now: every change of a state, newest on top.

import { fill, h, notice } from './dom.js';
import * as feed from './feed.js';
import { stamp } from './time.js';
import { badge, customerName, reasonCode, short } from './words.js';

export const title = 'Activity';

function matches(event, search) {
  const text = `${event.template ?? ''} ${event.customer ?? ''} ${event.state} ${event.reason} ${event.id}`.toLowerCase();
  return search.toLowerCase().split(/\s+/).every((word) => text.includes(word));
}

function row(event, fresh) {
  return h('li', { class: fresh ? 'fresh' : null, 'data-sequence': event.sequence }, h('a', { class: 'event', href: `#/notifications/${encodeURIComponent(event.id)}` },
    stamp(event.time), badge(event.state, event.reason),
    h('span', { class: 'what' }, event.template ?? `notification ${short(event.id)}`),
    h('span', { class: 'whom' }, customerName(event.customer)),
    reasonCode(event.reason, event.sentence),
    h('span', { class: 'sentence' }, event.sentence)));
}

export function enter(main) {
  let paused = false;
  let unseen = 0;
  let waiting = [];
  const list = h('ol', { class: 'events', 'aria-label': 'Changes, newest first' });
  const tally = h('p', { class: 'tally', role: 'status' });
  const search = h('input', { type: 'search', placeholder: 'Template, customer, state, reason', 'aria-label': 'Search the activity', oninput: () => drawAll() });
  const button = h('button', { type: 'button', 'aria-pressed': 'false', onclick: () => pause(!paused) }, 'Pause');
  fill(main, h('div', { class: 'page activity' }, h('div', { class: 'tools' }, search, button, tally), list));

  const wanted = (event) => matches(event, search.value);

  function drawAll() {
    const some = feed.rows.filter(wanted);
    fill(list, some.length ? some.map((event) => row(event, false)) : h('li', {}, empty()));
    say(some.length);
  }

  function empty() {
    if (search.value) return notice('Nothing matches', 'Change the search above.');
    if (feed.current() !== 'live') return notice('Not connected', 'The feed goes on by itself as soon as the gateway answers.');
    return notice('Nothing has happened yet', ['Every change of a notification shows up here by itself. Start with ',
      h('code', {}, 'tidings send'), ' or any gRPC client.']);
  }

  function say(count) {
    const held = paused && unseen ? `${unseen} new since the pause. ` : '';
    const cap = feed.rows.length === feed.CAP ? ` The newest ${feed.CAP} are kept.` : '';
    fill(tally, `${held}${count} change${count === 1 ? '' : 's'}.${cap}`);
  }

  /** Adds what has come since the last drawing, in one go. */
  function drawNew() {
    const some = waiting.filter(wanted);
    waiting = [];
    if (!some.length) return;
    list.querySelector('.notice')?.closest('li').remove();
    list.prepend(...some.reverse().map((event) => row(event, true)));
    while (list.children.length > feed.CAP) list.lastElementChild.remove();
    say(list.children.length);
  }

  function pause(on) {
    paused = on;
    button.setAttribute('aria-pressed', String(on));
    fill(button, on ? 'Resume' : 'Pause');
    unseen = 0;
    waiting = [];
    if (on) say(list.querySelectorAll('.event').length);
    else drawAll();
  }

  let timer = null;
  const stop = feed.listen((news) => {
    if (news.kind === 'reset') { waiting = []; if (!paused) drawAll(); return; }
    if (news.kind === 'state' && !feed.rows.length) drawAll();
    if (news.kind !== 'event') return;
    if (paused) { unseen += 1; say(list.querySelectorAll('.event').length); return; }
    waiting.push(news.event);
    if (waiting.length > feed.CAP) waiting.shift();
    timer ??= setTimeout(() => { timer = null; drawNew(); }, 120);
  });
  drawAll();
  return {
    update() {},
    key: (key) => { if (key !== 'p') return false; pause(!paused); return true; },
    leave() { stop(); clearTimeout(timer); },
  };
}
