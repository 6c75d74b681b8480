// Making elements. Everything that is shown goes through here as a text node or an attribute that cannot run.

const SVG = 'http://www.w3.org/2000/svg';

/** An element: `h('a', {href, class, onclick}, 'text', otherNode, null)`. Handlers are functions; data is never parsed. */
export function h(tag, props = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(props ?? {})) {
    if (value === null || value === undefined || value === false) continue;
    if (typeof value === 'function') element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? '' : String(value));
  }
  append(element, children);
  return element;
}

function append(element, children) {
  for (const child of children.flat(Infinity)) {
    if (child === null || child === undefined || child === false || child === '') continue;
    element.append(child instanceof Node ? child : document.createTextNode(String(child)));
  }
}

/** Puts these children in place of what was there. */
export function fill(element, ...children) {
  element.replaceChildren();
  append(element, children);
  return element;
}

const SHAPES = {
  email: 'M2 4h12v8.5H2zM2.4 4.6 8 9l5.6-4.4',
  sms: 'M4.5 1.5h7v13h-7zM7 12.4h2',
  chat: 'M2 3h12v8H7.5L4.5 13.6V11H2z',
  clip: 'M11.5 5.5v5a3.5 3.5 0 0 1-7 0v-6a2.3 2.3 0 0 1 4.6 0v5.8a1.1 1.1 0 0 1-2.2 0V5.5',
};

/** A small drawing of a channel; words stand beside it, so it is hidden from readers. */
export function icon(name) {
  const svg = document.createElementNS(SVG, 'svg');
  svg.setAttribute('viewBox', '0 0 16 16');
  svg.setAttribute('class', 'icon');
  svg.setAttribute('aria-hidden', 'true');
  const path = document.createElementNS(SVG, 'path');
  path.setAttribute('d', SHAPES[name] ?? SHAPES.chat);
  svg.append(path);
  return svg;
}

/** What a page shows while it has nothing to show. */
export function notice(title, ...more) {
  return h('div', { class: 'notice' }, h('h2', {}, title), more.map((line) => h('p', {}, line)));
}

/** What went wrong, and a way to try again. */
export function trouble(error, again) {
  return h('div', { class: 'notice bad', role: 'alert' },
    h('h2', {}, 'That did not work'),
    h('p', {}, error.message),
    again && h('p', {}, h('button', { type: 'button', onclick: again }, 'Try again')));
}

/** `call` at most once in `wait` milliseconds, the last wish always fulfilled. */
export function calm(call, wait) {
  let timer = null;
  return () => {
    if (timer !== null) return;
    timer = setTimeout(() => { timer = null; call(); }, wait);
  };
}
