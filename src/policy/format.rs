//! One layout for rules files: sorted, aligned, with the same statements.
//!
//! Comments and empty lines stay where they are and divide a file into blocks; the lines
//! of a block are sorted, since no order of rules means anything, and their fields aligned.
//! Comments lose their indent, and every line ends with LF.

use super::line::is_comment;

/// The fields of a `p` line; the last, `when`, may hold commas.
const FIELDS_MAX: usize = 6;

/// The kinds of line, in the order in which they stand in a block.
const KINDS: [&str; 3] = ["p", "g", "g2"];

/// The text in the one layout.
#[must_use]
pub fn format(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut block: Vec<Vec<&str>> = Vec::new();
    let mut empty_before = true;
    for line in text.lines() {
        let line = line.trim_matches([' ', '\t', '\r']);
        if is_comment(line) {
            write_block(&mut out, &mut block);
            // One empty line says as much as several.
            if !(line.is_empty() && (empty_before && out.is_empty() || out.ends_with("\n\n"))) {
                out.push_str(line);
                out.push('\n');
            }
            empty_before = line.is_empty();
        } else {
            block.push(fields(line));
        }
    }
    write_block(&mut out, &mut block);
    while out.ends_with("\n\n") {
        out.pop();
    }
    out
}

/// The statements of a text, each as its fields, sorted: two texts with the same ones mean
/// the same.
#[must_use]
pub fn statements(text: &str) -> Vec<Vec<&str>> {
    let lines = text.lines().map(|line| line.trim_matches([' ', '\t', '\r']));
    let lines = lines.filter(|line| !is_comment(line));
    let mut found: Vec<Vec<&str>> = lines.map(fields).collect();
    found.sort_unstable();
    found
}

fn fields(line: &str) -> Vec<&str> {
    let kind = line.split(',').next().unwrap_or_default().trim_matches(' ');
    let most = if kind == "p" { FIELDS_MAX } else { usize::MAX };
    line.splitn(most, ',').map(|field| field.trim_matches(' ')).collect()
}

fn write_block(out: &mut String, block: &mut Vec<Vec<&str>>) {
    let rank = |line: &[&str]| KINDS.iter().position(|kind| line.first() == Some(kind));
    // What is none of these stands last, as it is.
    block.sort_by(|a, b| {
        (rank(a).unwrap_or(KINDS.len()), a).cmp(&(rank(b).unwrap_or(KINDS.len()), b))
    });
    let mut rest = block.as_slice();
    while let Some(first) = rest.first() {
        let of_kind = rest.iter().take_while(|line| line.first() == first.first()).count();
        let (lines, others) = rest.split_at(of_kind);
        write_aligned(out, lines);
        rest = others;
    }
    block.clear();
}

fn write_aligned(out: &mut String, lines: &[Vec<&str>]) {
    let columns = lines.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        lines.iter().filter_map(|line| line.get(column)).map(|field| field.len()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    for line in lines {
        for ((place, field), width) in line.iter().enumerate().zip(&widths) {
            out.push_str(field);
            if place + 1 < line.len() {
                out.push(',');
                out.extend(std::iter::repeat_n(' ', width - field.len() + 1));
            }
        }
        out.push('\n');
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn lines_are_sorted_and_aligned_within_their_blocks() {
        let text = "\n\n# the desk\np,role:front-desk,zone:lobby, grant,allow\n\
            p, role:desk, zone:b, grant, deny, hours Europe/Berlin Sa,Su  \n\n\n\
            g2, zone:x, zone:y\r\ng, caller:b, role:front-desk\ng, caller:a, role:desk\n# end\n\n\n";
        assert_eq!(
            format(text),
            "# the desk\n\
             p, role:desk,       zone:b,     grant, deny,  hours Europe/Berlin Sa,Su\n\
             p, role:front-desk, zone:lobby, grant, allow\n\
             \n\
             g, caller:a, role:desk\n\
             g, caller:b, role:front-desk\n\
             g2, zone:x, zone:y\n\
             # end\n"
        );
    }

    proptest! {
        #[test]
        fn nothing_is_lost_and_twice_is_once(
            lines in proptest::collection::vec("(p|g|g2|x|#| )[,a-d #;:]{0,12}", 0..12)
        ) {
            let text = lines.join("\n");
            let formatted = format(&text);
            prop_assert_eq!(statements(&text), statements(&formatted));
            prop_assert_eq!(format(&formatted), formatted.clone());
            let comments = |text: &str| {
                let lines = text.lines().map(|line| line.trim_matches([' ', '\t', '\r']).to_owned());
                lines.filter(|line| line.starts_with('#')).collect::<Vec<_>>()
            };
            prop_assert_eq!(comments(&text), comments(&formatted));
        }
    }
}
