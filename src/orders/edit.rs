//! Giving and lifting orders, by one command at a time.

use std::io;
use std::path::Path;

use jiff::{SignedDuration, Timestamp};

use super::OrdersFile;
use super::file::{check_signature, check_time, load};
use crate::domain::{Order, OrderKind, Problem, Signature};
use crate::files::{lock, replace};

/// Orders that hold no more are kept for this long, and until there are so many.
const KEPT: SignedDuration = SignedDuration::from_hours(30 * 24);
const KEPT_MAX: usize = 500;

/// Orders in force at a time.
const HOLDING_MAX: usize = 400;

/// Why an order was not given or lifted.
#[derive(Debug, thiserror::Error)]
pub enum EditError {
    /// The file is not what it should be.
    #[error("{0}")]
    Invalid(Problem),
    /// It cannot be written.
    #[error("`{0}` cannot be written: {1}")]
    Write(String, #[source] io::Error),
    /// What was asked for is not possible.
    #[error("{0}")]
    Refused(String),
}

/// Reads the file, changes it and puts it back, whole; nobody else edits it meanwhile.
///
/// # Errors
/// [`EditError`]; nothing is changed then.
pub fn edit<T>(
    path: &Path,
    exception_max: SignedDuration,
    change: impl FnOnce(&mut OrdersFile) -> Result<T, EditError>,
) -> Result<T, EditError> {
    let unwritten = |error| EditError::Write(path.display().to_string(), error);
    let _lock = lock(path).map_err(unwritten)?;
    let mut file = load(path, exception_max).map_err(EditError::Invalid)?;
    let changed = change(&mut file)?;
    // Everybody may read it: it must be readable to the gateway's own user, and has no secret.
    replace(path, file.text().as_bytes(), 0o644).map_err(unwritten)?;
    Ok(changed)
}

impl OrdersFile {
    /// Adds an order, and returns its number.
    ///
    /// # Errors
    /// When it is not one that may be given.
    pub fn give(
        &mut self,
        kind: OrderKind,
        until: Option<Timestamp>,
        given: Signature,
        exception_max: SignedDuration,
    ) -> Result<u32, EditError> {
        let now = given.at;
        check_signature(&given).map_err(EditError::Refused)?;
        check_time(&kind, now, until, exception_max).map_err(EditError::Refused)?;
        if self.orders.iter().filter(|order| order.holds(now)).count() >= HOLDING_MAX {
            let text = format!("{HOLDING_MAX} orders are in force, the most that there can be");
            return Err(EditError::Refused(text));
        }
        self.forget(now);
        let number = self.next;
        self.next = number.saturating_add(1);
        self.orders.push(Order { number, kind, given, until, lifted: None });
        Ok(number)
    }

    /// Takes an order back.
    ///
    /// # Errors
    /// When there is none of this number in force.
    pub fn lift(&mut self, number: u32, lifted: Signature) -> Result<Order, EditError> {
        check_signature(&lifted).map_err(EditError::Refused)?;
        let refuse = |why: &str| EditError::Refused(format!("order {number} {why}"));
        let found = self.orders.iter_mut().find(|order| order.number == number);
        let order = found.ok_or_else(|| refuse("does not exist; `grantgate orders` lists them"))?;
        if order.lifted.is_some() {
            return Err(refuse("was lifted before"));
        }
        if order.is_over(lifted.at) {
            return Err(refuse("is over already"));
        }
        order.lifted = Some(lifted);
        Ok(order.clone())
    }

    /// Drops what has long been of no force.
    fn forget(&mut self, now: Timestamp) {
        let ended = |order: &Order| match (&order.lifted, order.until) {
            (Some(lifted), _) => Some(lifted.at),
            (None, until) => until.filter(|until| *until <= now),
        };
        self.orders.retain(|order| ended(order).is_none_or(|at| now.duration_since(at) < KEPT));
        let mut surplus = self.orders.len().saturating_sub(KEPT_MAX);
        self.orders.retain(|order| {
            let goes = surplus > 0 && ended(order).is_some();
            surplus -= usize::from(goes);
            !goes
        });
    }
}
