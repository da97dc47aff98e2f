//! `docs/architecture.svg`, drawn from the tables of layers and wings. The words in each box
//! are the first sentence of the module's own documentation, so that nothing is said twice.

use std::fmt::Write as _;
use std::path::Path;

use super::{FORBIDDEN, LAYERS, WINGS};

const WIDTH: usize = 960;
const MARGIN: usize = 20;
/// Where boxes begin: beside the name of their row.
const LEFT: usize = 56;
/// Where the words begin in a box that is alone in its row.
const BESIDE: usize = 120;
const GAP: usize = 10;
const LINE: usize = 16;
const BOXES_MAX: usize = 4;
/// Tenths of a pixel that a letter of the sentences takes, with some to spare: fonts differ.
const LETTER: usize = 66;

/// A row of boxes, top row first.
struct Row {
    label: String,
    fill: &'static str,
    boxes: Vec<Module>,
}

struct Module {
    name: &'static str,
    words: String,
    /// What it may import or not, where that is not said by its row.
    arrows: String,
}

/// The first sentence of a folder's documentation.
fn sentence(folder: &str) -> String {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("src").join(folder).join("mod.rs");
    let text = std::fs::read_to_string(&file).unwrap();
    let paragraph: Vec<&str> = text
        .lines()
        .map_while(|line| line.strip_prefix("//! "))
        .map(|line| line.trim_start_matches(' '))
        .collect();
    let paragraph = paragraph.join(" ");
    let end = paragraph.find(". ").map_or(paragraph.len(), |end| end + 1);
    assert!(end > 0, "src/{folder} is not documented");
    paragraph[..end].trim_end_matches('.').replace('`', "")
}

fn layers() -> Vec<Row> {
    let top = LAYERS.iter().map(|(_, layer, _)| *layer).max().unwrap();
    let module = |name: &'static str, also: &[&str]| {
        let forbidden = FORBIDDEN.iter().find(|(of, _)| *of == name);
        let mut arrows = forbidden.map_or(String::new(), |(_, forbidden)| {
            format!("knows nothing of {}", forbidden.join(", "))
        });
        if !also.is_empty() {
            arrows = [format!("may also import {}", also.join(", ")), arrows].join("; ");
        }
        Module { name, words: sentence(name), arrows }
    };
    let row = |layer: u8| {
        let modules = LAYERS.iter().filter(|(_, of, _)| *of == layer);
        let boxes = modules.map(|(name, _, also)| module(name, also)).collect();
        Row { label: layer.to_string(), fill: "#dbeafe", boxes }
    };
    (0..=top).rev().map(row).collect()
}

/// One above the highest wing that this one uses.
fn height(wing: &str) -> usize {
    let (_, used) = WINGS.iter().find(|(name, _)| *name == wing).unwrap();
    used.iter().map(|used| height(used) + 1).max().unwrap_or(0)
}

fn wings() -> Vec<Row> {
    let top = WINGS.iter().map(|(wing, _)| height(wing)).max().unwrap();
    let module = |name: &'static str, used: &[&str]| {
        let uses = if used.is_empty() { "no other wing".to_owned() } else { used.join(", ") };
        let words = sentence(&format!("audit/{name}"));
        Module { name, words, arrows: format!("may use {uses}") }
    };
    let row = |at: usize| {
        let wings = WINGS.iter().filter(|(wing, _)| height(wing) == at);
        let boxes = wings.map(|(name, used)| module(name, used)).collect();
        Row { label: String::new(), fill: "#dcfce7", boxes }
    };
    (0..=top).rev().map(row).collect()
}

/// Lines of at most so many letters.
fn wrapped(text: &str, letters: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let line = lines.last_mut().unwrap();
        if line.is_empty() {
            line.push_str(word);
        } else if line.len() + 1 + word.len() <= letters {
            line.push(' ');
            line.push_str(word);
        } else {
            lines.push(word.to_owned());
        }
    }
    lines
}

fn text(svg: &mut String, class: &str, (x, y): (usize, usize), text: &str) {
    let text = text.replace('&', "&amp;").replace('<', "&lt;");
    writeln!(svg, r#"<text class="{class}" x="{x}" y="{y}">{text}</text>"#).unwrap();
}

/// Draws rows from `y` down; gives where they end. A box that is alone has its name and its
/// words side by side, others have them below each other.
fn draw(svg: &mut String, mut y: usize, rows: &[Row]) -> usize {
    for Row { label, fill, boxes } in rows {
        text(svg, "label", (MARGIN + 14, y + 20), label);
        for boxes in boxes.chunks(BOXES_MAX) {
            let width = (WIDTH - MARGIN - LEFT - GAP * (boxes.len() - 1)) / boxes.len();
            let (right, down) = if boxes.len() == 1 { (BESIDE, 0) } else { (10, LINE) };
            let letters = (width - right - 10) * 10 / LETTER;
            let lines_of = |module: &Module| {
                let words = wrapped(&module.words, letters).into_iter().map(|line| ("words", line));
                let arrows = wrapped(&module.arrows, letters).into_iter();
                let arrows = arrows.filter(|line| !line.is_empty()).map(|line| ("arrows", line));
                words.chain(arrows).collect::<Vec<_>>()
            };
            let boxes: Vec<_> =
                boxes.iter().map(|module| (module.name, lines_of(module))).collect();
            let lines = boxes.iter().map(|(_, lines)| lines.len()).max().unwrap();
            let height = 14 + down + LINE * lines;
            for (at, (name, lines)) in boxes.into_iter().enumerate() {
                let x = LEFT + at * (width + GAP);
                writeln!(
                    svg,
                    r#"<rect x="{x}" y="{y}" width="{width}" height="{height}" rx="5" fill="{fill}"/>"#
                )
                .unwrap();
                text(svg, "name", (x + 10, y + 20), name);
                for (number, (class, line)) in lines.iter().enumerate() {
                    text(svg, class, (x + right, y + 20 + down + number * LINE), line);
                }
            }
            y += height + GAP;
        }
    }
    y
}

fn picture() -> String {
    let mut body = String::new();
    text(&mut body, "title", (MARGIN, 34), "The modules of src/ in layers");
    text(
        &mut body,
        "words",
        (MARGIN, 54),
        "A module may import from the rows below its own, never from its own or above.",
    );
    let y = draw(&mut body, 70, &layers()) + 24;
    text(&mut body, "title", (MARGIN, y), "The wings of src/audit/");
    let y = draw(&mut body, y + 16, &wings()) + MARGIN - GAP;
    format!(
        r##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {y}" width="{WIDTH}" height="{y}" role="img">
<!-- Drawn by tests/it/layers/picture.rs. -->
<title>grantgate's modules in layers</title>
<style>
text {{ font-family: Helvetica, Arial, sans-serif; fill: #1f2937 }}
.title {{ font-size: 18px; font-weight: bold }}
.name {{ font-size: 14px; font-weight: bold }}
.words {{ font-size: 12.5px }}
.arrows {{ font-size: 12px; font-style: italic; fill: #4b5563 }}
.label {{ font-size: 14px; fill: #6b7280; text-anchor: middle }}
</style>
<rect x="0.5" y="0.5" width="{}" height="{}" rx="8" fill="#ffffff" stroke="#d1d5db"/>
{body}</svg>
"##,
        WIDTH - 1,
        y - 1
    )
}

/// `UPDATE=1 cargo test --test it layers::picture` writes the file.
#[test]
fn the_picture_shows_the_layers() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/architecture.svg");
    let picture = picture();
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&file, &picture).unwrap();
    }
    let shown = std::fs::read_to_string(&file).unwrap();
    assert!(
        shown == picture,
        "docs/architecture.svg is out of date: UPDATE=1 cargo test --test it layers::picture"
    );
}
