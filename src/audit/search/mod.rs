//! Reading a log for people and programs: all of it, its end, or what is searched for.

pub(in crate::audit) mod attempts;
pub(in crate::audit) mod decisions;
mod one;
pub(in crate::audit) mod query;
mod recent;
mod resolutions;
pub(in crate::audit) mod show;
pub(in crate::audit) mod stats;
pub(in crate::audit) mod tail;
pub(in crate::audit) mod unresolved;

pub use attempts::{AttemptNews, GrantAttempt, attempts};
pub use decisions::{
    AuditedDecision, DecisionsSummary, decision_about, decisions, decisions_while,
};
pub use one::record;
pub use query::{Filter, Found, Hit, Indexes, Making, QuerySummary, Take, query, query_until};
pub use resolutions::{Resolutions, resolutions};
pub use show::{ShowFormat, ShowSummary, show};
pub use stats::{By, Counts, Every, Series, Stats, StatsRequest, stats, stats_of};
pub use tail::{Chosen, Tail, TailFilter, Tailed};
pub use unresolved::{UnknownGrant, unresolved};
