//! `acs/users/list_accessible_entrances`: which entrances a person can open, says Seam. No
//! operation of a caller's: the gateway asks it for itself.

use serde_json::{Map, Value, json};

use crate::domain::{EntranceId, Grantee};

/// Where it is asked.
pub const ACCESSIBLE_ENTRANCES_PATH: &str = "/acs/users/list_accessible_entrances";

/// Writes the body of the question.
#[must_use]
pub fn ask_accessible(grantee: Grantee) -> Vec<u8> {
    let asked = match grantee {
        Grantee::AcsUser(id) => json!({ "acs_user_id": id.to_string() }),
        Grantee::UserIdentity(id) => json!({ "user_identity_id": id.to_string() }),
    };
    asked.to_string().into_bytes()
}

/// Whether Seam's answer has this entrance; none where it is no whole answer.
#[must_use]
pub fn is_accessible(entrance: EntranceId, body: &[u8]) -> Option<bool> {
    let answer: Map<String, Value> = serde_json::from_slice(body).ok()?;
    answer.get("ok").filter(|ok| **ok == Value::Bool(true))?;
    let listed = answer.get("acs_entrances")?.as_array()?;
    let ids: Option<Vec<EntranceId>> = listed
        .iter()
        .map(|one| EntranceId::parse(one.get("acs_entrance_id")?.as_str()?).ok())
        .collect();
    // The list has no pages; should it get some, its end is not known to be the end.
    let has_more = answer.get("pagination").and_then(|page| page.get("has_next_page"));
    match ids?.contains(&entrance) {
        true => Some(true),
        false => (has_more != Some(&Value::Bool(true))).then_some(false),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{AcsUserId, UserIdentityId};

    const LOBBY: &str = "d23d7180-c1ee-4bbe-8630-05df5031ce35";
    const PERSON: &str = "c6247b75-f1cb-493a-9915-a85a0b9639ae";

    #[test]
    fn the_person_is_asked_for_in_the_form_of_the_grant() {
        let user = Grantee::AcsUser(AcsUserId::parse(PERSON).unwrap());
        let asked = String::from_utf8(ask_accessible(user)).unwrap();
        assert_eq!(asked, format!("{{\"acs_user_id\":\"{PERSON}\"}}"));
        let identity = Grantee::UserIdentity(UserIdentityId::parse(PERSON).unwrap());
        let asked = String::from_utf8(ask_accessible(identity)).unwrap();
        assert_eq!(asked, format!("{{\"user_identity_id\":\"{PERSON}\"}}"));
    }

    #[test]
    fn only_a_whole_answer_says_anything() {
        let lobby = EntranceId::parse(LOBBY).unwrap();
        let entry = format!("{{\"acs_entrance_id\":\"{LOBBY}\",\"display_name\":\"x\"}}");
        let of =
            |list: &str, more: &str| format!("{{\"acs_entrances\":[{list}]{more},\"ok\":true}}");
        let more = ",\"pagination\":{\"has_next_page\":true}";
        for (body, said) in [
            (of("", ""), Some(false)),
            (of(&entry, ""), Some(true)),
            (of(&format!("{{\"acs_entrance_id\":\"{PERSON}\"}},{entry}"), ""), Some(true)),
            (
                of(&entry.to_uppercase().replace("ACS_ENTRANCE_ID", "acs_entrance_id"), ""),
                Some(true),
            ),
            (of(&entry, more), Some(true)),
            (of("", more), None),
            (of("{}", ""), None),
            (of(&format!("{entry},{{\"acs_entrance_id\":7}}"), ""), None),
            (of(&entry, "").replace("true", "false"), None),
            ("{\"ok\":true}".into(), None),
            ("<html>".into(), None),
            (String::new(), None),
        ] {
            assert_eq!(is_accessible(lobby, body.as_bytes()), said, "{body}");
        }
    }
}
