// Clicks through the pages of a running Nightbell in a real browser. Arguments: the directory of the node modules, the
// page's address, where pictures go, and where those go that the documentation shows, or nothing. Prints one line for each
// thing that is wrong, and nothing when all is well.
import fs from "node:fs";

const [modules, base, pictures, shown] = process.argv.slice(2);
const { chromium } = await import(`${modules}/playwright-core/index.mjs`);
const axe = fs.readFileSync(`${modules}/axe-core/axe.min.js`, "utf8");
fs.mkdirSync(pictures, { recursive: true });
const wrong = [];
const say = (text) => wrong.push(text);
const browser = await chromium.launch({ executablePath: process.env.CHROMIUM, args: ["--no-sandbox"] });

async function open(width, options = {}) {
  const context = await browser.newContext({ viewport: { width, height: 900 }, timezoneId: "Asia/Shanghai", ...options });
  const page = await context.newPage();
  page.setDefaultTimeout(20000);
  page.on("console", (message) => message.type() === "error" && say(`console: ${message.text()}`));
  page.on("pageerror", (error) => say(`script: ${error}`));
  page.on("request", (request) => request.url().startsWith(base) || say(`asks elsewhere: ${request.url()}`));
  page.on("dialog", (dialog) => { say(`a dialog: ${dialog.message()}`); dialog.dismiss(); });
  return { context, page };
}

async function visit(page, path, what) {
  const answer = await page.goto(base + path);
  if (!answer.ok()) say(`${what} ${path}: ${answer.status()}`);
  await measure(page, path, what);
}

// No page is wider than the screen, and none runs out of a box that cuts it.
async function measure(page, path, what) {
  const found = await page.evaluate(() => ({
    over: document.documentElement.scrollWidth - window.innerWidth,
    cut: [...document.querySelectorAll("main .day b, main .chip, main button, main .filters a, .nav a")]
      .filter((it) => it.scrollWidth > it.clientWidth + 1 && it.clientWidth > 0 && !it.classList.contains("taken"))
      .map((it) => it.textContent.trim()),
  }));
  if (found.over > 0) say(`${what} ${path}: ${found.over} px wider than the screen`);
  if (found.cut.length) say(`${what} ${path}: these are cut: ${found.cut.slice(0, 5).join(", ")}`);
}

async function check(page, what) {
  // Not as a script of the page: its policy holds.
  await page.evaluate(axe);
  const found = await page.evaluate(() => window.axe.run(document, { resultTypes: ["violations"] }));
  for (const it of found.violations.filter((it) => ["serious", "critical"].includes(it.impact))) {
    say(`${what}: ${it.id}: ${it.nodes.slice(0, 3).map((node) => `${node.target} (${node.failureSummary})`).join("; ")}`);
  }
}

// What the documentation shows, before anybody has done anything.
const { page: first, context: firstContext } = await open(1440, { locale: "en-US" });
await visit(first, "/alerts", "the list");
const alert = await first.locator(".list .title a").first().getAttribute("href");
await visit(first, "/deliveries", "the list");
const delivery = await first.locator("td a").first().getAttribute("href");
await visit(first, "/jobs", "the list");
const job = await first.locator(".list .title a").first().getAttribute("href");
// What the night has of everything: messages that were rejected, and a digest that was sent.
await visit(first, "/deliveries?state=dead", "the list");
const rejected = first.locator("tr", { hasText: "answered 404" }).locator("a[href^='/deliveries/']");
const letters = await rejected.evaluateAll((all) => all.map((it) => it.getAttribute("href")));
if (letters.length !== 4) say(`${letters.length} messages were rejected`);
await visit(first, "/digests", "the list");
const digest = await first.locator(".list .title a").first().getAttribute("href");
await visit(first, "/alerts", "the list");
const about = (job) => first.locator(".list .title a[href^='/alerts/']", { hasText: job }).first().getAttribute("href");
const over = [await about("load_stock"), await about("sync_dimensions")];
if (shown) {
  for (const [name, path] of [["night", "/"], ["page-alert", alert]]) {
    await first.goto(base + path);
    await first.screenshot({ path: `${shown}/${name}.png` });
  }
}
await firstContext.close();

// Times are on the clock of the browser, whatever the configuration's is.
const { page: zoned, context: zonedContext } = await open(1440, { locale: "en-US", timezoneId: "America/Lima" });
await visit(zoned, alert, "in another zone");
await zoned.locator(".foot", { hasText: "America/Lima (UTC-05:00)" }).waitFor().catch(() => say("the page does not go by the reader's zone"));
await zonedContext.close();

// Every page at three widths, in both themes and languages; and without a script.
const paths = {
  night: "/", folded: "/?hours=48", wall: "/wall", alerts: "/alerts?state=all", suspended: "/alerts?state=suspended", alert,
  jobs: "/jobs", job, explain: "/explain?subject=etl_orders", deliveries: "/deliveries", dead: "/deliveries?state=dead", delivery,
  letter: letters[0], silences: "/silences", digests: "/digests", digest, status: "/status", "sign-in": "/sign-in", missing: "/jobs/warehouse",
};
const looks = [360, 768, 1440].flatMap((width) =>
  ["light", "dark"].flatMap((colorScheme) => ["en-US", "zh-CN"].map((locale) => ({ width, colorScheme, locale }))));
// Without a script a page is the same text in the same boxes: each width is seen in both languages, and each of those in both
// themes, which are colours alone.
const plainLooks = looks.filter(({ width, colorScheme, locale }) => (width !== 768) === ((colorScheme === "light") === (locale === "en-US")));
// Contrast and names are the same at every width: the checker of accessibility looks at each theme and language once.
const checked = ["360 light zh-CN", "360 dark en-US", "1440 light en-US", "1440 dark zh-CN"];
for (const { width, colorScheme, locale } of looks) {
  const { context, page } = await open(width, { colorScheme, locale });
  const look = `${width} ${colorScheme} ${locale}`;
  for (const [name, path] of Object.entries(paths)) {
    const what = `${name} ${look}`;
    if (name === "missing") page.removeAllListeners("console");
    const answer = await page.goto(base + path);
    if (answer.ok() === (name === "missing")) say(`${what}: ${answer.status()}`);
    if (name === "folded") await page.locator("details").evaluateAll((all) => all.forEach((it) => it.setAttribute("open", "")));
    await measure(page, path, look);
    await page.screenshot({ path: `${pictures}/${name}-${width}-${colorScheme}-${locale.slice(0, 2)}.png`, fullPage: true });
    if (checked.includes(look)) await check(page, what);
  }
  await context.close();
}
for (const { width, colorScheme, locale } of plainLooks) {
  const { page, context } = await open(width, { colorScheme, locale, javaScriptEnabled: false });
  const look = `without a script, ${width} ${colorScheme} ${locale}`;
  for (const [name, path] of Object.entries(paths)) {
    if (name === "missing") page.removeAllListeners("console");
    const answer = await page.goto(base + path);
    if (answer.ok() === (name === "missing")) say(`${name} ${look}: ${answer.status()}`);
    if (!(await page.locator("main").innerText()).trim()) say(`${name} ${look}: it is empty`);
    await measure(page, path, look);
  }
  await context.close();
}

// What people do, with a script and without, on a phone, a tablet and a desk: what is on every alert each time, and what is done
// once, to something that is used up by it, with a script and without at one width or another.
const deeds = [
  { width: 360, javaScriptEnabled: true, retry: letters[0] }, { width: 360, javaScriptEnabled: false, drop: letters[1] },
  { width: 768, javaScriptEnabled: true, drop: letters[2] }, { width: 768, javaScriptEnabled: false, retry: letters[3] },
  { width: 1440, javaScriptEnabled: true, close: over[0] }, { width: 1440, javaScriptEnabled: false, close: over[1] },
];
for (const { width, javaScriptEnabled, retry, drop, close } of deeds) {
  const { context, page } = await open(width, { locale: "en-US", javaScriptEnabled });
  const what = `${javaScriptEnabled ? "with" : "without"} a script at ${width}`;
  await visit(page, alert, what);
  await page.fill("#ack-reason", `on it ${what}`);
  await page.click("form[action$='/ack'] button");
  const shown = (text) => page.getByText(text).first().waitFor().catch(() => say(`${what}: ${text} is not shown`));
  await shown(`on it ${what}`);
  await page.click("form[action$='/unack'] button");
  if (await page.locator("form[action$='/unack']").count()) say(`${what}: it is still acknowledged`);
  await page.getByRole("link", { name: "Silence" }).last().click();
  await page.fill("#reason", `deploy ${what}`);
  await page.click("button[value=preview]");
  await shown("Would have hit");
  if (await page.locator("form[action$='/expire']").count()) say(`${what}: a preview makes a silence`);
  await page.click("button[value=make]");
  await shown(`deploy ${what}`);
  await page.click("form[action$='/expire'] button");
  await shown("Nothing is silenced.");
  if (retry) {
    await visit(page, retry, what);
    await page.click("form[action$='/retry'] button");
    await shown("Sent again by");
    const arrived = page.locator(".head .chip.delivered");
    for (let tries = 0; tries < 50 && !(await arrived.count()); tries++) {
      await page.waitForTimeout(200);
      await page.reload();
    }
    if (!(await arrived.count())) say(`${what}: what was sent again is not delivered`);
  }
  if (drop) {
    await visit(page, drop, what);
    await page.fill("#drop-reason", `too late ${what}`);
    await page.click("form[action$='/drop'] button");
    await shown("Given up by");
    await shown(`too late ${what}`);
    if (await page.locator(".head .chip.dead").count()) say(`${what}: what was given up is still a dead letter`);
  }
  if (close) {
    await visit(page, close, what);
    await page.click("details#close summary");
    await page.fill("#close-reason", `planned ${what}`);
    await page.click("form[action$='/close'] button");
    await shown("closed by a person");
    await shown(`planned ${what}`);
  }
  await context.close();
}
// Nobody has to look at what is done.
const { page: done, context: doneContext } = await open(1440, { locale: "en-US" });
await visit(done, "/deliveries?state=dead", "the list");
for (const letter of letters) {
  if (await done.locator(`a[href='${letter}']`).count()) say("what was sent again or given up is still a dead letter");
}
await visit(done, "/alerts", "the list");
for (const closed of over) {
  if (await done.locator(`a[href='${closed}']`).count()) say("what was closed still fires");
}
await doneContext.close();

// A page that is open shows what happens by itself.
const { context, page } = await open(1440, { locale: "en-US" });
await visit(page, alert, "an open page");
const other = await open(1440, { locale: "en-US" });
await visit(other.page, alert, "another page");
await other.page.fill("#ack-reason", "seen from afar");
await other.page.click("form[action$='/ack'] button");
await page.getByText("seen from afar").first().waitFor().catch(() => say("an open page does not show what is new"));
await other.page.click("details#close summary");
await other.page.fill("#close-reason", "planned");
await other.page.click("form[action$='/close'] button");
await other.page.getByText("closed by a person").first().waitFor().catch(() => say("a closed alert is not shown as such"));
await other.context.close();
await context.close();
// A wall that nobody answers says that what it shows is old, and no longer once somebody does.
const wall = await open(1440, { locale: "en-US" });
await wall.page.clock.install();
await visit(wall.page, "/wall", "the wall");
const stale = wall.page.locator("#stale");
await wall.page.clock.runFor(15000);
if (await stale.isVisible()) say("the wall calls itself old while it is fresh");
wall.page.removeAllListeners("console");
await wall.page.route("**/wall", (route) => route.abort());
await wall.page.clock.runFor(60000);
await stale.waitFor({ state: "visible" }).catch(() => say("the wall does not say that it is old"));
await wall.page.unroute("**/wall");
await wall.page.clock.runFor(11000);
await stale.waitFor({ state: "hidden" }).catch(() => say("the wall calls itself old after it was fresh again"));
await wall.context.close();
await browser.close();
console.log(wrong.join("\n"));
