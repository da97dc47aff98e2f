use super::*;
use crate::seam::SeamError;
use crate::seam::strict::Params;
use proptest::prelude::*;

const E: &str = "d23d7180-c1ee-4bbe-8630-05df5031ce35";
const U: &str = "c6247b75-f1cb-493a-9915-a85a0b9639ae";

fn read(body: &[u8]) -> Result<GrantRequest, RequestError> {
    parse(Params::Body(body))
}

fn reason(body: &[u8]) -> Reason {
    read(body).unwrap_err().reason
}

#[test]
fn a_grant_is_read_in_both_forms_and_in_either_case() {
    let upper = E.to_uppercase();
    let grant =
        read(format!(" {{\"acs_entrance_id\":\"{upper}\",\"acs_user_id\":\"{U}\"}}\n").as_bytes())
            .unwrap();
    assert_eq!(
        String::from_utf8(encode(&grant)).unwrap(),
        format!(r#"{{"acs_entrance_id":"{E}","acs_user_id":"{U}"}}"#)
    );
    let grant = read(format!(r#"{{"user_identity_id":"{U}","acs_entrance_id":"{E}"}}"#).as_bytes())
        .unwrap();
    assert_eq!(
        String::from_utf8(encode(&grant)).unwrap(),
        format!(r#"{{"acs_entrance_id":"{E}","user_identity_id":"{U}"}}"#)
    );
}

#[test]
fn an_escaped_spelling_of_a_key_is_the_same_key() {
    let body = format!(r#"{{"\u0061cs_entrance_id":"{E}","acs_user_id":"{U}"}}"#);
    assert!(read(body.as_bytes()).is_ok());
}

#[test]
fn whatever_could_be_read_in_two_ways_is_refused() {
    use Reason as R;
    let ok = format!(r#""acs_entrance_id":"{E}","acs_user_id":"{U}""#);
    let simple = E.replace('-', "");
    let table: Vec<(&str, String, Reason)> = vec![
        ("empty", String::new(), R::BodyEmpty),
        ("byte order mark", format!("\u{feff}{{{ok}}}"), R::BodyByteOrderMark),
        ("only space", "  ".into(), R::BodyNotJson),
        ("array", format!(r#"["{E}","{U}"]"#), R::BodyNotObject),
        ("string", format!("\"{E}\""), R::BodyNotObject),
        ("null", "null".into(), R::BodyNotObject),
        ("form", format!("acs_entrance_id={E}"), R::BodyNotJson),
        ("cut off", format!("{{{ok}"), R::BodyNotJson),
        ("trailing comma", format!("{{{ok},}}"), R::BodyNotJson),
        ("single quotes", format!("{{'acs_entrance_id':'{E}'}}"), R::BodyNotJson),
        ("comment", format!("{{{ok}/* */}}"), R::BodyNotJson),
        ("two objects", format!("{{{ok}}}{{{ok}}}"), R::BodyTrailingBytes),
        ("trailing bytes", format!("{{{ok}}} x"), R::BodyTrailingBytes),
        ("trailing NUL", format!("{{{ok}}}\0"), R::BodyTrailingBytes),
        ("NaN", r#"{"acs_entrance_id":NaN}"#.into(), R::BodyNotJson),
        ("duplicate", format!(r#"{{{ok},"acs_user_id":"{U}"}}"#), R::BodyDuplicateKey),
        (
            "duplicate with escape",
            format!(r#"{{{ok},"\u0061cs_entrance_id":"{U}"}}"#),
            R::BodyDuplicateKey,
        ),
        ("unknown key", format!(r#"{{{ok},"extra":1}}"#), R::BodyUnknownKey),
        ("key in other case", format!(r#"{{"ACS_entrance_id":"{E}"}}"#), R::BodyUnknownKey),
        ("key with NUL", format!(r#"{{"acs_entrance_id\u0000":"{E}"}}"#), R::BodyUnknownKey),
        ("empty key", format!(r#"{{"":"{E}"}}"#), R::BodyUnknownKey),
        ("both grantees", format!(r#"{{{ok},"user_identity_id":"{U}"}}"#), R::GranteeAmbiguous),
        ("no grantee", format!(r#"{{"acs_entrance_id":"{E}"}}"#), R::GranteeMissing),
        ("no entrance", format!(r#"{{"acs_user_id":"{U}"}}"#), R::EntranceMissing),
        ("no field", "{}".into(), R::EntranceMissing),
        ("null entrance", r#"{"acs_entrance_id":null}"#.into(), R::FieldNull),
        ("null beside", format!(r#"{{{ok},"user_identity_id":null}}"#), R::FieldNull),
        ("number", r#"{"acs_entrance_id":1}"#.into(), R::FieldNotString),
        ("float", r#"{"acs_entrance_id":1e9}"#.into(), R::FieldNotString),
        ("boolean", r#"{"acs_entrance_id":true}"#.into(), R::FieldNotString),
        ("list", format!(r#"{{"acs_entrance_id":["{E}"]}}"#), R::FieldNotString),
        ("object", format!(r#"{{"acs_entrance_id":{{"a":"{E}"}}}}"#), R::FieldNotString),
        ("empty uuid", r#"{"acs_entrance_id":""}"#.into(), R::FieldNotUuid),
        ("no hyphens", format!(r#"{{"acs_entrance_id":"{simple}"}}"#), R::FieldNotUuid),
        ("braces", format!(r#"{{"acs_entrance_id":"{{{E}}}"}}"#), R::FieldNotUuid),
        ("urn", format!(r#"{{"acs_entrance_id":"urn:uuid:{E}"}}"#), R::FieldNotUuid),
        ("space", format!(r#"{{"acs_entrance_id":" {E}"}}"#), R::FieldNotUuid),
        ("escaped NUL", format!(r#"{{"acs_entrance_id":"{E}\u0000"}}"#), R::FieldNotUuid),
        ("lone surrogate", r#"{"acs_entrance_id":"\ud800"}"#.into(), R::BodyNotJson),
        ("deep", format!("{{\"acs_entrance_id\":{}", "[".repeat(4000)), R::BodyNotJson),
    ];
    for (name, body, expected) in table {
        let error = read(body.as_bytes()).unwrap_err();
        assert_eq!(error.reason, expected, "{name}: {body}");
        let repeated = error.field.is_some() && error.message.contains(['`', '_']);
        assert!(!repeated, "{name}: {} {}", error.field.unwrap_or_default(), error.message);
    }
    assert_eq!(reason(b"{\"acs_entrance_id\":\"\xff\"}"), R::BodyNotUtf8);
    assert_eq!(reason(b"\xff\xfe{\0}\0"), R::BodyNotUtf8);
}

#[test]
fn a_message_names_the_field_once_and_nothing_of_the_body() {
    for (body, shown) in [
        ("{}".to_owned(), "`acs_entrance_id` is required"),
        (
            r#"{"acs_user_id":"secret"}"#.to_owned(),
            "`acs_user_id` must be a uuid of 36 characters with hyphens",
        ),
        (
            r#"{"acs_user_id":null}"#.to_owned(),
            "`acs_user_id` must not be null; leave the field out",
        ),
        (r#"{"acs_user_id":["secret"]}"#.to_owned(), "`acs_user_id` must be a string"),
        (format!(r#"{{"acs_user_id":"{U}","acs_user_id":"{U}"}}"#), "`acs_user_id` occurs twice"),
    ] {
        let RequestError { field, message, .. } = read(body.as_bytes()).unwrap_err();
        let error = SeamError::invalid_input(field, message);
        assert_eq!(error.message, shown, "{body}");
        let of_field = &error.validation_errors.unwrap()[field.unwrap()]["_errors"][0];
        assert_eq!(of_field.as_str(), Some(message), "what an SDK gives for the field");
    }
}

#[test]
fn only_an_object_with_ok_true_confirms() {
    for (body, confirmed) in [
        (r#"{"ok":true}"#, true),
        (r#" {"ok":true,"extra":{}} "#, true),
        (r#"{"ok":false}"#, false),
        (r#"{"ok":"true"}"#, false),
        (r#"{"ok":1}"#, false),
        (r#"{"ok":true,"ok":true}"#, false),
        (r#"{"ok":false,"ok":true}"#, false),
        (r#"{"ok":true}x"#, false),
        (r"{}", false),
        (r"[true]", false),
        ("", false),
        ("<html>ok</html>", false),
    ] {
        assert_eq!(confirms(body.as_bytes()), confirmed, "{body}");
    }
}

proptest! {
    /// What is accepted reads the same to a lenient parser, and re-encodes to the same value.
    #[test]
    fn accepted_bodies_have_one_reading(body in r#"\{("(acs_entrance_id|acs_user_id|user_identity_id)":"[0-9a-fA-F]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}",? ?){1,3}\}"#) {
        if let Ok(grant) = read(body.as_bytes()) {
            let lenient: serde_json::Value = serde_json::from_str(&body).unwrap();
            let encoded: serde_json::Value = serde_json::from_slice(&encode(&grant)).unwrap();
            let lower: serde_json::Value = serde_json::from_str(&lenient.to_string().to_lowercase()).unwrap();
            prop_assert_eq!(&lower, &encoded);
            prop_assert_eq!(read(&encode(&grant)), Ok(grant));
        }
    }

    #[test]
    fn arbitrary_bytes_never_panic(body in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = read(&body);
    }
}
