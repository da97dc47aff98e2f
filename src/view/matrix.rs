//! Callers by doors.

use serde::Serialize;

use super::policy::{Door, Times, named, refs, times};
use crate::catalogue::Catalogue;
use crate::domain::{CallerId, WorkspaceName};
use crate::policy::Policy;
use crate::policy::review::{self, LeftOut, Said, Span};

/// So many members of a group are listed; all are counted, and shown where it is unfolded.
const MEMBERS_MAX: usize = 50;

/// Who may do something to which entrances.
#[derive(Debug, Serialize)]
pub struct Matrix<'a> {
    act: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    workspace: Option<&'a str>,
    revision: &'a str,
    /// None where no policy is laid over it.
    proposed_revision: Option<&'a str>,
    from: String,
    until: String,
    rows: Vec<Row<'a>>,
    columns: Vec<Column<'a>>,
    /// For each row and column a place in `kinds`; null where no rule could match.
    cells: &'a [Vec<Option<usize>>],
    kinds: Vec<Cell<'a>>,
    left_out: ShownLeftOut,
}

#[derive(Debug, Serialize)]
struct Row<'a> {
    key: &'a str,
    unfolded_from: Option<&'a str>,
    label: &'a str,
    count: usize,
    callers: Vec<&'a str>,
    callers_left_out: usize,
    roles: &'a [String],
}

#[derive(Debug, Serialize)]
struct Column<'a> {
    key: &'a str,
    unfolded_from: Option<&'a str>,
    label: &'a str,
    /// Without every other.
    count: usize,
    entrances: Vec<Door>,
    entrances_left_out: usize,
    and_every_other: bool,
    zones: &'a [String],
}

#[derive(Debug, Serialize)]
struct Cell<'a> {
    now: ShownSaid<'a>,
    proposed: Option<ShownSaid<'a>>,
    effect: Option<&'static str>,
    widening: bool,
    differs_later: bool,
}

#[derive(Debug, Serialize)]
struct ShownSaid<'a> {
    access: Times<'a>,
    allowed_by: Vec<String>,
    denied_by: Vec<String>,
}

#[derive(Debug, Serialize)]
struct ShownLeftOut {
    rows: usize,
    columns: usize,
    cells: usize,
    changing_rows: usize,
    changing_columns: usize,
}

/// Who may do something to which entrances, within this span.
#[must_use]
pub fn matrix<'a>(
    policy: &'a Policy,
    proposed: Option<&'a Policy>,
    names: &'a Catalogue,
    found: &'a review::Matrix,
    span: Span,
) -> Matrix<'a> {
    let kinds = found.kinds.iter().map(|cell| Cell {
        now: said(&cell.now, span),
        proposed: cell.proposed.as_ref().map(|proposed| said(proposed, span)),
        effect: cell.effect.map(review::Effect::as_str),
        widening: cell.is_widening(),
        differs_later: cell.differs_later,
    });
    let LeftOut { rows, columns, cells, changing_rows, changing_columns } = found.left_out;
    Matrix {
        act: found.act.as_str(),
        workspace: found.workspace.as_ref().map(WorkspaceName::as_str),
        revision: policy.revision().as_str(),
        proposed_revision: proposed.map(|proposed| proposed.revision().as_str()),
        from: span.from.to_string(),
        until: span.until.to_string(),
        rows: found.rows.iter().map(row).collect(),
        columns: found.columns.iter().map(|one| column(names, one)).collect(),
        cells: &found.cells,
        kinds: kinds.collect(),
        left_out: ShownLeftOut { rows, columns, cells, changing_rows, changing_columns },
    }
}

fn row(row: &review::Row) -> Row<'_> {
    Row {
        key: &row.key,
        unfolded_from: row.unfolded_from.as_deref(),
        label: &row.label,
        count: row.callers.len(),
        callers: row.callers.iter().take(MEMBERS_MAX).map(CallerId::as_str).collect(),
        callers_left_out: row.callers.len().saturating_sub(MEMBERS_MAX),
        roles: &row.roles,
    }
}

fn column<'a>(names: &'a Catalogue, column: &'a review::Column) -> Column<'a> {
    let shown = column.entrances.get(..MEMBERS_MAX).unwrap_or(&column.entrances);
    // A single entrance is called what people call it.
    let name = match column.entrances.as_slice() {
        [one] if !column.and_every_other => names.name_of(*one),
        _ => None,
    };
    Column {
        key: &column.key,
        unfolded_from: column.unfolded_from.as_deref(),
        label: name.unwrap_or(&column.label),
        count: column.entrances.len(),
        entrances: named(names, shown),
        entrances_left_out: column.entrances.len() - shown.len(),
        and_every_other: column.and_every_other,
        zones: &column.zones,
    }
}

fn said(said: &Said, span: Span) -> ShownSaid<'_> {
    ShownSaid {
        access: times(&said.access, &said.conditions, span),
        allowed_by: refs(&said.allowed_by),
        denied_by: refs(&said.denied_by),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::authn::Callers;
    use crate::domain::Act;
    use crate::policy::review::{Frame, Only};
    use crate::policy::{PolicySource, SourceFile};

    #[test]
    fn groups_are_counted_and_not_all_of_them_listed() {
        let mut rules = "p, caller:desk, zone:lobby, grant, allow\n".to_owned();
        for door in 0..MEMBERS_MAX + 2 {
            let door = format!("{door:08}-0000-4000-8000-000000000000");
            rules.push_str(&format!("g2, entrance:{door}, zone:lobby\n"));
        }
        let file = |name: &str, text: &str| SourceFile { name: name.into(), bytes: text.into() };
        let model = file("model.conf", include_str!("../../policies/model.conf"));
        let callers = Callers::parse("callers.toml", b"[[caller]]\nid = \"desk\"\n").unwrap();
        let source = PolicySource { model, rules: file("policy.csv", &rules) };
        let policy = Policy::load_quietly(&source, &callers).unwrap();
        let from: jiff::Timestamp = "2026-11-25T00:00:00Z".parse().unwrap();
        let span = Span { from, until: from + jiff::SignedDuration::from_hours(24) };
        let only = Only { zone: Some("zone:lobby".into()), ..Only::default() };
        let frame = Frame { only, ..Frame::default() };
        let found = review::matrix(&policy, None, (Act::Grant, None), &frame, span);
        let names = Catalogue::default();
        let shown = serde_json::to_value(matrix(&policy, None, &names, &found, span)).unwrap();
        let column = &shown["columns"][0];
        assert_eq!(column["label"], "zone:lobby");
        assert_eq!((&column["count"], &column["entrances_left_out"]), (&52.into(), &2.into()));
        assert_eq!(column["entrances"].as_array().unwrap().len(), MEMBERS_MAX);
        assert_eq!(shown["cells"], serde_json::json!([[0]]));
        let kind = &shown["kinds"][0];
        assert_eq!(kind["now"]["access"]["when"], "always");
        assert_eq!(kind["now"]["allowed_by"][0], "policy.csv:1");
        assert!(kind["proposed"].is_null() && kind["effect"].is_null());
        assert!(shown.get("workspace").is_none());
    }
}
