//! grantgate's policy decisions beside cedar-policy's and regorus's. Prints a
//! Markdown table.
//!
//! From the gateway's own folder:
//!
//! ```sh
//! cargo run --release --manifest-path benches/engines/Cargo.toml --target-dir target/engines
//! ```
//!
//! All engines have the same generated policies, without conditions, and are asked the
//! same: a caller's id and an entrance's. What each makes of these two before it can
//! decide is part of its time. Every answer is compared with grantgate's, and that with
//! what the policy was made to say. A hit is a pair that a rule allows or, every second,
//! one that a rule denies; a miss is a pair without a rule. Rounds are interleaved, and
//! each figure is the median of its rounds. A round has fewer requests where one takes
//! long. All takes about a minute, and 1 GiB of memory.

mod cedar;
#[path = "../../decision/generated.rs"]
#[allow(dead_code)]
mod generated;
mod rego;

use std::time::{Duration, Instant};

use generated::{Case, Generated, IN_HOURS};
use grantgate::authn::{Callers, TokenDigest};
use grantgate::domain::{Act, CallerId, EntranceId, GranteeKind, Reason};
use grantgate::policy::{Moment, Policy, PolicySource, Question, SourceFile};

const SIZES: [u32; 5] = [100, 1_000, 10_000, 100_000, 1_000_000];
const ROUNDS: usize = 21;
const REQUESTS: usize = 1_024;
/// What a round may take, or the least number of requests.
const ROUND: Duration = Duration::from_millis(100);
const REQUESTS_MIN: usize = 16;

/// A caller's id and an entrance's.
type Request = (String, String);

/// Whether the caller may grant the entrance.
type Ask = Box<dyn FnMut(&Request) -> bool>;

struct Engine {
    name: &'static str,
    /// The largest policy that it is given.
    rules_max: u32,
    load: fn(Generated) -> Ask,
}

static ENGINES: [Engine; 5] = [
    Engine { name: "grantgate", rules_max: u32::MAX, load: grantgate },
    Engine { name: "cedar-policy, 2 policies + data", rules_max: u32::MAX, load: cedar::data },
    Engine { name: "cedar-policy, a policy per rule", rules_max: 10_000, load: cedar::policies },
    Engine { name: "regorus, indexed data", rules_max: u32::MAX, load: rego::interpreter },
    Engine { name: "regorus, indexed data, compiled", rules_max: u32::MAX, load: rego::machine },
];

/// Of one engine and one size.
struct Figures {
    hit: Duration,
    miss: Duration,
}

fn main() {
    let sizes = SIZES.map(measure);
    println!("| engine, hit / miss | 100 | 1,000 | 10,000 | 100,000 | 1,000,000 |");
    println!("|---|---:|---:|---:|---:|---:|");
    for (index, engine) in ENGINES.iter().enumerate() {
        let cell = |figures: &Vec<Option<Figures>>| match figures[index] {
            Some(Figures { hit, miss }) => format!("{} / {}", text(hit), text(miss)),
            None => "-".into(),
        };
        println!(
            "| {} | {} |",
            engine.name,
            sizes.iter().map(cell).collect::<Vec<_>>().join(" | ")
        );
    }
}

/// Every engine with a policy of one size; none where it is too large.
fn measure(rules: u32) -> Vec<Option<Figures>> {
    let generated = Generated::new(rules, false);
    let hits = generated.requests(Case::Allow, REQUESTS / 2).into_iter();
    let hits = hits.zip(generated.requests(Case::Deny, REQUESTS / 2)).flat_map(|(a, d)| [a, d]);
    let hits: Vec<Request> = hits.collect();
    let misses = generated.requests(Case::NoRule, REQUESTS);

    let fits = |engine: &'static Engine| (engine.rules_max >= rules).then_some(engine);
    let load = |engine: &Engine| (engine.name, (engine.load)(generated), Vec::new(), Vec::new());
    let mut engines: Vec<_> = ENGINES.iter().map(|engine| fits(engine).map(load)).collect();
    for _ in 0..ROUNDS {
        for (name, ask, hit, miss) in engines.iter_mut().flatten() {
            let mut allowed = (0..).map(|index| index % 2 == 0);
            hit.push(round(name, ask, &hits, &mut allowed));
            miss.push(round(name, ask, &misses, &mut std::iter::repeat(false)));
        }
    }
    let figures = engines.into_iter().map(|engine| {
        let (_, _, hit, miss) = engine?;
        Some(Figures { hit: median(hit), miss: median(miss) })
    });
    figures.collect()
}

/// The time of one decision.
fn round(
    name: &str,
    ask: &mut Ask,
    requests: &[Request],
    expected: &mut dyn Iterator<Item = bool>,
) -> Duration {
    let started = Instant::now();
    let mut count = 0;
    for (request, expected) in requests.iter().zip(expected) {
        assert_eq!(ask(request), expected, "{name} {request:?}");
        count += 1;
        if count as usize >= REQUESTS_MIN && count % 16 == 0 && started.elapsed() > ROUND {
            break;
        }
    }
    started.elapsed() / count
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

/// Two digits or three.
fn text(time: Duration) -> String {
    let seconds = time.as_secs_f64();
    let (value, unit) = match seconds {
        ..1e-3 => (seconds * 1e6, "µs"),
        ..1.0 => (seconds * 1e3, "ms"),
        _ => (seconds, "s"),
    };
    let digits = if value < 10.0 { 2 } else { usize::from(value < 100.0) };
    format!("{value:.digits$} {unit}")
}

fn grantgate(generated: Generated) -> Ask {
    let caller = |id: String| {
        let digest = TokenDigest::of(&id);
        format!("[[caller]]\nid = \"{id}\"\ntokens = [{{ name = \"t\", sha256 = \"{digest}\" }}]\n")
    };
    let callers: String = generated.callers().map(caller).collect();
    let callers = Callers::parse("callers.toml", callers.as_bytes()).unwrap();
    let file = |name: &str, text: &str| SourceFile { name: name.into(), bytes: text.into() };
    let source = PolicySource {
        model: file("model.conf", include_str!("../../../policies/model.conf")),
        rules: file("policy.csv", &generated.text("")),
    };
    let policy = Policy::load(&source, &callers, jiff::Timestamp::now()).unwrap().policy;
    let moment = Moment { at: IN_HOURS.parse().unwrap(), grantee: Some(GranteeKind::AcsUser) };
    Box::new(move |(caller, entrance)| {
        let caller = CallerId::parse(caller).unwrap();
        let entrance = EntranceId::parse(entrance).unwrap();
        let question = Question { caller: &caller, act: Act::Grant, entrance, workspace: None, moment };
        policy.evaluate(question).reason == Reason::AllowedByRule
    })
}
