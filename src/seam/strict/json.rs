//! Parameters in a body: one JSON object (RFC 8259).

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use uuid::Uuid;

use super::{Field, IDS_MAX, Kind, RequestError, Value, Values, uuid};
use crate::domain::Reason;

const NOT_JSON: RequestError =
    RequestError::whole(Reason::BodyNotJson, "the body is not valid JSON");

/// Reads a body into `values`.
pub(super) fn read(values: &mut Values, body: &[u8]) -> Result<(), RequestError> {
    if body.is_empty() {
        let message = "the body is empty; send a JSON object";
        return Err(RequestError::whole(Reason::BodyEmpty, message));
    }
    if body.starts_with(b"\xef\xbb\xbf") {
        let message = "the body starts with a byte order mark; send JSON without one";
        return Err(RequestError::whole(Reason::BodyByteOrderMark, message));
    }
    let text = std::str::from_utf8(body)
        .map_err(|_| RequestError::whole(Reason::BodyNotUtf8, "the body is not UTF-8"))?;
    if !text.trim_ascii_start().starts_with('{') {
        return Err(not_an_object(text));
    }
    let mut json = serde_json::Deserializer::from_str(text);
    let mut object = Object { values, error: None };
    if (&mut object).deserialize(&mut json).is_err() {
        return Err(object.error.unwrap_or(NOT_JSON));
    }
    if json.end().is_err() {
        let message = "something follows the JSON object; send one object and nothing else";
        return Err(RequestError::whole(Reason::BodyTrailingBytes, message));
    }
    Ok(())
}

fn not_an_object(text: &str) -> RequestError {
    match serde_json::from_str::<serde::de::IgnoredAny>(text) {
        Ok(_) => RequestError::whole(
            Reason::BodyNotObject,
            "the body is JSON but not an object; send an object",
        ),
        Err(_) => NOT_JSON,
    }
}

/// The object, and the first error in it.
struct Object<'a> {
    values: &'a mut Values,
    error: Option<RequestError>,
}

impl Object<'_> {
    fn fail<E: serde::de::Error>(&mut self, error: RequestError) -> Result<(), E> {
        self.error = Some(error);
        Err(E::custom("refused"))
    }
}

impl<'de> DeserializeSeed<'de> for &mut Object<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for &mut Object<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(found) = map.next_key_seed(FieldName(self.values))? {
            let Some((place, field)) = found else {
                let message = "the body has a field that this operation does not have";
                return self.fail(RequestError::whole(Reason::BodyUnknownKey, message));
            };
            let name = field.name;
            if self.values.is_given(place) {
                let message = "occurs twice";
                return self.fail(RequestError::field(Reason::BodyDuplicateKey, name, message));
            }
            match fit(field, map.next_value_seed(FieldValue)?) {
                Ok(value) => self.values.put(place, value),
                Err((reason, message)) => {
                    return self.fail(RequestError::field(reason, name, message));
                }
            }
        }
        Ok(())
    }
}

/// What JSON has where a value is expected.
enum Json {
    Text(String),
    Number(u64),
    /// A list: its items where all of them are strings and there are not too many.
    List(Option<Vec<String>>),
    Null,
    Other,
}

fn fit(field: &Field, value: Json) -> Result<Value, (Reason, &'static str)> {
    match value {
        Json::Text(text) if matches!(field.kind, Kind::Uuid | Kind::Text(_)) => field.text(&text),
        Json::Number(number) => field.number(number),
        Json::List(Some(items)) if field.kind == Kind::Uuids => {
            let uuids: Result<Vec<Uuid>, _> = items.iter().map(|item| uuid(item)).collect();
            field.uuids(uuids?)
        }
        Json::Null if field.nullable => Ok(Value::Null),
        Json::Null => Err((Reason::FieldNull, "must not be null; leave the field out")),
        Json::Text(_) | Json::List(_) | Json::Other => Err(field.wrong_type()),
    }
}

/// A key, compared after its escapes are undone; `None` for one that is not known.
struct FieldName<'a>(&'a Values);

impl<'de> DeserializeSeed<'de> for FieldName<'_> {
    type Value = Option<(usize, &'static Field)>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for FieldName<'_> {
    type Value = Option<(usize, &'static Field)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a field name")
    }

    fn visit_str<E: serde::de::Error>(self, name: &str) -> Result<Self::Value, E> {
        Ok(self.0.find(name))
    }
}

/// A value: only strings, whole numbers and lists of strings are looked into.
struct FieldValue;

impl<'de> DeserializeSeed<'de> for FieldValue {
    type Value = Json;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Json, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for FieldValue {
    type Value = Json;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Json, E> {
        Ok(Json::Text(text.to_owned()))
    }

    fn visit_unit<E: serde::de::Error>(self) -> Result<Json, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E: serde::de::Error>(self, _: bool) -> Result<Json, E> {
        Ok(Json::Other)
    }

    fn visit_i64<E: serde::de::Error>(self, _: i64) -> Result<Json, E> {
        Ok(Json::Other)
    }

    fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<Json, E> {
        Ok(Json::Number(number))
    }

    fn visit_f64<E: serde::de::Error>(self, _: f64) -> Result<Json, E> {
        Ok(Json::Other)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Json, A::Error> {
        let mut items = Some(Vec::new());
        while let Some(item) = seq.next_element_seed(FieldValue)? {
            match (item, &mut items) {
                (Json::Text(text), Some(list)) if list.len() <= IDS_MAX => list.push(text),
                (Json::Text(_), _) => {}
                _ => items = None,
            }
        }
        Ok(Json::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Json, A::Error> {
        while map.next_entry::<serde::de::IgnoredAny, serde::de::IgnoredAny>()?.is_some() {}
        Ok(Json::Other)
    }
}
