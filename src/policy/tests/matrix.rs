//! Callers by doors.

mod properties;

use super::reviewing::day;
use super::*;
use crate::domain::{Act, GranteeKind};
use crate::policy::review::{
    Access, Column, Effect, Frame, LeftOut, Matrix, Only, Row, Said, Unfold, diff, matrix, until,
};

/// Two roles that have nothing in common, one that may do everything, and a caller of its own.
const HOUSE: &str = "\
    p, role:desk, zone:lobby, grant, allow\n\
    p, role:cleaning, zone:offices, grant, allow, hours Etc/UTC 18:00-20:00\n\
    p, role:cleaning, zone:lobby, grant, allow, hours Etc/UTC 18:00-20:00\n\
    p, role:staff, zone:plant, grant, deny\n\
    p, role:boss, *, grant, allow\n\
    p, caller:own, entrance:dddddddd-0000-4000-8000-000000000000, grant, allow\n\
    g, caller:desk-1, role:desk\n\
    g, caller:desk-2, role:desk\n\
    g, caller:clean-1, role:cleaning\n\
    g, caller:clean-2, role:cleaning\n\
    g, caller:boss-1, role:boss\n\
    g, caller:boss-2, role:boss\n\
    g, caller:idle-1, role:idle\n\
    g, caller:idle-2, role:unused\n\
    g, role:desk, role:staff\n\
    g, role:cleaning, role:staff\n\
    g, role:boss, role:staff\n\
    g2, entrance:aaaaaaaa-0000-4000-8000-000000000001, zone:lobby\n\
    g2, entrance:aaaaaaaa-0000-4000-8000-000000000002, zone:lobby\n\
    g2, entrance:bbbbbbbb-0000-4000-8000-000000000001, zone:offices\n\
    g2, entrance:bbbbbbbb-0000-4000-8000-000000000002, zone:offices\n\
    g2, entrance:cccccccc-0000-4000-8000-000000000000, zone:plant\n\
    g2, entrance:eeeeeeee-0000-4000-8000-000000000000, zone:unused\n";

const PLANT: &str = "cccccccc-0000-4000-8000-000000000000";
const OWN: &str = "dddddddd-0000-4000-8000-000000000000";

fn policy(rules: &str) -> Policy {
    let team =
        ["desk-1", "desk-2", "clean-1", "clean-2", "boss-1", "boss-2", "idle-1", "idle-2", "own"];
    Policy::load(&source(MODEL, rules), &callers(&team), NOW).unwrap().policy
}

/// Whoever waits in a server gets no more than there is room for.
#[test]
fn what_finds_too_much_gives_up() {
    let old = policy(HOUSE);
    let new = policy(&HOUSE.replace("zone:lobby, grant, allow", "zone:lobby, grant, deny"));
    let end = std::time::Instant::now() + std::time::Duration::from_secs(60);
    for (most, is_found) in [(100, false), (1 << 20, true)] {
        let all = until(end, most, || whole(&old, None, &Frame::default()));
        assert_eq!(all.is_ok(), is_found, "cells");
        let changes = until(end, most, || diff(&old, &new, day()));
        assert_eq!(changes.is_ok_and(|found| !found.changes.is_empty()), is_found, "changes");
    }
}

fn whole(policy: &Policy, proposed: Option<&Policy>, frame: &Frame) -> Matrix {
    matrix(policy, proposed, (Act::Grant, None), frame, day())
}

fn only(only: Only) -> Frame {
    Frame { only, ..Frame::default() }
}

fn unfold(rows: &[&str], columns: &[&str]) -> Frame {
    let set = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    let unfold = Unfold { rows: set(rows), columns: set(columns) };
    Frame { unfold, ..Frame::default() }
}

/// A letter for each cell: what is so, and what becomes of it.
fn drawn(found: &Matrix) -> Vec<String> {
    let letter = |said: &Said| match said.access {
        Access::Always => 'A',
        Access::Sometimes(_) => 's',
        Access::Never if said.denied_by.is_empty() => 'n',
        Access::Never => 'd',
    };
    let drawn = |row: usize| {
        (0..found.columns.len()).map(move |column| match found.cell(row, column) {
            None => ". ".to_owned(),
            Some(cell) => match (&cell.proposed, cell.effect) {
                (Some(_), None) => format!("{}=", letter(&cell.now)),
                (Some(said), Some(_)) => format!("{}{}", letter(&cell.now), letter(said)),
                (None, _) => format!("{} ", letter(&cell.now)),
            },
        })
    };
    let rows = found.rows.iter().enumerate();
    rows.map(|(place, row)| format!("{}{}", drawn(place).collect::<String>(), row.label)).collect()
}

fn labels(found: &Matrix) -> (Vec<&str>, Vec<&str>) {
    let rows = found.rows.iter().map(|row| row.label.as_str());
    (rows.collect(), found.columns.iter().map(|column| column.label.as_str()).collect())
}

#[test]
fn a_matrix_has_a_row_for_callers_and_a_column_for_entrances_that_no_rule_tells_apart() {
    let policy = policy(HOUSE);
    let found = whole(&policy, None, &Frame::default());
    let columns = ["zone:lobby", "zone:offices", PLANT, OWN, "every other entrance"];
    assert_eq!(labels(&found).1, columns);
    assert_eq!(
        drawn(&found),
        [
            "A A d A A role:boss",
            "s s d . . role:cleaning",
            "A . d . . role:desk",
            ". . . A . own",
            ". . . . . no rule",
        ]
    );
    let ids = |ids: &[&str]| -> Vec<CallerId> {
        ids.iter().map(|id| CallerId::parse(id).unwrap()).collect()
    };
    let row = |label: &str| found.rows.iter().find(|row| row.label == label).unwrap();
    assert_eq!(
        *row("role:desk"),
        Row {
            key: "caller:desk-1".into(),
            unfolded_from: None,
            label: "role:desk".into(),
            callers: ids(&["desk-1", "desk-2"]),
            roles: vec!["role:desk".into(), "role:staff".into()],
        }
    );
    assert_eq!(row("no rule").callers, ids(&["idle-1", "idle-2"]));
    let Column { key, entrances, and_every_other, .. } = found.columns.last().unwrap();
    // A zone without a rule tells nothing apart.
    let unused = EntranceId::parse("eeeeeeee-0000-4000-8000-000000000000").unwrap();
    assert_eq!((key.as_str(), *and_every_other), (format!("entrance:{unused}").as_str(), true));
    assert_eq!(*entrances, [unused]);
    let cell = found.cell(1, 0).unwrap();
    assert_eq!(cell.now.conditions, ["hours Etc/UTC 18:00-20:00"]);
    let time = cell.now.access.time(day(), GranteeKind::AcsUser);
    assert_eq!((time.as_hours(), cell.proposed.clone()), (2, None));
    let rules = |rules: &[RuleRef]| rules.iter().map(RuleRef::to_string).collect::<Vec<_>>();
    assert_eq!(rules(&cell.now.allowed_by), ["policy.csv:3"]);
    let denied = &found.cell(0, 2).unwrap().now;
    assert_eq!(rules(&denied.denied_by), ["policy.csv:4"]);
    assert_eq!(rules(&denied.allowed_by), ["policy.csv:5"]);
    assert!(found.left_out.is_nothing());
}

#[test]
fn a_proposed_policy_is_laid_over_it() {
    let old = policy(HOUSE);
    let text = HOUSE
        .replace("zone:lobby, grant, allow, hours Etc/UTC 18:00-20:00", "zone:lobby, grant, allow")
        .replace("p, role:desk, zone:lobby, grant, allow\n", "")
        .replace("g, caller:idle-2, role:unused\n", "g, caller:idle-2, role:boss\n");
    let new = policy(&text);
    let found = whole(&old, Some(&new), &Frame::default());
    assert_eq!(
        labels(&found).1,
        ["zone:lobby", "zone:offices", PLANT, OWN, "every other entrance"]
    );
    assert_eq!(
        drawn(&found),
        [
            "A=A=d=A=A=role:boss",
            // Where it meets a deny it may do no more than where there was no rule.
            "nAnAn=nAnAidle-2",
            "sAs=d=. . role:cleaning",
            "An. d=. . role:desk",
            ". . . A=. own",
            ". . . . . idle-1",
        ]
    );
    let effects = |found: &Matrix| -> Vec<Effect> {
        let cells = found.cells.iter().flatten().flatten();
        cells.filter_map(|place| found.kinds[*place].effect).collect()
    };
    let expected = [Effect::Gains, Effect::Gains, Effect::Gains, Effect::Gains];
    assert_eq!(effects(&found), [&expected[..], &[Effect::Widens, Effect::Loses]].concat());

    let changed = whole(&old, Some(&new), &only(Only { changes: true, ..Only::default() }));
    assert_eq!(labels(&changed).0, ["idle-2", "role:cleaning", "role:desk"]);
    assert_eq!(labels(&changed).1, ["zone:lobby", "zone:offices", OWN, "every other entrance"]);
    assert_eq!(effects(&changed).len(), effects(&found).len());
    let nothing = whole(&old, None, &only(Only { changes: true, ..Only::default() }));
    assert!(nothing.rows.is_empty() && nothing.columns.is_empty() && nothing.kinds.is_empty());
}

#[test]
fn groups_are_unfolded_and_narrowed() {
    let policy = policy(HOUSE);
    let doors = ["aaaaaaaa-0000-4000-8000-000000000001", "aaaaaaaa-0000-4000-8000-000000000002"];
    for (row, column) in [
        ("caller:desk-1", format!("entrance:{}", doors[0])),
        ("caller:desk-2", format!("entrance:{}", doors[1])),
        ("role:desk", "zone:lobby".to_owned()),
    ] {
        let found = whole(&policy, None, &unfold(&[row], &[&column]));
        let (rows, columns) = labels(&found);
        assert_eq!(rows, ["role:boss", "role:cleaning", "desk-1", "desk-2", "own", "no rule"]);
        let last = [PLANT, OWN, "every other entrance"];
        assert_eq!(columns, [&doors[..], &["zone:offices"], &last].concat());
        assert_eq!(found.rows[3].key, "caller:desk-2");
        assert_eq!(found.rows[3].unfolded_from.as_deref(), Some("caller:desk-1"));
        assert_eq!(found.cells[2], found.cells[3]);
    }
    let found = whole(&policy, None, &unfold(&[], &["*"]));
    let last: Vec<_> = found.columns.iter().rev().take(2).collect();
    assert_eq!((last[0].key.as_str(), last[0].and_every_other), ("*", true));
    assert!(last[0].entrances.is_empty() && last[1].entrances.len() == 1);

    let role = Only { role: Some("role:staff".into()), ..Only::default() };
    assert_eq!(
        labels(&whole(&policy, None, &only(role))).0,
        ["role:boss", "role:cleaning", "role:desk"]
    );
    let zone = Only { zone: Some("zone:unused".into()), ..Only::default() };
    let found = whole(&policy, None, &only(zone));
    assert_eq!((found.columns.len(), found.columns[0].and_every_other), (1, false));
    let caller = Only { caller: Some(CallerId::parse("clean-2").unwrap()), ..Only::default() };
    assert_eq!(drawn(&whole(&policy, None, &only(caller))), ["s s d . . clean-2"]);
    for (id, every_other) in [(PLANT, false), (ELSEWHERE, true)] {
        let entrance = EntranceId::parse(id).unwrap();
        let found =
            whole(&policy, None, &only(Only { entrance: Some(entrance), ..Only::default() }));
        let [column] = &found.columns[..] else { panic!("{found:?}") };
        assert_eq!(
            (column.and_every_other, column.entrances.is_empty()),
            (every_other, every_other)
        );
    }
    // Who leaves a role is shown with it.
    let left = self::policy(&HOUSE.replace("g, caller:boss-1, role:boss\n", ""));
    let role = || only(Only { role: Some("role:boss".into()), ..Only::default() });
    for (policies, expected) in [((&policy, &left), 2), ((&left, &policy), 2), ((&left, &left), 1)]
    {
        let found = whole(policies.0, Some(policies.1), &role());
        assert_eq!(found.rows.iter().map(|row| row.callers.len()).sum::<usize>(), expected);
    }
    let stranger = Only { role: Some("role:stranger".into()), ..Only::default() };
    assert!(whole(&policy, None, &only(stranger)).rows.is_empty());
}

#[test]
fn what_is_left_out_is_counted_and_what_changes_is_kept() {
    let old = policy(HOUSE);
    let new = policy(&HOUSE.replace("allow, hours Etc/UTC 18:00-20:00", "allow"));
    let frame = |cells_max| Frame { cells_max, ..Frame::default() };
    let found = whole(&old, Some(&new), &frame(4));
    assert_eq!(
        labels(&found),
        (vec!["role:cleaning", "own"], vec!["zone:lobby", "every other entrance"])
    );
    let left_out =
        LeftOut { rows: 3, columns: 3, cells: 21, changing_rows: 0, changing_columns: 1 };
    assert_eq!(found.left_out, left_out);
    // What was asked for stays before what changes.
    let found = whole(&old, Some(&new), &Frame { cells_max: 4, ..unfold(&["role:desk"], &[]) });
    assert_eq!(labels(&found).0, ["desk-1", "desk-2"]);
    assert_eq!((found.left_out.changing_rows, found.left_out.rows), (1, 4));
    for cells_max in 0..40 {
        let found = whole(&old, Some(&new), &frame(cells_max));
        let cells = found.rows.len() * found.columns.len();
        assert!(cells <= cells_max.max(1), "{cells_max}");
        assert_eq!(found.left_out.cells, 25 - cells);
        assert_eq!(found.left_out.is_nothing(), cells_max >= 25);
        assert!(found.cells.iter().all(|row| row.len() == found.columns.len()));
        assert_eq!(found.cells.len(), found.rows.len());
    }
}

/// Six roles of one kind and six of another, in turns, as are their zones.
#[test]
fn what_is_alike_stands_together() {
    let names: Vec<String> = (0..12).map(|n| format!("desk-{n:02}")).collect();
    let mut rules = String::new();
    for (n, name) in names.iter().enumerate() {
        rules.push_str(&format!("g, caller:{name}, role:r{n}\n"));
        rules.push_str(&format!("g2, entrance:{n:08}-0000-4000-8000-000000000000, zone:z{n}\n"));
        for zone in (n % 2..12).step_by(2).filter(|zone| *zone != n) {
            rules.push_str(&format!("p, role:r{n}, zone:z{zone}, grant, allow\n"));
        }
    }
    let ids: Vec<&str> = names.iter().map(String::as_str).collect();
    let policy = Policy::load(&source(MODEL, &rules), &callers(&ids), NOW).unwrap().policy;
    let found = whole(&policy, None, &Frame::default());
    let kinds: String = found
        .rows
        .iter()
        .map(|row| if row.label.ends_with(['0', '2', '4', '6', '8']) { 'e' } else { 'o' })
        .collect();
    assert_eq!(kinds, "eeeeeeoooooo");
    let last = |column: &&Column| !column.and_every_other;
    let columns = found.columns.iter().filter(last);
    let kinds: String =
        columns.map(|c| if "02468".contains(&c.label[7..8]) { 'e' } else { 'o' }).collect();
    assert_eq!(kinds, "eeeeeeoooooo");
}
