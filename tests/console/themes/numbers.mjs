// The console and the command line answer from the same: their JSON is the same.
import assert from "node:assert/strict";

import { GARAGE, LOBBY, OFFICE, SERVER_ROOM, textOf, until } from "../harness.mjs";

const CALLERS = ["visitor-desk", "facilities", "cleaning-rota", "night-crew", "nobody-known"];
const DOORS = ["main entrance", "garage", "open-plan office", "room 1", "server room"];
const TIMES = ["2026-11-25T21:15:00Z", "2026-12-25T12:00:00Z"];
const FROM = "2026-11-25T00:00:00Z";

const query = (fields) => new URLSearchParams({ ...fields, format: "json" }).toString();

/** What the console answers, when the log has as many records before as after. */
async function atRest(gateway, ask) {
  const records = async () => (await gateway.json("/console?format=json")).status.checkpoint?.size;
  return until("nothing is written meanwhile", async () => {
    const before = await records();
    const found = await ask();
    return (await records()) === before && found;
  });
}

export const tests = {
  "what if: 50 cases": async (t) => {
    let cases = 0;
    const allowed = new Set();
    for (const caller of CALLERS) {
      for (const entrance of DOORS) {
        for (const [place, at] of TIMES.entries()) {
          const act = (cases + place) % 4 === 3 ? "read" : "grant";
          const grantee = cases % 3 === 0 ? "acs_user" : "user_identity";
          const args = ["policy", "explain", caller, entrance, "--at", at, "--act", act];
          if (act === "grant") args.push("--grantee", grantee);
          const known = t.site.json(args, [0, 2]);
          const shown = await t.gateway.json(`/console/what-if?${query({ caller, entrance, at, act, grantee })}`);
          assert.deepEqual(shown, known, args.join(" "));
          allowed.add(known.decision ?? known.reason);
          cases += 1;
        }
      }
    }
    assert.equal(cases, 50);
    assert.ok(allowed.size > 1, `only ${[...allowed]}`);
  },

  "who opens a door": async (t) => {
    for (const entrance of [...DOORS, GARAGE]) {
      for (const act of ["grant", "read"]) {
        const known = t.site.json(["policy", "who", entrance, "--act", act, "--from", FROM, "--days", "100"], [0, 2]);
        const shown = await t.gateway.json(`/console/who?${query({ entrance, act, from: FROM, days: "100" })}`);
        assert.deepEqual(shown, known, `${act} ${entrance}`);
      }
    }
  },

  "the doors of a service": async (t) => {
    for (const caller of CALLERS.slice(0, 4)) {
      for (const act of ["grant", "read"]) {
        const known = t.site.json(["policy", "doors", caller, "--act", act, "--from", FROM], [0, 2]);
        const shown = await t.gateway.json(`/console/doors?${query({ caller, act, from: FROM })}`);
        assert.deepEqual(shown, known, `${act} ${caller}`);
      }
    }
  },

  "what an edit changes": async (t) => {
    const rules = t.site.read("policies/policy.csv");
    const edits = [
      rules,
      `${rules}p, role:front-desk, zone:offices, grant, allow\n`,
      `${rules}p, role:staff, zone:lobby, grant, deny, hours Europe/Berlin Sa,Su\n`,
      rules.replace("p, role:facilities, *, grant, allow\n", ""),
      rules.replace("Mo-Su 20:00-23:00", "Mo-Su 18:00-22:00"),
    ];
    for (const [place, draft] of edits.entries()) {
      t.site.write("policies/draft", draft);
      const known = t.site.json(["policy", "diff", "policies/policy.csv", "policies/draft", "--from", FROM], [0, 2]);
      const path = `/console/diff?${query({ from: FROM })}`;
      const { status, text } = await t.gateway.post(path, { rules: draft });
      assert.equal(status, 200, text);
      assert.deepEqual(JSON.parse(text), known, `edit ${place}`);
      // A browser sends CR LF.
      const again = await t.gateway.post(path, { rules: draft.replaceAll("\n", "\r\n") });
      assert.deepEqual(JSON.parse(again.text), known, `edit ${place} with CR LF`);
    }
  },

  "decisions, as JSON and as CSV": async (t) => {
    for (const entrance of [LOBBY, OFFICE, SERVER_ROOM]) await t.gateway.grant(entrance);
    const filters = [
      [{}, []],
      [{ decision: "deny" }, ["--decision", "deny"]],
      [{ caller: "facilities" }, ["--caller", "facilities"]],
      [{ entrance: "main entrance" }, ["--entrance", "main entrance"]],
      [{ reason: "denied-by-rule" }, ["--reason", "denied-by-rule"]],
      [{ outcome: "granted" }, ["--outcome", "granted"]],
      [{ event: "config.reload" }, ["--event", "config.reload"]],
      [{ event: "log.start" }, ["--event", "log.start"]],
      [{ since: "2h", decision: "allow" }, ["--since", "2h", "--decision", "allow"]],
    ];
    for (const [fields, args] of filters) {
      for (const [format, limit] of [["json", 150], ["csv", 150], ["json", 1], ["csv", 2000]]) {
        const command = ["audit", "query", "audit", ...args, "--last", String(limit), "--format", format];
        const path = `/console/audit?${new URLSearchParams({ ...fields, format, limit })}`;
        await until(command.join(" "), async () => {
          const known = t.site.say(command, [0, 2]);
          const { text } = await t.gateway.get(path);
          // A record may have come in between.
          return text === known;
        }, 3_000);
      }
    }
  },

  "decisions of the page are those of the JSON, page by page": async (t) => {
    const page = await t.page();
    await page.goto("/console/audit?decision=allow&caller=facilities");
    const seen = [];
    for (let pages = 0; pages < 3; pages++) {
      seen.push(...(await page.locator("table.decisions tbody tr td:last-child").allInnerTexts()));
      await page.getByRole("link", { name: "older" }).click();
      await page.waitForURL(new RegExp(`before=${seen.at(-1)}$`));
    }
    const known = t.site.say(["audit", "query", "audit", "--decision", "allow", "--caller", "facilities", "--last", "150", "--format", "json"]);
    const decisions = known.trim().split("\n").map((line) => JSON.parse(line)).filter((line) => line.event === "grant.decision");
    assert.deepEqual(seen, decisions.map((line) => String(line.seq)).reverse());
  },

  "verification": async (t) => {
    const { status } = await t.gateway.post("/console/verification", {});
    assert.equal(status, 303);
    await atRest(t.gateway, async () => {
      await t.gateway.post("/console/verification", {});
      const done = async () => {
        const found = await t.gateway.json("/console/verification?format=json");
        return found.state === "runs" ? undefined : found;
      };
      const shown = await until("it is verified", done);
      const known = t.site.json(["audit", "verify", "audit", "--key", "audit_signing_key.pub"]);
      assert.ok(shown.verified && known.verified);
      // What is anchored is for those who keep it elsewhere.
      const { anchors: ours, ...rest } = shown;
      const { anchors: theirs, ...known_rest } = known;
      assert.ok(ours && theirs);
      try {
        assert.deepEqual(rest, known_rest);
      } catch (error) {
        if (rest.records === known_rest.records) throw error;
        return false;
      }
      return true;
    });
  },

  "the overview has the status and the checks": async (t) => {
    const [shown, status, ready] = [
      await t.gateway.json("/console?format=json"),
      await t.gateway.json("/status"),
      await t.gateway.get("/readyz?verbose"),
    ];
    assert.deepEqual(shown.status, status);
    assert.equal(shown.ready, ready.status === 200);
    const marks = { ok: "+", warning: "!", failed: "-" };
    const lines = shown.checks.map(({ name, state, text }) => `[${marks[state]}] ${name}${text ? `: ${text}` : ""}`);
    assert.deepEqual(lines, ready.text.split("\n").filter((line) => line.startsWith("[")));
  },

  "the overview counts who is not known": async (t) => {
    const { status } = await t.gateway.grant(LOBBY, { token: `${t.site.token.slice(0, -1)}x` });
    assert.equal(status, 401);
    let found;
    await until("it is counted", async () => {
      const { last_hour: hour } = await t.gateway.json("/console?format=json");
      [found] = Object.keys(hour.strangers);
      return found !== undefined;
    }, 8_000);
    const page = await t.page();
    await page.goto("/console");
    await page.getByRole("link", { name: found }).click();
    assert.match(await textOf(page.locator("table.decisions tbody tr").first()), new RegExp(`authn\\.failure ${found}`));
  },

  "the overview counts the last hour": async (t) => {
    await t.gateway.grant(LOBBY);
    await t.gateway.grant(SERVER_ROOM);
    await until("it counts as the log does", async () => {
      const { last_hour: hour } = await t.gateway.json("/console?format=json");
      const rows = t.site.say(["audit", "query", "audit", "--since", hour.since, "--format", "json"]);
      const decisions = rows.trim().split("\n").map((line) => JSON.parse(line)).filter((line) => line.decision);
      const of = (decision) => decisions.filter((line) => line.decision === decision).length;
      return hour.allow === of("allow") && hour.deny === of("deny") && hour.allow > 0 && hour.deny > 0;
    }, 8_000);
  },

  "rules of the policy": async (t) => {
    const shown = await t.gateway.json("/console/policy?format=json");
    const rules = t.site.read("policies/policy.csv").split("\n");
    const spaced = (text) => text.replace(/\s*,\s*/g, ",").replace(/\s+/g, " ").trim();
    assert.ok(shown.rules > 10 && shown.found === shown.rules);
    for (const { line, rule } of shown.shown) assert.equal(spaced(rule), spaced(rules[line - 1]), `line ${line}`);
    // Roles and zones, by a service and by the name of a door.
    for (const [text, part] of [["visitor-desk", "g, caller:visitor-desk, role:front-desk"], ["garage", "g2, entrance:"]]) {
      const { memberships } = await t.gateway.json(`/console/policy?text=${text}&format=json`);
      assert.ok(memberships.some(({ rule }) => rule.startsWith(part)), `${text}: ${JSON.stringify(memberships)}`);
      for (const { line, rule } of memberships) assert.equal(spaced(rule), spaced(rules[line - 1]), `line ${line}`);
    }
  },

  "tables for spreadsheets have what is shown": async (t) => {
    const doors = await t.gateway.get("/console/doors?caller=visitor-desk&format=csv");
    assert.match(doors.headers["content-type"], /^text\/csv/);
    assert.match(doors.headers["content-disposition"], /filename="doors\.csv"/);
    const lines = doors.text.trimEnd().split("\r\n");
    assert.equal(lines[0], "entrance_id,entrance_name,caller,when,allowed_by");
    assert.deepEqual(lines.slice(1).map((line) => line.split(",")[1]), ["garage", "main entrance", "room 1", "room 2"]);
    const who = await t.gateway.get("/console/who?entrance=garage&format=csv");
    const known = t.site.json(["policy", "who", "garage"]);
    const callers = who.text.trimEnd().split("\r\n").slice(1).map((line) => line.split(",")[2]);
    assert.deepEqual(callers, known.callers.map((one) => one.caller ?? one.id));
  },
};
