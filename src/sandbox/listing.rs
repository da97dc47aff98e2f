//! The list of entrances, in pages as Seam gives it.
//!
//! A request may say `limit` and `page_cursor`. Whatever else Seam could be asked for is
//! refused, not ignored: a list that is not narrowed as it was asked would mislead.

use serde_json::{Map, Value, json};

use super::fixtures::{ACS_SYSTEM, Fixture};
use crate::seam::{PAGE_LIMIT_MAX, SeamError};

/// The answer to a request with this body: a page, or what is wrong with the request.
pub(super) fn page(entrances: &[Fixture], body: &[u8]) -> Result<String, SeamError> {
    let (limit, cursor) = request(body)?;
    let first = match cursor {
        None => 0,
        Some(cursor) => entrances
            .iter()
            .position(|entrance| entrance.id == cursor)
            .ok_or_else(|| SeamError::invalid_input(Some("page_cursor"), "is of no page"))?,
    };
    let mut rest = entrances.iter().skip(first);
    let shown: Vec<Value> = rest.by_ref().take(limit).map(entrance).collect();
    // The cursor names the first entrance of the page that it leads to.
    let next = rest.next().map(|entrance| entrance.id);
    let pagination = json!({
        "has_next_page": next.is_some(), "next_page_cursor": next, "next_page_url": null,
    });
    Ok(json!({ "acs_entrances": shown, "pagination": pagination, "ok": true }).to_string())
}

fn entrance(fixture: &Fixture) -> Value {
    json!({
        "acs_entrance_id": fixture.id,
        "acs_system_id": ACS_SYSTEM,
        "display_name": fixture.name,
        "created_at": "2026-01-01T00:00:00.000Z",
        "errors": [],
        "warnings": [],
    })
}

/// `limit` and `page_cursor`.
fn request(body: &[u8]) -> Result<(usize, Option<String>), SeamError> {
    let refuse = |field: &str, text: &str| Err(SeamError::invalid_input(Some(field), text));
    let fields: Map<String, Value> = serde_json::from_slice(body)
        .map_err(|_| SeamError::invalid_input(None, "the body is not a JSON object"))?;
    let (mut limit, mut cursor) = (u64::from(PAGE_LIMIT_MAX), None);
    for (field, value) in fields {
        match (field.as_str(), value) {
            ("limit", value) => match value.as_u64() {
                Some(number) if (1..=u64::from(PAGE_LIMIT_MAX)).contains(&number) => limit = number,
                _ => return refuse(&field, "must be a whole number from 1 to 500"),
            },
            ("page_cursor", Value::Null) => {}
            ("page_cursor", Value::String(text)) => cursor = Some(text),
            ("page_cursor", _) => return refuse(&field, "must be a string"),
            _ => return refuse(&field, "is not known to the sandbox; leave it out"),
        }
    }
    Ok((usize::try_from(limit).unwrap_or(usize::MAX), cursor))
}

#[cfg(test)]
mod tests {
    use super::super::Fixtures;
    use super::*;
    use crate::seam::{encode_list, parse_entrances};

    /// All pages of this size, as the gateway asks for them and reads them.
    fn pages(limit: u16) -> Vec<Vec<String>> {
        let (mut pages, mut cursor) = (Vec::new(), None::<String>);
        loop {
            let body = encode_list(cursor.as_deref(), limit);
            let answer = page(Fixtures::entrances(), &body).unwrap();
            let page = parse_entrances(answer.as_bytes()).unwrap();
            pages.push(page.entrances.into_iter().map(|e| e.id.to_string()).collect());
            cursor = page.next_page_cursor;
            if cursor.is_none() {
                return pages;
            }
        }
    }

    #[test]
    fn every_size_of_page_gives_every_entrance_once() {
        let all: Vec<&str> = Fixtures::entrances().iter().map(|fixture| fixture.id).collect();
        for (limit, sizes) in
            [(1, vec![1; 6]), (2, vec![2, 2, 2]), (4, vec![4, 2]), (6, vec![6]), (500, vec![6])]
        {
            let pages = pages(limit);
            assert_eq!(pages.iter().map(Vec::len).collect::<Vec<_>>(), sizes, "{limit}");
            assert_eq!(pages.concat(), all, "{limit}");
        }
        let answer = page(Fixtures::entrances(), b"{}").unwrap();
        assert_eq!(parse_entrances(answer.as_bytes()).unwrap().entrances.len(), 6);
        assert!(page(Fixtures::entrances(), br#"{"page_cursor":null}"#).is_ok());
    }

    #[test]
    fn a_request_that_cannot_be_met_is_refused() {
        for (body, message) in [
            ("", "the body is not a JSON object"),
            ("[]", "the body is not a JSON object"),
            (r#"{"limit":0}"#, "`limit` must be a whole number from 1 to 500"),
            (r#"{"limit":501}"#, "`limit` must be a whole number from 1 to 500"),
            (r#"{"limit":null}"#, "`limit` must be a whole number from 1 to 500"),
            (r#"{"page_cursor":"x"}"#, "`page_cursor` is of no page"),
            (r#"{"page_cursor":1}"#, "`page_cursor` must be a string"),
            (r#"{"search":"a"}"#, "`search` is not known to the sandbox; leave it out"),
        ] {
            let error = page(Fixtures::entrances(), body.as_bytes()).unwrap_err();
            assert_eq!((error.kind.as_str(), error.message.as_str()), ("invalid_input", message));
        }
    }
}
