//! What an order is about, looked up in the files that the configuration names. In an
//! emergency a file with a mistake must not keep anybody from a freeze.

use jiff::Timestamp;

use crate::cli::note;
use crate::cli::policy::{Files, Ready};
use crate::config::Settings;
use crate::domain::{CallerId, EntranceId, WorkspaceName};
use crate::inquiry::{BesideException, beside_exception};

/// Names that are shown where one is not known.
const SHOWN_MAX: usize = 10;

/// The workspaces of the configuration, and the policy with its names; or what is wrong with the
/// first of their files.
pub(super) struct LookedUp {
    /// None where it is not known which there are.
    workspaces: Option<Vec<WorkspaceName>>,
    policy: Result<Ready, String>,
}

impl LookedUp {
    pub(super) fn of(settings: &Settings) -> Self {
        let files = Files {
            model: settings.policy_model_file.clone(),
            rules: settings.policy_rules_file.clone(),
            callers: settings.callers_file.clone(),
            entrances: settings.policy_entrances_file.clone(),
        };
        let read = files.read().map_err(|problem| problem.to_string());
        let policy = read.and_then(|sources| {
            sources
                .try_load(Timestamp::now())
                .map_err(|problems| problems.first().map_or_else(String::new, ToString::to_string))
        });
        let all = settings.upstream.workspaces.iter();
        let workspaces = Some(all.filter_map(|one| one.name.clone()).collect());
        Self { workspaces, policy }
    }

    /// By the policy of all gateways, or why there is none.
    pub(super) const fn of_bundle(policy: Result<Ready, String>) -> Self {
        Self { workspaces: None, policy }
    }

    /// None, with a warning, where the files cannot be read.
    fn ready(&self, name: &str) -> Option<&Ready> {
        match &self.policy {
            Ok(ready) => Some(ready),
            Err(why) => {
                note(format_args!(
                    "WARNING: `{name}` could not be looked up and is taken as it is: {why}"
                ));
                None
            }
        }
    }

    /// A caller that is in the callers file.
    pub(super) fn caller(&self, caller: &CallerId) -> Result<(), String> {
        let Some(ready) = self.ready(caller.as_str()) else { return Ok(()) };
        if ready.callers.contains(caller) {
            return Ok(());
        }
        let known: Vec<&str> = ready.callers.ids().map(CallerId::as_str).collect();
        Err(format!("`{caller}` is not in the callers file; there: {}", some(&known)))
    }

    /// A zone that the rules name, with or without its prefix.
    pub(super) fn zone(&self, zone: &str) -> Result<String, String> {
        let zone = match zone.starts_with("zone:") {
            true => zone.to_owned(),
            false => format!("zone:{zone}"),
        };
        let Some(ready) = self.ready(&zone) else { return Ok(zone) };
        if ready.policy.knows_zone(&zone) {
            return Ok(zone);
        }
        Err(format!("the rules name no `{zone}`; they name {}", some(&ready.policy.zones())))
    }

    /// A workspace of the configuration, which is read in any case.
    pub(super) fn workspace(&self, name: &str) -> Result<WorkspaceName, String> {
        let Some(all) = &self.workspaces else {
            return WorkspaceName::parse(name).map_err(|error| format!("`{name}` {error}"));
        };
        let known = all.iter().find(|known| known.as_str() == name);
        known.cloned().ok_or_else(|| {
            let names: Vec<&str> = all.iter().map(WorkspaceName::as_str).collect();
            format!(
                "there is no [[workspace]] `{name}` in the configuration; there: {}",
                some(&names)
            )
        })
    }

    /// An entrance by its id, or by its name in the catalogue.
    pub(super) fn entrance(&self, text: &str) -> Result<EntranceId, String> {
        if let Ok(id) = EntranceId::parse(text) {
            return Ok(id);
        }
        match self.ready(text) {
            Some(ready) => ready.entrance(text),
            None => Err(format!("`{text}` is no id of an entrance, and no name can be looked up")),
        }
    }

    /// An exception may be of no use.
    pub(super) fn warn_of_rules(&self, caller: &CallerId, entrance: EntranceId) {
        let Ok(ready) = &self.policy else { return };
        let asked = (caller, entrance);
        match beside_exception((&ready.policy, ready.names()), asked, Timestamp::now()) {
            Some(denied @ BesideException::Denied(_)) => note(format_args!("WARNING: {denied}")),
            Some(allowed) => note(allowed),
            None => {}
        }
    }
}

fn some(names: &[&str]) -> String {
    let shown: Vec<&str> = names.iter().take(SHOWN_MAX).copied().collect();
    match names.len() {
        0 => "none".to_owned(),
        count if count > SHOWN_MAX => format!("{} and more", shown.join(", ")),
        _ => shown.join(", "),
    }
}
