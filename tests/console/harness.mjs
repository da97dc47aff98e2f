// What the themes share: one site with one gateway, a browser, and pages that are watched.
import { readFileSync, mkdirSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import assert from "node:assert/strict";

import { chromium } from "playwright-core";

import { Site, certificates } from "./processes.mjs";

export * from "./processes.mjs";

const BROWSER = "/usr/bin/chromium";
const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const ARGUMENTS = [
  "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
  "--disable-background-networking", "--disable-component-update", "--disable-sync",
  // As an attacker's name server does.
  "--host-resolver-rules=MAP attacker.example 127.0.0.1",
];

/** What each answer says, whatever it is. */
const HEADERS = {
  "content-security-policy":
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
    "form-action 'self'; frame-ancestors 'none'; base-uri 'none'; " +
    "require-trusted-types-for 'script'; trusted-types 'none'",
  "x-content-type-options": "nosniff",
  "referrer-policy": "same-origin",
  "cross-origin-opener-policy": "same-origin",
  "cross-origin-resource-policy": "same-origin",
  "permissions-policy": "camera=(), geolocation=(), microphone=()",
};

/** Rules beside those of the demo: technicians are in the server room in the evening. */
const RULES = `
p, role:technicians, entrance:5f0c2a4e-8d6b-4c1f-9a37-2b9e6d1c7f08, grant, allow, hours Etc/UTC Mo-Su 20:00-23:00
p, role:technicians, zone:offices, grant, allow, hours Europe/Berlin Mo-Fr 07:00-19:00; Dec 24-26 off
p, role:technicians, zone:lobby, grant, allow, grantee acs_user
p, role:front-desk, zone:lobby, read, allow
g, caller:night-crew, role:technicians
`;

export class Skipped extends Error {}

/** Ends a test that cannot be made here. */
export const skip = (why) => {
  throw new Skipped(why);
};

/** Addresses of pages with something on them; those of the navigation without an entry are taken bare. */
export const FILLED = {
  "/console/who": ["/console/who?entrance=garage", "/console/who?entrance=server+room&at=2026-11-25+12:00"],
  "/console/doors": ["/console/doors?caller=night-crew", "/console/doors?caller=night-crew&at=2026-11-28+12:00"],
  "/console/what-if": [
    "/console/what-if?caller=visitor-desk&entrance=main+entrance",
    "/console/what-if?caller=visitor-desk&entrance=server+room&at=2026-11-25+20:00",
  ],
  "/console/policy": ["/console/policy?text=garage"],
  "/console/audit": ["/console/audit?decision=deny&since=31d", "/console/audit/record?seq=2"],
};

export class World {
  constructor(binary, work) {
    Object.assign(this, { binary, work, made: 0 });
  }

  async start() {
    mkdirSync(join(this.work, "sites"));
    this.original = await Site.of(this.binary, join(this.work, "sites", "0"));
    this.original.append("policies/policy.csv", RULES);
    this.crew = this.original.say(["caller", "new", "night-crew", "--callers", "callers.toml"]).trim();
    this.sandbox = await this.original.sandbox();
    this.site = this.newSite();
    this.gateway = await this.site.serve(this.sandbox.url);
    this.browser = await chromium.launch({ executablePath: BROWSER, args: ARGUMENTS });
    const navigation = await this.gateway.get("/console");
    const links = navigation.text.match(/<nav aria-label="Pages">.*?<\/nav>/s)[0];
    this.pages = [...links.matchAll(/href="([^"]+)"/g)].map((match) => match[1]);
  }

  /** Every page, bare and filled. */
  everyPage() {
    return this.pages.flatMap((page) => [page, ...(FILLED[page] ?? [])]);
  }

  /** Another site like the first one. */
  newSite(options) {
    this.made += 1;
    return this.original.copy(join(this.work, "sites", String(this.made)), options);
  }

  scope() {
    return new Scope(this);
  }

  async end() {
    await this.browser?.close();
    await this.gateway?.stop();
    this.sandbox?.child.kill();
  }
}

/** What one test has: pages that are watched, and processes that end with it. */
class Scope {
  #complaints = [];
  #contexts = [];
  #gateways = [];

  constructor(world) {
    Object.assign(this, {
      world,
      site: world.site,
      gateway: world.gateway,
      newSite: (options) => world.newSite(options),
    });
  }

  /** A gateway of this test only. */
  async serve(site, settings, under) {
    const gateway = await site.serve(this.world.sandbox.url, settings, under);
    this.#gateways.push(gateway);
    return gateway;
  }

  /** Certificates for people. */
  people(names) {
    this.world.made += 1;
    return certificates(join(this.world.work, `certificates-${this.world.made}`), names);
  }

  /**
   * A new page in a browser that knows nothing, watched from now on. `base` is the gateway's address;
   * answers with one of these `statuses` are no errors.
   */
  async page({ base = this.gateway.admin, scheme = "light", width = 1280, statuses = [], ...options } = {}) {
    const context = await this.world.browser.newContext({
      baseURL: base,
      colorScheme: scheme,
      viewport: { width, height: 900 },
      reducedMotion: "reduce",
      ignoreHTTPSErrors: base.startsWith("https:"),
      ...options,
    });
    this.#contexts.push(context);
    context.setDefaultTimeout(15_000);
    await context.addInitScript(() => {
      document.addEventListener("securitypolicyviolation", (event) => {
        console.error(`securitypolicyviolation: ${event.effectiveDirective} ${event.blockedURI} ${event.sample}`);
      });
    });
    const complain = (text) => this.#complaints.push(text);
    const { origin } = new URL(base);
    context.on("request", (request) => {
      const url = request.url();
      if (!url.startsWith("data:") && new URL(url).origin !== origin) complain(`a request to ${url}`);
    });
    context.on("response", (response) => {
      const headers = response.headers();
      for (const [name, value] of Object.entries(HEADERS)) {
        if (headers[name] !== value) complain(`${response.url()}: ${name}: ${headers[name]}`);
      }
      const isAsset = response.url().includes("/console/assets/");
      const stored = isAsset ? "private, max-age=86400" : "no-store";
      if (headers["cache-control"] !== stored) complain(`${response.url()}: cache-control: ${headers["cache-control"]}`);
    });
    context.on("weberror", (error) => complain(`page error: ${error.error()}`));
    context.on("console", (message) => {
      if (message.type() !== "error" && message.type() !== "warning") return;
      const status = message.text().match(/^Failed to load resource: the server responded with a status of (\d+)/);
      if (status && statuses.includes(Number(status[1]))) return;
      complain(`console ${message.type()}: ${message.text()}`);
    });
    return context.newPage();
  }

  /** What axe finds on a page that matters. */
  async audit(page) {
    const of = { runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"], resultTypes: ["violations"] };
    await page.evaluate(AXE);
    const found = await page.evaluate((of) => axe.run(document, of), of);
    return found.violations
      .filter(({ impact }) => impact === "serious" || impact === "critical")
      .map(({ id, impact, nodes }) => `${impact} ${id}: ${nodes.slice(0, 3).map((node) => node.html.slice(0, 120)).join(" | ")}`);
  }

  complaints() {
    return [...new Set(this.#complaints)];
  }

  /** Takes back what the browser complained of until now. */
  takeComplaints() {
    const taken = this.complaints();
    this.#complaints = [];
    return taken;
  }

  verify() {
    assert.deepEqual(this.complaints(), [], "the browser complained");
  }

  async end() {
    for (const context of this.#contexts) await context.close();
    for (const gateway of this.#gateways) await gateway.stop();
  }
}

/** The text of an element, with single spaces. */
export const textOf = async (locator) => (await locator.innerText()).replace(/\s+/g, " ").trim();

/** Goes to a page by its name in the navigation. */
export async function go(page, name) {
  await page.getByRole("navigation", { name: "Pages" }).getByRole("link", { name, exact: true }).click();
  await page.getByRole("heading", { level: 1 }).waitFor();
}

/** Fills fields of the form by what is written beside them, and sends it. */
export async function fill(page, fields, button, form = page.locator("main form").first()) {
  for (const [label, value] of Object.entries(fields)) {
    const field = form.locator(`label:has(> span:text-is("${label}"))`).locator("input, select, textarea");
    if ((await field.evaluate((element) => element.tagName)) === "SELECT") await field.selectOption({ label: value });
    else await field.fill(value);
  }
  await Promise.all([page.waitForLoadState("load"), form.getByRole("button", { name: button }).click()]);
}
