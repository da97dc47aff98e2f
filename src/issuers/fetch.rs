//! One fetch: the issuer's metadata where they are asked for, then its JWK Set.

use std::time::Duration;

use bytes::BytesMut;
use http::StatusCode;
use http::header::{ACCEPT, CACHE_CONTROL};
use reqwest::Url;

use super::FetchResult;
use crate::authn::jwt::{JWKS_BYTES_MAX, jwks_uri};
use crate::config::{FetchFrom, FetchSettings, IssuerSettings};
use crate::domain::{Problem, innermost};
use crate::files::read_plain;
use crate::tls::{ClientTls, PemFile, Roots};

/// To a connection with finished handshake.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// From a request to its whole answer.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Asks one issuer.
pub(super) struct Client {
    name: String,
    issuer: String,
    client: reqwest::Client,
    settings: FetchSettings,
}

/// A JWK Set as it came.
pub(super) struct Document {
    pub(super) bytes: BytesMut,
    /// How long it may be used without asking again, as its sender says.
    pub(super) fresh: Option<Duration>,
}

/// Why there is none.
pub(super) struct Failure {
    pub(super) result: FetchResult,
    pub(super) text: String,
}

impl Client {
    pub(super) fn new(issuer: &IssuerSettings, settings: &FetchSettings) -> Result<Self, Problem> {
        let wrong = |text: String| {
            let text = format!("the keys of issuer `{}` cannot be fetched: {text}", issuer.name);
            Problem::of_file("issuer", text)
        };
        let url = settings.from.url();
        let tls = match &settings.ca_file {
            Some(path) => {
                let (pem, name) = (read_plain(path)?, path.display().to_string());
                ClientTls::new(&Roots::Only(PemFile { name: &name, bytes: &pem }))
                    .map_err(|error| error.into_problem(&name))?
            }
            None if url.scheme() == "http" => {
                ClientTls::new(&Roots::Nobody).map_err(|error| wrong(error.to_string()))?
            }
            None => ClientTls::new(&Roots::System).map_err(|error| wrong(error.to_string()))?,
        };
        let client = reqwest::Client::builder()
            .tls_backend_preconfigured(tls.into_config())
            .https_only(url.scheme() == "https")
            .http1_only()
            .no_proxy()
            // Only what is configured is asked.
            .redirect(reqwest::redirect::Policy::none())
            .referer(false)
            .retry(reqwest::retry::never())
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(TIMEOUT)
            .pool_max_idle_per_host(0)
            .build();
        let client = client.map_err(|error| wrong(innermost(&error)))?;
        let (name, iss) = (issuer.name.clone(), issuer.issuer.clone());
        Ok(Self { name, issuer: iss, client, settings: settings.clone() })
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn refresh(&self) -> Duration {
        self.settings.refresh
    }

    /// The JWK Set, in any state.
    pub(super) async fn fetch(&self) -> Result<Document, Failure> {
        match &self.settings.from {
            FetchFrom::Jwks(url) => self.get(url).await,
            FetchFrom::Discovery(url) => {
                let metadata = self.get(url).await?;
                let invalid = |text| Failure { result: FetchResult::Invalid, text };
                let found = jwks_uri(&metadata.bytes, &self.issuer).map_err(invalid)?;
                let jwks = Url::parse(&found).ok().filter(|jwks| is_as_safe(jwks, url));
                let jwks = jwks.ok_or_else(|| {
                    invalid("the `jwks_uri` is no https:// address without a credential".into())
                })?;
                self.get(&jwks).await
            }
        }
    }

    async fn get(&self, url: &Url) -> Result<Document, Failure> {
        let json = "application/json, application/jwk-set+json";
        let answer = self.client.get(url.clone()).header(ACCEPT, json).send().await;
        let mut answer = answer.map_err(broken)?;
        let status = answer.status();
        if status != StatusCode::OK {
            let text = format!("{} answered {status}", url.path());
            return Err(Failure { result: FetchResult::Status, text });
        }
        let fresh = answer.headers().get(CACHE_CONTROL).and_then(|value| value.to_str().ok());
        let fresh = fresh.and_then(max_age);
        let mut bytes = BytesMut::new();
        while let Some(chunk) = answer.chunk().await.map_err(broken)? {
            if bytes.len() + chunk.len() > JWKS_BYTES_MAX {
                let text = format!("{} is larger than {JWKS_BYTES_MAX} bytes", url.path());
                return Err(Failure { result: FetchResult::Invalid, text });
            }
            bytes.extend_from_slice(&chunk);
        }
        Ok(Document { bytes, fresh })
    }
}

impl FetchFrom {
    fn url(&self) -> &Url {
        match self {
            Self::Discovery(url) | Self::Jwks(url) => url,
        }
    }
}

/// Plain HTTP only where the metadata came so too, from this machine and to it.
fn is_as_safe(jwks: &Url, metadata: &Url) -> bool {
    let is_local = || metadata.scheme() == "http" && jwks.host_str() == metadata.host_str();
    let is_safe = jwks.scheme() == "https" || (jwks.scheme() == "http" && is_local());
    is_safe && jwks.has_host() && jwks.username().is_empty() && jwks.password().is_none()
}

fn broken(error: reqwest::Error) -> Failure {
    let result = if error.is_timeout() { FetchResult::Timeout } else { FetchResult::Connection };
    Failure { result, text: innermost(&error.without_url()) }
}

/// The seconds of `max-age` (RFC 9111, section 5.2.2.1); nothing where it must not be stored.
fn max_age(field: &str) -> Option<Duration> {
    let directives = || field.split(',').map(str::trim);
    if directives()
        .any(|one| one.eq_ignore_ascii_case("no-store") || one.eq_ignore_ascii_case("no-cache"))
    {
        return Some(Duration::ZERO);
    }
    let named = directives().filter_map(|one| one.split_once('='));
    let mut ages = named.filter(|(name, _)| name.eq_ignore_ascii_case("max-age"));
    let (_, seconds) = ages.next()?;
    seconds.trim_matches('"').parse::<u32>().ok().map(|seconds| Duration::from_secs(seconds.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_sender_says_of_freshness() {
        for (field, seconds) in [
            ("max-age=300", Some(300)),
            ("public, MAX-AGE=\"60\", must-revalidate", Some(60)),
            ("no-store", Some(0)),
            ("max-age=5, no-cache", Some(0)),
            ("max-age=-1", None),
            ("public", None),
            ("s-maxage=9", None),
        ] {
            assert_eq!(max_age(field), seconds.map(Duration::from_secs), "{field}");
        }
    }

    #[test]
    fn keys_are_fetched_as_safely_as_metadata() {
        let url = |text: &str| Url::parse(text).unwrap();
        let (far, near) = (url("https://a.example/m"), url("http://127.0.0.1:1/m"));
        assert!(is_as_safe(&url("https://keys.example/k"), &far));
        assert!(is_as_safe(&url("http://127.0.0.1:2/k"), &near));
        for (jwks, metadata) in [
            ("http://a.example/k", &far),
            ("http://10.0.0.1/k", &near),
            ("file:///etc/passwd", &far),
            ("https://user:word@a.example/k", &far),
            ("data:text/plain,x", &near),
        ] {
            assert!(!is_as_safe(&url(jwks), metadata), "{jwks}");
        }
    }
}
