//! Entrances as Seam shows them: one, or a list in pages.
//!
//! A list can be narrowed by ids, by system and by name. Whatever else Seam could be asked for
//! is refused, not ignored: a list that is not narrowed as it was asked would mislead.

use serde_json::{Value, json};

use super::fixtures::{ACS_SYSTEM, Fixture};
use crate::domain::{EntranceId, ListEntrances};
use crate::seam::SeamError;

/// The most entrances that stand on a page.
const PAGE_LIMIT: usize = 500;

/// A page of those that are asked for.
pub(super) fn page(entrances: &[Fixture], asked: &ListEntrances) -> Result<String, SeamError> {
    for (is_given, field) in [
        (asked.connected_account.is_some(), "connected_account_id"),
        (asked.customer_key.is_some(), "customer_key"),
        (asked.location.is_some(), "location_id"),
        (asked.space.is_some(), "space_id"),
    ] {
        if is_given {
            let text = "is not known to the sandbox; leave it out";
            return Err(SeamError::invalid_input(Some(field), text));
        }
    }
    let limit = asked.limit.map_or(PAGE_LIMIT, usize::from).min(PAGE_LIMIT);
    let found = entrances.iter().filter(|entrance| is_asked_for(entrance, asked));
    let found: Vec<&Fixture> = found.collect();
    let first = match &asked.page_cursor {
        None => 0,
        Some(cursor) => (1..found.len())
            .find(|first| cursor_of(*first) == *cursor)
            .ok_or_else(|| SeamError::invalid_input(Some("page_cursor"), "is of no page"))?,
    };
    let mut rest = found.into_iter().skip(first);
    let shown: Vec<Value> = rest.by_ref().take(limit).map(entrance).collect();
    let next = rest.next().map(|_| cursor_of(first + limit));
    let pagination = json!({
        "has_next_page": next.is_some(),
        "next_page_cursor": next,
        "next_page_url": next.as_ref().map(|id| format!("https://seam.invalid/?page_cursor={id}")),
    });
    Ok(json!({ "acs_entrances": shown, "pagination": pagination, "ok": true }).to_string())
}

/// Says nothing of the entrances on the page, as a cursor should.
fn cursor_of(first: usize) -> String {
    format!("page-from-{first}")
}

/// Those of these ids, without pages.
pub(super) fn some(entrances: &[Fixture], ids: &[EntranceId]) -> String {
    let is = |fixture: &&Fixture| ids.iter().any(|id| id.to_string() == fixture.id);
    let shown: Vec<Value> = entrances.iter().filter(is).map(entrance).collect();
    json!({ "acs_entrances": shown, "ok": true }).to_string()
}

/// One entrance.
pub(super) fn one(entrances: &[Fixture], id: EntranceId) -> Result<String, SeamError> {
    let id = id.to_string();
    let found = entrances.iter().find(|entrance| entrance.id == id);
    let found =
        found.ok_or_else(|| SeamError::new("acs_entrance_not_found", "no such entrance"))?;
    Ok(json!({ "acs_entrance": entrance(found), "ok": true }).to_string())
}

fn is_asked_for(fixture: &Fixture, asked: &ListEntrances) -> bool {
    let is = |id: &EntranceId| id.to_string() == fixture.id;
    let by_id = asked.entrances.as_ref().is_none_or(|ids| ids.iter().any(is));
    let by_system = asked.system.is_none_or(|system| system.to_string() == ACS_SYSTEM);
    let name = fixture.name.to_lowercase();
    let by_name = asked.search.as_ref().is_none_or(|text| name.contains(&text.to_lowercase()));
    by_id && by_system && by_name
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

#[cfg(test)]
mod tests {
    use super::super::Fixtures;
    use super::*;
    use crate::domain::{Operation, Request};
    use crate::seam::{Params, parse, parse_page};

    fn asked(body: &str) -> ListEntrances {
        let params = Params::Body(body.as_bytes());
        match parse(Operation::ListEntrances, params).unwrap() {
            Request::ListEntrances(list) => *list,
            other @ (Request::GrantAccess(_) | Request::GetEntrance(_)) => panic!("{other:?}"),
        }
    }

    /// All pages of this size, as the gateway asks for them and reads them.
    fn pages(limit: u16) -> Vec<Vec<String>> {
        let (mut pages, mut cursor) = (Vec::new(), None::<String>);
        loop {
            let asked = ListEntrances {
                limit: Some(limit),
                page_cursor: cursor,
                ..ListEntrances::default()
            };
            let answer = page(Fixtures::entrances(), &asked).unwrap();
            let page = parse_page(answer.as_bytes()).unwrap();
            pages.push(page.entrances.iter().map(|e| e.id.to_string()).collect());
            cursor = page.next_cursor().unwrap();
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
    }

    #[test]
    fn a_list_is_narrowed_as_it_is_asked() {
        let names = |body: &str| -> Vec<String> {
            let answer = page(Fixtures::entrances(), &asked(body)).unwrap();
            let page = parse_page(answer.as_bytes()).unwrap();
            page.entrances.into_iter().map(|entrance| entrance.display_name).collect()
        };
        assert_eq!(names("{}").len(), 6);
        assert_eq!(names(r#"{"page_cursor":null}"#).len(), 6);
        assert_eq!(names(r#"{"search":"ROOM"}"#), ["server room", "room 1", "room 2"]);
        let ids = r#"{"acs_entrance_ids":["0a9f3c52-6f5e-4d0b-b1d4-93c4e7a8f216"]}"#;
        assert_eq!(names(ids), ["garage"]);
        assert_eq!(names(&format!(r#"{{"acs_system_id":"{ACS_SYSTEM}"}}"#)).len(), 6);
        let other = r#"{"acs_system_id":"0a9f3c52-6f5e-4d0b-b1d4-93c4e7a8f216"}"#;
        assert!(names(other).is_empty());
    }

    #[test]
    fn a_request_that_cannot_be_met_is_refused() {
        for (body, message) in [
            (r#"{"page_cursor":"x"}"#, "`page_cursor` is of no page"),
            (r#"{"customer_key":"a"}"#, "`customer_key` is not known to the sandbox; leave it out"),
        ] {
            let error = page(Fixtures::entrances(), &asked(body)).unwrap_err();
            assert_eq!((error.kind.as_str(), error.message.as_str()), ("invalid_input", message));
        }
    }
}
