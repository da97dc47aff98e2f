//! A line of a rules file: its fields, and what people write in place of them.

/// A field of a line, and where it begins: a column, counted from 1.
#[derive(Clone, Copy)]
pub(super) struct Field<'a> {
    pub(super) text: &'a str,
    pub(super) column: u32,
}

/// Fields are ASCII: a byte is a column.
pub(super) fn fields(line: &str, most: usize) -> Vec<Field<'_>> {
    let mut start = 0;
    let field = |part: &'_ str| {
        let inner = part.trim_start_matches(' ');
        let column = start + part.len() - inner.len() + 1;
        start += part.len() + 1;
        (inner.len(), column)
    };
    let found: Vec<(usize, usize)> = line.splitn(most, ',').map(field).collect();
    let cut = |(length, column): (usize, usize)| {
        let text = line.get(column - 1..column - 1 + length).unwrap_or_default();
        Field { text: text.trim_end_matches(' '), column: u32::try_from(column).unwrap_or(0) }
    };
    found.into_iter().map(cut).collect()
}

/// Whether a line says nothing: it is empty, or a comment, which may be indented.
pub(super) fn is_comment(line: &str) -> bool {
    let text = line.trim_ascii();
    text.is_empty() || text.starts_with('#')
}

/// What to write in place of a character that no line may have.
pub(super) fn instead_of(c: char) -> &'static str {
    match c {
        '\t' => "a tab; write a blank",
        '\r' => "a carriage return within a line; save the file with line ends LF or CR LF",
        '\u{a0}' | '\u{2000}'..='\u{200a}' | '\u{202f}' | '\u{3000}' => {
            "a blank of print; write a plain one"
        }
        '\u{2010}'..='\u{2015}' | '\u{2212}' => "a hyphen or dash of print; write `-`",
        '\u{2018}'..='\u{201f}' => "quotes are not allowed: fields are plain",
        '\u{200b}'..='\u{200f}' | '\u{2060}' | '\u{feff}' => "it cannot be seen; take it out",
        _ => "printable ASCII only",
    }
}

/// Fields that are separated by something else, or one comma too many: where, and what to do.
pub(super) fn separator_slip(line: &str, parts: &[Field<'_>]) -> Option<(usize, &'static str)> {
    // Semicolons are a part of hours only, in the last field of a rule.
    let names = parts.get(..5.min(parts.len())).unwrap_or_default();
    let hours = parts.get(5).map_or(line.len(), |field| field.column as usize - 1);
    let semicolon = line.get(..hours)?.find(';');
    if let Some(at) = semicolon.filter(|_| names.iter().any(|field| field.text.contains(';'))) {
        let text = "`;` separates nothing here: write `,` between fields, and each statement on a \
                    line of its own";
        return Some((at + 1, text));
    }
    let last = parts.last().filter(|last| last.text.is_empty() && parts.len() > 1)?;
    let comma = line.get(..last.column as usize - 1)?.rfind(',')?;
    Some((comma + 1, "a comma at the end of the line: leave it out"))
}
