//! Cases as they stand in their files.

use std::path::{Path, PathBuf};

use jiff::Timestamp;

use crate::cli::policy::sources::Ready;
use crate::domain::{Act, CallerId, EntranceId, GranteeKind, Problem, Reason, WorkspaceName};
use crate::toml_source::{Place, Section, TomlSource};

/// What the policy must decide.
pub(super) struct Case {
    pub(super) name: String,
    /// Its file and line.
    pub(super) place: String,
    pub(super) caller: CallerId,
    pub(super) act: Act,
    pub(super) entrance: EntranceId,
    pub(super) workspace: Option<WorkspaceName>,
    pub(super) grantee: Option<GranteeKind>,
    pub(super) at: Option<Timestamp>,
    pub(super) allow: bool,
    pub(super) reason: Option<String>,
    pub(super) rule: Option<String>,
}

/// A problem and the text that it is in.
pub(super) type Found = (Problem, Option<Vec<u8>>);

/// Reads every file, in the order of their names.
pub(super) fn read(paths: &[PathBuf], ready: &Ready) -> Result<Vec<Case>, Vec<Found>> {
    let mut problems: Vec<Found> = Vec::new();
    let mut files = Vec::new();
    for path in paths {
        match listed(path) {
            Ok(found) => files.extend(found),
            Err(error) => {
                let text = format!("cannot be read: {error}");
                problems.push((Problem::of_file(path.display().to_string(), text), None));
            }
        }
    }
    let mut cases = Vec::new();
    for file in &files {
        let name = file.display().to_string();
        match std::fs::read_to_string(file) {
            Err(error) => {
                problems.push((Problem::of_file(name, format!("cannot be read: {error}")), None));
            }
            Ok(text) => match of_text(&name, &text, ready) {
                Ok(found) => cases.extend(found),
                Err(found) => {
                    let text = text.into_bytes();
                    problems.extend(found.into_iter().map(|p| (p, Some(text.clone()))));
                }
            },
        }
    }
    if problems.is_empty() && cases.is_empty() {
        let name = paths.first().map_or_else(String::new, |path| path.display().to_string());
        let text = "holds no case: write `[[case]]` tables into a file that ends with `.toml`";
        problems.push((Problem::of_file(name, text), None));
    }
    if problems.is_empty() { Ok(cases) } else { Err(problems) }
}

/// A file, or the files of a folder that end with `.toml`.
fn listed(path: &Path) -> std::io::Result<Vec<PathBuf>> {
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let entries = std::fs::read_dir(path)?.map(|entry| entry.map(|entry| entry.path()));
    let mut found: Vec<PathBuf> = entries.collect::<std::io::Result<_>>()?;
    found.retain(|path| path.extension().is_some_and(|extension| extension == "toml"));
    found.sort_unstable();
    Ok(found)
}

fn of_text(file: &str, text: &str, ready: &Ready) -> Result<Vec<Case>, Vec<Problem>> {
    let source = TomlSource::parse(file, text.to_owned()).map_err(|problem| vec![problem])?;
    let root = source.root();
    let sections = root.sections("case");
    let cases: Vec<Option<Case>> =
        sections.into_iter().map(|section| case(section, ready)).collect();
    root.finish();
    let problems = source.into_problems();
    if problems.is_empty() { Ok(cases.into_iter().flatten().collect()) } else { Err(problems) }
}

fn case(section: Section<'_>, ready: &Ready) -> Option<Case> {
    let name = section.required("name").and_then(|place| {
        let problem = place.problem("");
        let line = problem.line.unwrap_or(0);
        Some((place.string()?.to_owned(), format!("{}:{line}", problem.file)))
    });
    let caller = section.required("caller").and_then(|place| {
        let text = place.string()?;
        match CallerId::parse(text) {
            Ok(id) if ready.callers.contains(&id) => Some(id),
            Ok(id) => refuse(&place, format!("caller `{id}` is not in the callers file")),
            Err(error) => refuse(&place, format!("`{text}`: a caller id {error}")),
        }
    });
    let entrance = section.required("entrance").and_then(|place| {
        ready.entrance(place.string()?).map_or_else(|error| refuse(&place, error), Some)
    });
    let workspace = entrance.and_then(|entrance| workspace(&section, ready, entrance));
    let act = section.value("act").map_or(Some(Act::Grant), |place| {
        let act = place.string().and_then(Act::parse);
        if act.is_none() {
            place.refuse("`act` must be `grant` or `read`");
        }
        act
    });
    let grantee = section.value("grantee").map(|place| {
        let kind = place.string().and_then(GranteeKind::parse);
        if act == Some(Act::Read) {
            place.refuse("`grantee` needs the act `grant`: a request to read names no grantee");
        } else if kind.is_none() {
            place.refuse("`grantee` must be `acs_user` or `user_identity`");
        }
        kind
    });
    let at = section.value("at").map(|place| place.timestamp());
    let allow = section.required("decision").and_then(|place| match place.string()? {
        "allow" => Some(true),
        "deny" => Some(false),
        other => refuse(&place, format!("`{other}` is not a decision: write `allow` or `deny`")),
    });
    let reason = section.value("reason").map(|place| {
        let text = place.string()?;
        let known = Reason::ALL.iter().any(|reason| reason.as_str() == text);
        if known {
            Some(text.to_owned())
        } else {
            refuse(&place, format!("`{text}` is not a reason"))
        }
    });
    let rule = section.value("rule").map(|place| place.string().map(normal));
    section.finish();
    let (name, place) = name?;
    // What is there must be right; what is not there is left open.
    Some(Case {
        name,
        place,
        caller: caller?,
        act: act?,
        entrance: entrance?,
        workspace: workspace?,
        grantee: grantee.map_or(Some(None), |kind| kind.map(Some))?,
        at: at.map_or(Some(None), |at| at.map(Some))?,
        allow: allow?,
        reason: reason.map_or(Some(None), |reason| reason.map(Some))?,
        rule: rule.map_or(Some(None), |rule| rule.map(Some))?,
    })
}

/// The workspace that the case names, or that of its entrance; none where it makes no difference.
fn workspace(
    section: &Section<'_>,
    ready: &Ready,
    entrance: EntranceId,
) -> Option<Option<WorkspaceName>> {
    match section.value("workspace") {
        Some(place) => match WorkspaceName::parse(place.string()?) {
            Ok(name) => Some(Some(name)),
            Err(error) => refuse(&place, format!("a workspace's name {error}")),
        },
        None => match ready.workspace_of(entrance) {
            Ok(found) => Some(found),
            Err(error) => {
                section.refuse(format!("add `workspace` to this case: {error}"));
                None
            }
        },
    }
}

fn refuse<T>(place: &Place<'_>, text: String) -> Option<T> {
    place.refuse(text);
    None
}

/// A rule as the policy prints it, however it is spaced.
fn normal(rule: &str) -> String {
    let fields: Vec<&str> = rule.splitn(6, ',').map(str::trim).collect();
    fields.join(", ")
}
