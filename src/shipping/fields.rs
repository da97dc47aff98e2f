//! What a sink shows of a record beside its line.

use std::borrow::Cow;

use jiff::Timestamp;
use serde::Deserialize;

/// Fields of a record. A line that lacks them is sent all the same.
#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct Fields<'a> {
    #[serde(borrow)]
    time: Cow<'a, str>,
    #[serde(borrow)]
    pub(super) event: Cow<'a, str>,
    #[serde(borrow)]
    pub(super) caller: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub(super) entrance_id: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub(super) decision: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub(super) reason: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub(super) request_id: Option<Cow<'a, str>>,
}

impl<'a> Fields<'a> {
    pub(super) fn of(line: &'a [u8]) -> Self {
        serde_json::from_slice(line).unwrap_or_default()
    }

    /// When the record was made.
    pub(super) fn time(&self) -> Option<Timestamp> {
        self.time.parse().ok()
    }
}
