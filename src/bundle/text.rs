//! The text that is signed: lines that a person can read.

use std::fmt;

use jiff::Timestamp;

use super::{Digest, FILE_BYTES_MAX};
use crate::domain::closed_set;

const FIRST: &str = "grantgate bundle 1";

/// Characters of the reason.
const WHY_MAX: usize = 500;

/// Numbers are exact in JSON.
const NUMBER_MAX: u64 = (1 << 53) - 1;

closed_set! {
    /// A file of a bundle.
    #[derive(PartialOrd, Ord)]
    pub enum FileName {
        /// The casbin model.
        Model = "model.conf",
        /// The rules.
        Rules = "policy.csv",
        /// Who may call.
        Callers = "callers.toml",
        /// What people call entrances.
        Entrances = "entrances.csv",
        /// Rules that are judged beside those in force.
        Candidate = "candidate.csv",
    }
}

impl FileName {
    /// Whether every bundle has it.
    #[must_use]
    pub const fn is_required(self) -> bool {
        matches!(self, Self::Model | Self::Rules | Self::Callers)
    }

    /// The file of this name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|file| file.as_str() == name)
    }
}

/// A version of the program.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Needs([u32; 3]);

impl Needs {
    /// The version that learned to read bundles. What a later one learns to read in them, it names
    /// here for those that have it.
    pub const FIRST: Self = Self([0, 1, 0]);

    /// Reads `MAJOR.MINOR.PATCH`, and what comes behind a hyphen or `+` counts for nothing.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let plain = text.split(['-', '+']).next()?;
        let mut parts = plain.split('.').map(|part| match part {
            "0" => Some(0),
            _ if part.starts_with('0') || part.starts_with('+') => None,
            _ => part.parse().ok(),
        });
        let version = Self([parts.next()??, parts.next()??, parts.next()??]);
        parts.next().is_none().then_some(version)
    }

    /// This program's.
    #[must_use]
    pub fn own() -> Self {
        Self::parse(crate::domain::VERSION).unwrap_or(Self::FIRST)
    }
}

impl fmt::Display for Needs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [major, minor, patch] = self.0;
        write!(f, "{major}.{minor}.{patch}")
    }
}

/// A file, as the text names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// Which.
    pub name: FileName,
    /// Its length.
    pub bytes: usize,
    /// Its digest.
    pub digest: Digest,
}

impl Entry {
    /// Of a file that holds this.
    #[must_use]
    pub fn of(name: FileName, content: &[u8]) -> Self {
        Self { name, bytes: content.len(), digest: Digest::of(content) }
    }
}

/// What a bundle says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bundle {
    /// Whose policy it is, such as `example.org/doors`: the same keys may sign for several.
    pub name: String,
    /// Its place among those of this name.
    pub number: u64,
    /// The text of the one that it was made from; none of the first.
    pub parent: Option<Digest>,
    /// The oldest version that can load it.
    pub needs: Needs,
    /// When it was made, by the clock of who made it.
    pub made: Timestamp,
    /// The name of the key of who made it.
    pub by: String,
    /// Why.
    pub why: String,
    /// Its files.
    pub files: Vec<Entry>,
}

/// What is wrong with a text that is signed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// It is of another kind, or of a newer version of this one.
    #[error("its first line is not `{0}`")]
    Kind(&'static str),
    /// A line is not what it should be.
    #[error("its line {0} is not `{1}`")]
    Line(usize, &'static str),
    /// A line of a file names none, or one for the second time, or one that is too large.
    #[error("its line {0} is not `file NAME BYTES sha256:…`, each name once and in order")]
    File(usize),
    /// It says in another way what has one.
    #[error("its numbers or its time are not written as they always are")]
    Form,
    /// A file that every bundle has is missing.
    #[error("it has no `{0}`")]
    Missing(&'static str),
}

impl Bundle {
    /// The file of this name.
    #[must_use]
    pub fn entry(&self, name: FileName) -> Option<&Entry> {
        self.files.iter().find(|entry| entry.name == name)
    }

    /// Reads a text. There is one text for each bundle: every other way to write it is refused.
    ///
    /// # Errors
    /// [`Malformed`]
    pub fn parse(text: &str) -> Result<Self, Malformed> {
        let mut lines = Lines::of(text, FIRST)?;
        let name = lines.next("NAME", |line| is_name(line).then(|| line.to_owned()))?;
        let number = lines.next("number N", |line| number(line.strip_prefix("number ")?))?;
        let parent =
            lines.next("parent sha256:…", |line| match line.strip_prefix("parent ")? {
                "none" => Some(None),
                digest => Digest::parse(digest).map(Some),
            })?;
        let needs =
            lines.next("needs VERSION", |line| Needs::parse(line.strip_prefix("needs ")?))?;
        let (made, by) = lines.made()?;
        let why = lines.why()?;
        let mut files: Vec<Entry> = Vec::new();
        while !lines.is_over() {
            let entry = lines.next("", entry);
            let rises = |new: &Entry| files.last().is_none_or(|last| last.name < new.name);
            files.push(entry.ok().filter(rises).ok_or(Malformed::File(lines.at))?);
        }
        let bundle = Self { name, number, parent, needs, made, by, why, files };
        bundle.check_fields()?;
        // What two texts could say, two people could read as two things.
        match bundle.to_string() == text {
            true => Ok(bundle),
            false => Err(Malformed::Form),
        }
    }

    fn check_fields(&self) -> Result<(), Malformed> {
        let missing = FileName::ALL.iter().find(|f| f.is_required() && self.entry(**f).is_none());
        if let Some(missing) = missing {
            return Err(Malformed::Missing(missing.as_str()));
        }
        if !is_name(&self.by) {
            return Err(Malformed::Line(6, "made TIME by NAME"));
        }
        if (self.number == 1) != self.parent.is_none() {
            return Err(Malformed::Line(4, "parent sha256:…"));
        }
        if !is_why(&self.why) {
            return Err(Malformed::Line(7, "why TEXT"));
        }
        Ok(())
    }
}

/// A reason that people can read in one line of at most 500 characters.
#[must_use]
pub fn is_why(text: &str) -> bool {
    (1..=WHY_MAX).contains(&text.chars().count())
        && text.trim() == text
        // They would let a wrapped line look like one of another kind.
        && !text.contains("  ")
        && !text.chars().any(|c| c.is_control() || is_confusing(c) || (c.is_whitespace() && c != ' '))
}

/// Characters that change what others look like, or cannot be seen.
#[must_use]
pub const fn is_confusing(c: char) -> bool {
    matches!(
        c,
        '\u{ad}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{180e}' | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{feff}' | '\u{ffa0}'
            | '\u{2800}'
            | '\u{fe00}'..='\u{fe0f}'
            | '\u{e0100}'..='\u{e01ef}'
            | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}'
    )
}

/// Whether a bundle, or who makes one, may be called this.
#[must_use]
pub fn is_name(name: &str) -> bool {
    let allowed = |c: char| c.is_ascii_graphic() && c != '+';
    (1..=200).contains(&name.len()) && name.chars().all(allowed)
}

/// Whole seconds of the years 1970 to 9999: what every file and every reader of these has.
pub(super) fn is_plain(time: Timestamp) -> bool {
    time.subsec_nanosecond() == 0 && (0..253_402_300_800).contains(&time.as_second())
}

/// The lines of a text that is signed, one after the other.
pub(super) struct Lines<'t> {
    rest: &'t str,
    /// The number of the line that was read last.
    at: usize,
}

impl<'t> Lines<'t> {
    /// Those behind the first, which says what kind of text it is.
    pub(super) fn of(text: &'t str, first: &'static str) -> Result<Self, Malformed> {
        let rest = text.strip_prefix(first).and_then(|rest| rest.strip_prefix('\n'));
        Ok(Self { rest: rest.ok_or(Malformed::Kind(first))?, at: 1 })
    }

    pub(super) const fn is_over(&self) -> bool {
        self.rest.is_empty()
    }

    /// The next line, which is to be of this form.
    pub(super) fn next<T>(
        &mut self,
        form: &'static str,
        read: impl FnOnce(&str) -> Option<T>,
    ) -> Result<T, Malformed> {
        self.at += 1;
        let (line, rest) = self.rest.split_once('\n').ok_or(Malformed::Line(self.at, form))?;
        self.rest = rest;
        read(line).ok_or(Malformed::Line(self.at, form))
    }

    pub(super) fn made(&mut self) -> Result<(Timestamp, String), Malformed> {
        self.next("made TIME by NAME", |line| {
            let (time, by) = line.strip_prefix("made ")?.split_once(" by ")?;
            Some((time.parse::<Timestamp>().ok()?, by.to_owned()))
        })
    }

    pub(super) fn why(&mut self) -> Result<String, Malformed> {
        self.next("why TEXT", |line| Some(line.strip_prefix("why ")?.to_owned()))
    }
}

/// From 1 on, without zeros in front.
pub(super) fn number(text: &str) -> Option<u64> {
    let plain = text.bytes().all(|b| b.is_ascii_digit()) && !text.starts_with('0');
    let number = text.parse().ok()?;
    (plain && number <= NUMBER_MAX).then_some(number)
}

fn entry(line: &str) -> Option<Entry> {
    let mut parts = line.strip_prefix("file ")?.split(' ');
    let name = FileName::parse(parts.next()?)?;
    let bytes = match parts.next()? {
        "0" => 0,
        text => usize::try_from(number(text)?).ok().filter(|bytes| *bytes <= FILE_BYTES_MAX)?,
    };
    let digest = Digest::parse(parts.next()?)?;
    parts.next().is_none().then_some(Entry { name, bytes, digest })
}

impl fmt::Display for Bundle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, number, parent, needs, made, by, why, files } = self;
        let parent = parent.map_or_else(|| "none".to_owned(), |digest| digest.to_string());
        writeln!(f, "{FIRST}\n{name}\nnumber {number}\nparent {parent}\nneeds {needs}")?;
        writeln!(f, "made {made} by {by}\nwhy {why}")?;
        for Entry { name, bytes, digest } in files {
            writeln!(f, "file {} {bytes} {digest}", name.as_str())?;
        }
        Ok(())
    }
}
