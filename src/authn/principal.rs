//! The authenticated identity of one request.

use std::sync::Arc;

use jiff::Timestamp;

use super::failure::Known;
use crate::domain::{CallerId, WorkspaceName};

/// Who is calling, proven by a credential. Only [`crate::authn`] makes one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal {
    caller: CallerId,
    credential: Arc<str>,
    expires: Option<Timestamp>,
    names_workspace: bool,
    workspace: Option<WorkspaceName>,
}

impl Principal {
    /// `expires` is what the callers file, or the credential itself, says of its end.
    pub(super) fn new(caller: CallerId, credential: Arc<str>, expires: Option<Timestamp>) -> Self {
        let (names_workspace, workspace) = (false, None);
        Self { caller, credential, expires, names_workspace, workspace }
    }

    /// The same by a credential with which a request must name its workspace.
    pub(super) fn with_named_workspace(self) -> Self {
        Self { names_workspace: true, ..self }
    }

    /// Whether its requests must name their workspace.
    #[must_use]
    pub fn names_workspace(&self) -> bool {
        self.names_workspace
    }

    /// The same in this workspace.
    #[must_use]
    pub fn within(self, workspace: Option<WorkspaceName>) -> Self {
        Self { workspace, ..self }
    }

    /// In which workspace it asks, where workspaces have names.
    #[must_use]
    pub fn workspace(&self) -> Option<&WorkspaceName> {
        self.workspace.as_ref()
    }

    /// Who it would be, for a record that says that it is not believed.
    pub(super) fn into_known(self) -> Known {
        Known { caller: self.caller, credential: self.credential }
    }

    /// The configured service.
    #[must_use]
    pub fn caller(&self) -> &CallerId {
        &self.caller
    }

    /// Which of its credentials it used: `token:<name>`, `jwt:<name>` or `certificate:<name>`.
    /// Never the credential itself.
    #[must_use]
    pub fn credential(&self) -> &str {
        &self.credential
    }

    /// Until when the credential is accepted, where it or the callers file says so.
    #[must_use]
    pub fn expires(&self) -> Option<Timestamp> {
        self.expires
    }

    /// Whether the credential is a certificate, which has its end in itself.
    #[must_use]
    pub fn has_certificate(&self) -> bool {
        self.credential.starts_with("certificate:")
    }
}
