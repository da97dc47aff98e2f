//! Bundles that are proposed in the database: what they would change here, and who has signed them.

use jiff::Timestamp;

use super::asked::{Asked, Wrong};
use super::heavy::{AT_MOST, DATABASE_BUSY};
use crate::authn::Callers;
use crate::bundle::{Contents, FileName, Signed, Trust};
use crate::database::{Access, DatabaseError, Desk, Proposal};
use crate::domain::Problem;
use crate::policy::{Loaded, Policy, PolicySource, SourceFile};

/// A bundle that was fetched, by signatures that count.
pub(super) struct Proposed {
    pub(super) signed: Signed,
    pub(super) signatures_min: usize,
    contents: Contents,
}

impl Proposed {
    /// The one of this number.
    pub(super) async fn fetch(asked: &Asked, number: u64) -> Result<Self, Wrong> {
        let desk = asked.console.desk()?;
        let trust = desk
            .trust
            .ok_or("The file of the database names no `[bundle]`: whose signatures count.")?;
        let fetching = Self::from(&desk.access, &trust, number);
        let fetched = asked.console.work.database.run(fetching).await;
        fetched.unwrap_or_else(|| Err(DATABASE_BUSY.into()))
    }

    async fn from(access: &Access, trust: &Trust, number: u64) -> Result<Self, Wrong> {
        let failed = |error: DatabaseError| format!("The database: {error}.");
        let desk = Desk::connect_for(access, AT_MOST).await.map_err(failed)?;
        let all = desk.proposals(number).await.map_err(failed)?;
        let mut found = gathered(trust, all).filter(|one| one.bundle.number == number);
        let signed = match (found.next(), found.next()) {
            (Some(signed), None) => signed,
            (None, _) => return Err(format!("No bundle {number} is proposed.")),
            (Some(_), Some(_)) => {
                return Err(format!(
                    "Several are proposed as {number}: `grantgate policy review` tells them apart."
                ));
            }
        };
        let contents = desk.contents(&signed).await.map_err(|error| format!("{error}."))?;
        Ok(Self { signed, signatures_min: trust.signatures_min(), contents })
    }

    /// What it says, for the callers that it has.
    pub(super) fn load(&self, now: Timestamp) -> Result<(Loaded, Callers), Vec<Problem>> {
        let file = |name: FileName| SourceFile {
            name: format!("bundle {}: {}", self.signed.id(), name.as_str()),
            bytes: self.contents.get(&name).cloned().unwrap_or_default(),
        };
        let callers = file(FileName::Callers);
        let callers = Callers::parse(&callers.name, &callers.bytes)?;
        let source = PolicySource { model: file(FileName::Model), rules: file(FileName::Rules) };
        let loaded = Policy::load(&source, &callers, now)?;
        Ok((loaded, callers))
    }

    /// Whether its rules are read by another model than those in force.
    pub(super) fn changes_model(&self, asked: &Asked) -> bool {
        let model = self.contents.get(&FileName::Model);
        model.is_none_or(|model| !asked.snapshot.policy.has_model(model))
    }
}

/// Those that are signed by keys that count; others anybody may have put there.
pub(super) fn gathered(
    trust: &Trust,
    all: Vec<Proposal>,
) -> impl Iterator<Item = Signed> + use<'_> {
    all.into_iter().filter_map(|one| trust.gather(&one.text, &one.lines).ok())
}
