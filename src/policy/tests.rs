mod deciding;
mod loading;
mod matrix;
mod ordered;
mod remembering;
mod reviewing;
mod selecting;

use super::*;
use crate::authn::{Issuers, Principal, TokenDigest, authenticate};
use crate::domain::{AcsUserId, GrantRequest, Grantee, RequestId};
use http::HeaderMap;
use http::header::AUTHORIZATION;

const MODEL: &str = include_str!("../../policies/model.conf");
const RULES: &str = include_str!("../../policies/policy.csv");
const LOBBY: &str = "d23d7180-c1ee-4bbe-8630-05df5031ce35";
const OFFICE: &str = "e4a7c9b2-18d3-4e6f-a5b0-3c2d1e0f9a8b";
const SERVER_ROOM: &str = "5f0c2a4e-8d6b-4c1f-9a37-2b9e6d1c7f08";
const ELSEWHERE: &str = "11111111-2222-4333-8444-555555555555";

fn callers(ids: &[&str]) -> Callers {
    let text: String = ids
        .iter()
        .map(|id| {
            let digest = TokenDigest::of(id);
            format!(
                "[[caller]]\nid = \"{id}\"\ntokens = [{{ name = \"t\", sha256 = \"{digest}\" }}]\n"
            )
        })
        .collect();
    Callers::parse("callers.toml", text.as_bytes()).unwrap()
}

fn principal(callers: &Callers, id: &str) -> Principal {
    let mut headers = HeaderMap::new();
    headers.insert(AUTHORIZATION, format!("Bearer {id}").parse().unwrap());
    authenticate(&headers, None, callers, &Issuers::new(Vec::new(), None), jiff::Timestamp::now())
        .unwrap()
}

fn source(model: &str, rules: &str) -> PolicySource {
    let file = |name: &str, text: &str| SourceFile { name: name.into(), bytes: text.into() };
    PolicySource { model: file("model.conf", model), rules: file("policy.csv", rules) }
}

/// When these policies are looked at.
const NOW: Timestamp = Timestamp::constant(1_795_000_000, 0);

const TEAM: [&str; 4] = ["visitor-desk", "cleaning-rota", "facilities", "nobody"];

fn decide(
    policy: &Policy,
    callers: &Callers,
    caller: &str,
    entrance: &str,
) -> (Reason, Vec<String>) {
    found(policy.decide(attempt(callers, caller, entrance)))
}

fn attempt(callers: &Callers, caller: &str, entrance: &str) -> Attempt {
    Attempt {
        request_id: RequestId::generate(),
        peer: ([127, 0, 0, 1], 1).into(),
        principal: principal(callers, caller),
        request: crate::domain::Request::GrantAccess(GrantRequest {
            entrance: EntranceId::parse(entrance).unwrap(),
            grantee: Grantee::AcsUser(AcsUserId::parse(LOBBY).unwrap()),
        }),
        body_sha256: [0; 32],
        key: None,
        is_key_unconfirmed: false,
        at: jiff::Timestamp::UNIX_EPOCH,
        trial: None,
    }
}

fn found(decision: Decision) -> (Reason, Vec<String>) {
    let rules = |rules: &[RuleRef]| rules.iter().map(RuleRef::to_string).collect();
    match decision {
        Decision::Permit(permit) => {
            assert!(permit.reason().permits());
            (permit.reason(), rules(permit.rules()))
        }
        Decision::Denial(denial) => {
            assert!(!denial.reason().permits());
            (denial.reason(), rules(denial.rules()))
        }
    }
}
