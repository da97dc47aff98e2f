//! What becomes of the file of orders by signed ones: a function of both, and of the time.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};

use crate::bundle::{Directed, Directive, SignedDirective};
use crate::domain::{DirectiveId, Order, OrderKind, Signature};
use crate::orders::{BY_CHARS_MAX, EditError, OrdersFile, WHY_BYTES_MAX};

/// Freezes that ended before this are not written down any more.
const KEPT: SignedDuration = SignedDuration::from_hours(30 * 24);

/// Gives and takes back; what cannot be done is told by its name.
pub(super) fn apply(
    file: &mut OrdersFile,
    good: &[SignedDirective],
    lifted: &BTreeSet<DirectiveId>,
    (exception_max, now): (SignedDuration, Timestamp),
) -> Vec<(DirectiveId, String)> {
    let mut problems = Vec::new();
    for SignedDirective { directive, .. } in good {
        let Directive { id, what, .. } = directive;
        let done = match what {
            // Taken back already; where it is known here, by the order that did it.
            Directed::Given(..) if lifted.contains(id) => Ok(()),
            Directed::Given(kind, Some(until)) if is_past(kind, *until, now) => Ok(()),
            Directed::Given(kind, until) => {
                let given = (kind.clone(), *until, signature(directive));
                file.give_directed(id, given, (exception_max, now)).map(drop)
            }
            Directed::Lifted(id) => lift(file, id, (directive, now)),
        };
        if let Err(error) = done {
            problems.push((directive.id.clone(), error.to_string()));
        }
    }
    problems
}

/// The clock here may be wrong: a freeze is written down for a while although it is over by it.
fn is_past(kind: &OrderKind, until: Timestamp, now: Timestamp) -> bool {
    match kind {
        OrderKind::Freeze(_) => now.duration_since(until) > KEPT,
        OrderKind::Drill(_) | OrderKind::Exception(..) => until <= now,
    }
}

/// Takes back an order that is in force here.
fn lift(
    file: &mut OrdersFile,
    id: &DirectiveId,
    (by, now): (&Directive, Timestamp),
) -> Result<(), EditError> {
    let Some(number) = file.number_of(id) else { return Ok(()) };
    let order = file.orders().iter().find(|order| order.number == number);
    if order.is_none_or(|order| !order.holds(now)) {
        return Ok(());
    }
    file.lift_at(number, signature(by), now).map(drop)
}

/// Freezes that hold although they cannot be written down.
pub(super) fn freezes(good: &[SignedDirective], lifted: &BTreeSet<DirectiveId>) -> Vec<Order> {
    let freeze = |SignedDirective { directive, .. }: &SignedDirective| {
        let Directed::Given(kind @ OrderKind::Freeze(_), until) = &directive.what else {
            return None;
        };
        (!lifted.contains(&directive.id)).then(|| Order {
            number: 0,
            kind: kind.clone(),
            given: signature(directive),
            until: *until,
            lifted: None,
            directive: Some(directive.id.clone()),
        })
    };
    good.iter().filter_map(freeze).collect()
}

/// As an order has it, which is shorter.
fn signature(directive: &Directive) -> Signature {
    let by = directive.by.chars().take(BY_CHARS_MAX).collect();
    let mut end = directive.why.len().min(WHY_BYTES_MAX);
    while !directive.why.is_char_boundary(end) {
        end -= 1;
    }
    let why = directive.why.get(..end).unwrap_or_default().to_owned();
    Signature { at: directive.made, by, why }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{CallerId, EntranceId, Scope};

    const DAY: SignedDuration = SignedDuration::from_hours(24);

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn now() -> Timestamp {
        at("2026-11-29T12:00:00Z")
    }

    fn id(number: u8) -> DirectiveId {
        DirectiveId::of([number; 16])
    }

    fn signed(number: u8, made: &str, what: Directed) -> SignedDirective {
        let directive = Directive {
            name: "doors".into(),
            id: id(number),
            made: at(made),
            by: "a".repeat(150),
            what,
            why: "\u{e4}".repeat(400),
        };
        SignedDirective { directive, signers: Vec::new(), note: String::new() }
    }

    fn freeze(until: Option<&str>) -> Directed {
        Directed::Given(OrderKind::Freeze(Scope::Everything), until.map(at))
    }

    fn exception(until: &str) -> Directed {
        let lobby = EntranceId::parse("d23d7180-c1ee-4bbe-8630-05df5031ce35").unwrap();
        let desk = CallerId::parse("desk").unwrap();
        Directed::Given(OrderKind::Exception(desk, lobby), Some(at(until)))
    }

    fn done(file: &mut OrdersFile, good: &[SignedDirective]) -> Vec<(DirectiveId, String)> {
        let lifted = good.iter().filter_map(|signed| match &signed.directive.what {
            Directed::Lifted(id) => Some(id.clone()),
            Directed::Given(..) => None,
        });
        apply(file, good, &lifted.collect(), (DAY, now()))
    }

    fn holding(file: &OrdersFile) -> usize {
        file.orders().iter().filter(|order| order.holds(now())).count()
    }

    #[test]
    fn what_is_told_twice_is_done_once() {
        let mut file = OrdersFile::default();
        let all = [
            signed(1, "2026-11-29T11:00:00Z", freeze(None)),
            signed(2, "2026-11-29T11:00:00Z", exception("2026-11-29T13:00:00Z")),
        ];
        assert_eq!(done(&mut file, &all), []);
        let before = file.clone();
        assert_eq!(done(&mut file, &all), []);
        assert_eq!((&file, holding(&file)), (&before, 2));
        let lift = [signed(3, "2026-11-29T12:00:00Z", Directed::Lifted(id(1)))];
        assert_eq!(done(&mut file, &lift), []);
        assert_eq!(holding(&file), 1);
        assert_eq!(done(&mut file, &lift), []);
        // Taken back before it came.
        let mut file = OrdersFile::default();
        let lift = signed(3, "2026-11-29T12:00:00Z", Directed::Lifted(id(2)));
        assert_eq!(done(&mut file, &[lift, all[1].clone()]), []);
        assert_eq!(holding(&file), 0);
    }

    /// Clocks of others may be wrong: a freeze holds, nothing of before is lost, and nothing is
    /// allowed for longer than here.
    #[test]
    fn clocks_of_others_take_no_order_away_and_allow_nothing_more() {
        let mut file = OrdersFile::default();
        let today = signed(1, "2026-11-29T11:00:00Z", freeze(Some("2026-11-29T18:00:00Z")));
        assert_eq!(done(&mut file, &[today]), []);
        let ahead = signed(2, "2027-02-01T00:00:00Z", freeze(None));
        assert_eq!(done(&mut file, &[ahead]), []);
        assert_eq!(holding(&file), 2, "also the one of today");
        for (number, made, until) in [
            (3, "2027-09-01T00:00:00Z", "2027-09-01T02:00:00Z"),
            (4, "2026-11-29T11:00:00Z", "2026-12-02T00:00:00Z"),
        ] {
            let problems = done(&mut file, &[signed(number, made, exception(until))]);
            assert_eq!(problems.len(), 1, "{made}");
        }
        let good = signed(5, "2026-11-29T11:00:00Z", exception("2026-11-29T14:00:00Z"));
        assert_eq!(done(&mut file, &[good]), []);
        let by_one_ahead = signed(6, "2026-11-29T15:00:00Z", Directed::Lifted(id(5)));
        assert_eq!(done(&mut file, &[by_one_ahead]), []);
        assert_eq!(holding(&file), 2, "taken back");
        // By the clock here it is over, which may be wrong.
        let over = signed(7, "2026-11-28T00:00:00Z", freeze(Some("2026-11-28T01:00:00Z")));
        assert_eq!(done(&mut file, &[over]), []);
        assert!(file.number_of(&id(7)).is_some());
        let long_ago = signed(8, "2026-01-01T00:00:00Z", freeze(Some("2026-01-02T00:00:00Z")));
        assert_eq!(done(&mut file, &[long_ago]), []);
        assert!(file.number_of(&id(8)).is_none());
    }

    #[test]
    fn one_that_cannot_be_followed_keeps_none_back() {
        let mut file = OrdersFile::default();
        let all = [
            signed(1, "2027-09-01T00:00:00Z", exception("2027-09-01T02:00:00Z")),
            signed(2, "2026-11-29T11:00:00Z", freeze(None)),
        ];
        let problems = done(&mut file, &all);
        assert_eq!(problems.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>(), [id(1)]);
        assert_eq!(holding(&file), 1);
        assert_eq!(freezes(&all, &BTreeSet::new()).len(), 1);
        assert!(freezes(&all, &[id(2)].into()).is_empty());
    }
}
