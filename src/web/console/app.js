// The console: which page is shown, keys, and what stays on screen.

import { fill, h } from './js/dom.js';
import { getJson } from './js/api.js';
import * as feed from './js/feed.js';
import * as strip from './js/strip.js';
import * as help from './js/help.js';
import * as inbox from './js/inbox.js';
import * as activity from './js/activity.js';
import * as notifications from './js/notifications.js';
import * as notification from './js/notification.js';

const main = document.getElementById('main');
const live = document.getElementById('live');
const dialog = document.getElementById('help');
let about = null;
let shown = null;

/** `#/notifications?filter=x` as page and parameters. */
function route() {
  const [path, query = ''] = location.hash.replace(/^#\/?/, '').split('?');
  const [page, id = ''] = path.split('/');
  const params = { id: safely(id), filter: new URLSearchParams(query).get('filter') ?? '' };
  if (page === 'activity') return { name: 'activity', page: activity, params };
  if (page === 'notifications' && params.id) return { name: 'notifications', page: notification, params };
  if (page === 'notifications') return { name: 'notifications', page: notifications, params };
  return { name: 'inbox', page: inbox, params };
}

function safely(text) {
  try { return decodeURIComponent(text); } catch { return ''; }
}

function go() {
  if (location.hash === '#main') return;
  const { name, page, params } = route();
  for (const link of document.querySelectorAll('nav a')) {
    if (link.dataset.page === name) link.setAttribute('aria-current', 'page');
    else link.removeAttribute('aria-current');
  }
  document.body.dataset.page = name;
  if (shown?.page === page && shown.view.update) {
    shown.view.update(params);
    return;
  }
  shown?.view.leave?.();
  fill(main);
  main.scrollTop = 0;
  shown = { page, view: page.enter(main, params, () => about) };
  document.title = `${page.title} · Tidings`;
}

function showLive() {
  const words = { live: 'Live', lost: 'Reconnecting…', connecting: 'Connecting…' };
  const state = feed.current();
  live.className = `live ${state}`;
  fill(live, words[state]);
}

function onKey(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
  const typing = event.target.closest?.('input, textarea, select');
  if (event.key === 'Escape' && typing) event.target.blur();
  if (typing || dialog.open) return;
  const pages = { 1: '#/inbox', 2: '#/activity', 3: '#/notifications' };
  if (event.key === '/') {
    const search = main.querySelector('input[type=search]');
    if (!search) return;
    search.focus();
    search.select();
  } else if (event.key === '?') help.show(dialog, about);
  else if (pages[event.key]) location.hash = pages[event.key];
  else if (!shown?.view.key?.(event.key)) return;
  event.preventDefault();
}

async function learn() {
  try {
    about = await getJson('/api/about');
    const clock = document.getElementById('clock');
    clock.title = about.clock_note || 'The gateway\'s clock';
    if (about.clock_note) clock.before(h('span', { class: 'note' }, about.clock_note));
    shown?.view.about?.();
  } catch { /* the live mark says that it is away */ }
}

window.addEventListener('hashchange', go);
document.addEventListener('keydown', onKey);
document.getElementById('help-button').addEventListener('click', () => help.show(dialog, about));
document.querySelector('.skip').addEventListener('click', (event) => { event.preventDefault(); main.focus(); });
dialog.addEventListener('click', (event) => { if (event.target === dialog) dialog.close(); });
feed.listen((news) => { if (news.kind === 'state') showLive(); });
showLive();
strip.start(document.getElementById('strip'), document.getElementById('clock'));
go();
feed.open();
learn();
