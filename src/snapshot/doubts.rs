//! What the settings name, looked at where it is: right as text, and yet it cannot work.
//!
//! Warnings only: none of it keeps grants from being decided and recorded.

use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use crate::authn::Callers;
use crate::config::{AuditSettings, NamedFile, Settings, TrustDomainSettings};
use crate::domain::{Problem, trust_domain_of};

/// Everything of that kind.
pub(super) fn doubts(settings: &Settings, callers: &Callers) -> Vec<Problem> {
    let mut found = same_files(&settings.files);
    found.extend(anchor_file(&settings.audit));
    found.extend(anchor_command(&settings.audit));
    found.extend(unreachable(settings, callers));
    found
}

/// Two names of one file, where each should have its own.
fn same_files(files: &[NamedFile]) -> Vec<Problem> {
    let identity = |path: &Path| std::fs::metadata(path).ok().map(|m| (m.dev(), m.ino()));
    let known: Vec<_> = files.iter().map(|file| (file, identity(&file.path))).collect();
    let mut found = Vec::new();
    for (number, (second, id)) in known.iter().enumerate() {
        let same = |(first, other): &&(&NamedFile, _)| {
            id.is_some() && id == other && !(first.shared && second.shared)
        };
        if let Some((first, _)) = known.iter().take(number).find(same) {
            let text = format!(
                "`{}` is the same file as `{}`, by a link; give each its own",
                second.setting, first.setting
            );
            found.push(Problem::of_file(second.path.display().to_string(), text));
        }
    }
    found
}

/// Checkpoints can be appended, out of reach of those who can change the log.
fn anchor_file(audit: &AuditSettings) -> Option<Problem> {
    let file = audit.anchor_file.as_ref()?;
    let parent = file.parent().filter(|parent| !parent.as_os_str().is_empty());
    let parent = parent.unwrap_or(Path::new("."));
    let text = if file.exists() && !file.is_file() {
        "`audit.anchor_file` is not a file: no checkpoint can be anchored"
    } else if !parent.is_dir() {
        "`audit.anchor_file` is in a directory that does not exist: no checkpoint can be anchored"
    } else if is_inside(file, parent, &audit.directory) {
        "`audit.anchor_file` is in `audit.directory`, by a link: those who can change the log could \
         change it too; put it elsewhere"
    } else {
        return None;
    };
    Some(Problem::of_file(file.display().to_string(), text))
}

fn is_inside(file: &Path, parent: &Path, directory: &Path) -> bool {
    let real = file.canonicalize().or_else(|_| parent.canonicalize());
    directory.canonicalize().is_ok_and(|directory| real.is_ok_and(|r| r.starts_with(directory)))
}

/// The program is there, as the anchors will start it.
fn anchor_command(audit: &AuditSettings) -> Option<Problem> {
    let program = audit.anchor_command.first()?;
    let is_program = |path: &PathBuf| {
        std::fs::metadata(path).is_ok_and(|m| m.is_file() && m.permissions().mode() & 0o111 != 0)
    };
    let path = Path::new(program);
    let text = if path.is_absolute() {
        match path.exists() {
            _ if is_program(&path.to_owned()) => return None,
            true => "is not a program: no checkpoint will be given to it",
            false => "does not exist: no checkpoint will be given to it",
        }
    } else {
        let directories = std::env::var_os("PATH").unwrap_or_default();
        if std::env::split_paths(&directories).map(|it| it.join(path)).any(|it| is_program(&it)) {
            return None;
        }
        "is not in PATH: no checkpoint will be given to it"
    };
    let hint = if program.contains(' ') { "; each argument is an element of its own" } else { "" };
    Some(Problem::of_file("audit.anchor_command", format!("`{program}` {text}{hint}")))
}

/// Callers that have certificates and nothing else, of which none can be accepted.
fn unreachable(settings: &Settings, callers: &Callers) -> Vec<Problem> {
    let clients = settings.listener.clients.as_ref();
    let has_authorities = |name: &String| {
        clients.is_some_and(|clients| {
            let of =
                |domain: &TrustDomainSettings| trust_domain_of(name) == Some(domain.name.as_str());
            clients.general.is_some() || clients.domains.iter().any(of)
        })
    };
    let why = match clients {
        None => "no certificate is asked for",
        Some(_) => "no authority is trusted to sign them",
    };
    let only = callers.all().iter().filter(|c| {
        c.tokens.is_empty()
            && c.jwts.is_empty()
            && !c.certificates.is_empty()
            && !c.certificates.iter().any(has_authorities)
    });
    let problem = |id: &dyn std::fmt::Display| {
        let text = format!(
            "caller `{id}` has certificates and nothing else, and without `listener.client_ca_file` \
             {why}: it cannot be authenticated"
        );
        Problem::of_file(settings.callers_file.display().to_string(), text)
    };
    only.map(|caller| problem(&caller.id)).collect()
}
