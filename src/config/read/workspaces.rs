//! `[[workspace]]`: several workspaces of Seam's, or the only one, and the key of each.

use std::collections::{BTreeSet, HashMap};
use std::path::PathBuf;

use super::Reader;
use super::values::Use;
use crate::config::{CredentialKind, CredentialSettings, SecretSource, WorkspaceSettings};
use crate::domain::{Problem, Secret, WorkspaceId, WorkspaceName};
use crate::toml_source::Section;

/// Workspaces in all.
const WORKSPACES_MAX: usize = 64;

/// What a workspace has that does not say otherwise: that of `[upstream]`.
#[derive(Clone)]
pub(super) struct Shared {
    pub(super) url: reqwest::Url,
    pub(super) ca_file: Option<PathBuf>,
}

/// The workspace that `[upstream]` itself describes.
pub(super) struct Only {
    id: Option<WorkspaceId>,
    credential: CredentialSettings,
}

impl Only {
    pub(super) fn complete(self, shared: Shared) -> WorkspaceSettings {
        let Self { id, credential } = self;
        let Shared { url, ca_file } = shared;
        let (key_name, ca_name) = ("workspace.key".to_owned(), "upstream-ca.pem".to_owned());
        let (name, is_default) = (None, true);
        WorkspaceSettings { name, id, is_default, url, credential, ca_file, key_name, ca_name }
    }
}

impl<'a> Reader<'a> {
    /// The workspace of `[upstream]`, which is there where no table describes one. The file's
    /// keys go before `SEAM_API_KEY` and the other variables of the SDKs.
    pub(super) fn only_workspace(&mut self, section: &Section<'a>, is_one: bool) -> Option<Only> {
        let key_file = self.optional_path(section, "api_key_file", Use::Alone);
        let token_file = self.optional_path(section, "personal_access_token_file", Use::Alone);
        let id = self.workspace_id(section, "workspace_id", false);
        if !is_one {
            let moved = ["api_key_file", "personal_access_token_file", "workspace_id"];
            for key in moved.into_iter().filter_map(|key| section.value(key)) {
                key.refuse(format!(
                    "`{}` is of the only workspace, and there are [[workspace]] tables: write it \
                     there",
                    key.path()
                ));
            }
            self.warn_of_variables("[[workspace]] tables name files");
            return None;
        }
        let id = match self.variable("SEAM_WORKSPACE_ID") {
            Some(text) if id.is_none() => {
                let read = WorkspaceId::parse(text.trim());
                if read.is_none() {
                    section.refuse(format!("SEAM_WORKSPACE_ID {ID_RULE}"));
                }
                read
            }
            Some(_) | None => id,
        };
        let from_files = key_file.is_some() || token_file.is_some();
        let source = |file: Option<PathBuf>, variable: &str| match file {
            Some(file) => Some(SecretSource::File(file)),
            None if from_files => None,
            None => self.variable(variable).map(|text| SecretSource::Value(Secret::new(text))),
        };
        let key = source(key_file, "SEAM_API_KEY");
        let token = source(token_file, "SEAM_PERSONAL_ACCESS_TOKEN");
        if from_files {
            self.warn_of_variables("the configuration names a file");
        }
        let credential = match (key, token) {
            (Some(source), None) => CredentialSettings { kind: CredentialKind::ApiKey, source },
            (None, Some(source)) if id.is_some() => {
                CredentialSettings { kind: CredentialKind::PersonalAccessToken, source }
            }
            (None, Some(_)) => {
                section.refuse(
                    "a personal access token needs `upstream.workspace_id` or SEAM_WORKSPACE_ID",
                );
                return None;
            }
            (Some(_), Some(_)) => {
                section.refuse("give an api key or a personal access token, not both");
                return None;
            }
            (None, None) => {
                section.refuse(
                    "no workspace key: set `upstream.api_key_file`, or SEAM_API_KEY in the environment",
                );
                return None;
            }
        };
        Some(Only { id, credential })
    }

    fn warn_of_variables(&mut self, why: &str) {
        for variable in ["SEAM_API_KEY", "SEAM_PERSONAL_ACCESS_TOKEN"] {
            if self.variable(variable).is_some() {
                let place = format!("environment variable {variable}");
                let text = format!("is not used: {why} for the workspace key");
                self.warnings.push(Problem::of_file(place, text));
            }
        }
    }

    pub(super) fn workspaces(
        &mut self,
        sections: Vec<Section<'a>>,
        shared: Option<&Shared>,
    ) -> Option<Vec<WorkspaceSettings>> {
        if let Some(section) = sections.get(WORKSPACES_MAX) {
            section.refuse(format!("more than {WORKSPACES_MAX} workspaces"));
        }
        let mut default = None::<WorkspaceName>;
        let (mut names, mut ids) = (BTreeSet::new(), HashMap::new());
        let mut all = Some(Vec::new());
        for section in &sections {
            let read = self.workspace(section, shared);
            if let Some(WorkspaceSettings { name: Some(name), id: Some(id), .. }) = &read {
                if !names.insert(name.clone()) {
                    section.refuse(format!("a second workspace `{name}`; choose another name"));
                }
                if let Some(first) = ids.insert(id.clone(), name.clone()) {
                    section.refuse(format!("workspace `{first}` has the id `{}`", id.as_str()));
                }
            }
            if let Some(WorkspaceSettings { name: Some(name), is_default: true, .. }) = &read {
                if let Some(first) = &default {
                    section.refuse(format!(
                        "workspace `{first}` is the default already; only one can be"
                    ));
                }
                default = Some(name.clone());
            }
            match (read, &mut all) {
                (Some(read), Some(list)) => list.push(read),
                _ => all = None,
            }
        }
        match (&sections[..], &mut all, default) {
            ([_], Some(list), None) => list.iter_mut().for_each(|only| only.is_default = true),
            ([.., last], Some(_), None) => last.refuse(
                "write `default = true` into one of the [[workspace]] tables: requests that name \
                 no workspace go there",
            ),
            _ => {}
        }
        sections.into_iter().for_each(Section::finish);
        all
    }

    pub(super) fn workspace(
        &mut self,
        section: &Section<'a>,
        shared: Option<&Shared>,
    ) -> Option<WorkspaceSettings> {
        let name = self.known_as(section, "name", None, true).and_then(|place| {
            let name = WorkspaceName::parse(place.string()?);
            name.map_err(|error| place.refuse(format!("a workspace's name {error}"))).ok()
        });
        let id = self.workspace_id(section, "id", true);
        let is_default = match self.known_as(section, "default", Some("false".into()), false) {
            None => Some(false),
            Some(place) => place.boolean(),
        };
        let url = match self.known(section, "url") {
            None => shared.map(|shared| shared.url.clone()),
            Some(place) => self.upstream_url(&place),
        };
        let key_file = self.optional_path(section, "api_key_file", Use::Alone);
        let token_file = self.optional_path(section, "personal_access_token_file", Use::Alone);
        let ca_file = self.optional_path(section, "ca_file", Use::Pem);
        let ca_file = ca_file.or_else(|| shared.and_then(|shared| shared.ca_file.clone()));
        let (kind, file) = match (key_file, token_file) {
            (Some(file), None) => (CredentialKind::ApiKey, file),
            (None, Some(file)) => (CredentialKind::PersonalAccessToken, file),
            (Some(_), Some(_)) | (None, None) => {
                section.refuse(
                    "give the file of the workspace's key: one of `api_key_file` and \
                     `personal_access_token_file`",
                );
                return None;
            }
        };
        let credential = CredentialSettings { kind, source: SecretSource::File(file) };
        let name = name?;
        Some(WorkspaceSettings {
            key_name: format!("workspace-{name}.key"),
            ca_name: format!("workspace-ca-{name}.pem"),
            name: Some(name),
            id: Some(id?),
            is_default: is_default?,
            url: url?,
            credential,
            ca_file,
        })
    }

    fn workspace_id(
        &mut self,
        section: &Section<'a>,
        key: &str,
        required: bool,
    ) -> Option<WorkspaceId> {
        let place = match required {
            true => self.known_as(section, key, None, true),
            false => self.known(section, key),
        }?;
        let id = WorkspaceId::parse(place.string()?);
        if id.is_none() {
            place.refuse(format!("`{}` {ID_RULE}", place.path()));
        }
        id
    }
}

const ID_RULE: &str = "must be the workspace's uuid as Seam shows it, without blanks or quotes";
