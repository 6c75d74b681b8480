// Discord's markdown, as much of it as messages use, as nodes. What is not known stays as it was written.

import { h } from './dom.js';

const RULES = [
  [/^```(?:[a-z]*\n)?([^]+?)```/, (m) => h('pre', {}, m[1])],
  [/^`([^`\n]+)`/, (m) => h('code', {}, m[1])],
  [/^\*\*([^]+?)\*\*/, (m) => h('strong', {}, nodes(m[1]))],
  [/^__([^]+?)__/, (m) => h('u', {}, nodes(m[1]))],
  [/^\*([^*\n]+)\*/, (m) => h('em', {}, nodes(m[1]))],
  [/^~~([^]+?)~~/, (m) => h('s', {}, nodes(m[1]))],
  [/^\[([^\]\n]+)\]\((\w+:\/\/[^\s)]+)\)/, (m) => h('span', { class: 'link', title: m[2] }, m[1])],
  [/^<(\w+:\/\/[^\s>]+)>/, (m) => h('span', { class: 'link' }, m[1])],
  [/^https?:\/\/[^\s<>)]+/, (m) => h('span', { class: 'link' }, m[0])],
];

/** The text as nodes. Links are shown and not followed: they are another's words. */
export function nodes(text, limit = 4000) {
  const made = [];
  let plain = '';
  let rest = String(text).slice(0, limit);
  while (rest) {
    const rule = RULES.find(([pattern]) => pattern.test(rest));
    if (rule) {
      if (plain) made.push(plain);
      plain = '';
      const match = rule[0].exec(rest);
      made.push(rule[1](match));
      rest = rest.slice(match[0].length);
    } else {
      const step = /^[^`*_~[<h]+|^[^]/.exec(rest)[0];
      plain += step;
      rest = rest.slice(step.length);
    }
  }
  if (plain) made.push(plain);
  return made;
}
