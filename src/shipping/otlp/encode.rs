//! Audit records as OpenTelemetry log records.

use bytes::Bytes;
use jiff::Timestamp;
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs, SeverityNumber};
use opentelemetry_proto::tonic::resource::v1::Resource;
use prost::Message as _;

use crate::audit::follow::Followed;
use crate::audit::{Event, Record};
use crate::domain::VERSION;

/// Of the resource, by OpenTelemetry's semantic conventions.
const SERVICE_NAME: &str = "service.name";
const SERVICE_VERSION: &str = "service.version";

/// Who sends: the environment's `OTEL_SERVICE_NAME` and `OTEL_RESOURCE_ATTRIBUTES`, as
/// traces have it.
pub(super) fn resource() -> Resource {
    let found = opentelemetry_sdk::Resource::builder().build();
    let pairs = found.iter().map(|(key, value)| (key.as_str(), value.to_string()));
    let mut attributes: Vec<KeyValue> = pairs
        .filter(|(key, value)| {
            let unnamed = *key == SERVICE_NAME && value.starts_with("unknown_service");
            !unnamed && *key != SERVICE_VERSION
        })
        .map(|(key, value)| attribute(key, text(value)))
        .collect();
    if attributes.iter().all(|attribute| attribute.key != SERVICE_NAME) {
        attributes.push(attribute(SERVICE_NAME, text("grantgate")));
    }
    attributes.push(attribute(SERVICE_VERSION, text(VERSION)));
    Resource { attributes, ..Resource::default() }
}

/// The body of one request with records that were read at this time.
pub(super) fn request(records: &[Followed], resource: &Resource, read: Timestamp) -> Bytes {
    let scope = InstrumentationScope {
        name: "grantgate.audit".into(),
        version: VERSION.into(),
        ..InstrumentationScope::default()
    };
    let log_records = records.iter().map(|record| log_record(record, read)).collect();
    let scope_logs = ScopeLogs { scope: Some(scope), log_records, schema_url: String::new() };
    let resource_logs = ResourceLogs {
        resource: Some(resource.clone()),
        scope_logs: vec![scope_logs],
        schema_url: String::new(),
    };
    ExportLogsServiceRequest { resource_logs: vec![resource_logs] }.encode_to_vec().into()
}

/// Whether somebody should see it: severity `WARN`.
fn needs_attention(record: &Record<'_>) -> bool {
    match record.known_event() {
        Some(Event::Stranger | Event::Outage) => true,
        Some(
            Event::Decision
            | Event::Outcome
            | Event::Suppressed
            | Event::Reload
            | Event::Order
            | Event::Resolved
            | Event::Start
            | Event::Recovery
            | Event::Checkpoint
            | Event::Witness
            | Event::Stop,
        )
        | None => record.denies(),
    }
}

fn log_record(record: &Followed, read: Timestamp) -> LogRecord {
    let of = Record::parse(&record.line);
    let of = of.as_ref();
    let event = of.map(Record::event).unwrap_or_default().to_owned();
    let (severity, severity_text) = if of.is_some_and(needs_attention) {
        (SeverityNumber::Warn, "WARN")
    } else {
        (SeverityNumber::Info, "INFO")
    };
    let seq = i64::try_from(record.seq).unwrap_or(i64::MAX);
    let mut attributes = vec![
        attribute("grantgate.seq", Value::IntValue(seq)),
        attribute("grantgate.event", text(event.as_str())),
    ];
    let optional = [
        ("grantgate.caller", of.and_then(Record::caller)),
        ("grantgate.operation", of.and_then(Record::operation_name)),
        ("grantgate.entrance_id", of.and_then(Record::entrance_id)),
        ("grantgate.decision", of.and_then(Record::decision)),
        ("grantgate.reason", of.and_then(Record::reason)),
        ("grantgate.request_id", of.and_then(Record::request_id)),
    ];
    let present = optional.into_iter().filter_map(|(key, value)| Some((key, value?)));
    attributes.extend(present.map(|(key, value)| attribute(key, text(value))));
    let time = of.and_then(Record::time).map_or(0, nanoseconds);
    let body = match std::str::from_utf8(&record.line) {
        Ok(line) => text(line),
        Err(_) => Value::BytesValue(record.line.clone()),
    };
    LogRecord {
        time_unix_nano: time,
        observed_time_unix_nano: nanoseconds(read),
        severity_number: severity.into(),
        severity_text: severity_text.into(),
        event_name: event,
        body: Some(AnyValue { value: Some(body) }),
        attributes,
        ..LogRecord::default()
    }
}

fn nanoseconds(time: Timestamp) -> u64 {
    u64::try_from(time.as_nanosecond()).unwrap_or(0)
}

fn text(text: impl Into<String>) -> Value {
    Value::StringValue(text.into())
}

fn attribute(key: &str, value: Value) -> KeyValue {
    let value = Some(AnyValue { value: Some(value) });
    KeyValue { key: key.to_owned(), value, ..KeyValue::default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(line: &[u8]) -> LogRecord {
        let record = Followed { seq: 7, line: line.to_vec() };
        let body = request(&[record], &resource(), Timestamp::UNIX_EPOCH);
        let decoded = ExportLogsServiceRequest::decode(body).unwrap();
        decoded.resource_logs[0].scope_logs[0].log_records[0].clone()
    }

    #[test]
    fn severity_follows_what_happened() {
        for (line, severity) in [
            (r#"{"seq":7,"event":"grant.decision","decision":"allow"}"#, "INFO"),
            (r#"{"seq":7,"event":"grant.decision","decision":"deny"}"#, "WARN"),
            (r#"{"seq":7,"event":"authn.failure"}"#, "WARN"),
            (r#"{"seq":7,"event":"log.outage"}"#, "WARN"),
            (r#"{"seq":7,"event":"log.start"}"#, "INFO"),
        ] {
            let record = encoded(line.as_bytes());
            assert_eq!(record.severity_text, severity, "{line}");
            assert_eq!(record.severity_number == 13, severity == "WARN", "{line}");
        }
    }

    #[test]
    fn the_severity_of_every_event_is_the_documented_one() {
        let page = include_str!("../../../docs/audit.md");
        let row = page.lines().find(|line| line.starts_with("| severity |")).unwrap();
        for event in Event::ALL {
            let line = format!(r#"{{"seq":7,"event":"{}"}}"#, event.as_str());
            let warns = row.contains(&format!("`{}`", event.as_str()));
            assert_eq!(encoded(line.as_bytes()).severity_text == "WARN", warns, "{event:?}");
        }
    }

    #[test]
    fn a_line_is_sent_as_it_is_whatever_is_in_it() {
        let line = r#"{"seq":7,"time":"1970-01-01T00:00:01.5Z","event":"e","caller":"a\u0062"}"#;
        let record = encoded(line.as_bytes());
        assert_eq!(record.body.unwrap().value, Some(text(line)));
        assert_eq!((record.time_unix_nano, record.event_name.as_str()), (1_500_000_000, "e"));
        let keys: Vec<_> = record.attributes.iter().map(|a| a.key.as_str()).collect();
        assert_eq!(keys, ["grantgate.seq", "grantgate.event", "grantgate.caller"]);
        assert_eq!(record.attributes[2], attribute("grantgate.caller", text("ab")));
        let broken = encoded(b"\xff");
        assert_eq!(broken.body.unwrap().value, Some(Value::BytesValue(vec![0xff])));
        assert_eq!(broken.time_unix_nano, 0);
    }
}
