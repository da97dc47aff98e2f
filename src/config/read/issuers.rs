//! `[[issuer]]`: whose JSON Web Tokens are accepted.

use std::collections::BTreeSet;
use std::time::Duration;

use super::Reader;
use super::urls::{exact_url, is_loopback};
use super::values::Use;
use crate::config::{FetchFrom, FetchSettings, IssuerSettings, KeySource};
use crate::domain::{CallerId, JwsAlgorithm};
use crate::toml_source::{Place, Section};

/// Issuers in all.
const ISSUERS_MAX: usize = 32;

/// The longest issuer or audience, in bytes.
const TEXT_BYTES_MAX: usize = 1_024;

const DAY_MS: u64 = 86_400_000;

/// What an issuer may sign with unless it is said.
const ALGORITHMS: [JwsAlgorithm; 3] =
    [JwsAlgorithm::Es256, JwsAlgorithm::Rs256, JwsAlgorithm::EdDsa];

impl<'a> Reader<'a> {
    pub(super) fn issuers(&mut self, sections: Vec<Section<'a>>) -> Option<Vec<IssuerSettings>> {
        if let Some(section) = sections.get(ISSUERS_MAX) {
            section.refuse(format!("more than {ISSUERS_MAX} issuers"));
        }
        let (mut names, mut issuers) = (BTreeSet::new(), BTreeSet::new());
        let mut all = Some(Vec::new());
        for section in sections {
            let issuer = self.issuer(&section);
            if let Some(issuer) = &issuer {
                if !names.insert(issuer.name.clone()) {
                    section.refuse(format!("a second issuer `{}`", issuer.name));
                }
                if !issuers.insert(issuer.issuer.clone()) {
                    let iss = &issuer.issuer;
                    section.refuse(format!(
                        "a second issuer whose tokens have the `iss` `{iss}`: nothing could tell \
                         their tokens apart"
                    ));
                }
            }
            section.finish();
            match (issuer, &mut all) {
                (Some(issuer), Some(list)) => list.push(issuer),
                _ => all = None,
            }
        }
        all
    }

    pub(super) fn issuer(&mut self, section: &Section<'a>) -> Option<IssuerSettings> {
        let name = self.known_as(section, "name", None, true).and_then(|place| {
            let name = place.string()?;
            // The rule of caller ids: it goes into metrics and file names too.
            match CallerId::parse(name) {
                Ok(_) => Some(name.to_owned()),
                Err(error) => {
                    place.refuse(format!("the name of an issuer {error}"));
                    None
                }
            }
        });
        let issuer = self.known_as(section, "issuer", None, true);
        let issuer = issuer.and_then(|place| text(&place, place.string()?));
        let keys = self.keys(section, name.as_deref());
        let audiences = self.known_as(section, "audience", None, true).and_then(|p| audiences(&p));
        let algorithms = self.algorithms(section);
        let leeway = self.millis(section, "leeway_ms", 0..=300_000, 30_000);
        let lifetime = self.optional_number(section, "lifetime_max_ms", 60_000..=366 * DAY_MS);
        Some(IssuerSettings {
            name: name?,
            issuer: issuer?,
            keys: keys?,
            audiences: audiences?,
            algorithms: algorithms?,
            leeway: leeway?,
            lifetime_max: lifetime?.map(Duration::from_millis),
        })
    }

    /// Exactly one of a file and two kinds of addresses; what is about fetching needs one.
    fn keys(&mut self, section: &Section<'a>, name: Option<&str>) -> Option<KeySource> {
        let discovery = self.known(section, "discovery_url");
        let jwks = self.known(section, "jwks_url");
        let file = self.optional_path(section, "jwks_file", Use::Alone);
        let ca_file = self.optional_path(section, "ca_file", Use::Pem);
        let refresh = self.millis(section, "refresh_ms", 1_000..=DAY_MS, 600_000);
        let stale = self.millis(section, "stale_max_ms", 60_000..=7 * DAY_MS, DAY_MS);
        let given = [discovery.is_some(), jwks.is_some(), section.has("jwks_file")];
        if given.iter().filter(|given| **given).count() != 1 {
            section.refuse(
                "say where the keys of the issuer are: exactly one of `discovery_url`, `jwks_url` \
                 and `jwks_file`",
            );
            return None;
        }
        let from = match (discovery, jwks) {
            (Some(place), _) => Some(FetchFrom::Discovery(self.fetched(&place, WELL_KNOWN)?)),
            (None, Some(place)) => {
                Some(FetchFrom::Jwks(self.fetched(&place, "https://issuer.example/jwks.json")?))
            }
            (None, None) => None,
        };
        let Some(from) = from else {
            for key in ["ca_file", "refresh_ms", "stale_max_ms"] {
                if let Some(place) = section.value(key) {
                    let path = place.path();
                    place.refuse(format!("`{path}` does nothing: the keys are in `jwks_file`"));
                }
            }
            return Some(KeySource::File(format!("issuer-{}.json", name?), file?));
        };
        let (refresh, stale_max) = (refresh?, stale?);
        if stale_max < refresh {
            section.refuse(
                "`stale_max_ms` is less than `refresh_ms`: there would be times without keys",
            );
        }
        Some(KeySource::Fetched(FetchSettings { from, ca_file, refresh, stale_max }))
    }

    /// What is fetched. Plain HTTP does not leave the machine.
    fn fetched(&mut self, place: &Place<'a>, such_as: &str) -> Option<reqwest::Url> {
        let url = exact_url(place, such_as)?;
        let path = place.path();
        let is_plain = url.username().is_empty()
            && url.password().is_none()
            && url.fragment().is_none()
            && url.path() != "/";
        let is_safe = url.scheme() == "https" || (url.scheme() == "http" && is_loopback(&url));
        if !is_plain || !is_safe {
            place.refuse(format!(
                "`{path}` must be https://… with a path and without a credential; http:// only to \
                 a loopback address"
            ));
            return None;
        }
        self.refuse_own_address(place, &url);
        Some(url)
    }

    fn algorithms(&mut self, section: &Section<'a>) -> Option<Vec<JwsAlgorithm>> {
        let default = ALGORITHMS.map(|algorithm| format!("\"{}\"", algorithm.as_str())).join(", ");
        let place = self.known_as(section, "algorithms", Some(format!("[{default}]")), false);
        let Some(place) = place else { return Some(ALGORITHMS.to_vec()) };
        let mut algorithms = Vec::new();
        for (at, name) in place.strings()? {
            let found = JwsAlgorithm::parse(&name);
            match found {
                Some(algorithm) if !algorithms.contains(&algorithm) => algorithms.push(algorithm),
                Some(_) => at.refuse(format!("`{name}` is there twice")),
                None => at.refuse(format!(
                    "`{name}` is not one of `{}`; there is none with a shared secret",
                    JwsAlgorithm::CODES.join("`, `")
                )),
            }
        }
        if algorithms.is_empty() {
            place.refuse(format!("`{}` names no algorithm; leave it out", place.path()));
        }
        Some(algorithms)
    }
}

const WELL_KNOWN: &str = "https://issuer.example/.well-known/openid-configuration";

fn text(place: &Place<'_>, text: &str) -> Option<String> {
    let is_fit = !text.is_empty()
        && text.len() <= TEXT_BYTES_MAX
        && !text.chars().any(|c| c.is_control() || c.is_whitespace());
    if !is_fit {
        place.refuse(format!(
            "`{}` is compared byte by byte: 1 to {TEXT_BYTES_MAX} bytes without blanks",
            place.path()
        ));
    }
    is_fit.then(|| text.to_owned())
}

/// A string, or a list of them.
fn audiences(place: &Place<'_>) -> Option<Vec<String>> {
    if place.is_string() {
        return text(place, place.string()?).map(|one| vec![one]);
    }
    let listed = place.strings()?;
    if listed.is_empty() || listed.len() > 16 {
        place.refuse(format!("`{}` must name 1 to 16 audiences", place.path()));
        return None;
    }
    listed.iter().map(|(place, one)| text(place, one)).collect()
}
