//! Reads an expression of OpenStreetMap's `opening_hours`, and refuses what could mean two
//! things, what cannot come, and what a gateway cannot know.
//!
//! ```text
//! hours    = part *( ( "; " / ", " ) part )
//! part     = "24/7" [ " " state ]
//!          / [ years ] [ dates ] [ weeks ] [ weekdays ] [ times ] [ state ]     with a blank between
//! state    = "open" / "off" / "closed"
//! years    = year [ "+" / "-" year [ "/" step ] ] *( "," … )
//! dates    = ( month [ "-" month ] / date [ "-" date ] ) *( "," … )
//! date     = [ year " " ] ( month " " day / month " " weekday "[" nth "]" / "easter" ) [ offset ]
//! weeks    = "week " number [ "-" number [ "/" step ] ] *( "," … )
//! weekdays = ( weekday [ "-" weekday ] / weekday "[" nth *( "," nth ) "]" [ offset ] ) *( "," … )
//! times    = time "-" time *( "," time "-" time )
//! offset   = " " ( "+" / "-" ) number " day" [ "s" ]
//! ```

mod dates;
mod days;
mod slips;
mod tokens;
mod years;

use super::Mistake;
use super::expression::{DAY, Dates, Days, Expression, Part, Years};
use tokens::{Kind, Token, tokens};

/// A longer range of years that look like hours is meant to be of hours.
const YEARS_MAX: i16 = 50;

type Read<T> = Result<T, Mistake>;

/// Reads the text of an expression.
pub(super) fn read(text: &str) -> Read<Expression> {
    let end = Token { kind: Kind::End, text: "", at: text.len() };
    let reader =
        Reader { tokens: tokens(text), next: 0, end, past_midnight: None, noted: Vec::new() };
    if let Some(blank) = reader.tokens.iter().find(|t| t.kind == Kind::Blank && t.text.len() > 1) {
        return refuse(blank.at + 1, "two blanks: write one");
    }
    reader.expression()
}

fn refuse<T>(offset: usize, text: impl Into<String>) -> Read<T> {
    Err(Mistake { offset, text: text.into() })
}

struct Reader<'a> {
    tokens: Vec<Token<'a>>,
    /// Which of them is next.
    next: usize,
    end: Token<'a>,
    /// Where the first span is that does not end on its day.
    past_midnight: Option<usize>,
    /// What is valid and most likely not meant.
    noted: Vec<Mistake>,
}

/// What a part is made of, in the order in which it is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Piece {
    Years,
    Dates,
    Weeks,
    Weekdays,
    Times,
    State,
}

/// A part, and what only matters while it is read.
struct PartRead {
    part: Part,
    /// It says only which days: a comma after it may mean one more of them.
    only_days: bool,
}

impl<'a> Reader<'a> {
    /// The token `ahead` of the next one.
    fn ahead(&self, ahead: usize) -> Token<'a> {
        self.tokens.get(self.next + ahead).copied().unwrap_or(self.end)
    }

    fn peek(&self) -> Token<'a> {
        self.ahead(0)
    }

    fn take(&mut self) -> Token<'a> {
        let token = self.peek();
        self.next += 1;
        token
    }

    fn take_sign(&mut self, sign: &str) -> bool {
        let is_next = self.peek().is_sign(sign);
        self.next += usize::from(is_next);
        is_next
    }

    fn take_blank(&mut self) -> bool {
        let is_next = self.peek().kind == Kind::Blank;
        self.next += usize::from(is_next);
        is_next
    }

    fn expression(mut self) -> Read<Expression> {
        let mut parts: Vec<Part> = Vec::new();
        let mut adds = false;
        loop {
            let PartRead { part, only_days } = self.part(adds)?;
            // Some take the hours for more of the days before them, some for all days.
            let others = parts.iter().any(|part| !part.days.are_all());
            if part.opens && part.days.are_all() && others {
                return refuse(
                    part.place.start,
                    "this part has no days and follows one that has: write its days, such as `Mo-Su`",
                );
            }
            parts.push(part);
            match self.separator(only_days)? {
                Some(comma) => adds = comma,
                None => break,
            }
        }
        match self.past_midnight.filter(|_| parts.len() > 1) {
            // The grammar lets the day after cut what is left over, or not.
            Some(offset) => refuse(
                offset,
                "a span past midnight must be alone: beside `;` or `,` it would end or stay at \
                 midnight; write two spans such as `22:00-24:00,00:00-06:00`, or a rule of its own",
            ),
            None => Ok(Expression { parts, noted: self.noted }),
        }
    }

    /// Whether another part follows, and whether by a comma.
    fn separator(&mut self, only_days: bool) -> Read<Option<bool>> {
        self.take_blank();
        let sign = self.peek();
        if sign.kind == Kind::End {
            return Ok(None);
        }
        let comma = sign.is_sign(",");
        if comma && self.ahead(1).kind == Kind::Blank && only_days {
            return refuse(sign.at, slips::LIST);
        }
        if comma && self.ahead(1).kind != Kind::Blank {
            return Err(self.comma());
        }
        if !comma && !sign.is_sign(";") {
            return Err(self.unexpected());
        }
        self.next += 1;
        self.take_blank();
        if self.peek().kind == Kind::End {
            return refuse(sign.at, format!("nothing follows `{}`: leave it out", sign.text));
        }
        Ok(Some(comma))
    }

    fn part(&mut self, adds: bool) -> Read<PartRead> {
        let start = self.peek().at;
        let mut days = Days::default();
        let mut times = Vec::new();
        let mut opens = true;
        let mut last = None;
        if self.peek().text == "24" && self.ahead(1).is_sign("/") && self.ahead(2).text == "7" {
            self.next += 3;
            last = Some(Piece::Times);
        }
        let (mut loose_comma, mut times_at) = (None, None);
        while last.is_none() || self.goes_on() {
            let token = self.peek();
            let piece = self.piece()?;
            if last.is_some_and(|last| piece <= last) {
                return Err(self.out_of_order());
            }
            match piece {
                Piece::Years => days.years = self.years()?,
                Piece::Dates => days.dates = self.dates(!days.years.is_empty())?,
                Piece::Weeks => days.weeks = self.weeks(!days.years.is_empty())?,
                Piece::Weekdays => {
                    days.weekdays = self.weekdays(&days.dates)?;
                    if !days.years.is_empty() && days.weekdays.iter().any(|w| w.offset != 0) {
                        return refuse(
                            token.at,
                            "beside years days before or after a counted day would be cut where \
                             they are in another year: write the dates that are meant",
                        );
                    }
                }
                Piece::Times => {
                    times_at = Some(token.at);
                    (times, loose_comma) = self.times()?;
                }
                Piece::State => opens = self.take().text == "open",
            }
            if piece <= Piece::Weeks && self.peek().is_sign(":") {
                self.colon(token)?;
            }
            last = Some(piece);
        }
        if let Some(comma) = loose_comma.filter(|_| !opens) {
            return refuse(
                comma,
                "both times would be closed: write `; ` before a time that is closed alone",
            );
        }
        if times.is_empty() {
            times.push(0..DAY);
        }
        let only_days = last.is_some_and(|last| last <= Piece::Weekdays);
        let end = self.tokens.get(self.next.wrapping_sub(1)).unwrap_or(&self.end);
        let place = start..end.at + end.text.len();
        if times_at.is_none() {
            self.times_as_years(&days.years, start)?;
        }
        let times_at = times_at.unwrap_or(place.end);
        Ok(PartRead { part: Part { days, times, opens, adds, place, times_at }, only_days })
    }

    /// Years in a part without times that look like hours, `2000-2200`: pointed out, and
    /// refused where nobody means so many years.
    fn times_as_years(&mut self, years: &[Years], offset: usize) -> Read<()> {
        for Years { first, last, .. } in years {
            let is_time = |year: i16| year < 2400 && year % 100 < 60 && year % 5 == 0;
            // Few ranges of years are as long as the shortest of hours.
            let is_long = last - first >= 15;
            if !(is_time(*first) && is_time(*last) && is_long) {
                continue;
            }
            let time = |year: i16| format!("{}:{:02}", year / 100, year % 100);
            let (start, end) = (time(*first), time(*last));
            let text = format!("`{first}-{last}` are years; hours are written `{start}-{end}`");
            if last - first > YEARS_MAX {
                return refuse(offset, text);
            }
            self.noted.push(Mistake { offset, text });
        }
        Ok(())
    }

    /// Whether a blank and another piece of this part follow; then the piece is next.
    fn goes_on(&mut self) -> bool {
        let after = self.ahead(1);
        let ends = after.kind == Kind::End || [";", ",", "|"].iter().any(|s| after.is_sign(s));
        self.peek().kind == Kind::Blank && !ends && self.take_blank()
    }

    /// What the next token begins.
    fn piece(&self) -> Read<Piece> {
        let token = self.peek();
        match token.kind {
            Kind::Time => Ok(Piece::Times),
            Kind::Number if self.year_at(0).is_some() => {
                let date = self.ahead(1).kind == Kind::Blank && self.is_date_at(2);
                Ok(if date { Piece::Dates } else { Piece::Years })
            }
            Kind::Word => match token.text {
                "open" | "off" | "closed" => Ok(Piece::State),
                "week" => Ok(Piece::Weeks),
                "easter" => Ok(Piece::Dates),
                word if dates::month(word).is_some() => Ok(Piece::Dates),
                word if days::weekday(word).is_some() => Ok(Piece::Weekdays),
                _ => Err(self.unexpected()),
            },
            Kind::Number | Kind::Blank | Kind::Sign | Kind::End => Err(self.unexpected()),
        }
    }

    /// The colon that may follow dates, for readability.
    fn colon(&mut self, piece: Token<'_>) -> Read<()> {
        let colon = self.take();
        if self.peek().kind == Kind::Blank {
            return Ok(());
        }
        refuse(colon.at, format!("write a blank after the `:` of `{}`", piece.text))
    }

    /// A hyphen. Blanks around it are taken where they can mean nothing else.
    fn hyphen(&mut self, with_blanks: bool) -> Read<bool> {
        let blank = self.peek();
        let before = blank.kind == Kind::Blank;
        let hyphen = self.ahead(usize::from(before));
        let after = self.ahead(usize::from(before) + 1).kind == Kind::Blank;
        if !hyphen.is_sign("-") {
            return Ok(false);
        }
        match (before, after) {
            (false, false) => self.next += 1,
            (true, true) if with_blanks => self.next += 3,
            _ => {
                let at = if before { blank.at } else { hyphen.at + 1 };
                return refuse(at, "no blanks around `-`: write such as `Mo-Fr` or `08:00-18:00`");
            }
        }
        Ok(true)
    }

    /// ` +2 days`, where it is.
    fn offset(&mut self) -> Read<i16> {
        let (sign, number) = (self.ahead(1), self.ahead(2));
        let signed = sign.is_sign("+") || sign.is_sign("-");
        if self.peek().kind != Kind::Blank || !signed {
            return Ok(0);
        }
        if days::weekday(number.text).is_some() {
            return refuse(sign.at, dates::NEXT_TO_DATE);
        }
        if sign.is_sign("-") && number.kind != Kind::Number {
            return Ok(0);
        }
        let unit = self.ahead(4);
        let of_days = unit.is_word("day") || unit.is_word("days");
        if number.kind != Kind::Number || self.ahead(3).kind != Kind::Blank || !of_days {
            return refuse(sign.at, "write days before or after such as `+1 day` or `-2 days`");
        }
        let days = number.text.parse::<i16>().ok().filter(|days| (1..=366).contains(days));
        let Some(days) = days else {
            return refuse(number.at, "write 1 to 366 days");
        };
        self.next += 5;
        Ok(if sign.is_sign("-") { -days } else { days })
    }
}

/// Whether the dates run over the end of a year of their own.
/// Whether days before or after a date lead into another year.
fn leaves_its_year(dates: &Dates) -> bool {
    match dates {
        Dates::Months { .. } => false,
        Dates::From { first, last, .. } => first.leaves_its_year() || last.leaves_its_year(),
        Dates::One(point) => point.leaves_its_year(),
    }
}

/// Whether a range goes on in the next year.
fn runs_over(dates: &Dates) -> bool {
    match dates {
        Dates::Months { first, last } => first > last,
        Dates::From { wraps, .. } => *wraps,
        Dates::One(_) => false,
    }
}
