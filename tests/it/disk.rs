//! Faults of the disk under a real process: never a forwarded grant without a record.

use std::io::Write as _;

use rustix::process::{Pid, Resource, Rlimit, prlimit};
use serde_json::Value;

use crate::seam::{Behaviour, Seam};
use crate::support::process::{self, Process, can, signal};
use crate::support::{
    LOBBY, PATH, SERVER_ROOM, Site, admin, fresh_grant, grantgate, of_event, until,
};

/// Files of the process cannot grow beyond this: its disk is full.
fn limit_files(process: &Process, bytes: Option<u64>) {
    let pid = Pid::from_raw(i32::try_from(process.id()).unwrap());
    let limit = Rlimit { current: bytes, maximum: None };
    prlimit(pid, Resource::Fsize, limit).unwrap();
}

/// Each batch is appended to the segment and synced: no write-ahead log.
const APPEND: (&str, &str) = ("GRANTGATE__AUDIT__WAL", "off");

async fn ask(site: &Site, client: &reqwest::Client, process: &Process, entrance: &str) -> u16 {
    let request = client
        .post(format!("https://localhost:{}{PATH}", process.address.port()))
        .bearer_auth(&site.token)
        .header("content-type", "application/json")
        .body(fresh_grant(entrance));
    request.send().await.unwrap().status().as_u16()
}

async fn ready(process: &Process, expected: u16) -> String {
    let mut last = String::new();
    for _ in 0..300 {
        let (status, text) = admin(process.admin, "/readyz?verbose").await;
        if status == expected {
            return text;
        }
        last = text;
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    panic!("never {expected}: {last}");
}

async fn stop(process: Process) -> Option<i32> {
    signal(process.id(), "TERM");
    tokio::task::spawn_blocking(|| process.wait()).await.unwrap()
}

/// Every grant that reached Seam has an earlier record, and every record of a permit an
/// outcome.
fn all_accounted_for(records: &[Value], seam: &Seam, unknown: usize) {
    let permits: Vec<&Value> = of_event(records, "grant.decision")
        .into_iter()
        .filter(|record| record["decision"] == "allow")
        .collect();
    let outcomes = of_event(records, "grant.outcome");
    assert_eq!(outcomes.len(), permits.len());
    let of = |outcome: &str| outcomes.iter().filter(|r| r["outcome"] == outcome).count();
    assert_eq!(of("unknown"), unknown);
    assert_eq!(of("granted") + of("unknown"), seam.requests().len());
    for (record, seq) in records.iter().zip(1_u64..) {
        assert_eq!(record["seq"], seq, "no gap");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_the_disk_is_full_grants_are_refused_and_afterwards_it_goes_on_by_itself() {
    let site = Site::new();
    let seam = Seam::start(&site, Behaviour::confirm()).await;
    let process = Process::serve_with(&site, &seam, &[APPEND]);
    let client = site.client();
    limit_files(&process, Some(20_000));
    let mut granted = 0;
    while ask(&site, &client, &process, LOBBY).await == 200 {
        granted += 1;
        assert!(granted < 100, "the disk is never full");
    }
    assert!(granted > 5);
    let sent = seam.requests().len();
    assert!(sent == granted || sent == granted + 1);
    for _ in 0..5 {
        assert_eq!(ask(&site, &client, &process, LOBBY).await, 503);
        assert_eq!(ask(&site, &client, &process, SERVER_ROOM).await, 503, "a denial too");
    }
    assert_eq!(seam.requests().len(), sent, "nothing is forwarded without a record");
    let text = ready(&process, 503).await;
    assert!(text.contains("[-] audit: failing: append failed: File too large"), "{text}");
    assert!(admin(process.admin, "/metrics").await.1.contains("\ngrantgate_ready 0"));

    limit_files(&process, None);
    // Without a request, and without a restart.
    ready(&process, 200).await;
    assert_eq!(ask(&site, &client, &process, LOBBY).await, 200);
    assert_eq!(stop(process).await, Some(0));
    let records = site.records();
    let outages = of_event(&records, "log.outage");
    assert_eq!(outages.len(), 1, "{outages:?}");
    assert!(outages[0]["refused_decisions"].as_u64() >= Some(10), "{}", outages[0]);
    all_accounted_for(&records, &seam, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_that_is_removed_or_cut_while_in_use_refuses_everything() {
    for cut in [false, true] {
        let site = Site::new();
        let seam = Seam::start(&site, Behaviour::confirm()).await;
        let process = Process::serve(&site, &seam);
        let client = site.client();
        assert_eq!(ask(&site, &client, &process, LOBBY).await, 200);
        let segment = site.path("audit/00000000000000000001.jsonl");
        if cut {
            let file = std::fs::OpenOptions::new().write(true).open(&segment).unwrap();
            file.set_len(10).unwrap();
        } else {
            std::fs::remove_dir_all(site.path("audit")).unwrap();
        }
        for _ in 0..3 {
            assert_eq!(ask(&site, &client, &process, LOBBY).await, 503);
        }
        assert_eq!(seam.requests().len(), 1);
        let text = ready(&process, 503).await;
        assert!(text.contains("[-] audit: broken until restarted"), "{text}");
        assert_eq!(stop(process).await, Some(0));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_revocation_that_could_not_be_recorded_is_in_force_soon_after() {
    let site = Site::new();
    let seam = Seam::start(&site, Behaviour::confirm()).await;
    // Nothing but the retry looks again within the time of this test.
    let poll = [("GRANTGATE__RELOAD__POLL_MS", "3600000"), APPEND];
    let process = Process::serve_with(&site, &seam, &poll);
    let client = site.client();
    assert_eq!(ask(&site, &client, &process, LOBBY).await, 200);
    limit_files(&process, Some(1));
    assert_eq!(ask(&site, &client, &process, LOBBY).await, 503);
    let callers = site.path("callers.toml");
    let arguments = ["caller", "revoke", "visitor-desk", "--token", "t", "--callers"];
    grantgate(&[&arguments[..], &[callers.to_str().unwrap()]].concat());
    // Several tries, none of which can be recorded.
    tokio::time::sleep(std::time::Duration::from_millis(3500)).await;
    limit_files(&process, None);
    ready(&process, 200).await;
    let mut status = 0;
    for _ in 0..100 {
        status = ask(&site, &client, &process, LOBBY).await;
        if status == 401 {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    assert_eq!(status, 401);
    assert_eq!(stop(process).await, Some(0));
    let records = site.records();
    let results: Vec<&str> = of_event(&records, "config.reload")
        .iter()
        .map(|record| record["result"].as_str().unwrap())
        .collect();
    assert_eq!(results, ["failed", "ok"], "one note of the tries that failed");
}

struct Fault {
    name: &'static str,
    /// What strace(1) is to do to system calls on the segment, or on the write-ahead log.
    inject: &'static [&'static str],
    /// What `/readyz?verbose` says.
    said: &'static str,
    /// Whether it goes on by itself when the fault is over.
    passes: bool,
    /// Whether there is a write-ahead log; if so, whether the fault is in it.
    wal: Option<bool>,
}

/// The first calls are those of the start.
const FAULTS: &[Fault] = &[
    Fault {
        name: "no space for records",
        inject: &["inject=write:error=ENOSPC:when=4..7"],
        said: "[-] audit: failing: append failed: No space left on device",
        passes: true,
        wal: None,
    },
    Fault {
        name: "no room to reserve",
        inject: &["inject=fallocate:error=ENOSPC:when=1..7"],
        said: "[-] audit: failing: reserve failed: No space left on device",
        passes: true,
        wal: None,
    },
    Fault {
        name: "error of the device on write",
        inject: &["inject=write:error=EIO:when=4..7"],
        said: "[-] audit: failing: append failed: Input/output error",
        passes: true,
        wal: None,
    },
    Fault {
        name: "read-only after an error: nothing can be undone",
        inject: &["inject=write:error=EROFS:when=4+", "inject=ftruncate:error=EROFS"],
        said: "[-] audit: broken until restarted: truncate failed: Read-only file system",
        passes: false,
        wal: None,
    },
    Fault {
        name: "error of the device on sync, once",
        inject: &["inject=fdatasync:error=EIO:when=4"],
        said: "[-] audit: broken until restarted: sync failed: Input/output error",
        passes: false,
        wal: None,
    },
    Fault {
        name: "no space on sync, once",
        inject: &["inject=fdatasync:error=ENOSPC:when=5"],
        said: "[-] audit: broken until restarted: sync failed: No space left on device",
        passes: false,
        wal: None,
    },
    Fault {
        name: "a write that is said to have been done and was not",
        inject: &["inject=write:retval=10:when=4"],
        said: "[-] audit: broken until restarted: sync failed: the segment has ",
        passes: false,
        wal: None,
    },
];

/// The same with a write-ahead log.
const WAL_FAULTS: &[Fault] = &[
    Fault {
        name: "error of the device on a frame, once",
        inject: &["inject=pwritev2:error=EIO:when=4"],
        said: "[-] audit: broken until restarted: commit failed: Input/output error",
        passes: false,
        wal: Some(true),
    },
    Fault {
        name: "no space for a frame, once",
        inject: &["inject=pwritev2:error=ENOSPC:when=5"],
        said: "[-] audit: broken until restarted: commit failed: No space left on device",
        passes: false,
        wal: Some(true),
    },
    Fault {
        name: "a part of a frame",
        inject: &["inject=pwritev2:retval=10:when=4"],
        said: "[-] audit: broken until restarted: commit failed: a part was written",
        passes: false,
        wal: Some(true),
    },
    Fault {
        name: "error of the device on a sync in place of a durable write",
        inject: &["inject=pwritev2:error=EOPNOTSUPP", "inject=fdatasync:error=EIO:when=4"],
        said: "[-] audit: broken until restarted: commit failed: Input/output error",
        passes: false,
        wal: Some(true),
    },
    Fault {
        name: "no space for lines that are durable already",
        inject: &["inject=write:error=ENOSPC:when=4..12"],
        said: "[-] audit: failing: append failed: No space left on device",
        passes: true,
        wal: Some(false),
    },
    Fault {
        name: "lines that can neither be appended nor undone",
        inject: &["inject=write:error=EROFS:when=4+", "inject=ftruncate:error=EROFS"],
        said: "[-] audit: broken until restarted: truncate failed: Read-only file system",
        passes: false,
        wal: Some(false),
    },
    Fault {
        name: "error of the device when the segment is synced",
        inject: &["inject=fdatasync:error=EIO:when=1"],
        said: "[-] audit: broken until restarted: sync failed: Input/output error",
        passes: false,
        wal: Some(false),
    },
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_that_fails_forwards_no_grant_without_a_record() {
    fail(FAULTS).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_ahead_log_that_fails_forwards_no_grant_without_a_record() {
    fail(WAL_FAULTS).await;
}

/// Faults of the system calls themselves, in the real process.
async fn fail(faults: &[Fault]) {
    if !can("strace", &["--version"]) {
        return;
    }
    for fault in faults {
        let name = fault.name;
        let site = Site::new();
        let seam = Seam::start(&site, Behaviour::confirm()).await;
        let client = site.client();
        let on = if fault.wal == Some(true) { "wal" } else { "00000000000000000001.jsonl" };
        let path = site.path("audit").join(on);
        let injections: Vec<String> = fault.inject.iter().map(|i| format!("-e {i}")).collect();
        let settings = if fault.wal.is_some() { &[][..] } else { &[APPEND] };
        let mut command = process::serve(&site, &seam, settings);
        let under =
            format!("strace -D -f -qq -o /dev/null -P {} {}", path.display(), injections.join(" "));
        command.env("UNDER", under);
        let process = Process::start(command);
        let mut granted = 0;
        while ask(&site, &client, &process, LOBBY).await == 200 {
            granted += 1;
            assert!(granted < 50, "{name}: never happens");
            if fault.wal == Some(false) {
                // Time for a sync to come.
                tokio::time::sleep(std::time::Duration::from_millis(60)).await;
            }
        }
        let sent = seam.requests().len();
        assert_eq!(ask(&site, &client, &process, LOBBY).await, 503, "{name}");
        assert_eq!(ask(&site, &client, &process, SERVER_ROOM).await, 503, "{name}: a denial too");
        assert_eq!(seam.requests().len(), sent, "{name}: nothing is forwarded");
        let text = ready(&process, 503).await;
        assert!(text.contains(fault.said), "{name}: {text}");
        if fault.passes {
            ready(&process, 200).await;
            assert_eq!(ask(&site, &client, &process, LOBBY).await, 200, "{name}");
            assert_eq!(stop(process).await, Some(0), "{name}");
            all_accounted_for(&site.records(), &seam, 0);
            site.verify(&site.path("audit/checkpoint"));
            continue;
        }
        assert_eq!(ask(&site, &client, &process, LOBBY).await, 503, "{name}: for good");
        assert_eq!(stop(process).await, Some(0), "{name}");

        // The disk is well again.
        let process = Process::serve(&site, &seam);
        assert_eq!(ask(&site, &client, &process, LOBBY).await, 200, "{name}");
        assert_eq!(stop(process).await, Some(0), "{name}");
        let records = site.records();
        site.verify(&site.path("audit/checkpoint"));
        for (record, seq) in records.iter().zip(1_u64..) {
            assert_eq!(record["seq"], seq, "{name}: no gap");
        }
        let permits = of_event(&records, "grant.decision");
        let permits = permits.iter().filter(|record| record["decision"] == "allow").count();
        assert!(permits >= seam.requests().len(), "{name}: a grant without a record");
        let outcomes = of_event(&records, "grant.outcome");
        assert_eq!(outcomes.len(), permits, "{name}");
        // What could not be written at the time is known to be unknown.
        let known = outcomes.iter().filter(|record| record["outcome"] == "granted").count();
        assert!(known <= granted + 1 && known + 3 > granted, "{name}: {known} of {granted}");
    }
}

/// A real file system without space: what was forwarded gets its outcome, nothing else is
/// forwarded, and it goes on when there is room.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_file_system_takes_the_outcome_of_a_grant_that_is_on_its_way() {
    if !can("unshare", &["--map-root-user", "--mount", "true"]) {
        return;
    }
    let site = std::sync::Arc::new(Site::new());
    let seam = Seam::start(&site, Behaviour::Slow(std::time::Duration::from_secs(5))).await;
    let client = site.client();
    let disk = site.path("audit");
    std::fs::create_dir(&disk).unwrap();
    let mut command = process::serve(&site, &seam, &[]);
    command.env("DISK", &disk);
    let process = std::sync::Arc::new(Process::start(command));
    let inside = |name: &str| {
        let root = format!("/proc/{}/root", process.id());
        std::path::PathBuf::from(root + disk.join(name).to_str().unwrap())
    };
    let log = || std::fs::read_to_string(inside("00000000000000000001.jsonl")).unwrap();

    let on_its_way = tokio::spawn({
        let (site, client, process) = (site.clone(), client.clone(), process.clone());
        async move { ask(&site, &client, &process, LOBBY).await }
    });
    until("it is forwarded", || seam.requests().len() == 1).await;
    // Everything but the room that the log has taken.
    let filler = inside("filler");
    let mut file = std::fs::File::create(&filler).unwrap();
    while file.write_all(&[0; 4096]).is_ok() {}
    // And that, but for what is kept for the outcome.
    let mut denied = 0;
    while ask(&site, &client, &process, SERVER_ROOM).await == 403 {
        denied += 1;
        assert!(denied < 2000, "the disk is never full");
    }
    let text = ready(&process, 503).await;
    let said = "[-] audit: failing: reserve failed: No space left on device";
    assert!(text.contains(said), "{text}");
    assert!(!log().contains("grant.outcome"), "it is still on its way");

    assert_eq!(on_its_way.await.unwrap(), 200);
    until("the outcome is written", || log().contains("\"outcome\":\"granted\"")).await;
    ready(&process, 503).await;
    assert_eq!(ask(&site, &client, &process, LOBBY).await, 503, "still full");
    assert_eq!(seam.requests().len(), 1);
    // A little room is no end of it: readiness does not flap.
    file.set_len(file.metadata().unwrap().len() - 8192).unwrap();
    tokio::time::sleep(std::time::Duration::from_millis(1200)).await;
    ready(&process, 503).await;

    drop(file);
    std::fs::remove_file(&filler).unwrap();
    ready(&process, 200).await;
    assert_eq!(ask(&site, &client, &process, LOBBY).await, 200);
    until("it is written", || log().matches("\"outcome\":\"granted\"").count() == 2).await;
    let records: Vec<Value> = log().lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    all_accounted_for(&records, &seam, 0);
    assert_eq!(of_event(&records, "log.outage").len(), 1);
}
