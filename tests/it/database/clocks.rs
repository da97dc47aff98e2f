//! Clocks that are wrong: records keep their own time, and the database keeps each in its place.

use std::path::PathBuf;

use super::*;
use crate::support::SERVER_ROOM;
use crate::support::process::{Process, signal};

/// What shows a process another time; none where it is not installed.
pub(super) fn library() -> Option<String> {
    let all = std::fs::read_dir("/usr/lib").unwrap().filter_map(Result::ok);
    let places = all.map(|one| one.path().join("faketime/libfaketimeMT.so.1"));
    let found: Option<PathBuf> = places.into_iter().find(|path| path.exists());
    let complete = std::env::var_os("GRANTGATE_TESTS_COMPLETE").is_some();
    assert!(found.is_some() || !complete, "`faketime` is missing");
    found.map(|path| path.to_str().unwrap().to_owned())
}

async fn ask(site: &Site, process: &Process) -> u16 {
    let request = site.client().post(process.url()).bearer_auth(&site.token);
    let request = request.header("content-type", "application/json");
    request.body(fresh_grant(SERVER_ROOM)).send().await.unwrap().status().as_u16()
}

/// Until all that it has is there, and the database knows how far its clock is ahead, in milliseconds.
async fn until_shown(site: &Site, skew: &std::ops::Range<i64>) {
    for _ in 0..100 {
        let state = status(site).1;
        let replica = &state["replicas"][0];
        let is_there = replica["confirmed_seq"] == replica["durable_seq"];
        if is_there && replica["clock_ahead_ms"].as_i64().is_some_and(|shown| skew.contains(&shown))
        {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("never {skew:?}: {}", status(site).1);
}

/// Ahead of the database, long behind it, and right again: one log, whole.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clock_that_is_wrong_loses_no_record_and_no_order_of_records() {
    let Some(library) = library() else { return };
    let site = Site::new();
    let Some(server) = database(&site).await else { return };
    // In 1970 no certificate is good yet: by way of a socket there is none.
    let socket = server.socket_url("gateway");
    let seam = Seam::start(&site, Behaviour::confirm()).await;
    for (shift, skew) in [
        ("+1h", 3_500_000..3_700_000),
        ("@1970-01-02 00:00:00", i64::MIN..-1_000_000_000_000),
        ("-1h", -3_700_000..-3_500_000),
        ("+0", -60_000..60_000),
    ] {
        let clock = format!(
            "env LD_PRELOAD={library} FAKETIME_DONT_FAKE_MONOTONIC=1 NO_FAKE_STAT=1 FAKETIME={}",
            shift.replace(' ', "_")
        );
        // A time with a space cannot be an argument here.
        let form = ("FAKETIME_FMT", "%Y-%m-%d_%H:%M:%S");
        let more = [("UNDER", clock.as_str()), form, ("GRANTGATE__DATABASE__URL", &socket)];
        let process = Process::serve_with(&site, &seam, &more);
        for _ in 0..5 {
            assert_eq!(ask(&site, &process).await, 403, "{shift}");
        }
        until_shown(&site, &skew).await;
        signal(process.id(), "TERM");
        assert_eq!(tokio::task::spawn_blocking(|| process.wait()).await.unwrap(), Some(0));
    }
    assert_eq!(mirrored(&server).await, lines(&site));
    let admin = server.admin("grantgate").await;
    let falls = "SELECT count(*) FROM (SELECT day < lag(day) OVER (ORDER BY seq) AS falls \
                 FROM grantgate.audit_record) r WHERE falls";
    let falls: i64 = admin.query_one(falls, &[]).await.unwrap().get(0);
    assert_eq!(falls, 0, "a week that is dropped would leave a gap");
    let [reader, key] = ["reader.toml", "audit/signing.pub"].map(|name| site.path(name));
    let [reader, key] = [&reader, &key].map(|path| path.to_str().unwrap());
    grantgate(&["audit", "verify", "--database", reader, "--key", key]);
    let found = grantgate(&["audit", "query", "--database", reader, "--caller", "visitor-desk"]);
    assert_eq!(found.lines().filter(|line| line.contains("visitor-desk")).count(), 20, "{found}");
}
