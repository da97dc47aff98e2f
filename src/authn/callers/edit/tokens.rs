//! Tokens that are added, replaced and removed.

use jiff::Timestamp;
use toml_edit::{Array, InlineTable, Item, Table, Value, value};

use super::layout::{add, clear, remove, remove_table, set_member};
use super::{EditError, caller_tables, close, datetime, is_caller, open, table_of};
use crate::authn::{TokenDigest, TokenForm};
use crate::domain::CallerId;

/// A token to add.
#[derive(Debug, Clone, Copy)]
pub struct NewToken<'a> {
    /// Its name, which audit records show.
    pub name: &'a str,
    /// The SHA-256 of the token.
    pub sha256: TokenDigest,
    /// From when on it is refused.
    pub expires: Option<Timestamp>,
    /// What it looks like.
    pub form: TokenForm,
}

/// A token that takes the place of others after a while.
#[derive(Debug, Clone, Copy)]
pub struct Rotation<'a> {
    /// The new one.
    pub new: NewToken<'a>,
    /// The name of the one that it replaces; without it, all of the caller's.
    pub old: Option<&'a str>,
    /// Until when an old one is accepted, unless it expires before that.
    pub until: Timestamp,
}

/// What is taken away from a caller.
#[derive(Debug, Clone, Copy)]
pub enum Removed<'a> {
    /// The token of this name.
    Token(&'a str),
    /// All its tokens; the caller stays, with its certificates.
    Tokens,
    /// The caller with all its credentials.
    Caller,
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
    token: NewToken<'_>,
) -> Result<String, EditError> {
    let (_, mut document) = open(file, text)?;
    let tables = caller_tables(&mut document)?;
    let position = tables.iter().position(|t| is_caller(t, caller));
    if let Some(table) = position.and_then(|i| tables.get_mut(i)) {
        if let Some(description) = description {
            set_member(table, "description", description.into());
        }
        push_token(table, caller, token)?;
    } else {
        let mut table = Table::new();
        table.insert("id", value(caller.as_str()));
        if let Some(description) = description {
            table.insert("description", value(description));
        }
        table.insert("tokens", value(Array::from_iter([Value::from(token_table(token))])));
        table.decor_mut().set_prefix("\n");
        tables.push(table);
    }
    close(file, document)
}

/// Adds a token to a caller and gives those that it replaces an end. None gets more time than
/// it has.
///
/// # Errors
/// [`EditError`]; the text is then to be left as it is.
pub fn rotate(
    file: &str,
    text: &str,
    caller: &CallerId,
    rotation: Rotation<'_>,
) -> Result<String, EditError> {
    let (callers, mut document) = open(file, text)?;
    let table = table_of(&mut document, caller)?;
    let known = callers.all().iter().find(|known| known.id == *caller);
    let tokens = known.map(|known| known.tokens.as_slice()).unwrap_or_default();
    if tokens.is_empty() {
        return Err(EditError::NoToken(caller.clone()));
    }
    if let Some(old) = rotation.old.filter(|old| tokens.iter().all(|t| t.name != *old)) {
        return Err(EditError::NoSuchToken(caller.clone(), old.to_owned()));
    }
    let replaced = tokens.iter().filter(|token| rotation.old.is_none_or(|old| token.name == old));
    let longer = replaced.filter(|t| t.expires.is_none_or(|expires| expires > rotation.until));
    for token in longer {
        if let Some(until) = datetime(rotation.until) {
            expire(table, &token.name, until.into());
        }
    }
    push_token(table, caller, rotation.new)?;
    close(file, document)
}

/// Removes a token of a caller, all of them, or the caller with all its credentials.
///
/// # Errors
/// [`EditError`]; the text is then to be left as it is.
pub fn revoke(
    file: &str,
    text: &str,
    caller: &CallerId,
    removed: Removed<'_>,
) -> Result<String, EditError> {
    let (_, mut document) = open(file, text)?;
    match removed {
        Removed::Caller => {
            let tables = caller_tables(&mut document)?;
            let position = tables.iter().position(|table| is_caller(table, caller));
            let position = position.ok_or_else(|| EditError::NoSuchCaller(caller.clone()))?;
            if let Some(above) = remove_table(tables, position) {
                let below = document.trailing().as_str().unwrap_or_default();
                let trailing = format!("{above}{below}");
                document.set_trailing(trailing);
            }
        }
        Removed::Tokens => {
            let table = table_of(&mut document, caller)?;
            if table.get("tokens").is_none_or(is_empty) {
                return Err(EditError::NoToken(caller.clone()));
            }
            match table.get_mut("tokens").and_then(Item::as_array_mut) {
                Some(array) => clear(array),
                None => drop(table.remove("tokens")),
            }
        }
        Removed::Token(name) => {
            let tokens = table_of(&mut document, caller)?.get_mut("tokens");
            if !tokens.is_some_and(|tokens| remove_token(tokens, name)) {
                return Err(EditError::NoSuchToken(caller.clone(), name.to_owned()));
            }
        }
    }
    close(file, document)
}

fn token_table(token: NewToken<'_>) -> InlineTable {
    let mut table = InlineTable::new();
    table.insert("name", token.name.into());
    table.insert("sha256", token.sha256.to_string().into());
    if let Some(expires) = token.expires.and_then(datetime) {
        table.insert("expires", expires.into());
    }
    if token.form != TokenForm::ApiKey {
        table.insert("form", token.form.as_str().into());
    }
    table
}

fn push_token(table: &mut Table, caller: &CallerId, token: NewToken<'_>) -> Result<(), EditError> {
    let tokens = table.entry("tokens").or_insert_with(|| value(Array::new()));
    if position(tokens, token.name).is_some() {
        return Err(EditError::TokenExists(caller.clone(), token.name.to_owned()));
    }
    let token = token_table(token);
    match tokens {
        Item::ArrayOfTables(tables) => tables.push(token.into_table()),
        Item::Value(Value::Array(array)) => add(array, token.into()),
        Item::None | Item::Value(_) | Item::Table(_) => {}
    }
    Ok(())
}

/// Where the token of this name is in its list.
fn position(tokens: &Item, name: &str) -> Option<usize> {
    match tokens {
        Item::ArrayOfTables(tables) => {
            tables.iter().position(|t| t.get("name").and_then(Item::as_str) == Some(name))
        }
        Item::Value(Value::Array(array)) => array.iter().position(|v| token_name(v) == Some(name)),
        Item::None | Item::Value(_) | Item::Table(_) => None,
    }
}

fn token_name(value: &Value) -> Option<&str> {
    value.as_inline_table()?.get("name")?.as_str()
}

fn is_empty(tokens: &Item) -> bool {
    match tokens {
        Item::ArrayOfTables(tables) => tables.is_empty(),
        Item::Value(Value::Array(array)) => array.is_empty(),
        Item::None | Item::Value(_) | Item::Table(_) => true,
    }
}

fn remove_token(tokens: &mut Item, name: &str) -> bool {
    let Some(at) = position(tokens, name) else { return false };
    match tokens {
        Item::ArrayOfTables(tables) => {
            tables.remove(at);
        }
        Item::Value(Value::Array(array)) => remove(array, at),
        Item::None | Item::Value(_) | Item::Table(_) => {}
    }
    true
}

/// Gives the token of this name an end.
fn expire(table: &mut Table, name: &str, until: Value) {
    let Some(tokens) = table.get_mut("tokens") else { return };
    let Some(at) = position(tokens, name) else { return };
    match tokens {
        Item::ArrayOfTables(tables) => {
            if let Some(table) = tables.get_mut(at) {
                set_member(table, "expires", until);
            }
        }
        Item::Value(Value::Array(array)) => {
            if let Some(table) = array.get_mut(at).and_then(Value::as_inline_table_mut) {
                set_member(table, "expires", until);
            }
        }
        Item::None | Item::Value(_) | Item::Table(_) => {}
    }
}
