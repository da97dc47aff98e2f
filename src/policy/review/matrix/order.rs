//! In which order rows and columns show what they have in common.
//!
//! The aim is that of McCormick, Schweitzer and White ("Problem decomposition and data
//! reorganization by a clustering technique", Operations Research 20(5), 1972): next to each
//! line stands one that is like it. That is the travelling salesman's problem (Lenstra,
//! "Clustering a data array and the traveling-salesman problem", Operations Research 22(2),
//! 1974), here by the rule of the nearest neighbour (Rosenkrantz, Stearns and Lewis, "An analysis
//! of several heuristics for the traveling salesman problem", SIAM Journal on Computing 6(3),
//! 1977), once for the rows and once for the columns. Behrisch and others compare such methods
//! ("Matrix reordering methods for table and network visualization", Computer Graphics Forum
//! 35(3), 2016). Of those this one is short, its cost is known beforehand, and it has no dice.
//!
//! Lines that look the same are one stop of the way, and stand in it by label, so that roles and
//! zones of one prefix are together. The way begins at the line that allows most. How far two
//! are apart is the sum of what differs, cell by cell; of several that are as near, the one with
//! the most like label comes first.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use super::lines::Line;

/// How many cells are compared at most. Of lines that need more of it, the order is that of their
/// patterns, brightest first.
const COMPARED_MAX: usize = 1 << 27;

/// Lines that look the same.
struct Stop<'a> {
    pattern: &'a [u8],
    label: &'a str,
    /// Their places, in the order in which they were.
    places: Vec<usize>,
}

/// The places of these lines, in the order in which they are shown. `patterns` has how their
/// cells look; lines are by label. The one for all that is not named is last, and before it those
/// of which there is nothing to show.
pub(super) fn of(lines: &[Line], patterns: &[Vec<u8>]) -> Vec<usize> {
    let mut stops: BTreeMap<&[u8], Stop<'_>> = BTreeMap::new();
    let (mut empty, mut last) = (Vec::new(), Vec::new());
    for (place, (line, pattern)) in lines.iter().zip(patterns).enumerate() {
        if line.and_every_other {
            last.push(place);
        } else if pattern.iter().all(|tone| *tone == 0) {
            empty.push(place);
        } else {
            let stop = Stop { pattern, label: &line.label, places: Vec::new() };
            stops.entry(pattern).or_insert(stop).places.push(place);
        }
    }
    // The brightest first.
    let stops: Vec<Stop<'_>> = stops.into_values().rev().collect();
    let width = stops.first().map_or(0, |stop| stop.pattern.len());
    let compared = stops.len().saturating_mul(stops.len()).saturating_mul(width) / 2;
    let stops = if compared > COMPARED_MAX { stops } else { chain(stops) };
    let shown = stops.into_iter().flat_map(|stop| stop.places);
    shown.chain(empty).chain(last).collect()
}

/// Always on to the nearest.
fn chain(mut rest: Vec<Stop<'_>>) -> Vec<Stop<'_>> {
    let by_label = |stop: &Stop<'_>| stop.places.first().copied();
    rest.sort_by_key(by_label);
    let mut way: Vec<Stop<'_>> = Vec::with_capacity(rest.len());
    while !rest.is_empty() {
        let next = match way.last() {
            None => brightest(&rest),
            Some(stop) => nearest(stop, &rest),
        };
        // What is left stays by label.
        way.push(rest.remove(next));
    }
    way
}

fn brightest(stops: &[Stop<'_>]) -> usize {
    let sum = |stop: &Stop<'_>| stop.pattern.iter().map(|tone| u32::from(*tone)).sum::<u32>();
    let sums = stops.iter().enumerate().map(|(place, stop)| (Reverse(sum(stop)), place));
    sums.min().map_or(0, |(_, place)| place)
}

fn nearest(from: &Stop<'_>, stops: &[Stop<'_>]) -> usize {
    let mut best = (0, u32::MAX, 0);
    for (place, stop) in stops.iter().enumerate() {
        let distance = distance(from.pattern, stop.pattern);
        if distance > best.1 {
            continue;
        }
        let alike = alike(from.label, stop.label);
        if distance < best.1 || alike > best.2 {
            best = (place, distance, alike);
        }
    }
    best.0
}

fn distance(a: &[u8], b: &[u8]) -> u32 {
    let apart = a.iter().zip(b).map(|(a, b)| u32::from(a.abs_diff(*b)));
    apart.fold(0, u32::wrapping_add)
}

/// With how many bytes both begin.
fn alike(a: &str, b: &str) -> usize {
    a.bytes().zip(b.bytes()).take_while(|(a, b)| a == b).count()
}
