//! What a database may answer instead of what it was asked for.

use std::error::Error as _;
use std::io;

use tokio_postgres::error::SqlState;

use crate::domain::innermost;

/// Why something was not done, as far as is known.
#[derive(Debug, thiserror::Error)]
pub enum DatabaseError {
    /// There is no connection, or it broke off.
    #[error("{0}")]
    Connection(String),
    /// No answer came in time.
    #[error("no answer within {0} s")]
    Timeout(u64),
    /// It cannot do it now.
    #[error("{0}")]
    Unavailable(String),
    /// It has an older schema.
    #[error("{0}")]
    Older(String),
    /// It does not do it until somebody changes something.
    #[error("{0}")]
    Refused(String),
}

impl DatabaseError {
    /// Whether it may go away by itself.
    #[must_use]
    pub const fn is_passing(&self) -> bool {
        match self {
            Self::Connection(_) | Self::Timeout(_) | Self::Unavailable(_) => true,
            Self::Older(_) | Self::Refused(_) => false,
        }
    }
}

impl From<tokio_postgres::Error> for DatabaseError {
    fn from(error: tokio_postgres::Error) -> Self {
        let Some(said) = error.as_db_error() else {
            let cause = told(&error);
            // Nothing of what is wrong with these goes away by itself.
            return match (error.is_closed(), io_of(&error)) {
                // What TLS says of a certificate comes as this.
                (_, Some(io::ErrorKind::InvalidData)) | (false, None) => Self::Refused(cause),
                (true, None) | (_, Some(_)) => Self::Connection(cause),
            };
        };
        let text = format!("{} ({})", said.message(), said.code().code());
        let class = said.code().code().get(..2).unwrap_or_default();
        match class {
            // Exceptions of connections, resources and operators; rollbacks.
            "08" | "53" | "57" | "58" | "40" | "55" => Self::Unavailable(text),
            _ if said.code() == &SqlState::CHECK_VIOLATION
                && said.message().starts_with("no partition") =>
            {
                Self::Refused(format!("{text}: run `grantgate database maintain`"))
            }
            _ if [
                SqlState::UNDEFINED_FUNCTION,
                SqlState::UNDEFINED_TABLE,
                SqlState::INVALID_SCHEMA_NAME,
            ]
            .contains(said.code()) =>
            {
                Self::Older(format!("{text}: run `grantgate database migrate`"))
            }
            _ => Self::Refused(text),
        }
    }
}

fn io_of(error: &tokio_postgres::Error) -> Option<io::ErrorKind> {
    let mut cause = error.source();
    while let Some(one) = cause {
        if let Some(io) = one.downcast_ref::<io::Error>() {
            return Some(io.kind());
        }
        cause = one.source();
    }
    None
}

/// What the library says, and the cause behind it, which says most.
fn told(error: &tokio_postgres::Error) -> String {
    match (error.to_string(), innermost(error)) {
        (text, cause) if text == cause => text,
        (text, cause) => format!("{text}: {cause}"),
    }
}
