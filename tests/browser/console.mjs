// Uses the console as a person would, against a running gateway whose shop is sending.
//
//   node console.mjs BASE_URL CHROMIUM NODE_MODULES SCREENSHOT_FOLDER [COMMAND ARGUMENT...]
//
//   node console.mjs --picture FILE BASE_URL CHROMIUM NODE_MODULES
//
// takes the README's picture instead: `make picture`.
//
// The command is run to make news while a page is looked at; without one the shop's own are waited for.
// Exits 0 when every step held. Any error in the browser's console, and any request that went to another host, is a failure.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { createRequire } from 'node:module';
import { join, resolve } from 'node:path';

const words = process.argv.slice(2);
const picture = words[0] === '--picture' ? words.splice(0, 2)[1] : null;
const [base, executablePath, modules, folder, ...makeNews] = words;
const { chromium } = createRequire(join(resolve(modules), 'x.js'))('playwright-core');

// The story of a demo takes a while until every channel has had its turn.
const STORY = 90_000;

const faults = [];
const browser = await chromium.launch({ executablePath, args: ['--no-sandbox'] });

/** A page that remembers what went wrong in it. */
async function open(options) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 800 }, ...options });
  const page = await context.newPage();
  page.setDefaultTimeout(15_000);
  page.on('pageerror', (error) => faults.push(`page: ${error}`));
  page.on('console', (message) => {
    // What a mail wanted to load or run and may not: that is the policy at work.
    const refused = /\/api\/inbox\/[^/]+\/html/.test(message.location().url) || /Content Security Policy/.test(message.text());
    if (message.type() === 'error' && !refused) faults.push(`console: ${message.text()}`);
  });
  const elsewhere = (request) => /^(https?|wss?):/.test(request.url()) && new URL(request.url()).origin !== new URL(base).origin;
  page.on('requestfinished', (request) => { if (elsewhere(request)) faults.push(`went to ${request.url()}`); });
  page.on('requestfailed', (request) => {
    const stopped = /csp|BLOCKED_BY_C/i.test(request.failure()?.errorText ?? '');
    if (elsewhere(request) && !stopped) faults.push(`tried ${request.url()}: ${request.failure()?.errorText}`);
  });
  return page;
}

async function step(name, run) {
  try {
    await run();
    console.log(`ok       ${name}`);
  } catch (error) {
    faults.push(`${name}: ${error.message}`);
    console.log(`FAILED   ${name}`);
  }
}

const shot = (page, name) => page.screenshot({ path: join(folder, `${name}.png`) });
const go = (page, hash) => page.evaluate((to) => { location.hash = to; }, hash);
const newest = (page) => page.locator('.events li[data-sequence]').first().getAttribute('data-sequence').then(Number);
const fits = (page) => page.evaluate(() => document.documentElement.scrollWidth <= innerWidth);

/** Opens the newest message of a channel. */
async function openMessage(page, channel) {
  await go(page, '#/inbox');
  const href = await page.locator(`.mail[data-channel=${channel}]`).first().getAttribute('href', { timeout: STORY });
  await go(page, href);
  await page.waitForSelector(`.message.${channel}`);
}

if (picture) {
  const desk = await open({ viewport: { width: 1120, height: 700 } });
  await desk.goto(`${base}/#/notifications?filter=${encodeURIComponent('state_reason = "BUDGET_EXCEEDED"')}`);
  await desk.locator('.event').first().click({ timeout: STORY });
  await desk.waitForSelector('.trace');
  await desk.locator('#live.live').waitFor();
  await desk.screenshot({ path: picture });
  await browser.close();
  process.exit(faults.length ? 1 : 0);
}

const watcher = await open();
await step('the activity shows what happens', async () => {
  await watcher.goto(`${base}/#/activity`);
  await watcher.locator('.events li[data-sequence]').first().waitFor({ timeout: STORY });
  await watcher.locator('#live.live').waitFor();
});

const page = await open();
await step('the inbox holds mail, SMS and chat', async () => {
  await page.goto(`${base}/`);
  for (const channel of ['email', 'sms', 'chat']) {
    await page.locator(`.mail[data-channel=${channel}]`).first().waitFor({ timeout: STORY });
  }
  await shot(page, 'inbox');
});

await step('a mail is shown as HTML at two widths, as text, source and headers', async () => {
  await openMessage(page, 'email');
  const sandbox = await page.locator('iframe').getAttribute('sandbox');
  assert.doesNotMatch(sandbox, /allow-(scripts|same-origin|forms)/);
  const body = page.frameLocator('iframe').locator('body');
  assert.ok((await body.innerText()).trim().length > 20, 'the mail has words');
  await shot(page, 'mail-desktop');
  await page.locator('.stage').waitFor();
  await page.locator('input[name=width][value=phone]').check({ force: true });
  assert.equal(await page.locator('iframe').evaluate((frame) => frame.clientWidth), 375);
  await shot(page, 'mail-phone');
  await page.locator('input[name=width][value=desktop]').check({ force: true });
  await page.click('#tab-text');
  assert.ok((await page.locator('.plain').innerText()).trim().length > 20, 'the mail has a text part');
  await page.click('#tab-source');
  assert.match(await page.locator('.source').innerText(), /^Content-Type:/im);
  await shot(page, 'mail-source');
  await page.click('#tab-headers');
  assert.match(await page.locator('.headers').innerText(), /Subject/);
  await page.click('#tab-preview');
});

await step('an SMS is a bubble with its segments', async () => {
  await openMessage(page, 'sms');
  assert.ok((await page.locator('.bubble').innerText()).trim().length > 5);
  assert.match(await page.locator('.bubble-size').first().innerText(), /\d+ segments? · (GSM-7|UCS-2)/);
  await shot(page, 'sms');
});

await step('a chat message is shown as in the chat', async () => {
  await openMessage(page, 'chat');
  assert.ok((await page.locator('.chat-text').innerText()).trim().length > 5);
  await shot(page, 'chat');
});

await step('a message leads to why it was sent', async () => {
  await openMessage(page, 'email');
  await page.click('.message .why');
  await page.waitForSelector('.trace');
  const marks = await page.locator('.trace .mark').allInnerTexts();
  assert.ok(marks.length >= 3 && marks.some((mark) => mark.includes('✓')), `marks: ${marks}`);
  assert.match(await page.locator('.outcome').innerText(), /[A-Z_]{4,}/);
  assert.ok(await page.locator('.attempt').count() >= 1, 'an attempt is shown');
  await shot(page, 'notification');
});

await step('a click on a count filters the notifications', async () => {
  await page.locator('.count:not(.zero)').first().click();
  await page.locator('.events .event').first().waitFor();
  assert.match(await page.locator('input[type=search]').inputValue(), /^state = "[A-Z]+"$/);
  await shot(page, 'notifications');
});

await step('keys search, help and pause', async () => {
  await go(page, '#/activity');
  await page.locator('.page.activity').waitFor();
  await page.keyboard.press('?');
  assert.ok(await page.locator('dialog[open]').isVisible());
  await page.keyboard.press('Escape');
  assert.equal(await page.locator('dialog[open]').count(), 0);
  await page.keyboard.press('p');
  assert.equal(await page.locator('button[aria-pressed=true]').count(), 1);
  await page.keyboard.press('p');
  await page.keyboard.press('/');
  await page.keyboard.type('zzz');
  assert.equal(await page.locator('input[type=search]').inputValue(), 'zzz');
  assert.match(await page.locator('main').innerText(), /Nothing matches/);
});

await step('hostile words stay words', async () => {
  const words = '<img src=x onerror="window.ran=1"><script>window.ran=1</script>';
  const victim = await open();
  // The gateway's own answers, with every sentence in them turned into an attack.
  const poison = (value, key) => {
    if (Array.isArray(value)) return value.map((each) => poison(each, key));
    if (value && typeof value === 'object') return Object.fromEntries(Object.entries(value).map(([name, each]) => [name, poison(each, name)]));
    const kept = /^(id|channel|state|kind|outcome|zone|.*_time|.*_at|until|now|time|notification|next)$/;
    return typeof value === 'string' && !kept.test(key) ? words : value;
  };
  await victim.route(/\/api\/(inbox|notifications|overview|about)/, async (route) => {
    const answer = await route.fetch();
    if (!/json/.test(answer.headers()['content-type'] ?? '')) return route.fulfill({ response: answer });
    return route.fulfill({ response: answer, json: poison(await answer.json(), '') });
  });
  await victim.goto(`${base}/#/notifications`);
  await victim.locator('.event').first().click();
  await victim.waitForSelector('.trace');
  assert.ok((await victim.locator('main').innerText()).includes(words));
  for (const channel of ['email', 'sms', 'chat']) {
    await openMessage(victim, channel);
    assert.ok((await victim.locator('main').innerText()).includes(words), channel);
  }
  await victim.keyboard.press('?');
  assert.ok((await victim.locator('dialog').innerText()).includes(words));
  assert.equal(await victim.evaluate(() => window.ran), undefined);
  assert.equal(await victim.locator('main script, main img, dialog img').count(), 0);
  await shot(victim, 'hostile');
});

await step('it fits a phone, in the dark', async () => {
  const phone = await open({ viewport: { width: 375, height: 740 }, colorScheme: 'dark' });
  await phone.goto(`${base}/#/inbox`);
  await phone.locator('.mail').first().waitFor();
  for (const name of ['email', 'sms', 'chat']) {
    await openMessage(phone, name);
    assert.ok(await fits(phone), `${name} is wider than the screen`);
    await shot(phone, `phone-${name}`);
  }
  for (const name of ['activity', 'notifications', 'inbox']) {
    await go(phone, `#/${name}`);
    await phone.locator('main a').first().waitFor();
    assert.ok(await fits(phone), `${name} is wider than the screen`);
    await shot(phone, `phone-${name}`);
  }
  await go(phone, '#/notifications');
  await phone.locator('.event').first().click();
  await phone.waitForSelector('.trace');
  assert.ok(await fits(phone), 'a notification is wider than the screen');
  await shot(phone, 'phone-notification');
});

await step('news arrive by themselves', async () => {
  const begun = await newest(watcher);
  if (makeNews.length) execFileSync(makeNews[0], makeNews.slice(1));
  await watcher.waitForFunction(
    (before) => Number(document.querySelector('.events li[data-sequence]')?.dataset.sequence ?? 0) > before,
    begun, { timeout: STORY },
  );
  await shot(watcher, 'activity');
});

await browser.close();
for (const fault of faults) console.error(fault);
process.exit(faults.length ? 1 : 0);
