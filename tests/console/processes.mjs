// Real processes: the demo that makes a site, the sandbox, gateways, and the command line.
import { execFileSync, spawn, spawnSync } from "node:child_process";
import { appendFileSync, cpSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { Agent as Plain, request as plain } from "node:http";
import { Agent as Secure, request as secure } from "node:https";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

export const LOBBY = "d23d7180-c1ee-4bbe-8630-05df5031ce35";
export const GARAGE = "0a9f3c52-6f5e-4d0b-b1d4-93c4e7a8f216";
export const OFFICE = "e4a7c9b2-18d3-4e6f-a5b0-3c2d1e0f9a8b";
export const SERVER_ROOM = "5f0c2a4e-8d6b-4c1f-9a37-2b9e6d1c7f08";
export const PERSON = "c6247b75-f1cb-493a-9915-a85a0b9639ae";
export const ACS_USER = "4b0a3f6e-6a0e-4a3f-8f3d-6b1f6e0d9a51";

const STARTS_WITHIN = 30_000;
const agents = [new Plain({ keepAlive: true }), new Secure({ keepAlive: true })];

/** Starts a process and waits for what it says. */
export function start(command, args, pattern, options = {}) {
  const child = spawn(command, args, { stdio: ["ignore", "pipe", "pipe"], ...options });
  return new Promise((found, broken) => {
    let said = "";
    const late = () => {
      child.kill("SIGKILL");
      broken(new Error(`${command} says nothing of ${pattern}: ${said}`));
    };
    const timer = setTimeout(late, STARTS_WITHIN);
    const read = (chunk) => {
      // Later it is read so that it never waits, and forgotten.
      if (said === undefined) return;
      said += chunk;
      const match = said.match(pattern);
      if (match) {
        said = undefined;
        clearTimeout(timer);
        found([match, child]);
      }
    };
    child.stdout.on("data", read);
    child.stderr.on("data", read);
    child.on("error", broken);
    child.on("exit", () => {
      clearTimeout(timer);
      broken(new Error(`${command} ended early: ${said}`));
    });
  });
}

/** Ends a process that was started here. */
export async function stop(child) {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = new Promise((resolve) => child.once("exit", resolve));
  child.kill("SIGTERM");
  const timer = setTimeout(() => child.kill("SIGKILL"), 10_000);
  await ended;
  clearTimeout(timer);
}

/** One request by HTTP, with a whole answer: `{ status, headers, text }`. */
export function ask(url, { method = "GET", headers = {}, body, ...tls } = {}) {
  const isSecure = url.startsWith("https:");
  const agent = "cert" in tls ? false : agents[Number(isSecure)];
  return new Promise((found, broken) => {
    const asked = (isSecure ? secure : plain)(url, { method, headers, agent, ...tls }, (answer) => {
      let text = "";
      answer.setEncoding("utf8");
      answer.on("data", (chunk) => (text += chunk));
      answer.on("end", () => found({ status: answer.statusCode, headers: answer.headers, text }));
    });
    asked.on("error", broken);
    asked.setTimeout(20_000, () => asked.destroy(new Error(`${url} does not answer`)));
    asked.end(body);
  });
}

/** Waits until it is so, for some seconds at most. */
export async function until(what, is, within = 20_000) {
  const end = Date.now() + within;
  for (;;) {
    const found = await is();
    if (found) return found;
    if (Date.now() > end) throw new Error(`never: ${what}`);
    await sleep(50);
  }
}

/** A folder with everything that a gateway needs, and the command line beside it. */
export class Site {
  constructor(binary, folder, token) {
    Object.assign(this, { binary, folder, token });
  }

  /** The files of a demo, whose log begins with a month of decisions. */
  static async of(binary, folder) {
    const free = "127.0.0.1:0";
    const args = ["demo", "--keep", folder, "--address", free, "--admin-address", free];
    const [[, token], child] = await start(binary, args, /Bearer (seam_gg_\S{43})'[^]*Ctrl-C stops/);
    await stop(child);
    return new Site(binary, folder, token);
  }

  at(...names) {
    return join(this.folder, ...names);
  }

  read(...names) {
    return readFileSync(this.at(...names), "utf8");
  }

  write(name, text) {
    writeFileSync(this.at(name), text);
  }

  append(name, text) {
    appendFileSync(this.at(name), text);
  }

  /** Another one like it, with or without its log. */
  copy(folder, { log = true } = {}) {
    mkdirSync(folder, { mode: 0o700 });
    const isKept = (path) => log || !path.startsWith(this.at("audit"));
    for (const name of ["audit", "callers.toml", "certs", "grantgate.toml", "policies", "secrets"]) {
      const options = { recursive: true, filter: isKept, mode: 0 };
      cpSync(this.at(name), join(folder, name), options);
    }
    cpSync(this.at("audit_signing_key.pub"), join(folder, "audit_signing_key.pub"));
    if (log) rmSync(join(folder, "audit", "lock"), { force: true });
    return new Site(this.binary, folder, this.token);
  }

  /** What the command line prints: it must end with one of these codes. */
  say(args, codes = [0], settings = {}) {
    const env = { ...process.env, ...settings };
    const bounds = { timeout: 30_000, maxBuffer: 1 << 28 };
    const done = spawnSync(this.binary, args, { cwd: this.folder, encoding: "utf8", env, ...bounds });
    if (!codes.includes(done.status)) {
      throw new Error(`grantgate ${args.join(" ")} ended with ${done.status}: ${done.stderr}`);
    }
    return done.stdout;
  }

  /** The same, as JSON. */
  json(args, codes) {
    return JSON.parse(this.say([...args, "--format", "json"], codes));
  }

  /** A sandbox that stands in for Seam. */
  async sandbox() {
    const args = ["sandbox", "--address", "127.0.0.1:0"];
    const [[url], child] = await start(this.binary, args, /https:\/\/[\w.]+:\d+/, { cwd: this.folder });
    return { url: url.replace("127.0.0.1", "localhost"), child };
  }

  /** A gateway on free ports. `under` is what runs it. */
  async serve(upstream, settings = {}, under = []) {
    const env = {
      ...process.env,
      GRANTGATE__UPSTREAM__URL: upstream,
      GRANTGATE__LISTENER__ADDRESS: "127.0.0.1:0",
      GRANTGATE__ADMIN__ADDRESS: "127.0.0.1:0",
      GRANTGATE__CONSOLE__LOCAL: "on",
      GRANTGATE__LIMITS__STOP_DELAY_MS: "0",
      GRANTGATE__LIMITS__DRAIN_TIMEOUT_MS: "1000",
      GRANTGATE__LIMITS__CALLER_REQUESTS_PER_SECOND: "10000",
      GRANTGATE__LIMITS__CALLER_REQUESTS_BURST: "10000",
      GRANTGATE__LOG__FORMAT: "json",
      ...settings,
    };
    const [command, ...args] = [...under, this.binary, "serve", "--config", "grantgate.toml"];
    const [[line], child] = await start(command, args, /^\{.*"address":.*"admin":.*$/m, { env, cwd: this.folder });
    return new Gateway(this, JSON.parse(line), child);
  }
}

/** One that runs. */
export class Gateway {
  constructor(site, { address, admin, remote_admin: remote }, child) {
    const port = (text) => text?.split(":").pop();
    Object.assign(this, { site, child });
    this.url = `https://localhost:${port(address)}`;
    this.admin = `http://127.0.0.1:${port(admin)}`;
    this.remote = remote && `https://localhost:${port(remote)}`;
    this.ca = site.read("certs", "servers-ca.pem");
  }

  /** Has the command line give an order, and waits until this gateway follows it. */
  order(...args) {
    const address = new URL(this.admin).host;
    return this.site.say([...args, "--by", "somebody"], [0], { GRANTGATE__ADMIN__ADDRESS: address });
  }

  /** Asks it to grant access, and says what came of it. */
  async grant(entrance, { token = this.site.token, ...who } = {}) {
    const headers = { authorization: `Bearer ${token}`, "content-type": "application/json" };
    const grantee = Object.keys(who).length ? who : { user_identity_id: PERSON };
    const body = JSON.stringify({ acs_entrance_id: entrance, ...grantee });
    const url = `${this.url}/acs/entrances/grant_access`;
    const { status, headers: said, text } = await ask(url, { method: "POST", headers, body, ca: this.ca });
    return { status, id: said["seam-request-id"], text };
  }

  /** What an admin address answers. */
  async get(path, options) {
    return ask(`${this.admin}${path}`, options);
  }

  async json(path, options) {
    const { status, text } = await this.get(path, options);
    try {
      return JSON.parse(text);
    } catch {
      throw new Error(`${path}: ${status}, no JSON: ${text.slice(0, 200)}`);
    }
  }

  /** Sends a form as a browser does from a page of the console. */
  async post(path, fields, { base = this.admin, headers = {}, ...tls } = {}) {
    const body = new URLSearchParams(fields).toString();
    const own = { origin: base, "sec-fetch-site": "same-origin" };
    const type = { "content-type": "application/x-www-form-urlencoded" };
    return ask(`${base}${path}`, { method: "POST", headers: { ...own, ...type, ...headers }, body, ...tls });
  }

  stop() {
    return stop(this.child);
  }
}

/** Certificates for the listener of other machines, and for people who come through it. */
export function certificates(folder, people) {
  mkdirSync(folder);
  const at = (name) => join(folder, name);
  const openssl = (args) => execFileSync("openssl", args, { stdio: ["ignore", "ignore", "pipe"], timeout: 20_000 });
  const key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-sha256", "-days", "2"];
  for (const ca of ["servers", "people"]) {
    const name = ["-subj", `/CN=${ca}`, "-keyout", at(`${ca}-ca.key`), "-out", at(`${ca}-ca.pem`)];
    openssl(["req", "-x509", ...key, ...name, "-addext", "keyUsage=critical,keyCertSign,cRLSign"]);
  }
  const issue = (ca, name, subject, use) => {
    const by = ["-CA", at(`${ca}-ca.pem`), "-CAkey", at(`${ca}-ca.key`)];
    const what = [`subjectAltName=${subject}`, `extendedKeyUsage=${use}`, "basicConstraints=critical,CA:FALSE", "keyUsage=critical,digitalSignature"];
    const out = ["-subj", `/CN=${name}`, "-keyout", at(`${name}.key`), "-out", at(`${name}.pem`)];
    openssl(["req", "-x509", ...key, ...by, ...out, ...what.flatMap((one) => ["-addext", one])]);
  };
  issue("servers", "admin", "DNS:localhost,IP:127.0.0.1", "serverAuth");
  for (const [name, subject] of Object.entries(people)) issue("people", name, subject, "clientAuth");
  return {
    settings: {
      GRANTGATE__ADMIN__REMOTE__ADDRESS: "127.0.0.1:0",
      GRANTGATE__ADMIN__REMOTE__CERTIFICATE_FILE: at("admin.pem"),
      GRANTGATE__ADMIN__REMOTE__PRIVATE_KEY_FILE: at("admin.key"),
      GRANTGATE__ADMIN__REMOTE__CLIENT_CA_FILE: at("people-ca.pem"),
    },
    of: (name) => ({ cert: readFileSync(at(`${name}.pem`)), key: readFileSync(at(`${name}.key`)) }),
    ca: readFileSync(at("servers-ca.pem")),
  };
}
