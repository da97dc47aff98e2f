// A policy on trial, as the page and the metric count it.
import assert from "node:assert/strict";

import { GARAGE, LOBBY, OFFICE, SERVER_ROOM, go, textOf, until } from "../harness.mjs";

export const tests = {
  "what it would decide otherwise is counted as the metric has it": async (t) => {
    const site = t.newSite();
    site.write("policies/candidate.csv", `${site.read("policies/policy.csv")}p, role:front-desk, entrance:${GARAGE}, grant, deny\n`);
    const gateway = await t.serve(site, { GRANTGATE__POLICY__CANDIDATE_RULES_FILE: "policies/candidate.csv" });
    await until("it is judged", async () => (await gateway.get("/readyz?verbose")).text.includes("[+] candidate: judged"));
    for (const entrance of [LOBBY, GARAGE, GARAGE, GARAGE, OFFICE, SERVER_ROOM]) await gateway.grant(entrance);

    const page = await t.page({ base: gateway.admin });
    await page.goto("/console");
    await go(page, "Candidate");
    const { text } = await gateway.get("/metrics");
    const counted = Object.fromEntries([...text.matchAll(/^grantgate_candidate_decisions_total\{agreement="([^"]+)"\} (\d+)$/gm)].map(([, name, count]) => [name, Number(count)]));
    assert.equal(counted["would-deny"], 3);
    assert.equal(counted.same, 3);
    const shown = Object.fromEntries([...(await textOf(page.locator("#counted dd"))).matchAll(/(\d+) ([\w-]+)/g)].map(([, count, name]) => [name, Number(count)]));
    assert.deepEqual(shown, counted);
    const json = await gateway.json("/console/candidate?format=json");
    assert.deepEqual(json.counted, counted);
    assert.equal(json.same, counted.same);
    assert.deepEqual(json.would_deny.map(({ caller, entrance_id, decisions }) => [caller, entrance_id, decisions]), [["visitor-desk", GARAGE, 3]]);
    assert.deepEqual(json.would_allow, []);
    assert.match(await textOf(page.locator("#would-deny tbody tr")), /^visitor-desk garage 3 /);
    assert.deepEqual(await t.audit(page), []);

    // What it decides is nothing: the grant went through. And a click leads to it.
    await page.locator("#would-deny tbody a").nth(2).click();
    await page.locator("table.decisions").waitFor();
    assert.match(await textOf(page.locator("table.decisions tbody tr").first()), /visitor-desk garage .* allow allowed-by-rule granted/);
    // Why is a question to the candidate, not to the policy in force.
    await page.goBack();
    await page.locator("#would-deny tbody tr").getByRole("link", { name: "why" }).click();
    assert.match(await textOf(page.locator("#verdict")), /^By the candidate, which decides nothing: deny denied-by-rule/);
  },

  "one that is no policy is told so": async (t) => {
    const site = t.newSite({ log: false });
    site.write("policies/candidate.csv", "p, nonsense\n");
    const gateway = await t.serve(site, { GRANTGATE__POLICY__CANDIDATE_RULES_FILE: "policies/candidate.csv" });
    await until("it is read", async () => (await gateway.get("/readyz?verbose")).text.includes("[!] candidate: not judged"));
    const page = await t.page({ base: gateway.admin });
    await page.goto("/console/candidate");
    assert.match(await textOf(page.getByRole("alert")), /candidate\.csv:1/);
  },
};
