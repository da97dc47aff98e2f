// Every page, whatever is on it: those of the navigation, and some filled in.
import assert from "node:assert/strict";

import { fill, go, textOf } from "../harness.mjs";

const KB = 1000;

/** Presses Tab until the focus comes back, and says where it was. */
async function tabThrough(page) {
  const seen = [];
  for (let presses = 0; presses < 400; presses++) {
    await page.keyboard.press("Tab");
    const at = await page.evaluate(() => {
      const element = document.activeElement;
      if (!element || element === document.body) return null;
      element.dataset.reached ??= "0";
      element.dataset.reached = String(Number(element.dataset.reached) + 1);
      const style = getComputedStyle(element);
      const isSeen = style.outlineStyle !== "none" && parseFloat(style.outlineWidth) > 0;
      return { text: element.className || element.name || element.textContent.slice(0, 40), isSeen, times: Number(element.dataset.reached) };
    });
    if (!at || at.times > 1) return seen;
    seen.push(at);
  }
  throw new Error("the focus never comes back");
}

export const tests = {
  "axe finds nothing serious, in light and in dark": async (t) => {
    const page = await t.page();
    const found = [];
    for (const path of t.world.everyPage()) {
      await page.goto(path);
      for (const colorScheme of ["light", "dark"]) {
        await page.emulateMedia({ colorScheme });
        for (const one of await t.audit(page)) found.push(`${path}, ${colorScheme}: ${one}`);
      }
    }
    assert.deepEqual(found, []);
  },

  "axe finds nothing serious in what is refused": async (t) => {
    const page = await t.page({ statuses: [404, 422] });
    for (const path of ["/console/nowhere", "/console/who?entrance=nowhere", "/console/live?decision=maybe"]) {
      await page.goto(path);
      assert.deepEqual(await t.audit(page), [], path);
    }
  },

  "nothing is wider than a telephone": async (t) => {
    const page = await t.page({ width: 390 });
    const wide = [];
    for (const path of t.world.everyPage()) {
      await page.goto(path);
      const [needed, has] = await page.evaluate(() => [document.documentElement.scrollWidth, innerWidth]);
      if (needed > has + 1) wide.push(`${path}: ${needed} of ${has}`);
    }
    assert.deepEqual(wide, []);
  },

  "each has a title, one heading, and a landmark for everything": async (t) => {
    const page = await t.page();
    const titles = new Map();
    for (const path of t.world.pages) {
      await page.goto(path);
      const title = await page.title();
      assert.match(title, / · grantgate$/, path);
      assert.equal(titles.get(title), undefined, `${path} and ${titles.get(title)} have one title`);
      titles.set(title, path);
      assert.equal(await page.locator("h1").count(), 1, path);
      assert.equal(await page.locator("html").getAttribute("lang"), "en", path);
      assert.equal(await page.locator('nav a[aria-current="page"]').count(), 1, path);
    }
  },

  "the keyboard reaches everything": async (t) => {
    const page = await t.page();
    for (const path of t.world.everyPage()) {
      await page.goto(path);
      const seen = await tabThrough(page);
      assert.equal(seen[0]?.text, "skip", `${path}: first`);
      const dark = seen.filter((one) => !one.isSeen).map((one) => one.text);
      assert.deepEqual(dark, [], `${path}: the focus is not seen`);
      const missed = await page.evaluate(() => {
        const all = document.querySelectorAll("a[href], button, input:not([type=hidden]), select, textarea, summary");
        const isThere = (element) => element.checkVisibility() && !element.disabled;
        return [...all].filter((element) => isThere(element) && !element.dataset.reached).map((element) => element.outerHTML.slice(0, 120));
      });
      assert.deepEqual(missed, [], `${path}: never reached`);
      // What scrolls can be scrolled.
      const still = await page.evaluate(() => {
        const scrolls = (element) => element.scrollWidth > element.clientWidth + 1 && ["auto", "scroll"].includes(getComputedStyle(element).overflowX);
        return [...document.querySelectorAll("main *")].filter((element) => scrolls(element) && element.tabIndex < 0 && element.tagName !== "TEXTAREA").map((element) => element.outerHTML.slice(0, 120));
      });
      assert.deepEqual(still, [], `${path}: scrolls by mouse only`);
    }
  },

  "the keyboard alone asks and answers": async (t) => {
    const page = await t.page();
    await page.goto("/console/who");
    await page.keyboard.press("Tab");
    await page.keyboard.press("Enter");
    assert.equal(await page.evaluate(() => document.activeElement.id), "content", "skipped to the content");
    await page.keyboard.press("Tab");
    assert.equal(await page.evaluate(() => document.activeElement.name), "entrance");
    await page.keyboard.type("garage");
    // Chromium's list of suggestions takes the first one.
    await page.keyboard.press("Escape");
    await page.keyboard.press("Enter");
    await page.waitForURL(/entrance=garage/);
    assert.match(await textOf(page.locator("#count")), /^4 services may grant access/);

    await page.goto("/console/verification");
    await page.getByRole("button", { name: "Verify now" }).focus();
    await page.keyboard.press("Enter");
    await page.locator("#result .headline").waitFor();

    await page.goto("/console/diff");
    await page.getByLabel("Rules").focus();
    await page.keyboard.insertText(t.site.read("policies/policy.csv"));
    for (let presses = 0; presses < 5; presses++) {
      await page.keyboard.press("Tab");
      if (await page.evaluate(() => document.activeElement.tagName === "BUTTON")) break;
    }
    await page.keyboard.press("Enter");
    await page.locator("#changes").waitFor();
    assert.equal(await textOf(page.locator("#changes .headline")), "No service gains or loses a door.");
  },

  "every page works without script but the live tail": async (t) => {
    const page = await t.page({ javaScriptEnabled: false, statuses: [422] });
    for (const path of t.world.everyPage()) {
      const answer = await page.goto(path);
      assert.equal(answer.status(), 200, path);
      assert.equal(await page.locator("h1").count(), 1, path);
    }
    await page.goto("/console/live");
    assert.match(await textOf(page.locator("main .notice")), /needs script/);
    assert.equal(await page.locator("#live").isVisible(), false);

    await page.goto("/console");
    await go(page, "Doors of a service");
    await page.locator("main input[name=caller]").fill("visitor-desk");
    await page.getByRole("button", { name: "Show" }).click();
    assert.match(await textOf(page.locator("#count")), /^4 door\(s\) by name/);

    await go(page, "What an edit changes");
    await page.locator("textarea").fill("p, nonsense\n");
    await page.getByRole("button", { name: "Show what it changes" }).click();
    assert.match(await textOf(page.locator("#problems")), /draft:1/);

    await go(page, "Is the log whole?");
    await page.getByRole("button", { name: "Verify now" }).click();
    // It looks again by itself.
    await page.locator("#result .headline").waitFor();
  },

  "pages and what belongs to them are light": async (t) => {
    const overview = await t.gateway.get("/console");
    const assets = [...overview.text.matchAll(/(?:href|src)="(\/console\/assets\/[^"]+)"/g)].map((match) => match[1]);
    assert.equal(assets.length, 3);
    let total = 0;
    for (const asset of assets) {
      const { status, text, headers } = await t.gateway.get(asset);
      assert.equal(status, 200, asset);
      total += Buffer.byteLength(text);
      const known = await t.gateway.get(asset, { headers: { "if-none-match": headers.etag } });
      assert.equal(known.status, 304, asset);
    }
    assert.ok(total <= 40 * KB, `${total} bytes of assets`);
    for (const path of t.world.everyPage()) {
      const { text } = await t.gateway.get(path);
      const bytes = Buffer.byteLength(text);
      assert.ok(bytes <= 100 * KB, `${path} has ${bytes} bytes`);
    }
  },

  "the guards see what they are for": async (t) => {
    const page = await t.page();
    await page.goto("/console");
    assert.deepEqual(t.takeComplaints(), []);
    await page.evaluate(() => {
      try {
        document.body.insertAdjacentHTML("beforeend", "<b>no</b>");
      } catch {
        // What is wanted.
      }
    });
    await page.waitForTimeout(200);
    assert.match(t.takeComplaints().join(), /securitypolicyviolation: require-trusted-types-for/);
    await page.evaluate(() => {
      const image = document.createElement("img");
      image.src = "https://attacker.example/x.png";
      document.body.append(image);
    });
    await page.waitForTimeout(200);
    assert.match(t.takeComplaints().join(), /securitypolicyviolation: img-src/);
    await page.evaluate(() => setTimeout(() => { throw new Error("a fault"); }));
    await page.waitForTimeout(200);
    assert.match(t.takeComplaints().join(), /page error: .*a fault/);
    await page.goto("/console/nowhere");
    assert.match(t.takeComplaints().join(), /status of 404/);
    await page.goto("/metrics");
    assert.match(t.takeComplaints().join(), /content-security-policy: undefined/);
  },
};
