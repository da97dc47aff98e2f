//! In which of Seam's workspaces a request is: what its header `seam-workspace` says, among
//! those of its caller.

use http::{HeaderMap, HeaderName};

use crate::authn::Principal;
use crate::domain::Reason;
use crate::snapshot::Snapshot;
use crate::upstream::Workspace;

/// In which Seam's SDKs name the workspace, by its id.
const HEADER: HeaderName = HeaderName::from_static("seam-workspace");

/// The principal, in the workspace that its request is for; or in none, and why.
pub(super) fn within(
    snapshot: &Snapshot,
    headers: &HeaderMap,
    principal: Principal,
) -> (Principal, Result<(), Reason>) {
    match find(snapshot, headers, &principal) {
        Ok(workspace) => (principal.within(workspace.name.clone()), Ok(())),
        Err(reason) => (principal, Err(reason)),
    }
}

/// Without a header it is the default one, or the only one that the caller has; with a header it
/// must be one of the caller's, wherever it is known what they are called.
fn find<'s>(
    snapshot: &'s Snapshot,
    headers: &HeaderMap,
    principal: &Principal,
) -> Result<&'s Workspace, Reason> {
    let own = snapshot.callers.workspaces(principal.caller());
    let is_own = |workspace: &&Workspace| match &workspace.name {
        Some(name) if !own.is_empty() => own.contains(name),
        Some(_) | None => workspace.is_default,
    };
    let mut all = snapshot.workspaces.all().filter(is_own);
    let mut values = headers.get_all(HEADER).iter();
    // Some SDKs send an empty one.
    match (values.next().filter(|value| !value.is_empty()), values.next()) {
        (_, Some(_)) => Err(Reason::WorkspaceUnknown),
        (Some(named), None) => {
            // Of a workspace that is not known by its id nobody can say that it is another.
            let is_it = |workspace: &&Workspace| match &workspace.id {
                Some(id) => id.as_str().as_bytes() == named.as_bytes(),
                None => !principal.names_workspace(),
            };
            all.find(is_it).ok_or(Reason::WorkspaceUnknown)
        }
        (None, None) if principal.names_workspace() => Err(Reason::WorkspaceMissing),
        (None, None) => {
            match (all.clone().find(|workspace| workspace.is_default), all.next(), all.next()) {
                (Some(default), ..) => Ok(default),
                (None, Some(only), None) => Ok(only),
                (None, ..) => Err(Reason::WorkspaceMissing),
            }
        }
    }
}
