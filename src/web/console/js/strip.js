// The strip with the counts, and the gateway's clock.

import { calm, fill, h } from './dom.js';
import { getJson } from './api.js';
import { listen } from './feed.js';
import { moment } from './time.js';
import { title, tone } from './words.js';

let strip;
let clock;
let samples = [];

function cell(state) {
  const filter = encodeURIComponent(`state = "${state.state}"`);
  const why = state.reasons.map((it) => `${it.count} ${it.reason}: ${it.sentence}`).join('\n');
  return h('a', {
    class: `count tone-${tone(state.state)}${state.count ? '' : ' zero'}`,
    href: `#/notifications?filter=${filter}`,
    title: why || 'None',
    'data-state': state.state,
  }, h('b', {}, state.count.toLocaleString('en')), h('span', {}, title(state.state)));
}

async function refresh() {
  try {
    const overview = await getJson('/api/overview');
    fill(strip, overview.states.map(cell));
    strip.classList.remove('stale');
    samples = [...samples.slice(-1), { there: Date.parse(overview.now), here: performance.now() }];
    tick();
  } catch {
    // The live mark says that the gateway is away; the last counts stay, dimmed.
    strip.classList.add('stale');
  }
}

/** The gateway's time, carried on between two answers at the speed they show. */
function tick() {
  const [first, second] = samples;
  const latest = second ?? first;
  if (!latest) return;
  const speed = second ? (second.there - first.there) / Math.max(1, second.here - first.here) : 1;
  const now = latest.there + (performance.now() - latest.here) * Math.max(0, speed);
  const [, day, time] = /^(.*), (.*)$/.exec(moment(new Date(now).toISOString())) ?? [null, '', ''];
  fill(clock, h('span', { class: 'day' }, day), `${time} UTC`);
}

export function start(stripElement, clockElement) {
  strip = stripElement;
  clock = clockElement;
  const soon = calm(refresh, 1000);
  listen((news) => { if (news.kind !== 'state') soon(); });
  refresh();
  setInterval(refresh, 10_000);
  setInterval(tick, 1000);
}
