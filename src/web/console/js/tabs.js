// Tabs by the pattern of the ARIA guide: arrows move, the panel follows.

import { fill, h } from './dom.js';

/** `tabs` are `[key, label, draw(panel)]`. `first` is the key to begin with, `onChange(key)` hears of each choice. */
export function tabbed(label, tabs, first, onChange) {
  const panel = h('div', { class: 'panel', role: 'tabpanel', id: 'tab-panel', tabindex: 0 });
  const buttons = tabs.map(([key, name, draw]) => h('button', {
    type: 'button', role: 'tab', id: `tab-${key}`, 'aria-controls': 'tab-panel', onclick: () => choose(key, draw),
  }, name));
  const list = h('div', { class: 'tabs', role: 'tablist', 'aria-label': label, onkeydown: move }, buttons);

  function choose(key, draw) {
    for (const button of buttons) {
      const on = button.id === `tab-${key}`;
      button.setAttribute('aria-selected', String(on));
      button.tabIndex = on ? 0 : -1;
    }
    panel.setAttribute('aria-labelledby', `tab-${key}`);
    panel.dataset.tab = key;
    fill(panel);
    draw(panel);
    onChange(key);
  }

  function move(event) {
    const by = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!by) return;
    const at = buttons.indexOf(document.activeElement);
    const next = buttons[(at + by + buttons.length) % buttons.length];
    next.focus();
    next.click();
    event.preventDefault();
  }

  const [key, , draw] = tabs.find(([it]) => it === first) ?? tabs[0];
  choose(key, draw);
  return { list, panel };
}
