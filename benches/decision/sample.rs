//! A decision, and a load, with the sample policy.

use std::hint::black_box;
use std::time::{Duration, Instant};

use grantgate::authn::{Callers, Issuers, Principal, authenticate};
use grantgate::domain::{AcsUserId, EntranceId, GrantRequest, Grantee, Reason, Request, RequestId};
use grantgate::policy::{Attempt, Decision, Memo, Policy};
use http::HeaderMap;
use http::header::AUTHORIZATION;

use crate::{callers, median, micros, source};

const RULES: &str = include_str!("../../policies/policy.csv");
const LOBBY: &str = "d23d7180-c1ee-4bbe-8630-05df5031ce35";
const OFFICE: &str = "e4a7c9b2-18d3-4e6f-a5b0-3c2d1e0f9a8b";
const SERVER_ROOM: &str = "5f0c2a4e-8d6b-4c1f-9a37-2b9e6d1c7f08";

const ROUNDS: usize = 41;
const DECISIONS: u32 = 2_000;
const LOADS: u32 = 5;

struct Case {
    name: &'static str,
    caller: &'static str,
    entrance: &'static str,
    reason: Reason,
}

const CASES: [Case; 4] = [
    Case { name: "allow", caller: "visitor-desk", entrance: LOBBY, reason: Reason::AllowedByRule },
    Case {
        name: "deny by rule",
        caller: "visitor-desk",
        entrance: SERVER_ROOM,
        reason: Reason::DeniedByRule,
    },
    Case {
        name: "no rule matches",
        caller: "visitor-desk",
        entrance: OFFICE,
        reason: Reason::NoRuleMatches,
    },
    Case {
        name: "caller outside policy (casbin is not asked)",
        caller: "nobody",
        entrance: LOBBY,
        reason: Reason::CallerOutsidePolicy,
    },
];

pub(crate) fn run() {
    let callers = callers(["visitor-desk", "cleaning-rota", "facilities", "nobody"]);
    let source = source(RULES);
    let policy = Policy::load(&source, &callers, jiff::Timestamp::now()).unwrap().policy;
    let principals = CASES.each_ref().map(|case| principal(&callers, case.caller));

    let mut loads = Vec::new();
    let mut times: [Vec<Duration>; 4] = Default::default();
    let (memo, mut repeated): (_, [Vec<Duration>; 4]) = Default::default();
    for _ in 0..ROUNDS {
        for ((case, principal), times) in CASES.iter().zip(&principals).zip(&mut times) {
            times.push(round(&policy, case, principal, None));
        }
        for ((case, principal), times) in CASES.iter().zip(&principals).zip(&mut repeated) {
            times.push(round(&policy, case, principal, Some(&memo)));
        }
        let started = Instant::now();
        for _ in 0..LOADS {
            black_box(Policy::load(black_box(&source), &callers, jiff::Timestamp::now()).unwrap());
        }
        loads.push(started.elapsed() / LOADS);
    }

    println!("| sample policy (7 rules) | median µs | least | most |");
    println!("|---|---:|---:|---:|");
    for (case, times) in CASES.iter().zip(times) {
        row(case.name, times);
    }
    for (case, times) in CASES.iter().zip(repeated) {
        row(&format!("{}, repeated", case.name), times);
    }
    row("load (parse, check, self-test)", loads);
}

/// The time of one decision, attempts made beforehand.
fn round(policy: &Policy, case: &Case, principal: &Principal, memo: Option<&Memo>) -> Duration {
    let entrance = EntranceId::parse(case.entrance).unwrap();
    let attempts: Vec<Attempt> = (0..DECISIONS).map(|_| attempt(principal, entrance)).collect();
    let mut decisions = Vec::with_capacity(attempts.len());
    let started = Instant::now();
    for attempt in attempts {
        let attempt = black_box(attempt);
        decisions.push(match memo {
            None => policy.decide(attempt),
            Some(memo) => policy.decide_with(attempt, memo),
        });
    }
    let took = started.elapsed();
    for decision in decisions {
        assert_eq!(reason(&decision), case.reason, "{}", case.name);
    }
    took / DECISIONS
}

pub(crate) fn reason(decision: &Decision) -> Reason {
    match decision {
        Decision::Permit(permit) => permit.reason(),
        Decision::Denial(denial) => denial.reason(),
    }
}

fn row(name: &str, mut times: Vec<Duration>) {
    let median = micros(median(&mut times));
    // Sorted now.
    let (least, most) = (micros(*times.first().unwrap()), micros(*times.last().unwrap()));
    println!("| {name} | {median:.2} | {least:.2} | {most:.2} |");
}

pub(crate) fn attempt(principal: &Principal, entrance: EntranceId) -> Attempt {
    Attempt {
        request_id: RequestId::generate(),
        peer: ([127, 0, 0, 1], 1).into(),
        principal: principal.clone(),
        request: Request::GrantAccess(GrantRequest {
            entrance,
            grantee: Grantee::AcsUser(AcsUserId::parse(LOBBY).unwrap()),
        }),
        body_sha256: [0; 32],
        key: None,
        is_key_unconfirmed: false,
        at: jiff::Timestamp::now(),
        trial: None,
    }
}

pub(crate) fn principal(callers: &Callers, id: &str) -> Principal {
    let mut headers = HeaderMap::new();
    headers.insert(AUTHORIZATION, format!("Bearer {id}").parse().unwrap());
    authenticate(&headers, None, callers, &Issuers::new(Vec::new(), None), jiff::Timestamp::now())
        .unwrap()
}
