//! The enforcement point: from a request to its answer.
//!
//! [`Gateway::handle`] is the whole way of a request, in one function. What can
//! refuse, and how a refusal looks on the wire, is in one exhaustive match
//! (`refusal.rs`).

mod account;
mod admission;
mod answer;
mod body;
mod budget;
mod duplicates;
mod evidence;
mod failures;
mod identify;
mod judged;
mod pipeline;
mod presented;
mod refusal;
mod route;
mod source;
mod strangers;
mod whoami;
mod workspace;

pub use admission::Admission;
pub use answer::Answer;
pub use budget::{Budgets, midnight};
pub use duplicates::{Duplicates, Recall, Repeat};
pub use pipeline::{Context, Gateway, Worker};
pub use presented::Presented;
pub use refusal::Refusal;
pub use source::{Malformed, Sources};
pub use strangers::CertificateLog;
