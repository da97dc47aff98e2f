//! `policy.csv`, read strictly: what casbin would skip or misread is refused.
//!
//! Comma-separated fields with optional spaces around them. A comment is a whole line.
//! There is no quoting, so no field can hold a comma, and none needs one.

use std::collections::HashMap;

use super::SourceFile;
use super::model::Model;
use crate::authn::Callers;
use crate::domain::{CallerId, EntranceId, Problem};

/// The object that stands for every entrance.
pub(super) const WILDCARD: &str = "*";
/// The act of granting, the only one there is.
pub(super) const GRANT: &str = "grant";

const FILE_BYTES_MAX: usize = 64 * 1024 * 1024;
const LINE_BYTES_MAX: usize = 1024;
/// More problems than this are not listed one by one.
const PROBLEMS_MAX: usize = 100;

/// Everything in a rules file.
#[derive(Debug, Default)]
pub(super) struct Rules {
    pub(super) file: String,
    pub(super) rules: Vec<Rule>,
    /// `g` lines: a caller or role is in a role.
    pub(super) roles: Vec<Link>,
    /// `g2` lines: an entrance or zone is in a zone.
    pub(super) zones: Vec<Link>,
}

/// A `p` line.
#[derive(Debug)]
pub(super) struct Rule {
    pub(super) line: u32,
    pub(super) subject: String,
    pub(super) object: String,
    pub(super) allow: bool,
}

/// A `g` or `g2` line.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) line: u32,
    pub(super) member: String,
    pub(super) group: String,
}

impl Rules {
    /// A problem at a line of this file.
    pub(super) fn problem(&self, line: u32, text: impl Into<String>) -> Problem {
        Problem { file: self.file.clone(), line: Some(line), column: None, text: text.into() }
    }

    /// Lines that the model gives no meaning to.
    pub(super) fn misfits(&self, model: &Model) -> Vec<Problem> {
        let mut found = Vec::new();
        if !model.roles {
            let text = "the model's matcher does not use `g`: this line would do nothing";
            found.extend(self.roles.iter().map(|link| self.problem(link.line, text)));
        }
        if !model.zones {
            let text = "the model's matcher does not use `g2`: this line would do nothing";
            found.extend(self.zones.iter().map(|link| self.problem(link.line, text)));
        }
        if !model.wildcard {
            let text = "the model's matcher gives `*` no meaning: this rule would match nothing";
            let wild = self.rules.iter().filter(|rule| rule.object == WILDCARD);
            found.extend(wild.map(|rule| self.problem(rule.line, text)));
        }
        found
    }
}

/// Reads a rules file.
pub(super) fn parse(source: &SourceFile, callers: &Callers) -> Result<Rules, Vec<Problem>> {
    let whole = |text: &str| vec![Problem::of_file(source.name.clone(), text)];
    if source.bytes.len() > FILE_BYTES_MAX {
        return Err(whole("is larger than 64 MiB"));
    }
    if source.bytes.starts_with(b"\xef\xbb\xbf") {
        return Err(whole("starts with a byte order mark; save it as UTF-8 without one"));
    }
    let text = std::str::from_utf8(&source.bytes).map_err(|error| {
        let valid = source.bytes.get(..error.valid_up_to()).unwrap_or_default();
        let valid = String::from_utf8_lossy(valid);
        vec![Problem::at_offset(source.name.clone(), &valid, valid.len(), "not UTF-8")]
    })?;
    if !text.ends_with('\n') && !text.is_empty() {
        let line = u32::try_from(text.lines().count()).ok();
        let text = "the last line has no end: the file may be cut off; add a newline";
        return Err(vec![Problem {
            file: source.name.clone(),
            line,
            column: None,
            text: text.into(),
        }]);
    }
    let mut parser = Parser {
        rules: Rules { file: source.name.clone(), ..Rules::default() },
        callers,
        seen: HashMap::new(),
        problems: Vec::new(),
    };
    for (line, number) in text.split('\n').zip(1..) {
        parser.line(number, line.strip_suffix('\r').unwrap_or(line));
    }
    let Parser { rules, mut problems, .. } = parser;
    if rules.rules.is_empty() && problems.is_empty() {
        return Err(whole("has no rule: every request would be denied"));
    }
    if problems.len() > PROBLEMS_MAX {
        let more = problems.len() - PROBLEMS_MAX;
        problems.truncate(PROBLEMS_MAX);
        problems.push(Problem::of_file(source.name.clone(), format!("{more} more problems")));
    }
    if problems.is_empty() { Ok(rules) } else { Err(problems) }
}

struct Parser<'a> {
    rules: Rules,
    callers: &'a Callers,
    /// The line on which each combination of fields stood first.
    seen: HashMap<Vec<String>, u32>,
    problems: Vec<Problem>,
}

impl Parser<'_> {
    fn refuse(&mut self, line: u32, column: Option<u32>, text: impl Into<String>) {
        let file = self.rules.file.clone();
        self.problems.push(Problem { file, line: Some(line), column, text: text.into() });
    }

    fn line(&mut self, number: u32, line: &str) {
        if line.trim_ascii().is_empty() || line.starts_with('#') {
            if line.len() > LINE_BYTES_MAX || line.chars().any(|c| c.is_control() && c != '\t') {
                self.refuse(number, None, "a comment with control characters or over 1024 bytes");
            }
            return;
        }
        if line.len() > LINE_BYTES_MAX {
            return self.refuse(number, None, "the line is longer than 1024 bytes");
        }
        if let Some((index, c)) = line.char_indices().find(|(_, c)| !matches!(c, ' '..='~')) {
            let column = u32::try_from(line.get(..index).map_or(0, |l| l.chars().count()) + 1).ok();
            let text =
                format!("`{}` is not allowed here: printable ASCII only", c.escape_default());
            return self.refuse(number, column, text);
        }
        if let Some(index) = line.find('#') {
            let column = u32::try_from(index + 1).ok();
            let text = "a comment must be on a line of its own: here it would be part of the rule";
            return self.refuse(number, column, text);
        }
        if let Some(index) = line.find(['"', '\'']) {
            let column = u32::try_from(index + 1).ok();
            return self.refuse(number, column, "quotes are not allowed: fields are plain");
        }
        let fields: Vec<String> = line.split(',').map(|f| f.trim_matches(' ').to_owned()).collect();
        if let Some(first) = self.seen.insert(fields.clone(), number) {
            return self.refuse(number, None, format!("the same as line {first}"));
        }
        let parts: Vec<&str> = fields.iter().map(String::as_str).collect();
        match parts.as_slice() {
            ["p", subject, object, act, effect] => self.rule(number, subject, object, act, effect),
            ["p", ..] => {
                let text = "a `p` line has four fields: caller or role, entrance, zone or `*`, \
                            `grant`, `allow` or `deny`";
                self.refuse(number, None, text);
            }
            ["g", member, group] => self.role(number, member, group),
            ["g", ..] => {
                self.refuse(number, None, "a `g` line has two fields: caller or role, and role");
            }
            ["g2", member, group] => self.zone(number, member, group),
            ["g2", ..] => {
                self.refuse(number, None, "a `g2` line has two fields: entrance or zone, and zone");
            }
            _ => {
                let kind = parts.first().copied().unwrap_or_default();
                let text = format!("`{kind}` is no kind of line: use `p`, `g` or `g2`");
                self.refuse(number, Some(1), text);
            }
        }
    }

    fn rule(&mut self, line: u32, subject: &str, object: &str, act: &str, effect: &str) {
        let subject_ok = self.subject(line, subject);
        let object_ok = object == WILDCARD || self.object(line, object);
        if act != GRANT {
            self.refuse(line, None, format!("`{act}` is no act: the only one is `grant`"));
        }
        let allow = match effect {
            "allow" => true,
            "deny" => false,
            _ => {
                let text = format!("`{effect}` is no effect: write `allow` or `deny`");
                return self.refuse(line, None, text);
            }
        };
        if subject_ok && object_ok && act == GRANT {
            let (subject, object) = (subject.to_owned(), object.to_owned());
            self.rules.rules.push(Rule { line, subject, object, allow });
        }
    }

    fn role(&mut self, line: u32, member: &str, group: &str) {
        let member_ok = self.subject(line, member);
        let group_ok = group.starts_with("role:");
        if !group_ok {
            self.refuse(line, None, format!("`{group}` is no role: write `role:` and a name"));
        }
        if member_ok && group_ok && self.subject(line, group) {
            let (member, group) = (member.to_owned(), group.to_owned());
            self.rules.roles.push(Link { line, member, group });
        }
    }

    fn zone(&mut self, line: u32, member: &str, group: &str) {
        let member_ok = self.object(line, member);
        let group_ok = group.starts_with("zone:");
        if !group_ok {
            self.refuse(line, None, format!("`{group}` is no zone: write `zone:` and a name"));
        }
        if member_ok && group_ok && self.object(line, group) {
            let (member, group) = (member.to_owned(), group.to_owned());
            self.rules.zones.push(Link { line, member, group });
        }
    }

    fn subject(&mut self, line: u32, text: &str) -> bool {
        if let Some(id) = text.strip_prefix("caller:") {
            match CallerId::parse(id) {
                Err(error) => self.refuse(line, None, format!("`{text}`: a caller id {error}")),
                Ok(id) if !self.callers.contains(&id) => {
                    let text = format!("caller `{id}` is not in the callers file");
                    self.refuse(line, None, text);
                }
                Ok(_) => return true,
            }
        } else if text.strip_prefix("role:").is_some_and(is_name) {
            return true;
        } else {
            let text = format!(
                "`{text}` is no caller or role: write `caller:` or `role:` and a name of a-z, 0-9, \
                 `.`, `_` and `-`"
            );
            self.refuse(line, None, text);
        }
        false
    }

    fn object(&mut self, line: u32, text: &str) -> bool {
        if let Some(id) = text.strip_prefix("entrance:") {
            match EntranceId::parse(id) {
                Ok(parsed) if parsed.to_string() == id => return true,
                Ok(parsed) => {
                    self.refuse(
                        line,
                        None,
                        format!("write the entrance in lower case: `{parsed}`"),
                    );
                }
                Err(error) => self.refuse(line, None, format!("`{text}`: an entrance id {error}")),
            }
        } else if text.strip_prefix("zone:").is_some_and(is_name) {
            return true;
        } else {
            let text = format!(
                "`{text}` is no entrance or zone: write `entrance:` and a uuid, or `zone:` and a \
                 name of a-z, 0-9, `.`, `_` and `-`"
            );
            self.refuse(line, None, text);
        }
        false
    }
}

/// Roles and zones are named like callers.
fn is_name(text: &str) -> bool {
    CallerId::parse(text).is_ok()
}
