//! Lists and tables that are changed by hand as well: what somebody wrote around a value stays
//! where it is, and with the value that it is about.
//!
//! In a list the text after a comma belongs to what follows: the comment at the end of one
//! element's line is the beginning of the next one's prefix, or of what trails the list.

use toml_edit::{Array, ArrayOfTables, Decor, Item, RawString, TableLike, Value};

fn text(raw: Option<&RawString>) -> String {
    raw.and_then(RawString::as_str).unwrap_or_default().to_owned()
}

fn prefix(decor: &Decor) -> String {
    text(decor.prefix())
}

/// The rest of the line, and what comes below it.
fn lines(text: &str) -> (&str, &str) {
    text.split_at(text.find('\n').unwrap_or(text.len()))
}

/// The indentation of what follows.
fn indent(text: &str) -> &str {
    text.rsplit_once('\n').map_or("", |(_, indent)| indent)
}

/// Sets a member of a table. What is written around an old value stays around the new one.
pub(super) fn set_member(table: &mut dyn TableLike, key: &str, mut new: Value) {
    if let Some(old) = table.get_mut(key).and_then(Item::as_value_mut) {
        *new.decor_mut() = old.decor().clone();
        *old = new;
        return;
    }
    // In `{ a = 1 }` the blank before the brace is the last value's.
    let inline = table.iter().count() > 0;
    if inline && let Some((_, Item::Value(last))) = table.iter_mut().last() {
        let end = text(last.decor().suffix());
        if end.trim().is_empty() && !end.contains('\n') && !end.is_empty() {
            last.decor_mut().set_suffix("");
            new.decor_mut().set_prefix(" ");
            new.decor_mut().set_suffix(end);
        }
    }
    table.insert(key, Item::Value(new));
}

/// Adds an element at the end of a list, on a line of its own where the last one has one.
pub(super) fn add(array: &mut Array, mut new: Value) {
    let ends_with_comma = array.trailing_comma();
    let trailing = text(Some(array.trailing()));
    let last = array.len().checked_sub(1).and_then(|at| array.get_mut(at));
    let Some(last) = last else {
        array.push(new);
        return;
    };
    let before = prefix(last.decor());
    let after = if ends_with_comma { trailing } else { text(last.decor().suffix()) };
    if before.contains('\n') {
        let (comment, below) = lines(&after);
        let line = format!("{}\n{}", comment.trim_end(), indent(&before));
        if !ends_with_comma {
            last.decor_mut().set_suffix("");
        }
        new.decor_mut().set_prefix(line);
        array.push_formatted(new);
        array.set_trailing_comma(true);
        array.set_trailing(if below.is_empty() { "\n" } else { below });
    } else if ends_with_comma || after.contains('\n') {
        array.push(new);
    } else {
        last.decor_mut().set_suffix("");
        new.decor_mut().set_prefix(" ");
        new.decor_mut().set_suffix(after);
        array.push_formatted(new);
    }
}

/// Removes an element, with the comments above it and at the end of its line.
pub(super) fn remove(array: &mut Array, at: usize) {
    let removed = array.remove(at);
    let before = prefix(removed.decor());
    let joined = |after: &str| match (before.contains('\n'), after.contains('\n')) {
        (true, true) => format!("{}{}", lines(&before).0, lines(after).1),
        // All on one line.
        (false, false) => before.clone(),
        (true, false) | (false, true) => after.to_owned(),
    };
    if let Some(next) = array.get_mut(at) {
        let after = prefix(next.decor());
        next.decor_mut().set_prefix(joined(&after));
    } else if array.trailing_comma() {
        let after = text(Some(array.trailing()));
        if before.contains('\n') && after.contains('\n') {
            array.set_trailing(joined(&after));
        }
    } else if let Some(last) = at.checked_sub(1).and_then(|at| array.get_mut(at)) {
        let after = text(removed.decor().suffix());
        let after = if after.contains('\n') { joined(&after) } else { after };
        last.decor_mut().set_suffix(after);
    }
    if array.is_empty() {
        array.set_trailing_comma(false);
    }
}

/// Removes every element, with what is written about them.
pub(super) fn clear(array: &mut Array) {
    array.clear();
    array.set_trailing("");
    array.set_trailing_comma(false);
}

/// Removes a table of several, with the comment right above it. What is written above that,
/// after an empty line, is about more than this table and stays: above the next table, or is
/// handed back where there is none.
pub(super) fn remove_table(tables: &mut ArrayOfTables, at: usize) -> Option<String> {
    let above = tables.get(at).map(|table| prefix(table.decor())).unwrap_or_default();
    tables.remove(at);
    let kept = above.rfind("\n\n").and_then(|end| above.get(..=end)).unwrap_or_default();
    if kept.trim().is_empty() {
        return None;
    }
    let Some(next) = tables.get_mut(at) else { return Some(kept.to_owned()) };
    let own = prefix(next.decor());
    let own = if own.starts_with('\n') { own } else { format!("\n{own}") };
    next.decor_mut().set_prefix(format!("{kept}{own}"));
    None
}
