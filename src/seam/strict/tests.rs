use super::*;
use crate::domain::{Operation, Request};
use crate::seam;
use proptest::prelude::*;

const A: &str = "d23d7180-c1ee-4bbe-8630-05df5031ce35";
const B: &str = "5f0c2a4e-8d6b-4c1f-9a37-2b9e6d1c7f08";

fn list(params: Params<'_>) -> Result<Request, RequestError> {
    seam::parse(Operation::ListEntrances, params)
}

fn sent(request: Result<Request, RequestError>) -> String {
    String::from_utf8(seam::encode(&request.unwrap())).unwrap()
}

#[test]
fn every_form_that_sdks_send_is_read_as_the_same() {
    let body = format!(r#"{{"acs_entrance_ids":["{A}","{B}"],"limit":10,"search":"a b,c+d"}}"#);
    let query = format!(
        "acs_entrance_ids={A}&acs_entrance_ids={B}&limit=10&search=a+b%2Cc%2Bd&_strict=true"
    );
    let read = list(Params::Body(body.as_bytes()));
    assert_eq!(read, list(Params::Query(&query)));
    // Sorted: in what order they are asked for says nothing.
    assert_eq!(
        sent(read),
        format!(r#"{{"acs_entrance_ids":["{B}","{A}"],"limit":10,"search":"a b,c+d"}}"#)
    );
    for params in [Params::Absent, Params::Query(""), Params::Query("_strict=true")] {
        assert_eq!(sent(list(params)), "{}");
    }
    for params in [Params::Query("page_cursor="), Params::Body(br#"{"page_cursor":null}"#)] {
        assert_eq!(sent(list(params)), "{}", "null says nothing");
    }
    let cursor = Params::Query("page_cursor=abc%2B%2F%3D&_strict=true");
    assert_eq!(sent(list(cursor)), r#"{"page_cursor":"abc+/="}"#);
    let twice = format!("acs_entrance_ids={A}&acs_entrance_ids={}", A.to_uppercase());
    assert_eq!(sent(list(Params::Query(&twice))), format!(r#"{{"acs_entrance_ids":["{A}"]}}"#));
}

#[test]
fn a_query_that_could_be_read_in_two_ways_is_refused() {
    use Reason as R;
    let many = vec![format!("acs_entrance_ids={A}"); 201].join("&");
    let long = format!("search={}", "a".repeat(501));
    for (query, reason) in [
        (format!("acs_entrance_ids={A},{B}").as_str(), R::FieldNotUuid),
        (&format!("acs_entrance_ids%5B%5D={A}"), R::BodyUnknownKey),
        (&format!("acs_entrance_ids[]={A}"), R::BodyUnknownKey),
        (&format!("acs_entrance_ids[0]={A}"), R::BodyUnknownKey),
        (&format!("acs_entrance_ids.0={A}"), R::BodyUnknownKey),
        ("acs_entrance_ids=", R::FieldInvalid),
        (&format!("acs_entrance_ids={A}&acs_entrance_ids="), R::FieldNotUuid),
        (&many, R::FieldInvalid),
        (&format!("acs_system_id={A}&acs_system_id={A}"), R::BodyDuplicateKey),
        ("acs_system_id=", R::FieldNotUuid),
        ("limit=1&limit=1", R::BodyDuplicateKey),
        ("page_cursor=&page_cursor=", R::BodyDuplicateKey),
        ("limit=0", R::FieldInvalid),
        ("limit=01", R::FieldInvalid),
        ("limit=-1", R::FieldInvalid),
        ("limit=1.0", R::FieldInvalid),
        ("limit=1001", R::FieldInvalid),
        ("limit=99999999999999999999", R::FieldInvalid),
        ("limit=", R::FieldInvalid),
        ("search=", R::FieldInvalid),
        ("search=%00", R::FieldInvalid),
        (&long, R::FieldInvalid),
        ("_strict=false", R::QueryInvalid),
        ("_strict=true&_strict=true", R::QueryInvalid),
        ("Search=a", R::BodyUnknownKey),
        ("acs_credential_id=d23d7180-c1ee-4bbe-8630-05df5031ce35", R::BodyUnknownKey),
        ("search", R::QueryInvalid),
        ("&search=a", R::QueryInvalid),
        ("search=a&", R::QueryInvalid),
        ("search=%", R::QueryInvalid),
        ("search=%2", R::QueryInvalid),
        ("search=%zz", R::QueryInvalid),
        ("search=%+1", R::QueryInvalid),
        ("search=%ff", R::QueryInvalid),
        ("search=a;limit=1", R::Overloaded),
    ] {
        let found = list(Params::Query(query));
        if reason == R::Overloaded {
            assert!(found.is_ok(), "a semicolon separates nothing: {query}");
            continue;
        }
        assert_eq!(found.unwrap_err().reason, reason, "{query}");
    }
}

#[test]
fn a_list_in_a_body_holds_what_it_says() {
    use Reason as R;
    let many = format!(r#"{{"acs_entrance_ids":[{}]}}"#, vec![format!("\"{A}\""); 201].join(","));
    for (body, reason) in [
        (r#"{"acs_entrance_ids":[]}"#, R::FieldInvalid),
        (r#"{"acs_entrance_ids":null}"#, R::FieldNull),
        (r#"{"acs_entrance_ids":[null]}"#, R::FieldInvalid),
        (r#"{"acs_entrance_ids":[["d23d7180-c1ee-4bbe-8630-05df5031ce35"]]}"#, R::FieldInvalid),
        (r#"{"acs_entrance_ids":["x"]}"#, R::FieldNotUuid),
        (r#"{"acs_entrance_ids":"d23d7180-c1ee-4bbe-8630-05df5031ce35"}"#, R::FieldInvalid),
        (r#"{"acs_entrance_ids":{}}"#, R::FieldInvalid),
        (&many, R::FieldInvalid),
        (r#"{"limit":1.0}"#, R::FieldInvalid),
        (r#"{"limit":"1"}"#, R::FieldInvalid),
        (r#"{"limit":true}"#, R::FieldInvalid),
        (r#"{"limit":0}"#, R::FieldInvalid),
        (r#"{"limit":65537}"#, R::FieldInvalid),
        (r#"{"search":1}"#, R::FieldNotString),
        (r#"{"search":["a"]}"#, R::FieldNotString),
        (r#"{"_strict":true}"#, R::BodyUnknownKey),
        (r#"{"access_method_id":"d23d7180-c1ee-4bbe-8630-05df5031ce35"}"#, R::BodyUnknownKey),
        ("null", R::BodyNotObject),
    ] {
        assert_eq!(list(Params::Body(body.as_bytes())).unwrap_err().reason, reason, "{body}");
    }
}

#[test]
fn one_entrance_needs_its_id() {
    let get = |params| seam::parse(Operation::GetEntrance, params);
    let query = format!("acs_entrance_id={A}&_strict=true");
    assert_eq!(sent(get(Params::Query(&query))), format!(r#"{{"acs_entrance_id":"{A}"}}"#));
    assert_eq!(get(Params::Absent).unwrap_err().reason, Reason::EntranceMissing);
    let twice = format!("acs_entrance_id={A}&acs_entrance_id={A}");
    assert_eq!(get(Params::Query(&twice)).unwrap_err().reason, Reason::BodyDuplicateKey);
}

proptest! {
    /// Any text goes through a query unchanged, or is refused.
    #[test]
    fn a_text_has_one_reading(text in ".{1,80}") {
        let mut url = reqwest::Url::parse("https://seam.test/").unwrap();
        url.query_pairs_mut().append_pair("search", &text);
        let query = url.query().unwrap();
        match list(Params::Query(query)) {
            Ok(request) => {
                let read: serde_json::Value = serde_json::from_slice(&seam::encode(&request)).unwrap();
                prop_assert_eq!(read["search"].as_str(), Some(text.as_str()));
            }
            Err(error) => {
                let refused = text.chars().any(char::is_control);
                prop_assert!(refused && error.reason == Reason::FieldInvalid, "{:?}", error);
            }
        }
    }

    #[test]
    fn arbitrary_queries_never_panic(query in "[a-z_=&%+0-9\\[\\]]{0,60}") {
        let _ = list(Params::Query(&query));
    }
}
