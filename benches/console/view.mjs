// What a browser sees of the console: `node view.mjs live ADDRESS` says for each line that comes how the live view is;
// `node view.mjs pages ADDRESS` opens what each line names. Lines are JSON.
import { createInterface } from "node:readline";
import { chromium } from "playwright-core";

const ARGUMENTS = [
  "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
  "--disable-background-networking", "--disable-component-update", "--disable-sync",
];
const [what, address] = process.argv.slice(2);
const say = (value) => process.stdout.write(`${JSON.stringify(value)}\n`);
const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const browser = await chromium.launch({ executablePath: "/usr/bin/chromium", args: ARGUMENTS, handleSIGTERM: false });
process.once("SIGTERM", () => browser.close().then(() => process.exit(1)));
const page = await browser.newPage();
const devtools = await page.context().newCDPSession(page);

/** Of the page: bytes of its heap that are in use, rows, and nodes. */
async function size() {
  await devtools.send("HeapProfiler.collectGarbage");
  const { usedSize } = await devtools.send("Runtime.getHeapUsage");
  const { nodes } = await devtools.send("Memory.getDOMCounters");
  const rows = await page.locator("#tail tbody tr").count();
  return { heap: usedSize, nodes, rows };
}

async function live() {
  await page.goto(address);
  await page.waitForSelector("#tail tbody tr", { state: "attached" });
  // How old the newest row is when a frame with it has been made.
  await page.evaluate(() => {
    window.ages = [];
    const body = document.querySelector("#tail tbody");
    new MutationObserver(() => setTimeout(() => {
      const newest = body.querySelector("[data-field=time]")?.textContent;
      if (!newest) return;
      const now = Date.now();
      const midnight = now - (now % 86_400_000);
      window.ages.push(now - Date.parse(`${new Date(midnight).toISOString().slice(0, 10)}T${newest}Z`));
    })).observe(body, { childList: true });
  });
  for await (const _ of lines) {
    const ages = await page.evaluate(() => window.ages.splice(0));
    const state = await page.locator("#state").textContent();
    say({ ...(await size()), ages, state });
  }
}

/** Milliseconds from the first byte that is sent. */
const times = () => new Promise((done) => {
  new PerformanceObserver((list) => {
    const [of] = performance.getEntriesByType("navigation");
    const largest = list.getEntries().at(-1).startTime;
    setTimeout(() => done([of.responseStart, of.domContentLoadedEventEnd, largest].map((at) => at - of.requestStart)));
  }).observe({ type: "largest-contentful-paint", buffered: true });
});

async function pages() {
  for await (const line of lines) {
    const { path, rules } = JSON.parse(line);
    await page.goto(`${address}${path}`);
    if (rules) {
      await page.locator("textarea[name=rules]").evaluate((area, text) => { area.value = text; }, rules);
      const next = page.waitForNavigation({ waitUntil: "load" });
      await page.locator("form.draft").evaluate((form) => form.requestSubmit());
      await next;
    }
    say(await page.evaluate(times));
  }
}

await (what === "live" ? live() : pages());
await browser.close();
