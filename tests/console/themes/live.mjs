// What happens as it happens.
import assert from "node:assert/strict";
import { request } from "node:http";

import { LOBBY, SERVER_ROOM, textOf, until } from "../harness.mjs";

const rows = (page) => page.locator("#tail tbody tr");
const state = (page) => page.locator("#state");

const open = async (t, path = "/console/live", options) => {
  const page = await t.page(options);
  await page.goto(path);
  await page.locator("#live").waitFor();
  await page.waitForFunction(() => document.querySelector("#state").textContent === "live");
  return page;
};

/** Waits for this record, or a newer one, on a page that may have no row yet. */
const shows = (page, seq, options) => page.waitForFunction(
  (seq) => Number(document.querySelector("#tail tbody tr td[data-field=seq]")?.textContent ?? 0) >= seq,
  seq,
  options,
);

/** The newest record on the page. */
const newest = async (page) => Number(await rows(page).first().locator("td[data-field=seq]").innerText());

/** Reads what a stream sends, until these numbers of records are enough. */
function stream(gateway, path, headers, isEnough) {
  return new Promise((found, broken) => {
    const asked = request(`${gateway.admin}${path}`, { headers, agent: false }, (answer) => {
      let text = "";
      answer.setEncoding("utf8");
      answer.on("data", (chunk) => {
        text += chunk;
        const ids = [...text.matchAll(/^id: (\d+)$/gm)].map((match) => Number(match[1]));
        if (isEnough(ids)) {
          asked.destroy();
          found({ ids, text, headers: answer.headers });
        }
      });
    });
    asked.on("error", broken);
    asked.setTimeout(10_000, () => asked.destroy(new Error("the stream says nothing")));
    asked.end();
  });
}

export const tests = {
  "what is decided is on the page within a second": async (t) => {
    const page = await open(t);
    const took = [];
    for (let grants = 0; grants < 5; grants++) {
      const before = await newest(page);
      const began = Date.now();
      assert.equal((await t.gateway.grant(SERVER_ROOM)).status, 403);
      await shows(page, before + 1, { polling: 20 });
      took.push(Date.now() - began);
    }
    took.sort((a, b) => a - b);
    assert.ok(took[2] <= 1000, `${took} ms`);
    const row = rows(page).first();
    assert.match(await textOf(row), /visitor-desk server room deny denied-by-rule \d+$/);
    // Each leads to its record.
    const seq = await newest(page);
    await row.getByRole("link").click();
    await page.getByRole("heading", { level: 1, name: `Record ${seq}` }).waitFor();
  },

  "who reads further down is not moved": async (t) => {
    const page = await open(t);
    await page.waitForFunction(() => document.querySelectorAll("#tail tbody tr").length > 50);
    await page.locator("#tail").hover();
    await page.mouse.wheel(0, 400);
    await page.waitForFunction(() => document.querySelector("#pause").getAttribute("aria-pressed") === "true");
    const before = await newest(page);
    for (let grants = 0; grants < 3; grants++) await t.gateway.grant(SERVER_ROOM);
    await page.waitForFunction(() => /^paused, [3-9] new/.test(document.querySelector("#state").textContent));
    assert.equal(await newest(page), before, "nothing moves");
    await page.mouse.wheel(0, -4000);
    await shows(page, before + 3);
    assert.equal(await textOf(state(page)), "live");

    // By the button too, which scrolling does not take back.
    await page.getByRole("button", { name: "Pause" }).click();
    await page.mouse.wheel(0, 400);
    await page.mouse.wheel(0, -4000);
    await t.gateway.grant(SERVER_ROOM);
    await page.waitForFunction(() => /^paused, [1-9] new/.test(document.querySelector("#state").textContent));
    await page.getByRole("button", { name: "Resume" }).click();
    await page.waitForFunction(() => document.querySelector("#state").textContent === "live");
  },

  "rows are cleared, columns hidden, and lines copied as they are stored": async (t) => {
    const page = await open(t, "/console/live", { permissions: ["clipboard-read", "clipboard-write"] });
    await page.getByRole("button", { name: "Clear" }).click();
    await page.waitForFunction(() => !document.querySelector("#tail tbody tr"));
    const { id } = await t.gateway.grant(LOBBY);
    await page.waitForFunction(() => document.querySelectorAll("#tail tbody tr").length >= 2);
    await page.getByRole("button", { name: "Copy lines" }).click();
    await page.waitForFunction(() => document.querySelector("#state").textContent.startsWith("copied"));
    const copied = (await page.evaluate(() => navigator.clipboard.readText())).split("\n");
    const stored = t.site.say(["audit", "query", "audit", "--request-id", id, "--format", "json"]).trim().split("\n");
    for (const line of stored) assert.ok(copied.includes(line), line);
    for (const line of copied) JSON.parse(line);

    await page.getByLabel("Service").last().uncheck();
    assert.equal(await page.locator("#tail td[data-field=caller]").first().isVisible(), false);
    assert.equal(await page.locator("#tail th[data-field=caller]").isVisible(), false);
    await t.gateway.grant(SERVER_ROOM);
    await page.waitForFunction(() => document.querySelectorAll("#tail tbody tr").length >= 3);
    assert.equal(await page.locator("#tail tbody tr").first().locator("td[data-field=caller]").isVisible(), false);
  },

  "there are never more than 500 rows": async (t) => {
    const page = await open(t);
    for (let rounds = 0; rounds < 20; rounds++) {
      await Promise.all(Array.from({ length: 30 }, () => t.gateway.grant(SERVER_ROOM)));
    }
    const { status } = await t.gateway.json("/console?format=json");
    assert.ok(status);
    const last = JSON.parse(t.site.say(["audit", "query", "audit", "--last", "1", "--format", "json"])).seq;
    await shows(page, last);
    assert.equal(await rows(page).count(), 500);
    const seqs = (await page.locator("#tail tbody td[data-field=seq]").allInnerTexts()).map(Number);
    assert.deepEqual(seqs, [...seqs].sort((a, b) => b - a), "the newest first");
    assert.equal(new Set(seqs).size, 500, "none twice");
  },

  "a reload goes on, and so does a connection that broke": async (t) => {
    const page = await open(t);
    const before = await newest(page);
    await page.reload();
    await page.waitForFunction(() => document.querySelector("#tail tbody tr"));
    assert.ok((await newest(page)) >= before);
    await t.gateway.grant(SERVER_ROOM);
    await shows(page, before + 1);

    const { ids } = await stream(t.gateway, "/console/live/stream", { "last-event-id": String(before - 10) }, (ids) => ids.length);
    assert.equal(ids[0], before - 9, "from the record behind the last one");
    const { ids: fresh, headers } = await stream(t.gateway, "/console/live/stream", {}, (ids) => ids.at(-1) >= before);
    assert.ok(fresh.length > 20 && fresh.length <= 210, `${fresh.length} before the first that comes`);
    assert.equal(headers["content-type"], "text/event-stream");
  },

  "filters hold": async (t) => {
    const page = await open(t, "/console/live?decision=deny&entrance=server+room");
    await t.gateway.grant(LOBBY);
    await t.gateway.grant(SERVER_ROOM);
    await page.waitForFunction(() => document.querySelectorAll("#tail tbody tr").length > 0);
    const shown = new Set(await page.locator("#tail td[data-field=door]").allInnerTexts());
    assert.deepEqual([...shown], ["server room"]);
  },

  "unknown filters are refused in words": async (t) => {
    const wrong = {
      "decision=maybe": /`maybe` is neither `allow` nor `deny`/,
      "entrance=nowhere": /nowhere/,
      "caller=Not%20One": /The caller `Not One`/,
      "workspace=%00": /The workspace/,
    };
    const page = await t.page({ statuses: [422] });
    for (const [query, said] of Object.entries(wrong)) {
      const answer = await page.goto(`/console/live?${query}`);
      assert.equal(answer.status(), 422, query);
      assert.match(await textOf(page.getByRole("alert")), said);
      const { status, text } = await t.gateway.get(`/console/live/stream?${query}`);
      assert.equal(status, 422, query);
      assert.match(text, said);
    }
  },

  "only so many look at a time": async (t) => {
    const asked = [];
    const one = () => new Promise((found, broken) => {
      const open = request(`${t.gateway.admin}/console/live/stream`, { agent: false }, (answer) => {
        answer.on("error", () => {}).resume();
        found(answer.statusCode);
      });
      open.on("error", broken);
      open.end();
      asked.push(open);
    });
    // Those of the tests before are gone when it is noticed.
    let places = 0;
    await until("all places are taken, and no more", async () => {
      const isIn = (await one()) === 200;
      places += Number(isIn);
      return !isIn && places >= 16;
    });
    assert.equal(places, 16);
    const page = await t.page({ statuses: [503] });
    await page.goto("/console/live");
    await page.waitForFunction(() => /no stream/.test(document.querySelector("#state").textContent));
    for (const open of asked) {
      open.on("error", () => {});
      open.destroy();
    }
    // Their places are free again.
    await until("there is a place", async () => {
      await page.reload();
      return page.waitForFunction(() => document.querySelector("#state").textContent === "live", null, { timeout: 2000 }).catch(() => false);
    });
  },
};
