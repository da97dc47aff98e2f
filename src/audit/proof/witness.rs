//! What gateways have written down of each other's logs.

use crate::audit::log::directory::LogReader;
use crate::audit::log::error::ReadError;
use crate::audit::record::event::Event;
use crate::audit::record::glance::Glance;

/// Every checkpoint of another log that this one has, as it was signed.
///
/// # Errors
/// [`ReadError`].
pub fn witnessed(log: &LogReader) -> Result<Vec<String>, ReadError> {
    let (glance, mut found) = (Glance::new(), Vec::new());
    let mut walk = log.walk(log.list()?).over_gaps();
    while let Some(line) = walk.next()? {
        let is_one = line.whole().is_some_and(|bytes| {
            glance
                .event(bytes)
                .and_then(Event::of_bytes)
                .is_none_or(|event| event == Event::Witness)
        });
        if let Some(record) = line.record().filter(|_| is_one) {
            found.extend(record.witnessed());
        }
    }
    Ok(found)
}
