//! Policies of any size, the same in every run: teams by floors, deny overrides.
//!
//! Five floors are a site; a floor has 20 entrances. A team has 8 callers; ten teams are
//! a department, and every department is staff. Of five pairs of a team and a floor, two
//! are allowed, one is allowed in office hours, one is denied and one has no rule. Each
//! site's first floor has a rule for the guards, who may grant the whole site; each other
//! floor has a plant room that is denied to all staff.

use grantgate::domain::Reason;

/// The condition of an allow in office hours.
const HOURS: &str = "hours Europe/Berlin Mo-Fr 08:00-18:00";
/// A Wednesday, 11:00 in Berlin.
pub(crate) const IN_HOURS: &str = "2026-11-25T10:00:00Z";

const FLOORS_PER_SITE: u32 = 5;
const ENTRANCES_PER_FLOOR: u32 = 20;
const CALLERS_PER_TEAM: u32 = 8;
const TEAMS_PER_DEPARTMENT: u32 = 10;
/// A team's pairs with all floors repeat after this many.
const PAIRS: u32 = 5;
/// The entrance of a floor that is its plant room, where it has one.
const PLANT_ROOM: u32 = 0;

/// What a rule says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Effect {
    Allow,
    AllowInHours,
    Deny,
}

/// What a request finds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Case {
    /// One rule allows.
    Allow,
    /// One rule allows, under a condition.
    AllowInHours,
    /// One rule denies.
    Deny,
    /// One rule allows, another denies.
    DenyOverAllow,
    /// Rules name both, but not together.
    NoRule,
    UnknownCaller,
    UnknownEntrance,
}

impl Case {
    pub(crate) fn reason(self) -> Reason {
        match self {
            Self::Allow | Self::AllowInHours => Reason::AllowedByRule,
            Self::Deny | Self::DenyOverAllow => Reason::DeniedByRule,
            Self::NoRule => Reason::NoRuleMatches,
            Self::UnknownCaller => Reason::CallerOutsidePolicy,
            Self::UnknownEntrance => Reason::EntranceOutsidePolicy,
        }
    }
}

/// A policy of so many rules.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Generated {
    pub(crate) rules: u32,
    pub(crate) floors: u32,
    pub(crate) teams: u32,
    /// Whether there are conditions; without them, an allow in hours is an allow.
    hours: bool,
}

impl Generated {
    /// `rules` is a power of ten from 100 to 1,000,000.
    pub(crate) fn new(rules: u32, hours: bool) -> Self {
        let floors = match rules {
            100 => 4,
            1_000 => 40,
            10_000 => 80,
            100_000 => 160,
            1_000_000 => 1_600,
            _ => panic!("no policy of {rules} rules"),
        };
        // One rule of each floor is no team's, and a team has rules for four of five floors.
        let teams = (rules / floors - 1) * PAIRS / (PAIRS - 1);
        Self { rules, floors, teams, hours }
    }

    /// What the team's rule for the floor says, if there is one.
    fn effect(self, team: u32, floor: u32) -> Option<Effect> {
        match (team + floor) % PAIRS {
            0 | 1 => Some(Effect::Allow),
            2 if self.hours => Some(Effect::AllowInHours),
            2 => Some(Effect::Allow),
            3 => Some(Effect::Deny),
            _ => None,
        }
    }

    /// Subject, object and effect of every rule.
    pub(crate) fn rules(self) -> impl Iterator<Item = (String, String, Effect)> {
        let of_floor = move |floor| {
            if has_plant_room(floor) {
                let room = format!("entrance:{}", entrance(floor, PLANT_ROOM));
                ("role:staff".into(), room, Effect::Deny)
            } else {
                ("role:guards".into(), site(floor), Effect::Allow)
            }
        };
        let of_team = move |team| {
            (0..self.floors).filter_map(move |floor| {
                let effect = self.effect(team, floor)?;
                Some((role(team), zone(floor), effect))
            })
        };
        (0..self.floors).map(of_floor).chain((0..self.teams).flat_map(of_team))
    }

    /// Member and group of every `g` line.
    pub(crate) fn roles(self) -> impl Iterator<Item = (String, String)> {
        let callers = (0..self.teams).flat_map(|team| {
            (0..CALLERS_PER_TEAM).map(move |n| (format!("caller:{}", caller(team, n)), role(team)))
        });
        let teams = (0..self.teams).map(|team| (role(team), department(team)));
        let departments = (0..self.teams).step_by(TEAMS_PER_DEPARTMENT as usize);
        let departments = departments.map(|team| (department(team), "role:staff".to_owned()));
        let guards = [("caller:guards", "role:guards"), ("role:guards", "role:staff")];
        let guards = guards.map(|(member, group)| (member.to_owned(), group.to_owned()));
        callers.chain(teams).chain(departments).chain(guards)
    }

    /// Member and group of every `g2` line.
    pub(crate) fn zones(self) -> impl Iterator<Item = (String, String)> {
        let entrances = (0..self.floors).flat_map(|floor| {
            (0..ENTRANCES_PER_FLOOR)
                .map(move |n| (format!("entrance:{}", entrance(floor, n)), zone(floor)))
        });
        entrances.chain((0..self.floors).map(|floor| (zone(floor), site(floor))))
    }

    /// The lines of `policy.csv`. A rule without a condition has this as its last fields.
    pub(crate) fn text(self, without_condition: &str) -> String {
        let mut text = String::new();
        for (subject, object, effect) in self.rules() {
            let end = match effect {
                Effect::Allow => format!("allow{without_condition}"),
                Effect::AllowInHours => format!("allow, {HOURS}"),
                Effect::Deny => format!("deny{without_condition}"),
            };
            text.push_str(&format!("p, {subject}, {object}, grant, {end}\n"));
        }
        for (member, group) in self.roles() {
            text.push_str(&format!("g, {member}, {group}\n"));
        }
        for (member, group) in self.zones() {
            text.push_str(&format!("g2, {member}, {group}\n"));
        }
        text
    }

    /// The ids of all callers.
    pub(crate) fn callers(self) -> impl Iterator<Item = String> {
        let of_team = |team| (0..CALLERS_PER_TEAM).map(move |n| caller(team, n));
        (0..self.teams).flat_map(of_team).chain(std::iter::once("guards".to_owned()))
    }

    /// So many requests of one case, each a caller's id and an entrance's, in no order.
    pub(crate) fn requests(self, case: Case, count: usize) -> Vec<(String, String)> {
        let mut state = 0;
        let mut random = |below: u32| {
            state += 1;
            let value = u32::try_from(mix(state) >> 32).unwrap_or_default();
            value % below
        };
        let mut found = Vec::with_capacity(count);
        while found.len() < count {
            let (team, floor) = (random(self.teams), random(self.floors));
            let caller = caller(team, random(CALLERS_PER_TEAM));
            // Any but the plant room.
            let inside = entrance(floor, 1 + random(ENTRANCES_PER_FLOOR - 1));
            let pair = self.effect(team, floor);
            let (asked, request) = match case {
                Case::Allow => (pair == Some(Effect::Allow), (caller, inside)),
                Case::AllowInHours => (pair == Some(Effect::AllowInHours), (caller, inside)),
                Case::Deny => (pair == Some(Effect::Deny), (caller, inside)),
                Case::DenyOverAllow => {
                    let room = (caller, entrance(floor, PLANT_ROOM));
                    (pair == Some(Effect::Allow) && has_plant_room(floor), room)
                }
                Case::NoRule => (pair.is_none(), (caller, inside)),
                Case::UnknownCaller => (true, (format!("stranger-{team}"), inside)),
                Case::UnknownEntrance => {
                    (true, (caller, entrance(floor + self.floors, PLANT_ROOM)))
                }
            };
            if asked {
                found.push(request);
            }
        }
        found
    }
}

fn has_plant_room(floor: u32) -> bool {
    !floor.is_multiple_of(FLOORS_PER_SITE)
}

fn caller(team: u32, n: u32) -> String {
    format!("team-{team}-service-{n}")
}

fn role(team: u32) -> String {
    format!("role:team-{team}")
}

fn department(team: u32) -> String {
    format!("role:department-{}", team / TEAMS_PER_DEPARTMENT)
}

fn zone(floor: u32) -> String {
    format!("zone:floor-{floor}")
}

fn site(floor: u32) -> String {
    format!("zone:site-{}", floor / FLOORS_PER_SITE)
}

/// A uuid of version 4 in form.
fn entrance(floor: u32, n: u32) -> String {
    let number = u64::from(floor * ENTRANCES_PER_FLOOR + n);
    let (high, low) = (mix(2 * number), mix(2 * number + 1));
    let (first, second, third) = (high >> 32, high >> 16 & 0xffff, high & 0xfff);
    format!(
        "{first:08x}-{second:04x}-4{third:03x}-8{:03x}-{:012x}",
        low >> 52,
        low & 0xffff_ffff_ffff
    )
}

/// SplitMix64: a number that looks like chance, the same in every run.
pub(crate) fn mix(n: u64) -> u64 {
    let n = n.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let n = (n ^ n >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let n = (n ^ n >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    n ^ n >> 31
}
