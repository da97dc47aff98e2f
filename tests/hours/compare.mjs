// Compares what grantgate makes of opening hours with what `opening_hours` of npm makes of
// them, an implementation by others: `compare.mjs BINARY MODULES SEED COUNT`, with `TZ` set to
// the time zone. Each expression is the condition of a rule with an entrance of its own; what
// the other one says of it becomes the cases of `grantgate policy test`.

import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { chance, expressions } from "./expressions.mjs";
import { accepted, differs, refused, spelled } from "./reasons.mjs";

const [binary, modules, seed, count] = process.argv.slice(2);
const OpeningHours = createRequire(join(modules, "package.json"))("opening_hours");
const zone = process.env.TZ;
const model = fileURLToPath(new URL("../../policies/model.conf", import.meta.url));
const work = mkdtempSync(join(tmpdir(), "hours-"));
const random = chance(Number(seed) + 1);

/** Problems are listed up to 100 at once. */
const RULES_CHECKED = 100;
/** A line is looked for in the text before it: files stay small. */
const CASES_IN_FILE = 500;

const entrance = (number) => `00000000-0000-4000-8000-${number.toString(16).padStart(12, "0")}`;
const rule = (text, number) =>
  `p, role:r, entrance:${entrance(number)}, grant, allow, hours ${zone} ${text}\n`;

function write(name, text) {
  writeFileSync(join(work, name), text);
}

function grantgate(...given) {
  const files = ["--model", model, "--callers", "callers.toml", "--entrances", "none.csv"];
  const command = ["policy", ...given, "--format", "json", "--rules", "policy.csv", ...files];
  const options = { cwd: work, encoding: "utf8", maxBuffer: 2 ** 30 };
  const { stdout, stderr } = spawnSync(binary, command, options);
  try {
    return JSON.parse(stdout);
  } catch {
    throw new Error(`grantgate policy ${given.join(" ")}: ${stdout}${stderr}`);
  }
}

/** What grantgate says of each expression that it refuses, by its number. */
function ours(texts) {
  const found = new Map();
  for (let start = 0; start < texts.length; start += RULES_CHECKED) {
    const some = texts.slice(start, start + RULES_CHECKED);
    // The rule at the end is valid, so that a policy of refused ones is not called empty.
    write("policy.csv", [...some, "24/7"].map((text, n) => rule(text, start + n)).join("") + "g, caller:c, role:r\n");
    for (const problem of grantgate("check").problems) {
      if (problem.kind !== "error") continue;
      if (!(problem.line <= some.length) || !problem.column) {
        throw new Error(`no place: ${JSON.stringify(problem)}`);
      }
      found.set(start + problem.line - 1, problem.text);
    }
  }
  return found;
}

/** What the other makes of an expression: whether it is open then, or why it does not read it. */
function theirs(text) {
  try {
    const hours = new OpeningHours(spelled(text), null, { locale: "en" });
    return { states: instants(hours).map((time) => ({ time, open: hours.getState(new Date(time)) })) };
  } catch (error) {
    return { error: String(error).split("\n")[0] };
  }
}

const FIRST = new Date(2022, 0, 1).getTime();
const LAST = new Date(2031, 0, 1).getTime();
const MINUTE = 60_000;

/** Days at which calendars go wrong. */
const EDGES = [[1, 1], [1, 4], [2, 28], [2, 29], [3, 1], [3, 31], [4, 30], [5, 1], [12, 24], [12, 25], [12, 28], [12, 31]];

/** When the clocks of the zone change. */
const CHANGES = [];
for (let time = FIRST, offset = (time) => new Date(time).getTimezoneOffset(); time < LAST; time += 60 * MINUTE) {
  if (offset(time) !== offset(time - 60 * MINUTE)) CHANGES.push(time);
}

/** When an expression is looked at: before and at changes, at edges of the calendar, by chance. */
function instants(hours) {
  const found = new Set();
  const add = (time) => found.add(Math.floor(time / MINUTE) * MINUTE);
  const any = () => FIRST + random() * (LAST - FIRST);
  for (let n = 0; n < 6; n += 1) {
    // With a limit: some expressions it would search without an end.
    const next = hours.getNextChange(new Date(any()), new Date(LAST));
    if (next) [-1, 0, 1, 60].forEach((minutes) => add(next.getTime() + minutes * MINUTE));
  }
  for (let n = 0; n < 8; n += 1) {
    const [month, day] = EDGES[Math.floor(random() * EDGES.length)];
    const year = 2022 + Math.floor(random() * 9);
    for (const hour of [0, 11, 23]) add(new Date(year, month - 1, day, hour, 59 * Math.round(random())).getTime());
  }
  for (let n = 0; n < 20; n += 1) add(any());
  for (let n = 0; n < Math.min(3, CHANGES.length); n += 1) {
    const change = CHANGES[Math.floor(random() * CHANGES.length)];
    for (const minutes of [-121, -61, -1, 0, 1, 59, 60, 120, 360, 720]) add(change + minutes * MINUTE);
  }
  return [...found].filter((time) => time >= FIRST && time < LAST);
}

function local(time) {
  const date = new Date(time);
  const two = (n) => String(n).padStart(2, "0");
  return `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}T${two(date.getHours())}:${two(date.getMinutes())}`;
}

const explained = new Map();
const unexplained = [];

function explain(kind, list, about, ...found) {
  const reason = list.find((reason) => reason.is(...found));
  if (!reason) return unexplained.push(`${kind}: ${about}`);
  explained.set(reason.text, (explained.get(reason.text) ?? 0) + 1);
}

function main() {
  const made = new Map(expressions(Number(seed), Number(count)).map(({ text, slip }) => [text, slip]));
  const texts = [...made.keys()];
  write("callers.toml", `[[caller]]\nid = "c"\ntokens = [{ name = "t", sha256 = "${"a".repeat(64)}" }]\n`);
  const problems = ours(texts);
  // To refuse what somebody mistyped is always right, whatever another makes of it; some of it
  // would keep the other busy without an end.
  const mistyped = (number) => made.get(texts[number]) && problems.has(number);
  const read = texts.map((text, number) => (mistyped(number) ? { error: "" } : theirs(text)));
  const both = [];
  let [bothRefuse, slips] = [0, 0];
  texts.forEach((text, number) => {
    const [problem, error] = [problems.get(number), read[number].error];
    if (mistyped(number)) slips += 1;
    else if (problem && error) bothRefuse += 1;
    else if (problem) explain("refused by grantgate only", refused, `${text}  (${problem})`, problem, text);
    else if (error) explain("accepted by grantgate only", accepted, `${text}  (${error})`, text, error);
    else both.push(number);
  });
  const cases = [];
  for (const number of both) {
    cases.push(...read[number].states.map((state) => ({ number, ...state })));
  }
  write("policy.csv", both.map((number) => rule(texts[number], number)).join("") + "g, caller:c, role:r\n");
  mkdirSync(join(work, "cases"));
  for (let start = 0; start < cases.length; start += CASES_IN_FILE) {
    const some = cases.slice(start, start + CASES_IN_FILE).map(({ number, time, open }, n) =>
      `[[case]]\nname = "${start + n}"\ncaller = "c"\nentrance = "${entrance(number)}"\n` +
      `at = ${new Date(time).toISOString()}\ngrantee = "acs_user"\ndecision = "${open ? "allow" : "deny"}"\n`);
    write(`cases/${String(start).padStart(9, "0")}.toml`, some.join(""));
  }
  const outcome = grantgate("test", "cases");
  if (outcome.cases.length !== cases.length) throw new Error("not every case was judged");
  let different = 0;
  for (const found of outcome.cases.filter((found) => !found.passed)) {
    const { number, time, open } = cases[Number(found.name)];
    const about = `${texts[number]} at ${local(time)} ${zone}: ${open ? "closed, open" : "open, closed"} there`;
    different += 1;
    explain("differs", differs, about, texts[number], new Date(time));
  }
  for (const [text, times] of [...explained].sort()) console.log(`  ${String(times).padStart(6)}  ${text}`);
  for (const text of unexplained.slice(0, 40)) console.log(`UNEXPLAINED ${text}`);
  console.log(
    `${zone}, seed ${seed}: ${texts.length} expressions, ${bothRefuse} refused by both, ${slips} mistyped and refused here, ${both.length} read by both ` +
    `and compared at ${cases.length} times, ${different} of them differ; ${unexplained.length} unexplained`,
  );
  return unexplained.length === 0 ? 0 : 1;
}

try {
  process.exitCode = main();
} finally {
  if (!process.env.KEEP) rmSync(work, { recursive: true });
}
