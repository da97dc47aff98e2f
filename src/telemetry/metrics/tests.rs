//! Whatever is remembered, the counts are those of a look-up each time.

use std::collections::{BTreeMap, HashSet};

use proptest::prelude::*;

use super::*;

fn lines(metrics: &Metrics, name: &str) -> Vec<(String, u64)> {
    let text = String::from_utf8(metrics.render().unwrap().0).unwrap();
    let line = |line: &str| {
        let (series, value) = line.strip_prefix(name)?.rsplit_once(' ')?;
        Some((series.to_owned(), value.parse().ok()?))
    };
    text.lines().filter_map(line).collect()
}

fn requests(metrics: &Metrics) -> BTreeMap<String, u64> {
    lines(metrics, "grantgate_requests_total").into_iter().collect()
}

/// More callers than are remembered; `other` is also what strangers are counted as.
fn caller() -> impl Strategy<Value = Option<CallerId>> {
    let named = (0..200_u32).prop_map(|n| CallerId::parse(&format!("caller-{n}")).ok());
    let few = prop::sample::select(vec!["a", "b", "other"]).prop_map(|id| CallerId::parse(id).ok());
    prop_oneof![2 => named, 3 => few, 1 => Just(None)]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn answers_are_counted_by_caller_decision_and_reason(
        answers in prop::collection::vec(
            (caller(), any::<bool>(), prop::sample::select(Reason::ALL.to_vec())), 0..600),
    ) {
        let metrics = Metrics::new(&ClosedSets::default()).unwrap();
        let mut expected = BTreeMap::<String, u64>::new();
        let mut by_decision = BTreeMap::<bool, u64>::new();
        for (caller, allowed, reason) in &answers {
            metrics.answered(caller.as_ref(), *allowed, *reason, 0.001);
            let (caller, decision) = (
                caller.as_ref().map_or("other", CallerId::as_str),
                if *allowed { "allow" } else { "deny" },
            );
            let reason = reason.as_str();
            let series =
                format!("{{caller=\"{caller}\",decision=\"{decision}\",reason=\"{reason}\"}}");
            *expected.entry(series).or_default() += 1;
            *by_decision.entry(*allowed).or_default() += 1;
        }
        prop_assert_eq!(requests(&metrics), expected);
        for (allowed, decision) in [(true, "allow"), (false, "deny")] {
            let counted: BTreeMap<_, _> =
                lines(&metrics, "grantgate_request_duration_seconds_count").into_iter().collect();
            let of = format!("{{decision=\"{decision}\"}}");
            prop_assert_eq!(counted[&of], by_decision.get(&allowed).copied().unwrap_or(0));
        }
    }
}

#[test]
fn answers_on_many_threads_are_all_counted() {
    let metrics = Metrics::new(&ClosedSets::default()).unwrap();
    let callers = ["a", "b", "c"].map(|id| CallerId::parse(id).unwrap());
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for n in 0..9_000 {
                    let caller = callers.get(n % 3);
                    metrics.answered(caller, true, Reason::AllowedByRule, 0.001);
                }
            });
        }
    });
    let counts: Vec<u64> = requests(&metrics).into_values().collect();
    assert_eq!(counts, [12_000; 3]);
}

#[test]
fn outcomes_are_there_from_the_start_and_each_has_its_own() {
    let metrics = Metrics::new(&ClosedSets::default()).unwrap();
    let outcomes = || lines(&metrics, "grantgate_upstream_requests_total");
    let names: HashSet<String> =
        Outcome::ALL.map(|outcome| format!("{{outcome=\"{}\"}}", outcome.as_str())).into();
    assert_eq!(outcomes().into_iter().map(|(series, _)| series).collect::<HashSet<_>>(), names);
    assert!(outcomes().iter().all(|(_, count)| *count == 0));
    for (n, outcome) in Outcome::ALL.into_iter().enumerate() {
        (0..=n).for_each(|_| metrics.completed(None, outcome));
    }
    for (n, outcome) in Outcome::ALL.into_iter().enumerate() {
        let series = format!("{{outcome=\"{}\"}}", outcome.as_str());
        assert!(outcomes().contains(&(series, n as u64 + 1)), "{outcome:?}");
    }
}
