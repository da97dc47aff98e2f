//! The list of entrances: the request for a page, and the page.
//!
//! Only what is used is looked at, and that strictly: a page that is read wrongly would
//! make entrances disappear or be taken for others. No error holds a byte of the answer.

use serde::Serialize;
use serde_json::{Map, Value};

use crate::domain::{AcsSystemId, EntranceId};

/// The most entrances that Seam puts on a page, and how many it puts there when it is not
/// told.
pub const PAGE_LIMIT_MAX: u16 = 500;

/// The longest cursor that is taken, in bytes: it is sent back with the next request.
const CURSOR_BYTES_MAX: usize = 16 * 1024;

/// An entrance as Seam lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedEntrance {
    /// `acs_entrance_id`
    pub id: EntranceId,
    /// `display_name`, as it is.
    pub display_name: String,
    /// `acs_system_id`
    pub system: AcsSystemId,
}

/// A page of the list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EntrancePage {
    /// The entrances on it.
    pub entrances: Vec<ListedEntrance>,
    /// What the next page is asked for with; `None` on the last.
    pub next_page_cursor: Option<String>,
}

/// Why an answer is no page.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PageError {
    /// Something else than an object.
    #[error("it is not a JSON object")]
    NotAnObject,
    /// Seam does not say that it worked.
    #[error("`ok` is not true")]
    NotOk,
    /// A part of the page is not as it must be.
    #[error("`{field}` must be {must}")]
    Field {
        /// The field's name, with its parent's.
        field: &'static str,
        /// What it must be.
        must: &'static str,
    },
    /// A part of an entrance is not as it must be.
    #[error("`{field}` of entrance {number} must be {must}")]
    Entrance {
        /// Which entrance of the page, counted from 1.
        number: usize,
        /// The field's name.
        field: &'static str,
        /// What it must be.
        must: &'static str,
    },
}

/// Writes the body that asks for a page: the first one without a cursor.
#[must_use]
pub fn encode_list(page_cursor: Option<&str>, limit: u16) -> Vec<u8> {
    #[derive(Serialize)]
    struct Wire<'a> {
        limit: u16,
        #[serde(skip_serializing_if = "Option::is_none")]
        page_cursor: Option<&'a str>,
    }
    // A number and a text always encode.
    serde_json::to_vec(&Wire { limit, page_cursor }).unwrap_or_default()
}

/// Reads a page. Fields that are not used may be anything.
///
/// # Errors
/// The first thing that is not as it must be.
pub fn parse_entrances(body: &[u8]) -> Result<EntrancePage, PageError> {
    let page: Map<String, Value> =
        serde_json::from_slice(body).map_err(|_| PageError::NotAnObject)?;
    if page.get("ok") != Some(&Value::Bool(true)) {
        return Err(PageError::NotOk);
    }
    let Some(Value::Array(entrances)) = page.get("acs_entrances") else {
        return Err(PageError::Field { field: "acs_entrances", must: "a list" });
    };
    let entrances = entrances.iter().zip(1..).map(|(value, number)| entrance(value, number));
    Ok(EntrancePage {
        entrances: entrances.collect::<Result<_, _>>()?,
        next_page_cursor: next(&page)?,
    })
}

fn entrance(value: &Value, number: usize) -> Result<ListedEntrance, PageError> {
    let error = |field, must| PageError::Entrance { number, field, must };
    let text = |field| value.get(field).and_then(Value::as_str);
    let id = text("acs_entrance_id").and_then(|text| EntranceId::parse(text).ok());
    let system = text("acs_system_id").and_then(|text| AcsSystemId::parse(text).ok());
    let name = text("display_name").ok_or_else(|| error("display_name", "a string"))?;
    Ok(ListedEntrance {
        id: id.ok_or_else(|| error("acs_entrance_id", "a uuid"))?,
        display_name: name.to_owned(),
        system: system.ok_or_else(|| error("acs_system_id", "a uuid"))?,
    })
}

/// Without a clear word on what follows, the page is not taken for the last one.
fn next(page: &Map<String, Value>) -> Result<Option<String>, PageError> {
    let error = |field, must| PageError::Field { field, must };
    let pagination = page.get("pagination").and_then(Value::as_object);
    let pagination = pagination.ok_or_else(|| error("pagination", "an object"))?;
    match pagination.get("has_next_page") {
        Some(Value::Bool(false)) => return Ok(None),
        Some(Value::Bool(true)) => {}
        _ => return Err(error("pagination.has_next_page", "true or false")),
    }
    let cursor = pagination.get("next_page_cursor").and_then(Value::as_str);
    cursor
        .filter(|text| !text.is_empty() && text.len() <= CURSOR_BYTES_MAX)
        .map(|text| Some(text.to_owned()))
        .ok_or_else(|| error("pagination.next_page_cursor", "a string of 1 to 16384 bytes"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const ID: &str = "d23d7180-c1ee-4bbe-8630-05df5031ce35";
    const SYSTEM: &str = "3c5e9a1f-7b20-4d68-9e41-a0f2b6c8d713";

    /// A page as Seam sends it.
    fn page() -> Value {
        json!({
            "acs_entrances": [{
                "acs_entrance_id": ID.to_uppercase(), "acs_system_id": SYSTEM,
                "display_name": " Zugang\n", "errors": [], "visionline_metadata": {"x": [1]},
            }],
            "pagination": {
                "has_next_page": true, "next_page_cursor": "c\"1", "next_page_url": "https://x",
            },
            "ok": true, "extra": null,
        })
    }

    fn parse(value: &Value) -> Result<EntrancePage, PageError> {
        parse_entrances(value.to_string().as_bytes())
    }

    #[test]
    fn a_page_is_read_and_the_next_one_asked_for() {
        let read = parse(&page()).unwrap();
        assert_eq!(read.entrances.len(), 1);
        assert_eq!(read.entrances[0].id.to_string(), ID);
        assert_eq!(read.entrances[0].display_name, " Zugang\n");
        assert_eq!(read.entrances[0].system.to_string(), SYSTEM);
        let cursor = read.next_page_cursor.as_deref();
        let asked = String::from_utf8(encode_list(cursor, 500)).unwrap();
        assert_eq!(asked, r#"{"limit":500,"page_cursor":"c\"1"}"#);
        assert_eq!(encode_list(None, 1), br#"{"limit":1}"#);
        let mut last = page();
        last["pagination"] = json!({"has_next_page": false, "next_page_cursor": null});
        last["acs_entrances"] = json!([]);
        let none = EntrancePage { entrances: Vec::new(), next_page_cursor: None };
        assert_eq!(parse(&last), Ok(none));
    }

    #[test]
    fn what_is_used_must_be_as_it_is_expected() {
        let entrance = "/acs_entrances/0";
        for (pointer, value, expected) in [
            ("/ok", json!(false), "`ok` is not true"),
            ("/ok", json!("true"), "`ok` is not true"),
            ("/acs_entrances", json!({}), "`acs_entrances` must be a list"),
            ("/acs_entrances/0", json!("x"), "`display_name` of entrance 1 must be a string"),
            ("/acs_entrances/0", json!([]), "`display_name` of entrance 1 must be a string"),
            ("/acs_entrance_id", json!("door"), "`acs_entrance_id` of entrance 1 must be a uuid"),
            ("/acs_entrance_id", json!(null), "`acs_entrance_id` of entrance 1 must be a uuid"),
            ("/acs_system_id", json!(7), "`acs_system_id` of entrance 1 must be a uuid"),
            ("/display_name", json!(null), "`display_name` of entrance 1 must be a string"),
            ("/pagination", json!(null), "`pagination` must be an object"),
            (
                "/pagination/has_next_page",
                json!("no"),
                "`pagination.has_next_page` must be true or false",
            ),
            (
                "/pagination/next_page_cursor",
                json!(null),
                "`pagination.next_page_cursor` must be a string of 1 to 16384 bytes",
            ),
            (
                "/pagination/next_page_cursor",
                json!("c".repeat(20_000)),
                "`pagination.next_page_cursor` must be a string of 1 to 16384 bytes",
            ),
        ] {
            let mut page = page();
            let at = match page.pointer(pointer) {
                Some(_) => pointer.to_owned(),
                None => format!("{entrance}{pointer}"),
            };
            *page.pointer_mut(&at).unwrap() = value;
            assert_eq!(parse(&page).unwrap_err().to_string(), expected, "{pointer}");
        }
        for body in ["", "[]", "null", "<html>", "{\"ok\":true}{}", "{\"ok\":"] {
            assert_eq!(parse_entrances(body.as_bytes()), Err(PageError::NotAnObject), "{body}");
        }
        assert_eq!(parse(&json!({})), Err(PageError::NotOk));
    }

    proptest::proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(body in proptest::collection::vec(proptest::num::u8::ANY, 0..200)) {
            let _ = parse_entrances(&body);
        }
    }
}
