//! From what a person types to one entrance.
//!
//! An id is always itself. A name must lead to one entrance only: doors are not guessed.

use std::fmt::Write as _;

use super::{Catalogue, Entry};
use crate::domain::EntranceId;

/// Of an ambiguous name so many entrances are listed.
const CANDIDATES_MAX: usize = 5;

/// Below this likeness (0 to 1) a name is no help as a suggestion.
const LIKENESS_MIN: f64 = 0.7;

/// Why a text leads to no entrance.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FindError {
    /// It names several.
    #[error("`{text}` names {count} entrances: {}; give more of the name, or the id", list(.candidates, *.count))]
    Ambiguous {
        /// What was looked for.
        text: String,
        /// The first of them, at most five.
        candidates: Vec<Entry>,
        /// How many there are.
        count: usize,
    },
    /// It names none.
    #[error("no entrance is called `{text}`{}", suggestion(.nearest.as_ref()))]
    Unknown {
        /// What was looked for.
        text: String,
        /// The name that is most like it, if one is.
        nearest: Option<Entry>,
    },
    /// There are no names.
    #[error(
        "no entrance is called `{0}`: the catalogue is empty; `grantgate entrances pull` fills it"
    )]
    NoNames(String),
    /// There is nothing to look for.
    #[error("give an entrance's id, its name or a part of its name")]
    Nothing,
}

fn list(candidates: &[Entry], count: usize) -> String {
    let mut text = String::new();
    for entry in candidates {
        let comma = if text.is_empty() { "" } else { ", " };
        let _ = write!(text, "{comma}`{}` ({})", entry.name, entry.id);
    }
    let more = count.saturating_sub(candidates.len());
    if more > 0 {
        let _ = write!(text, " and {more} more");
    }
    text
}

fn suggestion(nearest: Option<&Entry>) -> String {
    nearest.map_or_else(
        || "; `grantgate entrances list` shows all names".to_owned(),
        |entry| format!("; did you mean `{}` ({})?", entry.name, entry.id),
    )
}

impl Catalogue {
    /// Finds the entrance that `text` means: a uuid (known or not), else a whole name, else
    /// a whole name in other case, else a part of a name in any case. The first of these
    /// that fits an entrance at all must fit exactly one.
    ///
    /// # Errors
    /// [`FindError`].
    pub fn find(&self, text: &str) -> Result<EntranceId, FindError> {
        let text = text.trim();
        if text.is_empty() {
            return Err(FindError::Nothing);
        }
        if let Ok(id) = EntranceId::parse(text) {
            return Ok(id);
        }
        if self.is_empty() {
            return Err(FindError::NoNames(text.to_owned()));
        }
        let lower = text.to_lowercase();
        self.only(text, |name| name == text)
            .or_else(|| self.only(text, |name| name.to_lowercase() == lower))
            .or_else(|| self.only(text, |name| name.to_lowercase().contains(&lower)))
            .unwrap_or_else(|| {
                Err(FindError::Unknown { text: text.to_owned(), nearest: self.nearest(&lower) })
            })
    }

    /// The one entrance whose name fits; `None` when there is none.
    fn only(
        &self,
        text: &str,
        fits: impl Fn(&str) -> bool,
    ) -> Option<Result<EntranceId, FindError>> {
        let mut found = self.entries.iter().filter(|entry| fits(&entry.name));
        let first = found.next()?;
        let mut candidates = vec![first];
        candidates.extend(found);
        if candidates.len() == 1 {
            return Some(Ok(first.id));
        }
        let count = candidates.len();
        let candidates = candidates.into_iter().take(CANDIDATES_MAX).cloned().collect();
        Some(Err(FindError::Ambiguous { text: text.to_owned(), candidates, count }))
    }

    /// The entrance whose name, or a word of it, is most like `lower`.
    fn nearest(&self, lower: &str) -> Option<Entry> {
        // Of the best, then of the whole name: `loby` is `Lobby` before it is `Lobby west`.
        let likeness = |entry: &Entry| {
            let name = entry.name.to_lowercase();
            let whole = strsim::jaro_winkler(&name, lower);
            let words = name.split_whitespace().map(|word| strsim::jaro_winkler(word, lower));
            (words.fold(whole, f64::max), whole)
        };
        let scored = self.entries.iter().map(|entry| (likeness(entry), entry));
        let ((likeness, _), entry) =
            scored.max_by(|((a, b), _), ((c, d), _)| a.total_cmp(c).then(b.total_cmp(d)))?;
        (likeness >= LIKENESS_MIN).then(|| entry.clone())
    }
}
