//! Signed bundles, and which gateways have them.

use serde::Serialize;

use super::database::ShownReplica;
use crate::bundle::{Entry, Signed};

/// A bundle.
#[derive(Debug, Serialize)]
pub struct Bundle {
    /// How commands name it.
    pub id: String,
    /// Whose policy it is.
    pub name: String,
    /// Its number.
    pub number: u64,
    /// The digest of its text.
    pub digest: String,
    /// The digest of the one that it was made from.
    pub parent: Option<String>,
    /// The oldest version that can load it.
    pub needs: String,
    /// When it was made.
    pub made: String,
    /// By the owner of which key.
    pub by: String,
    /// Why.
    pub why: String,
    /// Its files.
    pub files: Vec<File>,
    /// Whose keys have signed it.
    pub signers: Vec<String>,
    /// How many it takes.
    pub signatures_min: usize,
}

/// A file of a bundle.
#[derive(Debug, Serialize)]
pub struct File {
    /// Its name.
    pub name: &'static str,
    /// Its length.
    pub bytes: usize,
    /// Its digest.
    pub digest: String,
}

/// What becomes of a caller.
#[derive(Debug, Serialize)]
pub struct CallerChange<'a> {
    caller: &'a str,
    added: &'a [String],
    removed: &'a [String],
}

/// A bundle that gateways are to have.
#[derive(Debug, Serialize)]
pub struct Promoted {
    /// The bundle.
    #[serde(flatten)]
    pub bundle: Bundle,
    /// When it was given to them.
    pub promoted: String,
    /// To those of these names; to all where there are none.
    pub only_for: Option<Vec<String>>,
}

/// Where bundles are.
#[derive(Debug, Serialize)]
pub struct Status {
    /// What gateways are to have, the newest first.
    pub promoted: Vec<Promoted>,
    /// What is proposed.
    pub proposed: Vec<Bundle>,
    /// What they have.
    pub replicas: Vec<ShownReplica>,
}

impl Bundle {
    /// Of what was signed.
    #[must_use]
    pub fn of(signed: &Signed, signatures_min: usize) -> Self {
        let bundle = &signed.bundle;
        let file = |entry: &Entry| File {
            name: entry.name.as_str(),
            bytes: entry.bytes,
            digest: entry.digest.to_string(),
        };
        Self {
            id: signed.id(),
            name: bundle.name.clone(),
            number: bundle.number,
            digest: signed.digest.to_string(),
            parent: bundle.parent.map(|digest| digest.to_string()),
            needs: bundle.needs.to_string(),
            made: bundle.made.to_string(),
            by: bundle.by.clone(),
            why: bundle.why.clone(),
            files: bundle.files.iter().map(file).collect(),
            signers: signed.signers.clone(),
            signatures_min,
        }
    }
}

impl<'a> CallerChange<'a> {
    /// Of a caller, and what it has more and less.
    #[must_use]
    pub fn of(caller: &'a str, (added, removed): (&'a [String], &'a [String])) -> Self {
        Self { caller, added, removed }
    }
}
