//! Parameters in a query, as Seam's SDKs write them: `name=value`, joined by `&`, with spaces
//! as `+` and everything else that is special percent-encoded. A list repeats its name.
//!
//! Other ways to write a list (`a[]=…`, `a=1,2`) are refused: Seam reads them as lists or as
//! one value, as `_strict` says.

use super::{Field, Kind, RequestError, Value, Values, uuid};
use crate::domain::Reason;

/// Says that lists are repeated names. Nothing else is read here, so it changes nothing.
const STRICT: &str = "_strict";

/// Reads a query into `values`.
pub(super) fn read(values: &mut Values, query: &str) -> Result<(), RequestError> {
    let mut strict = false;
    for pair in query.split('&').filter(|_| !query.is_empty()) {
        let decoded = pair.split_once('=').and_then(|(n, v)| Some((decode(n)?, decode(v)?)));
        let Some((name, text)) = decoded else {
            let message = "the query must be `name=value`, percent-encoded in UTF-8, joined by `&`";
            return Err(RequestError::whole(Reason::QueryInvalid, message));
        };
        if name == STRICT {
            if text != "true" || std::mem::replace(&mut strict, true) {
                let message = "`_strict` may be given once, as `true`";
                return Err(RequestError::whole(Reason::QueryInvalid, message));
            }
            continue;
        }
        let Some((place, field)) = values.find(&name) else {
            let message = "the query has a field that this operation does not have";
            return Err(RequestError::whole(Reason::BodyUnknownKey, message));
        };
        take(values, place, field, &text)
            .map_err(|(reason, message)| RequestError::field(reason, field.name, message))?;
    }
    Ok(())
}

fn take(
    values: &mut Values,
    place: usize,
    field: &Field,
    text: &str,
) -> Result<(), (Reason, &'static str)> {
    let slot = values.values.get_mut(place).and_then(Option::as_mut);
    if let (Some(Value::Uuids(list)), Kind::Uuids) = (slot, field.kind) {
        list.push(uuid(text)?);
        return field.uuids(std::mem::take(list)).map(|value| values.put(place, value));
    }
    if values.is_given(place) {
        return Err((Reason::BodyDuplicateKey, "occurs twice"));
    }
    let value = match field.kind {
        // As Seam reads it.
        _ if text.is_empty() && field.nullable => Value::Null,
        Kind::Uuids if text.is_empty() => field.uuids(Vec::new())?,
        Kind::Uuids => field.uuids(vec![uuid(text)?])?,
        Kind::Uuid | Kind::Text(_) => field.text(text)?,
        Kind::Number(..) => {
            let digits = text.bytes().all(|b| b.is_ascii_digit()) && !text.starts_with('0');
            let number = text.parse::<u64>().ok().filter(|_| digits);
            field.number(number.ok_or_else(|| field.wrong_type())?)?
        }
    };
    values.put(place, value);
    Ok(())
}

/// Undoes the encoding; `None` where it is broken, or not of UTF-8.
fn decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let digit = |b: u8| char::from(b).to_digit(16).and_then(|d| u8::try_from(d).ok());
                digit(rest.next()?)? * 16 + digit(rest.next()?)?
            }
            other => other,
        });
    }
    String::from_utf8(bytes).ok()
}
