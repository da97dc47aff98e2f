//! Edits of the callers file that keep its comments and layout.
//!
//! Each edit takes the file's text and gives the new text; the command line writes it
//! by rename, so that a reader sees the old file or the new one, never half of one.

mod layout;
mod suspension;
mod tokens;

use jiff::Timestamp;
use toml_edit::{Array, ArrayOfTables, Datetime, DocumentMut, Item, Table};

use super::Callers;
use crate::domain::{CallerId, Problem};
pub use suspension::{resume, suspend};
pub use tokens::{NewToken, Removed, Rotation, add_token, revoke, rotate};

/// Why a callers file was not edited.
#[derive(Debug, thiserror::Error)]
pub enum EditError {
    /// The file is not valid before, or would not be valid after the edit.
    #[error("the callers file is not valid")]
    Invalid(Vec<Problem>),
    /// The caller has a token of this name.
    #[error("caller `{0}` has a token `{1}` already; choose another name with --name")]
    TokenExists(CallerId, String),
    /// There is no such caller.
    #[error("there is no caller `{0}`; `grantgate caller list` shows them")]
    NoSuchCaller(CallerId),
    /// The caller has no such token.
    #[error("caller `{0}` has no token `{1}`; `grantgate caller list` shows them")]
    NoSuchToken(CallerId, String),
    /// The caller has no token at all.
    #[error("caller `{0}` has no token; `grantgate caller new {0}` makes one")]
    NoToken(CallerId),
}

fn open(file: &str, text: &str) -> Result<(Callers, DocumentMut), EditError> {
    let callers = Callers::parse(file, text.as_bytes()).map_err(EditError::Invalid)?;
    let document = text.parse().map_err(|error: toml_edit::TomlError| {
        EditError::Invalid(vec![Problem::of_file(file, error.message())])
    })?;
    Ok((callers, document))
}

/// The edited text, once more read as the gateway would read it.
fn close(file: &str, document: DocumentMut) -> Result<String, EditError> {
    let text = document.to_string();
    Callers::parse(file, text.as_bytes()).map_err(EditError::Invalid)?;
    Ok(text)
}

fn caller_tables(document: &mut DocumentMut) -> Result<&mut ArrayOfTables, EditError> {
    let item =
        document.entry("caller").or_insert_with(|| Item::ArrayOfTables(ArrayOfTables::new()));
    if let Item::Value(inline) = item
        && inline.as_array().is_some_and(Array::is_empty)
    {
        *item = Item::ArrayOfTables(ArrayOfTables::new());
    }
    item.as_array_of_tables_mut().ok_or_else(|| {
        EditError::Invalid(vec![Problem::of_file(
            "callers file",
            "callers are written as an inline list; write each as a [[caller]] table to edit it here",
        )])
    })
}

/// The table of a caller.
fn table_of<'d>(
    document: &'d mut DocumentMut,
    caller: &CallerId,
) -> Result<&'d mut Table, EditError> {
    let tables = caller_tables(document)?.iter_mut();
    let found = tables.into_iter().find(|table| is_caller(table, caller));
    found.ok_or_else(|| EditError::NoSuchCaller(caller.clone()))
}

fn is_caller(table: &Table, caller: &CallerId) -> bool {
    table.get("id").and_then(Item::as_str) == Some(caller.as_str())
}

/// To the second, as people write times.
fn datetime(time: Timestamp) -> Option<Datetime> {
    format!("{time:.0}").parse().ok()
}

#[cfg(test)]
mod tests;
