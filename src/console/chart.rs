//! Bars over time, drawn here: SVG without style or script in it, each bar with its numbers as a title.

use maud::{Markup, html};

/// One bar: what it is for, and how much of each kind.
pub(super) struct Bar {
    pub(super) label: String,
    pub(super) parts: Vec<u64>,
}

/// The kinds, each with the class of its colour.
pub(super) struct Kinds<'a>(pub(super) &'a [(&'a str, &'a str)]);

const HEIGHT: f64 = 120.0;
const WIDTH: f64 = 600.0;

/// Bars of several kinds on one another.
pub(super) fn bars(title: &str, kinds: &Kinds<'_>, all: &[Bar]) -> Markup {
    let sum = |bar: &Bar| bar.parts.iter().sum::<u64>();
    let most = all.iter().map(sum).max().unwrap_or(0).max(1);
    let step = WIDTH / precise(u64::try_from(all.len().max(1)).unwrap_or(1));
    let totals: Vec<u64> = (0..kinds.0.len())
        .map(|kind| all.iter().filter_map(|bar| bar.parts.get(kind)).sum())
        .collect();
    html! {
        figure .chart {
            figcaption {
                (title)
                @for ((name, class), total) in kinds.0.iter().zip(&totals) {
                    " " span .key.(class) { (name) " " (total) }
                }
            }
            svg viewBox={ "0 0 " (WIDTH) " " (HEIGHT) } role="img" aria-label=(summary(title, kinds, &totals)) preserveAspectRatio="none" {
                @for (place, bar) in all.iter().enumerate() {
                    @let x = step * precise(u64::try_from(place).unwrap_or(0));
                    g {
                        title { (told(kinds, bar)) }
                        @for (class, y, height) in stacked(kinds, bar, most) {
                            rect .(class) x=(rounded(x)) y=(rounded(y)) width=(rounded((step - 1.0).max(0.5))) height=(rounded(height)) {}
                        }
                        rect .hit x=(rounded(x)) y="0" width=(rounded(step)) height=(HEIGHT) {}
                    }
                }
            }
            @if let (Some(first), Some(last)) = (all.first(), all.last()) {
                div .axis { span { (first.label) } span { "most: " (most) } span { (last.label) } }
            }
        }
    }
}

fn summary(title: &str, kinds: &Kinds<'_>, totals: &[u64]) -> String {
    let parts = kinds.0.iter().zip(totals).map(|((name, _), total)| format!("{total} {name}"));
    format!("{title}: {}", parts.collect::<Vec<_>>().join(", "))
}

fn told(kinds: &Kinds<'_>, bar: &Bar) -> String {
    let parts = kinds.0.iter().zip(&bar.parts).map(|((name, _), count)| format!("{count} {name}"));
    format!("{}: {}", bar.label, parts.collect::<Vec<_>>().join(", "))
}

/// From the bottom up: the class of each part, where it begins and how high it is.
fn stacked<'k>(kinds: &Kinds<'k>, bar: &Bar, most: u64) -> Vec<(&'k str, f64, f64)> {
    let mut top = HEIGHT;
    let parts = kinds.0.iter().zip(&bar.parts).filter(|(_, count)| **count > 0);
    let place = |((_, class), count): (&(&str, &'k str), &u64)| {
        let height = (HEIGHT * precise(*count) / precise(most)).max(1.0);
        top -= height;
        (*class, top, height)
    };
    parts.map(place).collect()
}

/// A count as a length: what is lost beyond 32 bits is no pixel.
fn precise(count: u64) -> f64 {
    u32::try_from(count).map_or(f64::from(u32::MAX), f64::from)
}

fn rounded(length: f64) -> String {
    format!("{length:.2}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_are_as_high_as_their_counts_and_text_stays_text() {
        let kinds = Kinds(&[("allowed", "good"), ("<b>", "bad")]);
        let bar = |label: &str, parts: &[u64]| Bar { label: label.into(), parts: parts.to_vec() };
        let all = [bar("10:00", &[3, 1]), bar("<img src=x>", &[0, 2]), bar("12:00", &[0, 0])];
        let drawn = bars("decisions", &kinds, &all).into_string();
        assert!(
            drawn.contains("height=\"90.00\"") && drawn.contains("height=\"30.00\""),
            "{drawn}"
        );
        assert!(
            drawn.contains("height=\"60.00\"") && drawn.contains("10:00: 3 allowed, 1 &lt;b&gt;")
        );
        assert!(!drawn.contains("<img") && !drawn.contains("style="));
        assert!(bars("none", &kinds, &[]).into_string().contains("none: 0 allowed"));
    }
}
