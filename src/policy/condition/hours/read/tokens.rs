//! The words, numbers and signs of an expression, each with its place.

/// What a token is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Letters.
    Word,
    /// Digits.
    Number,
    /// Digits with colons between them: a time, or what looks like one.
    Time,
    /// One blank or several.
    Blank,
    /// Any other character.
    Sign,
    /// What follows the last character.
    End,
}

/// A piece of the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Token<'a> {
    pub(super) kind: Kind,
    pub(super) text: &'a str,
    /// The byte at which it begins.
    pub(super) at: usize,
}

impl Token<'_> {
    pub(super) fn is_sign(&self, sign: &str) -> bool {
        self.kind == Kind::Sign && self.text == sign
    }

    pub(super) fn is_word(&self, word: &str) -> bool {
        self.kind == Kind::Word && self.text == word
    }
}

/// Cuts a text into its tokens; together they are the text.
pub(super) fn tokens(text: &str) -> Vec<Token<'_>> {
    let mut found = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let run = |is: fn(char) -> bool| rest.find(|c| !is(c)).unwrap_or(rest.len());
        let (kind, length) = match first {
            'a'..='z' | 'A'..='Z' => (Kind::Word, run(|c| c.is_ascii_alphabetic())),
            '0'..='9' => number(rest),
            ' ' => (Kind::Blank, run(|c| c == ' ')),
            _ => (Kind::Sign, first.len_utf8()),
        };
        let (text_of, after) = rest.split_at(length);
        found.push(Token { kind, text: text_of, at: text.len() - rest.len() });
        rest = after;
    }
    found
}

/// A number, or a time where digits follow a colon.
fn number(text: &str) -> (Kind, usize) {
    let digits = |text: &str| text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let mut end = digits(text);
    let mut kind = Kind::Number;
    while let Some(more) = text.get(end..).and_then(|rest| rest.strip_prefix(':')) {
        match digits(more) {
            0 => break,
            length => (kind, end) = (Kind::Time, end + 1 + length),
        }
    }
    (kind, end)
}
