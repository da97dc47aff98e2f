//! In which workspace a question to the policy is meant: it matters where rules name workspaces.

use std::collections::BTreeSet;

use clap::Args;

use super::sources::Ready;
use crate::cli::note;
use crate::domain::{CallerId, EntranceId, WorkspaceName};
use crate::policy::Orders;

/// Workspaces that an error names.
const NAMED_MAX: usize = 10;

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
        let known = ready.names().workspace_of(entrance);
        match (&self.workspace, known) {
            (Some(given), Some(known)) if given != known => Err(format!(
                "`{entrance}` is in workspace `{known}`, says `{}`, not in `{given}`",
                ready.sources.catalogue_file
            )),
            (Some(named), _) | (None, Some(named)) => Ok(Some(named.clone())),
            (None, None) => ready.none_needed(orders),
        }
    }

    /// The workspaces of questions about this caller: what it may differs from one to the other.
    pub(super) fn of_caller(
        &self,
        ready: &Ready,
        orders: &Orders,
        caller: &CallerId,
    ) -> Result<Vec<Option<WorkspaceName>>, String> {
        let own = ready.callers.workspaces(caller);
        match &self.workspace {
            Some(named) => Ok(vec![Some(named.clone())]),
            None => match ready.none_needed(orders) {
                Ok(none) => Ok(vec![none]),
                Err(_) if !own.is_empty() => Ok(own.iter().cloned().map(Some).collect()),
                Err(error) => Err(error),
            },
        }
    }
}

impl Ready {
    /// The workspace of an entrance in the catalogue; none where it makes no difference.
    pub(super) fn workspace_of(
        &self,
        entrance: EntranceId,
    ) -> Result<Option<WorkspaceName>, String> {
        match self.names().workspace_of(entrance) {
            Some(known) => Ok(Some(known.clone())),
            None => self.none_needed(&Orders::default()),
        }
    }

    /// No workspace, where neither the rules nor these orders tell them apart.
    fn none_needed(&self, orders: &Orders) -> Result<Option<WorkspaceName>, String> {
        let of_orders = orders.all().iter().filter_map(|order| order.kind.workspace());
        let named = self.policy.named_workspaces().chain(of_orders).map(WorkspaceName::as_str);
        let named: BTreeSet<&str> = named.collect();
        match named.is_empty() {
            true => Ok(None),
            false => Err(format!(
                "rules or orders tell workspaces apart ({}): say in which with --workspace, or have \
                 `grantgate entrances pull` write which entrance is where",
                named.into_iter().take(NAMED_MAX).collect::<Vec<_>>().join(", ")
            )),
        }
    }

    /// Whether a caller may ask in a workspace, as far as the callers file says it.
    pub(super) fn is_within(&self, caller: &CallerId, workspace: Option<&WorkspaceName>) -> bool {
        let own = self.callers.workspaces(caller);
        own.is_empty() || workspace.is_none_or(|workspace| own.contains(workspace))
    }

    /// Tells those who read what policy says that the caller may not ask there.
    pub(super) fn note_workspace(&self, caller: &CallerId, workspace: Option<&WorkspaceName>) {
        if let Some(workspace) = workspace.filter(|_| !self.is_within(caller, workspace)) {
            note(format_args!(
                "caller `{caller}` is not in workspace `{workspace}`: every request of it there is \
                 refused, whatever policy says"
            ));
        }
    }
}
