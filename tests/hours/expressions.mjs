// Expressions of opening hours, made by chance from a seed: the same seed makes the same ones.
// Most are valid; many have a date that does not exist, a range that goes backwards, or a form
// that is not read.

/** Numbers from 0 to 1 (mulberry32). */
export function chance(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

const DAYS = ["Mo", "Tu", "We", "Th", "Fr", "Sa", "Su"];
const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
const TIMES = ["00:00", "06:00", "08:00", "9:00", "12:30", "18:00", "20:15", "22:00", "23:59", "24:00"];

const SIGNS = [...",;-+:/[] 0123456789"];

/** Texts, and whether a character of each was changed. */
export function expressions(seed, count) {
  const random = chance(seed);
  const below = (n) => Math.floor(random() * n);
  const pick = (list) => list[below(list.length)];
  const often = (share) => random() < share;
  const list = (most, one) => Array.from({ length: 1 + below(most) }, one).join(",");
  const two = (n) => String(n).padStart(2, "0");

  const year = () => 2022 + below(9);
  const month = () => pick(MONTHS);
  // Half of the days are at an edge of a month.
  const day = () => two(often(0.5) ? pick([1, 2, 28, 29, 30, 31]) : 1 + below(31));
  const nth = () => pick(["1", "2", "3", "4", "5", "-1", "-2", "-5"]);
  const offset = () => ` ${pick(["+", "-"])}${1 + below(6)} ${pick(["day", "days"])}`;
  const date = () => `${month()} ${day()}`;
  const floating = () => {
    const base = often(0.5) ? "easter" : `${month()} ${pick(DAYS)}[${nth()}]`;
    return often(0.4) ? base + offset() : base;
  };
  const point = () => (often(0.8) ? date() : floating());

  const years = () =>
    list(2, () => {
      const first = year();
      return pick([`${first}`, `${first}-${year()}`, `${first}+`, `${first}-${year()}/${1 + below(4)}`]);
    });
  const dates = () => {
    const dated = often(0.25);
    const of = () => (dated ? `${year()} ` : "");
    return list(2, () => {
      switch (below(8)) {
        case 0: return `${of()}${month()}`;
        case 1: return `${of()}${month()}-${month()}`;
        case 2: return `${of()}${date()}-${day()}`;
        case 3: return `${of()}${point()}-${of()}${point()}`;
        case 4: return `${of()}${date()},${day()}`;
        case 5: return `${of()}${date()}-${day()},${day()}`;
        default: return `${of()}${point()}`;
      }
    });
  };
  const weeks = () =>
    "week " +
    list(2, () => {
      const first = 1 + below(53);
      const last = often(0.8) ? Math.min(first + below(20), 54) : 1 + below(53);
      return pick([`${first}`, `${two(first)}-${two(last)}`, `${first}-${last}/${1 + below(4)}`]);
    });
  const weekdays = () =>
    list(2, () => {
      const counted = `${pick(DAYS)}[${pick([nth(), `${1 + below(4)}-${1 + below(5)}`, `${nth()},${nth()}`])}]`;
      const plain = pick([pick(DAYS), `${pick(DAYS)}-${pick(DAYS)}`]);
      return often(0.75) ? plain : often(0.3) ? counted + offset() : counted;
    });
  const times = () =>
    list(2, () => {
      if (often(0.1)) return `${pick(TIMES)}-${pick([...TIMES, "26:00", "30:30", "48:00"])}`;
      const start = below(TIMES.length - 1);
      return `${TIMES[start]}-${TIMES[start + 1 + below(TIMES.length - 1 - start)]}`;
    });

  const part = () => {
    if (often(0.05)) return pick(["24/7", "24/7 off", "off"]);
    const pieces = [];
    if (often(0.12)) pieces.push(years());
    if (often(0.5)) pieces.push(dates());
    if (often(0.12)) pieces.push(weeks());
    if (often(0.5)) pieces.push(weekdays());
    if (often(0.65)) pieces.push(times());
    if (pieces.length === 0) pieces.push(often(0.5) ? dates() : weekdays());
    const state = random();
    if (state < 0.2) pieces.push("off");
    else if (state < 0.25) pieces.push(pick(["open", "closed"]));
    return pieces.join(" ");
  };
  const one = () => {
    let text = part();
    while (often(0.35)) text += pick(["; ", "; ", "; ", "; ", "; ", "; ", ", ", ", ", ", ", " || "]) + part();
    return text;
  };
  // One in six has a slip: a character too many, too few, or another.
  const slip = (text) => {
    const at = below(text.length);
    const [before, after] = [text.slice(0, at), text.slice(at + 1)];
    switch (below(3)) {
      case 0: return before + after;
      case 1: return before + pick(SIGNS) + text[at] + after;
      default: return before + pick(SIGNS) + after;
    }
  };
  return Array.from({ length: count }, () => {
    const text = one();
    return often(1 / 6) ? { text: slip(text), slip: true } : { text, slip: false };
  });
}
