// Runs the themes one after the other: `node run.mjs BINARY FOLDER [THEME...]`. See README.md.
import { readdirSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

import { Skipped, World } from "./harness.mjs";

const TEST_AT_MOST = 90_000;

const [binary, work, ...wanted] = process.argv.slice(2);
const folder = join(dirname(fileURLToPath(import.meta.url)), "themes");
const files = readdirSync(folder).filter((file) => file.endsWith(".mjs")).sort();
const themes = files.filter((file) => !wanted.length || wanted.includes(basename(file, ".mjs")));

let passed = 0;
let failed = 0;
let skipped = 0;

const bounded = (promise) => {
  let timer;
  const late = new Promise((_, broken) => {
    timer = setTimeout(() => broken(new Error(`not done in ${TEST_AT_MOST} ms`)), TEST_AT_MOST);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
};

async function one(world, name, test) {
  const scope = world.scope();
  const began = Date.now();
  try {
    await bounded(test(scope));
    scope.verify();
    console.log(`ok ${++passed} ${name} (${Date.now() - began} ms)`);
  } catch (error) {
    if (error instanceof Skipped) {
      skipped += 1;
      console.log(`skipped ${name}: ${error.message}`);
    } else {
      failed += 1;
      console.log(`FAILED ${name}: ${error.stack}`);
      const seen = scope.complaints();
      if (seen.length) console.log(`  the browser complained: ${seen.join("; ")}`);
    }
  } finally {
    await scope.end();
  }
}

const world = new World(binary, work);
try {
  await world.start();
  for (const file of themes) {
    const { tests } = await import(join(folder, file));
    for (const [name, test] of Object.entries(tests)) {
      await one(world, `${basename(file, ".mjs")}: ${name}`, test);
    }
  }
} catch (error) {
  failed += 1;
  console.log(`FAILED ${error.stack}`);
} finally {
  await world.end();
}
if (!passed && !failed) failed += 1;
console.log(`console: ${passed} passed, ${failed} failed, ${skipped} skipped`);
process.exit(failed === 0 ? 0 : 1);
