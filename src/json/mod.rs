//! JSON that can be read in one way only, bounded in depth and count.
//!
//! Readers differ over an object that has a member twice (RFC 8259, section 4): one judges
//! the first, another the last. So it is refused, at any depth.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

/// A value.
#[derive(Debug, Clone, PartialEq)]
pub enum Json {
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// Exact where it is an integer up to 2^53.
    Number(f64),
    /// A string.
    Text(String),
    /// An array.
    List(Vec<Json>),
    /// An object.
    Object(Object),
}

/// Members by name, each once.
pub type Object = BTreeMap<String, Json>;

/// How much there may be.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// Objects and lists in each other.
    pub depth: usize,
    /// Values in all.
    pub values: usize,
}

/// Reads one object and nothing beside it.
///
/// # Errors
/// What is wrong, with its line and column.
pub fn object(bytes: &[u8], bounds: Bounds) -> Result<Object, serde_json::Error> {
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let mut left = bounds.values;
    let found = Value { depth: bounds.depth, left: &mut left }.deserialize(&mut reader)?;
    reader.end()?;
    match found {
        Json::Object(object) => Ok(object),
        Json::Null | Json::Bool(_) | Json::Number(_) | Json::Text(_) | Json::List(_) => {
            Err(serde_json::Error::custom("not an object"))
        }
    }
}

/// The lines in which the items of a list begin that is a member of the object; none where there
/// is no such list. For messages: what the items are is read by [`object`].
#[must_use]
pub fn lines_of_items(bytes: &[u8], member: &str) -> Vec<u32> {
    let read = |bytes| -> serde_json::Result<Vec<&RawValue>> {
        let members: BTreeMap<String, &RawValue> = serde_json::from_slice(bytes)?;
        members.get(member).map_or(Ok(Vec::new()), |list| serde_json::from_str(list.get()))
    };
    let start = bytes.as_ptr().addr();
    let (mut seen, mut line) = (0, 1_u32);
    let mut line_of = |item: &RawValue| {
        let at = item.get().as_ptr().addr().saturating_sub(start);
        let since = bytes.get(seen..at).unwrap_or_default();
        let ends = memchr::memchr_iter(b'\n', since).count();
        line = line.saturating_add(u32::try_from(ends).unwrap_or(u32::MAX));
        seen = at;
        line
    };
    read(bytes).unwrap_or_default().into_iter().map(&mut line_of).collect()
}

impl Json {
    /// What it is if it is a string.
    #[must_use]
    pub fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            Self::Null | Self::Bool(_) | Self::Number(_) | Self::List(_) | Self::Object(_) => None,
        }
    }

    /// What is in it if it is an array.
    #[must_use]
    pub fn list(&self) -> Option<&[Self]> {
        match self {
            Self::List(list) => Some(list),
            Self::Null | Self::Bool(_) | Self::Number(_) | Self::Text(_) | Self::Object(_) => None,
        }
    }

    /// Its members if it is an object.
    #[must_use]
    pub fn object(&self) -> Option<&Object> {
        match self {
            Self::Object(object) => Some(object),
            Self::Null | Self::Bool(_) | Self::Number(_) | Self::Text(_) | Self::List(_) => None,
        }
    }

    /// What it is if it is a finite number.
    #[must_use]
    pub fn number(&self) -> Option<f64> {
        match self {
            Self::Number(number) => Some(*number).filter(|number| number.is_finite()),
            Self::Null | Self::Bool(_) | Self::Text(_) | Self::List(_) | Self::Object(_) => None,
        }
    }
}

/// Reads a value, as deep and as many as are left.
struct Value<'l> {
    depth: usize,
    left: &'l mut usize,
}

impl Value<'_> {
    fn deeper<E: serde::de::Error>(&mut self) -> Result<Value<'_>, E> {
        let depth = self.depth.checked_sub(1).ok_or_else(|| E::custom("too deeply nested"))?;
        Ok(Value { depth, left: self.left })
    }
}

impl<'de> DeserializeSeed<'de> for Value<'_> {
    type Value = Json;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Json, D::Error> {
        *self.left = self.left.checked_sub(1).ok_or_else(|| D::Error::custom("too many values"))?;
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Value<'_> {
    type Value = Json;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Json, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Json, E> {
        Ok(Json::Bool(value))
    }

    // Of numbers only moments and counts are read; they are exact up to 2^53.
    #[expect(clippy::cast_precision_loss, reason = "moments are smaller")]
    fn visit_i64<E>(self, number: i64) -> Result<Json, E> {
        Ok(Json::Number(number as f64))
    }

    #[expect(clippy::cast_precision_loss, reason = "moments are smaller")]
    fn visit_u64<E>(self, number: u64) -> Result<Json, E> {
        Ok(Json::Number(number as f64))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Json, E> {
        Ok(Json::Number(number))
    }

    fn visit_str<E>(self, text: &str) -> Result<Json, E> {
        Ok(Json::Text(text.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut seq: A) -> Result<Json, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = seq.next_element_seed(self.deeper()?)? {
            list.push(item);
        }
        Ok(Json::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<Json, A::Error> {
        let mut object = Object::new();
        while let Some(name) = map.next_key::<String>()? {
            let value = map.next_value_seed(self.deeper()?)?;
            if object.insert(name, value).is_some() {
                return Err(A::Error::custom("a member occurs twice"));
            }
        }
        Ok(Json::Object(object))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Object, String> {
        let bounds = Bounds { depth: 3, values: 8 };
        object(text.as_bytes(), bounds).map_err(|error| error.to_string())
    }

    #[test]
    fn an_item_has_its_line() {
        let text = b"{\n \"a\": [1],\n \"b\": [{\n\"c\": 1}, 2,\n\n[\n3]\n]}";
        assert_eq!(lines_of_items(text, "b"), [3, 4, 6]);
        assert_eq!(lines_of_items(text, "a"), [2]);
        for member in ["c", "none"] {
            assert_eq!(lines_of_items(text, member), [0_u32; 0]);
        }
        assert_eq!(lines_of_items(b"[1", "a"), [0_u32; 0]);
    }

    #[test]
    fn what_could_be_read_in_two_ways_is_refused() {
        let found = read(r#"{"a":[1,"x",{"b":null}],"c":2.5}"#).unwrap();
        assert_eq!(found["c"].number(), Some(2.5));
        assert_eq!(found["a"].list().unwrap()[1].text(), Some("x"));
        for (text, expected) in [
            (r#"{"a":1,"a":1}"#, "a member occurs twice"),
            (r#"{"a":1,"\u0061":1}"#, "a member occurs twice"),
            (r#"{"x":{"a":1,"b":2,"a":3}}"#, "a member occurs twice"),
            (r#"{"a":1} {"#, "trailing characters"),
            (r#"[1]"#, "not an object"),
            (r#""a""#, "not an object"),
            ("{\"a\":\"\u{0}\"}", "control character"),
            (r#"{"a":{"b":{"c":{"d":1}}}}"#, "too deeply nested"),
            (r#"{"a":[[[1]]]}"#, "too deeply nested"),
            (r#"{"a":[1,2,3,4,5,6,7]}"#, "too many values"),
            (r#"{"a":1e999}"#, "number out of range"),
            (r#"{"a":NaN}"#, "expected"),
            ("\u{feff}{}", "expected value"),
            ("", "EOF"),
        ] {
            let found = read(text).unwrap_err();
            assert!(found.contains(expected), "{text}: {found}");
        }
        let not_utf8 = object(b"{\"a\":\"\xff\"}", Bounds { depth: 3, values: 8 });
        assert!(not_utf8.is_err());
        let deep = [vec![b'['; 100_000], vec![b']'; 100_000]].concat();
        assert!(object(&deep, Bounds { depth: 8, values: 512 }).is_err());
    }
}
