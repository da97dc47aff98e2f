// Services by doors: what a cell says, what unfolds, and a draft laid over it.
import assert from "node:assert/strict";

import { GARAGE, LOBBY, OFFICE, SERVER_ROOM, fill, go, textOf } from "../harness.mjs";

const begin = async (t) => {
  const page = await t.page();
  await page.goto("/console");
  await go(page, "Services by doors");
  return page;
};

/** The sign of a cell, its changes, and its counts, as the page shows them. */
const cell = async (page, row, column) => {
  const heads = await page.locator("table.matrix thead th").allInnerTexts();
  const place = heads.findIndex((head) => head.trim().startsWith(column));
  assert.ok(place >= 0, `${column} is not among ${heads}`);
  const line = page.locator("table.matrix tbody tr").filter({ has: page.locator("th", { hasText: row }) });
  const found = line.locator("td").nth(place);
  return { sign: await found.evaluate((td) => td.querySelector("a")?.textContent ?? ""), text: await textOf(found) };
};

export const tests = {
  "a cell says who may, and by which rule": async (t) => {
    const page = await begin(t);
    assert.equal((await cell(page, "visitor-desk", "zone:lobby")).sign, "●");
    assert.equal((await cell(page, "visitor-desk", "open-plan office")).sign, "");
    assert.equal((await cell(page, "visitor-desk", "server room")).sign, "✕");
    const row = page.locator("table.matrix tbody tr").filter({ hasText: "visitor-desk" });
    await row.getByRole("link", { name: "✕" }).first().click();
    const told = page.locator(".kinds li:target");
    assert.match(await textOf(told), /^never denied by policy\.csv:\d+$/);
  },

  "what happened there is what the command line counts": async (t) => {
    const page = await begin(t);
    const since = new Date(Date.now() - 30 * 86_400_000).toISOString();
    const stats = t.site.json(["audit", "stats", "audit", "--by", "caller,entrance", "--since", since, "--act", "grant"]);
    const of = (caller, doors) => stats.rows.filter((row) => row.caller === caller && doors.includes(row.entrance_id));
    const sum = (rows, what) => rows.reduce((all, row) => all + row[what], 0);
    for (const [caller, column, doors] of [
      ["visitor-desk", "zone:lobby", [LOBBY, GARAGE]],
      ["visitor-desk", "open-plan office", [OFFICE]],
      ["cleaning-rota", "zone:lobby", [LOBBY, GARAGE]],
    ]) {
      const rows = of(caller, doors);
      const counts = [sum(rows, "allow"), sum(rows, "deny")].filter((count) => count > 0);
      const { sign, text } = await cell(page, caller, column);
      assert.deepEqual(text.replace(sign, "").trim().split(/\s+/).map(Number), counts, `${caller} ${column}`);
    }
  },

  "what happened at doors that no rule names is counted, too": async (t) => {
    const site = t.newSite();
    const rules = site.read("policies/policy.csv").split("\n").filter((line) => !line.includes(SERVER_ROOM));
    site.write("policies/policy.csv", rules.join("\n"));
    const gateway = await t.serve(site);
    const page = await t.page({ base: gateway.admin });
    await page.goto("/console/matrix");
    assert.match(await textOf(page.locator("#others")), /which no rule names: server room\.$/);
    const since = new Date(Date.now() - 30 * 86_400_000).toISOString();
    const stats = site.json(["audit", "stats", "audit", "--by", "caller,entrance", "--since", since, "--act", "grant"]);
    const others = stats.rows.filter((row) => row.caller === "facilities" && row.entrance_id && !rules.join().includes(row.entrance_id));
    assert.ok(others.some((row) => row.entrance_id === SERVER_ROOM && row.deny > 0));
    const [allow, deny] = ["allow", "deny"].map((what) => others.reduce((all, row) => all + row[what], 0));
    const { text } = await cell(page, "facilities", "every other entrance");
    assert.equal(text.replaceAll(" ", ""), `●${allow || ""}${deny}`);
  },

  "a zone unfolds into its doors, and folds again": async (t) => {
    const page = await begin(t);
    const heads = () => page.locator("table.matrix thead th").allInnerTexts();
    const folded = await heads();
    await page.locator("thead th", { hasText: "zone:lobby" }).getByRole("link", { name: "(2)" }).click();
    await page.locator("thead th", { hasText: "garage" }).waitFor();
    const unfolded = await heads();
    assert.equal(unfolded.length, folded.length + 1);
    assert.ok(unfolded.includes("main entrance"));
    await page.getByRole("link", { name: "Fold everything" }).click();
    await page.locator("thead th", { hasText: "zone:lobby" }).waitFor();
    assert.deepEqual(await heads(), folded);
  },

  "it is narrowed to a role and a zone, and unknown ones are refused": async (t) => {
    const page = await begin(t);
    await fill(page, { Role: "role:front-desk", Zone: "zone:lobby" }, "Show");
    assert.deepEqual(await page.locator("table.matrix tbody th").allInnerTexts(), ["visitor-desk"]);
    const { status, text } = await t.gateway.get("/console/matrix?role=role:typo");
    assert.equal(status, 422);
    assert.match(text, /names no `role:typo`/);
  },

  "a draft is laid over it, and what it changes is what diff says": async (t) => {
    const page = await begin(t);
    const rules = `${t.site.read("policies", "policy.csv")}\np, role:front-desk, zone:offices, grant, allow\n`;
    await page.getByText("Lay a draft over it").click();
    await page.getByLabel("Rules").fill(rules);
    await page.getByRole("button", { name: "Show what it changes" }).click();
    await page.locator("td.w").waitFor();
    assert.equal(await page.locator("td.w, td.l").count(), 1);
    assert.equal((await cell(page, "visitor-desk", "open-plan office")).sign, "+●");
    const { text } = await t.gateway.post("/console/diff?format=json", { rules });
    const [only, ...others] = JSON.parse(text).changes;
    assert.deepEqual([only.callers, only.entrances.map((door) => door.id), others], [["visitor-desk"], [OFFICE], []]);

    // It unfolds with the draft, which is sent again.
    await page.locator("thead th", { hasText: "zone:lobby" }).getByRole("button", { name: "(2)" }).click();
    await page.locator("thead th", { hasText: "garage" }).waitFor();
    assert.equal((await cell(page, "visitor-desk", "open-plan office")).sign, "+●");
    assert.equal(await page.locator("td.w, td.l").count(), 1);
  },
};
