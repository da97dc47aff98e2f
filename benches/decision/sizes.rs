//! The time of a decision by the number of rules.

use std::hint::black_box;
use std::time::{Duration, Instant};

use grantgate::domain::{Act, CallerId, EntranceId, GranteeKind};
use grantgate::policy::{Moment, Policy, Question};

use crate::generated::{Case, Generated, IN_HOURS};
use crate::{callers, median, micros, source};

const SIZES: [u32; 5] = [100, 1_000, 10_000, 100_000, 1_000_000];
const ROUNDS: usize = 41;
/// Requests of each round, each for a caller and an entrance chosen by chance.
const REQUESTS: usize = 1_024;

/// Name, case, and whether a rule matches, for which the aim is another.
const CASES: [(&str, Case, bool); 7] = [
    ("allow", Case::Allow, true),
    ("allow in hours", Case::AllowInHours, true),
    ("deny by rule", Case::Deny, true),
    ("deny over an allow (two rules)", Case::DenyOverAllow, true),
    ("no rule matches", Case::NoRule, false),
    ("unknown caller", Case::UnknownCaller, false),
    ("unknown entrance", Case::UnknownEntrance, false),
];

pub(crate) fn run() {
    let policies = SIZES.map(Sized::new);
    let mut times = SIZES.map(|_| CASES.map(|_| Vec::with_capacity(ROUNDS)));
    for _ in 0..ROUNDS {
        for (policy, times) in policies.iter().zip(&mut times) {
            for ((case, requests), times) in CASES.iter().zip(&policy.requests).zip(times) {
                times.push(round(&policy.policy, case, requests));
            }
        }
    }

    println!("\nThe generated policies:\n");
    println!("| rules | teams | callers | floors | entrances | `g` | `g2` | text MiB |");
    println!("|---:|---:|---:|---:|---:|---:|---:|---:|");
    policies.iter().for_each(Sized::row);

    println!("\nA decision, median µs, by the number of rules:\n");
    println!("| case | 100 | 1,000 | 10,000 | 100,000 | 1,000,000 | aim | largest / smallest |");
    println!("|---|---:|---:|---:|---:|---:|---|---:|");
    for (index, (name, _, matches)) in CASES.iter().enumerate() {
        let medians = times.each_mut().map(|cases| micros(median(cases.get_mut(index).unwrap())));
        let [smallest, .., largest] = medians;
        let figures: String = medians.iter().map(|figure| format!("{figure:.2} | ")).collect();
        let aim = if *matches { "3, first 5" } else { "1, first 3" };
        println!("| {name} | {figures}{aim} | {:.1} (aim 3) |", largest / smallest);
    }
}

struct Sized {
    generated: Generated,
    text_bytes: usize,
    policy: Policy,
    /// For each case.
    requests: [Vec<Request>; 7],
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
        Self { generated, text_bytes: text.len(), policy: loaded.policy, requests }
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
fn round(policy: &Policy, case: &(&str, Case, bool), requests: &[Request]) -> Duration {
    let (name, case, _) = case;
    let moment = Moment { at: IN_HOURS.parse().unwrap(), grantee: Some(GranteeKind::AcsUser) };
    let expected = case.reason();
    let started = Instant::now();
    for (caller, entrance) in requests {
        let (caller, entrance) = (black_box(caller), black_box(*entrance));
        let found = policy.evaluate(Question { caller, act: Act::Grant, entrance, moment });
        assert_eq!(found.reason, expected, "{name} {caller} {entrance:?}");
    }
    started.elapsed() / u32::try_from(requests.len()).unwrap()
}
