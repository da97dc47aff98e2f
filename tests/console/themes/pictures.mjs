// Pictures of every page: light, dark and narrow. They are compared by what every machine shows alike.
import assert from "node:assert/strict";
import { mkdirSync } from "node:fs";
import { join } from "node:path";

const FOLDER = process.env.GRANTGATE_CONSOLE_PICTURES;
const LOOKS = { light: { width: 1280 }, dark: { width: 1280, scheme: "dark" }, narrow: { width: 390 } };

/** How bright a picture is on average, from 0 to 1, how bright its ground is, and how many colours it has. */
async function look(page, picture) {
  return page.evaluate(async (base64) => {
    const bytes = Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
    const image = await createImageBitmap(new Blob([bytes], { type: "image/png" }));
    const canvas = new OffscreenCanvas(image.width, image.height).getContext("2d");
    canvas.drawImage(image, 0, 0);
    const { data } = canvas.getImageData(0, 0, image.width, image.height);
    const counts = new Map();
    let sum = 0;
    for (let at = 0; at < data.length; at += 4) {
      const [red, green, blue] = data.subarray(at, at + 3);
      sum += red + green + blue;
      const colour = (red << 16) | (green << 8) | blue;
      counts.set(colour, (counts.get(colour) ?? 0) + 1);
    }
    const [[most, count]] = [...counts].sort((a, b) => b[1] - a[1]);
    const pixels = data.length / 4;
    return {
      width: image.width,
      brightness: sum / pixels / 765,
      ground: ((most >> 16) + ((most >> 8) & 255) + (most & 255)) / 765,
      share: count / pixels,
      colours: counts.size,
    };
  }, picture.toString("base64"));
}

export const tests = {
  "every page is drawn, light, dark and narrow": async (t) => {
    if (FOLDER) mkdirSync(FOLDER, { recursive: true });
    const context = await t.world.browser.newContext();
    const table = await context.newPage();
    try {
      for (const [name, { width, scheme }] of Object.entries(LOOKS)) {
        const page = await t.page({ width, scheme });
        for (const path of t.world.everyPage()) {
          await page.goto(path);
          // The live tail draws what it has after a moment.
          if (path === "/console/live") await page.waitForFunction(() => document.querySelectorAll("#tail tbody tr").length > 0);
          const file = `${path.replace(/[^a-z0-9]+/gi, "-").replace(/^-|-$/g, "")}-${name}.png`;
          const picture = await page.screenshot({ path: FOLDER && join(FOLDER, file), animations: "disabled" });
          const { brightness, ground, share, colours, ...seen } = await look(table, picture);
          assert.equal(seen.width, width, `${file} has its width`);
          assert.ok(colours > 20 && share < 0.99, `${file} is blank: ${colours} colours, one on ${share}`);
          const isDark = brightness < 0.35 && ground < 0.2;
          const isLight = brightness > 0.75 && ground > 0.9;
          assert.ok(scheme === "dark" ? isDark : isLight, `${file} is neither: ${brightness}, ${ground}`);
        }
      }
    } finally {
      await context.close();
    }
  },
};
