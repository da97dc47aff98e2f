//! The workspaces that requests go to. No two share a key, a connection or a circuit breaker:
//! each has an upstream of its own.

use std::sync::Arc;

use super::Upstream;
use crate::domain::{WorkspaceId, WorkspaceName};

/// One workspace.
#[derive(Debug, Clone)]
pub struct Workspace {
    /// None where it is the only one and was given no name.
    pub name: Option<WorkspaceName>,
    /// What callers name it by; none where that is not known.
    pub id: Option<WorkspaceId>,
    /// Whether requests that name none go there.
    pub is_default: bool,
    /// SHA-256 of the files that this was made from, in memory only: one of them is the key's.
    pub files: [u8; 32],
    /// Seam, with its key.
    pub upstream: Arc<Upstream>,
}

/// All of them; there is one at least.
#[derive(Debug)]
pub struct Workspaces {
    first: Workspace,
    others: Vec<Workspace>,
}

impl Workspaces {
    /// None where there is none.
    #[must_use]
    pub fn new(all: impl IntoIterator<Item = Workspace>) -> Option<Self> {
        let mut all = all.into_iter();
        Some(Self { first: all.next()?, others: all.collect() })
    }

    /// Each of them, in the order of the configuration.
    pub fn all(&self) -> impl Iterator<Item = &Workspace> + Clone {
        std::iter::once(&self.first).chain(&self.others)
    }

    /// The one of this name.
    #[must_use]
    pub fn find(&self, name: Option<&WorkspaceName>) -> Option<&Workspace> {
        self.all().find(|workspace| workspace.name.as_ref() == name)
    }

    /// Whether in any of them nothing is sent for now.
    #[must_use]
    pub fn is_any_suspended(&self) -> bool {
        self.all().any(|workspace| workspace.upstream.is_suspended())
    }

    /// Those that have names, by which they are told apart.
    pub fn named(&self) -> impl Iterator<Item = (&WorkspaceName, &Workspace)> {
        self.all().filter_map(|workspace| Some((workspace.name.as_ref()?, workspace)))
    }
}
