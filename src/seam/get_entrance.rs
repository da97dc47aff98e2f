//! `acs/entrances/get`: shows one entrance.

use serde_json::{Map, Value, json};

use super::entrance::Entrance;
use super::strict::{Field, Kind, Params, RequestError, Values};
use crate::domain::{EntranceId, Reason};

const ENTRANCE: &str = "acs_entrance_id";

const FIELDS: &[Field] = &[Field::new(ENTRANCE, Kind::Uuid)];

/// Reads a request.
pub(super) fn parse(params: Params<'_>) -> Result<EntranceId, RequestError> {
    let mut values = Values::read(FIELDS, params)?;
    let entrance = values.uuid(ENTRANCE).map(EntranceId::from);
    entrance.ok_or(RequestError::field(Reason::EntranceMissing, ENTRANCE, "is required"))
}

/// Writes the body that goes to the upstream.
pub(super) fn encode(entrance: EntranceId) -> Vec<u8> {
    json!({ ENTRANCE: entrance.to_string() }).to_string().into_bytes()
}

/// Reads Seam's answer; `None` when it is not about this entrance.
pub(super) fn read(asked: EntranceId, body: &[u8]) -> Option<Entrance> {
    let answer: Map<String, Value> = serde_json::from_slice(body).ok()?;
    answer.get("ok").filter(|ok| **ok == Value::Bool(true))?;
    let entrance = Entrance::read(answer.get("acs_entrance")?).ok()?;
    (entrance.id == asked).then_some(entrance)
}

/// Writes the answer for the caller.
pub(super) fn show(entrance: Entrance) -> Vec<u8> {
    json!({ "acs_entrance": entrance.shown, "ok": true }).to_string().into_bytes()
}
