//! Reads the parameters of an operation, by a list of its fields.
//!
//! Readers of JSON differ over duplicate keys, escapes, byte order marks, trailing bytes and
//! the spellings of a UUID; readers of a query over commas, brackets and repeated names.
//! Whatever could be read in two ways is refused, and so is a field that the operation does
//! not have: it could widen what is asked for.

mod json;
mod query;

use uuid::Uuid;

use crate::domain::{Reason, parse_uuid};

/// The most ids in a list: with more, neither a body nor a head of the default size holds them.
const IDS_MAX: usize = 200;

/// Where the parameters of a request are: in one place only.
#[derive(Debug, Clone, Copy)]
pub enum Params<'a> {
    /// In its body, as a JSON object.
    Body(&'a [u8]),
    /// In its query (RFC 3986, section 3.4), percent-encoded as HTML forms are.
    Query(&'a str),
    /// There are none.
    Absent,
}

/// Why parameters are not those of the operation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestError {
    /// The reason to record.
    pub reason: Reason,
    /// The field at fault, when there is one. Always one of the operation's own names.
    pub field: Option<&'static str>,
    /// What to tell the caller. Holds nothing of the request. With a field it is what follows
    /// the field's name.
    pub message: &'static str,
}

impl RequestError {
    pub(super) const fn whole(reason: Reason, message: &'static str) -> Self {
        Self { reason, field: None, message }
    }

    pub(super) const fn field(reason: Reason, field: &'static str, message: &'static str) -> Self {
        Self { reason, field: Some(field), message }
    }
}

/// A field that an operation has.
#[derive(Debug)]
pub(super) struct Field {
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    /// Whether null says the same as leaving the field out.
    pub(super) nullable: bool,
}

/// What a field holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Uuid,
    /// A list of one to 200 of them.
    Uuids,
    /// Of 1 to so many bytes, without control characters.
    Text(usize),
    /// A whole number from 1 to this; and what to say of others.
    Number(u16, &'static str),
}

impl Field {
    pub(super) const fn new(name: &'static str, kind: Kind) -> Self {
        Self { name, kind, nullable: false }
    }

    pub(super) const fn nullable(name: &'static str, kind: Kind) -> Self {
        Self { name, kind, nullable: true }
    }

    /// The field's value in this text.
    fn text(&self, text: &str) -> Result<Value, Fault> {
        match self.kind {
            Kind::Uuid => uuid(text).map(Value::Uuid),
            Kind::Text(bytes_max) => {
                let fits = (1..=bytes_max).contains(&text.len());
                match fits && !text.chars().any(char::is_control) {
                    true => Ok(Value::Text(text.to_owned())),
                    false => {
                        Err((Reason::FieldInvalid, "is empty, too long or has control characters"))
                    }
                }
            }
            Kind::Uuids => Err((Reason::FieldInvalid, "must be a list of uuids")),
            Kind::Number(_, must) => Err((Reason::FieldInvalid, must)),
        }
    }

    fn number(&self, number: u64) -> Result<Value, Fault> {
        match self.kind {
            Kind::Number(max, must) => match u16::try_from(number) {
                Ok(number) if (1..=max).contains(&number) => Ok(Value::Number(number)),
                _ => Err((Reason::FieldInvalid, must)),
            },
            Kind::Uuid | Kind::Uuids | Kind::Text(_) => Err(self.wrong_type()),
        }
    }

    fn uuids(&self, items: Vec<Uuid>) -> Result<Value, Fault> {
        match items.len() {
            0 => Err((Reason::FieldInvalid, "must name at least one; leave the field out")),
            1..=IDS_MAX => Ok(Value::Uuids(items)),
            _ => Err((Reason::FieldInvalid, "must name at most 200")),
        }
    }

    /// What to say of a value of another type than the field's.
    const fn wrong_type(&self) -> Fault {
        match self.kind {
            Kind::Uuid | Kind::Text(_) => (Reason::FieldNotString, "must be a string"),
            Kind::Uuids => (Reason::FieldInvalid, "must be a list of uuids"),
            Kind::Number(_, must) => (Reason::FieldInvalid, must),
        }
    }
}

/// What is wrong with the value of a field.
type Fault = (Reason, &'static str);

fn uuid(text: &str) -> Result<Uuid, Fault> {
    let not_uuid = |_| (Reason::FieldNotUuid, "must be a uuid of 36 characters with hyphens");
    parse_uuid(text).map_err(not_uuid)
}

/// A value that fits its field.
#[derive(Debug)]
enum Value {
    Uuid(Uuid),
    Uuids(Vec<Uuid>),
    Text(String),
    Number(u16),
    /// The field is there and says nothing.
    Null,
}

/// The fields that were given, each at most once.
pub(super) struct Values {
    fields: &'static [Field],
    values: Vec<Option<Value>>,
}

impl Values {
    /// Reads all parameters.
    ///
    /// # Errors
    /// The first thing that is wrong, each with a reason of its own.
    pub(super) fn read(fields: &'static [Field], params: Params<'_>) -> Result<Self, RequestError> {
        let mut values = Self { fields, values: Vec::new() };
        values.values.resize_with(fields.len(), || None);
        match params {
            Params::Body(body) => json::read(&mut values, body)?,
            Params::Query(query) => query::read(&mut values, query)?,
            Params::Absent => {}
        }
        Ok(values)
    }

    /// The field of this name and its place; none for one that the operation does not have.
    fn find(&self, name: &str) -> Option<(usize, &'static Field)> {
        self.fields.iter().enumerate().find(|(_, field)| field.name == name)
    }

    fn is_given(&self, place: usize) -> bool {
        self.values.get(place).is_some_and(Option::is_some)
    }

    fn put(&mut self, place: usize, value: Value) {
        if let Some(slot) = self.values.get_mut(place) {
            *slot = Some(value);
        }
    }

    fn take(&mut self, name: &str) -> Option<Value> {
        let (place, _) = self.find(name)?;
        self.values.get_mut(place)?.take()
    }

    pub(super) fn uuid(&mut self, name: &str) -> Option<Uuid> {
        let Value::Uuid(uuid) = self.take(name)? else { return None };
        Some(uuid)
    }

    pub(super) fn uuids(&mut self, name: &str) -> Option<Vec<Uuid>> {
        let Value::Uuids(uuids) = self.take(name)? else { return None };
        Some(uuids)
    }

    pub(super) fn text(&mut self, name: &str) -> Option<String> {
        let Value::Text(text) = self.take(name)? else { return None };
        Some(text)
    }

    pub(super) fn number(&mut self, name: &str) -> Option<u16> {
        let Value::Number(number) = self.take(name)? else { return None };
        Some(number)
    }
}

#[cfg(test)]
mod tests;
