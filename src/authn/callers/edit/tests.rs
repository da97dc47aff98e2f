//! Edits, and what they leave as it is.

use super::*;
use crate::authn::callers::Suspension;
use crate::authn::{TokenDigest, TokenForm};

const FILE: &str = "# Owned by the security team.\n\n[[caller]]\nid = \"desk\" # tablets\n";

fn id(text: &str) -> CallerId {
    CallerId::parse(text).unwrap()
}

fn time(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn token(name: &str) -> NewToken<'_> {
    NewToken { name, sha256: TokenDigest::of(name), expires: None, form: TokenForm::ApiKey }
}

fn added(text: &str, caller: &str, new: NewToken<'_>) -> Result<String, EditError> {
    add_token("c.toml", text, &id(caller), None, new)
}

fn rotated(text: &str, new: &str, old: Option<&str>, until: &str) -> Result<String, EditError> {
    let rotation = Rotation { new: token(new), old, until: time(until) };
    rotate("c.toml", text, &id("desk"), rotation)
}

/// The names of a caller's tokens, with when they expire.
fn tokens(text: &str) -> Vec<(String, Option<String>)> {
    let callers = Callers::parse("c.toml", text.as_bytes()).unwrap();
    let desk = callers.all().iter().find(|caller| caller.id == id("desk")).unwrap();
    let tokens = desk.tokens.iter();
    tokens.map(|t| (t.name.clone(), t.expires.map(|time| time.to_string()))).collect()
}

#[test]
fn edits_keep_comments_and_other_callers() {
    let text = added(FILE, "desk", token("2026-11")).unwrap();
    let expires = Some(time("2027-02-01T00:00:00Z"));
    let two = NewToken { expires, ..token("a") };
    let text = add_token("c.toml", &text, &id("rota"), Some("plan"), two).unwrap();
    assert!(text.starts_with("# Owned by the security team.\n"), "{text}");
    assert!(text.contains("id = \"desk\" # tablets"), "{text}");
    assert!(text.contains("expires = 2027-02-01T00:00:00Z"), "{text}");
    let callers = Callers::parse("c.toml", text.as_bytes()).unwrap();
    assert_eq!(callers.by_token(two.sha256).unwrap().caller, id("rota"));

    let text = revoke("c.toml", &text, &id("desk"), Removed::Token("2026-11")).unwrap();
    let callers = Callers::parse("c.toml", text.as_bytes()).unwrap();
    assert!(callers.by_token(token("2026-11").sha256).is_none());
    assert!(callers.contains(&id("desk")), "the caller stays, without a token");
    let without = revoke("c.toml", &text, &id("rota"), Removed::Caller).unwrap();
    assert!(!without.contains("rota"), "{without}");
    assert!(without.contains("# tablets"), "{without}");
    // What is written above the first caller is about the file.
    let last = revoke("c.toml", &text, &id("desk"), Removed::Caller).unwrap();
    assert!(
        last.starts_with("# Owned by the security team.\n\n[[caller]]\nid = \"rota\""),
        "{last}"
    );
    let none = revoke("c.toml", &last, &id("rota"), Removed::Caller).unwrap();
    assert_eq!(none, "# Owned by the security team.\n");
}

#[test]
fn an_edit_that_cannot_be_made_says_why() {
    let text = added(FILE, "desk", token("a")).unwrap();
    assert!(matches!(added(&text, "desk", token("a")), Err(EditError::TokenExists(..))));
    let taken = added(&text, "rota", token("a"));
    assert!(matches!(taken, Err(EditError::Invalid(..))), "one token, two callers");
    let removed = |caller, removed| revoke("c", &text, &id(caller), removed);
    assert!(matches!(removed("no", Removed::Caller), Err(EditError::NoSuchCaller(_))));
    assert!(matches!(removed("no", Removed::Tokens), Err(EditError::NoSuchCaller(_))));
    assert!(matches!(removed("desk", Removed::Token("b")), Err(EditError::NoSuchToken(..))));
    let all = removed("desk", Removed::Tokens).unwrap();
    assert!(tokens(&all).is_empty());
    let again = revoke("c", &all, &id("desk"), Removed::Tokens);
    assert!(matches!(again, Err(EditError::NoToken(_))));
    let invalid = revoke("c", "x = 1", &id("a"), Removed::Caller);
    assert!(matches!(invalid, Err(EditError::Invalid(_))));
    let until = "2027-01-01T00:00:00Z";
    assert!(matches!(rotated(FILE, "b", None, until), Err(EditError::NoToken(_))));
    assert!(matches!(rotated(&text, "b", Some("c"), until), Err(EditError::NoSuchToken(..))));
    assert!(matches!(rotated(&text, "a", None, until), Err(EditError::TokenExists(..))));
}

#[test]
fn a_rotation_gives_old_tokens_an_end_and_none_more_time() {
    let until = "2027-01-01T00:00:00Z";
    let mut text = added(FILE, "desk", token("a")).unwrap();
    for (name, expires) in [("b", "2026-12-24T00:00:00Z"), ("c", "2030-01-01T00:00:00Z")] {
        let new = NewToken { expires: Some(time(expires)), ..token(name) };
        text = added(&text, "desk", new).unwrap();
    }
    let shown = |found: Vec<(String, Option<String>)>| {
        found
            .iter()
            .map(|(n, e)| format!("{n} {}", e.as_deref().unwrap_or("-")))
            .collect::<Vec<_>>()
    };
    let all = rotated(&text, "d", None, until).unwrap();
    let earlier = "b 2026-12-24T00:00:00Z";
    let ends = ["a 2027-01-01T00:00:00Z", earlier, "c 2027-01-01T00:00:00Z", "d -"];
    assert_eq!(shown(tokens(&all)), ends);
    let one = rotated(&text, "d", Some("c"), until).unwrap();
    assert_eq!(shown(tokens(&one)), ["a -", earlier, "c 2027-01-01T00:00:00Z", "d -"]);
}

#[test]
fn a_suspension_is_written_once_and_taken_back_whole() {
    let since = time("2026-11-28T10:00:00.7Z");
    let suspension = Suspension { since, reason: "\"lost\" tablet".into() };
    let text = added(FILE, "desk", token("a")).unwrap();
    let suspended = suspend("c.toml", &text, &id("desk"), &suspension).unwrap().unwrap();
    let callers = Callers::parse("c.toml", suspended.as_bytes()).unwrap();
    let found = callers.suspension(&id("desk")).unwrap();
    assert_eq!(found.reason, suspension.reason);
    assert_eq!(found.since.as_second(), since.as_second());
    let again = Suspension { reason: "other".into(), ..suspension.clone() };
    assert!(
        suspend("c.toml", &suspended, &id("desk"), &again).unwrap().is_none(),
        "the first stays"
    );
    assert_eq!(resume("c.toml", &suspended, &id("desk")).unwrap().unwrap(), text);
    assert!(resume("c.toml", &text, &id("desk")).unwrap().is_none());
    let unknown = suspend("c.toml", &text, &id("no"), &suspension);
    assert!(matches!(unknown, Err(EditError::NoSuchCaller(_))));
    assert!(matches!(resume("c.toml", &text, &id("no")), Err(EditError::NoSuchCaller(_))));
}

/// Files as people write them, with the token `TOKEN` where one is.
const LAYOUTS: [&str; 5] = [
    "[[caller]]\nid = \"desk\"\ntokens = [TOKEN] # here\n",
    "[[caller]]\nid = \"desk\"\ntokens = [ TOKEN ]\n# below\n",
    "[[caller]]\nid = \"desk\"\ntokens = [\n  # above\n  TOKEN, # beside\n  # below\n]\n",
    "[[caller]]\nid = \"desk\"\ntokens = [\n  # above\n  TOKEN # beside\n]\n\n# end\n",
    "[[caller]]\nid = \"desk\"\n\n# above\n[[caller.tokens]]\nname = \"a\"\nsha256 = \"DIGEST\" # x\n",
];

fn laid_out(layout: &str) -> String {
    let digest = TokenDigest::of("a").to_string();
    let token = "{ name = \"a\", sha256 = \"DIGEST\" }";
    layout.replace("TOKEN", token).replace("DIGEST", &digest)
}

#[test]
fn whatever_the_layout_every_comment_stays_with_its_token() {
    for layout in LAYOUTS {
        let text = laid_out(layout);
        let more = rotated(&text, "b", None, "2027-01-01T00:00:00Z").unwrap();
        let names: Vec<String> = tokens(&more).into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["a", "b"], "{more}");
        for line in text.lines() {
            // Beside the values it may have more in it.
            let kept = |word: &str| more.lines().any(|line| line.contains(word));
            let comment = line.split_once('#').map(|(_, comment)| comment);
            assert!(comment.is_none_or(|comment| kept(&format!("#{comment}"))), "{line}: {more}");
        }
        let beside = |text: &str, token: &str| {
            let line = text.lines().find(|line| line.contains(&format!("name = \"{token}\"")));
            line.and_then(|line| line.split_once('#')).map(|(_, comment)| comment.to_owned())
        };
        if layout.contains("# beside") {
            assert_eq!(beside(&more, "a").as_deref(), Some(" beside"), "{more}");
            assert_eq!(beside(&more, "b"), None, "{more}");
        }
        // The other way round: the new one goes, and the text is what it was but for the end.
        let back = revoke("c", &more, &id("desk"), Removed::Token("b")).unwrap();
        let without_end = back.replace(", expires = 2027-01-01T00:00:00Z", "");
        let without_end = without_end.replace("expires = 2027-01-01T00:00:00Z\n", "");
        let bare = |text: &str| text.replace("},", "}");
        assert_eq!(bare(&without_end), bare(&text), "{more}");
    }
}

#[test]
fn an_end_that_is_set_keeps_what_is_written_beside_it() {
    let digest = TokenDigest::of("a");
    let text = format!(
        "[[caller]]\nid = \"desk\"\n[[caller.tokens]]\nname = \"a\"\n\
         expires = 2030-01-01T00:00:00Z # as the contract\nsha256 = \"{digest}\"\n"
    );
    let text = rotated(&text, "b", None, "2027-01-01T00:00:00Z").unwrap();
    assert!(text.contains("expires = 2027-01-01T00:00:00Z # as the contract\n"), "{text}");
}
