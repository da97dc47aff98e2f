// People on other machines: who they are, what they may, and what they order.
import assert from "node:assert/strict";

import { LOBBY, SERVER_ROOM, ask, fill, go, textOf, until } from "../harness.mjs";

const PEOPLE = {
  operator: "DNS:operator.example",
  viewer: "URI:spiffe://example.org/people/viewer",
  stranger: "DNS:stranger.example",
};
const WHY = "a tablet was stolen";

/** A gateway for these people, and nobody on its machine. */
async function remote(t) {
  const people = t.people(PEOPLE);
  const gateway = await t.serve(t.newSite(), {
    ...people.settings,
    GRANTGATE__CONSOLE__LOCAL: "off",
    GRANTGATE__CONSOLE__OPERATORS: "dns:operator.example",
    GRANTGATE__CONSOLE__VIEWERS: "spiffe://example.org/people/viewer,dns:other.example",
  });
  const as = (name, options) =>
    t.page({ base: gateway.remote, clientCertificates: [{ origin: gateway.remote, ...people.of(name) }], ...options });
  return { people, gateway, as };
}

export const tests = {
  "a stranger is told why not": async (t) => {
    const { gateway, as, people } = await remote(t);
    const page = await as("stranger", { statuses: [403] });
    for (const path of ["/console", "/console/audit", "/console/live/stream", "/console/nowhere"]) {
      const answer = await page.request.get(path);
      assert.equal(answer.status(), 403, path);
    }
    const answer = await page.goto("/console");
    assert.equal(answer.status(), 403);
    const said = "You are `dns:stranger.example`, who is neither among `viewers` nor `operators` of `[console]`.";
    assert.equal(await textOf(page.getByRole("alert")), said);
    // Without a certificate there is no connection.
    await assert.rejects(ask(`${gateway.remote}/console`, { ca: people.ca, cert: undefined }));
  },

  "a viewer looks and orders nothing": async (t) => {
    const { gateway, as, people } = await remote(t);
    const page = await as("viewer");
    await page.goto("/console");
    assert.equal(await textOf(page.locator(".who")), "spiffe://example.org/people/viewer · viewer");
    for (const path of t.world.everyPage()) {
      const answer = await page.goto(path);
      assert.equal(answer.status(), 200, path);
    }
    await go(page, "Freeze and exceptions");
    assert.equal(await page.locator("main form").count(), 0);
    const form = { do: "freeze", scope: "caller", caller: "visitor-desk", why: WHY };
    const { status, text } = await gateway.post("/console/orders", form, { base: gateway.remote, ca: people.ca, ...people.of("viewer") });
    assert.equal(status, 422);
    assert.match(text, /Only operators give orders/);
    assert.deepEqual(await gateway.json("/status").then(({ orders }) => orders), []);
  },

  "an operator freezes a service, and lifts it": async (t) => {
    const { gateway, as } = await remote(t);
    const { site } = gateway;
    assert.equal((await gateway.grant(LOBBY)).status, 200);
    const page = await as("operator");
    await page.goto("/console");
    assert.equal(await textOf(page.locator(".who")), "dns:operator.example · operator");
    await go(page, "Freeze and exceptions");
    const form = page.locator("#freeze");
    await fill(page, { What: "one service", Service: "visitor-desk", Why: WHY }, "Freeze", form);
    assert.match(await textOf(page.getByRole("status")), /^Order 1 is written/);
    assert.equal(await textOf(page.locator("#count")), "1 order(s) in force.");
    await until("it holds", async () => (await gateway.grant(LOBBY)).status === 403, 3_000);
    const refused = await gateway.grant(LOBBY);
    assert.match(refused.text, /grants are stopped for now by order of the operator/);
    const why = ["audit", "query", "audit", "--request-id", refused.id, "--format", "json"];
    await until("the refusal is in the log", () => site.say(why, [0, 2]));
    assert.equal(JSON.parse(site.say(why).split("\n")[0]).reason, "frozen");

    await go(page, "Overview");
    assert.match(await textOf(page.locator("main .notice").first()), new RegExp(`Orders in force.*visitor-desk.*${WHY}`));
    const audited = () => site.say(["audit", "query", "audit", "--event", "order.change", "--format", "json"], [0, 2]).trim().split("\n").filter(Boolean).map((line) => JSON.parse(line));
    await until("it is in the log", () => audited().length === 1);
    const [record] = audited();
    const text = JSON.stringify(record);
    assert.ok(text.includes("console:dns:operator.example") && text.includes(WHY), text);

    await go(page, "Freeze and exceptions");
    await fill(page, { Why: "found again" }, "Take back order 1", page.locator("section.change form"));
    assert.equal(await textOf(page.locator("#count")), "0 order(s) in force.");
    assert.match(await textOf(page.locator("main")), /Taken back at .* by console:dns:operator\.example: found again/);
    await until("it is lifted", async () => (await gateway.grant(LOBBY)).status === 200, 3_000);
    await until("that is in the log", () => audited().length === 2);
    assert.match(JSON.stringify(audited().at(-1)), /found again/);
  },

  "an operator makes an exception": async (t) => {
    const { gateway, as } = await remote(t);
    assert.equal((await gateway.grant("e4a7c9b2-18d3-4e6f-a5b0-3c2d1e0f9a8b")).status, 403);
    const page = await as("operator", { statuses: [422] });
    await page.goto("/console/orders");
    const form = page.locator("#allow");
    await fill(page, { Service: "visitor-desk", Door: "open-plan office", "For how long": "2h", Why: "a fitter comes" }, "Allow", form);
    assert.match(await textOf(page.getByRole("status")), /^Order 1 is written/);
    await until("it holds", async () => (await gateway.grant("e4a7c9b2-18d3-4e6f-a5b0-3c2d1e0f9a8b")).status === 200, 5_000);
    // The longest that one may last is in the settings.
    await fill(page, { Service: "visitor-desk", Door: "open-plan office", "For how long": "48h", Why: "two days" }, "Allow", form);
    assert.match(await textOf(page.getByRole("alert")), /24/);
    assert.equal(await page.locator("#allow input[name=for]").inputValue(), "48h", "what was typed is still there");
  },

  "everything is frozen only by who types so": async (t) => {
    const { gateway, as } = await remote(t);
    const page = await as("operator", { statuses: [422] });
    await page.goto("/console/orders");
    const form = page.locator("#freeze");
    await fill(page, { What: "every grant", Why: WHY }, "Freeze", form);
    assert.match(await textOf(page.getByRole("alert")), /type `everything`/);
    assert.equal((await gateway.grant(LOBBY)).status, 200);
    await fill(page, { What: "every grant", "For every grant, type “everything”": "everything", Why: WHY }, "Freeze", form);
    assert.equal(await textOf(page.locator("#count")), "1 order(s) in force.");
    await until("it holds", async () => (await gateway.grant(LOBBY)).status === 403, 3_000);
  },

  "an operator's pages are as good as the others": async (t) => {
    const { as } = await remote(t);
    const page = await as("operator", { width: 390 });
    await page.goto("/console/orders");
    assert.deepEqual(await t.audit(page), []);
    const [needed, has] = await page.evaluate(() => [document.documentElement.scrollWidth, innerWidth]);
    assert.ok(needed <= has + 1, `${needed} of ${has}`);
  },

  "a form of another site is refused": async (t) => {
    const { gateway, people } = await remote(t);
    const form = { do: "freeze", scope: "caller", caller: "visitor-desk", why: WHY };
    const base = gateway.remote;
    const bad = [
      { origin: undefined },
      { "sec-fetch-site": undefined },
      { origin: undefined, "sec-fetch-site": undefined },
      { origin: "https://attacker.example" },
      { origin: "null" },
      { origin: base.replace("https", "http") },
      { "sec-fetch-site": "cross-site" },
      { "sec-fetch-site": "same-site" },
      { "sec-fetch-site": "none" },
    ];
    for (const headers of bad) {
      const known = Object.fromEntries(Object.entries({ origin: base, "sec-fetch-site": "same-origin", ...headers }).filter(([, value]) => value !== undefined));
      const type = { "content-type": "application/x-www-form-urlencoded" };
      for (const path of ["/console/orders", "/console/verification", "/console/diff"]) {
        const body = new URLSearchParams(form).toString();
        const answer = await ask(`${base}${path}`, { method: "POST", headers: { ...known, ...type }, body, ca: people.ca, ...people.of("operator") });
        assert.equal(answer.status, 403, `${path} ${JSON.stringify(headers)}`);
        assert.match(answer.text, /from a page of the console only|A page of another site/);
      }
    }
    assert.deepEqual((await gateway.json("/status")).orders, []);
    assert.equal((await gateway.json("/console/verification?format=json", {}).catch(() => ({ state: "never" }))).state, "never");
    // The same from a page of its own.
    const good = await gateway.post("/console/orders", form, { base, ca: people.ca, ...people.of("operator") });
    assert.equal(good.status, 303);
    assert.equal((await gateway.grant(SERVER_ROOM)).status, 403);
  },
};
