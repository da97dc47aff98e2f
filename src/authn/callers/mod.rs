//! The callers registry: which services exist and how each proves itself.
//!
//! Read from `callers.toml`, which belongs to the security team. The file is read
//! strictly and whole: one mistake and nothing of it is used.

mod changes;
mod edit;
mod file;
mod jwt;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use aws_lc_rs::digest;
use jiff::Timestamp;

use super::jwt::Claims;
use super::{Principal, TokenDigest, TokenForm};
use crate::domain::{Budget, CallerId, Problem, Reason, WorkspaceName};
pub use changes::{CallerChange, changes};
pub use edit::{
    EditError, NewToken, Removed, Rotation, add_token, resume, revoke, rotate, suspend,
};
pub use file::reason_of_suspension;
use jwt::ByIssuer;
pub use jwt::{Jwt, Match};

/// All configured callers. Immutable once read.
#[derive(Debug)]
pub struct Callers {
    callers: Vec<Caller>,
    ids: HashSet<CallerId>,
    tokens: HashMap<TokenDigest, Credential>,
    certificates: HashMap<String, Credential>,
    suspended: HashMap<CallerId, Suspension>,
    budgets: HashMap<CallerId, Budget>,
    /// Of those that say in which workspaces they are.
    workspaces: HashMap<CallerId, Vec<WorkspaceName>>,
    /// Those that there are, where that is known.
    known_workspaces: Option<Vec<WorkspaceName>>,
    /// By the name of the issuer.
    jwts: HashMap<String, ByIssuer>,
    digest: [u8; 32],
}

/// One service, for listings.
#[derive(Debug, Clone)]
pub struct Caller {
    /// Its id, which policy knows as `caller:<id>`.
    pub id: CallerId,
    /// What it is, for people.
    pub description: String,
    /// Its tokens.
    pub tokens: Vec<Token>,
    /// Its certificate names: `spiffe://…` or `dns:…`.
    pub certificates: Vec<String>,
    /// Which tokens of issuers are its own.
    pub jwts: Vec<Jwt>,
    /// What it may grant on one day, where that is limited for it.
    pub budget: Budget,
    /// The workspaces that it may name; empty for the default one.
    pub workspaces: Vec<WorkspaceName>,
    /// That it is refused for now, whatever it presents.
    pub suspended: Option<Suspension>,
}

/// What the settings say of that callers may name.
#[derive(Debug, Clone, Default)]
pub struct Configured<'a> {
    /// The names of issuers.
    pub issuers: Vec<&'a str>,
    /// The names of workspaces.
    pub workspaces: Vec<WorkspaceName>,
}

/// Why a caller is refused for now, and since when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Suspension {
    /// When it was suspended.
    pub since: Timestamp,
    /// Why, for people.
    pub reason: String,
}

/// One token of a caller, as stored.
#[derive(Debug, Clone)]
pub struct Token {
    /// Its name, which audit records show.
    pub name: String,
    /// The SHA-256 of the token.
    pub sha256: TokenDigest,
    /// From when on it is refused.
    pub expires: Option<Timestamp>,
    /// What it looks like.
    pub form: TokenForm,
}

/// What a credential proves.
#[derive(Debug)]
pub(super) struct Credential {
    pub(super) caller: CallerId,
    pub(super) credential: Arc<str>,
    pub(super) expires: Option<Timestamp>,
}

impl Credential {
    pub(super) fn principal(&self) -> Principal {
        Principal::new(self.caller.clone(), self.credential.clone(), self.expires)
    }
}

impl Callers {
    /// Reads the text of a callers file. `file` is its name in problems.
    ///
    /// # Errors
    /// Every mistake in the file, in the file's order.
    pub fn parse(file: &str, bytes: &[u8]) -> Result<Self, Vec<Problem>> {
        file::read(file, bytes, None).map(|callers| Self::of(callers, bytes, None))
    }

    /// The same where it is known which issuers and workspaces there are.
    ///
    /// # Errors
    /// Those of [`Callers::parse`], and whatever is not among these.
    pub fn parse_with(
        known: &Configured<'_>,
        file: &str,
        bytes: &[u8],
    ) -> Result<Self, Vec<Problem>> {
        let callers = file::read(file, bytes, Some(known))?;
        Ok(Self::of(callers, bytes, Some(known.workspaces.clone())))
    }

    /// None at all.
    #[must_use]
    pub fn none() -> Self {
        Self::of(Vec::new(), b"", None)
    }

    fn of(callers: Vec<Caller>, bytes: &[u8], workspaces: Option<Vec<WorkspaceName>>) -> Self {
        let mut registry = Self {
            ids: callers.iter().map(|caller| caller.id.clone()).collect(),
            tokens: HashMap::new(),
            certificates: HashMap::new(),
            suspended: HashMap::new(),
            budgets: HashMap::new(),
            workspaces: HashMap::new(),
            known_workspaces: workspaces,
            jwts: HashMap::new(),
            digest: [0; 32],
            callers: Vec::new(),
        };
        registry.digest.copy_from_slice(digest::digest(&digest::SHA256, bytes).as_ref());
        for caller in &callers {
            if let Some(suspension) = &caller.suspended {
                registry.suspended.insert(caller.id.clone(), suspension.clone());
            }
            if !caller.budget.is_unlimited() {
                registry.budgets.insert(caller.id.clone(), caller.budget);
            }
            if !caller.workspaces.is_empty() {
                registry.workspaces.insert(caller.id.clone(), caller.workspaces.clone());
            }
            for token in &caller.tokens {
                let credential = Credential {
                    caller: caller.id.clone(),
                    credential: format!("token:{}", token.name).into(),
                    expires: token.expires,
                };
                registry.tokens.insert(token.sha256, credential);
            }
            for name in &caller.certificates {
                let credential = Credential {
                    caller: caller.id.clone(),
                    credential: format!("certificate:{name}").into(),
                    expires: None,
                };
                registry.certificates.insert(name.clone(), credential);
            }
        }
        for caller in &callers {
            for jwt in &caller.jwts {
                let credential = Credential {
                    caller: caller.id.clone(),
                    credential: format!("jwt:{}", jwt.name).into(),
                    expires: None,
                };
                let by_issuer = registry.jwts.entry(jwt.issuer.clone()).or_default();
                by_issuer.add(&jwt.matches, credential);
            }
        }
        registry.callers = callers;
        registry
    }

    /// Whether a caller of this id is configured.
    #[must_use]
    pub fn contains(&self, id: &CallerId) -> bool {
        self.ids.contains(id)
    }

    /// That a caller is refused for now, whatever it presents.
    #[must_use]
    pub fn suspension(&self, id: &CallerId) -> Option<&Suspension> {
        self.suspended.get(id)
    }

    /// What a caller may grant on one day, where the file says so.
    #[must_use]
    pub fn budget(&self, id: &CallerId) -> Budget {
        self.budgets.get(id).copied().unwrap_or_default()
    }

    /// The workspaces that a caller may name, where the file says so; else it is in the default
    /// one.
    #[must_use]
    pub fn workspaces(&self, id: &CallerId) -> &[WorkspaceName] {
        self.workspaces.get(id).map(Vec::as_slice).unwrap_or_default()
    }

    /// The workspaces that there are, where that is known.
    #[must_use]
    pub fn known_workspaces(&self) -> Option<&[WorkspaceName]> {
        self.known_workspaces.as_deref()
    }

    /// How many callers are suspended.
    #[must_use]
    pub fn suspended(&self) -> usize {
        self.suspended.len()
    }

    /// All callers, in the file's order.
    #[must_use]
    pub fn all(&self) -> &[Caller] {
        &self.callers
    }

    /// The ids of all callers, in the file's order.
    pub fn ids(&self) -> impl Iterator<Item = &CallerId> {
        self.callers.iter().map(|caller| &caller.id)
    }

    /// The SHA-256 of the file's bytes.
    #[must_use]
    pub fn digest(&self) -> &[u8; 32] {
        &self.digest
    }

    /// Whether some caller has this text as its token: the workspace key must not be one.
    #[must_use]
    pub fn accepts_token(&self, token: &str) -> bool {
        self.tokens.contains_key(&TokenDigest::of(token))
    }

    pub(super) fn by_token(&self, digest: TokenDigest) -> Option<&Credential> {
        self.tokens.get(&digest)
    }

    /// The one caller that a token of this issuer is of.
    pub(super) fn by_jwt(&self, issuer: &str, claims: &Claims) -> Result<&Credential, Reason> {
        self.jwts.get(issuer).ok_or(Reason::JwtUnmapped)?.find(claims)
    }

    pub(super) fn by_certificate(&self, name: &str) -> Option<&Credential> {
        self.certificates.get(name)
    }
}
