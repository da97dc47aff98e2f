//! That a caller is refused for now, and that it is not any more.

use toml_edit::{InlineTable, value};

use super::{EditError, close, datetime, open, table_of};
use crate::authn::callers::Suspension;
use crate::domain::CallerId;

/// Suspends a caller; none where it is suspended already.
///
/// # Errors
/// [`EditError`]; the text is then to be left as it is.
pub fn suspend(
    file: &str,
    text: &str,
    caller: &CallerId,
    suspension: &Suspension,
) -> Result<Option<String>, EditError> {
    let (callers, mut document) = open(file, text)?;
    let table = table_of(&mut document, caller)?;
    if callers.suspension(caller).is_some() {
        return Ok(None);
    }
    let mut written = InlineTable::new();
    if let Some(since) = datetime(suspension.since) {
        written.insert("since", since.into());
    }
    written.insert("reason", suspension.reason.as_str().into());
    table.insert("suspended", value(written));
    close(file, document).map(Some)
}

/// Takes a suspension back; none where the caller is not suspended.
///
/// # Errors
/// [`EditError`]; the text is then to be left as it is.
pub fn resume(file: &str, text: &str, caller: &CallerId) -> Result<Option<String>, EditError> {
    let (callers, mut document) = open(file, text)?;
    let table = table_of(&mut document, caller)?;
    if callers.suspension(caller).is_none() {
        return Ok(None);
    }
    table.remove("suspended");
    close(file, document).map(Some)
}
