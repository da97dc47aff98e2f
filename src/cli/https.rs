//! A client for gateways, of which each command says whom it trusts and who it is.

use std::path::Path;
use std::time::Duration;

use crate::domain::{Problem, innermost};
use crate::files::{read_plain, read_secret};
use crate::tls::{ClientTls, Identity, PemFile, Roots, TlsError};

/// Whom a client trusts, and who it is.
pub(super) struct Known<'a> {
    /// A file of authorities; the machine's where it names none.
    pub(super) ca: Option<&'a Path>,
    /// The place of that setting, for errors.
    pub(super) ca_place: &'a str,
    /// Files of a certificate chain and its key.
    pub(super) identity: Option<(&'a Path, &'a Path)>,
}

/// A client that follows no redirects and tries nothing twice.
pub(super) fn client(
    known: &Known<'_>,
    patience: Duration,
) -> Result<reqwest::Client, Vec<Problem>> {
    let tls = match known.ca {
        None => ClientTls::new(&Roots::System),
        Some(path) => {
            let bytes = read_plain(path).map_err(|problem| vec![problem])?;
            let name = path.display().to_string();
            ClientTls::new(&Roots::Only(PemFile { name: &name, bytes: &bytes }))
        }
    };
    let mut tls = tls.map_err(|error: TlsError| vec![error.into_problem(known.ca_place)])?;
    if let Some((certificate, key)) = known.identity {
        let (chain, secret) = match (read_plain(certificate), read_secret(key)) {
            (Ok(chain), Ok(secret)) => (chain, secret),
            (chain, secret) => return Err(chain.err().into_iter().chain(secret.err()).collect()),
        };
        let names = [certificate, key].map(|path| path.display().to_string());
        let [chain_name, key_name] = &names;
        let identity = Identity::from_pem(
            PemFile { name: chain_name, bytes: &chain },
            PemFile { name: key_name, bytes: &secret },
        )?;
        tls = tls.presenting(&identity);
    }
    let client = reqwest::Client::builder()
        .tls_backend_preconfigured(tls.into_config())
        .https_only(true)
        .http1_only()
        .no_proxy()
        // What is sent is for this gateway only.
        .redirect(reqwest::redirect::Policy::none())
        .referer(false)
        .retry(reqwest::retry::never())
        .timeout(patience)
        .build();
    client.map_err(|error| vec![Problem::of_file("TLS", innermost(&error))])
}
