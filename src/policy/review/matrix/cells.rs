//! What is so where a row and a column meet.

use std::collections::HashMap;

use super::lines::Line;
use super::{Cell, Groups, Said, order};
use crate::policy::names::Name;
use crate::policy::review::access::{Access, Assessor};
use crate::policy::review::diff::{Comparison, Pair};
use crate::policy::rules::RuleNo;

/// The cells of these rows and columns.
pub(super) struct Table {
    /// For each row and column a place in `kinds`.
    cells: Vec<Vec<Option<usize>>>,
    kinds: Vec<Cell>,
}

impl Table {
    /// Each pair of groups is asked about once, whatever is unfolded.
    pub(super) fn new(
        comparison: &Comparison<'_>,
        is_proposed: bool,
        groups: &Groups,
        rows: &[Line],
        columns: &[Line],
    ) -> Self {
        let mut finder = Finder::new(comparison, is_proposed);
        let mut known: HashMap<(usize, usize), Option<usize>> = HashMap::new();
        let first =
            |group: Option<&super::Group>| group.map(super::Group::first).unwrap_or_default();
        let mut cells = Vec::with_capacity(rows.len());
        for row in rows {
            let caller = first(groups.callers.get(row.group));
            let mut found = Vec::with_capacity(columns.len());
            for column in columns {
                let entrance = first(groups.entrances.get(column.group));
                let cell = known.entry((row.group, column.group));
                found.push(*cell.or_insert_with(|| finder.cell(caller, entrance)));
            }
            cells.push(found);
        }
        Self { cells, kinds: finder.kinds }
    }

    fn kind(&self, cell: Option<usize>) -> Option<&Cell> {
        self.kinds.get(cell?)
    }

    /// Leaves out rows and columns of which nothing changes.
    pub(super) fn keep_changes(&mut self, rows: &mut Vec<Line>, columns: &mut Vec<Line>) {
        let changes = |cell: &Option<usize>| self.kind(*cell).is_some_and(|c| c.effect.is_some());
        let kept_rows: Vec<bool> = self.cells.iter().map(|row| row.iter().any(changes)).collect();
        let mut kept_columns = vec![false; columns.len()];
        for row in &self.cells {
            for (kept, cell) in kept_columns.iter_mut().zip(row) {
                *kept |= changes(cell);
            }
        }
        retain(rows, &kept_rows);
        retain(columns, &kept_columns);
        retain(&mut self.cells, &kept_rows);
        for row in &mut self.cells {
            retain(row, &kept_columns);
        }
    }

    /// Puts rows and columns that look alike next to each other.
    pub(super) fn arrange(&mut self, rows: &mut Vec<Line>, columns: &mut Vec<Line>) {
        let tones: Vec<[u8; 2]> = self.kinds.iter().map(tones).collect();
        let tones = |cell: &Option<usize>| {
            cell.and_then(|place| tones.get(place)).copied().unwrap_or_default()
        };
        let of_rows: Vec<Vec<u8>> =
            self.cells.iter().map(|row| row.iter().flat_map(tones).collect()).collect();
        let mut of_columns = vec![Vec::with_capacity(2 * rows.len()); columns.len()];
        for row in &self.cells {
            for (pattern, cell) in of_columns.iter_mut().zip(row) {
                pattern.extend(tones(cell));
            }
        }
        let (row_order, column_order) =
            (order::of(rows, &of_rows), order::of(columns, &of_columns));
        put(rows, &row_order);
        put(columns, &column_order);
        put(&mut self.cells, &row_order);
        for row in &mut self.cells {
            put(row, &column_order);
        }
    }

    /// Cells and kinds; a kind that is met first stands first.
    pub(super) fn into_parts(self) -> (Vec<Vec<Option<usize>>>, Vec<Cell>) {
        let Self { mut cells, kinds } = self;
        let mut kinds: Vec<Option<Cell>> = kinds.into_iter().map(Some).collect();
        let mut numbers: HashMap<usize, usize> = HashMap::new();
        let mut met = Vec::new();
        for place in cells.iter_mut().flatten().flatten() {
            if let Some(kind) = kinds.get_mut(*place).and_then(Option::take) {
                numbers.insert(*place, met.len());
                met.push(kind);
            }
            *place = numbers.get(place).copied().unwrap_or_default();
        }
        (cells, met)
    }
}

/// How a cell looks under both policies, from nothing said to always.
fn tones(cell: &Cell) -> [u8; 2] {
    let tone = |said: &Said| match said.access {
        Access::Never => u8::from(!said.denied_by.is_empty()),
        Access::Sometimes(_) => 2,
        Access::Always => 3,
    };
    let now = tone(&cell.now);
    [now, cell.proposed.as_ref().map_or(now, tone)]
}

fn retain<T>(items: &mut Vec<T>, kept: &[bool]) {
    let mut kept = kept.iter();
    items.retain(|_| kept.next() == Some(&true));
}

fn put<T>(items: &mut Vec<T>, places: &[usize]) {
    let mut taken: Vec<Option<T>> = items.drain(..).map(Some).collect();
    items.extend(places.iter().filter_map(|place| taken.get_mut(*place)?.take()));
}

/// The rules of both policies that could match: all that a cell depends on.
type Grounds = (Vec<RuleNo>, Vec<RuleNo>);

struct Finder<'a> {
    comparison: &'a Comparison<'a>,
    is_proposed: bool,
    known: HashMap<Grounds, usize>,
    kinds: Vec<Cell>,
}

impl<'a> Finder<'a> {
    fn new(comparison: &'a Comparison<'a>, is_proposed: bool) -> Self {
        Self { comparison, is_proposed, known: HashMap::new(), kinds: Vec::new() }
    }

    fn cell(&mut self, caller: Pair, entrance: Pair) -> Option<usize> {
        let (old, new) = (&self.comparison.old.assessor, &self.comparison.new.assessor);
        let before = old.candidates(caller.0, entrance.0);
        let after = self.is_proposed.then(|| new.candidates(caller.1, entrance.1));
        let grounds = (before, after.unwrap_or_default());
        if grounds.0.is_empty() && grounds.1.is_empty() {
            return None;
        }
        if let Some(place) = self.known.get(&grounds) {
            return Some(*place);
        }
        let is_compared = self.is_proposed;
        let compared = is_compared.then(|| self.comparison.compare(caller, entrance)).flatten();
        let cell = Cell {
            now: said(old, (caller.0, entrance.0), &grounds.0),
            proposed: is_compared.then(|| said(new, (caller.1, entrance.1), &grounds.1)),
            effect: compared.as_ref().map(|compared| compared.effect),
            differs_later: compared.is_some_and(|compared| compared.differs_later),
        };
        let place = self.kinds.len();
        self.kinds.push(cell);
        self.known.insert(grounds, place);
        Some(place)
    }
}

fn said(
    assessor: &Assessor<'_>,
    (caller, entrance): (Option<Name>, Option<Name>),
    numbers: &[RuleNo],
) -> Said {
    Said {
        access: assessor.access(caller, entrance),
        conditions: assessor.conditions(numbers),
        allowed_by: assessor.refs(numbers, true),
        denied_by: assessor.refs(numbers, false),
    }
}
