//! A certificate chain and the private key that belongs to it.

use std::sync::Arc;

use rustls::server::ParsedCertificate;
use rustls::sign::{CertifiedKey, SigningKey};

use super::certificate::Facts;
use super::key::signing_key;
use super::pem::{PemFile, PlacedCertificate, certificates, ordinal, private_key};
use crate::domain::Problem;

/// The certificate chain and private key of one side.
#[derive(Debug)]
pub struct Identity {
    pub(super) chain: Vec<PlacedCertificate>,
    pub(super) certified: Arc<CertifiedKey>,
}

impl Identity {
    /// Reads a chain, the certificate of this side first, and its key.
    ///
    /// # Errors
    /// What is wrong with either file, under the name of the file that is at fault.
    pub fn from_pem(chain_file: PemFile<'_>, key_file: PemFile<'_>) -> Result<Self, Vec<Problem>> {
        let key = private_key(key_file)
            .and_then(|key| signing_key(&key).map_err(|text| key_file.problem(text)));
        let (chain, key) = match (certificates(chain_file), key) {
            (Ok(chain), Ok(key)) => (chain, key),
            (chain, key) => return Err(chain.err().into_iter().chain(key.err()).collect()),
        };
        let own = owner(&chain, key.as_ref(), (chain_file, key_file));
        own.map_err(|problem| vec![problem])?;
        let ders = chain.iter().map(|placed| placed.item.clone()).collect();
        Ok(Self { chain, certified: Arc::new(CertifiedKey::new(ders, key)) })
    }

    /// The chain, as it was read.
    #[must_use]
    pub fn chain(&self) -> &[PlacedCertificate] {
        &self.chain
    }
}

/// The key must belong to the first certificate (RFC 8446, section 4.4.2).
fn owner(
    chain: &[PlacedCertificate],
    key: &dyn SigningKey,
    (chain_file, key_file): (PemFile<'_>, PemFile<'_>),
) -> Result<(), Problem> {
    let Some(first) = chain.first() else {
        return Err(chain_file.problem("holds no certificate in PEM form"));
    };
    let leaf = ParsedCertificate::try_from(&first.item).map_err(|error| {
        let version = Facts::read(&first.item).map(|facts| facts.version);
        let text = match version.filter(|version| *version < 3) {
            Some(version) => format!(
                "the certificate is X.509 version {version}, which has no room for the names of \
                 hosts: get one of version 3 (RFC 5280, section 4.1.2.1); `openssl x509 -req` \
                 makes it when `-extfile` gives it a `subjectAltName`"
            ),
            None => format!("the certificate cannot be used: {error}"),
        };
        chain_file.problem_at(first.line, text)
    })?;
    // A key that cannot tell its public half is compared by nobody.
    let Some(public) = key.public_key() else { return Ok(()) };
    if leaf.subject_public_key_info() == public {
        return Ok(());
    }
    let mine = chain.iter().position(|placed| {
        ParsedCertificate::try_from(&placed.item)
            .is_ok_and(|other| other.subject_public_key_info() == public)
    });
    if let Some(at) = mine {
        let text = format!(
            "is in the wrong order: the private key belongs to the {} certificate, which must be \
             the first, and each other one must have signed the one before it (RFC 8446, section \
             4.4.2)",
            ordinal(at + 1)
        );
        return Err(chain_file.problem_at(first.line, text));
    }
    let (chain, key) = (chain_file.name, key_file.name);
    let whose = Facts::read(&first.item).map(|facts| facts.subject).unwrap_or_default();
    Err(key_file.problem(format!(
        "the private key does not belong to the certificate in `{chain}` ({whose}): one of the \
         two files is another pair's; `openssl pkey -in {key} -pubout` and `openssl x509 -in \
         {chain} -noout -pubkey` must print the same"
    )))
}
