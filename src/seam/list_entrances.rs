//! `acs/entrances/list`: lists entrances, in pages.
//!
//! Only what is used of an answer is looked at, and that strictly: a page that is read
//! wrongly would make entrances disappear or be taken for others. No error holds a byte of
//! the answer.

use serde_json::{Map, Value, json};

use super::entrance::Entrance;
use super::strict::{Field, Kind, Params, RequestError, Values};
use crate::domain::{EntranceId, ListEntrances};

/// The most entrances that a caller may ask for on one page.
const LIMIT_MAX: u16 = 1_000;

/// The longest cursor that is taken, in bytes: it is sent back with the next request.
const CURSOR_BYTES_MAX: usize = 16 * 1024;

/// The longest search text and customer key, in bytes.
const TEXT_BYTES_MAX: usize = 500;

const IDS: &str = "acs_entrance_ids";
const SYSTEM: &str = "acs_system_id";
const ACCOUNT: &str = "connected_account_id";
const CUSTOMER: &str = "customer_key";
const LOCATION: &str = "location_id";
const SPACE: &str = "space_id";
const SEARCH: &str = "search";
const LIMIT: &str = "limit";
const CURSOR: &str = "page_cursor";

/// Not `acs_credential_id` and `access_method_id`: they ask which doors somebody's key opens,
/// which is more than to read an entrance.
const FIELDS: &[Field] = &[
    Field::new(IDS, Kind::Uuids),
    Field::new(SYSTEM, Kind::Uuid),
    Field::new(ACCOUNT, Kind::Uuid),
    Field::new(CUSTOMER, Kind::Text(TEXT_BYTES_MAX)),
    Field::nullable(LOCATION, Kind::Uuid),
    Field::new(SPACE, Kind::Uuid),
    Field::new(SEARCH, Kind::Text(TEXT_BYTES_MAX)),
    Field::new(LIMIT, Kind::Number(LIMIT_MAX, "must be a whole number from 1 to 1000")),
    Field::nullable(CURSOR, Kind::Text(CURSOR_BYTES_MAX)),
];

/// A page of the list.
#[derive(Debug, Clone, PartialEq)]
pub struct EntrancePage {
    /// The entrances on it.
    pub entrances: Vec<Entrance>,
    /// What follows it; nothing where Seam does not say.
    pub next: Option<NextPage>,
}

/// What follows a page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NextPage {
    /// Nothing: it is the last one.
    Last,
    /// Another one, which is asked for with this cursor.
    After(String),
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

/// Reads a request.
pub(super) fn parse(params: Params<'_>) -> Result<ListEntrances, RequestError> {
    let mut values = Values::read(FIELDS, params)?;
    let entrances = values.uuids(IDS).map(|ids| {
        let mut ids: Vec<EntranceId> = ids.into_iter().map(EntranceId::from).collect();
        ids.sort_unstable();
        ids.dedup();
        ids
    });
    Ok(ListEntrances {
        entrances,
        system: values.uuid(SYSTEM).map(Into::into),
        connected_account: values.uuid(ACCOUNT).map(Into::into),
        customer_key: values.text(CUSTOMER),
        location: values.uuid(LOCATION).map(Into::into),
        space: values.uuid(SPACE).map(Into::into),
        search: values.text(SEARCH),
        limit: values.number(LIMIT),
        page_cursor: values.text(CURSOR),
    })
}

/// Writes the body that goes to the upstream.
#[must_use]
pub fn encode(list: &ListEntrances) -> Vec<u8> {
    let id = |id: &dyn std::fmt::Display| Value::from(id.to_string());
    let ids = list.entrances.as_ref();
    let fields = [
        (IDS, ids.map(|ids| ids.iter().map(|entrance| id(entrance)).collect())),
        (SYSTEM, list.system.map(|system| id(&system))),
        (ACCOUNT, list.connected_account.map(|account| id(&account))),
        (CUSTOMER, list.customer_key.clone().map(Value::from)),
        (LOCATION, list.location.map(|location| id(&location))),
        (SPACE, list.space.map(|space| id(&space))),
        (SEARCH, list.search.clone().map(Value::from)),
        (LIMIT, list.limit.map(Value::from)),
        (CURSOR, list.page_cursor.clone().map(Value::from)),
    ];
    let given = fields.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
    Value::Object(given.collect()).to_string().into_bytes()
}

/// Reads a page. Fields that are not used may be anything.
///
/// # Errors
/// The first thing that is not as it must be.
pub fn parse_page(body: &[u8]) -> Result<EntrancePage, PageError> {
    let page: Map<String, Value> =
        serde_json::from_slice(body).map_err(|_| PageError::NotAnObject)?;
    if page.get("ok") != Some(&Value::Bool(true)) {
        return Err(PageError::NotOk);
    }
    let Some(Value::Array(entrances)) = page.get("acs_entrances") else {
        return Err(PageError::Field { field: "acs_entrances", must: "a list" });
    };
    let entrances = entrances.iter().zip(1..).map(|(value, number)| {
        let error = |(field, must)| PageError::Entrance { number, field, must };
        Entrance::read(value).map_err(error)
    });
    let entrances = entrances.collect::<Result<_, _>>()?;
    let next = page.get("pagination").map(next).transpose()?;
    Ok(EntrancePage { entrances, next })
}

fn next(pagination: &Value) -> Result<NextPage, PageError> {
    let error = |field, must| PageError::Field { field, must };
    let pagination = pagination.as_object().ok_or_else(|| error("pagination", "an object"))?;
    match pagination.get("has_next_page") {
        Some(Value::Bool(false)) => return Ok(NextPage::Last),
        Some(Value::Bool(true)) => {}
        _ => return Err(error("pagination.has_next_page", "true or false")),
    }
    let cursor = pagination.get("next_page_cursor").and_then(Value::as_str);
    cursor
        .filter(|text| !text.is_empty() && text.len() <= CURSOR_BYTES_MAX)
        .map(|text| NextPage::After(text.to_owned()))
        .ok_or_else(|| error("pagination.next_page_cursor", "a string of 1 to 16384 bytes"))
}

impl EntrancePage {
    /// What the next page is asked for with; nothing on the last.
    ///
    /// # Errors
    /// [`PageError::Field`] where Seam does not say what follows: the page is not taken for
    /// the last one.
    pub fn next_cursor(&self) -> Result<Option<String>, PageError> {
        match &self.next {
            Some(NextPage::Last) => Ok(None),
            Some(NextPage::After(cursor)) => Ok(Some(cursor.clone())),
            None => Err(PageError::Field { field: "pagination", must: "an object" }),
        }
    }
}

/// Writes the answer for the caller. The address of the next page is left out: it is Seam's,
/// and whoever followed it would leave the gateway.
pub(super) fn show(page: EntrancePage) -> Vec<u8> {
    let entrances: Vec<Value> = page.entrances.into_iter().map(|entrance| entrance.shown).collect();
    let mut answer = Map::new();
    answer.insert("acs_entrances".into(), entrances.into());
    if let Some(next) = page.next {
        let cursor = match next {
            NextPage::Last => None,
            NextPage::After(cursor) => Some(cursor),
        };
        let pagination = json!({
            "has_next_page": cursor.is_some(), "next_page_cursor": cursor, "next_page_url": null,
        });
        answer.insert("pagination".into(), pagination);
    }
    answer.insert("ok".into(), true.into());
    Value::Object(answer).to_string().into_bytes()
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

    fn read(value: &Value) -> Result<EntrancePage, PageError> {
        parse_page(value.to_string().as_bytes())
    }

    #[test]
    fn a_page_is_read_and_the_next_one_asked_for() {
        let found = read(&page()).unwrap();
        assert_eq!(found.entrances.len(), 1);
        assert_eq!(found.entrances[0].id.to_string(), ID);
        assert_eq!(found.entrances[0].display_name, " Zugang\n");
        assert_eq!(found.entrances[0].system.to_string(), SYSTEM);
        let page_cursor = found.next_cursor().unwrap();
        let asked = ListEntrances { limit: Some(500), page_cursor, ..ListEntrances::default() };
        assert_eq!(encode(&asked), br#"{"limit":500,"page_cursor":"c\"1"}"#);
        let mut last = page();
        last["pagination"] = json!({"has_next_page": false, "next_page_cursor": null});
        last["acs_entrances"] = json!([]);
        let none = EntrancePage { entrances: Vec::new(), next: Some(NextPage::Last) };
        assert_eq!(read(&last), Ok(none));
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
            assert_eq!(read(&page).unwrap_err().to_string(), expected, "{pointer}");
        }
        for body in ["", "[]", "null", "<html>", "{\"ok\":true}{}", "{\"ok\":"] {
            assert_eq!(parse_page(body.as_bytes()), Err(PageError::NotAnObject), "{body}");
        }
        assert_eq!(read(&json!({})), Err(PageError::NotOk));
    }

    proptest::proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(body in proptest::collection::vec(proptest::num::u8::ANY, 0..200)) {
            let _ = parse_page(&body);
        }
    }
}
