//! An issuer of tokens with a JWK Set on a server of its own, trusted by a site.

use serde_json::{Value, json};

use super::Site;
use super::minter::{Signer, from_now, jwks};
use crate::seam::{Behaviour, Seam};

pub const ISS: &str = "https://issuer.example/";
pub const AUD: &str = "grantgate";

/// A server with a JWK Set.
pub struct Issuer {
    pub server: Seam,
}

impl Issuer {
    /// Serves these keys over TLS.
    pub async fn start(site: &Site, signers: &[&Signer]) -> Self {
        let server = Seam::start(site, keys_of(signers)).await;
        Self { server }
    }

    /// The setting of its address.
    pub fn jwks_url(&self) -> String {
        format!("jwks_url = \"{}/keys\"\nca_file = \"certs/servers-ca.pem\"", self.server.url())
    }

    /// From now on it has these keys.
    pub fn serve(&self, signers: &[&Signer]) {
        self.server.set(keys_of(signers));
    }

    /// How often it was asked.
    pub fn asked(&self) -> usize {
        self.server.requests().len()
    }

    /// The site trusts it, with these settings, and two callers have tokens of it.
    pub fn configure(site: &Site, settings: &str) {
        append(
            site,
            "grantgate.toml",
            &format!(
                "\n[[issuer]]\nname = \"main\"\nissuer = \"{ISS}\"\naudience = \"{AUD}\"\n\
                 algorithms = [\"ES256\", \"RS256\"]\n{settings}\n"
            ),
        );
        let callers = String::from_utf8(site.read("callers.toml")).unwrap();
        let rules = "\n[[caller.jwt]]\nname = \"idp\"\nissuer = \"main\"\nsubject = \"desk-app\"\n";
        let (first, second) = callers.split_once("\n[[caller]]\nid = \"facilities\"").unwrap();
        let second = format!("\n[[caller]]\nid = \"facilities\"{second}");
        let claims = "\n[[caller.jwt]]\nname = \"team\"\nissuer = \"main\"\n\
                      claims = { groups = \"facilities\" }\n";
        let (facilities, rest) = second.split_once("\n[[caller]]\nid = \"cleaning-rota\"").unwrap();
        let rest = format!("\n[[caller]]\nid = \"cleaning-rota\"{rest}");
        let text = [first, rules, facilities, claims, &rest].concat();
        std::fs::write(site.path("callers.toml"), text).unwrap();
    }
}

fn keys_of(signers: &[&Signer]) -> Behaviour {
    Behaviour::answer(200, "application/json", &jwks(signers))
}

/// Adds to a file of the site.
pub fn append(site: &Site, file: &str, text: &str) {
    let before = String::from_utf8(site.read(file)).unwrap();
    std::fs::write(site.path(file), before + text).unwrap();
}

/// Claims of `visitor-desk` that are good for ten minutes.
pub fn claims() -> Value {
    json!({"iss": ISS, "sub": "desk-app", "aud": AUD, "iat": from_now(0), "exp": from_now(600)})
}

/// The same with a change.
pub fn with(name: &str, value: Value) -> Value {
    let mut claims = claims();
    claims[name] = value;
    claims
}
