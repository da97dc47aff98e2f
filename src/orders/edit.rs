//! Giving and lifting orders, by one command at a time.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::OrdersFile;
use super::file::{ORDERS_MAX, check_signature, check_time, load};
use super::told::Told;
use crate::domain::{DirectiveId, Order, OrderKind, Problem, RequestId, Signature};
use crate::files::{lock_within, replace};

/// Orders that hold no more are kept for this long, and until there are so many.
const KEPT: SignedDuration = SignedDuration::from_hours(30 * 24);
const KEPT_MAX: usize = 500;

/// Exceptions in force at a time. There may be any number of freezes.
const EXCEPTIONS_MAX: usize = 400;

/// How far a clock may be ahead that made an exception.
const EARLY_MAX: SignedDuration = SignedDuration::from_mins(5);

/// How long the lock is waited for: a freeze waits for nobody.
const LOCK_WAIT: Duration = Duration::from_secs(1);

/// How often an edit is made again because somebody else was faster.
const TRIES: usize = 20;

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

/// Where the orders are, and how they are read.
#[derive(Debug, Clone)]
pub struct Place {
    /// The file.
    pub file: PathBuf,
    /// The directory of the audit log, which has a copy of what was recorded.
    pub log: PathBuf,
    /// The longest exception.
    pub exception_max: SignedDuration,
}

/// Reads the file, changes it and puts it back, whole. Where it is gone, its copy beside the
/// audit log is what is changed: no order is lost with the file.
///
/// Nobody else edits it meanwhile; but whoever only holds the lock keeps nobody from a freeze.
///
/// # Errors
/// [`EditError`]; nothing is changed then.
pub fn edit<T>(
    place: &Place,
    mut change: impl FnMut(&mut OrdersFile) -> Result<T, EditError>,
) -> Result<T, EditError> {
    let path = place.file.as_path();
    let unwritten = |error| EditError::Write(path.display().to_string(), error);
    let _lock = match lock_within(path, LOCK_WAIT) {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => None,
        locked => locked.map_err(unwritten)?,
    };
    for _ in 0..TRIES {
        let before = place.read().map_err(EditError::Invalid)?;
        let mut file = before.clone();
        let changed = change(&mut file)?;
        if file == before && load(path).is_ok_and(|there| there == before) {
            return Ok(changed);
        }
        if file.id.is_empty() {
            file.id = RequestId::generate().to_string();
        }
        file.is_readable().map_err(EditError::Refused)?;
        // Somebody who did not wait for the lock may have been faster.
        if place.read().map_err(EditError::Invalid)? == before {
            // Everybody may read it: it must be readable to the gateway's own user, and has no
            // secret.
            replace(path, file.text().as_bytes(), 0o644).map_err(unwritten)?;
            return Ok(changed);
        }
    }
    Err(EditError::Refused("other commands change the orders again and again; try again".into()))
}

impl Place {
    /// The orders as they are written: of the file, or of its copy where it is gone.
    ///
    /// # Errors
    /// What is wrong with them.
    pub fn read(&self) -> Result<OrdersFile, Problem> {
        let file = load(&self.file)?;
        if file.next > 1 {
            return Ok(file);
        }
        // Who may not read the log's directory must still be able to freeze.
        Ok(Told::load(&self.log).map(Told::into_file).unwrap_or_default())
    }
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
        self.give_at(kind, until, given, (exception_max, now))
    }

    /// The same by another clock than that of who gave it.
    fn give_at(
        &mut self,
        kind: OrderKind,
        until: Option<Timestamp>,
        given: Signature,
        (exception_max, now): (SignedDuration, Timestamp),
    ) -> Result<u32, EditError> {
        check_signature(&given).map_err(EditError::Refused)?;
        check_time(&kind, given.at, until).map_err(EditError::Refused)?;
        if let (OrderKind::Exception(..), Some(until)) = (&kind, until) {
            let is_exception = |o: &&Order| matches!(o.kind, OrderKind::Exception(..));
            let held = self.orders.iter().filter(|order| order.holds(now)).filter(is_exception);
            if until.duration_since(now) > exception_max {
                let hours = exception_max.as_hours();
                let text = format!(
                    "an exception may last {hours} h at most (`orders.exception_hours_max`)"
                );
                return Err(EditError::Refused(text));
            }
            if held.count() >= EXCEPTIONS_MAX {
                let text = format!("there can be no more than {EXCEPTIONS_MAX} exceptions");
                return Err(EditError::Refused(text));
            }
        }
        self.forget(now);
        if self.orders.len() >= ORDERS_MAX {
            return Err(EditError::Refused(format!("there are {ORDERS_MAX} orders already")));
        }
        let number = self.next;
        self.next = number.saturating_add(1);
        self.orders.push(Order { number, kind, given, until, lifted: None, directive: None });
        Ok(number)
    }

    /// Adds an order that was given to all gateways, and returns its number; none where it is known
    /// here. `now` is what the clock here says: somebody else's may be wrong.
    ///
    /// # Errors
    /// When it is not one that may be given.
    pub fn give_directed(
        &mut self,
        directive: &DirectiveId,
        (kind, until, given): (OrderKind, Option<Timestamp>, Signature),
        (exception_max, now): (SignedDuration, Timestamp),
    ) -> Result<Option<u32>, EditError> {
        if self.number_of(directive).is_some() {
            return Ok(None);
        }
        let is_early = given.at.duration_since(now) > EARLY_MAX;
        if matches!(kind, OrderKind::Exception(..)) && is_early {
            let text = "it was made by a clock that is ahead of this one's".to_owned();
            return Err(EditError::Refused(text));
        }
        let mut changed = self.clone();
        let number = changed.give_at(kind, until, given, (exception_max, now))?;
        if let Some(order) = changed.orders.last_mut() {
            order.directive = Some(directive.clone());
        }
        changed.is_readable().map_err(EditError::Refused)?;
        *self = changed;
        Ok(Some(number))
    }

    /// The number here of an order that was given to all gateways.
    #[must_use]
    pub fn number_of(&self, directive: &DirectiveId) -> Option<u32> {
        let is_it = |order: &&Order| order.directive.as_ref() == Some(directive);
        self.orders.iter().find(is_it).map(|order| order.number)
    }

    /// Takes an order back.
    ///
    /// # Errors
    /// When there is none of this number in force.
    pub fn lift(&mut self, number: u32, lifted: Signature) -> Result<Order, EditError> {
        let now = lifted.at;
        self.lift_at(number, lifted, now)
    }

    /// The same by another clock than that of who takes it back.
    ///
    /// # Errors
    /// When there is none of this number in force.
    pub fn lift_at(
        &mut self,
        number: u32,
        lifted: Signature,
        now: Timestamp,
    ) -> Result<Order, EditError> {
        check_signature(&lifted).map_err(EditError::Refused)?;
        let refuse = |why: &str| EditError::Refused(format!("order {number} {why}"));
        let found = self.orders.iter_mut().find(|order| order.number == number);
        let order = found.ok_or_else(|| refuse("does not exist; `grantgate orders` lists them"))?;
        if order.lifted.is_some() {
            return Err(refuse("was lifted before"));
        }
        if order.is_over(now) {
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
        // One of all gateways may be told again, for as long as it would hold.
        let may_come = |order: &Order| {
            order.directive.is_some() && order.until.is_none_or(|until| until > now)
        };
        self.orders.retain(|order| {
            may_come(order) || ended(order).is_none_or(|at| now.duration_since(at) < KEPT)
        });
        let mut surplus = self.orders.len().saturating_sub(KEPT_MAX);
        self.orders.retain(|order| {
            let goes = surplus > 0 && ended(order).is_some() && !may_come(order);
            surplus -= usize::from(goes);
            !goes
        });
    }
}
