//! What a name may be, and how one that is not is made fit.

/// The longest name, in characters.
const CHARS_MAX: usize = 200;

/// Stands in for a name of which nothing is left.
const NO_NAME: &str = "(no name)";

/// Why a text is no name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Nothing but spaces.
    #[error("the name is empty: write what people call this entrance")]
    Empty,
    /// Too long.
    #[error("the name has {0} characters: at most {CHARS_MAX} are allowed")]
    TooLong(usize),
    /// A character that changes what a reader sees elsewhere.
    #[error(
        "the name has the character U+{:04X}, which is not fit to print: take it out",
        u32::from(*.0)
    )]
    Unfit(char),
}

/// Whether a character would do something to a terminal or a log line instead of being
/// seen: control characters, line and paragraph separators, and the embeddings, overrides
/// and isolates with which a text can be made to read otherwise than it is (Unicode
/// Standard Annex 9, sections 2.1 to 2.4). Scripts that are written from right to left
/// need none of these.
pub(super) fn is_unfit(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// The name itself, when it may be one.
pub(super) fn check(name: &str) -> Result<&str, NameError> {
    if name.is_empty() {
        return Err(NameError::Empty);
    }
    if let Some(c) = name.chars().find(|c| is_unfit(*c)) {
        return Err(NameError::Unfit(c));
    }
    match name.chars().count() {
        count if count > CHARS_MAX => Err(NameError::TooLong(count)),
        _ => Ok(name),
    }
}

/// The nearest name to a text: spaces for characters that are unfit, cut where it is too
/// long.
pub(super) fn tidy(text: &str) -> String {
    let spaced: String = text.chars().map(|c| if is_unfit(c) { ' ' } else { c }).collect();
    let name = spaced.trim();
    match name.char_indices().nth(CHARS_MAX - 1) {
        None if name.is_empty() => NO_NAME.to_owned(),
        // One more character than fits.
        Some((end, _)) if name.chars().nth(CHARS_MAX).is_some() => {
            format!("{}…", name.get(..end).unwrap_or_default().trim_end())
        }
        _ => name.to_owned(),
    }
}
