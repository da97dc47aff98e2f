//! casbin as it comes, without the loader and the index, on the same text.

use std::hint::black_box;
use std::time::{Duration, Instant};

use casbin::function_map::OperatorFunction;
use casbin::{CoreApi as _, DefaultModel, Enforcer, StringAdapter};
use grantgate::domain::Reason;

use crate::generated::{Case, Generated};
use crate::{MODEL, median, micros};

const SIZES: [u32; 3] = [100, 1_000, 10_000];
const ROUNDS: usize = 5;

const CASES: [(&str, Case); 6] = [
    ("allow", Case::Allow),
    ("allow in hours (not looked at)", Case::AllowInHours),
    ("deny by rule", Case::Deny),
    ("no rule matches", Case::NoRule),
    ("unknown caller", Case::UnknownCaller),
    ("unknown entrance", Case::UnknownEntrance),
];

pub(crate) fn run() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let enforcers = SIZES.map(|size| runtime.block_on(enforcer(Generated::new(size, true))));
    let mut times = CASES.map(|_| SIZES.map(|_| Vec::with_capacity(ROUNDS)));
    for _ in 0..ROUNDS {
        for ((_, case), times) in CASES.iter().zip(&mut times) {
            for ((size, enforcer), times) in SIZES.iter().zip(&enforcers).zip(times) {
                times.push(round(enforcer, Generated::new(*size, true), *case));
            }
        }
    }
    println!("\nPlain casbin on the same text, median µs, by the number of rules:\n");
    println!("| case | 100 | 1,000 | 10,000 |");
    println!("|---|---:|---:|---:|");
    for ((name, _), times) in CASES.iter().zip(times) {
        let [a, b, c] = times.map(|mut times| micros(median(&mut times)));
        println!("| {name} | {a:.0} | {b:.0} | {c:.0} |");
    }
}

/// Every rule has the fifth column, which casbin asks for.
async fn enforcer(generated: Generated) -> Enforcer {
    let model = DefaultModel::from_str(MODEL).await.unwrap();
    let rules = StringAdapter::new(generated.text(", always"));
    let mut enforcer = Enforcer::new(model, rules).await.unwrap();
    enforcer.add_function("holds", OperatorFunction::Arg1(|_| true.into()));
    enforcer
}

/// The time of one decision; fewer of them where each takes longer.
fn round(enforcer: &Enforcer, generated: Generated, case: Case) -> Duration {
    let count = (100_000 / generated.rules).min(256);
    let requests = generated.requests(case, count as usize).into_iter();
    let requests: Vec<[String; 2]> = requests
        .map(|(caller, entrance)| [format!("caller:{caller}"), format!("entrance:{entrance}")])
        .collect();
    let expected = case.reason() == Reason::AllowedByRule;
    let started = Instant::now();
    for [caller, entrance] in &requests {
        let allowed = enforcer.enforce((black_box(caller.as_str()), entrance.as_str(), "grant"));
        assert_eq!(allowed.unwrap(), expected, "{case:?} {caller} {entrance}");
    }
    started.elapsed() / count
}
