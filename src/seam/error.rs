//! The shape of Seam's errors: reading the upstream's, writing our own.
//!
//! Seam's SDKs raise a typed error only for `application/json` with a string
//! `error.type` and a string `error.message`, and take any 2xx for success. So
//! every refusal has this shape, and a 2xx is never passed on unread.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::domain::RequestId;

/// The longest error message that is passed on, in characters.
const MESSAGE_CHARS_MAX: usize = 1000;

/// An error of Seam's, reduced to its known fields.
#[derive(Debug, Clone, PartialEq)]
pub struct SeamError {
    /// `error.type`: a lower-case word such as `acs_user_not_found`.
    pub kind: String,
    /// `error.message`, without control characters.
    pub message: String,
    /// `error.data`: SDKs expect an object or nothing.
    pub data: Option<Map<String, Value>>,
    /// `error.validation_errors`, for `invalid_input`.
    pub validation_errors: Option<Map<String, Value>>,
}

impl SeamError {
    /// Cuts an overlong message.
    #[must_use]
    pub fn shorten(mut self) -> Self {
        if let Some((end, _)) = self.message.char_indices().nth(MESSAGE_CHARS_MAX) {
            self.message.truncate(end);
        }
        self
    }

    /// An error with a type and a message.
    #[must_use]
    pub fn new(kind: &str, message: &str) -> Self {
        Self { kind: kind.into(), message: message.into(), data: None, validation_errors: None }
    }

    /// An `invalid_input` error about one field, or about the whole body, with the
    /// `validation_errors` that the SDKs read.
    #[must_use]
    pub fn invalid_input(field: Option<&str>, message: &str) -> Self {
        let mut errors = Map::new();
        match field {
            Some(field) => {
                errors.insert("_errors".into(), json!([]));
                errors.insert(field.into(), json!({ "_errors": [message] }));
            }
            None => {
                errors.insert("_errors".into(), json!([message]));
            }
        }
        let text = field.map_or_else(|| message.to_owned(), |f| format!("`{f}` {message}"));
        Self { validation_errors: Some(errors), ..Self::new("invalid_input", &text) }
    }
}

/// Reads an upstream error body. `None` when it does not have Seam's shape.
#[must_use]
pub fn read_error(body: &[u8]) -> Option<SeamError> {
    #[derive(Deserialize)]
    struct Envelope {
        error: Wire,
    }
    #[derive(Deserialize)]
    struct Wire {
        r#type: String,
        message: String,
        data: Option<Value>,
        validation_errors: Option<Value>,
    }
    let Envelope { error } = serde_json::from_slice(body).ok()?;
    let word = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_';
    if error.r#type.is_empty() || error.r#type.len() > 100 || !error.r#type.bytes().all(word) {
        return None;
    }
    let printable = error.message.chars().filter(|c| !c.is_control());
    Some(SeamError {
        kind: error.r#type,
        message: printable.collect(),
        data: error.data.and_then(into_object),
        validation_errors: error.validation_errors.and_then(into_object),
    })
}

fn into_object(value: Value) -> Option<Map<String, Value>> {
    serde_json::from_value(value).ok()
}

/// The body of an error.
#[must_use]
pub fn error_body(error: &SeamError, request_id: RequestId) -> Vec<u8> {
    #[derive(Serialize)]
    struct Envelope<'a> {
        error: Wire<'a>,
        ok: bool,
    }
    #[derive(Serialize)]
    struct Wire<'a> {
        r#type: &'a str,
        message: &'a str,
        request_id: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        data: &'a Option<Map<String, Value>>,
        #[serde(skip_serializing_if = "Option::is_none")]
        validation_errors: &'a Option<Map<String, Value>>,
    }
    let wire = Wire {
        r#type: &error.kind,
        message: &error.message,
        request_id: request_id.to_string(),
        data: &error.data,
        validation_errors: &error.validation_errors,
    };
    // Strings and maps with string keys always encode.
    serde_json::to_vec(&Envelope { error: wire, ok: false }).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_upstream_error_is_reduced_to_its_known_fields() {
        let body = r#"{"error":{"type":"acs_user_not_found","message":"no\u0007 user","stack":"/srv/a.ts","request_id":"r1","data":{"a":1}},"ok":false}"#;
        let error = read_error(body.as_bytes()).unwrap();
        assert_eq!(
            (error.kind.as_str(), error.message.as_str()),
            ("acs_user_not_found", "no user")
        );
        let id = RequestId::generate();
        let body = String::from_utf8(error_body(&error, id)).unwrap();
        assert_eq!(
            body,
            format!(
                r#"{{"error":{{"type":"acs_user_not_found","message":"no user","request_id":"{id}","data":{{"a":1}}}},"ok":false}}"#
            )
        );
    }

    #[test]
    fn bodies_of_another_shape_are_no_seam_errors() {
        for body in [
            "",
            "Invalid JSON",
            "<html>",
            "[]",
            "{}",
            r#"{"error":"x"}"#,
            r#"{"error":{"type":"x"}}"#,
            r#"{"error":{"type":1,"message":"x"}}"#,
            r#"{"error":{"type":"","message":"x"}}"#,
            r#"{"error":{"type":"X y","message":"x"}}"#,
        ] {
            assert_eq!(read_error(body.as_bytes()), None, "{body}");
        }
    }

    #[test]
    fn data_that_is_no_object_is_left_out() {
        let body = r#"{"error":{"type":"x","message":"m","data":"text","validation_errors":[]}}"#;
        assert_eq!(read_error(body.as_bytes()), Some(SeamError::new("x", "m")));
    }
}
