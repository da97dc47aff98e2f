//! The write-ahead log of a real process: what a crash leaves in it, and when it stops a start.

use std::process::{Command, Output};

use crate::seam::{Behaviour, Seam};
use crate::support::process::{self, Process, can, signal};
use crate::support::{LOBBY, Site, fresh_grant, grantgate, of_event};

const SEGMENT: &str = "00000000000000000001.jsonl";

async fn grant(site: &Site, process: &Process) {
    let request = site.client().post(process.url()).bearer_auth(&site.token);
    let request = request.header("content-type", "application/json").body(fresh_grant(LOBBY));
    assert_eq!(request.send().await.unwrap().status(), 200);
}

async fn stop(process: Process) {
    signal(process.id(), "TERM");
    assert_eq!(tokio::task::spawn_blocking(|| process.wait()).await.unwrap(), Some(0));
}

async fn ended(mut command: Command) -> (Option<i32>, String) {
    let output: Output =
        tokio::task::spawn_blocking(move || command.output()).await.unwrap().unwrap();
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_crash_the_tools_read_what_the_segment_lacks_and_the_next_start_brings_it_there() {
    let site = Site::new();
    let seam = Seam::start(&site, Behaviour::confirm()).await;
    // With a checkpoint that verifies.
    stop(Process::serve(&site, &seam)).await;
    let before = site.records().len();
    let often = [("GRANTGATE__AUDIT__CHECKPOINT_RECORDS_MAX", "1")];
    let process = Process::serve_with(&site, &seam, &often);
    for _ in 0..4 {
        grant(&site, &process).await;
    }
    process.kill();
    let segment = site.path("audit").join(format!("{:020}.jsonl", before + 1));
    let checkpoint = site.read("audit/checkpoint");
    // The kill may have come before the last lines were in the segment.
    let log = site.path("audit");
    let all = grantgate(&["audit", "show", "--format", "json", log.to_str().unwrap()]);
    let whole: String = all.split_inclusive('\n').skip(before).collect();
    assert!(whole.starts_with(&std::fs::read_to_string(&segment).unwrap()));
    // A power loss takes what was not synced: here the last three records and a half, which
    // are less than a second old; or it leaves zeros in their place.
    let lines: Vec<usize> = whole.match_indices('\n').map(|(at, _)| at + 1).collect();
    let cut = lines[lines.len() - 4] - 40;
    let left = [whole.as_bytes()[..cut].to_vec(), {
        let mut zeros = whole.clone().into_bytes();
        zeros[cut..].fill(0);
        zeros
    }];
    let wal = site.read("audit/wal");
    // The second frame of this process: what is behind it cannot be trusted to follow.
    let frames = wal.chunks(4096).enumerate().filter(|(_, slot)| slot.starts_with(b"ggwal"));
    let middle = frames.map(|(at, _)| at * 4096).nth_back(1).unwrap();
    let mut damaged = wal.clone();
    damaged[middle + 110] ^= 1;
    std::fs::write(site.path("audit/wal"), damaged).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_grantgate"))
        .args(["audit", "verify", log.to_str().unwrap()])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(4), "{said}");
    assert!(said.contains("damaged or missing"), "{said}");
    for left in left {
        std::fs::write(site.path("audit/wal"), &wal).unwrap();
        std::fs::write(&segment, left).unwrap();
        site.verify(&site.path("audit/checkpoint"));
        let records = site.records();
        assert_eq!(records.len(), before + lines.len());
        let log = log.to_str().unwrap();
        let last = of_event(&records, "grant.decision").pop().unwrap();
        let last = last["request_id"].as_str().unwrap();
        let found = grantgate(&["audit", "query", "--request-id", last, "--format", "json", log]);
        assert!(found.contains(last), "{found}");
        let covering = of_event(&records, "log.checkpoint").pop().unwrap();
        assert!(covering["seq"].as_u64().unwrap() > (records.len() - 4) as u64, "it is lacking");
        let lacking = covering["size"].to_string();
        assert!(grantgate(&["audit", "prove", &lacking, log]).contains("c2sp.org/tlog-proof"));

        stop(Process::serve(&site, &seam)).await;
        assert_eq!(std::fs::read_to_string(&segment).unwrap(), whole);
        site.verify(&site.path("audit/checkpoint"));
        let after = site.records();
        assert_eq!(after[..records.len()], records);
        let recoveries = of_event(&after, "log.recovery");
        assert!(recoveries.iter().all(|record| record["cut_bytes"].is_null()), "{recoveries:?}");
        let next = format!("{:020}.jsonl", records.len() + 1);
        std::fs::remove_file(site.path("audit").join(next)).unwrap();
        std::fs::write(site.path("audit/checkpoint"), &checkpoint).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_ahead_log_that_there_is_no_space_for_stops_the_start() {
    if !can("unshare", &["--map-root-user", "--mount", "true"]) {
        return;
    }
    let site = Site::new();
    let seam = Seam::start(&site, Behaviour::confirm()).await;
    std::fs::create_dir(site.path("audit")).unwrap();
    let mut command = process::serve(&site, &seam, &[("GRANTGATE__AUDIT__WAL_BYTES", "8388608")]);
    command.env("DISK", site.path("audit"));
    let (code, said) = ended(command).await;
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("wal` of 8388608 bytes cannot be made: No space left"), "{said}");
    assert!(said.contains("set `audit.wal` = "), "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_ahead_log_of_another_directory_stops_the_start_and_changes_nothing() {
    let sites = [Site::new(), Site::new()];
    for (site, grants) in sites.iter().zip([2, 3]) {
        let seam = Seam::start(site, Behaviour::confirm()).await;
        let process = Process::serve(site, &seam);
        for _ in 0..grants {
            grant(site, &process).await;
        }
        stop(process).await;
    }
    let [site, other] = &sites;
    std::fs::copy(other.path("audit/wal"), site.path("audit/wal")).unwrap();
    let before = site.read(&format!("audit/{SEGMENT}"));
    let seam = Seam::start(site, Behaviour::confirm()).await;
    let (code, said) = ended(process::serve(site, &seam, &[])).await;
    assert_eq!(code, Some(4), "{said}");
    assert!(said.contains("wal` does not fit the segments beside it"), "{said}");
    assert!(said.contains("move it back"), "{said}");
    assert_eq!(site.read(&format!("audit/{SEGMENT}")), before);
    // As it says: this log lacks nothing without it.
    std::fs::remove_file(site.path("audit/wal")).unwrap();
    let process = Process::serve(site, &seam);
    grant(site, &process).await;
    stop(process).await;
    site.verify(&site.path("audit/checkpoint"));
}

/// Nothing is synced in between: what was recorded is in the ring, and in whatever of the
/// segments the next start finds.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_is_turned_off_and_on_again_across_kills() {
    let site = Site::new();
    let seam = Seam::start(&site, Behaviour::confirm()).await;
    for (wal, bytes) in [
        ("off", "1048576"),
        ("on", "1048576"),
        ("off", "1048576"),
        ("on", "2097152"),
        ("on", "1048576"),
    ] {
        let settings = [("GRANTGATE__AUDIT__WAL", wal), ("GRANTGATE__AUDIT__WAL_BYTES", bytes)];
        let process = Process::serve_with(&site, &seam, &settings);
        let there = std::fs::metadata(site.path("audit/wal")).map(|metadata| metadata.len());
        assert_eq!(there.ok(), (wal == "on").then(|| bytes.parse().unwrap()));
        grant(&site, &process).await;
        process.kill();
    }
    stop(Process::serve(&site, &seam)).await;
    site.verify(&site.path("audit/checkpoint"));
    let records = site.records();
    for (record, seq) in records.iter().zip(1_u64..) {
        assert_eq!(record["seq"], seq, "no gap and no record twice");
    }
    assert_eq!(of_event(&records, "grant.decision").len(), 5);
}
