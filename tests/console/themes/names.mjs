// Names that somebody chose to do harm stay text.
import assert from "node:assert/strict";

import { GARAGE, LOBBY } from "../harness.mjs";

const NAME = "<img src=x onerror=alert(1)>";
const WHY = '"><script>alert(2)</script><img src=y onerror=alert(3)>&amp;';

async function hostile(t) {
  const site = t.newSite();
  const names = site.read("policies/entrances.csv").replace(",garage,", `,${NAME},`);
  site.write("policies/entrances.csv", names);
  site.append("policies/policy.csv", `p, role:front-desk, entrance:${GARAGE}, grant, allow\n`);
  const gateway = await t.serve(site);
  gateway.order("freeze", "--entrance", LOBBY, "--reason", WHY);
  assert.equal((await gateway.json("/status")).orders.length, 1);
  return { site, gateway };
}

export const tests = {
  "a door's name and an order's reason stay text on every page": async (t) => {
    const { site, gateway } = await hostile(t);
    const door = new URLSearchParams({ entrance: NAME }).toString();
    await gateway.grant(GARAGE);
    const { id } = await gateway.grant(LOBBY);
    const seq = JSON.parse(site.say(["audit", "query", "audit", "--request-id", id, "--format", "json"]).split("\n")[0]).seq;
    const page = await t.page({ base: gateway.admin });
    page.on("dialog", () => assert.fail("a script ran"));
    const shows = {
      "/console": [WHY],
      "/console/orders": [WHY],
      [`/console/who?${door}`]: [NAME],
      "/console/who?entrance=main+entrance": [WHY],
      "/console/doors?caller=visitor-desk": [NAME, WHY],
      [`/console/what-if?caller=visitor-desk&${door}`]: [NAME],
      "/console/what-if?caller=visitor-desk&entrance=main+entrance": [WHY],
      [`/console/policy?text=${GARAGE}`]: [NAME],
      [`/console/audit?${door}`]: [NAME],
      [`/console/audit/record?seq=${seq}`]: [],
      "/console/audit?event=order.change": [],
      ...Object.fromEntries(t.world.pages.map((path) => [path, path === "/console/orders" || path === "/console" ? [WHY] : []])),
    };
    shows["/console/live"] = [NAME];
    for (const [path, texts] of Object.entries(shows)) {
      await page.goto(path);
      for (const text of texts) {
        const shown = page.locator("main").getByText(text).filter({ visible: true }).first();
        await shown.waitFor({ timeout: 5_000 }).catch(() => assert.fail(`${path} does not show ${text}`));
      }
      assert.equal(await page.locator("img, b, iframe, main script, body script").count(), 0, path);
    }
    // What was typed comes back as text, too.
    const evil = `"><img src=z onerror=alert(4)>`;
    for (const path of t.world.pages) {
      const answer = await gateway.get(`${path}?${new URLSearchParams({ caller: "facilities", entrance: evil, text: evil, at: evil, since: evil, reason: evil, limit: evil, seq: evil, given: evil })}`);
      assert.equal(answer.text.includes("<img"), false, path);
    }
  },

  "a draft with markup stays text": async (t) => {
    const { gateway } = await hostile(t);
    const page = await t.page({ base: gateway.admin, statuses: [422] });
    await page.goto("/console/diff");
    const draft = `</textarea>${NAME}\n`;
    await page.getByLabel("Rules").fill(draft);
    await page.getByRole("button", { name: "Show what it changes" }).click();
    await page.locator("#problems").waitFor();
    assert.equal(await page.locator("img").count(), 0);
    assert.equal(await page.getByLabel("Rules").inputValue(), draft);
    assert.equal(await page.locator("#problems pre").first().innerText(), draft.trim());

    // The doors that a draft gives have their names.
    const rules = t.site.read("policies/policy.csv").replace("p, role:front-desk, zone:lobby,         grant, allow\n", "");
    await page.getByLabel("Rules").fill(rules);
    await page.getByRole("button", { name: "Show what it changes" }).click();
    await page.locator("#changes").waitFor();
    await page.getByRole("link", { name: NAME }).waitFor();
    assert.equal(await page.locator("img").count(), 0);
  },

  "no table for spreadsheets begins a formula": async (t) => {
    const site = t.newSite({ log: false });
    site.write("policies/entrances.csv", site.read("policies/entrances.csv").replace(",garage,", ',"=HYPERLINK(""https://attacker.example"")",'));
    const gateway = await t.serve(site);
    await gateway.grant(GARAGE);
    for (const path of ["/console/doors?caller=visitor-desk&format=csv", "/console/audit?format=csv", `/console/who?entrance=${GARAGE}&format=csv`]) {
      const { text } = await gateway.get(path);
      assert.match(text, /'=HYPERLINK/, path);
      assert.doesNotMatch(text, /(^|[,\n])"?=HYPERLINK/, path);
    }
  },
};
