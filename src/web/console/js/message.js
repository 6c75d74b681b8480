// One captured message: a mail in its frame, a text as a bubble, a chat message as in the chat.

import { fill, h, icon, notice, trouble } from './dom.js';
import { getJson, getText, part } from './api.js';
import { moment } from './time.js';
import { bytes, channelTag } from './words.js';
import { tabbed } from './tabs.js';
import { nodes } from './chat.js';
import { decoded } from './headers.js';

// The choice of view and width stays from message to message.
const chosen = { tab: 'preview', width: 'desktop' };

/** How much of a source is drawn; all of it can be opened alone. */
const SOURCE_SHOWN = 200_000;

function frame(item) {
  const path = `/api/inbox/${part(item.id)}/html`;
  const view = h('iframe', {
    src: path, title: `The mail “${item.title}” as HTML`, referrerpolicy: 'no-referrer',
    sandbox: 'allow-popups allow-popups-to-escape-sandbox',
  });
  const stage = h('div', { class: `stage ${chosen.width}` }, view);
  const width = (value, label) => h('label', {},
    h('input', {
      type: 'radio', name: 'width', value, checked: chosen.width === value,
      onchange: () => { chosen.width = value; stage.className = `stage ${value}`; },
    }), h('span', {}, label));
  return [
    h('div', { class: 'bar' },
      h('fieldset', { class: 'segments' }, h('legend', { class: 'hidden' }, 'Width'),
        width('phone', 'Phone'), width('desktop', 'Desktop')),
      h('span', { class: 'muted' }, 'Nothing in it can run or load from elsewhere. Links open in a new tab.')),
    stage,
  ];
}

function bubble(item) {
  const { text, segments, encoding, units } = item.content;
  const one = encoding === 'GSM-7' ? 160 : 70;
  const room = segments > 1 ? segments * (encoding === 'GSM-7' ? 153 : 67) : one;
  const kind = encoding === 'GSM-7' ? 'septets' : 'UTF-16 units';
  return h('div', { class: 'handset' },
    h('p', { class: 'bubble-to' }, item.to),
    h('div', { class: 'bubble' }, text),
    h('p', { class: 'bubble-size' },
      h('b', {}, `${segments} segment${segments === 1 ? '' : 's'}`), ` · ${encoding} · ${units} of ${room} ${kind}`),
    encoding === 'UCS-2' && h('p', { class: 'bubble-size' }, 'A character outside of GSM-7 makes segments of 70 instead of 160.'));
}

function chat(item) {
  return h('div', { class: 'chat-message' },
    h('span', { class: 'avatar', 'aria-hidden': 'true' }, 'T'),
    h('div', {},
      h('p', { class: 'chat-head' }, h('b', {}, 'tidings'), h('span', { class: 'bot' }, 'APP'),
        h('span', { class: 'muted' }, moment(item.time))),
      h('div', { class: 'chat-text' }, nodes(item.content.text)),
      h('p', { class: 'bubble-size' }, `${item.content.characters} of 2,000 characters, to ${item.to}`)));
}

function headerTable(item) {
  if (!item.headers.length) return notice('No headers', 'The source has none that can be read.');
  return h('table', { class: 'headers' }, h('tbody', {}, item.headers.map(({ name, value }) => {
    const read = decoded(value);
    return h('tr', {}, h('th', { scope: 'row' }, name), h('td', { title: read === value ? null : value }, read));
  })));
}

function source(panel, item, signal) {
  const path = `/api/inbox/${part(item.id)}/source`;
  const draw = async () => {
    fill(panel, h('p', { class: 'loading' }, 'Loading…'));
    try {
      const text = await getText(path, signal);
      if (panel.dataset.tab !== 'source') return;
      const cut = text.length > SOURCE_SHOWN;
      fill(panel,
        h('div', { class: 'bar' }, h('a', { href: path, target: '_blank', rel: 'noopener' }, 'Open alone'),
          h('span', { class: 'muted' }, `${bytes(item.source_bytes)}${cut ? ', the beginning is shown' : ''}`)),
        h('pre', { class: 'source' }, text.slice(0, SOURCE_SHOWN)));
    } catch (error) {
      if (error.name !== 'AbortError') fill(panel, trouble(error, draw));
    }
  };
  draw();
}

function attachments(item) {
  if (!item.attachments.length) return null;
  return h('ul', { class: 'attachments', 'aria-label': 'Attachments' }, item.attachments.map((it, index) => h('li', {},
    h('a', { href: `/api/inbox/${part(item.id)}/attachments/${index}`, download: it.filename, title: it.media_type },
      icon('clip'), it.filename, h('span', { class: 'muted' }, bytes(it.size))))));
}

function head(item) {
  const { content } = item;
  const from = content.from_address && `${content.from_name} <${content.from_address}>`;
  return h('header', { class: 'letter' },
    h('a', { class: 'back', href: '#/inbox' }, '← Inbox'),
    h('h1', {}, item.channel === 'email' ? item.title || '(no subject)' : `${item.channel === 'sms' ? 'SMS' : 'Chat message'} to ${item.to}`),
    content.preheader && h('p', { class: 'preheader' }, content.preheader),
    h('dl', { class: 'facts' },
      from && [h('dt', {}, 'From'), h('dd', {}, from)],
      h('dt', {}, 'To'), h('dd', {}, item.to),
      h('dt', {}, 'Sent'), h('dd', {}, h('time', { datetime: item.time }, `${moment(item.time)} UTC`), ' by ', channelTag(item.channel)),
      h('dt', {}, 'Template'), h('dd', {}, h('code', {}, item.template)),
      content.unsubscribe_url && [h('dt', {}, 'One-click'), h('dd', {}, h('code', {}, content.unsubscribe_url))]),
    item.notification && h('a', { class: 'why', href: `#/notifications/${part(item.notification)}` }, 'Why was this sent?'),
    attachments(item));
}

function views(item, signal) {
  const text = ['text', 'Text', (panel) => fill(panel, h('pre', { class: 'plain' }, item.content.text || '(no text part)'))];
  const raw = ['source', 'Source', (panel) => source(panel, item, signal)];
  if (item.channel === 'email') {
    return [
      ['preview', 'HTML', (panel) => fill(panel, frame(item))], text, raw,
      ['headers', 'Headers', (panel) => fill(panel, headerTable(item))],
    ];
  }
  return [['preview', 'Preview', (panel) => fill(panel, item.channel === 'sms' ? bubble(item) : chat(item))], text, raw];
}

/** Shows a message in `reader`; returns how to leave it. */
export function showMessage(reader, id) {
  const leaving = new AbortController();
  const draw = async () => {
    fill(reader, h('p', { class: 'loading' }, 'Loading…'));
    try {
      const item = await getJson(`/api/inbox/${part(id)}`, leaving.signal);
      const { list, panel } = tabbed('Views of the message', views(item, leaving.signal), chosen.tab, (key) => { chosen.tab = key; });
      fill(reader, h('article', { class: `message ${item.channel}` }, head(item), list, panel));
      reader.scrollTop = 0;
    } catch (error) {
      if (error.name === 'AbortError') return;
      fill(reader, h('a', { class: 'back', href: '#/inbox' }, '← Inbox'), trouble(error, error.status === 404 ? null : draw));
    }
  };
  draw();
  return () => leaving.abort();
}
