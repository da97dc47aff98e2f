// Why grantgate and `opening_hours` of npm may differ. A difference with none of these reasons
// fails the run.

const MONTHS = "Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec";

const said = (part, text) => ({ text, is: (problem) => problem.includes(part) });
const written = (pattern, text) => ({ text, is: (expression) => pattern.test(expression) });

/** Read by the other; refused by us, by what we say of it. */
export const refused = [
  said("the span ends when it begins", "refused: a span that ends when it begins"),
  said("a span past midnight must be alone", "refused: a span past midnight beside other parts"),
  said("`||` is read in two ways", "refused: a fallback"),
  said("this part has no days", "refused: hours without days after a part with days"),
  said("`, ` ends this part", "refused: a comma and a blank after days alone"),
  said("the end is before the beginning", "refused: dates in the wrong order"),
  said("beside years this would be cut", "refused: a range over the end of a year, beside years"),
  said("the weeks 1, 52 and 53", "refused: a week that may be in two years, beside years"),
  said("beside years this would be cut where it leads", "refused: an offset into another year, beside years"),
  said("beside years days before or after a counted day", "refused: a counted day with an offset, beside years"),
  said("are years; hours are written", "refused: years that look like hours"),
  said("leaves only the first of this range", "refused: a step longer than its range"),
  said("days before or after are not read beside dates", "refused: counted days with an offset, beside dates"),
  said("which end comes first changes", "refused: a range whose ends change their order"),
  said("not every year has both ends", "refused: a range of which some years have one end only"),
  said("either all dates of a list have a year", "refused: dates with and without a year"),
  said("beside several dates a counted day", "refused: a counted day in a list of dates"),
  said("after a counted day", "refused: days of the week after a counted day"),
  said("this date has a year beside those before it", "refused: a year twice"),
  said("months of another year", "refused: a month with a year in a list"),
  said("both times would be closed", "refused: `off` after times with a comma and a blank"),
  said("a year goes before its month", "refused: a year twice"),
  said("has no such day", "refused: a fifth day of a month that has four"),
  said("is not understood as one more of this list", "refused: a list after a counted day with an offset"),
  said("there is no `Feb 3", "refused: February 30 and 31"),
  said("there is no `Feb 29` in", "refused: February 29 of a year that is no leap year"),
];

/** Read by us only, by the expression. */
export const accepted = [
  written(/(^|[;,] )24\/7( off)?, /, "read here only: `24/7` before a comma"),
  written(/\b(\d{4})-\1\b/, "read here only: years from one to the same"),
  written(/,easter|easter,/, "read here only: easter in a list of dates"),
  written(/\d{4} easter [+-]/, "read here only: a day before or after easter of one year"),
  written(/\d{4} (easter|\w{3} \w\w\[\S*\])( [+-]\d days?)?-|-\d{4} (easter|\w{3} \w\w\[)/, "read here only: a range with a day that moves, and years"),
  written(/\b\d{4}[-+,]\S* \w{3} \d\d?-/, "read here only: a range of dates after several years"),
  written(/\] [+-](\d\d|[7-9])/, "read here only: a week and more from a counted day"),
  written(/\w{3} \w\w\[-?\d[,-]/, "read here only: several counted days of a month"),
];

/** Whether a counted day and the days after it are of two months, or there is no such day. */
function leavesMonth(expression, date) {
  const days = new Date(date.getFullYear(), date.getMonth() + 1, 0).getDate();
  const found = [...expression.matchAll(/\[([\d,-]*)\] ([+-])(\d)/g)];
  return found.some(([, nth, sign, offset]) =>
    /5/.test(nth) || (sign === "+" ? date.getDate() <= offset : date.getDate() > days - offset));
}

/** Whether it may be Easter, or a few days from it. */
const isSpring = (date) => date.getMonth() >= 2 && date.getMonth() <= 4;

/** Whether a range of dates ends on the day before it begins. */
function isWholeYear(expression) {
  const ranges = [...expression.matchAll(new RegExp(`(${MONTHS}) (\\d\\d?)-(${MONTHS}) (\\d\\d?)`, "g"))];
  const month = (name) => MONTHS.split("|").indexOf(name);
  return ranges.some(([, from, first, to, last]) =>
    new Date(2023, month(from), first).getTime() === new Date(2023, month(to), Number(last) + 1).getTime());
}

/** Read by both to another meaning: the expression, and when. */
export const differs = [
  {
    text: "differs: there a counted day with an offset stays in its month, and a fifth one always comes",
    is: leavesMonth,
  },
  {
    text: "differs: there a range that ends at easter ends before that day",
    is: (expression, date) => /-(\d{4} )?easter/.test(expression) && isSpring(date),
  },
  {
    text: "differs: there a range of dates over a whole year is not open for all of it",
    is: isWholeYear,
  },
  {
    text: "differs: there easter of one year comes on the same date in others",
    is: (expression, date) => /\d{4} easter/.test(expression) && isSpring(date),
  },
  {
    text: "differs: there February 29 is March 1 where a year has none",
    is: (expression, date) => /Feb (\d\d[-,])*29/.test(expression) && date.getMonth() === 2 && date.getDate() === 1,
  },
];

const DAYS_OF = new RegExp(`(\\d{4} )?(${MONTHS}) (\\d\\d?(?:-\\d\\d?)?(?:,\\d\\d?(?:-\\d\\d?)?)*)(?![\\d:])`, "g");

const YEAR_ONCE = new RegExp(`(\\d{4}) ((?:${MONTHS}) \\d\\d?)-((?:${MONTHS}) \\d\\d?)(?!\\d)`, "g");

/** The same expression in words that the other reads without a mistake: it reads `Feb 09-28` as
 *  no day, and no list of days after a year. */
export function spelled(text) {
  const days = (_, year = "", month, list) =>
    list.split(",").map((item) => item.split("-").map((day) => `${year}${month} ${day}`).join("-")).join(",");
  return text
    .replace(DAYS_OF, days)
    .replace(YEAR_ONCE, "$1 $2-$1 $3")
    .replace(/week [\d,/-]+/g, (weeks) => weeks.replace(/\/1(?!\d)/g, ""))
    .replace(new RegExp(`(\\d{4} (?:${MONTHS})) (?=\\d?\\d:)`, "g"), "$1 Mo-Su ");
}
