// What is taken away from the console holds without it.
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";

import { SERVER_ROOM, fill, go, textOf, until } from "../harness.mjs";

export const tests = {
  "the proof of a record is taken away and checked": async (t) => {
    const page = await t.page();
    await page.goto("/console");
    await go(page, "Decisions");
    await fill(page, { Until: "2h" }, "Search");
    await page.locator("table.decisions tbody tr td:last-child a").first().click();
    await page.locator("#proof").waitFor();
    const seq = (await textOf(page.locator("h1"))).replace("Record ", "");
    const [download] = await Promise.all([page.waitForEvent("download"), page.locator("#proof").click()]);
    assert.equal(download.suggestedFilename(), `${seq}.tlog-proof`);
    const file = t.site.at("taken.tlog-proof");
    await download.saveAs(file);
    const said = t.site.say(["audit", "check-proof", "taken.tlog-proof", "--key", "audit_signing_key.pub"]);
    assert.match(said, new RegExp(`\\b${seq}\\b`));

    // Of another record it proves nothing.
    const proof = t.site.read("taken.tlog-proof");
    const other = proof.replace(/"decision":"(\w+)"/, (_, was) => `"decision":"${was === "allow" ? "deny" : "allow"}"`);
    const broken = other === proof ? proof.replace(/[A-Za-z](?=[A-Za-z0-9+/]{20})/, (letter) => (letter === "A" ? "B" : "A")) : other;
    assert.notEqual(broken, proof);
    writeFileSync(file, broken);
    t.site.say(["audit", "check-proof", "taken.tlog-proof", "--key", "audit_signing_key.pub"], [1, 4, 5]);
  },

  "a record that no checkpoint covers has no proof yet, and its page says so": async (t) => {
    const { id } = await t.gateway.grant(SERVER_ROOM);
    const query = ["audit", "query", "audit", "--request-id", id, "--format", "json"];
    const { seq } = JSON.parse(t.site.say(query));
    const { checkpoint } = await t.gateway.json("/status");
    if (checkpoint.size >= seq) return;
    const page = await t.page({ statuses: [422] });
    await page.goto(`/console/audit/record?seq=${seq}`);
    await page.locator("#proof").click();
    assert.match(await textOf(page.getByRole("alert")), /checkpoint/);
  },

  "a record tells what happened when": async (t) => {
    const { id } = await t.gateway.grant("d23d7180-c1ee-4bbe-8630-05df5031ce35");
    const query = ["audit", "query", "audit", "--request-id", id, "--format", "json"];
    const lines = () => t.site.say(query, [0, 2]).trim().split("\n").filter(Boolean);
    await until("decision and outcome", () => lines().length === 2);
    const [decision, outcome] = lines().map((line) => JSON.parse(line));
    const page = await t.page();
    await page.goto(`/console/audit/record?seq=${decision.seq}`);
    const timeline = await page.locator(".timeline li").allInnerTexts();
    assert.match(timeline[0], /grant\.decision allow allowed-by-rule/);
    assert.match(timeline[1], /grant\.outcome granted/);
    assert.deepEqual(await page.locator("pre.raw").allInnerTexts(), lines());
    await page.getByRole("link", { name: `record ${outcome.seq}` }).click();
    await page.getByRole("heading", { level: 1, name: `Record ${outcome.seq}` }).waitFor();
  },

  "what is not there is told so": async (t) => {
    const page = await t.page({ statuses: [422] });
    for (const [path, said] of [
      ["/console/audit/record?seq=99999999", /no record 99999999/],
      ["/console/audit/proof?seq=99999999", /./],
      ["/console/audit/record?seq=0", /must be a number/],
      ["/console/audit?reason=none-such", /No reason has the code/],
      ["/console/audit?limit=0", /must be a number/],
      ["/console/audit?since=yesterday", /The time `yesterday`/],
    ]) {
      const answer = await page.goto(path);
      assert.equal(answer.status(), 422, path);
      assert.match(await textOf(page.getByRole("alert")), said, path);
    }
  },

  "who looked at decisions is in the gateway's own log": async (t) => {
    const gateway = await t.serve(t.newSite({ log: false }));
    const said = [];
    gateway.child.stderr.on("data", (chunk) => said.push(chunk));
    await gateway.grant(SERVER_ROOM);
    await gateway.get("/console/audit?caller=visitor-desk");
    await until("it is said", () => said.join("").includes("looked at decisions"), 5_000);
    const line = said.join("").split("\n").find((one) => one.includes("looked at decisions"));
    assert.match(line, /"page":"audit"/);
    assert.match(line, /caller=visitor-desk/);
  },
};
