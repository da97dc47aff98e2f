//! The matrix of 2,000 callers by 20,000 entrances, folded, unfolded, and with a proposed policy.

use std::time::{Duration, Instant};

use grantgate::domain::Act;
use grantgate::policy::Policy;
use grantgate::policy::review::{Frame, Matrix, Only, Span, Unfold, matrix};
use jiff::{SignedDuration, Timestamp};

use crate::generated::{IN_HOURS, mix};
use crate::{callers, median, micros, source};

const ROUNDS: usize = 21;
const CALLERS: u32 = 2_000;
const ENTRANCES: u32 = 20_000;
const ROLES: u32 = 60;
const ZONES: u32 = 150;
const RULES: u32 = 1_500;

/// Of ten rules one has one of these.
const HOURS: [&str; 5] = [
    "hours Europe/Berlin Mo-Fr 08:00-18:00",
    "hours Europe/Berlin Mo-Su 06:00-22:00",
    "hours Europe/Berlin Sa,Su 10:00-16:00",
    "hours Europe/Berlin Mo-Fr 18:00-21:00 & grantee user_identity",
    "grantee acs_user",
];

/// Ten zones are a building. A tenth of the callers has a second role; every role is staff, who
/// may enter lobbies and may not enter plant rooms.
fn text(changed: bool) -> String {
    let mut text = String::new();
    for rule in 0..RULES {
        let dice = mix(u64::from(rule));
        let role = rule % ROLES;
        // A role's zones are in few buildings.
        let zone = (role * 7 + rule / ROLES * 3) % ZONES;
        let effect = if dice.is_multiple_of(20) { "deny" } else { "allow" };
        let when = usize::try_from(dice / 64 % 50).unwrap();
        let when = HOURS.get(when).map_or(String::new(), |when| format!(", {when}"));
        // Of fifty rules one is taken away.
        if !(changed && (dice / 4_096).is_multiple_of(50)) {
            text.push_str(&format!("p, role:team-{role}, zone:z{zone}, grant, {effect}{when}\n"));
        }
    }
    text.push_str(
        "p, role:staff, zone:lobby, grant, allow\np, role:staff, zone:plant, grant, deny\n",
    );
    text.push_str("p, role:guards, *, grant, allow\ng, caller:c0, role:guards\n");
    (0..ROLES).for_each(|role| text.push_str(&format!("g, role:team-{role}, role:staff\n")));
    for caller in 0..CALLERS {
        text.push_str(&format!("g, caller:c{caller}, role:team-{}\n", caller % ROLES));
        if caller.is_multiple_of(10) {
            let other = (caller % ROLES + 1 + caller / ROLES % 5) % ROLES;
            text.push_str(&format!("g, caller:c{caller}, role:team-{other}\n"));
        }
    }
    for zone in 0..ZONES {
        text.push_str(&format!("g2, zone:z{zone}, zone:building-{}\n", zone / 10));
    }
    for door in 0..ENTRANCES {
        let id = entrance(door);
        text.push_str(&format!("g2, entrance:{id}, zone:z{}\n", door % ZONES));
        if door / ZONES == 0 {
            let zone = if door % 2 == 0 { "lobby" } else { "plant" };
            text.push_str(&format!("g2, entrance:{id}, zone:{zone}\n"));
        }
    }
    text
}

fn entrance(number: u32) -> String {
    format!("{number:08x}-0000-4000-8000-{number:012x}")
}

/// Each caller has 50 entrances of its own, and everybody one: nothing can be folded.
fn access_list(changed: bool) -> String {
    let mut text = "p, role:staff, zone:lobby, grant, allow\n".to_owned();
    text.push_str(&format!("g2, entrance:{}, zone:lobby\n", entrance(0)));
    for caller in 0..CALLERS {
        text.push_str(&format!("g, caller:c{caller}, role:staff\n"));
        for n in 0..50 {
            let door = (caller * 10 + n * 397) % ENTRANCES;
            if !(changed && (caller + n) % 100 == 0) {
                let id = entrance(door);
                text.push_str(&format!("p, caller:c{caller}, entrance:{id}, grant, allow\n"));
            }
        }
    }
    text
}

pub(crate) fn run() {
    let unfolded = |rows: &[&str], columns: &[&str]| {
        let set = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        let unfold = Unfold { rows: set(rows), columns: set(columns) };
        Frame { unfold, ..Frame::default() }
    };
    let changes = || Frame { only: Only { changes: true, ..Only::default() }, ..Frame::default() };
    let zones: Vec<String> = (0..ZONES).map(|zone| format!("zone:z{zone}")).collect();
    let zones: Vec<&str> = zones.iter().map(String::as_str).collect();
    let one = || unfolded(&["role:team-7"], &["zone:z7"]);
    let all = || unfolded(&["role:staff"], &zones);
    table(
        text,
        vec![
            ("folded", Frame::default(), false),
            ("a role and a zone unfolded", one(), false),
            ("everything unfolded, and cut", all(), false),
            ("with a proposed policy", Frame::default(), true),
            ("the same, a role and a zone unfolded", one(), true),
            ("what it changes only", changes(), true),
            ("with a proposed policy, everything unfolded, and cut", all(), true),
        ],
    );
    table(
        access_list,
        vec![
            ("an access list, cut", Frame::default(), false),
            ("with a proposed policy, cut", Frame::default(), true),
            ("what it changes only, cut", changes(), true),
        ],
    );
}

fn table(text: fn(bool) -> String, cases: Vec<(&str, Frame, bool)>) {
    let callers = callers((0..CALLERS).map(|n| format!("c{n}")));
    let load = |changed| Policy::load_quietly(&source(&text(changed)), &callers).unwrap();
    let (policy, proposed) = (load(false), load(true));
    let from: Timestamp = IN_HOURS.parse().unwrap();
    let span = Span { from, until: from + SignedDuration::from_hours(24 * 366) };
    println!("\nCallers by doors, {CALLERS} by {ENTRANCES}, {} rules:\n", policy.rule_count());
    println!("| matrix | rows | columns | cells left out | median ms | most |");
    println!("|---|---:|---:|---:|---:|---:|");
    for (name, frame, is_proposed) in cases {
        let round = || {
            let started = Instant::now();
            let proposed = is_proposed.then_some(&proposed);
            let found = matrix(&policy, proposed, (Act::Grant, None), &frame, span);
            (started.elapsed(), found)
        };
        let mut times: Vec<Duration> = (0..ROUNDS).map(|_| round().0).collect();
        let Matrix { rows, columns, left_out, .. } = round().1;
        let middle = micros(median(&mut times)) / 1_000.0;
        let most = micros(*times.last().unwrap()) / 1_000.0;
        println!(
            "| {name} | {} | {} | {} | {middle:.1} | {most:.1} |",
            rows.len(),
            columns.len(),
            left_out.cells
        );
    }
}
