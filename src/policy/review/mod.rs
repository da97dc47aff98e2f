//! What reviewers of a policy ask: who may open this door, which doors does this service
//! open, why was that refused, and what would an edit change. Every answer is the
//! engine's own, asked for whole groups of callers and entrances that no rule tells apart.

mod access;
mod allowed;
mod diff;
mod explain;
mod matrix;
mod patience;
mod replay;
mod weeks;

pub use access::{Access, Span, Times, access_of, is_conditional};
pub use allowed::{Allowed, Doors, doors, who};
pub use diff::{Change, Diff, Effect, InWorkspace, diff};
pub use explain::{ExplainedRule, Explanation, Miss, Step, explain};
pub use matrix::{Cell, Column, Frame, LeftOut, Matrix, Only, Row, Said, Unfold, matrix};
pub use patience::{Late, until};
pub use replay::{Example, Pair, Past, Replay, Turn};
