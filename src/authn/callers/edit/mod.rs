//! Edits of the callers file that keep its comments and layout.
//!
//! Both edits take the file's text and give the new text; the command line writes it
//! by rename, so that a reader sees the old file or the new one, never half of one.

use jiff::Timestamp;
use toml_edit::{Array, ArrayOfTables, DocumentMut, InlineTable, Item, Table, Value, value};

use super::Callers;
use crate::authn::TokenDigest;
use crate::domain::{CallerId, Problem};

/// Why a callers file was not edited.
#[derive(Debug, thiserror::Error)]
pub enum EditError {
    /// The file is not valid before, or would not be valid after the edit.
    #[error("the callers file is not valid")]
    Invalid(Vec<Problem>),
    /// The caller has a token of this name.
    #[error("caller `{0}` has a token `{1}` already; choose another name with --name")]
    TokenExists(CallerId, String),
    /// There is no such caller.
    #[error("there is no caller `{0}`; `grantgate caller list` shows them")]
    NoSuchCaller(CallerId),
    /// The caller has no such token.
    #[error("caller `{0}` has no token `{1}`; `grantgate caller list` shows them")]
    NoSuchToken(CallerId, String),
}

/// Adds a token to a caller, and the caller when it is new.
///
/// # Errors
/// [`EditError`]; the text is then to be left as it is.
pub fn add_token(
    file: &str,
    text: &str,
    caller: &CallerId,
    description: Option<&str>,
    name: &str,
    sha256: TokenDigest,
    expires: Option<Timestamp>,
) -> Result<String, EditError> {
    let mut document = open(file, text)?;
    let tables = caller_tables(&mut document)?;
    let position = tables.iter().position(|t| is_caller(t, caller));
    let token = token_table(name, sha256, expires);
    if let Some(table) = position.and_then(|i| tables.get_mut(i)) {
        if let Some(description) = description {
            table.insert("description", value(description));
        }
        let tokens = table.entry("tokens").or_insert_with(|| value(Array::new()));
        if has_token(tokens, name) {
            return Err(EditError::TokenExists(caller.clone(), name.to_owned()));
        }
        push_token(tokens, token);
    } else {
        let mut table = Table::new();
        table.insert("id", value(caller.as_str()));
        if let Some(description) = description {
            table.insert("description", value(description));
        }
        table.insert("tokens", value(Array::from_iter([token])));
        table.decor_mut().set_prefix("\n");
        tables.push(table);
    }
    close(file, document)
}

/// Removes one token of a caller, or the caller with all its credentials.
///
/// # Errors
/// [`EditError`]; the text is then to be left as it is.
pub fn revoke(
    file: &str,
    text: &str,
    caller: &CallerId,
    token: Option<&str>,
) -> Result<String, EditError> {
    let mut document = open(file, text)?;
    let tables = caller_tables(&mut document)?;
    let Some(position) = tables.iter().position(|t| is_caller(t, caller)) else {
        return Err(EditError::NoSuchCaller(caller.clone()));
    };
    match token {
        None => {
            tables.remove(position);
        }
        Some(name) => {
            let tokens = tables.get_mut(position).and_then(|t| t.get_mut("tokens"));
            if !tokens.is_some_and(|tokens| remove_token(tokens, name)) {
                return Err(EditError::NoSuchToken(caller.clone(), name.to_owned()));
            }
        }
    }
    close(file, document)
}

fn open(file: &str, text: &str) -> Result<DocumentMut, EditError> {
    Callers::parse(file, text.as_bytes()).map_err(EditError::Invalid)?;
    text.parse().map_err(|error: toml_edit::TomlError| {
        EditError::Invalid(vec![Problem::of_file(file, error.message())])
    })
}

/// The edited text, once more read as the gateway would read it.
fn close(file: &str, document: DocumentMut) -> Result<String, EditError> {
    let text = document.to_string();
    Callers::parse(file, text.as_bytes()).map_err(EditError::Invalid)?;
    Ok(text)
}

fn caller_tables(document: &mut DocumentMut) -> Result<&mut ArrayOfTables, EditError> {
    let item =
        document.entry("caller").or_insert_with(|| Item::ArrayOfTables(ArrayOfTables::new()));
    if let Item::Value(inline) = item
        && inline.as_array().is_some_and(Array::is_empty)
    {
        *item = Item::ArrayOfTables(ArrayOfTables::new());
    }
    item.as_array_of_tables_mut().ok_or_else(|| {
        EditError::Invalid(vec![Problem::of_file(
            "callers file",
            "callers are written as an inline list; write each as a [[caller]] table to edit it here",
        )])
    })
}

fn is_caller(table: &Table, caller: &CallerId) -> bool {
    table.get("id").and_then(Item::as_str) == Some(caller.as_str())
}

fn token_table(name: &str, sha256: TokenDigest, expires: Option<Timestamp>) -> Value {
    let mut token = InlineTable::new();
    token.insert("name", name.into());
    token.insert("sha256", sha256.to_string().into());
    if let Some(datetime) =
        expires.and_then(|t| format!("{t:.0}").parse::<toml_edit::Datetime>().ok())
    {
        token.insert("expires", datetime.into());
    }
    token.into()
}

fn has_token(tokens: &Item, name: &str) -> bool {
    let named = |value: Option<&str>| value == Some(name);
    match tokens {
        Item::ArrayOfTables(tables) => {
            tables.iter().any(|t| named(t.get("name").and_then(Item::as_str)))
        }
        Item::Value(Value::Array(array)) => array.iter().any(|v| named(token_name(v))),
        Item::None | Item::Value(_) | Item::Table(_) => false,
    }
}

fn token_name(value: &Value) -> Option<&str> {
    value.as_inline_table()?.get("name")?.as_str()
}

fn push_token(tokens: &mut Item, token: Value) {
    match tokens {
        Item::ArrayOfTables(tables) => {
            if let Value::InlineTable(token) = token {
                tables.push(token.into_table());
            }
        }
        Item::Value(Value::Array(array)) => array.push(token),
        Item::None | Item::Value(_) | Item::Table(_) => {}
    }
}

fn remove_token(tokens: &mut Item, name: &str) -> bool {
    match tokens {
        Item::ArrayOfTables(tables) => {
            let found =
                tables.iter().position(|t| t.get("name").and_then(Item::as_str) == Some(name));
            found.map(|i| tables.remove(i)).is_some()
        }
        Item::Value(Value::Array(array)) => {
            let found = array.iter().position(|v| token_name(v) == Some(name));
            found.map(|i| array.remove(i)).is_some()
        }
        Item::None | Item::Value(_) | Item::Table(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "# Owned by the security team.\n\n[[caller]]\nid = \"desk\" # tablets\n";

    fn id(text: &str) -> CallerId {
        CallerId::parse(text).unwrap()
    }

    #[test]
    fn edits_keep_comments_and_other_callers() {
        let one = TokenDigest::of("one");
        let two = TokenDigest::of("two");
        let text = add_token("c.toml", FILE, &id("desk"), None, "2026-11", one, None).unwrap();
        let expires = Some("2027-02-01T00:00:00Z".parse().unwrap());
        let text =
            add_token("c.toml", &text, &id("rota"), Some("plan"), "a", two, expires).unwrap();
        assert!(text.starts_with("# Owned by the security team.\n"), "{text}");
        assert!(text.contains("id = \"desk\" # tablets"), "{text}");
        assert!(text.contains("expires = 2027-02-01T00:00:00Z"), "{text}");
        let callers = Callers::parse("c.toml", text.as_bytes()).unwrap();
        assert_eq!(callers.by_token(two).unwrap().caller, id("rota"));

        let text = revoke("c.toml", &text, &id("desk"), Some("2026-11")).unwrap();
        let callers = Callers::parse("c.toml", text.as_bytes()).unwrap();
        assert!(callers.by_token(one).is_none());
        assert!(callers.contains(&id("desk")), "the caller stays, without a token");
        let text = revoke("c.toml", &text, &id("rota"), None).unwrap();
        assert!(!text.contains("rota"), "{text}");
        assert!(text.contains("# tablets"), "{text}");
    }

    #[test]
    fn an_edit_that_cannot_be_made_says_why() {
        let one = TokenDigest::of("one");
        let text = add_token("c.toml", FILE, &id("desk"), None, "a", one, None).unwrap();
        let again = add_token("c.toml", &text, &id("desk"), None, "a", one, None);
        assert!(matches!(again, Err(EditError::TokenExists(..))));
        let taken = add_token("c.toml", &text, &id("rota"), None, "a", one, None);
        assert!(matches!(taken, Err(EditError::Invalid(..))), "one token, two callers");
        assert!(matches!(revoke("c", &text, &id("no"), None), Err(EditError::NoSuchCaller(_))));
        let gone = revoke("c", &text, &id("desk"), Some("b"));
        assert!(matches!(gone, Err(EditError::NoSuchToken(..))));
        assert!(matches!(revoke("c", "x = 1", &id("a"), None), Err(EditError::Invalid(_))));
    }
}
