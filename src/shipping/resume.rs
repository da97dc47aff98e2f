//! Where sending goes on with a sink that knows for itself which record comes next.

/// It claims records that this log does not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "it claims to have every record before {next}, but this log ends with {durable}: it has records \
     that were never sent, or the log's directory was put back from a copy"
)]
pub(super) struct ClaimsUnsent {
    next: u64,
    durable: u64,
}

/// Where to go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Resumed {
    /// The next record to send; none: the oldest that there is.
    pub next: Option<u64>,
    /// How many it had said to have and does not have any more.
    pub fell_back: u64,
}

/// At the smaller of what it says comes next and what it was known to lack: it may have lost its
/// newest records, and what it says beyond what it was known to have is sent once more, to be
/// compared there. Where nothing is known that is all that there is.
pub(super) fn resume(
    next: u64,
    confirmed: Option<u64>,
    durable: u64,
) -> Result<Resumed, ClaimsUnsent> {
    if next > durable + 1 {
        return Err(ClaimsUnsent { next, durable });
    }
    let fell_back = confirmed.map_or(0, |confirmed| confirmed.saturating_sub(next));
    Ok(Resumed { next: confirmed.map(|confirmed| next.min(confirmed)), fell_back })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn it_goes_on_at_the_smaller_and_believes_in_no_record_that_there_is_not() {
        let at = |next, confirmed| resume(next, confirmed, 100).map(|r| (r.next, r.fell_back));
        assert_eq!(at(1, None), Ok((None, 0)));
        assert_eq!(at(60, None), Ok((None, 0)), "all of it is compared");
        assert_eq!(at(60, Some(60)), Ok((Some(60), 0)));
        assert_eq!(at(40, Some(60)), Ok((Some(40), 20)), "it lost some");
        assert_eq!(at(80, Some(60)), Ok((Some(60), 0)), "what it says beyond is compared");
        assert_eq!(at(101, Some(101)), Ok((Some(101), 0)));
        for confirmed in [None, Some(50)] {
            let claim = at(102, confirmed).unwrap_err().to_string();
            assert!(
                claim.contains("every record before 102, but this log ends with 100"),
                "{claim}"
            );
        }
    }

    /// A database as it may be: it loses its newest records, and answers that do not arrive.
    #[derive(Default)]
    struct Model(Vec<u64>);

    impl Model {
        fn next(&self) -> u64 {
            self.0.len() as u64 + 1
        }

        /// As `append_1` does.
        fn append(&mut self, first: u64, records: &[u64]) -> u64 {
            for (seq, record) in (first..).zip(records) {
                match usize::try_from(seq).unwrap().checked_sub(self.0.len()) {
                    Some(1) => self.0.push(*record),
                    // A gap: nothing is added.
                    Some(2..) => break,
                    Some(0) | None => {
                        assert_eq!(self.0[usize::try_from(seq).unwrap() - 1], *record);
                    }
                }
            }
            self.next()
        }
    }

    #[derive(Debug, Clone)]
    enum Event {
        Records(usize),
        Send { is_answered: bool },
        Lose(usize),
        Keep,
        Restart,
    }

    fn event() -> impl Strategy<Value = Event> {
        prop_oneof![
            (1..5_usize).prop_map(Event::Records),
            any::<bool>().prop_map(|is_answered| Event::Send { is_answered }),
            Just(Event::Send { is_answered: true }),
            (1..8_usize).prop_map(Event::Lose),
            Just(Event::Keep),
            Just(Event::Restart),
        ]
    }

    /// A worker as far as it matters here.
    #[derive(Default)]
    struct Sending {
        next: Option<u64>,
        kept: Option<u64>,
        placed: bool,
    }

    impl Sending {
        fn send(&mut self, log: &[u64], to: &mut Model, is_answered: bool) {
            if !self.placed {
                let resumed = resume(to.next(), self.next, log.len() as u64).unwrap();
                (self.next, self.placed) = (resumed.next, true);
                return;
            }
            let first = self.next.unwrap_or(1);
            let rest = &log[usize::try_from(first).unwrap() - 1..];
            let batch = &rest[..rest.len().min(3)];
            let there = to.append(first, batch);
            if is_answered && there < first + batch.len() as u64 {
                self.placed = false;
            } else if is_answered {
                self.next = Some(first + batch.len() as u64);
            }
        }
    }

    proptest! {
        /// Whatever it loses, whatever answers are lost and however often the gateway is killed: in
        /// the end each record is there once and in its place.
        #[test]
        fn each_record_comes_once(events in proptest::collection::vec(event(), 0..80)) {
            let (mut log, mut database, mut sending) =
                (Vec::new(), Model::default(), Sending::default());
            for event in events {
                match event {
                    Event::Records(more) => {
                        let from = log.len() as u64;
                        log.extend((from..).take(more).map(|n| n * 7 + 1));
                    }
                    Event::Send { is_answered } => {
                        sending.send(&log, &mut database, is_answered);
                    }
                    Event::Lose(most) => {
                        let left = database.0.len().saturating_sub(most);
                        database.0.truncate(left);
                    }
                    Event::Keep => sending.kept = sending.next,
                    Event::Restart => {
                        sending = Sending { next: sending.kept, kept: sending.kept, placed: false };
                    }
                }
                prop_assert_eq!(&log[..database.0.len()], &database.0[..]);
            }
            // What it lost while nothing was to be sent shows with the next record.
            log.push(u64::MAX);
            for _ in 0..log.len() + 3 {
                sending.send(&log, &mut database, true);
            }
            prop_assert_eq!(log, database.0);
        }
    }
}
