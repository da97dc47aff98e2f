//! Lines that are written by hand are those that `tracing` prints.

use std::io;
use std::sync::{Arc, Mutex};

use proptest::prelude::*;
use tracing::Level;
use uuid::Uuid;

use super::*;
use crate::telemetry::logging::subscriber;

#[derive(Clone, Default)]
struct Kept(Arc<Mutex<Vec<u8>>>);

impl io::Write for Kept {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn printed(format: LogFormat, level: Level, log: impl FnOnce()) -> String {
    let kept = Kept::default();
    let writer = kept.clone();
    let subscriber = subscriber(format, false, level, move || writer.clone());
    tracing::subscriber::with_default(subscriber, log);
    let bytes = kept.0.lock().unwrap().clone();
    String::from_utf8(bytes).unwrap()
}

/// Written at the moment that `tracing` has printed.
fn written(format: LogFormat, line: &RequestLine<'_>, printed: &str) -> String {
    let time = match format {
        LogFormat::Human => printed.split(' ').next().unwrap().to_owned(),
        LogFormat::Json => {
            let value: serde_json::Value = serde_json::from_str(printed).unwrap();
            value["timestamp"].as_str().unwrap().to_owned()
        }
    };
    let mut out = b"before\n".to_vec();
    line.write(format, time.parse().unwrap(), &mut out);
    String::from_utf8(out).unwrap().strip_prefix("before\n").unwrap().to_owned()
}

fn hostile() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<String>(),
        "[ -~]{0,40}",
        "\\PC{0,200}",
        prop::collection::vec(0_u32..0x300, 0..40)
            .prop_map(|codes| codes.into_iter().filter_map(char::from_u32).collect()),
        prop::sample::select(vec![
            "",
            "main entrance",
            "\"",
            "\\",
            "\\\"",
            "a\nb",
            "a\r\n{\"level\":\"ERROR\"}",
            "\t",
            "\0",
            "\x1b[31mred\x1b[0m",
            "\x07\x08\x0c\x7f",
            "\u{80}\u{9b}31m\u{9f}",
            "Tür",
            "入口",
            "🚪",
            "e\u{301}",
            "\u{301}",
            "\u{202e}olleh",
            "\u{200b}",
            "\u{feff}",
            "\u{2028}\u{2029}",
            "\u{fffd}",
            "\u{10ffff}",
            "'",
            "/",
            "\u{ad}",
        ])
        .prop_map(str::to_owned),
        Just("x".repeat(20_000)),
    ]
}

fn peer() -> impl Strategy<Value = SocketAddr> {
    let fixed = ["127.0.0.1:1", "[::ffff:10.0.0.1]:65535", "[fe80::1%3]:80", "[::]:0"];
    prop_oneof![
        prop::sample::select(fixed.to_vec()).prop_map(|text| text.parse().unwrap()),
        any::<SocketAddr>(),
    ]
}

fn duration() -> impl Strategy<Value = Duration> {
    let fixed = [Duration::ZERO, Duration::MAX, Duration::from_nanos(999)];
    prop_oneof![
        prop::sample::select(fixed.to_vec()),
        any::<u64>().prop_map(Duration::from_micros),
        (0..100_000_u64).prop_map(Duration::from_micros),
    ]
}

type Times = (Duration, Duration, Duration, Duration);

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]
    #[test]
    fn a_line_is_written_as_it_is_printed(
        ids in any::<(u128, u128)>(),
        trace_id in any::<Option<u128>>(),
        peer in peer(),
        caller in prop::option::of("[a-z0-9][a-z0-9._-]{0,63}"),
        operation in prop::option::of(prop::sample::select(Operation::ALL.to_vec())),
        workspace in prop::option::of("[a-z0-9][a-z0-9._-]{0,63}"),
        entrance in any::<bool>(),
        entrance_name in prop::option::of(hostile()),
        permitted in any::<bool>(),
        reason in prop::sample::select(Reason::ALL.to_vec()),
        outcome in prop::option::of(prop::sample::select(Outcome::ALL.to_vec())),
        same_as in any::<Option<u64>>(),
        status in any::<u16>(),
        times in (duration(), duration(), duration(), duration()),
    ) {
        let caller = caller.map(|id| CallerId::parse(&id).unwrap());
        let workspace = workspace.map(|name| WorkspaceName::parse(&name).unwrap());
        let (decided, recorded, forwarded, took): Times = times;
        let line = RequestLine {
            request_id: Uuid::from_u128(ids.0).into(),
            trace_id,
            peer,
            caller: caller.as_ref(),
            operation,
            workspace: workspace.as_ref(),
            entrance: entrance.then(|| Uuid::from_u128(ids.1).into()),
            entrance_name: entrance_name.as_deref(),
            permitted,
            reason,
            outcome,
            same_as,
            status,
            decided,
            recorded,
            forwarded,
            took,
        };
        for format in [LogFormat::Human, LogFormat::Json] {
            let printed = printed(format, Level::INFO, || line.info());
            let written = written(format, &line, &printed);
            prop_assert_eq!(&written, &printed);
            let inner = written.strip_suffix('\n');
            prop_assert!(inner.is_some_and(|line| !line.contains('\n')), "{}", written);
        }
    }
}

fn plain() -> RequestLine<'static> {
    RequestLine {
        request_id: Uuid::nil().into(),
        trace_id: Some(1),
        peer: "127.0.0.1:1".parse().unwrap(),
        caller: None,
        operation: None,
        workspace: None,
        entrance: None,
        entrance_name: Some("a \"b\"\n"),
        permitted: true,
        reason: Reason::AllowedByRule,
        outcome: Some(Outcome::Granted),
        same_as: None,
        status: 200,
        decided: Duration::from_micros(1),
        recorded: Duration::from_micros(2),
        forwarded: Duration::from_micros(3),
        took: Duration::from_micros(6),
    }
}

/// What programs read does not change with a version of `tracing`.
#[test]
fn a_line_looks_like_this() {
    let of = |format| {
        let mut out = Vec::new();
        plain().write(format, "2026-02-28T23:59:59.000001Z".parse().unwrap(), &mut out);
        String::from_utf8(out).unwrap()
    };
    assert_eq!(
        of(LogFormat::Human),
        "2026-02-28T23:59:59.000001Z  INFO request \
         request_id=00000000-0000-0000-0000-000000000000 \
         trace_id=\"00000000000000000000000000000001\" peer=127.0.0.1:1 \
         entrance_name=\"a \\\"b\\\"\\n\" decision=\"allow\" reason=\"allowed-by-rule\" \
         outcome=\"granted\" status=200 decided_us=1 recorded_us=2 forwarded_us=3 took_us=6\n"
    );
    assert_eq!(
        of(LogFormat::Json),
        "{\"timestamp\":\"2026-02-28T23:59:59.000001Z\",\"level\":\"INFO\",\
         \"message\":\"request\",\"request_id\":\"00000000-0000-0000-0000-000000000000\",\
         \"trace_id\":\"00000000000000000000000000000001\",\"peer\":\"127.0.0.1:1\",\
         \"entrance_name\":\"a \\\"b\\\"\\n\",\"decision\":\"allow\",\
         \"reason\":\"allowed-by-rule\",\"outcome\":\"granted\",\"status\":200,\
         \"decided_us\":1,\"recorded_us\":2,\"forwarded_us\":3,\"took_us\":6,\
         \"target\":\"grantgate::gateway::account\"}\n"
    );
}

#[test]
fn levels_are_respected() {
    let lines = |level| {
        let both = || {
            plain().info();
            plain().debug();
        };
        printed(LogFormat::Json, level, both).lines().count()
    };
    let counts = [Level::ERROR, Level::WARN, Level::INFO, Level::DEBUG].map(lines);
    assert_eq!(counts, [0, 0, 1, 2]);
}
