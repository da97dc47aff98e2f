//! What is left out of a matrix that is too large, before its cells are found out.

use std::cmp::Reverse;

use super::lines::{Line, sort};
use super::{Groups, LeftOut};
use crate::policy::review::diff::{Comparison, Reaching};

/// Marks the rows and columns of which a cell may change: those that `diff` would look at.
pub(super) fn mark_changing(
    comparison: &Comparison<'_>,
    groups: &Groups,
    rows: &mut [Line],
    columns: &mut [Line],
) {
    let reaching = Reaching::new(comparison, &groups.entrances);
    let mut shown = vec![false; groups.entrances.len()];
    for column in columns.iter() {
        shown.get_mut(column.group).into_iter().for_each(|place| *place = true);
    }
    let mut changing = vec![false; groups.entrances.len()];
    let mut known: Vec<Option<bool>> = vec![None; groups.callers.len()];
    for row in rows {
        let (Some(known), Some(group)) = (known.get_mut(row.group), groups.callers.get(row.group))
        else {
            continue;
        };
        row.may_change = *known.get_or_insert_with(|| {
            let mut reached = reaching.of(comparison, group, group.first());
            reached.retain(|place| shown.get(*place) == Some(&true));
            for place in &reached {
                changing.get_mut(*place).into_iter().for_each(|place| *place = true);
            }
            !reached.is_empty()
        });
    }
    for column in columns {
        column.may_change = changing.get(column.group) == Some(&true);
    }
}

/// Keeps so many rows and columns that their cells are no more than `most`, and says what was
/// left out.
pub(super) fn cut(rows: &mut Vec<Line>, columns: &mut Vec<Line>, most: usize) -> LeftOut {
    let all = rows.len().saturating_mul(columns.len());
    let (row_count, column_count) = size(rows.len(), columns.len(), most.max(1));
    let (rows_left_out, changing_rows) = keep(rows, row_count);
    let (columns_left_out, changing_columns) = keep(columns, column_count);
    LeftOut {
        rows: rows_left_out,
        columns: columns_left_out,
        cells: all - rows.len() * columns.len(),
        changing_rows,
        changing_columns,
    }
}

/// The side that is short stays whole; where neither is, both are cut to the same length.
fn size(rows: usize, columns: usize, most: usize) -> (usize, usize) {
    let side = most.isqrt();
    if rows.saturating_mul(columns) <= most {
        (rows, columns)
    } else if columns <= side {
        (most / columns.max(1), columns)
    } else if rows <= side {
        (rows, most / rows.max(1))
    } else {
        (side, side)
    }
}

/// How many lines were left out, and how many of those may change.
fn keep(lines: &mut Vec<Line>, count: usize) -> (usize, usize) {
    if lines.len() <= count {
        return (0, 0);
    }
    // Stable: they are sorted.
    lines.sort_by_key(|line| {
        let is_asked_for = line.unfolded_from.is_some();
        Reverse((line.and_every_other, is_asked_for, line.may_change, line.is_named))
    });
    let rest = lines.split_off(count);
    sort(lines);
    (rest.len(), rest.iter().filter(|line| line.may_change).count())
}
