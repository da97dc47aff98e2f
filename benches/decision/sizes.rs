//! The time of a decision by the number of rules: the first of its kind, and one that was made
//! before.

use std::hint::black_box;
use std::time::{Duration, Instant};

use grantgate::authn::Principal;
use grantgate::domain::{Act, CallerId, EntranceId, GranteeKind};
use grantgate::policy::{Attempt, Memo, Moment, Policy, Question};

use crate::generated::{Case, Generated, IN_HOURS};
use crate::sample::{attempt, principal, reason};
use crate::{callers, median, micros, source};

const SIZES: [u32; 5] = [100, 1_000, 10_000, 100_000, 1_000_000];
const ROUNDS: usize = 41;
/// Requests of each round, each for a caller and an entrance chosen by chance.
const REQUESTS: usize = 1_024;

/// Name, case, and what is aimed at, in µs.
const CASES: [(&str, Case, &str); 7] = [
    ("allow", Case::Allow, "3"),
    ("allow in hours", Case::AllowInHours, "3"),
    ("deny by rule", Case::Deny, "3"),
    ("deny over an allow (two rules)", Case::DenyOverAllow, "4"),
    ("no rule matches", Case::NoRule, "0.5"),
    ("unknown caller", Case::UnknownCaller, "0.5"),
    ("unknown entrance", Case::UnknownEntrance, "0.5"),
];

/// Cases of rules without conditions: the memo has them when they are asked for again.
const REPEATED: [(&str, Case); 3] = [
    ("allow", Case::Allow),
    ("deny by rule", Case::Deny),
    ("deny over an allow (two rules)", Case::DenyOverAllow),
];

pub(crate) fn run() {
    let policies = SIZES.map(Sized::new);
    let mut times = SIZES.map(|_| CASES.map(|_| Vec::with_capacity(ROUNDS)));
    let mut repeated = SIZES.map(|_| REPEATED.map(|_| Vec::with_capacity(ROUNDS)));
    for _ in 0..ROUNDS {
        let of_policies = policies.iter().zip(&mut times).zip(&mut repeated);
        for ((policy, times), repeated) in of_policies {
            for ((case, requests), times) in CASES.iter().zip(&policy.requests).zip(times) {
                times.push(round(&policy.policy, case, requests));
            }
            for ((case, asked), times) in REPEATED.iter().zip(&policy.repeated).zip(repeated) {
                times.push(repeated_round(policy, case, asked));
            }
        }
    }

    println!("\nThe generated policies:\n");
    println!("| rules | teams | callers | floors | entrances | `g` | `g2` | text MiB |");
    println!("|---:|---:|---:|---:|---:|---:|---:|---:|");
    policies.iter().for_each(Sized::row);

    println!("\nA decision, median µs, by the number of rules:\n");
    heading();
    for (index, (name, _, aim)) in CASES.iter().enumerate() {
        figures(name, aim, times.each_mut().map(|cases| cases.get_mut(index).unwrap()));
    }
    println!("\nA decision that was made before, with the permit or denial, median µs:\n");
    heading();
    for (index, (name, _)) in REPEATED.iter().enumerate() {
        figures(name, "0.3", repeated.each_mut().map(|cases| cases.get_mut(index).unwrap()));
    }
}

fn heading() {
    println!("| case | 100 | 1,000 | 10,000 | 100,000 | 1,000,000 | aim | largest / smallest |");
    println!("|---|---:|---:|---:|---:|---:|---:|---:|");
}

fn figures(name: &str, aim: &str, times: [&mut Vec<Duration>; 5]) {
    let medians = times.map(|times| micros(median(times)));
    let [smallest, .., largest] = medians;
    let figures: String = medians.iter().map(|figure| format!("{figure:.2} | ")).collect();
    println!("| {name} | {figures}{aim} | {:.1} (aim 2) |", largest / smallest);
}

struct Sized {
    generated: Generated,
    text_bytes: usize,
    policy: Policy,
    /// For each case.
    requests: [Vec<Request>; 7],
    /// For each case that is repeated.
    repeated: [Vec<(Principal, EntranceId)>; 3],
    memo: Memo,
}

type Request = (CallerId, EntranceId);

impl Sized {
    fn new(rules: u32) -> Self {
        let generated = Generated::new(rules, true);
        let text = generated.text("");
        let callers = callers(generated.callers());
        let loaded = Policy::load(&source(&text), &callers, jiff::Timestamp::now()).unwrap();
        assert_eq!(loaded.policy.rule_count(), rules as usize);
        assert!(loaded.warnings.is_empty(), "{:?}", loaded.warnings);
        let parse = |(caller, entrance): (String, String)| {
            (CallerId::parse(&caller).unwrap(), EntranceId::parse(&entrance).unwrap())
        };
        let requests = CASES.map(|(_, case, _)| {
            generated.requests(case, REQUESTS).into_iter().map(parse).collect()
        });
        let repeated = REPEATED.map(|(_, case)| {
            let asked = generated.requests(case, REQUESTS).into_iter();
            asked.map(|(id, door)| (principal(&callers, &id), parse((id, door)).1)).collect()
        });
        let (text_bytes, memo) = (text.len(), Memo::default());
        Self { generated, text_bytes, policy: loaded.policy, requests, repeated, memo }
    }

    fn row(&self) {
        let Generated { rules, teams, floors, .. } = self.generated;
        let callers = self.generated.callers().count();
        let (roles, zones) = (self.generated.roles().count(), self.generated.zones().count());
        // Every floor, too, is in a zone.
        let entrances = zones - floors as usize;
        #[allow(clippy::cast_precision_loss)]
        let mib = self.text_bytes as f64 / f64::from(1 << 20);
        println!(
            "| {rules} | {teams} | {callers} | {floors} | {entrances} | {roles} | {zones} | {mib:.2} |"
        );
    }
}

/// The time of one decision.
fn round(policy: &Policy, case: &(&str, Case, &str), requests: &[Request]) -> Duration {
    let (name, case, _) = case;
    let moment = Moment { at: IN_HOURS.parse().unwrap(), grantee: Some(GranteeKind::AcsUser) };
    let expected = case.reason();
    let started = Instant::now();
    for (caller, entrance) in requests {
        let (caller, entrance) = (black_box(caller), black_box(*entrance));
        let found = policy.evaluate(Question {
            caller,
            act: Act::Grant,
            entrance,
            workspace: None,
            moment,
        });
        assert_eq!(found.reason, expected, "{name} {caller} {entrance:?}");
    }
    started.elapsed() / u32::try_from(requests.len()).unwrap()
}

/// The time of one decision that was made before, attempts made beforehand.
fn repeated_round(
    sized: &Sized,
    (name, case): &(&str, Case),
    asked: &[(Principal, EntranceId)],
) -> Duration {
    let Sized { policy, memo, .. } = sized;
    let mut took = Duration::ZERO;
    // What the memo has no more, it has the second time.
    for _ in 0..2 {
        let attempts: Vec<Attempt> =
            asked.iter().map(|(principal, entrance)| attempt(principal, *entrance)).collect();
        let mut decisions = Vec::with_capacity(attempts.len());
        let started = Instant::now();
        for attempt in attempts {
            decisions.push(policy.decide_with(black_box(attempt), memo));
        }
        took = started.elapsed();
        for decision in decisions {
            assert_eq!(reason(&decision), case.reason(), "{name}");
        }
    }
    took / u32::try_from(asked.len()).unwrap()
}
