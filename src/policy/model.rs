//! `model.conf`, read strictly: only models whose meaning is known are taken.
//!
//! casbin ignores misspelt sections and keys, lets a later definition replace an
//! earlier one, and finds an unknown effect or function only when a request reaches
//! it. Here every line must be one that is expected, once. The matcher must be a
//! conjunction of known conditions, which makes the check in front of casbin sound.

use std::collections::HashMap;

use super::SourceFile;
use crate::domain::Problem;

const EFFECT: &str = "some(where (p.eft == allow)) && !some(where (p.eft == deny))";

/// Section, key, and the only value that is accepted; the matcher has a check of its own.
const DEFINITIONS: &[(&str, &str, Option<&str>)] = &[
    ("request_definition", "r", Some("sub, obj, act")),
    ("policy_definition", "p", Some("sub, obj, act, eft")),
    ("role_definition", "g", Some("_, _")),
    ("role_definition", "g2", Some("_, _")),
    ("policy_effect", "e", Some(EFFECT)),
    ("matchers", "m", None),
];

/// A model whose meaning is known.
#[derive(Debug)]
pub(super) struct Model {
    /// The text for casbin: the known meaning, not the file's spelling of it.
    pub(super) text: String,
    /// The matcher asks for roles of callers.
    pub(super) roles: bool,
    /// The matcher asks for zones of entrances.
    pub(super) zones: bool,
    /// `*` as an object matches every entrance.
    pub(super) wildcard: bool,
}

/// Reads a model file.
pub(super) fn parse(source: &SourceFile) -> Result<Model, Vec<Problem>> {
    let whole = |text: &str| vec![Problem::of_file(source.name.clone(), text)];
    let text = std::str::from_utf8(&source.bytes).ok().filter(|text| {
        text.len() <= 16 * 1024 && text.chars().all(|c| matches!(c, ' '..='~' | '\n' | '\r'))
    });
    let text = text.ok_or_else(|| whole("must be printable ASCII of at most 16 KiB"))?;
    let mut problems = Vec::new();
    let mut refuse = |line: u32, text: String| {
        let file = source.name.clone();
        problems.push(Problem { file, line: Some(line), column: None, text });
    };
    let mut section = String::new();
    let mut found: HashMap<(&str, &str), u32> = HashMap::new();
    let mut conditions = Conditions::default();
    for (line, number) in text.lines().map(str::trim).zip(1..) {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if let Some(name) = line.strip_prefix('[').and_then(|l| l.strip_suffix(']')) {
            if !DEFINITIONS.iter().any(|(known, ..)| *known == name) {
                refuse(number, format!("there is no section `[{name}]`"));
            }
            name.clone_into(&mut section);
            continue;
        }
        let Some((key, value)) = line.split_once('=').map(|(k, v)| (k.trim(), v.trim())) else {
            refuse(number, "must be `[section]`, `key = value` or a comment".into());
            continue;
        };
        let known = DEFINITIONS.iter().find(|(s, k, _)| *s == section && *k == key);
        let Some((known_section, known_key, expected)) = known else {
            refuse(number, format!("there is no `{key}` in section `[{section}]`"));
            continue;
        };
        if let Some(first) = found.insert((*known_section, *known_key), number) {
            refuse(number, format!("`{key}` is defined on line {first} already"));
        }
        match expected {
            Some(expected) if squeeze(value) != squeeze(expected) => {
                refuse(number, format!("`{key}` must be `{expected}`"));
            }
            Some(_) => {}
            None => match Conditions::parse(value) {
                Ok(parsed) => conditions = parsed,
                Err(text) => refuse(number, text),
            },
        }
    }
    for (section, key, _) in DEFINITIONS {
        if !found.contains_key(&(*section, *key)) {
            let text = format!("`{key}` is missing in section `[{section}]`");
            problems.push(Problem::of_file(source.name.clone(), text));
        }
    }
    let Conditions { matcher, roles, zones, wildcard } = conditions;
    let model = Model { text: canonical(&matcher), roles, zones, wildcard };
    if problems.is_empty() { Ok(model) } else { Err(problems) }
}

/// What a matcher asks for.
#[derive(Debug, Default)]
struct Conditions {
    /// As casbin is given it.
    matcher: String,
    roles: bool,
    zones: bool,
    wildcard: bool,
}

impl Conditions {
    fn parse(matcher: &str) -> Result<Self, String> {
        let unknown = || {
            "the matcher must be three conditions joined by `&&`: `r.act == p.act`; `g(r.sub, p.sub)` \
             or `r.sub == p.sub`; `g2(r.obj, p.obj)`, `r.obj == p.obj` or `(p.obj == \"*\" || \
             g2(r.obj, p.obj))`"
                .to_owned()
        };
        let (mut act, mut subject, mut object) = (false, false, false);
        let mut found = Self::default();
        for condition in squeeze(matcher).split("&&") {
            let place = match condition {
                "r.act==p.act" => &mut act,
                "r.sub==p.sub" => &mut subject,
                "g(r.sub,p.sub)" => {
                    found.roles = true;
                    &mut subject
                }
                "r.obj==p.obj" => &mut object,
                "g2(r.obj,p.obj)" => {
                    found.zones = true;
                    &mut object
                }
                "(p.obj==\"*\"||g2(r.obj,p.obj))" => {
                    (found.zones, found.wildcard) = (true, true);
                    &mut object
                }
                _ => return Err(unknown()),
            };
            if std::mem::replace(place, true) {
                return Err(unknown());
            }
        }
        if !(act && subject && object) {
            return Err(unknown());
        }
        found.matcher = squeeze(matcher).replace("&&", " && ");
        Ok(found)
    }
}

/// A model of the expected definitions and this matcher.
fn canonical(matcher: &str) -> String {
    let mut text = String::new();
    let mut last = "";
    for (section, key, value) in DEFINITIONS {
        if last != *section {
            text.push_str(&format!("[{section}]\n"));
            last = section;
        }
        text.push_str(&format!("{key} = {}\n", value.unwrap_or(matcher)));
    }
    text
}

/// Without spaces, which mean nothing in these texts.
fn squeeze(text: &str) -> String {
    text.chars().filter(|c| *c != ' ').collect()
}
