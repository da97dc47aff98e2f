//! An entrance as Seam describes it, read from its known fields.
//!
//! What goes on to a caller is made anew from these fields and no others: what a later version
//! of Seam adds may be a secret.

use serde_json::{Map, Value};

use crate::domain::{AcsSystemId, EntranceId};

/// One entrance.
#[derive(Debug, Clone, PartialEq)]
pub struct Entrance {
    /// `acs_entrance_id`
    pub id: EntranceId,
    /// `display_name`, as it is.
    pub display_name: String,
    /// `acs_system_id`
    pub system: AcsSystemId,
    /// What a caller may see of it.
    pub(super) shown: Value,
}

/// A field of an entrance that is not as it must be, and what it must be.
pub(super) type Fault = (&'static str, &'static str);

/// What a known field holds; a value of another shape is left out.
#[derive(Debug, Clone, Copy)]
enum Shape {
    Text,
    Number,
    Truth,
    Texts,
    Object(&'static [(&'static str, Shape)]),
    Objects(&'static [(&'static str, Shape)]),
}

use Shape::{Number, Object, Objects, Text, Texts, Truth};

/// `acs_entrance` of Seam's OpenAPI description, version 1.977.0 of its types.
const ENTRANCE: &[(&str, Shape)] = &[
    ("acs_entrance_id", Text),
    ("acs_system_id", Text),
    ("assa_abloy_vostio_metadata", Object(VOSTIO)),
    ("avigilon_alta_metadata", Object(AVIGILON_ALTA)),
    ("brivo_metadata", Object(BRIVO)),
    ("can_belong_to_reservation", Truth),
    ("can_unlock_with_card", Truth),
    ("can_unlock_with_cloud_key", Truth),
    ("can_unlock_with_code", Truth),
    ("can_unlock_with_mobile_key", Truth),
    ("connected_account_id", Text),
    ("created_at", Text),
    ("display_name", Text),
    ("dormakaba_ambiance_metadata", Object(&[("access_point_name", Text)])),
    ("dormakaba_community_metadata", Object(&[("access_point_profile", Text)])),
    ("errors", Objects(&[("created_at", Text), ("error_code", Text), ("message", Text)])),
    ("hotek_metadata", Object(HOTEK)),
    ("is_locked", Truth),
    ("latch_metadata", Object(LATCH)),
    ("salto_ks_metadata", Object(SALTO_KS)),
    ("salto_space_metadata", Object(SALTO_SPACE)),
    ("space_ids", Texts),
    ("visionline_metadata", Object(VISIONLINE)),
    ("warnings", Objects(&[("created_at", Text), ("message", Text), ("warning_code", Text)])),
];

const VOSTIO: &[(&str, Shape)] = &[
    ("door_name", Text),
    ("door_number", Number),
    ("door_type", Text),
    ("pms_id", Text),
    ("stand_open", Truth),
];

const AVIGILON_ALTA: &[(&str, Shape)] = &[
    ("entry_name", Text),
    ("entry_relays_total_count", Number),
    ("org_name", Text),
    ("site_id", Number),
    ("site_name", Text),
    ("zone_id", Number),
    ("zone_name", Text),
];

const BRIVO: &[(&str, Shape)] =
    &[("access_point_id", Text), ("site_id", Number), ("site_name", Text)];

const HOTEK: &[(&str, Shape)] =
    &[("common_area_name", Text), ("common_area_number", Text), ("room_number", Text)];

const LATCH: &[(&str, Shape)] = &[
    ("accessibility_type", Text),
    ("door_name", Text),
    ("door_type", Text),
    ("is_connected", Truth),
];

const SALTO_KS: &[(&str, Shape)] = &[
    ("battery_level", Text),
    ("door_name", Text),
    ("intrusion_alarm", Truth),
    ("left_open_alarm", Truth),
    ("lock_type", Text),
    ("locked_state", Text),
    ("online", Truth),
    ("privacy_mode", Truth),
];

const SALTO_SPACE: &[(&str, Shape)] = &[
    ("audit_on_keys", Truth),
    ("door_description", Text),
    ("door_id", Text),
    ("door_name", Text),
    ("room_description", Text),
    ("room_name", Text),
];

const VISIONLINE: &[(&str, Shape)] = &[
    ("door_category", Text),
    ("door_name", Text),
    (
        "profiles",
        Objects(&[("visionline_door_profile_id", Text), ("visionline_door_profile_type", Text)]),
    ),
];

impl Entrance {
    /// Reads an entrance strictly where the gateway uses it.
    pub(super) fn read(value: &Value) -> Result<Self, Fault> {
        let text = |field| value.get(field).and_then(Value::as_str);
        let display_name = text("display_name").ok_or(("display_name", "a string"))?;
        let id = text("acs_entrance_id").and_then(|text| EntranceId::parse(text).ok());
        let id = id.ok_or(("acs_entrance_id", "a uuid"))?;
        let system = text("acs_system_id").and_then(|text| AcsSystemId::parse(text).ok());
        let system = system.ok_or(("acs_system_id", "a uuid"))?;
        let mut shown = object(ENTRANCE, value).unwrap_or_default();
        // As it was judged.
        shown.insert("acs_entrance_id".into(), id.to_string().into());
        Ok(Self { id, display_name: display_name.to_owned(), system, shown: shown.into() })
    }

    /// Whether a text stands in what is shown.
    pub(super) fn mentions(&self, text: &str) -> bool {
        mentions(&self.shown, text)
    }
}

fn mentions(value: &Value, text: &str) -> bool {
    match value {
        Value::String(found) => found.contains(text),
        Value::Array(items) => items.iter().any(|item| mentions(item, text)),
        Value::Object(fields) => fields.values().any(|field| mentions(field, text)),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

/// The known fields of an object.
fn object(known: &[(&str, Shape)], value: &Value) -> Option<Map<String, Value>> {
    let fields = value.as_object()?;
    let shown = known.iter().filter_map(|(name, shape)| {
        let value = fit(*shape, fields.get(*name)?)?;
        Some(((*name).to_owned(), value))
    });
    Some(shown.collect())
}

fn fit(shape: Shape, value: &Value) -> Option<Value> {
    match (shape, value) {
        (Text, Value::String(_)) | (Number, Value::Number(_)) | (Truth, Value::Bool(_)) => {
            Some(value.clone())
        }
        (Texts, Value::Array(items)) => {
            Some(items.iter().filter(|item| item.is_string()).cloned().collect())
        }
        (Object(known), Value::Object(_)) => object(known, value).map(Value::Object),
        (Objects(known), Value::Array(items)) => {
            Some(items.iter().filter_map(|item| object(known, item)).map(Value::Object).collect())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const ID: &str = "d23d7180-c1ee-4bbe-8630-05df5031ce35";
    const SYSTEM: &str = "3c5e9a1f-7b20-4d68-9e41-a0f2b6c8d713";

    #[test]
    fn what_is_shown_is_made_of_known_fields() {
        let value = json!({
            "acs_entrance_id": ID.to_uppercase(), "acs_system_id": SYSTEM, "display_name": "Gate",
            "space_ids": [SYSTEM, 7], "is_locked": "yes", "can_unlock_with_card": true,
            "errors": [{"error_code": "x", "message": "m", "created_at": "t", "stack": "/srv"}, 1],
            "visionline_metadata": {
                "door_name": "Gate", "pin": "1234",
                "profiles": [{"visionline_door_profile_id": "1", "secret": "s"}],
            },
            "brivo_metadata": {"site_id": 7, "site_name": ["x"]},
            "code": "1234", "latch_metadata": null,
        });
        let found = Entrance::read(&value).unwrap();
        assert_eq!(
            found.shown,
            json!({
                "acs_entrance_id": ID, "acs_system_id": SYSTEM, "display_name": "Gate",
                "space_ids": [SYSTEM], "can_unlock_with_card": true,
                "errors": [{"error_code": "x", "message": "m", "created_at": "t"}],
                "visionline_metadata": {
                    "door_name": "Gate", "profiles": [{"visionline_door_profile_id": "1"}],
                },
                "brivo_metadata": {"site_id": 7},
            })
        );
        assert!(found.mentions("Gat") && found.mentions("1") && !found.mentions("1234"));
    }
}
