//! `policy.csv`, read strictly: what casbin would skip or misread is refused.
//!
//! Comma-separated fields with optional spaces around them. A comment is a whole line, and
//! may be indented.
//! There is no quoting, so no field can hold a comma, and none needs one, but `when`:
//! it is the last field and goes to the end of its line.

use std::collections::HashMap;

use super::SourceFile;
use super::condition::Condition;
use super::line::{Field, fields, instead_of, is_comment, separator_slip};
use super::names::{Hashing, Name, Names};
use crate::authn::Callers;
use crate::domain::{Act, CallerId, EntranceId, Problem, WorkspaceName};

/// The object that stands for every entrance.
pub(super) const WILDCARD: &str = "*";
const FILE_BYTES_MAX: usize = 256 * 1024 * 1024;
const LINE_BYTES_MAX: usize = 1024;
/// More problems than this are not listed one by one.
const PROBLEMS_MAX: usize = 100;

/// Everything in a rules file.
#[derive(Debug, Default)]
pub(super) struct Rules {
    pub(super) file: String,
    pub(super) names: Names,
    /// The number of [`WILDCARD`], where a rule has it.
    pub(super) wildcard: Option<Name>,
    pub(super) rules: Vec<Rule>,
    /// `g` lines: a caller or role is in a role.
    pub(super) roles: Vec<Link>,
    /// `g2` lines: an entrance, workspace or zone is in a zone.
    pub(super) zones: Vec<Link>,
    /// Every `when`, once.
    pub(super) conditions: Vec<Condition>,
}

/// A rule's number: its position among the rules of its file, from 0.
pub(super) type RuleNo = u32;

/// A `p` line.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rule {
    pub(super) line: u32,
    pub(super) subject: Name,
    pub(super) object: Name,
    pub(super) act: Act,
    pub(super) allow: bool,
    /// Which of the conditions must hold.
    pub(super) when: Option<u32>,
    /// The column at which it is written.
    pub(super) when_column: u16,
}

/// A `g` or `g2` line.
#[derive(Debug, Clone, Copy)]
pub(super) struct Link {
    pub(super) line: u32,
    pub(super) member: Name,
    pub(super) group: Name,
}

impl Rules {
    /// A problem at a line of this file.
    pub(super) fn problem(&self, line: u32, text: impl Into<String>) -> Problem {
        Problem { file: self.file.clone(), line: Some(line), column: None, text: text.into() }
    }

    /// Whether it is for every entrance.
    pub(super) fn is_wild(&self, rule: &Rule) -> bool {
        self.wildcard == Some(rule.object)
    }

    /// The condition of a rule.
    pub(super) fn condition(&self, rule: &Rule) -> Option<&Condition> {
        self.conditions.get(rule.when? as usize)
    }
}

/// Reads a rules file.
pub(super) fn parse(source: &SourceFile, callers: &Callers) -> Result<Rules, Vec<Problem>> {
    let whole = |text: &str| vec![Problem::of_file(source.name.clone(), text)];
    if source.bytes.len() > FILE_BYTES_MAX {
        return Err(whole("is larger than 256 MiB"));
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
        let text = text.into();
        return Err(vec![Problem { file: source.name.clone(), line, column: None, text }]);
    }
    let mut parser = Parser {
        rules: Rules { file: source.name.clone(), ..Rules::default() },
        callers,
        seen: HashMap::default(),
        conditions: HashMap::new(),
        problems: Vec::new(),
        more_problems: 0,
    };
    for (line, number) in text.split('\n').zip(1..) {
        parser.line(number, line.strip_suffix('\r').unwrap_or(line));
    }
    let Parser { rules, mut problems, more_problems, .. } = parser;
    if rules.rules.is_empty() && problems.is_empty() {
        return Err(whole("has no rule: every request would be denied"));
    }
    if more_problems > 0 {
        problems
            .push(Problem::of_file(source.name.clone(), format!("{more_problems} more problems")));
    }
    if problems.is_empty() { Ok(rules) } else { Err(problems) }
}

/// What makes two lines the same.
#[derive(PartialEq, Eq, Hash)]
enum Key {
    /// Subject, object, act, effect and condition.
    Rule(Name, Name, Act, bool, Option<u32>),
    /// Member and role.
    Role(Name, Name),
    /// Member and zone.
    Zone(Name, Name),
}

struct Parser<'a> {
    rules: Rules,
    callers: &'a Callers,
    /// The line on which each statement stood first.
    seen: HashMap<Key, u32, Hashing>,
    conditions: HashMap<&'a str, u32>,
    problems: Vec<Problem>,
    more_problems: usize,
}

impl<'a> Parser<'a> {
    fn refuse(&mut self, line: u32, column: Option<u32>, text: impl Into<String>) {
        if self.problems.len() == PROBLEMS_MAX {
            self.more_problems += 1;
            return;
        }
        let file = self.rules.file.clone();
        self.problems.push(Problem { file, line: Some(line), column, text: text.into() });
    }

    fn line(&mut self, number: u32, line: &'a str) {
        if is_comment(line) {
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
            let text = format!("`{}` is not allowed here: {}", c.escape_default(), instead_of(c));
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
        let is_rule = line.split(',').next().is_some_and(|kind| kind.trim_matches(' ') == "p");
        let most = if is_rule { 6 } else { usize::MAX };
        let parts = fields(line, most);
        if let Some((column, text)) = separator_slip(line, &parts) {
            return self.refuse(number, u32::try_from(column).ok(), text);
        }
        match parts.as_slice() {
            [Field { text: "p", .. }, subject, object, act, effect] => {
                self.rule(number, [*subject, *object, *act, *effect], None);
            }
            [Field { text: "p", .. }, subject, object, act, effect, when] => {
                self.rule(number, [*subject, *object, *act, *effect], Some(*when));
            }
            [Field { text: "p", .. }, ..] => {
                let text = "a `p` line has four fields and may have a fifth: caller or role, \
                            entrance, zone or `*`, `grant` or `read`, `allow` or `deny`, and `when`";
                self.refuse(number, None, text);
            }
            [Field { text: "g", .. }, member, group] => self.role(number, *member, *group),
            [Field { text: "g", .. }, ..] => {
                self.refuse(number, None, "a `g` line has two fields: caller or role, and role");
            }
            [Field { text: "g2", .. }, member, group] => self.zone(number, *member, *group),
            [Field { text: "g2", .. }, ..] => {
                let text = "a `g2` line has two fields: entrance, workspace or zone, and zone";
                self.refuse(number, None, text);
            }
            _ => {
                let first = parts.first().map_or(("", 1), |field| (field.text, field.column));
                let text = format!("`{}` is not a kind of line: use `p`, `g` or `g2`", first.0);
                self.refuse(number, Some(first.1), text);
            }
        }
    }

    /// Whether the statement is new; a second one is refused.
    fn is_new(&mut self, line: u32, key: Key) -> bool {
        match self.seen.insert(key, line) {
            None => true,
            Some(first) => {
                self.refuse(line, None, format!("the same as line {first}"));
                false
            }
        }
    }

    fn rule(&mut self, line: u32, fields: [Field<'a>; 4], when: Option<Field<'a>>) {
        let [subject, object, act, effect] = fields;
        let subject = self.subject(line, subject);
        let object = match object.text {
            WILDCARD => Some(*self.rules.wildcard.insert(self.rules.names.give(WILDCARD))),
            _ => self.object(line, object),
        };
        let known = Act::parse(act.text);
        if known.is_none() {
            let text = format!("`{}` is not an act: write `grant` or `read`", act.text);
            self.refuse(line, Some(act.column), text);
        }
        let allow = match effect.text {
            "allow" => true,
            "deny" => false,
            other => {
                let text = format!("`{other}` is not an effect: write `allow` or `deny`");
                return self.refuse(line, Some(effect.column), text);
            }
        };
        // Lines are short enough.
        let when_column = when.map_or(0, |field| u16::try_from(field.column).unwrap_or(0));
        let when = match when.map(|field| self.condition(line, field)) {
            None => None,
            Some(Some(number)) => Some(number),
            Some(None) => return,
        };
        let (Some(subject), Some(object), Some(act)) = (subject, object, known) else { return };
        if act == Act::Read && self.asks_for_a_grantee(when) {
            let text = "`grantee` needs the act `grant`: a request to read names no grantee";
            return self.refuse(line, Some(u32::from(when_column)), text);
        }
        if self.is_new(line, Key::Rule(subject, object, act, allow, when)) {
            self.rules.rules.push(Rule { line, subject, object, act, allow, when, when_column });
        }
    }

    fn asks_for_a_grantee(&self, when: Option<u32>) -> bool {
        let condition = when.and_then(|number| self.rules.conditions.get(number as usize));
        condition.is_some_and(Condition::asks_for_a_grantee)
    }

    fn condition(&mut self, line: u32, field: Field<'a>) -> Option<u32> {
        if let Some(number) = self.conditions.get(field.text) {
            return Some(*number);
        }
        match Condition::parse(field.text) {
            Ok(condition) => {
                let number = u32::try_from(self.rules.conditions.len()).ok()?;
                self.rules.conditions.push(condition);
                self.conditions.insert(field.text, number);
                Some(number)
            }
            Err(mistake) => {
                let offset = u32::try_from(mistake.offset).unwrap_or(0);
                self.refuse(line, Some(field.column + offset), mistake.text);
                None
            }
        }
    }

    fn role(&mut self, line: u32, member: Field<'_>, group: Field<'_>) {
        let member = self.subject(line, member);
        if !group.text.starts_with("role:") {
            let text = format!("`{}` is not a role: write `role:` and a name", group.text);
            return self.refuse(line, Some(group.column), text);
        }
        if let (Some(member), Some(group)) = (member, self.subject(line, group))
            && self.is_new(line, Key::Role(member, group))
        {
            self.rules.roles.push(Link { line, member, group });
        }
    }

    fn zone(&mut self, line: u32, member: Field<'_>, group: Field<'_>) {
        let member = self.object(line, member);
        if !group.text.starts_with("zone:") {
            let text = format!("`{}` is not a zone: write `zone:` and a name", group.text);
            return self.refuse(line, Some(group.column), text);
        }
        if let (Some(member), Some(group)) = (member, self.object(line, group))
            && self.is_new(line, Key::Zone(member, group))
        {
            self.rules.zones.push(Link { line, member, group });
        }
    }

    /// A name that was met before is valid: its prefix says what it is.
    fn known(&self, text: &str, prefixes: &[&str]) -> Option<Name> {
        let fits = prefixes.iter().any(|prefix| text.starts_with(prefix));
        self.rules.names.find(text).filter(|_| fits)
    }

    fn subject(&mut self, line: u32, field: Field<'_>) -> Option<Name> {
        let text = field.text;
        if let Some(name) = self.known(text, &["caller:", "role:"]) {
            return Some(name);
        }
        let problem = if let Some(id) = text.strip_prefix("caller:") {
            match CallerId::parse(id) {
                Err(error) => format!("`{text}`: a caller id {error}"),
                Ok(id) if !self.callers.contains(&id) => {
                    format!("caller `{id}` is not in the callers file")
                }
                Ok(_) => return Some(self.rules.names.give(text)),
            }
        } else if text.strip_prefix("role:").is_some_and(is_name) {
            return Some(self.rules.names.give(text));
        } else {
            format!(
                "`{text}` is not a caller or role: write `caller:` or `role:` and a name of a-z, 0-9, \
                 `.`, `_` and `-`"
            )
        };
        self.refuse(line, Some(field.column), problem);
        None
    }

    fn object(&mut self, line: u32, field: Field<'_>) -> Option<Name> {
        let text = field.text;
        if let Some(name) = self.known(text, &["entrance:", "zone:", "workspace:"]) {
            return Some(name);
        }
        let problem = if let Some(id) = text.strip_prefix("entrance:") {
            match EntranceId::parse(id) {
                Ok(parsed) if id.bytes().any(|b| b.is_ascii_uppercase()) => {
                    format!("write the entrance in lower case: `{parsed}`")
                }
                Ok(_) => return Some(self.rules.names.give(text)),
                Err(error) => format!("`{text}`: an entrance id {error}"),
            }
        } else if text.strip_prefix("zone:").is_some_and(is_name) {
            return Some(self.rules.names.give(text));
        } else if let Some(name) = text.strip_prefix("workspace:") {
            match WorkspaceName::parse(name) {
                Err(error) => format!("`{text}`: a workspace's name {error}"),
                Ok(name) if self.callers.known_workspaces().is_some_and(|k| !k.contains(&name)) => {
                    format!("there is no [[workspace]] `{name}` in the configuration")
                }
                Ok(_) => return Some(self.rules.names.give(text)),
            }
        } else {
            format!(
                "`{text}` is not an entrance, workspace or zone: write `entrance:` and a uuid, or \
                 `workspace:` or `zone:` and a name of a-z, 0-9, `.`, `_` and `-`"
            )
        };
        self.refuse(line, Some(field.column), problem);
        None
    }
}

/// Roles and zones are named like callers.
fn is_name(text: &str) -> bool {
    CallerId::parse(text).is_ok()
}
