//! What people write in place of what is read here, and what to write.

use super::days::{OPEN_END, weekday};
use super::tokens::{Kind, Token};
use super::{Mistake, Read, Reader, dates, refuse};
use crate::policy::condition::hours::calendar::{DAYS, MONTHS};

/// Other names of days and months, in small letters.
const NAMES: [(&str, &str); 19] = [
    ("Mo", "mon monday montag lundi lunes lunedi maandag"),
    ("Tu", "tue tues tuesday dienstag mardi martes martedi dinsdag"),
    ("We", "wed weds wednesday mittwoch mercredi miercoles mercoledi woensdag"),
    ("Th", "thu thur thurs thursday donnerstag jeudi jueves giovedi donderdag"),
    ("Fr", "fri friday freitag vendredi viernes venerdi vrijdag"),
    ("Sa", "sat saturday samstag sonnabend samedi sabado sabato zaterdag"),
    ("Su", "sun sunday sonntag dimanche domingo domenica zondag"),
    ("Jan", "january januar janvier enero gennaio januari"),
    ("Feb", "february februar fevrier febrero febbraio februari"),
    ("Mar", "march maerz mrz mars marzo maart"),
    ("Apr", "april avril abril aprile"),
    ("May", "mai mayo maggio mei"),
    ("Jun", "june juni juin junio giugno"),
    ("Jul", "july juli juillet julio luglio"),
    ("Aug", "august aout agosto augustus"),
    ("Sep", "sept september septembre septiembre settembre"),
    ("Oct", "october okt oktober octobre octubre ottobre"),
    ("Nov", "november novembre noviembre"),
    ("Dec", "december dez dezember decembre diciembre dicembre"),
];

/// Words that have a meaning, and must be written as they are here.
const WORDS: [&str; 5] = ["open", "off", "closed", "week", "easter"];

const COMMENT: &str = "a comment decides nothing: write it on a line of its own, after `#`";
const SUN: &str = "the sun is not known here; write times of the clock";
const HOLIDAYS: &str =
    "holidays (`PH`, `SH`) are not known here; write their dates, such as `Dec 25 off`";
const FALLBACK: &str = "`||` is read in two ways, by the day and by the hour; write these hours as a \
                        part of their own, after `;`";

/// A comma with a blank after days: the grammar ends a part here, people go on with a list.
pub(super) const LIST: &str = "`, ` ends this part, which would be for whole days: write `Mo,We` or \
                               `Dec 24,Dec 25` without a blank for a list, or give each part its times \
                               or `off`";

impl Reader<'_> {
    /// The token so many before the next one.
    fn back(&self, back: usize) -> Option<Token<'_>> {
        self.tokens.get(self.next.checked_sub(back)?).copied()
    }

    /// What is wrong with the next token, where another was to follow.
    pub(super) fn unexpected(&self) -> Mistake {
        let token = self.peek();
        let text = match token.kind {
            Kind::End if self.next == 0 => {
                "no hours: write days and times such as `Mo-Fr 08:00-18:00`".to_owned()
            }
            Kind::End => "something is missing at the end".to_owned(),
            Kind::Word => self.word(token),
            Kind::Number => self.number(token),
            Kind::Time => match self.back(1) {
                Some(before) if matches!(before.kind, Kind::Word | Kind::Number) => {
                    format!("write a blank before `{}`", token.text)
                }
                _ => format!("`{}` is not understood here", token.text),
            },
            Kind::Blank => "no blank here".to_owned(),
            Kind::Sign => self.sign(token),
        };
        Mistake { offset: token.at, text }
    }

    fn sign(&self, token: Token<'_>) -> String {
        let days = self.back(1).is_some_and(|before| weekday(before.text).is_some());
        match token.text {
            ":" if days => "no `:` after days of the week: write a blank".to_owned(),
            "." if self.back(1).is_some_and(|before| before.kind == Kind::Word) => {
                "no `.` after a name".to_owned()
            }
            "|" => FALLBACK.to_owned(),
            "\"" => COMMENT.to_owned(),
            "(" => SUN.to_owned(),
            "+" => OPEN_END.to_owned(),
            "/" => "points in time (`/`) open nothing; write spans".to_owned(),
            "\u{2013}" | "\u{2014}" | "\u{2212}" => {
                format!("`{}` is a dash of print: write `-`", token.text)
            }
            other => format!("`{other}` is not understood here"),
        }
    }

    fn word(&self, token: Token<'_>) -> String {
        let small = token.text.to_ascii_lowercase();
        let known = DAYS.iter().chain(&MONTHS).chain(&WORDS);
        let same = known.copied().find(|known| known.eq_ignore_ascii_case(token.text));
        let other = NAMES.iter().find(|(_, names)| names.split(' ').any(|name| name == small));
        if let Some(write) = same.or(other.map(|(write, _)| *write)) {
            if write == token.text {
                return format!("`{write}` is not understood here");
            }
            return format!("`{}`: write `{write}`", token.text);
        }
        match small.as_str() {
            "ph" | "sh" => HOLIDAYS.to_owned(),
            "dawn" | "sunrise" | "sunset" | "dusk" => SUN.to_owned(),
            "unknown" => "`unknown` neither opens nor closes; write `open` or `off`".to_owned(),
            "am" | "pm" | "h" | "uhr" => TIMES.to_owned(),
            "to" | "till" | "until" | "bis" => format!("`{}`: write `-`", token.text),
            "and" | "und" | "et" => format!("`{}`: write `,`", token.text),
            "daily" | "always" | "everyday" => {
                format!("`{}`: write `Mo-Su`, or `24/7`", token.text)
            }
            "weekdays" | "workdays" => format!("`{}`: write `Mo-Fr`", token.text),
            "weekend" | "weekends" => format!("`{}`: write `Sa,Su`", token.text),
            _ => format!(
                "`{}` is not understood: days are `Mo`, `Tu`, `We`, `Th`, `Fr`, `Sa` and `Su`, months \
                 `Jan` to `Dec`",
                token.text
            ),
        }
    }

    /// A number that is neither a year nor a day of a month.
    fn number(&self, token: Token<'_>) -> String {
        let [one, two, three] = [1, 2, 3].map(|ahead| self.ahead(ahead));
        let after = if one.kind == Kind::Blank { two } else { one };
        let months = |token: Token<'_>| dates::month(token.text).is_some();
        let [before, earlier] = [1, 2].map(|back| self.back(back));
        if before.is_some_and(months) {
            return format!("write a blank before `{}`", token.text);
        }
        if before.is_some_and(|before| before.kind == Kind::Blank) && earlier.is_some_and(months) {
            return DATES.to_owned();
        }
        if let Some(month) = name_of_month(after.text) {
            return format!("write the month first: `{month} {}`", token.text);
        }
        if one.is_sign(".")
            && two.kind == Kind::Number
            && !three.is_sign(".")
            && two.text.len() == 2
        {
            return format!("write times such as `{:0>2}:{}`", token.text, two.text);
        }
        if (token.text, two.text) == ("24", "7") {
            return "`24/7` is a part of its own: it has no days and no times".to_owned();
        }
        if one.is_sign(".") || one.is_sign("/") {
            return "write dates such as `Dec 24` or `2026 Dec 24`".to_owned();
        }
        self.span_of_numbers().unwrap_or_else(|| TIMES.to_owned())
    }

    /// What `9-17`, `9am-5pm`, `8h-18h` and `0900-1700` are to be.
    fn span_of_numbers(&self) -> Option<String> {
        let (start, length) = self.hour_at(0)?;
        let hyphen = self.ahead(length).is_sign("-");
        let (end, _) = self.hour_at(length + 1).filter(|_| hyphen)?;
        Some(format!("write times such as `{start}-{end}`"))
    }

    /// A time in another form, and of how many tokens.
    fn hour_at(&self, ahead: usize) -> Option<(String, usize)> {
        let (number, unit) = (self.ahead(ahead), self.ahead(ahead + 1));
        let digits = number.text.parse::<u16>().ok()?;
        let (hour, minute) = match number.text.len() {
            1 | 2 => (digits, 0),
            4 => (digits / 100, digits % 100),
            _ => return None,
        };
        let has_unit = unit.kind == Kind::Word;
        let hour = match unit.text.to_ascii_lowercase().as_str() {
            "am" => hour % 12,
            "pm" => hour % 12 + 12,
            "h" | "uhr" => hour,
            _ if has_unit => return None,
            _ => hour,
        };
        let valid = hour < 25 && minute < 60;
        valid.then(|| (format!("{hour:02}:{minute:02}"), 1 + usize::from(has_unit)))
    }

    /// A comma without a blank, before what cannot be one more of the list.
    pub(super) fn comma(&self) -> Mistake {
        let (comma, after) = (self.peek(), self.ahead(1));
        let text = match after.kind {
            Kind::End => "nothing follows `,`: leave it out".to_owned(),
            Kind::Word | Kind::Number | Kind::Time => format!(
                "`{}` is not understood as one more of this list; before another part write `; `",
                after.text
            ),
            Kind::Blank | Kind::Sign => format!("`{}` cannot follow `,`", after.text),
        };
        let offset = if after.kind == Kind::End { comma.at } else { after.at };
        Mistake { offset, text }
    }

    /// A piece of a part after one that it goes before.
    pub(super) fn out_of_order(&self) -> Mistake {
        let token = self.peek();
        if self.year_at(0).is_some() {
            let text = "a year goes before its month or date, such as `2026 Dec 25`";
            return Mistake { offset: token.at, text: text.into() };
        }
        let text = format!(
            "`{}` cannot follow here: a part has years, dates, weeks, days of the week, times and \
             `off`, each once and in this order; before another part write `; `",
            token.text
        );
        Mistake { offset: token.at, text }
    }

    /// Refuses `2026-12-24`.
    pub(super) fn not_iso(&self) -> Read<()> {
        let [year, hyphen, month, second, day] = [0, 1, 2, 3, 4].map(|ahead| self.ahead(ahead));
        let is = |token: Token<'_>| token.kind == Kind::Number && token.text.len() == 2;
        if !hyphen.is_sign("-") || !is(month) {
            return Ok(());
        }
        let name =
            month.text.parse::<usize>().ok().and_then(|month| MONTHS.get(month.checked_sub(1)?));
        let day = if second.is_sign("-") && is(day) { day.text } else { "" };
        let text = match name {
            Some(name) if !day.is_empty() => {
                format!("write this date as `{} {name} {day}`", year.text)
            }
            Some(name) => format!("write this month as `{} {name}`", year.text),
            None => "write dates such as `2026 Dec 24`".to_owned(),
        };
        refuse(year.at, text)
    }

    /// What follows a hyphen after a date and is not a date.
    pub(super) fn no_date(&self) -> Mistake {
        let token = self.peek();
        let month = dates::month(token.text).is_some();
        if month || token.kind == Kind::Number {
            return Mistake { offset: token.at, text: DATES.into() };
        }
        self.unexpected()
    }
}

const DATES: &str = "a range of dates has a month and a day at both ends, such as `Dec 24-Jan 02`";
const TIMES: &str = "write times of 24 hours such as `09:00-17:00`, and dates such as `Dec 25`";

fn name_of_month(text: &str) -> Option<&'static str> {
    let small = text.to_ascii_lowercase();
    let same = MONTHS.iter().find(|month| month.eq_ignore_ascii_case(text));
    let other = NAMES.iter().skip(7).find(|(_, names)| names.split(' ').any(|name| name == small));
    same.or(other.map(|(month, _)| month)).copied()
}
