//! Callers by doors: who may do what to which door, when, by which rule, and what a proposed
//! policy would change of it.
//!
//! A row is a group of callers that no rule tells apart, a column such a group of entrances:
//! the groups of [`diff`](super::diff), made from the memberships that the rules look at, so
//! that what a cell says is exactly so for each of its pairs. A group can be unfolded into its
//! members. What is given out is limited, and says how much was left out.

mod cells;
mod limit;
mod lines;
mod order;

use std::collections::BTreeSet;

use super::access::{Access, Span, entrance_ids, texts_of};
use super::diff::{Comparison, Effect, Group};
use crate::domain::{Act, CallerId, EntranceId, WorkspaceName};
use crate::policy::names::Name;
use crate::policy::{Policy, RuleRef};
use cells::Table;
use lines::{Axis, Line};

/// So many cells are given out where nobody says otherwise.
const CELLS_MAX: usize = 40_000;

/// Which part of a matrix is given out.
#[derive(Debug, Clone)]
pub struct Frame {
    /// What it is narrowed to.
    pub only: Only,
    /// What is unfolded.
    pub unfold: Unfold,
    /// Rows times columns are at most so many.
    pub cells_max: usize,
}

impl Default for Frame {
    fn default() -> Self {
        Self { only: Only::default(), unfold: Unfold::default(), cells_max: CELLS_MAX }
    }
}

/// What a matrix is narrowed to; by default, to nothing. Names are those of the rules, such as
/// `role:reception`, and count where either policy says so.
#[derive(Debug, Clone, Default)]
pub struct Only {
    /// Callers of this role.
    pub role: Option<String>,
    /// This caller. One that neither policy names has no row: it may do nothing.
    pub caller: Option<CallerId>,
    /// Entrances of this zone.
    pub zone: Option<String>,
    /// This entrance. One that neither policy names is in the last column.
    pub entrance: Option<EntranceId>,
    /// Rows and columns of which the proposed policy changes a cell; without one, none.
    pub changes: bool,
}

/// Which groups are unfolded into single callers and entrances. Each is named by its key, by
/// any of its members, such as `caller:visitor-desk`, or by a role or zone that all of its
/// members are in.
#[derive(Debug, Clone, Default)]
pub struct Unfold {
    /// Groups of callers.
    pub rows: BTreeSet<String>,
    /// Groups of entrances.
    pub columns: BTreeSet<String>,
}

/// Who may do something to which entrances.
#[derive(Debug)]
pub struct Matrix {
    /// What may be done.
    pub act: Act,
    /// In which workspace, where that was asked.
    pub workspace: Option<WorkspaceName>,
    /// The rows, next to those that look alike.
    pub rows: Vec<Row>,
    /// The columns, next to those that look alike. The last one stands for every entrance that
    /// neither policy names, unless the matrix is narrowed to others.
    pub columns: Vec<Column>,
    /// For each row and column a place in `kinds`; none where no rule could match.
    pub cells: Vec<Vec<Option<usize>>>,
    /// What cells say, each once.
    pub kinds: Vec<Cell>,
    /// What there is besides.
    pub left_out: LeftOut,
}

/// Callers that no rule tells apart, or one of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// By which it is unfolded: the name of the first caller of the group.
    pub key: String,
    /// The key of the group that was unfolded into this row and others.
    pub unfolded_from: Option<String>,
    /// The id of a single caller; else the roles of all of them without those that these are
    /// in; else `no rule`.
    pub label: String,
    /// The callers, by id.
    pub callers: Vec<CallerId>,
    /// The roles that all of them are in.
    pub roles: Vec<String>,
}

/// Entrances that no rule tells apart, or one of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// By which it is unfolded: the name of the first entrance of the group; `*` where it has
    /// none.
    pub key: String,
    /// The key of the group that was unfolded into this column and others.
    pub unfolded_from: Option<String>,
    /// `every other entrance`; the id of a single entrance; else the zones of all of them
    /// without those that these are in.
    pub label: String,
    /// The entrances, by id.
    pub entrances: Vec<EntranceId>,
    /// Also every entrance that neither policy names.
    pub and_every_other: bool,
    /// The zones that all of them are in.
    pub zones: Vec<String>,
}

/// What is so of each caller of a row and each entrance of a column.
#[derive(Debug, Clone)]
pub struct Cell {
    /// What the policy says.
    pub now: Said,
    /// What the proposed policy says, where there is one.
    pub proposed: Option<Said>,
    /// What becomes of the access, if something does.
    pub effect: Option<Effect>,
    /// Conditions differ that the span does not show whole: more may be allowed later.
    pub differs_later: bool,
}

/// What a policy says of a cell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said {
    /// When it is allowed.
    pub access: Access,
    /// The conditions of the rules, in words of the policy.
    pub conditions: Vec<String>,
    /// The rules that allow it.
    pub allowed_by: Vec<RuleRef>,
    /// The rules that deny it, at all times or at some.
    pub denied_by: Vec<RuleRef>,
}

/// How much was left out of a matrix that is too large. Rows and columns that were unfolded stay
/// first, then those that a proposed policy may change, then those that a rule names.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LeftOut {
    /// So many rows.
    pub rows: usize,
    /// So many columns.
    pub columns: usize,
    /// So many cells of these rows and columns.
    pub cells: usize,
    /// So many of these rows hold cells that rules of the proposed policy may change.
    pub changing_rows: usize,
    /// And so many of these columns.
    pub changing_columns: usize,
}

impl Matrix {
    /// What is so where this row and column meet; none where no rule could match.
    #[must_use]
    pub fn cell(&self, row: usize, column: usize) -> Option<&Cell> {
        self.kinds.get((*self.cells.get(row)?.get(column)?)?)
    }
}

impl Cell {
    /// Whether something is allowed that was not, or may be later.
    #[must_use]
    pub fn is_widening(&self) -> bool {
        self.effect.is_some_and(Effect::is_widening) || self.differs_later
    }
}

impl LeftOut {
    /// Whether the matrix is whole.
    #[must_use]
    pub fn is_nothing(&self) -> bool {
        *self == Self::default()
    }
}

/// Who may do this to which entrances of this workspace, and what a proposed policy changes.
#[must_use]
pub fn matrix(
    policy: &Policy,
    proposed: Option<&Policy>,
    (act, workspace): (Act, Option<&WorkspaceName>),
    frame: &Frame,
    span: Span,
) -> Matrix {
    let policies = (policy, proposed.unwrap_or(policy));
    let comparison = Comparison::new(policies, act, workspace, span);
    let groups =
        Groups { callers: comparison.groups("caller:"), entrances: comparison.groups("entrance:") };
    let mut rows = Axis::callers(&comparison, frame).lines(&groups.callers);
    let mut columns = Axis::entrances(&comparison, frame, workspace).lines(&groups.entrances);
    let is_small = rows.len().saturating_mul(columns.len()) <= frame.cells_max;
    if proposed.is_some() && (frame.only.changes || !is_small) {
        limit::mark_changing(&comparison, &groups, &mut rows, &mut columns);
    }
    if frame.only.changes {
        rows.retain(|row| row.may_change);
        columns.retain(|column| column.may_change);
    }
    let left_out = limit::cut(&mut rows, &mut columns, frame.cells_max);
    let mut table = Table::new(&comparison, proposed.is_some(), &groups, &rows, &columns);
    if frame.only.changes {
        table.keep_changes(&mut rows, &mut columns);
    }
    table.arrange(&mut rows, &mut columns);
    let (cells, kinds) = table.into_parts();
    Matrix {
        act,
        workspace: workspace.cloned(),
        rows: rows.into_iter().map(|line| row(&comparison, line)).collect(),
        columns: columns.into_iter().map(|line| column(&comparison, line)).collect(),
        cells,
        kinds,
        left_out,
    }
}

/// The groups of both policies.
struct Groups {
    callers: Vec<Group>,
    entrances: Vec<Group>,
}

fn row(comparison: &Comparison<'_>, line: Line) -> Row {
    let ids = line.texts(comparison).into_iter();
    let ids = ids.filter_map(|text| CallerId::parse(text.strip_prefix("caller:")?).ok());
    let mut callers: Vec<CallerId> = ids.collect();
    callers.sort_unstable();
    let (policy, roles) = comparison.common(&line.members);
    let roles = texts_of(policy, &roles);
    Row { key: line.key, unfolded_from: line.unfolded_from, label: line.label, callers, roles }
}

fn column(comparison: &Comparison<'_>, line: Line) -> Column {
    let new: Vec<Name> = line.members.iter().filter_map(|pair| pair.1).collect();
    let gone = line.members.iter().filter(|pair| pair.1.is_none()).filter_map(|pair| pair.0);
    let mut entrances = entrance_ids(comparison.new.policy, &new);
    entrances.extend(entrance_ids(comparison.old.policy, &gone.collect::<Vec<_>>()));
    entrances.sort_unstable();
    let (policy, zones) = comparison.common(&line.members);
    Column {
        key: line.key,
        unfolded_from: line.unfolded_from,
        label: line.label,
        entrances,
        and_every_other: line.and_every_other,
        zones: texts_of(policy, &zones),
    }
}
