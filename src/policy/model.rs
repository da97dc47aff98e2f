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

const COLUMNS: &str = "sub, obj, act, eft";
const COLUMNS_WITH_WHEN: &str = "sub, obj, act, eft, when";

/// Section, key, and the values that are accepted; the matcher has a check of its own.
const DEFINITIONS: &[(&str, &str, &[&str])] = &[
    ("request_definition", "r", &["sub, obj, act"]),
    ("policy_definition", "p", &[COLUMNS, COLUMNS_WITH_WHEN]),
    ("role_definition", "g", &["_, _"]),
    ("role_definition", "g2", &["_, _"]),
    ("policy_effect", "e", &[EFFECT]),
    ("matchers", "m", &[]),
];

/// A model whose meaning is known.
#[derive(Debug)]
pub(super) struct Model {
    /// The text for casbin: the known meaning, not the file's spelling of it.
    pub(super) text: String,
    /// The same without the condition: for rules of which none has one.
    pub(super) text_without_when: String,
    /// The matcher asks for roles of callers.
    pub(super) roles: bool,
    /// The matcher asks for zones of entrances.
    pub(super) zones: bool,
    /// `*` as an object matches every entrance.
    pub(super) wildcard: bool,
    /// The matcher asks whether the rule's `when` holds.
    pub(super) conditions: bool,
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
    let mut when_column = None;
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
        let accepted = expected.iter().find(|known| squeeze(value) == squeeze(known));
        match expected {
            [_, ..] => match accepted {
                None => refuse(number, format!("`{key}` must be `{}`", expected.join("` or `"))),
                Some(columns) if *columns == COLUMNS_WITH_WHEN => when_column = Some(number),
                Some(_) => {}
            },
            [] => match Conditions::parse(value) {
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
    if problems.is_empty() && when_column.is_some() != conditions.holds {
        let text =
            "the `when` column and `holds(p.when)` in the matcher go together: one is missing";
        problems.push(Problem::of_file(source.name.clone(), text));
    }
    let Conditions { matcher, roles, zones, wildcard, holds } = conditions;
    let text_without_when = canonical(&matcher, COLUMNS);
    let text = if holds {
        canonical(&format!("{matcher} && {HOLDS}"), COLUMNS_WITH_WHEN)
    } else {
        text_without_when.clone()
    };
    let model = Model { text, text_without_when, roles, zones, wildcard, conditions: holds };
    if problems.is_empty() { Ok(model) } else { Err(problems) }
}

/// Last in the matcher that casbin is given: it costs most.
const HOLDS: &str = "holds(p.when)";

/// What a matcher says of objects where it knows the wildcard, and how casbin is given it.
const WILDCARD_OR_ZONE: &str = "(p.obj==\"*\"||g2(r.obj,p.obj))";
const ZONE_OR_WILDCARD: &str = "(g2(r.obj,p.obj)||p.obj==\"*\")";

/// What a matcher asks for.
#[derive(Debug, Default)]
struct Conditions {
    /// As casbin is given it, without [`HOLDS`].
    matcher: String,
    roles: bool,
    zones: bool,
    wildcard: bool,
    holds: bool,
}

impl Conditions {
    fn parse(matcher: &str) -> Result<Self, String> {
        let unknown = || {
            "the matcher must be three conditions joined by `&&`: `r.act == p.act`; `g(r.sub, p.sub)` \
             or `r.sub == p.sub`; `g2(r.obj, p.obj)`, `r.obj == p.obj` or `(p.obj == \"*\" || \
             g2(r.obj, p.obj))`; and `holds(p.when)` where rules have a `when` column"
                .to_owned()
        };
        let (mut act, mut subject, mut object) = (false, false, false);
        let mut found = Self::default();
        let squeezed = squeeze(matcher);
        let mut kept = Vec::new();
        for condition in squeezed.split("&&") {
            if condition == HOLDS {
                if std::mem::replace(&mut found.holds, true) {
                    return Err(unknown());
                }
                continue;
            }
            // Almost every rule has a zone; the wildcard is looked for when it has not.
            kept.push(if condition == WILDCARD_OR_ZONE { ZONE_OR_WILDCARD } else { condition });
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
                WILDCARD_OR_ZONE => {
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
        found.matcher = kept.join(" && ");
        Ok(found)
    }
}

/// A model of the expected definitions, this matcher and these columns of a rule.
fn canonical(matcher: &str, columns: &str) -> String {
    let mut text = String::new();
    let mut last = "";
    for (section, key, values) in DEFINITIONS {
        let value = match *key {
            "p" => columns,
            "m" => matcher,
            _ => values.first().copied().unwrap_or_default(),
        };
        if last != *section {
            text.push_str(&format!("[{section}]\n"));
            last = section;
        }
        text.push_str(&format!("{key} = {value}\n"));
    }
    text
}

/// Without spaces, which mean nothing in these texts.
fn squeeze(text: &str) -> String {
    text.chars().filter(|c| *c != ' ').collect()
}
