// What people come for, each clicked from the first page.
import assert from "node:assert/strict";
import { openSync, readSync, closeSync, writeSync, readdirSync } from "node:fs";

import { ACS_USER, LOBBY, OFFICE, PERSON, SERVER_ROOM, fill, go, textOf } from "../harness.mjs";
import { start, stop } from "../processes.mjs";

const DAY = new Date().toISOString().slice(0, 10);

const begin = async (t, options) => {
  const page = await t.page(options);
  await page.goto("/console");
  return page;
};

const sameAs = async (page, gateway) => {
  const link = page.getByRole("link", { name: "JSON", exact: true });
  const { href } = await link.evaluate((element) => ({ href: element.href }));
  return gateway.json(href.slice(gateway.admin.length));
};

export const tests = {
  "who can open the server room tonight": async (t) => {
    const page = await begin(t);
    await go(page, "Who opens a door");
    await fill(page, { Door: "server room", At: `${DAY} 22:00` }, "Show");
    const count = await textOf(page.locator("#count"));
    assert.equal(count, `One service may grant access to this door at ${DAY} 22:00:00 UTC.`);
    const row = page.getByRole("row", { name: /night-crew/ });
    assert.match(await textOf(row), /may policy\.csv:\d+ why$/);
    await row.getByRole("link", { name: "why" }).click();
    await page.locator("#verdict").waitFor();
    assert.match(await textOf(page.locator("#verdict .headline")), /^allow allowed-by-rule$/);

    // At noon nobody may.
    await go(page, "Who opens a door");
    await fill(page, { Door: "server room", At: `${DAY} 12:00` }, "Show");
    assert.match(await textOf(page.locator("#count")), /^No service may/);
    assert.match(await textOf(page.getByRole("row", { name: /night-crew/ })), /may not/);

    // Nor does it matter how long ago or how far away the evening is.
    for (const year of ["2021", "2049"]) {
      await fill(page, { Door: "server room", At: `${year}-05-04 22:00` }, "Show");
      assert.match(await textOf(page.locator("#count")), /^One service may/, year);
    }
  },

  "why was this refused": async (t) => {
    const { status, id } = await t.gateway.grant(SERVER_ROOM);
    assert.equal(status, 403);
    const page = await begin(t);
    await go(page, "Decisions");
    await fill(page, { Decision: "deny" }, "Search");
    const row = page.locator("table.decisions tbody tr").first();
    assert.match(await textOf(row), /visitor-desk server room .* deny denied-by-rule/);
    await row.locator("a.why").click();
    await page.locator("#verdict").waitFor();
    assert.equal(await textOf(page.locator("#verdict .headline")), "deny denied-by-rule");
    assert.match(await textOf(page.locator("main")), /role:staff, entrance:5f0c2a4e-8d6b-4c1f-9a37-2b9e6d1c7f08, grant, deny/);
    const explained = t.site.json(["policy", "explain", "--request", id], [0, 2]);
    assert.deepEqual(await sameAs(page, t.gateway), explained);
  },

  "why was this allowed, where it matters how the person was named": async (t) => {
    const token = t.world.crew;
    const page = await begin(t);
    for (const [who, status, said] of [
      [{ acs_user_id: ACS_USER }, 200, "allow allowed-by-rule"],
      [{ user_identity_id: PERSON }, 403, "deny condition-not-met"],
    ]) {
      const grant = await t.gateway.grant(LOBBY, { token, ...who });
      assert.equal(grant.status, status, grant.text);
      await go(page, "Decisions");
      await page.locator("table.decisions tbody tr").first().locator("a.why").click();
      await page.locator("#verdict").waitFor();
      assert.equal(await textOf(page.locator("#verdict .headline")), said);
      const explained = t.site.json(["policy", "explain", "--request", grant.id], [0, 2]);
      assert.deepEqual(await sameAs(page, t.gateway), explained);
    }
  },

  "why was this refused while a freeze held that is lifted now": async (t) => {
    const site = t.newSite();
    const gateway = await t.serve(site);
    gateway.order("freeze", "--caller", "visitor-desk", "--reason", "a test");
    const { status, id } = await gateway.grant(LOBBY);
    assert.equal(status, 403);
    gateway.order("unfreeze", "1", "--reason", "it is over");
    assert.equal((await gateway.grant(LOBBY)).status, 200);
    const page = await begin(t, { base: gateway.admin });
    await go(page, "Decisions");
    await fill(page, { Reason: "frozen" }, "Search");
    await page.locator("table.decisions tbody tr").first().locator("a.why").click();
    await page.locator("#verdict").waitFor();
    const explained = site.json(["policy", "explain", "--request", id], [0, 2]);
    assert.deepEqual(await sameAs(page, gateway), explained);
    assert.equal(await textOf(page.locator("#verdict .headline")), "deny frozen");
  },

  "what would this edit change": async (t) => {
    const rules = t.site.read("policies/policy.csv");
    const before = await t.gateway.json("/status");
    const page = await begin(t);
    await go(page, "What an edit changes");
    await page.getByLabel("Rules").fill(`${rules}p, role:front-desk, zone:offices, grant, allow\n`);
    await page.getByRole("button", { name: "Show what it changes" }).click();
    await page.locator("#changes").waitFor();
    assert.equal(await textOf(page.locator("#changes .headline")), "More is allowed than before.");
    assert.equal(await page.locator("section.change").count(), 1);
    const change = page.locator("section.change");
    assert.equal(await textOf(change.locator("h2")), "gains grant");
    assert.match(await textOf(change), /visitor-desk .*role:front-desk.*: never → always/);
    const doors = change.locator(".doors li");
    assert.deepEqual(await doors.allInnerTexts(), ["open-plan office"]);
    assert.equal(await doors.locator("a").getAttribute("title"), OFFICE);
    // It opens beside the result, which a browser could show again only by sending the draft again.
    const [beside] = await Promise.all([page.context().waitForEvent("page"), doors.locator("a").click()]);
    await beside.locator("#count").waitFor();
    assert.match(new URL(beside.url()).pathname, /\/console\/who$/);
    await beside.close();
    assert.equal(await textOf(page.locator("#changes .headline")), "More is allowed than before.");
    assert.deepEqual((await t.gateway.json("/status")).policy, before.policy, "in force");
    assert.equal(t.site.read("policies/policy.csv"), rules, "the file");
    assert.equal((await t.gateway.grant(OFFICE)).status, 403, "and what is decided");
  },

  "what is wrong with this edit": async (t) => {
    const rules = t.site.read("policies/policy.csv");
    const line = rules.split("\n").length;
    const page = await begin(t, { statuses: [422] });
    await go(page, "What an edit changes");
    await page.getByLabel("Rules").fill(`${rules}p, role:front-desk, zone:ofices, grant, alow\n`);
    await page.getByRole("button", { name: "Show what it changes" }).click();
    const problems = page.locator("#problems");
    assert.match(await textOf(problems), new RegExp(`draft:${line}:\\d+: `));
    assert.equal(await problems.locator("pre").first().innerText(), "p, role:front-desk, zone:ofices, grant, alow");
    // The draft is still there, to be mended.
    assert.match(await page.getByLabel("Rules").inputValue(), /ofices/);
  },

  "a file that the gateway would not load is no draft": async (t) => {
    const rules = t.site.read("policies/policy.csv");
    const page = await begin(t, { statuses: [422] });
    await go(page, "What an edit changes");
    const file = page.locator("input[type=file]");
    const take = (bytes) => file.setInputFiles({ name: "new.csv", mimeType: "text/csv", buffer: Buffer.from(bytes) });
    const field = page.getByLabel("Rules");
    for (const bytes of [Buffer.from(`${rules}# café\n`, "latin1"), Buffer.from(`\ufeff${rules}`, "utf16le")]) {
      await take(bytes);
      await page.waitForFunction(() => document.querySelector("input[type=file]").validationMessage !== "");
      assert.match(await file.evaluate((input) => input.validationMessage), /new\.csv is not UTF-8/);
      assert.equal(await field.inputValue(), "");
    }
    // The gateway says what is wrong with a byte order mark, and nothing takes it off before.
    await take(Buffer.from(`\ufeff${rules}`));
    await page.waitForFunction(() => document.querySelector("textarea").value !== "");
    await page.getByRole("button", { name: "Show what it changes" }).click();
    assert.match(await textOf(page.locator("#problems")), /byte order mark/);
    await take(Buffer.from(rules.replaceAll("\n", "\r\n")));
    await page.waitForFunction(() => !document.querySelector("textarea").value.startsWith("\ufeff"));
    await page.getByRole("button", { name: "Show what it changes" }).click();
    await page.locator("#changes").waitFor();
    assert.equal(await textOf(page.locator("#changes .headline")), "No service gains or loses a door.");
  },

  "is the log whole": async (t) => {
    const page = await begin(t);
    await go(page, "Is the log whole?");
    await page.getByRole("button", { name: "Verify now" }).click();
    const result = page.locator("#result .headline");
    await result.waitFor();
    assert.equal(await textOf(result), "Verified: the log is what it was.");
    assert.equal(await page.locator("#findings").count(), 0);
  },

  "is a log whole in which a byte was changed": async (t) => {
    const site = t.newSite();
    const gateway = await t.serve(site);
    const names = readdirSync(site.at("audit")).filter((name) => name.endsWith(".jsonl")).sort();
    const seq = damage(site.at("audit", names[1]));
    const page = await begin(t, { base: gateway.admin });
    await go(page, "Is the log whole?");
    await page.getByRole("button", { name: "Verify now" }).click();
    await page.locator("#result .headline").waitFor();
    assert.equal(await textOf(page.locator("#result .headline")), "NOT VERIFIED: the log is damaged.");
    const rows = await page.locator("#findings tbody tr").allInnerTexts();
    const known = site.json(["audit", "verify", "audit", "--key", "audit_signing_key.pub"], [4]);
    assert.equal(rows.length, known.findings.length);
    const [records, how, where] = rows[0].split("\t");
    const [first, last = first] = records.split(" to ").map(Number);
    assert.ok(first <= seq && seq <= last, `${records} has ${seq}`);
    assert.deepEqual([how, where], ["altered", `audit/${names[1]}`]);
    // Whoever looks elsewhere is told, too.
    await go(page, "Overview");
    assert.match(await textOf(page.locator("#unverified")), /^The log was not verified at /);
    await page.goto(`/console/audit/record?seq=${seq}`);
    assert.match(await textOf(page.locator("#unverified")), /^This record is among those that were not verified/);
    await page.goto("/console/audit/record?seq=1");
    assert.equal(await page.locator("#unverified").count(), 0);
  },

  "which replica is behind": async (t) => {
    const binary = t.site.binary;
    const line = /^(\S+): https:\/\/localhost:\d+, console (http:\/\/\S+)\/console, process (\d+)$/gm;
    const [[said], demo] = await start(binary, ["demo", "--replicas", "3"], /^[^]*Ctrl-C stops/);
    let stopped;
    try {
      const gateways = [...said.matchAll(line)].map(([, name, admin, id]) => ({ name, admin, id: Number(id) }));
      assert.equal(gateways.length, 3);
      const page = await t.page({ base: gateways[0].admin });
      await page.goto("/console");
      await go(page, "Replicas");
      await page.locator("#count", { hasText: "3 gateway(s); all of them are well." }).waitFor();
      // It says nothing any more, as if it were cut off.
      process.kill(gateways[2].id, "SIGSTOP");
      stopped = gateways[2].id;
      // The page asks again by itself.
      const row = page.locator("#replicas tr.marked");
      await row.filter({ hasText: "silent for" }).waitFor({ timeout: 10_000 });
      assert.equal(await row.count(), 1);
      assert.match(await textOf(row), new RegExp(`^${gateways[2].name} .* silent silent for`));
      assert.equal(await page.getByRole("rowheader", { name: "(this one)" }).count(), 1);
      assert.match(await textOf(page.getByRole("rowheader", { name: "(this one)" })), new RegExp(`^${gateways[0].name} `));
      assert.match(await page.title(), new RegExp(`^Replicas · ${gateways[0].name} · `));
      assert.match(await textOf(page.locator("#count")), /1 of them need a look/);
    } finally {
      if (stopped) process.kill(stopped, "SIGCONT");
      await stop(demo);
    }
  },
};

/** Changes one letter of a record in the middle of a segment, and says of which. */
function damage(path) {
  const file = openSync(path, "r+");
  const bytes = Buffer.alloc(200_000);
  const length = readSync(file, bytes, 0, bytes.length, 0);
  const lines = bytes.toString("latin1", 0, length).split("\n");
  let offset = 0;
  for (const [place, line] of lines.entries()) {
    const found = line.indexOf('"decision":"');
    if (place > 5 && found >= 0) {
      const at = found + '"decision":"'.length;
      writeSync(file, Buffer.from("x"), 0, 1, offset + at);
      closeSync(file);
      return JSON.parse(line).seq;
    }
    offset += line.length + 1;
  }
  throw new Error("no decision in the segment");
}
