use jiff::tz::TimeZone;

use super::Hours;
use jiff::civil::Date;

use super::read::read;

/// The days from `first` to `last` on which it is open at noon.
fn days_open(text: &str, first: &str, last: &str) -> Vec<String> {
    let expression = read(text).unwrap_or_else(|mistake| panic!("{text}: {mistake:?}"));
    let date = |text: &str| text.parse::<Date>().unwrap();
    let open = super::days(date(first), date(last)).filter(|day| expression.is_open(*day, 720));
    open.map(|day| day.to_string()).collect()
}

fn minutes_open(text: &str, day: &str) -> Vec<String> {
    let spans = read(text).unwrap().spans(day.parse().unwrap()).into_iter();
    let time = |minute| format!("{:02}:{:02}", minute / 60, minute % 60);
    spans.map(|span| format!("{}-{}", time(span.start), time(span.end))).collect()
}

/// Each text, with `^` before the place of the mistake, and a part of what is said.
fn are_refused(table: &[(&str, &str)]) {
    for (marked, said) in table {
        let offset = marked.find('^').unwrap();
        let text = marked.replacen('^', "", 1);
        let mistake = read(&text).expect_err(marked);
        assert!(mistake.text.contains(said), "{marked}: {mistake:?}");
        assert_eq!(mistake.offset, offset, "{marked}: {mistake:?}");
    }
}

#[test]
fn a_date_that_does_not_exist_is_refused_wherever_it_is() {
    are_refused(&[
        ("Jun ^31 08:00-18:00", "there is no `Jun 31`: Jun has 30 days"),
        ("Nov ^31 Mo-Fr 08:00-18:00", "Nov has 30 days"),
        ("Feb ^30", "Feb has 29 days"),
        ("2027 Feb ^29", "no `Feb 29` in 2027"),
        ("Jan ^00", "no `Jan 00`"),
        ("Jan ^32", "no `Jan 32`"),
        // In ranges, lists, parts that close, with years.
        ("Apr ^31-May 05", "Apr has 30 days"),
        ("May 01-Jun ^31", "Jun has 30 days"),
        ("Jun 28-^31", "Jun has 30 days"),
        ("Jun 25,^31 off", "Jun has 30 days"),
        ("Jun 05-10,^31", "Jun has 30 days"),
        ("24/7; Jun ^31 off", "Jun has 30 days"),
        ("Mo-Fr 08:00-18:00, Sep ^31 10:00-12:00", "Sep has 30 days"),
        ("2026 Jan 01-2027 Feb ^29", "no `Feb 29` in 2027"),
        ("2027 Feb 20-^29", "no `Feb 29` in 2027"),
        ("2026 ^Jul Mo[5]", "2026 has no such day"),
        ("week ^54", "a week of 1 to 53"),
        ("week ^0", "a week of 1 to 53"),
        ("Mo[^6]", "1 to 5"),
        ("Mo[^0]", "1 to 5"),
        ("^1899", "write times"),
    ]);
}

#[test]
fn a_range_in_the_wrong_order_is_refused() {
    are_refused(&[
        ("2027-^2026", "2026 is before 2027"),
        ("2026 Dec 24-^2026 Jan 02", "write the earlier date first"),
        ("2026 Dec 24-^Jan 02", "write its year too"),
        ("Dec 24-^2027 Jan 02", "write the year of the first date too"),
        ("Dec 26-^24", "write the earlier day first"),
        ("Dec 26-^Dec 24", "write the earlier day first"),
        ("Jan 30-^02", "write the earlier day first"),
        ("week 10-^5", "write such as `week 10-53,1-5`"),
        ("Mo[3-^1]", "write `1-3`"),
        // Which comes first depends on the year.
        ("Mar 31-^easter", "as in 2005"),
        ("Jun Mo[5]-^Jul 10", "not every year has both ends"),
        // Cut at the ends of the years beside it.
        ("2026 ^Nov-Feb", "beside years"),
        ("2026-2027 ^Dec 24-Jan 02", "beside years"),
        ("2026 week ^53", "may be in two years"),
        ("2025-2027 week ^1-5", "may be in two years"),
    ]);
}

#[test]
fn what_other_readers_take_for_something_else_is_refused() {
    are_refused(&[
        ("08:00-^08:00", "ends when it begins"),
        ("00:00-^00:00", "write `00:00-24:00`"),
        ("^24:00-25:00", "begins before 24:00"),
        ("10:00-^48:01", "no time `48:01`"),
        ("10:00-^18:60", "no time `18:60`"),
        ("week 1-5/^10", "leaves only the first"),
        ("2026-2028/^5", "leaves only the first"),
        ("2026-2028/^0", "leaves only the first"),
        ("Mo^, We 08:00-18:00", "`, ` ends this part"),
        ("24/7; Dec 24^, Dec 25 off", "`, ` ends this part"),
        ("Dec 25^, 26 off", "`, ` ends this part"),
        ("Mo-Fr 08:00-18:00; ^20:00-22:00", "has no days"),
        ("Mo 08:00-10:00 open, ^12:00-13:00", "has no days"),
        ("Mo-Fr 08:00-18:00^, 12:00-13:00 off", "both times would be closed"),
        ("Mo-Fr 08:00-12:00 ^|| 14:00-18:00", "read in two ways"),
        ("^22:00-06:00; Dec 25 off", "past midnight must be alone"),
        ("Mo 08:00-18:00, Su ^22:00-28:00", "past midnight must be alone"),
        ("Jun,^Aug Su[1]", "read in two ways"),
        ("Jun,Aug ^Su[1,2]", "read in two ways"),
        ("Mar Mo[-1] ^We-Th", "read in two ways"),
        ("Jan Mo[1,3] ^+1 day", "not read beside dates"),
        ("2026 Dec 25,^Dec 26", "either all dates of a list have a year or none"),
        ("2026 Dec 24-2027^,Dec 25", "a blank after the year"),
        ("2026 Dec 24-2027^-Dec 25", "a blank after the year"),
        ("2026 Dec 25,^Jan", "either all dates of a list have a year or none"),
        ("2026-2027 ^2026 Dec 25", "a year beside those before it"),
        ("2026 Jan-Mar,2027 ^Jan", "need a part of their own"),
        ("Dec 24-Jan 02,^05", "write the month"),
        ("Dec 25 ^+1 day", "write the date that is meant"),
        ("Dec 25 ^-Su", "a day of the week before or after a date"),
        ("easter +^367 days", "1 to 366 days"),
        ("easter ^+1 week", "`+1 day`"),
    ]);
}

#[test]
fn what_a_gateway_cannot_know_is_refused() {
    are_refused(&[
        ("Mo-Fr 08:00-18:00; ^PH off", "holidays (`PH`, `SH`)"),
        ("Mo,^SH 08:00-18:00", "holidays (`PH`, `SH`)"),
        ("^sunrise-sunset", "the sun is not known"),
        ("08:00-^sunset", "the sun is not known"),
        ("^(sunrise+01:00)-18:00", "the sun is not known"),
        ("18:00^+", "an open end"),
        ("10:00-18:00^+", "an open end"),
        ("2026 Dec 25^+", "an open end"),
        ("Mo ^unknown", "`unknown` neither opens"),
        ("10:00-16:00^/01:30", "points in time"),
        ("^10:00", "a point in time"),
        ("Mo ^\"by appointment\"", "a comment decides nothing"),
    ]);
}

#[test]
fn the_usual_slips_are_answered_with_what_to_write() {
    are_refused(&[
        ("Mo-We^: 10:00-12:00", "no `:` after days of the week"),
        ("^9-17", "`09:00-17:00`"),
        ("Mo-Fr ^9-17", "`09:00-17:00`"),
        ("Mo ^9am-5pm", "`09:00-17:00`"),
        ("Mo ^9am", "times of 24 hours"),
        ("Mo-Fr ^8-18h", "`08:00-18:00`"),
        ("Mo ^0900-1700", "`09:00-17:00`"),
        ("Mo ^08.00-18.00", "`08:00`"),
        ("Mo 08:00^\u{2013}18:00", "write `-`"),
        ("^Mon-Fri 08:00-18:00", "write `Mo`"),
        ("^Montag", "write `Mo`"),
        ("Mo-^Freitag", "write `Fr`"),
        ("^Di 08:00-18:00", "days are `Mo`, `Tu`"),
        ("^lundi", "write `Mo`"),
        ("^mo", "write `Mo`"),
        ("Mo-Fr ^OFF", "write `off`"),
        ("^December 25 off", "write `Dec`"),
        ("^2026-12-24", "write this date as `2026 Dec 24`"),
        ("Mo-Fr 08:00-18:00; ^2026-12-24 off", "write this date as `2026 Dec 24`"),
        ("^2026-12", "write this month as `2026 Dec`"),
        ("^24.12. off", "`Dec 24`"),
        ("^12/24 off", "`Dec 24`"),
        ("^25 Dec off", "`Dec 25`"),
        ("Dec 25 ^2026", "a year goes before"),
        ("Dec ^2026", "write `2026 Dec`"),
        ("Dec^25", "a blank before `25`"),
        ("2026^Jun", "a blank after the year"),
        ("Mo ^ 08:00-10:00", "two blanks"),
        ("Mo^ - Fr", "no blanks around `-`"),
        ("Mo-^ Fr", "no blanks around `-`"),
        ("Mo^08:00-10:00", "a blank before `08:00`"),
        ("Mo 08:00-10:00,^Tu 12:00-13:00", "before another part write `; `"),
        ("08:00-18:00 ^Mo-Fr", "in this order"),
        ("Mo-Fr 08:00-18:00^;", "nothing follows `;`"),
        ("Mo-Fr^,", "nothing follows `,`"),
        ("08:00-^", "something is missing"),
        ("^", "no hours"),
        ("Mo ^24/7", "`24/7` is a part of its own"),
        ("^daily 08:00-18:00", "write `Mo-Su`"),
        ("08:00-12:00 ^to 18:00", "write `-`"),
    ]);
}

#[test]
fn no_text_names_what_only_a_programmer_knows() {
    for text in ["x", "Mo 8", "Dec 25 x", "1", "Mo[", "week x", "2026-", "08:00-x", "Mo-Fr;;", "@"]
    {
        let said = read(text).unwrap_err().text;
        assert!(
            !said.contains("_") && !said.contains("EOI") && !said.contains("expected"),
            "{said}"
        );
    }
}

#[test]
fn what_is_valid_means_what_it_says() {
    let days = |text: &str, first: &str, last: &str| days_open(text, first, last).join(" ");
    let year = |text: &str| days(text, "2026-01-01", "2026-12-31");
    assert_eq!(days("Feb 29", "2026-01-01", "2029-12-31"), "2028-02-29");
    assert_eq!(days("Feb 28-Mar 01", "2027-01-01", "2027-12-31"), "2027-02-28 2027-03-01");
    assert_eq!(days("Feb 29-Mar 01", "2027-01-01", "2027-12-31"), "2027-03-01");
    assert_eq!(days("Feb 28-29", "2027-01-01", "2028-12-31"), "2027-02-28 2028-02-28 2028-02-29");
    let turn = days("Dec 31-Jan 01", "2026-06-01", "2028-06-01");
    assert_eq!(turn, "2026-12-31 2027-01-01 2027-12-31 2028-01-01");
    let once = days("2026 Dec 31-2027 Jan 01", "2025-06-01", "2028-06-01");
    assert_eq!(once, "2026-12-31 2027-01-01");
    assert_eq!(year("2026 Mar 01-Mar 03"), "2026-03-01 2026-03-02 2026-03-03");
    // A comma in a list of days: they are all of one month.
    assert_eq!(year("Dec 25,26"), "2026-12-25 2026-12-26");
    assert_eq!(year("Dec 24-25,31"), "2026-12-24 2026-12-25 2026-12-31");
    assert_eq!(year("2026 Dec 25,30-31"), "2026-12-25 2026-12-30 2026-12-31");
    assert_eq!(year("Jan 05,Dec 25,26"), "2026-01-05 2026-12-25 2026-12-26");
    let closed = year("Dec 24-27; Dec 25,26 off");
    assert_eq!(closed, "2026-12-24 2026-12-27");
    // Steps, weeks, counted days, and days that move.
    assert_eq!(
        days("2026-2030/2 Jan 01", "2025-01-01", "2031-12-31"),
        "2026-01-01 2028-01-01 2030-01-01"
    );
    assert_eq!(year("week 1-5/2 Mo"), "2026-01-12 2026-01-26");
    assert_eq!(days("week 53 Mo", "2020-01-01", "2031-12-31"), "2020-12-28 2026-12-28");
    assert_eq!(year("Mo[5]").split(' ').count(), 4);
    assert_eq!(year("Jan Mo[1] +1 day"), "2026-01-06");
    assert_eq!(days("We[5] +2 days", "2026-04-01", "2026-05-10"), "2026-05-01");
    assert_eq!(days("Mo[-1] +6 days", "2026-05-29", "2026-06-10"), "2026-05-31");
    assert_eq!(year("easter -2 days-easter +1 day"), "2026-04-03 2026-04-04 2026-04-05 2026-04-06");
    assert_eq!(days("2026 easter", "2020-01-01", "2030-01-01"), "2026-04-05");
    assert_eq!(year("Jun Mo[1]-Jun 08"), days("Jun 01-08", "2026-01-01", "2026-12-31"));
    let summer = "2026 Mar Su[-1]-2026 Oct Su[-1]";
    assert_eq!(days(summer, "2025-01-01", "2028-01-01"), days(summer, "2026-03-29", "2026-10-25"));
    assert_eq!(year("Jan-Feb,Dec").split(' ').count(), 31 + 28 + 31);
    assert_eq!(year("2026+ Nov").split(' ').count(), 30);
    assert_eq!(year("Sa-Mo"), year("Sa,Su,Mo"));
    assert_eq!(year("Dec: Fr[1]"), "2026-12-04");
}

#[test]
fn a_later_part_overrides_or_adds() {
    let monday = "2026-11-23";
    let table: [(&str, &[&str]); 9] = [
        ("Mo-Fr 00:00-08:00; Mo-Fr 18:00-24:00", &["18:00-24:00"]),
        ("Mo-Fr 00:00-08:00, Mo-Fr 18:00-24:00", &["00:00-08:00", "18:00-24:00"]),
        ("Mo-Fr 08:00-18:00; 12:00-13:00 off", &["08:00-12:00", "13:00-18:00"]),
        ("Mo-Fr 08:00-18:00; Mo off, Mo 10:00-11:00", &["10:00-11:00"]),
        ("Mo-Fr 08:00-18:00; Tu 10:00-11:00", &["08:00-18:00"]),
        ("24/7; Nov 23 off", &[]),
        ("08:00-12:00,10:00-18:00", &["08:00-18:00"]),
        ("18:00-00:00", &["18:00-24:00"]),
        // What is left of Sunday, and Monday's own.
        ("Su,Mo 22:00-30:30", &["00:00-06:30", "22:00-24:00"]),
    ];
    for (text, expected) in table {
        assert_eq!(minutes_open(text, monday), expected, "{text}");
    }
}

#[test]
fn hours_that_cancel_themselves_are_pointed_out() {
    let doubts = |text: &str| -> Vec<String> {
        let today = "2026-11-28".parse().unwrap();
        let found = read(text).unwrap().doubts(text, today).into_iter();
        found.map(|doubt| format!("{}: {}", &text[doubt.offset..], doubt.text)).collect()
    };
    for (text, place, said) in [
        ("Mo-Fr 00:00-08:00; Mo-Fr 18:00-24:00", 0, "write `Mo-Fr 00:00-08:00,18:00-24:00`"),
        (
            "Mo-Fr 08:00-12:00; Mo-Fr 13:00-17:00; Dec 25 off",
            0,
            "write `Mo-Fr 08:00-12:00,13:00-17:00`",
        ),
        ("Dec 24 08:00-12:00; Mo-Su 08:00-18:00", 0, "put it last"),
        ("Sa 10:00-12:00; Mo-Fr 08:00-18:00; Mo-Su off", 0, "no day is left"),
        ("Dec 25 off; Mo-Fr 08:00-18:00", 0, "`Dec 25 off` closes nothing"),
        ("Mo 18:00-23:59", 9, "write `24:00`"),
        ("2000-2045 Mo-Fr", 0, "hours are written `20:00-20:45`"),
    ] {
        let found = doubts(text);
        assert!(
            found[0].starts_with(&text[place..]) && found[0].contains(said),
            "{text}: {found:?}"
        );
    }
    for text in [
        "Mo-Fr 08:00-18:00; Dec 25 off",
        "Mo-Fr 08:00-18:00; Sa 10:00-12:00",
        "Mo-Fr 08:00-18:00; Su off",
        "Mo-Fr 00:00-08:00, Mo-Fr 18:00-24:00",
        "24/7; Mo-Fr 08:00-18:00",
        "Mo-Fr 08:00-18:00; Dec 24-26 off; Dec 24 08:00-12:00",
        "Sa,Su off; Mo-Fr 08:00-18:00; Dec 24 08:00-12:00",
        "2026-2080 Dec 25 10:00-12:00; 2026-2050 Mo-Su off",
        "2026-2300 Dec 25 10:00-12:00; Mo-Su off",
        "Mo-Su 08:00-24:00",
        "2026-2030",
    ] {
        assert_eq!(doubts(text), [""; 0], "{text}");
    }
}

/// The expressions in the first column of the tables of hours in docs/policy.md, each whether it
/// is read.
fn documented() -> Vec<(String, bool)> {
    let page = include_str!("../../../../docs/policy.md");
    let section = page.split("### Hours").nth(1).unwrap().split("\n## ").next().unwrap();
    let (read, refused) = section.split_once("| refused | because |").unwrap();
    let of = |text: &str, is_read: bool| -> Vec<(String, bool)> {
        let cells = text.lines().filter_map(|line| line.strip_prefix("| `")?.split(" | ").next());
        let quoted = cells.flat_map(|cell| cell.trim_end_matches('`').split("`, `"));
        quoted.map(|text| (text.replace("\\|", "|"), is_read)).collect()
    };
    [of(read, true), of(refused, false)].concat()
}

#[test]
fn what_the_manual_says_of_hours_is_so() {
    let documented = documented();
    assert!(documented.iter().filter(|(_, is_read)| *is_read).count() > 15);
    assert!(documented.len() > 50, "{documented:?}");
    for (text, is_read) in documented {
        assert_eq!(read(&text).is_ok(), is_read, "{text}");
    }
}

/// A character that nobody looks at could be anything: each is replaced by one that has no
/// meaning anywhere.
#[test]
fn every_character_is_looked_at() {
    let more = [
        "2026 Dec 24 - 2027 Jan 02",
        "2026 Mar Su[-1]-2026 Oct Su[-1]: Mo-Fr 08:00 - 12:00, 13:00-17:00 open",
        "2026-2030/2,2031+ Jan-Mar,Dec 24-26,31 week 2-10/2,12 Mo,We-Fr 08:00-09:00 off",
        "Jan Mo[1,3-4,-1],Tu; easter -2 days-easter +1 day off; Feb 08:00-09:00, Jun Mo[1] +1 day closed",
    ];
    let documented = documented().into_iter().filter(|(_, is_read)| *is_read);
    for text in documented.map(|(text, _)| text).chain(more.map(str::to_owned)) {
        assert!(read(&text).is_ok(), "{text}");
        for at in 0..text.len() {
            let mut other = text.clone();
            other.replace_range(at..=at, "@");
            assert!(read(&other).is_err(), "{other}");
        }
    }
}

#[test]
fn years_that_are_meant_as_hours_open_nothing() {
    for text in ["2000-2200", "2000-2200 Mo-Fr", "2000-2200 open", "2015-2145", "2000-2200,2026 Mo"]
    {
        let mistake = Hours::read(TimeZone::UTC, text).unwrap_err();
        assert!(mistake.text.contains("are years; hours are written `20:"), "{text}: {mistake:?}");
    }
    for text in ["2028-2099", "2026-2030 Mo-Fr", "2000-2200 Mo-Fr 08:00-18:00", "2026+"] {
        assert!(Hours::read(TimeZone::UTC, text).is_ok(), "{text}");
    }
}

#[test]
fn days_before_or_after_a_date_may_be_in_another_year() {
    let open = |text: &str, day: &str| {
        let hours = Hours::read(TimeZone::UTC, text).unwrap();
        hours.are_open(format!("{day}T12:00:00Z").parse().unwrap())
    };
    // 2028-01-01 is a Saturday.
    assert!(open("Jan Sa[1] -366 days", "2026-12-31"));
    assert!(open("2026 Jan Su[1] -10 days", "2025-12-25"));
    assert!(open("easter -2 days", "2026-04-03") && open("2026-2027 easter -2 days", "2027-03-26"));
    for text in
        ["2026-2026 Jan Su[1] -10 days", "2026-2027 easter +300 days", "2026-2027 Mo[1] -5 days"]
    {
        let mistake = Hours::read(TimeZone::UTC, text).unwrap_err();
        assert!(mistake.text.contains("would be cut"), "{text}: {mistake:?}");
    }
}

#[test]
fn work_on_doubts_is_known_before_it_is_done() {
    let weight = |text: &str| Hours::read(TimeZone::UTC, text).unwrap().weight();
    assert!(weight("Mo-Fr 08:00-18:00; Dec 25 off; Dec 26 off") < 10);
    let closing: String = (1..=12).map(|day| format!("Jan {day} off; ")).collect();
    assert!(weight(&format!("{closing}Mo-Fr 08:00-18:00")) > 1_000_000);
}
