// Walks through pages full of hostile names in a real browser, signed in with a token, and sends a dead letter again. Arguments:
// the directory of the node modules, the page's address, the name, the link by which a message has an alert acknowledged. Prints
// one line for each thing that is wrong.
import fs from "node:fs";

const [modules, base, name, link] = process.argv.slice(2);
const { chromium } = await import(`${modules}/playwright-core/index.mjs`);
const wrong = [];
const say = (text) => wrong.push(text);
const args = ["--no-sandbox", "--host-resolver-rules=MAP bell.test 127.0.0.1"];
const browser = await chromium.launch({ executablePath: process.env.CHROMIUM, args });
let here = "/sign-in";
// By a name and without TLS, Chromium says of the one header that it passes over it.
const expected = /status of 404|Cross-Origin-Opener-Policy header has been ignored/;

async function open(options) {
  const context = await browser.newContext(options);
  const page = await context.newPage();
  page.setDefaultTimeout(20000);
  page.on("console", (message) => message.type() === "error" && !expected.test(message.text()) && say(`${here}: console: ${message.text()}`));
  page.on("pageerror", (error) => say(`${here}: script: ${error}`));
  page.on("request", (request) => request.url().startsWith(base) || say(`${here}: asks elsewhere: ${request.url()}`));
  page.on("dialog", (dialog) => { say(`${here}: a dialog: ${dialog.message()}`); dialog.dismiss(); });
  return { context, page };
}

const { context, page } = await open({ viewport: { width: 360, height: 800 }, locale: "en-US" });
await page.goto(`${base}/alerts/a2`);
if (!page.url().includes("/sign-in")) say(`nobody has to sign in: ${page.url()}`);
await page.fill("input[name=token]", process.env.TOKEN);
await page.click("form button");
if (new URL(page.url()).pathname !== "/alerts/a2") say(`signed in, and led to ${page.url()}`);

const job = encodeURIComponent(name);
for (const path of [
  "/", "/wall", "/alerts?state=all", `/alerts?state=all&job=${job}`, "/alerts/a2", "/alerts/a3", "/jobs", `/jobs/s/${job}`,
  `/explain?subject=${job}`, `/explain?source=s&job=${job}&run=2`, "/deliveries", "/deliveries/d2", `/deliveries?receiver=${job}`,
  "/silences", `/silences?job=${job}&reason=${job}&for=${job}`, "/digests", "/digests/d4", "/status", `/nothing/${job}`,
]) {
  here = path;
  await page.goto(base + path);
  const found = await page.evaluate(() => ({
    live: document.querySelectorAll("img, script:not([src]), [onerror], [style], iframe").length,
    over: document.documentElement.scrollWidth - window.innerWidth,
    links: [...document.querySelectorAll("a[href]")].map((a) => new URL(a.href.baseVal ?? a.href, location.href).protocol).filter((it) => it !== "http:"),
  }));
  if (found.live) say(`${path}: ${found.live} live elements`);
  if (found.over > 0) say(`${path}: ${found.over} px wider than a phone`);
  if (found.links.length) say(`${path}: links of ${found.links}`);
}

// A dead letter, and what a link in a message leads to, are as readable as the rest: to whoever has to use them, at each width,
// in both themes and languages, with and without a script.
const axe = fs.readFileSync(`${modules}/axe-core/axe.min.js`, "utf8");
const storageState = await context.storageState();
const all = [360, 768, 1440].flatMap((width) => ["light", "dark"].flatMap((colorScheme) => ["en-US", "zh-CN"].flatMap((locale) =>
  [true, false].map((javaScriptEnabled) => ({ width, colorScheme, locale, javaScriptEnabled })))));
// Without a script a page is the same text in the same boxes: each width is seen in both languages, and each of those in both
// themes, which are colours alone.
const looks = all.filter(({ width, colorScheme, locale, javaScriptEnabled }) =>
  javaScriptEnabled || (width !== 768) === ((colorScheme === "light") === (locale === "en-US")));
for (const { width, ...look } of looks) {
  const { context: seen, page: one } = await open({ viewport: { width, height: 800 }, storageState, ...look });
  for (const path of ["/deliveries/d2", "/digests/d4", link]) {
    const what = `${path.split("?")[0]} ${width} ${Object.values(look)}`;
    here = what;
    const answer = await one.goto(base + path);
    if (!answer.ok()) say(`${what}: ${answer.status()}`);
    if (!(await one.locator("main").innerText()).trim()) say(`${what}: it is empty`);
    if (await one.evaluate(() => document.documentElement.scrollWidth > window.innerWidth)) say(`${what}: wider than the screen`);
    // Contrast and names are the same in the middle.
    if (!look.javaScriptEnabled || width === 768) continue;
    // Not as a script of the page: its policy holds.
    await one.evaluate(axe);
    const { violations } = await one.evaluate(() => window.axe.run(document, { resultTypes: ["violations"] }));
    for (const it of violations.filter((it) => ["serious", "critical"].includes(it.impact))) {
      say(`${what}: ${it.id}: ${it.nodes.slice(0, 3).map((node) => `${node.target} (${node.failureSummary})`).join("; ")}`);
    }
  }
  await seen.close();
}

// What died is sent again, and what waits is given up; both say who did it.
const shown = (text) => page.getByText(text).first().waitFor().catch(() => say(`${here}: ${text} is not shown`));
here = "/deliveries/d2";
await page.goto(base + here);
await page.click("form[action$='/retry'] button");
await shown("Sent again by responder");
if (await page.locator(".head .chip.dead").count()) say("what was sent again is still dead");
here = "/deliveries/d3";
await page.goto(base + here);
await page.fill("#drop-reason", "too late by now");
await page.click("form[action$='/drop'] button");
await shown("Given up by responder");
await shown("too late by now");
here = "sign-out";
await page.click("form[action='/sign-out'] button");
await page.goto(`${base}/alerts`);
if (!page.url().includes("/sign-in")) say("signing out leaves somebody signed in");
await browser.close();
console.log(wrong.join("\n"));
