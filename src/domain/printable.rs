//! Texts of others, made fit to be shown.

/// A text on one line that does nothing to a terminal: control characters, and those that
/// turn the direction of writing, are shown as escapes.
#[must_use]
pub fn printable(text: &str) -> String {
    let one = |c: char| match c {
        c if is_unfit(c) => c.escape_unicode().to_string(),
        c => c.to_string(),
    };
    text.chars().map(one).collect()
}

/// Whether a character moves a cursor, or turns the direction of writing.
#[must_use]
pub fn is_unfit(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// A cell of a CSV file. What a spreadsheet would take for a formula begins with an
/// apostrophe.
#[must_use]
pub fn csv_cell(text: &str) -> String {
    let text = printable(text);
    let formula = text.starts_with(['=', '+', '-', '@']);
    if formula { format!("'{text}") } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_is_printed_moves_a_cursor_or_is_a_formula() {
        assert_eq!(printable("a\u{1b}[2J\n\u{202e}é"), "a\\u{1b}[2J\\u{a}\\u{202e}é");
        for (text, cell) in [
            ("desk", "desk"),
            ("=1+1", "'=1+1"),
            ("@x", "'@x"),
            ("\t=x", "\\u{9}=x"),
            ("+\u{7}", "'+\\u{7}"),
            ("", ""),
        ] {
            assert_eq!(csv_cell(text), cell);
        }
    }
}
