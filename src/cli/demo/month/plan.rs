//! What the services of an office ask for in a month: hours, doors and people are thrown with
//! dice, and what is decided is what the policy says.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::ops::Range;
use std::sync::Arc;

use jiff::civil::Weekday;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use super::dice::Dice;
use super::doors::{Doors, body, crowd, person, sha256};
use super::entry::{Answer, Asked, Entry, What};
use super::services::Service;
use crate::cli::demo::Failure;
use crate::domain::{
    AcsUserId, CallerId, EntranceId, Grantee, Operation, Outcome, Reason, RequestId, Resolution,
};
use crate::gateway::midnight;
use crate::policy::{Evaluation, Moment, Policy, Question};
use crate::sandbox::Fixtures;

/// Every month is made of the same numbers.
const SEED: u64 = 0x6d6f_6e74_6820_6f66;

/// Before the last day, which is not whole.
const DAYS: i64 = 30;

/// The first hour: nobody asks for anything in it on any day.
const FIRST_HOUR: i64 = 3;

/// After so many seconds Seam is asked about an unknown outcome.
const ASKED_AFTER: [i64; 5] = [10, 60, 300, 900, 3_600];

/// People who work here.
const STAFF: u64 = 14;

/// A month that is being made up.
pub(super) struct Plan<'p> {
    policy: &'p Policy,
    doors: Doors,
    dice: Dice,
    /// When Seam cannot be reached.
    outages: Vec<Range<Timestamp>>,
    work_order: u32,
    entries: Vec<Entry>,
}

/// When a month begins that ends at this time.
pub(super) fn beginning(until: Timestamp) -> Timestamp {
    after(midnight(until), SignedDuration::from_hours(FIRST_HOUR - 24 * DAYS))
}

/// Everything from the beginning until this time, in its order.
pub(super) fn entries(policy: &Policy, until: Timestamp) -> Result<Vec<Entry>, Failure> {
    let (doors, dice) = (Doors::new()?, Dice::new(SEED));
    let mut plan =
        Plan { policy, doors, dice, outages: Vec::new(), work_order: 10_400, entries: Vec::new() };
    let first = midnight(beginning(until));
    let days: Vec<_> = (0..=DAYS).map(|day| hours_after(first, 24 * day)).collect();
    // On days on which many come, one and more than two weeks into it. Not lately: what is unknown
    // would keep the gateway from sending the same once more.
    for (from, hour, minutes) in [(8, 9, 45), (19, 13, 25)] {
        let mut later = days.iter().skip(from);
        let day = later.find(|day| !is_weekend(weekday(**day)));
        let begin = day.map(|day| hours_after(*day, hour));
        plan.outages.extend(begin.map(|at| at..after(at, SignedDuration::from_mins(minutes))));
    }
    for day in days {
        for service in Service::ALL {
            for (hour, tenths) in service.hours(weekday(day)) {
                let times = (tenths + plan.dice.below(10)) / 10;
                for _ in 0..times {
                    let at = plan.within(hours_after(day, *hour), 3_540);
                    plan.visit(service, at)?;
                }
            }
        }
        plan.strangers(day);
    }
    let mut entries = plan.entries;
    // Whole requests only, each with its outcome.
    let begin = beginning(until);
    let late: HashSet<RequestId> =
        entries.iter().filter(|entry| entry.at >= until).filter_map(Entry::request_id).collect();
    let is_late = |entry: &Entry| entry.request_id().is_some_and(|id| late.contains(&id));
    entries.retain(|entry| (begin..until).contains(&entry.at) && !is_late(entry));
    entries.sort_by_key(|entry| entry.at);
    Ok(entries)
}

fn after(time: Timestamp, span: SignedDuration) -> Timestamp {
    time.checked_add(span).unwrap_or(time)
}

fn hours_after(time: Timestamp, hours: i64) -> Timestamp {
    after(time, SignedDuration::from_hours(hours))
}

fn weekday(at: Timestamp) -> Weekday {
    TimeZone::UTC.to_datetime(at).date().weekday()
}

const fn is_weekend(day: Weekday) -> bool {
    matches!(day, Weekday::Saturday | Weekday::Sunday)
}

impl Plan<'_> {
    /// A time within so many seconds after this one.
    fn within(&mut self, from: Timestamp, secs: u64) -> Timestamp {
        let micros = i64::try_from(self.dice.below(secs * 1_000_000)).unwrap_or_default();
        after(from, SignedDuration::from_micros(micros))
    }

    /// Somebody comes, and is let in here and there.
    fn visit(&mut self, service: Service, at: Timestamp) -> Result<(), Failure> {
        let number = self.dice.below(1_000);
        match (service, number) {
            (_, 0..8) => self.malformed(service, at),
            (_, 8..14) => self.ask(service, at, (Operation::GetEntrance, self.doors.main), None),
            (Service::Desk, _) => self.visitor(number, at),
            (Service::Cleaning, _) => self.shift(number, at),
            (Service::Facilities, _) => self.work_order(number, at),
        }
    }

    fn visitor(&mut self, number: u64, at: Timestamp) -> Result<(), Failure> {
        let visitor = match number {
            // Whom Seam does not know.
            14..24 => self.dice.uuid().to_string(),
            _ => crowd(0x1000 + self.dice.below(0xff_0000)),
        };
        let Doors { main, garage, rooms, office, servers, .. } = self.doors;
        let first = match number {
            24..58 => office,
            58..70 => servers,
            _ => main,
        };
        let mut doors = vec![first];
        if first == main && self.dice.comes(450) {
            doors.extend(self.dice.one_of(&rooms));
        }
        if first == main && self.dice.comes(180) {
            doors.push(garage);
        }
        self.grants(Service::Desk, at, &doors, &visitor)
    }

    fn shift(&mut self, number: u64, at: Timestamp) -> Result<(), Failure> {
        let Doors { main, rooms: [one, two], office, servers, removed, .. } = self.doors;
        let doors = match number {
            14..40 => vec![servers],
            40..60 => vec![removed],
            60..300 => vec![main, one, two],
            _ => vec![main, office],
        };
        let person = crowd(self.dice.below(STAFF / 2));
        self.grants(Service::Cleaning, at, &doors, &person)
    }

    fn work_order(&mut self, number: u64, at: Timestamp) -> Result<(), Failure> {
        let Doors { main, garage, rooms: [one, two], office, servers, removed } = self.doors;
        let door = match number {
            14..90 => servers,
            90..110 => removed,
            _ => self.dice.one_of(&[main, garage, garage, one, two, office]).unwrap_or(main),
        };
        let grantee = match (Fixtures::acs_users().first(), self.dice.comes(300)) {
            (Some(user), true) => Grantee::AcsUser(AcsUserId::parse(user.id)?),
            _ => person(&crowd(self.dice.below(STAFF)))?,
        };
        self.ask(Service::Facilities, at, (Operation::GrantAccess, door), Some(grantee))
    }

    /// One person, and one door after the other.
    fn grants(
        &mut self,
        service: Service,
        mut at: Timestamp,
        doors: &[EntranceId],
        who: &str,
    ) -> Result<(), Failure> {
        for door in doors {
            self.ask(service, at, (Operation::GrantAccess, *door), Some(person(who)?))?;
            at = self.within(after(at, SignedDuration::from_secs(9)), 20);
        }
        Ok(())
    }

    /// A request, what the policy says of it, and what becomes of it.
    fn ask(
        &mut self,
        service: Service,
        at: Timestamp,
        (operation, entrance): (Operation, EntranceId),
        grantee: Option<Grantee>,
    ) -> Result<(), Failure> {
        let mut asked = self.request(service, at, operation)?;
        let moment = Moment { at, grantee: grantee.as_ref().map(Grantee::kind) };
        let (caller, act) = (&asked.caller, operation.act());
        let question = Question { caller, act, entrance, workspace: None, moment };
        let Evaluation { reason, rules } = self.policy.evaluate(question);
        // Only grants have made-up answers.
        if reason.permits() && grantee.is_none() {
            return Ok(());
        }
        (asked.reason, asked.rules) = (reason, rules);
        (asked.entrance, asked.grantee) = (Some(entrance), grantee);
        asked.body_sha256 = Some(sha256(&body(entrance, grantee)));
        let of = asked.request_id;
        self.entries.push(Entry { at, what: What::Decided(Arc::new(asked)) });
        if reason.permits() {
            self.answer(of, at, entrance, grantee);
        }
        Ok(())
    }

    /// One that is none of the operation's: the policy is not asked.
    fn malformed(&mut self, service: Service, at: Timestamp) -> Result<(), Failure> {
        let reasons = [
            Reason::GranteeMissing,
            Reason::FieldNotUuid,
            Reason::BodyNotJson,
            Reason::BodyUnknownKey,
        ];
        let mut asked = self.request(service, at, Operation::GrantAccess)?;
        asked.reason = self.dice.one_of(&reasons).unwrap_or(Reason::GranteeMissing);
        self.entries.push(Entry { at, what: What::Decided(Arc::new(asked)) });
        Ok(())
    }

    /// Of this service, about nothing yet.
    fn request(
        &mut self,
        service: Service,
        at: Timestamp,
        operation: Operation,
    ) -> Result<Asked, Failure> {
        let (count, [a, b, c, before]) = service.machines();
        let machine = u8::try_from(1 + self.dice.below(count)).unwrap_or(1);
        let key =
            (service == Service::Facilities && operation == Operation::GrantAccess).then(|| {
                self.work_order += 1;
                format!("work-order-{}", self.work_order)
            });
        Ok(Asked {
            request_id: self.dice.request_id(at),
            caller: CallerId::parse(service.caller())?,
            credential: service.credential(),
            peer: self.port_of([a, b, c, before + machine]),
            operation,
            entrance: None,
            grantee: None,
            key,
            body_sha256: None,
            reason: Reason::InternalError,
            rules: Arc::default(),
            revision: self.policy.revision().clone(),
            at,
        })
    }

    fn port_of(&mut self, address: [u8; 4]) -> SocketAddr {
        let port = 32_768 + self.dice.below(28_000);
        (address, u16::try_from(port).unwrap_or_default()).into()
    }

    /// Seam answers, as the sandbox would; or cannot be reached.
    fn answer(
        &mut self,
        of: RequestId,
        at: Timestamp,
        entrance: EntranceId,
        grantee: Option<Grantee>,
    ) {
        let outage = self.outages.iter().find(|outage| outage.contains(&at)).cloned();
        let (outcome, reason, status, millis) = match (&outage, self.dice.below(100)) {
            (Some(_), 0..35) => (Outcome::Unknown, Reason::UpstreamTimeout, None, 8_000),
            (Some(_), 35..65) => (
                Outcome::Unknown,
                Reason::UpstreamAnswerInvalid,
                Some(502),
                120 + self.dice.below(900),
            ),
            (Some(_), _) => (Outcome::NotSent, Reason::UpstreamUnreachable, None, 2),
            (None, slow) => {
                let millis = if slow < 3 { 400 } else { 35 } + self.dice.below(140);
                match self.doors.is_known(entrance, grantee) {
                    true => (Outcome::Granted, Reason::AllowedByRule, Some(200), millis),
                    false => (Outcome::Rejected, Reason::UpstreamRejected, Some(404), millis),
                }
            }
        };
        let took = SignedDuration::from_millis(i64::try_from(millis).unwrap_or_default());
        let ended = after(at, took + SignedDuration::from_micros(900));
        let seam_request_id = outage.is_none().then(|| self.dice.request_id(ended).to_string());
        let upstream_ms = (outcome != Outcome::NotSent).then_some(millis);
        let answer = Answer { outcome, reason, status, seam_request_id, upstream_ms };
        self.entries.push(Entry { at: ended, what: What::Answered { of, answer } });
        if let (Outcome::Unknown, Some(outage)) = (outcome, outage) {
            self.resolve(of, (at, ended), outage.end);
        }
    }

    /// Seam is asked again and again until it answers: the first time that the person can open
    /// the entrance, or twice that the person cannot, the last time after five minutes.
    fn resolve(&mut self, of: RequestId, (at, ended): (Timestamp, Timestamp), over: Timestamp) {
        let granted = self.dice.comes(800);
        let final_at = after(at, SignedDuration::from_secs(300));
        let mut answers = 0;
        for (asked, secs) in (1..).zip(ASKED_AFTER) {
            let at = self.within(after(ended, SignedDuration::from_secs(secs)), 1);
            answers += u32::from(at >= over);
            let resolution = match (answers, granted, asked) {
                (1.., true, _) => Resolution::Granted,
                (2.., false, _) if at >= final_at => Resolution::Absent,
                (_, _, 5) => Resolution::CannotTell,
                _ => continue,
            };
            return self.entries.push(Entry { at, what: What::Resolved { of, resolution, asked } });
        }
    }

    /// Somebody tries what is no token, now and then, at night.
    fn strangers(&mut self, day: Timestamp) {
        if !self.dice.comes(350) {
            return;
        }
        let mut at = self.within(hours_after(day, 21), 2 * 3_600);
        let address = self.dice.one_of(&[[203, 0, 113, 77], [198, 51, 100, 23], [10, 20, 9, 40]]);
        for _ in 0..=self.dice.below(5) {
            let peer = self.port_of(address.unwrap_or_default());
            let reasons = [Reason::TokenUnknown, Reason::TokenUnknown, Reason::CredentialMissing];
            let reason = self.dice.one_of(&reasons).unwrap_or(Reason::TokenUnknown);
            let request_id = self.dice.request_id(at);
            self.entries.push(Entry { at, what: What::Stranger { request_id, peer, reason } });
            at = self.within(after(at, SignedDuration::from_secs(1)), 4);
        }
    }
}
