//! Time of an authentication, from the headers of a request to its caller: a token of the
//! gateway's own among 1 to 100,000 callers, a client certificate on a connection that is open, a
//! JSON Web Token that is remembered, and one that is verified; and the memory of what is remembered. Prints a Markdown table.
//!
//! `cargo bench --profile dist --bench authn`
//!
//! Rounds of the cases are interleaved, so that a slow moment of the machine falls on all of
//! them. Every answer is compared with the one that was to come.

#![allow(missing_docs, clippy::unwrap_used, clippy::panic, clippy::print_stdout)]

#[path = "../tests/it/support/minter.rs"]
mod minter;

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use grantgate::authn::jwt::{Issuer, IssuerKeys, IssuerRules, KeySet, TOKENS_MAX};
use grantgate::authn::{Callers, Issuers, PeerCertificate, TokenDigest, authenticate};
use grantgate::domain::JwsAlgorithm;
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderValue};
use jiff::Timestamp;
use minter::{Signer, from_now, jwks};
use serde_json::{Value, json};

const ROUNDS: usize = 41;
const PER_ROUND: usize = 500;
const ISS: &str = "https://kubernetes.default.svc.cluster.local";
const SUBJECT: &str = "system:serviceaccount:front:caller-0";

/// One row of the table.
struct Case {
    name: String,
    callers: Arc<Callers>,
    issuers: Box<dyn Fn() -> Issuers>,
    certificate: Option<PeerCertificate>,
    requests: Vec<HeaderMap>,
    times: Vec<Duration>,
}

fn main() {
    let signers = ["ES256", "ES384", "EdDSA", "RS256", "PS256"].map(|alg| Signer::new(alg, alg));
    let of_signers: Vec<&Signer> = signers.iter().collect();
    let keys = KeySet::parse(jwks(&of_signers).as_bytes(), JwsAlgorithm::ALL, None).unwrap();
    let keys = Arc::new(keys);
    let one = Arc::new(callers(1));
    memory(&one, &keys, signers.first().unwrap());

    let mut cases = Vec::new();
    for count in [1, 1_000, 100_000] {
        let token = format!("seam_gg_{count:043}");
        cases.push(Case {
            name: format!("token of the gateway's own, {count} callers"),
            callers: Arc::new(callers(count)),
            issuers: Box::new(|| Issuers::new(Vec::new(), None)),
            certificate: None,
            requests: vec![request(&token); PER_ROUND],
            times: Vec::new(),
        });
    }
    cases.push(Case {
        name: "certificate on an open connection, 1,000 callers".into(),
        callers: Arc::new(callers(1_000)),
        issuers: Box::new(|| Issuers::new(Vec::new(), None)),
        certificate: Some(certificate()),
        requests: vec![HeaderMap::new(); PER_ROUND],
        times: Vec::new(),
    });
    let known = signers.first().unwrap().token(&claims(0));
    let kept = keys.clone();
    let warm = Arc::new(issuers(&keys));
    let _ = authenticate(&request(&known), None, &one, &warm, Timestamp::now()).unwrap();
    cases.push(Case {
        name: format!("JWT of {} bytes, remembered", known.len()),
        callers: one.clone(),
        // The same table as before.
        issuers: Box::new(move || Issuers::new(all(&kept), Some(&warm))),
        certificate: None,
        requests: vec![request(&known); PER_ROUND],
        times: Vec::new(),
    });
    for signer in &signers {
        let keys = keys.clone();
        cases.push(Case {
            name: format!("JWT by {}, verified", signer.alg),
            callers: one.clone(),
            issuers: Box::new(move || issuers(&keys)),
            certificate: None,
            requests: (0..PER_ROUND).map(|n| request(&signer.token(&claims(n)))).collect(),
            times: Vec::new(),
        });
    }
    for _ in 0..ROUNDS {
        for case in &mut cases {
            case.round();
        }
    }
    println!("| | median µs | least | most |\n|---|---:|---:|---:|");
    for Case { name, times, .. } in &mut cases {
        times.sort_unstable();
        let at = |place: usize| times.get(place).unwrap().as_secs_f64() * 1e6;
        println!("| {name} | {:.2} | {:.2} | {:.2} |", at(ROUNDS / 2), at(0), at(ROUNDS - 1));
    }
}

impl Case {
    fn round(&mut self) {
        let (issuers, now) = ((self.issuers)(), Timestamp::now());
        let started = Instant::now();
        for headers in &self.requests {
            let found = authenticate(
                black_box(headers),
                self.certificate.as_ref(),
                &self.callers,
                &issuers,
                now,
            );
            assert_eq!(black_box(found).unwrap().caller().as_str(), "caller-0");
        }
        self.times.push(started.elapsed() / u32::try_from(PER_ROUND).unwrap());
    }
}

/// What the table takes when no more goes in, by the resident memory of this process.
fn memory(callers: &Callers, keys: &Arc<KeySet>, signer: &Signer) {
    let issuers = issuers(keys);
    let before = resident_kib();
    // A row has room for eight: with four times as many tokens each is full.
    for number in 0..4 * TOKENS_MAX {
        let headers = request(&signer.token(&claims(number)));
        let _ = authenticate(&headers, None, callers, &issuers, Timestamp::now()).unwrap();
    }
    let tokens = issuers.cached().tokens;
    println!("{tokens} remembered tokens take {} KiB.\n", resident_kib().saturating_sub(before));
}

fn resident_kib() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_ascii_whitespace().nth(1).unwrap().parse().unwrap()
}

fn request(token: &str) -> HeaderMap {
    let value = HeaderValue::from_str(&format!("Bearer {token}")).unwrap();
    HeaderMap::from_iter([(AUTHORIZATION, value)])
}

/// Of so many callers the first has a token of the gateway's own and a subject.
fn callers(count: usize) -> Callers {
    let one = |number: usize| {
        let token = match number {
            0 => format!("seam_gg_{count:043}"),
            number => format!("seam_gg_{number}"),
        };
        let digest = TokenDigest::of(&token);
        format!(
            "[[caller]]\nid = \"caller-{number}\"\n\
             certificates = [\"spiffe://example.org/caller-{number}\"]\n\
             tokens = [{{ name = \"t\", sha256 = \"{digest}\" }}]\n\
             jwt = [{{ name = \"k8s\", issuer = \"cluster\", \
             subject = \"system:serviceaccount:front:caller-{number}\" }}]\n"
        )
    };
    let text: String = (0..count).map(one).collect();
    Callers::parse("callers.toml", text.as_bytes()).unwrap()
}

/// As it is read once, when the handshake is done.
fn certificate() -> PeerCertificate {
    let mut params = rcgen::CertificateParams::default();
    let name = "spiffe://example.org/caller-0".try_into().unwrap();
    params.subject_alt_names = vec![rcgen::SanType::URI(name)];
    let made = params.self_signed(&rcgen::KeyPair::generate().unwrap()).unwrap();
    PeerCertificate::read(made.der())
}

fn issuers(keys: &Arc<KeySet>) -> Issuers {
    Issuers::new(all(keys), None)
}

fn all(keys: &Arc<KeySet>) -> Vec<Issuer> {
    let rules = IssuerRules {
        name: "cluster".into(),
        issuer: ISS.into(),
        audiences: vec!["grantgate".into()],
        algorithms: JwsAlgorithm::ALL.to_vec(),
        leeway: Duration::from_secs(30),
        lifetime_max: None,
    };
    vec![Issuer { rules: Arc::new(rules), keys: IssuerKeys::File(keys.clone()) }]
}

/// As a cluster makes them.
fn claims(number: usize) -> Value {
    json!({
        "aud": ["grantgate"], "exp": from_now(3_600), "iat": from_now(0), "nbf": from_now(0),
        "iss": ISS, "sub": SUBJECT, "jti": format!("7d1a9c52-6a3f-4a0e-9d0b-{number:012}"),
        "kubernetes.io": {
            "namespace": "front",
            "node": {"name": "node-1", "uid": "3f1d0a1e-8f7b-4c1f-9a37-2b9e6d1c7f08"},
            "pod": {"name": "desk-5d9c7", "uid": "59a1e0d2-8d6b-4c1f-9a37-2b9e6d1c7f08"},
            "serviceaccount": {"name": "caller-0", "uid": "b1c3e0d2-8d6b-4c1f-9a37-2b9e6d1c7f08"},
        },
    })
}
