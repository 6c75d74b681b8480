// The help: keys, and what this gateway is.

import { fill, h } from './dom.js';

const KEYS = [
  ['/', 'Search'], ['j  k', 'Next and previous message in the inbox'], ['1  2  3', 'Inbox, Activity, Notifications'],
  ['p', 'Pause the live feed'], ['?', 'This help'], ['Esc', 'Close, or leave the search'],
];

export function show(dialog, about) {
  fill(dialog,
    h('h2', { id: 'help-title' }, 'Keys'),
    h('dl', { class: 'keys' }, KEYS.map(([keys, what]) => [
      h('dt', {}, keys.split('  ').map((key) => h('kbd', {}, key))), h('dd', {}, what)])),
    h('h2', {}, 'This gateway'),
    about
      ? h('dl', { class: 'facts' },
        h('dt', {}, 'Version'), h('dd', {}, about.version),
        h('dt', {}, 'gRPC'), h('dd', {}, h('code', {}, about.grpc_address)),
        h('dt', {}, 'Shop'), h('dd', {}, `${about.shop}, caller ${about.caller}`),
        h('dt', {}, 'Clock'), h('dd', {}, about.clock_note || 'The time of day, in UTC.'))
      : h('p', {}, 'It does not answer.'),
    h('form', { method: 'dialog' }, h('button', {}, 'Close')));
  dialog.showModal();
}
