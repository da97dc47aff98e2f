//! Bundles as the database has them, verified here.

use crate::bundle::{Contents, Signed, Trust};
use crate::cli::desk::{Ended, Open, failed};
use crate::cli::note;
use crate::database::{ContentsError, Promoted, Proposal};

/// Bundles of before that are looked at for the one that all gateways are to have.
const LOOKED_AT: i64 = 100;

/// What gateways are to have.
pub(super) struct Heads {
    /// The newest bundle.
    pub(super) newest: Option<(Signed, Promoted)>,
    /// The newest for all, where the newest is for some only.
    pub(super) for_all: Option<(Signed, Promoted)>,
}

impl Heads {
    /// The number that comes next.
    pub(super) fn next(&self) -> u64 {
        self.newest.as_ref().map_or(1, |(newest, _)| newest.bundle.number + 1)
    }

    /// A proposal that was made from the newest: what it changes is what is shown. Whoever hides a
    /// bundle from who looks at it would have something else looked at.
    fn takes(&self, one: Signed) -> Result<Signed, Ended> {
        let newest = self.newest.as_ref().map(|(newest, _)| newest.digest);
        if one.bundle.parent == newest && one.bundle.number == self.next() {
            return Ok(one);
        }
        Err(failed(format_args!(
            "bundle {} was not made from the newest that the database has, {}: push it again; if the \
             database has lost bundles that gateways have, `grantgate policy restore` comes first",
            one.id(),
            self.newest.as_ref().map_or_else(|| "none".to_owned(), |(newest, _)| newest.id())
        )))
    }

    /// The newest that is for all gateways.
    pub(super) fn newest_for_all(&self) -> Option<&Signed> {
        let newest = self.newest.as_ref().filter(|(_, given)| given.only_for.is_none());
        newest.or(self.for_all.as_ref()).map(|(signed, _)| signed)
    }

    /// Those that gateways are to have, the newest first.
    pub(super) fn each(&self) -> impl Iterator<Item = &Signed> {
        [&self.newest, &self.for_all].into_iter().flatten().map(|(signed, _)| signed)
    }
}

impl Open {
    /// What gateways are to have, by signatures that count.
    pub(super) async fn heads(&self) -> Result<Heads, Ended> {
        let mut good = Vec::new();
        for one in self.desk.promoted(LOOKED_AT).await? {
            match self.accepted(one) {
                Ok(one) => good.push(one),
                Err(ended) => note(format_args!(
                    "WARNING: {ended}; gateways do not take it, and the database's owner can delete it"
                )),
            }
        }
        let mut good = good.into_iter();
        let newest = good.next();
        let needs_more = newest.as_ref().is_some_and(|(_, one)| one.only_for.is_some());
        let for_all = good.find(|(_, one)| needs_more && one.only_for.is_none());
        Ok(Heads { newest, for_all })
    }

    pub(super) fn accepted(&self, one: Promoted) -> Result<(Signed, Promoted), Ended> {
        let signed = self.trust.accept(&one.note);
        let signed = signed.map_err(|error| {
            failed(format_args!(
                "bundle {} in the database is not to be trusted: {error}",
                one.number
            ))
        })?;
        match signed.bundle.number == one.number {
            true => Ok((signed, one)),
            false => Err(failed(format_args!(
                "the database has bundle {} in the place of {}",
                signed.bundle.number, one.number
            ))),
        }
    }

    /// What is proposed and may still be promoted, by signatures that count.
    pub(super) async fn proposals(&self, heads: &Heads) -> Result<Vec<Signed>, Ended> {
        let mut found = Vec::new();
        for Proposal { number, text, lines } in self.desk.proposals(heads.next()).await? {
            match self.trust.gather(&text, &lines) {
                Ok(signed) => found.push(signed),
                Err(error) => note(format_args!("a proposal {number} is left out: {error}")),
            }
        }
        Ok(found)
    }

    /// The one proposal that is meant by `44` or `44@DIGITS`.
    pub(super) async fn proposal(&self, heads: &Heads, id: &str) -> Result<Signed, Ended> {
        let (number, digits) = match id.split_once('@') {
            Some((number, digits)) => (number, Some(digits)),
            None => (id, None),
        };
        let Ok(number) = number.parse::<u64>() else {
            return Err(failed(format_args!(
                "`{id}` is no bundle: write its number, or 44@DIGITS"
            )));
        };
        let is_meant = |signed: &Signed| {
            signed.bundle.number == number && digits.is_none_or(|d| signed.digest.begins(d))
        };
        let mut found: Vec<Signed> =
            self.proposals(heads).await?.into_iter().filter(is_meant).collect();
        match (found.pop(), found.len()) {
            (Some(one), 0) => heads.takes(one),
            (Some(one), _) => {
                let all: Vec<String> = found.iter().chain([&one]).map(Signed::id).collect();
                Err(failed(format_args!("several are proposed as {number}: {}", all.join(", "))))
            }
            (None, _) if number < heads.next() => Err(failed(format_args!(
                "{number} is not proposed any more: the newest bundle is {}",
                heads.next() - 1
            ))),
            (None, _) => Err(failed(format_args!(
                "no bundle `{id}` is proposed; `grantgate policy status` lists what is"
            ))),
        }
    }

    /// The files of a bundle, as they were signed.
    pub(super) async fn contents(&self, signed: &Signed) -> Result<Contents, Ended> {
        self.desk.contents(signed).await.map_err(|error| match error {
            ContentsError::Database(error) => error.into(),
            error @ (ContentsError::Missing(..) | ContentsError::NotWhole(..)) => failed(error),
        })
    }
}

/// How far it is signed, in words.
pub(super) fn signed_by(signed: &Signed, trust: &Trust) -> String {
    let (has, takes) = (signed.signers.len(), trust.signatures_min());
    format!("signed by {} ({has} of {takes})", signed.signers.join(", "))
}
