// The story of one gateway and one provider: `node run.mjs BINARY FOLDER`. See README.md.
import { execFileSync, spawn } from "node:child_process";
import { generateKeyPairSync } from "node:crypto";
import { appendFileSync, readFileSync, writeFileSync } from "node:fs";
import { get as plain } from "node:http";
import { request } from "node:https";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

const [binary, work] = process.argv.slice(2);
const site = join(work, "site");
const at = (...names) => join(site, ...names);
const LOBBY = "d23d7180-c1ee-4bbe-8630-05df5031ce35";
const PERSON = "c6247b75-f1cb-493a-9915-a85a0b9639ae";
const DOORS = "https://doors.example";

let passed = 0;
let failed = 0;
const processes = [];

function check(name, found, expected) {
  if (JSON.stringify(found) === JSON.stringify(expected)) {
    console.log(`ok ${++passed} ${name}`);
  } else {
    failed += 1;
    console.log(`FAILED ${name}: ${JSON.stringify(found)} is not ${JSON.stringify(expected)}`);
  }
}

/** Starts a process and waits for a line of its output. */
function start(command, args, pattern, options = {}) {
  const child = spawn(command, args, { stdio: ["ignore", "pipe", "pipe"], ...options });
  processes.push(child);
  return new Promise((found, broken) => {
    let said = "";
    const read = (chunk) => {
      said += chunk;
      const match = said.match(pattern);
      if (match) found([match, child]);
    };
    child.stdout.on("data", read);
    child.stderr.on("data", read);
    child.on("exit", () => broken(new Error(`${command} ended early: ${said}`)));
    setTimeout(() => broken(new Error(`${command} says nothing of ${pattern}: ${said}`)), 30_000).unref();
  });
}

async function stop(child) {
  const ended = new Promise((resolve) => child.on("exit", resolve));
  child.kill();
  await ended;
}

function ask(url, method, headers, body) {
  const ca = readFileSync(at("certs", "servers-ca.pem"));
  return new Promise((found, broken) => {
    const asked = request(url, { method, headers, ca, agent: false }, (answer) => {
      let text = "";
      answer.on("data", (chunk) => (text += chunk));
      answer.on("end", () => found([answer.statusCode, text]));
    });
    asked.on("error", broken);
    asked.setTimeout(20_000, () => asked.destroy(new Error(`${url} does not answer`)));
    asked.end(body);
  });
}

function admin(address, path) {
  return new Promise((found, broken) => {
    const asked = plain(`http://${address}${path}`, (answer) => {
      let text = "";
      answer.on("data", (chunk) => (text += chunk));
      answer.on("end", () => found(text));
    });
    asked.on("error", broken);
  });
}

/** Waits until it is so, for at most twenty seconds. */
async function until(what, is) {
  for (let tries = 0; tries < 200; tries++) {
    if (await is()) return;
    await sleep(100);
  }
  throw new Error(`never: ${what}`);
}

const key = (kid) => ({
  ...generateKeyPairSync("ec", { namedCurve: "P-256" }).privateKey.export({ format: "jwk" }),
  kid,
  alg: "ES256",
  use: "sig",
});

/** A provider with these keys; the first signs. */
async function provide(port, keys) {
  writeFileSync(join(work, "keys.json"), JSON.stringify({ keys }));
  const pair = [at("certs", "sandbox.pem"), at("certs", "sandbox.key")];
  const args = ["provider.mjs", String(port), "keys.json", ...pair];
  const [match, child] = await start("node", args, /^https:\/\/localhost:(\d+)$/m, { cwd: work });
  return { issuer: match[0], port: match[1], child };
}

/** An access token of this client's, for this resource if there is one. */
async function tokenOf(issuer, client, resource) {
  const form = { grant_type: "client_credentials", scope: "doors" };
  const body = new URLSearchParams(resource ? { ...form, resource } : { grant_type: form.grant_type });
  const basic = Buffer.from(`${client}:secret-of-a-test`).toString("base64");
  const type = "application/x-www-form-urlencoded";
  const headers = { authorization: `Basic ${basic}`, "content-type": type };
  const [status, text] = await ask(`${issuer}/token`, "POST", headers, body.toString());
  if (status !== 200) throw new Error(`no token: ${status} ${text}`);
  return JSON.parse(text).access_token;
}

async function story() {
  execFileSync(binary, ["init", "--dev-certs", site], { stdio: "ignore" });
  writeFileSync(at("secrets", "seam_api_key"), "seam_apikey1_token");
  const [old, next] = [key("2026"), key("2027")];
  let provider = await provide(0, [old]);
  const { issuer, port } = provider;
  const early = await tokenOf(issuer, "desk", DOORS);
  await stop(provider.child);

  appendFileSync(
    at("grantgate.toml"),
    `\n[[issuer]]\nname = "oidc"\nissuer = "${issuer}"\naudience = "${DOORS}"\n` +
      `discovery_url = "${issuer}/.well-known/openid-configuration"\n` +
      `ca_file = "certs/servers-ca.pem"\nrefresh_ms = 2000\n`,
  );
  const callers = readFileSync(at("callers.toml"), "utf8");
  const rule =
    '[[caller.jwt]]\nname = "oidc"\nissuer = "oidc"\nclaims = { sub = "desk", groups = "front-desk" }\n';
  writeFileSync(at("callers.toml"), callers.replace("\n[[caller]]\nid = \"facilities\"", `\n${rule}\n[[caller]]\nid = "facilities"`));

  const sandbox = ["sandbox", "--address", "127.0.0.1:0"];
  const [[upstream]] = await start(binary, sandbox, /https:\/\/[\w.]+:\d+/, { cwd: site });
  const environment = {
    ...process.env,
    GRANTGATE__UPSTREAM__URL: upstream.replace("127.0.0.1", "localhost"),
    GRANTGATE__LISTENER__ADDRESS: "127.0.0.1:0",
    GRANTGATE__ADMIN__ADDRESS: "127.0.0.1:0",
    GRANTGATE__LOG__FORMAT: "json",
  };
  const serve = ["serve", "--config", at("grantgate.toml")];
  const started = /"address":"127\.0\.0\.1:(\d+)"[^]*?"admin[^"]*":"(127\.0\.0\.1:\d+)"/;
  const [[, listening, health], gateway] = await start(binary, serve, started, { env: environment });
  const grant = async (token) => {
    const headers = { authorization: `Bearer ${token}`, "content-type": "application/json" };
    const body = JSON.stringify({ acs_entrance_id: LOBBY, user_identity_id: PERSON });
    const url = `https://localhost:${listening}/acs/entrances/grant_access`;
    return (await ask(url, "POST", headers, body))[0];
  };

  check("the provider is down: a token is refused", await grant(early), 401);
  const ready = await admin(health, "/readyz?verbose");
  check("and readiness says so", /\[!\] issuers: without keys[^\n]*oidc/.test(ready), true);
  provider = await provide(port, [old]);
  await until("keys", async () => (await grant(early)) === 200);
  const desk = await tokenOf(issuer, "desk", DOORS);
  check("the provider is there: granted", await grant(desk), 200);
  check("once more", await grant(desk), 200);
  check("another client", await grant(await tokenOf(issuer, "nobody", DOORS)), 401);
  check("another audience", await grant(await tokenOf(issuer, "desk", "https://lights.example")), 401);
  check("an opaque token", await grant(await tokenOf(issuer, "desk")), 401);
  check("a token that was changed", await grant(desk.replace(/..\./, "AA.")), 401);

  await stop(provider.child);
  provider = await provide(port, [next, old]);
  const rotated = await tokenOf(issuer, "desk", DOORS);
  check("a new key, at its first token", await grant(rotated), 200);
  check("the old key, while it is published", await grant(desk), 200);
  await stop(provider.child);
  check("the provider is down: a known token", await grant(rotated), 200);
  const failures = async () =>
    /issuer_fetches_total\{issuer="oidc",result="connection"\} [1-9]/.test(await admin(health, "/metrics"));
  await until("a fetch that fails", failures);
  check("after a fetch has failed", await grant(rotated), 200);
  provider = await provide(port, [next]);
  const unseen = await tokenOf(issuer, "desk", DOORS);
  await until("the old key is gone", async () => (await grant(desk)) === 401);
  check("the old key is gone, the new one serves", await grant(unseen), 200);
  await stop(provider.child);

  await stop(gateway);
  const shown = execFileSync(binary, ["audit", "show", "--format", "json", at("audit")], { encoding: "utf8" });
  const records = shown.trim().split("\n").map((line) => JSON.parse(line));
  const decisions = records.filter((record) => record.event === "grant.decision");
  const by = new Set(decisions.map((record) => `${record.caller} ${record.credential}`));
  check("records name the rule", [...by], ["visitor-desk jwt:oidc"]);
  const reasons = new Set(records.filter((r) => r.event === "authn.failure").map((r) => r.reason));
  for (const reason of ["jwt-issuer-unavailable", "jwt-unmapped", "jwt-audience", "token-unknown", "jwt-key-unknown"]) {
    check(`records have ${reason}`, reasons.has(reason), true);
  }
  const [, granted] = await ask(`${environment.GRANTGATE__UPSTREAM__URL}/_sandbox/grants`, "GET", {});
  const outcomes = records.filter((record) => record.outcome === "granted");
  check("what was granted arrived, and nothing else", JSON.parse(granted).grants.length, outcomes.length);
}

try {
  await story();
} catch (error) {
  failed += 1;
  console.log(`FAILED ${error.stack}`);
} finally {
  for (const child of processes) child.kill();
}
console.log(`oidc: ${passed} passed, ${failed} failed`);
process.exit(failed === 0 ? 0 : 1);
