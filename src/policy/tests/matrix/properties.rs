//! Callers by doors, of any small policies.

use std::collections::{BTreeMap, BTreeSet};

use super::*;
use crate::policy::review::{Cell, Change, InWorkspace, diff, doors, who};
use crate::policy::tests::deciding::{ENTRANCES, WORKSPACES, moment_of, small, workspace};
use crate::policy::tests::reviewing::{hours, load};
use proptest::prelude::*;

/// What a matrix says of each caller and each entrance; none is every other.
type Pairs<T> = BTreeMap<(String, Option<String>), T>;

fn pairs<T>(found: &Matrix, say: impl Fn(&Cell) -> Option<T>) -> Pairs<T> {
    let mut said = Pairs::new();
    for (row_place, row) in found.rows.iter().enumerate() {
        for (column_place, column) in found.columns.iter().enumerate() {
            let doors = column.entrances.iter().map(|id| Some(id.to_string()));
            for door in doors.chain(column.and_every_other.then_some(None)) {
                for caller in &row.callers {
                    let Some(value) = found.cell(row_place, column_place).and_then(&say) else {
                        continue;
                    };
                    let known = said.insert((caller.to_string(), door.clone()), value);
                    assert!(known.is_none(), "{caller} {door:?} twice");
                }
            }
        }
    }
    said
}

type Changed = (Effect, bool, Access, Access, Vec<String>, Vec<String>);

fn changed_by(matrix: &Matrix) -> Pairs<Changed> {
    pairs(matrix, |cell| {
        let (now, then) = (cell.now.clone(), cell.proposed.clone().unwrap());
        let of = |effect| {
            (effect, cell.differs_later, now.access, then.access, now.conditions, then.conditions)
        };
        cell.effect.map(of)
    })
}

fn everything() -> Unfold {
    let roles = (3..7).map(|n| format!("role:r{n}")).chain(TEAM.map(|id| format!("caller:{id}")));
    let zones = (3..7).map(|n| format!("zone:z{n}"));
    let doors = ENTRANCES.map(|id| format!("entrance:{id}")).into_iter().chain(["*".to_owned()]);
    Unfold { rows: roles.collect(), columns: zones.chain(doors).collect() }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    /// For each pair in a matrix with an effect there is a change of `diff` that contains it, of
    /// the same effect, times and conditions, and the other way round; folded or not, and of
    /// changes only.
    #[test]
    fn a_matrix_agrees_with_diff(
        old in small(), new in small(), around in proptest::sample::select(&WORKSPACES[..])
    ) {
        let within = workspace(around);
        let (before, after) = (load(&old), load(&new));
        let all = diff(&before, &after, day());
        let is_named = |name: &WorkspaceName| {
            before.named_workspaces().chain(after.named_workspaces()).any(|known| known == name)
        };
        let place = match within.clone().filter(is_named) {
            Some(name) => InWorkspace::Named(name),
            None => InWorkspace::EveryOther,
        };
        let is_here =
            |change: &&Change| change.workspaces.is_empty() || change.workspaces.contains(&place);
        for act in Act::ALL {
            let mut expected: Pairs<Changed> = Pairs::new();
            for change in all.changes.iter().filter(|c| c.act == act).filter(is_here) {
                let doors = change.entrances.iter().map(|id| Some(id.to_string()));
                for door in doors.chain(change.and_every_other.then_some(None)) {
                    for caller in &change.callers {
                        let (b, a) = (&change.before, &change.after);
                        let said = (change.effect, change.differs_later, b.clone(), a.clone(), change.conditions_before.clone(), change.conditions_after.clone());
                        expected.insert((caller.to_string(), door.clone()), said);
                    }
                }
            }
            // Conditions of a change are those of the first of its pairs.
            let without = |pairs: &Pairs<Changed>| -> Vec<_> {
                pairs.iter().map(|(pair, c)| (pair.clone(), c.0, c.1, c.2.clone(), c.3.clone())).collect()
            };
            for changes in [false, true] {
                for unfold in [Unfold::default(), everything()] {
                    let frame = Frame { only: Only { changes, ..Only::default() }, unfold, ..Frame::default() };
                    let found = matrix(&before, Some(&after), (act, within.as_ref()), &frame, day());
                    prop_assert_eq!(
                        without(&changed_by(&found)), without(&expected), "{}\n{}", old.text(), new.text()
                    );
                }
            }
            // What is left out last is what changes.
            for cells_max in 1..9 {
                let frame = Frame { cells_max, ..Frame::default() };
                let found = matrix(&before, Some(&after), (act, within.as_ref()), &frame, day());
                let shown = changed_by(&found);
                let lacks = expected.keys().any(|pair| !shown.contains_key(pair));
                let told = found.left_out.changing_rows + found.left_out.changing_columns > 0;
                prop_assert!(told || !lacks, "{:?}", found.left_out);
            }
        }
    }

    /// Each cell says what `who`, `doors` and the engine, hour by hour, say of each of its pairs;
    /// and what has no cell nobody may do.
    #[test]
    fn each_cell_is_what_the_engine_says(
        small in small(), around in proptest::sample::select(&WORKSPACES[..]), unfolded in any::<bool>()
    ) {
        let within = workspace(around);
        let within = within.as_ref();
        let policy = load(&small);
        for act in Act::ALL {
            let unfold = if unfolded { everything() } else { Unfold::default() };
            let frame = Frame { unfold, ..Frame::default() };
            let found = matrix(&policy, None, (act, within), &frame, day());
            if unfolded {
                let many = |count: usize, other: bool| count + usize::from(other) > 1;
                prop_assert!(!found.rows.iter().any(|row| many(row.callers.len(), false)));
                prop_assert!(!found.columns.iter().any(|c| many(c.entrances.len(), c.and_every_other)));
            }
            let said = pairs(&found, |cell| Some(cell.now.clone()));
            for (number, door) in [Some(0), Some(1), Some(2), None].into_iter().map(|n| (n, n.map_or(ELSEWHERE, |n| ENTRANCES[n]))) {
                let entrance = EntranceId::parse(door).unwrap();
                let key = Some(door.to_owned()).filter(|door| small.text().contains(door));
                let allowed = who(&policy, act, (entrance, within), day());
                for (caller, id) in TEAM.iter().enumerate() {
                    let cell = said.get(&((*id).to_owned(), key.clone()));
                    let access = cell.map_or(Access::Never, |said| said.access.clone());
                    let expected = hours(&small, caller, act, (number, around));
                    for (kind, hours) in GranteeKind::ALL.into_iter().zip(&expected) {
                        let count = hours.iter().filter(|allowed| **allowed).count();
                        prop_assert_eq!(usize::try_from(access.time(day(), kind).as_hours()).unwrap(), count);
                        for (hour, allowed) in hours.iter().enumerate() {
                            let moment = moment_of(act, (u32::try_from(hour).unwrap(), kind));
                            let id = CallerId::parse(id).unwrap();
                            let question = Question { caller: &id, act, entrance, workspace: within, moment };
                            let is_in = match &access {
                                Access::Never => false,
                                Access::Always => true,
                                Access::Sometimes(times) => times.of(kind).iter().any(|span| span.from <= moment.at && moment.at < span.until),
                            };
                            prop_assert_eq!(policy.evaluate(question).is_allowed(), is_in);
                            prop_assert_eq!(is_in, *allowed);
                        }
                    }
                    let id = CallerId::parse(id).unwrap();
                    let one = allowed.iter().find(|one| one.caller == id);
                    prop_assert_eq!(one.is_some(), access.is_possible());
                    if let (Some(one), Some(said)) = (one, cell) {
                        prop_assert_eq!(&one.allowed_by, &said.allowed_by);
                        prop_assert_eq!(&one.denied_by, &said.denied_by);
                        prop_assert_eq!((&one.conditions, &one.access), (&said.conditions, &said.access));
                    }
                    let groups = doors(&policy, act, (&id, within), day());
                    let group = groups.iter().find(|group| match &key {
                        Some(_) => group.entrances.contains(&entrance),
                        None => group.and_every_other,
                    });
                    prop_assert_eq!(group.map(|group| group.access.clone()), Some(access).filter(Access::is_possible));
                }
            }
        }
    }

    /// The order is of what is said, and not of the lines that say it.
    #[test]
    fn the_order_of_lines_makes_no_difference(
        (old, shuffled) in small().prop_flat_map(|small| {
            let lines: Vec<String> = small.text().lines().map(str::to_owned).collect();
            (Just(small), Just(lines).prop_shuffle())
        }),
        new in small()
    ) {
        let text: String = shuffled.iter().map(|line| format!("{line}\n")).collect();
        let again = Policy::load(&source(MODEL, &text), &callers(&TEAM), NOW).unwrap().policy;
        let (old, new) = (load(&old), load(&new));
        for cells_max in [5, 40_000] {
            let frame = Frame { cells_max, ..Frame::default() };
            for proposed in [None, Some(&new)] {
                let [a, b] = [&old, &again].map(|policy| whole(policy, proposed, &frame));
                prop_assert_eq!((&a.rows, &a.columns), (&b.rows, &b.columns));
                prop_assert_eq!(drawn(&a), drawn(&b));
                prop_assert_eq!(a.left_out, b.left_out);
            }
        }
    }

    /// What it is narrowed to says what the whole says of it.
    #[test]
    fn a_part_is_a_part_of_the_whole(old in small(), new in small()) {
        let (old, new) = (load(&old), load(&new));
        let all = changed_by(&whole(&old, Some(&new), &Frame::default()));
        let mut parts: BTreeMap<&str, Pairs<Changed>> = BTreeMap::new();
        for id in TEAM {
            let frame = only(Only { caller: Some(CallerId::parse(id).unwrap()), ..Only::default() });
            parts.entry("callers").or_default().extend(changed_by(&whole(&old, Some(&new), &frame)));
        }
        for id in ENTRANCES.into_iter().chain([ELSEWHERE]) {
            let frame = only(Only { entrance: Some(EntranceId::parse(id).unwrap()), ..Only::default() });
            parts.entry("entrances").or_default().extend(changed_by(&whole(&old, Some(&new), &frame)));
        }
        for part in parts.values() {
            prop_assert!(part.iter().all(|(pair, said)| all.get(pair) == Some(said)));
        }
        prop_assert_eq!(&parts["callers"], &all);
        let named: BTreeSet<_> = parts["entrances"].keys().cloned().collect();
        prop_assert!(all.keys().all(|pair| pair.1.is_none() || named.contains(pair)));
    }
}
