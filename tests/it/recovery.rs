//! Faults of the disk while a start mends what a crash left: the start is refused, nothing
//! is lost, and the next one mends it.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::seam::{Behaviour, Seam};
use crate::support::process::{self, Process, can, signal};
use crate::support::{LOBBY, Site, grant_body, of_event};

const SEGMENT: &str = "00000000000000000001.jsonl";

/// What strace(1) is to do, and to system calls on which file.
const FAULTS: &[(&str, &str)] = &[
    ("recovering", "openat:error=ENOSPC"),
    // However the bytes are copied.
    ("recovering", "copy_file_range,sendfile,write:error=ENOSPC"),
    ("recovering", "copy_file_range,sendfile,write:error=EIO"),
    ("recovering", "fsync:error=EIO"),
    ("recovering", "rename:error=EIO"),
    ("torn", "openat:error=EACCES"),
    ("torn", "fsync:error=EIO"),
    ("torn", "fsync:error=ENOSPC"),
    ("log", "openat:error=EIO:when=1"),
    ("log", "read:error=EIO:when=1"),
    ("directory", "fsync:error=EIO:when=1"),
    ("directory", "fsync:error=EIO:when=2"),
];

/// A log whose process was killed, with an open decision and a torn tail.
async fn crashed(site: &Site, seam: &Seam) -> String {
    let process = Process::serve(site, seam);
    let request = site.client().post(process.url()).bearer_auth(&site.token);
    let request = request.header("content-type", "application/json").body(grant_body(LOBBY));
    assert_eq!(request.send().await.unwrap().status(), 200);
    let path = site.path("audit").join(SEGMENT);
    let read = || std::fs::read_to_string(&path).unwrap();
    crate::support::until("the outcome is there", || read().contains("grant.outcome")).await;
    process.kill();
    let whole = std::fs::read_to_string(&path).unwrap();
    let mut file = std::fs::OpenOptions::new().append(true).open(path).unwrap();
    file.write_all(b"{\"v\":1,\"se").unwrap();
    whole
}

/// Exit code and standard error; of a process that does not end by itself, what it says
/// until it is killed.
fn ended(command: &mut Command) -> (Option<i32>, String) {
    let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
    let mut code = None;
    for _ in 0..500 {
        code = child.try_wait().unwrap();
        if code.is_some() {
            break;
        }
        std::thread::park_timeout(Duration::from_millis(10));
    }
    let _ = child.kill();
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    (code.and_then(|code| code.code()), said)
}

fn copy(from: &Path, to: &Path) {
    let _ = std::fs::remove_dir_all(to);
    std::fs::create_dir(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_start_that_cannot_mend_the_log_serves_nothing_and_loses_nothing() {
    if !can("strace", &["--version"]) {
        return;
    }
    let site = Site::new();
    let seam = Seam::start(&site, Behaviour::confirm()).await;
    let whole = crashed(&site, &seam).await;
    let (log, kept) = (site.path("audit"), site.path("as-it-was"));
    copy(&log, &kept);
    for (file, inject) in FAULTS {
        copy(&kept, &log);
        let path = match *file {
            "recovering" => log.join(SEGMENT).with_extension("recovering"),
            "torn" => log.join(format!("{SEGMENT}.torn-{}", whole.len())),
            "log" => log.join(SEGMENT),
            _ => log.clone(),
        };
        let mut command = process::serve(&site, &seam, &[]);
        let path = path.display();
        let under = format!("strace -D -f -qq -o /dev/null -P {path} -e inject={inject}");
        let (code, said) = ended(command.env("UNDER", under));
        assert_eq!(code, Some(1), "{file} {inject}: {said}");
        assert!(said.contains("the audit log in "), "{file} {inject}: {said}");

        let process = Process::serve(&site, &seam);
        signal(process.id(), "TERM");
        let code = tokio::task::spawn_blocking(|| process.wait()).await.unwrap();
        assert_eq!(code, Some(0), "{file} {inject}");
        let after = std::fs::read_to_string(log.join(SEGMENT)).unwrap();
        assert_eq!(after, whole, "{file} {inject}");
        let torn = std::fs::read(log.join(format!("{SEGMENT}.torn-{}", whole.len())));
        assert_eq!(torn.unwrap(), b"{\"v\":1,\"se", "{file} {inject}: what was cut is kept");
        let records = site.records();
        assert_eq!(of_event(&records, "log.recovery").len(), 1, "{file} {inject}");
        site.verify(&log.join("checkpoint"));
    }
    assert_eq!(seam.requests().len(), 1, "no start sends anything");
}
