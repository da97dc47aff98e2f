// Whoever is on the machine, by a name of the machine, where the settings say so.
import assert from "node:assert/strict";
import { connect } from "node:net";

/** One request, byte by byte. */
function raw(gateway, lines) {
  return new Promise((found, broken) => {
    const port = Number(new URL(gateway.admin).port);
    const socket = connect(port, "127.0.0.1", () => socket.end(`${lines.join("\r\n")}\r\n\r\n`));
    let text = "";
    socket.setEncoding("utf8");
    socket.on("data", (chunk) => (text += chunk));
    socket.on("end", () => found(text));
    socket.on("error", broken);
    socket.setTimeout(10_000, () => socket.destroy(new Error("no answer")));
  });
}

const get = (gateway, host) => raw(gateway, ["GET /console HTTP/1.1", `Host: ${host}`, "Connection: close"]);

export const tests = {
  "another name than loopback's is refused": async (t) => {
    for (const host of ["attacker.example", "localhost.attacker.example", "10.0.0.1", "0.0.0.0", "[::]", "2130706433"]) {
      const answer = await get(t.gateway, host);
      assert.match(answer, /^HTTP\/1\.1 403 /, host);
      assert.match(answer, /for this machine only/, host);
      assert.doesNotMatch(answer, /visitor-desk/, host);
    }
    for (const host of ["localhost", "127.0.0.1:9464", "[::1]", "LOCALHOST"]) {
      assert.match(await get(t.gateway, host), /^HTTP\/1\.1 200 /, host);
    }
    const two = await raw(t.gateway, ["GET /console HTTP/1.1", "Host: localhost", "Host: attacker.example", "Connection: close"]);
    assert.doesNotMatch(two, /^HTTP\/1\.1 200 /);
  },

  "an address of another site is refused in a browser": async (t) => {
    // As after its name has come to mean this machine: the browser finds it there.
    const port = new URL(t.gateway.admin).port;
    const page = await t.page({ base: `http://attacker.example:${port}`, statuses: [403] });
    const answer = await page.goto("/console/audit");
    assert.equal(answer.status(), 403);
    await page.getByText("This address is for this machine only").waitFor();
    assert.equal(await page.evaluate(() => fetch("/console/audit?format=json").then((answer) => answer.status)), 403);
    // A browser says so where neither TLS nor loopback is.
    for (const complaint of t.takeComplaints()) assert.match(complaint, /Cross-Origin-Opener-Policy header has been ignored/);
  },

  "it is off unless the settings say otherwise": async (t) => {
    const gateway = await t.serve(t.newSite({ log: false }), { GRANTGATE__CONSOLE__LOCAL: "off" });
    const page = await t.page({ base: gateway.admin, statuses: [403] });
    for (const path of [...t.world.pages, "/console/live/stream"]) {
      const { status, text } = await gateway.get(path);
      assert.equal(status, 403, path);
      assert.match(text, /The console is off on this machine/, path);
    }
    const answer = await page.goto("/console");
    assert.equal(answer.status(), 403);
    await page.getByText("The console is off on this machine").waitFor();
  },

  "nothing is ordered from here": async (t) => {
    const page = await t.page();
    await page.goto("/console/orders");
    assert.equal(await page.locator("main form").count(), 0);
    const { status, text } = await t.gateway.post("/console/orders", { do: "freeze", scope: "caller", caller: "visitor-desk", why: "no" });
    assert.equal(status, 422);
    assert.match(text, /Only operators give orders/);
  },

  "forms come from its own pages": async (t) => {
    const form = { rules: "p, nonsense\n" };
    for (const headers of [{ origin: "http://attacker.example" }, { origin: "null" }, { "sec-fetch-site": "cross-site" }]) {
      const { status } = await t.gateway.post("/console/diff", form, { headers });
      assert.equal(status, 403, JSON.stringify(headers));
    }
    assert.equal((await t.gateway.post("/console/diff", form)).status, 422);
  },

  "only pages and forms that there are": async (t) => {
    const status = async (path, method) => (await t.gateway.get(path, { method })).status;
    assert.equal(await status("/console/who", "POST"), 405);
    assert.equal(await status("/console/who", "DELETE"), 405);
    assert.equal(await status("/console/nowhere", "GET"), 404);
    assert.equal(await status("/console/assets/../mod.rs", "GET"), 404);
    assert.equal(await status("/console", "HEAD"), 200);
    assert.equal((await t.gateway.get("/")).headers.location, "/console");
  },
};
