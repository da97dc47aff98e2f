//! `[limits]`.

use std::num::NonZeroU32;
use std::time::Duration;

use super::{AllLimits, Reader};
use crate::config::RequestLimits;
use crate::domain::{Budget, WhenAlone};
use crate::listener::ListenerLimits;
use crate::toml_source::Section;

impl<'a> Reader<'a> {
    pub(super) fn limits(&mut self, section: Section<'a>) -> Option<AllLimits> {
        let connections = self.connection_limits(&section);
        let stop_delay = self.millis(&section, "stop_delay_ms", 0..=600_000, 3_000);
        let requests = self.request_limits(&section);
        if let (Some(connections), Some(requests)) = (&connections, &requests) {
            self.doubt_limits(&section, connections, requests);
        }
        section.finish();
        Some((connections?, requests?, stop_delay?))
    }

    fn connection_limits(&mut self, section: &Section<'a>) -> Option<ListenerLimits> {
        let connections = self.number(section, "connections_max", 1..=1_000_000, 10_000);
        let handshake = self.millis(section, "handshake_timeout_ms", 100..=60_000, 10_000);
        let header = self.millis(section, "header_timeout_ms", 100..=3_600_000, 10_000);
        let idle = self.millis(section, "idle_timeout_ms", 100..=3_600_000, 60_000);
        let age = self.millis(section, "connection_age_max_ms", 1_000..=86_400_000, 3_600_000);
        let per_address = self.number(section, "connections_per_address_max", 1..=1_000_000, 1_000);
        let streams = self.number(section, "streams_per_connection_max", 1..=1_000, 100);
        let header_bytes = self.number(section, "header_bytes_max", 8_192..=65_536, 16_384);
        let drain = self.millis(section, "drain_timeout_ms", 0..=600_000, 15_000);
        Some(ListenerLimits {
            connections_max: usize::try_from(connections?).ok()?,
            handshake_timeout: handshake?,
            header_timeout: header?,
            idle_timeout: idle?,
            connection_age_max: age?,
            connections_per_address_max: usize::try_from(per_address?).ok()?,
            streams_per_connection_max: u32::try_from(streams?).ok()?,
            header_bytes_max: u32::try_from(header_bytes?).ok()?,
            drain_timeout: drain?,
        })
    }

    fn request_limits(&mut self, section: &Section<'a>) -> Option<RequestLimits> {
        let body = self.number(section, "body_bytes_max", 256..=65_536, 8_192);
        let headers = self.number(section, "headers_max", 8..=100, 64);
        let body_timeout = self.millis(section, "body_timeout_ms", 100..=60_000, 10_000);
        let in_flight = self.number(section, "requests_in_flight_max", 1..=100_000, 1_024);
        let deadline = self.millis(section, "answer_deadline_ms", 500..=60_000, 9_000);
        let own = self.number(section, "caller_requests_in_flight_max", 1..=100_000, 256);
        let rate = self.number(section, "caller_requests_per_second", 1..=1_000_000, 100);
        let burst = self.number(section, "caller_requests_burst", 1..=1_000_000, 200);
        let grants = self.optional_number(section, "caller_grants_per_day", 1..=Budget::MAX);
        let doors = self.optional_number(section, "caller_doors_per_day", 1..=Budget::MAX);
        let shared = self.choice(section, "shared", &[("off", false), ("on", true)]);
        let when_alone = self.choice(
            section,
            "budget_without_database",
            &[("refuse", WhenAlone::Refuse), ("share", WhenAlone::Share)],
        );
        let text = "does nothing: `limits.shared` is \"off\"";
        let is_idle = shared == Some(false) && when_alone == Some(WhenAlone::Share);
        self.warn(section, "budget_without_database", is_idle, text);
        let most = |number: Option<u64>| number.and_then(|number| u32::try_from(number).ok());
        let failures =
            self.number(section, "authentication_failures_per_minute", 0..=1_000_000, 30);
        let count = |number: u64| NonZeroU32::new(u32::try_from(number).ok()?);
        Some(RequestLimits {
            body_bytes_max: usize::try_from(body?).ok()?,
            headers_max: usize::try_from(headers?).ok()?,
            body_timeout: body_timeout?,
            requests_in_flight_max: usize::try_from(in_flight?).ok()?,
            answer_deadline: deadline?,
            caller_requests_in_flight_max: usize::try_from(own?).ok()?,
            caller_requests_per_second: count(rate?)?,
            caller_requests_burst: count(burst?)?,
            caller_budget: Budget { grants: most(grants?), doors: most(doors?) },
            shared: shared?.then_some(when_alone?),
            authentication_failures_per_minute: u32::try_from(failures?).ok()?,
        })
    }

    /// Limits that another one never lets be reached.
    fn doubt_limits(
        &mut self,
        section: &Section<'a>,
        connections: &ListenerLimits,
        requests: &RequestLimits,
    ) {
        let (all, own) = (connections.connections_max, connections.connections_per_address_max);
        let text = format!("is never reached: `limits.connections_max` is {all}");
        self.warn(section, "connections_per_address_max", own > all, &text);
        let all = requests.requests_in_flight_max;
        let own = requests.caller_requests_in_flight_max;
        let text = format!("is never reached: `limits.requests_in_flight_max` is {all}");
        self.warn(section, "caller_requests_in_flight_max", own > all, &text);
        let (idle, age) = (connections.idle_timeout, connections.connection_age_max);
        let text = format!("is never reached: `limits.connection_age_max_ms` is {}", ms(age));
        self.warn(section, "idle_timeout_ms", idle > age, &text);
        let (drain, answer) = (connections.drain_timeout, requests.answer_deadline);
        let text = format!(
            "is shorter than `limits.answer_deadline_ms` ({}): a stop may cut off answers",
            ms(answer)
        );
        self.warn(section, "drain_timeout_ms", drain < answer, &text);
    }
}

/// As it is written in the file.
pub(super) fn ms(time: Duration) -> u128 {
    time.as_millis()
}
