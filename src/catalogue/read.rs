//! `entrances.csv`, read strictly: RFC 4180 with one record a line.
//!
//! The csv crate reads what it is given and refuses next to nothing: a quote that is never
//! closed takes the rest of the file into one field. So each line is read by itself, and
//! what was read is held against the line.

use std::collections::HashMap;
use std::io::Cursor;

use super::name::is_unfit;
use super::{COLUMNS, Catalogue, Entry};
use crate::domain::{AcsSystemId, EntranceId, Problem, WorkspaceName};

const FILE_BYTES_MAX: usize = 256 * 1024 * 1024;
/// More problems than this are not listed one by one.
const PROBLEMS_MAX: usize = 100;
/// So much of a wrong field is shown, in characters.
const SHOWN_CHARS_MAX: usize = 60;

impl Catalogue {
    /// Reads the text of `file`.
    ///
    /// # Errors
    /// Every problem with its line, at most 100, and how many more there are.
    pub fn parse(file: &str, bytes: &[u8]) -> Result<Self, Vec<Problem>> {
        let text = whole(file, bytes).map_err(|problem| vec![problem])?;
        let mut parser = Parser {
            file,
            columns: COLUMNS.len(),
            records: Records::new(text),
            entries: Vec::new(),
            seen: HashMap::new(),
            problems: Vec::new(),
            more_problems: 0,
        };
        parser.lines(text);
        let Parser { entries, mut problems, more_problems, .. } = parser;
        if more_problems > 0 {
            problems.push(Problem::of_file(file, format!("{more_problems} more problems")));
        }
        if problems.is_empty() { Ok(entries.into_iter().collect()) } else { Err(problems) }
    }
}

/// The file as text, when it is whole.
fn whole<'a>(file: &str, bytes: &'a [u8]) -> Result<&'a str, Problem> {
    if bytes.len() > FILE_BYTES_MAX {
        return Err(Problem::of_file(file, "is larger than 256 MiB"));
    }
    if bytes.starts_with(b"\xef\xbb\xbf") {
        let text = "starts with a byte order mark; save it as UTF-8 without one";
        return Err(Problem::of_file(file, text));
    }
    let text = Problem::or_text(file, bytes)?;
    if !text.is_empty() && !text.ends_with('\n') {
        let line = u32::try_from(text.lines().count()).ok();
        let text = "the last line has no end: the file may be cut off; add a newline, or run \
                    `grantgate entrances pull` again";
        return Err(Problem { line, ..Problem::of_file(file, text) });
    }
    Ok(text)
}

/// A field of a line, and where it begins: a column in characters, counted from 1.
struct Field {
    text: String,
    column: u32,
}

/// The csv crate's reader, put at the start of one line after the other.
struct Records<'a> {
    reader: csv::Reader<Cursor<&'a [u8]>>,
    record: csv::StringRecord,
}

impl<'a> Records<'a> {
    fn new(text: &'a str) -> Self {
        let mut builder = csv::ReaderBuilder::new();
        builder.has_headers(false).flexible(true);
        let reader = builder.from_reader(Cursor::new(text.as_bytes()));
        Self { reader, record: csv::StringRecord::new() }
    }

    /// The fields of `line`, which starts at the byte `offset`. `None` when quotes stand
    /// where none may.
    fn fields(&mut self, offset: usize, line: &str) -> Option<Vec<Field>> {
        let mut position = csv::Position::new();
        position.set_byte(offset as u64);
        // Costs nothing where the last line ended here.
        self.reader.seek(position).ok()?;
        self.reader.read_record(&mut self.record).ok()?;
        let mut rest = line;
        let mut fields = Vec::new();
        for text in &self.record {
            if !fields.is_empty() {
                rest = rest.strip_prefix(',')?;
            }
            let before = line.get(..line.len() - rest.len()).unwrap_or_default();
            let column = u32::try_from(before.chars().count() + 1).unwrap_or(u32::MAX);
            rest = after_field(rest, text)?;
            fields.push(Field { text: text.to_owned(), column });
        }
        rest.is_empty().then_some(fields)
    }
}

/// What follows `text` in `line` when it stands there as one field in quotes, or without
/// them if it needs none.
fn after_field<'a>(line: &'a str, text: &str) -> Option<&'a str> {
    if line.starts_with('"') {
        return line.strip_prefix(format!("\"{}\"", text.replace('"', "\"\"")).as_str());
    }
    line.strip_prefix(text).filter(|_| !text.contains('"'))
}

struct Parser<'a> {
    file: &'a str,
    /// How many each line has.
    columns: usize,
    records: Records<'a>,
    entries: Vec<Entry>,
    /// The line on which each entrance stood first.
    seen: HashMap<EntranceId, u32>,
    problems: Vec<Problem>,
    more_problems: usize,
}

impl Parser<'_> {
    fn refuse(&mut self, line: u32, column: Option<u32>, text: impl Into<String>) {
        if self.problems.len() == PROBLEMS_MAX {
            self.more_problems += 1;
            return;
        }
        let problem = Problem { line: Some(line), column, ..Problem::of_file(self.file, text) };
        self.problems.push(problem);
    }

    fn lines(&mut self, text: &str) {
        let mut offset = 0;
        for (line, number) in text.split('\n').zip(1_u32..) {
            let start = offset;
            offset += line.len() + 1;
            let line = line.strip_suffix('\r').unwrap_or(line);
            if number == 1 {
                self.header(line);
            } else if !line.is_empty()
                && let Some(fields) = self.fields(start, number, line)
            {
                self.entry(number, &fields);
            }
        }
    }

    fn header(&mut self, line: &str) {
        let fields = || line.split(',').map(|name| name.trim_matches('"'));
        let columns = [COLUMNS.len() - 1, COLUMNS.len()];
        match columns.iter().find(|count| fields().eq(COLUMNS.into_iter().take(**count))) {
            Some(count) => self.columns = *count,
            None => {
                let names = |count| COLUMNS.into_iter().take(count).collect::<Vec<_>>().join(",");
                let [short, long] = columns.map(names);
                self.refuse(1, None, format!("the first line must be `{short}` or `{long}`"));
            }
        }
    }

    fn fields(&mut self, offset: usize, number: u32, line: &str) -> Option<Vec<Field>> {
        if let Some((index, c)) = line.char_indices().find(|(_, c)| is_unfit(*c)) {
            let before = line.get(..index).map_or(0, |l| l.chars().count());
            let column = u32::try_from(before + 1).ok();
            let code = u32::from(c);
            self.refuse(
                number,
                column,
                format!("the character U+{code:04X} is not fit to print; take it out"),
            );
            return None;
        }
        let fields = self.records.fields(offset, line);
        if fields.is_none() {
            let text = "a quote stands where none may: put the whole field in quotes, straight \
                        after the comma, and write a quote within it twice";
            self.refuse(number, None, text);
        }
        fields
    }

    fn entry(&mut self, line: u32, fields: &[Field]) {
        let [id, name, system, rest @ ..] = fields else { return self.miscounted(line, fields) };
        if fields.len() != self.columns {
            return self.miscounted(line, fields);
        }
        let workspace = match rest.first().map(|field| (field, field.text.trim_matches(' '))) {
            None | Some((_, "")) => None,
            Some((field, text)) => match WorkspaceName::parse(text) {
                Ok(name) => Some(name),
                Err(error) => {
                    let text = format!("`{}`: a workspace's name {error}", shown(text));
                    return self.refuse(line, Some(field.column), text);
                }
            },
        };
        let id_value = self.id(line, id, EntranceId::parse, "an entrance id");
        let system_value = self.id(line, system, AcsSystemId::parse, "a system's id");
        if let Some(value) = id_value
            && let Some(first) = self.seen.get(&value)
        {
            let text = format!("`{value}` is already in line {first}; keep one of them");
            self.refuse(line, Some(id.column), text);
            return;
        }
        let (Some(id_value), Some(system_value)) = (id_value, system_value) else {
            // Its name is looked at all the same.
            if let Err(error) = super::name::check(name.text.trim()) {
                self.refuse(line, Some(name.column), error.to_string());
            }
            return;
        };
        self.seen.insert(id_value, line);
        match Entry::new(id_value, &name.text, system_value) {
            Ok(entry) => self.entries.push(entry.within(workspace)),
            Err(error) => self.refuse(line, Some(name.column), error.to_string()),
        }
    }

    fn miscounted(&mut self, line: u32, fields: &[Field]) {
        let columns = COLUMNS.into_iter().take(self.columns).collect::<Vec<_>>().join(",");
        let text = format!(
            "has {} field(s) instead of {}: `{columns}`; put a name with commas in quotes",
            fields.len(),
            self.columns
        );
        self.refuse(line, None, text);
    }

    /// An id in its one printed form.
    fn id<T: std::fmt::Display>(
        &mut self,
        line: u32,
        field: &Field,
        parse: fn(&str) -> Result<T, crate::domain::IdError>,
        what: &str,
    ) -> Option<T> {
        let text = field.text.trim_matches(' ');
        let problem = match parse(text) {
            Ok(id) if id.to_string() == text => return Some(id),
            Ok(id) => format!("write {what} in lower case: `{id}`"),
            Err(error) => {
                format!("`{}`: {what} {error}", shown(text))
            }
        };
        self.refuse(line, Some(field.column), problem);
        None
    }
}

/// So much of a wrong field as is shown.
fn shown(text: &str) -> String {
    text.chars().take(SHOWN_CHARS_MAX).collect()
}
