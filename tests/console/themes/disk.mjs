// The disk of the log is full: nothing goes through, and the overview says why.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { closeSync, mkdirSync, openSync, rmSync, writeSync } from "node:fs";

import { LOBBY, SERVER_ROOM, skip, textOf, until } from "../harness.mjs";

const WITHIN = 5_000;

export const tests = {
  "the overview turns red and says why, and turns back": async (t) => {
    const can = spawnSync("unshare", ["--map-root-user", "--mount", "true"]);
    if (can.status !== 0) {
      assert.equal(process.env.GRANTGATE_TESTS_COMPLETE, undefined, "unshare is missing or not allowed");
      skip("a file system of its own needs `unshare`, which is missing or not allowed here");
    }
    const site = t.newSite({ log: false });
    const disk = site.at("audit");
    mkdirSync(disk, { recursive: true, mode: 0o700 });
    const mount = 'mount -t tmpfs -o size=3m,mode=700 tmpfs "$DISK" && exec "$@"';
    const under = ["unshare", "--map-root-user", "--mount", "sh", "-c", mount, "sh"];
    const gateway = await t.serve(site, { DISK: disk, GRANTGATE__AUDIT__WAL: "off" }, under);
    assert.equal((await gateway.grant(LOBBY)).status, 200);
    const page = await t.page({ base: gateway.admin });
    await page.goto("/console");
    const state = page.locator("header .state");
    assert.equal(await textOf(state), "ready");
    assert.equal(await page.locator("#why").count(), 0);

    const filler = `/proc/${gateway.child.pid}/root${disk}/filler`;
    const file = openSync(filler, "w");
    try {
      for (;;) writeSync(file, Buffer.alloc(4096));
    } catch (error) {
      assert.equal(error.code, "ENOSPC");
    }
    closeSync(file);
    // The log has taken room before.
    await until("no grant goes through", async () => {
      const grants = await Promise.all(Array.from({ length: 50 }, () => gateway.grant(SERVER_ROOM)));
      return grants.every(({ status }) => status === 503);
    });
    const began = Date.now();
    await until("it is red", async () => {
      await page.reload();
      return (await page.locator("#why").count()) === 1;
    }, WITHIN);
    assert.ok(Date.now() - began <= WITHIN);
    assert.match(await state.getAttribute("class"), /\bbad\b/);
    assert.equal(await textOf(state), "not ready");
    const { status, text } = await gateway.get("/readyz?verbose");
    assert.equal(status, 503);
    const [, cause] = text.match(/^\[-\] audit: (.*)$/m);
    assert.match(cause, /No space left on device/);
    const [name, ...said] = (await textOf(page.locator("#why li"))).split(": ");
    assert.deepEqual([name, said.join(": ")], ["audit", cause]);
    assert.deepEqual(await t.audit(page), []);

    rmSync(filler);
    await until("it is ready again", async () => {
      await page.reload();
      return (await textOf(state)) === "ready";
    }, WITHIN);
    assert.equal(await page.locator("#why").count(), 0);
  },
};
