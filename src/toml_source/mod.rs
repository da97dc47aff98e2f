//! TOML read strictly: every value with its place, every problem at once.
//!
//! A reader takes values out of sections by name; what it does not take is an
//! unknown key and is reported. Nothing stops at the first mistake except text that
//! is no TOML at all.

mod place;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ops::Range;

use toml_edit::{Document, Item, TableLike, Value};

use crate::domain::Problem;
pub use place::Place;

/// One TOML text and what was found wrong with it.
pub struct TomlSource {
    file: String,
    document: Document<String>,
    overrides: BTreeMap<String, (String, Value)>,
    problems: RefCell<Vec<Problem>>,
}

impl TomlSource {
    /// Parses `text`.
    ///
    /// # Errors
    /// The first place that is not TOML.
    pub fn parse(file: impl Into<String>, text: String) -> Result<Self, Problem> {
        let file = file.into();
        let document = Document::parse(text.clone()).map_err(|error| {
            let offset = error.span().map_or(0, |span| span.start);
            let message = error.message().trim_end_matches('.').replace('\n', ", ");
            Problem::at_offset(file.clone(), &text, offset, format!("not valid TOML: {message}"))
        })?;
        Ok(Self { file, document, overrides: BTreeMap::new(), problems: RefCell::default() })
    }

    /// Lets an environment variable take the place of the value at `path`
    /// (`section.key`).
    pub fn override_value(&mut self, path: String, variable: String, text: String) {
        self.overrides.insert(path, (variable, Value::from(text)));
    }

    /// The whole document as a section.
    #[must_use]
    pub fn root(&self) -> Section<'_> {
        Section {
            source: self,
            path: String::new(),
            table: Some(self.document.as_table()),
            span: None,
            taken: RefCell::default(),
            repeated: false,
        }
    }

    /// Adds a problem that has no place within the text.
    pub fn report(&self, problem: Problem) {
        self.problems.borrow_mut().push(problem);
    }

    /// What was found wrong, in the order of the text.
    #[must_use]
    pub fn into_problems(self) -> Vec<Problem> {
        let mut problems = self.problems.into_inner();
        problems.sort_by_key(|p| (p.line, p.column));
        problems
    }

    fn problem(&self, span: Option<Range<usize>>, text: String) -> Problem {
        match span {
            Some(span) => {
                Problem::at_offset(self.file.clone(), self.document.raw(), span.start, text)
            }
            None => Problem::of_file(self.file.clone(), text),
        }
    }

    fn refuse(&self, span: Option<Range<usize>>, text: String) {
        self.report(self.problem(span, text));
    }
}

/// A table of the document, or the empty one where a section was left out.
pub struct Section<'a> {
    source: &'a TomlSource,
    path: String,
    table: Option<&'a dyn TableLike>,
    span: Option<Range<usize>>,
    taken: RefCell<Vec<String>>,
    repeated: bool,
}

impl<'a> Section<'a> {
    /// The same as one of several tables of its name.
    #[must_use]
    pub fn repeated(self) -> Self {
        Self { repeated: true, ..self }
    }

    /// Whether there may be several tables of its name: the environment, which could not say
    /// which is meant, does not set their values.
    #[must_use]
    pub fn is_repeated(&self) -> bool {
        self.repeated
    }

    /// What the environment says in place of the value at `path`.
    fn overridden(&self, path: &str) -> Option<&'a (String, Value)> {
        self.source.overrides.get(path).filter(|_| !self.repeated)
    }

    /// The full name of `key`: `section.key`.
    #[must_use]
    pub fn path_of(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }

    fn take(&self, key: &str) -> Option<&'a Item> {
        let mut taken = self.taken.borrow_mut();
        if !taken.iter().any(|known| known == key) {
            taken.push(key.to_owned());
        }
        self.table.and_then(|table| table.get(key))
    }

    /// The value of `key`: the environment's, else the file's.
    #[must_use]
    pub fn value(&self, key: &str) -> Option<Place<'a>> {
        let item = self.take(key);
        let path = self.path_of(key);
        if let Some((variable, value)) = self.overridden(&path) {
            return Some(Place::from_environment(self.source, path, variable, value));
        }
        let item = item?;
        match item.as_value() {
            Some(value) => Some(Place::new(self.source, path, value, item.span())),
            None => {
                self.source.refuse(item.span(), format!("`{path}` must be a value, not a table"));
                None
            }
        }
    }

    /// Whether the text has `key`.
    #[must_use]
    pub fn has(&self, key: &str) -> bool {
        self.table.is_some_and(|table| table.contains_key(key))
    }

    /// Every value, where the keys are not known from the start. A key that has no value is
    /// reported.
    #[must_use]
    pub fn entries(&self) -> Vec<(String, Place<'a>)> {
        let Some(table) = self.table else { return Vec::new() };
        let keys = table.iter().map(|(key, _)| key.to_owned());
        keys.filter_map(|key| Some((key.clone(), self.value(&key)?))).collect()
    }

    /// The value of `key`, reported when missing.
    #[must_use]
    pub fn required(&self, key: &str) -> Option<Place<'a>> {
        let missing = !self.table.is_some_and(|t| t.contains_key(key))
            && self.overridden(&self.path_of(key)).is_none();
        if missing {
            let path = self.path_of(key);
            self.source.refuse(self.span.clone(), format!("`{path}` is missing"));
        }
        self.value(key)
    }

    /// The table `key`, or an empty section when it is left out.
    #[must_use]
    pub fn section(&self, key: &str) -> Section<'a> {
        let path = self.path_of(key);
        let item = self.take(key);
        let table = item.and_then(Item::as_table_like);
        if let (Some(item), None) = (item, table) {
            self.source.refuse(item.span(), format!("`{path}` must be a table: [{path}]"));
        }
        let span = item.and_then(Item::span);
        let (taken, repeated) = (RefCell::default(), self.repeated);
        Section { source: self.source, path, table, span, taken, repeated }
    }

    /// The table `key`; none where it is left out, or is reported as no table.
    #[must_use]
    pub fn optional_section(&self, key: &str) -> Option<Section<'a>> {
        self.take(key)?;
        Some(self.section(key)).filter(|section| section.table.is_some())
    }

    /// The tables of the array `key`: `[[key]]` or `key = [{ … }]`.
    #[must_use]
    pub fn sections(&self, key: &str) -> Vec<Section<'a>> {
        let path = self.path_of(key);
        let Some(item) = self.take(key) else { return Vec::new() };
        let section = |table: &'a dyn TableLike, span| Section {
            source: self.source,
            path: path.clone(),
            table: Some(table),
            span,
            taken: RefCell::default(),
            repeated: true,
        };
        if let Some(tables) = item.as_array_of_tables() {
            return tables.iter().map(|t| section(t, t.span())).collect();
        }
        let Some(array) = item.as_array() else {
            self.source.refuse(item.span(), format!("`{path}` must be a list of tables"));
            return Vec::new();
        };
        let tables = array.iter().filter_map(|value| {
            let table = value.as_inline_table();
            if table.is_none() {
                self.source
                    .refuse(value.span(), format!("each of `{path}` must be a table: {{ … }}"));
            }
            table.map(|t| section(t, t.span()))
        });
        tables.collect()
    }

    /// Reports a problem of this section.
    pub fn refuse(&self, text: impl Into<String>) {
        self.source.refuse(self.span.clone(), text.into());
    }

    /// Reports every key that nothing took.
    pub fn finish(self) {
        let taken = self.taken.borrow();
        let Some(table) = self.table else { return };
        for (key, item) in table.iter().filter(|(key, _)| !taken.iter().any(|t| t == key)) {
            let span = table.key(key).and_then(toml_edit::Key::span).or_else(|| item.span());
            let path = self.path_of(key);
            let known = taken.join("`, `");
            self.source.refuse(span, format!("unknown key `{path}`; known here: `{known}`"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_mistake_is_reported_with_its_place() {
        let text = "[a]\nnumber = \"x\"\nextra = 1\n\n[b]\nname = 3\n";
        let source = TomlSource::parse("f.toml", text.into()).unwrap();
        let root = source.root();
        let a = root.section("a");
        assert!(a.value("number").and_then(|p| p.integer(1..=5)).is_none());
        assert!(a.required("gone").is_none());
        a.finish();
        let b = root.section("b");
        assert!(b.value("name").and_then(|p| p.string()).is_none());
        b.finish();
        root.finish();
        let printed: Vec<String> = source.into_problems().iter().map(Problem::to_string).collect();
        assert_eq!(
            printed,
            [
                "f.toml:1:1: `a.gone` is missing",
                "f.toml:2:10: `a.number` must be a whole number from 1 to 5",
                "f.toml:3:1: unknown key `a.extra`; known here: `number`, `gone`",
                "f.toml:6:8: `b.name` must be a string",
            ]
        );
    }

    #[test]
    fn the_environment_goes_before_the_file() {
        let mut source = TomlSource::parse("f.toml", "[a]\nn = 1\n".into()).unwrap();
        source.override_value("a.n".into(), "X__A__N".into(), "7".into());
        source.override_value("a.m".into(), "X__A__M".into(), "seven".into());
        let root = source.root();
        let a = root.section("a");
        assert_eq!(a.value("n").and_then(|p| p.integer(0..=9)), Some(7));
        assert_eq!(a.required("m").and_then(|p| p.integer(0..=9)), None);
        let printed: Vec<String> = source.into_problems().iter().map(Problem::to_string).collect();
        assert_eq!(
            printed,
            ["environment variable X__A__M: `a.m` must be a whole number from 0 to 9"]
        );
    }

    #[test]
    fn text_that_is_not_toml_is_refused_with_its_place() {
        let problem = TomlSource::parse("f.toml", "a = 1\nb = = 2\n".into()).err().unwrap();
        assert_eq!((problem.line, problem.column), (Some(2), Some(5)), "{problem}");
    }
}
