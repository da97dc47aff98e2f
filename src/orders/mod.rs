//! Orders of somebody in charge: freezes and exceptions, in a file of their own.
//!
//! Commands write the file, and a running gateway looks at it many times a second, apart from
//! every other file: a freeze must work while the policy has a mistake and while a reload
//! waits. What makes grants fewer is in force at once, and recorded then; what makes them more
//! is recorded first.

mod edit;
mod file;
mod keeper;
mod told;

pub use edit::{EditError, Place, edit};
pub use file::{BY_CHARS_MAX, OrdersFile, WHY_BYTES_MAX, load};
pub use keeper::{Keeper, OrdersStatus};

#[cfg(test)]
mod tests;
