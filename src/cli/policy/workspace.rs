//! In which workspace a question to the policy is meant: it matters where rules name workspaces.

use clap::Args;

use super::sources::Ready;
use crate::cli::note;
use crate::domain::{CallerId, EntranceId, WorkspaceName};
use crate::inquiry::{Known, WorkspaceError};
use crate::policy::Orders;

/// In which workspace a question is meant.
#[derive(Args)]
pub(super) struct WorkspaceArgument {
    /// In which workspace [default: that of the entrance in the catalogue]; it matters only
    /// where rules name workspaces
    #[arg(long, value_name = "NAME", value_parser = workspace_name)]
    workspace: Option<WorkspaceName>,
}

fn workspace_name(text: &str) -> Result<WorkspaceName, String> {
    WorkspaceName::parse(text).map_err(|error| error.to_string())
}

impl WorkspaceArgument {
    /// The workspace of a question about this entrance; none where it makes no difference.
    pub(super) fn of(
        &self,
        ready: &Ready,
        orders: &Orders,
        entrance: EntranceId,
    ) -> Result<Option<WorkspaceName>, String> {
        let found = ready.known(orders).workspace_of(entrance, self.workspace.as_ref());
        found.map_err(|error| in_words(ready, error))
    }

    /// The workspaces of questions about this caller: what it may differs from one to the other.
    pub(super) fn of_caller(
        &self,
        ready: &Ready,
        orders: &Orders,
        caller: &CallerId,
    ) -> Result<Vec<Option<WorkspaceName>>, String> {
        let found = ready.known(orders).workspaces_of(caller, self.workspace.as_ref());
        found.map_err(|error| in_words(ready, error))
    }
}

/// With what to do here.
fn in_words(ready: &Ready, error: WorkspaceError) -> String {
    match error {
        WorkspaceError::Needed(_) => format!(
            "{error} with --workspace, or have `grantgate entrances pull` write which entrance is where"
        ),
        WorkspaceError::Other { entrance, known, given } => format!(
            "`{entrance}` is in workspace `{known}`, says `{}`, not in `{given}`",
            ready.sources.catalogue_file
        ),
    }
}

impl Ready {
    /// What questions are answered from.
    pub(super) const fn known<'a>(&'a self, orders: &'a Orders) -> Known<'a> {
        let Self { policy, callers, sources, .. } = self;
        Known { policy, callers, names: sources.names(), orders }
    }

    /// The workspace of an entrance in the catalogue; none where it makes no difference.
    pub(super) fn workspace_of(
        &self,
        entrance: EntranceId,
    ) -> Result<Option<WorkspaceName>, String> {
        let found = self.known(&Orders::default()).workspace_of(entrance, None);
        found.map_err(|error| in_words(self, error))
    }

    /// Tells those who read what policy says that the caller may not ask there.
    pub(super) fn note_workspace(&self, caller: &CallerId, workspace: Option<&WorkspaceName>) {
        let is_within = |workspace| self.known(&Orders::default()).is_within(caller, workspace);
        if let Some(workspace) = workspace.filter(|one| !is_within(Some(*one))) {
            note(format_args!(
                "caller `{caller}` is not in workspace `{workspace}`: every request of it there is \
                 refused, whatever policy says"
            ));
        }
    }
}
