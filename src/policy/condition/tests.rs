use super::hours::YEAR;
use super::*;

fn holds(text: &str, at: &str, grantee: GranteeKind) -> bool {
    let at = at.parse().unwrap();
    Condition::parse(text).unwrap().holds(Moment { at, grantee: Some(grantee) })
}

#[test]
fn hours_are_those_of_the_clock_on_the_wall() {
    let office = "hours Europe/Berlin Mo-Fr 08:00-18:00; Dec 25 off";
    let night = "hours America/New_York Mo-Su 22:00-06:00";
    let table = [
        // 2026-11-25 is a Wednesday; Berlin is an hour ahead of UTC in winter.
        (office, "2026-11-25T06:59:59Z", false),
        (office, "2026-11-25T07:00:00Z", true),
        (office, "2026-11-25T16:59:59Z", true),
        (office, "2026-11-25T17:00:00Z", false),
        // Two hours in summer.
        (office, "2026-07-01T06:00:00Z", true),
        (office, "2026-11-28T10:00:00Z", false),
        (office, "2026-12-25T10:00:00Z", false),
        // Past midnight, in another zone.
        (night, "2026-11-25T02:59:00Z", false),
        (night, "2026-11-25T03:00:00Z", true),
        (night, "2026-11-25T10:59:00Z", true),
        (night, "2026-11-25T11:00:00Z", false),
    ];
    for (text, at, expected) in table {
        assert_eq!(holds(text, at, GranteeKind::AcsUser), expected, "{text} {at}");
    }
}

#[test]
fn every_term_must_hold() {
    use GranteeKind::{AcsUser, UserIdentity};
    let both = "grantee user_identity & hours Etc/UTC 10:00-12:00 & hours Etc/UTC 11:00-13:00";
    assert!(holds(both, "2026-11-25T11:30:00Z", UserIdentity));
    assert!(!holds(both, "2026-11-25T11:30:00Z", AcsUser));
    assert!(!holds(both, "2026-11-25T10:30:00Z", UserIdentity));
}

#[test]
fn mistakes_have_a_place_and_say_what_to_write() {
    let table = [
        ("", 0, "`` is not a condition"),
        ("open Mo-Fr", 0, "`open` is not a condition"),
        ("grantee person", 8, "`person` is not a form of grantee"),
        ("grantee acs_user & grantee acs_user", 19, "may be given once"),
        ("hours", 5, "`` is not a time zone"),
        ("hours Berlin Mo-Fr", 6, "`Berlin` is not a time zone"),
        ("hours europe/berlin Mo-Fr", 6, "`europe/berlin` is not a time zone"),
        ("hours Europe/Berlin", 19, "no hours: write days and times such as"),
        // Of an expression, as the byte of the whole text.
        ("hours Europe/Berlin Monday", 20, "`Monday`: write `Mo`"),
        ("hours Europe/Berlin  25:00-26:00", 21, "begins before 24:00"),
        ("hours Europe/Berlin Mo-Fr 08:00-18:00; Jun 31 off", 43, "Jun has 30 days"),
        ("grantee acs_user  &  hours Etc/UTC Mo-Fr 9-17", 41, "`09:00-17:00`"),
        ("hours Etc/UTC Mo & hours Etc/UTC  Feb 30", 38, "Feb has 29 days"),
    ];
    for (text, offset, said) in table {
        let mistake = Condition::parse(text).unwrap_err();
        assert!(mistake.text.contains(said), "{text}: {mistake:?}");
        assert_eq!(mistake.offset, offset, "{text}: {mistake:?}");
    }
}

#[test]
fn doubts_have_the_place_of_their_own_expression() {
    let now = "2026-11-28T00:00:00Z".parse().unwrap();
    let text = "hours Etc/UTC Mo-Fr 08:00-18:00  &  hours Europe/Berlin Mo 08:00-23:59";
    let doubts = Condition::parse(text).unwrap().doubts(now);
    let [doubt] = doubts.as_slice() else { panic!("{doubts:?}") };
    assert_eq!(&text[doubt.offset..], "23:59");
    let text = "hours Etc/UTC Mo 08:00-09:00; Mo 10:00-11:00 & grantee acs_user";
    let doubts = Condition::parse(text).unwrap().doubts(now);
    assert_eq!(
        doubts,
        [Mistake {
            offset: 14,
            text:
                "no day is left of `Mo 08:00-09:00`: a later part takes its place on each; write \
                   `Mo 08:00-09:00,10:00-11:00`"
                    .into()
        }]
    );
}

fn changes_are_complete(text: &str, from: &str, days: i64, step: i64) {
    let condition = Condition::parse(text).unwrap();
    let from: Timestamp = from.parse().unwrap();
    let until = from + jiff::SignedDuration::from_hours(24 * days);
    let mut changes = condition.changes(from, until);
    changes.sort_unstable();
    let holds = |at| condition.holds(Moment { at, grantee: Some(GranteeKind::AcsUser) });
    let mut at = from;
    let mut known = holds(from);
    let mut next = changes.iter().copied().peekable();
    while at < until {
        while let Some(change) = next.next_if(|change| *change <= at) {
            known = holds(change);
        }
        assert_eq!(holds(at), known, "{text} {at}");
        at += jiff::SignedDuration::from_mins(step);
    }
}

#[test]
fn between_two_changes_nothing_changes() {
    // Around both changes of the clock, in a zone that has half an hour of it.
    for (zone, from) in [
        ("Europe/Berlin", "2026-03-28T00:00:00Z"),
        ("Europe/Berlin", "2026-10-24T00:00:00Z"),
        ("Australia/Lord_Howe", "2026-04-04T00:00:00Z"),
    ] {
        let text = format!("hours {zone} 01:30-02:15,02:40-03:30");
        changes_are_complete(&text, from, 2, 5);
    }
    for text in [
        "hours Etc/UTC Nov 25 00:00-48:00",
        "hours Etc/UTC Tu,Fr 22:00-06:00,12:00-12:30",
        "hours Etc/UTC Mo-Fr 15:00-17:00; 16:00-16:30 off",
        "hours Etc/UTC 24/7; 2027 off",
    ] {
        changes_are_complete(text, "2026-11-21T00:00:00Z", 400, 30);
    }
}

#[test]
fn what_does_not_come_every_year_is_known() {
    for (text, yearly) in [
        ("hours Etc/UTC Mo-Fr 08:00-18:00; Dec 24-26 off", true),
        ("hours Etc/UTC Jun-Aug 08:00-18:00", true),
        ("grantee acs_user", true),
        ("hours Etc/UTC 2028-2099", false),
        ("hours Etc/UTC 2027 Jan 1-2027 Feb 1", false),
        ("hours Etc/UTC Dec 25 Mo 08:00-18:00", false),
        ("hours Etc/UTC Feb 29", false),
        ("hours Etc/UTC week 53 Mo", false),
        ("hours Etc/UTC easter", false),
    ] {
        let condition = Condition::parse(text).unwrap();
        assert_eq!(condition.is_shown_within(YEAR), yearly, "{text}");
        assert_eq!(condition.is_shown_within(SignedDuration::ZERO), text == "grantee acs_user");
    }
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig { cases: 100, ..Default::default() })]

    /// Random expressions, half an hour by half an hour for two months.
    #[test]
    fn no_change_is_missed(
        rules in proptest::collection::vec(
            "(Mo|Tu-Fr|Sa,Su|Nov 25-Dec 2|Dec 24|2026|2027 Jan|week 48-50/2|Nov-Dec)( 08:00-18:00( off|)| 09:00-12:00,13:00-17:30| 22:00-24:00| off)",
            1..4,
        ),
        separator in "(; |, )",
    ) {
        let text = format!("hours Europe/Berlin {}", rules.join(&separator));
        changes_are_complete(&text, "2026-11-20T00:00:00Z", 60, 30);
    }
}

#[test]
fn hours_that_are_never_at_the_same_time_never_come() {
    let from: Timestamp = "2026-11-28T12:00:00Z".parse().unwrap();
    let until = from + SignedDuration::from_hours(24 * 366);
    for (text, comes) in [
        ("hours Europe/Berlin Mo & hours Europe/Berlin Tu", false),
        ("hours Europe/Berlin Mo 08:00-12:00 & hours Europe/Berlin Mo 12:00-14:00", false),
        ("hours Europe/Berlin Mo 08:00-12:00 & hours Europe/Berlin Mo 11:00-14:00", true),
        // Monday in Berlin is still Sunday in New York.
        ("hours Europe/Berlin Mo & hours America/New_York Su", true),
        ("hours Etc/UTC 2025 & hours Etc/UTC Mo", false),
        ("hours Etc/UTC 24/7 & hours Etc/UTC 24/7", true),
    ] {
        assert_eq!(Condition::parse(text).unwrap().comes_between(from, until), comes, "{text}");
    }
}
