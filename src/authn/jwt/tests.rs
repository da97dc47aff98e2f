//! Tokens as an attacker would make them, and as issuers do.

use std::sync::Arc;
use std::time::Duration;

use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderValue};
use jiff::Timestamp;
use rustls_pki_types::CertificateDer;
use serde_json::{Value, json};

use super::*;
use crate::authn::{Callers, PeerCertificate, authenticate};

#[path = "../../../tests/it/support/minter.rs"]
mod minter;

mod attacks;
mod caching;
mod keys;
mod mapping;

use minter::{Signer, b64, from_now, jwks};

const ISS: &str = "https://issuer.example/";
const AUD: &str = "grantgate";

/// What most tests are about: issuers with keys in memory, and callers.
struct Site {
    issuers: Issuers,
    callers: Callers,
}

fn rules(name: &str, iss: &str) -> IssuerRules {
    IssuerRules {
        name: name.into(),
        issuer: iss.into(),
        audiences: vec![AUD.into(), "https://doors.example".into()],
        algorithms: JwsAlgorithm::ALL.to_vec(),
        leeway: Duration::from_secs(30),
        lifetime_max: None,
    }
}

fn issuer(rules: IssuerRules, signers: &[&Signer]) -> Issuer {
    let keys = KeySet::parse(jwks(signers).as_bytes(), &rules.algorithms, None).unwrap();
    assert_eq!((keys.len(), keys.left_out()), (signers.len(), &[][..]));
    Issuer { rules: Arc::new(rules), keys: IssuerKeys::File(Arc::new(keys)) }
}

const CALLERS: &str = r#"
[[caller]]
id = "desk"
certificates = ["spiffe://example.org/desk"]
[[caller.jwt]]
name = "idp"
issuer = "main"
subject = "desk-app"

[[caller]]
id = "rota"
[[caller.jwt]]
name = "k8s"
issuer = "main"
claims = { "/kubernetes.io/namespace" = "front", groups = "door-openers" }
[[caller.jwt]]
name = "same"
issuer = "main"
subject = "rota-app"

[[caller]]
id = "second"
[[caller.jwt]]
name = "elsewhere"
issuer = "second"
subject = "desk-app"
"#;

impl Site {
    fn new(signers: &[&Signer]) -> Self {
        Self::of(vec![issuer(rules("main", ISS), signers)])
    }

    fn of(all: Vec<Issuer>) -> Self {
        let callers = Callers::parse("callers.toml", CALLERS.as_bytes()).unwrap();
        Self { issuers: Issuers::new(all, None), callers }
    }

    fn ask(&self, token: &str) -> Result<String, Reason> {
        self.ask_with(token, None, now())
    }

    fn ask_with(
        &self,
        token: &str,
        certificate: Option<&PeerCertificate>,
        at: Timestamp,
    ) -> Result<String, Reason> {
        let headers = bearer(token);
        let found = authenticate(&headers, certificate, &self.callers, &self.issuers, at);
        let found = found.map_err(|failure| failure.reason)?;
        Ok(format!("{} {}", found.caller(), found.credential()))
    }
}

fn bearer(token: &str) -> HeaderMap {
    let value = HeaderValue::from_str(&format!("Bearer {token}")).unwrap();
    HeaderMap::from_iter([(AUTHORIZATION, value)])
}

fn now() -> Timestamp {
    Timestamp::now()
}

fn claims() -> Value {
    json!({
        "iss": ISS, "sub": "desk-app", "aud": AUD,
        "iat": from_now(0), "nbf": from_now(0), "exp": from_now(600),
    })
}

/// The usual claims with a change.
fn with(name: &str, value: Value) -> Value {
    let mut claims = claims();
    let members = claims.as_object_mut().unwrap();
    if value.is_null() {
        members.remove(name);
    } else {
        members.insert(name.into(), value);
    }
    claims
}

/// A certificate with this name, as it is shown in a handshake, and its digest in base64url.
fn certificate(uri: &str) -> (PeerCertificate, String) {
    let key = rcgen::KeyPair::generate().unwrap();
    let mut params = rcgen::CertificateParams::default();
    params.subject_alt_names = vec![rcgen::SanType::URI(uri.try_into().unwrap())];
    let der: CertificateDer<'static> = params.self_signed(&key).unwrap().der().clone();
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &der);
    (PeerCertificate::read(&der), b64(digest))
}
