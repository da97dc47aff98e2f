//! Files as people have them: links, pipes, devices, mount points and full disks. What a
//! command says it did, it did, and what it could not do it says.

use std::fs::File;
use std::io::Read as _;
use std::os::unix::fs::{FileTypeExt as _, OpenOptionsExt as _, symlink};
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use rustix::fs::{FlockOperation, OFlags, flock};

use crate::seam::{Behaviour, Seam};
use crate::support::process::can;
use crate::support::{LOBBY, SERVER_ROOM, Site, grant_body, grantgate, post};

fn command(directory: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_grantgate"));
    command.args(arguments).current_dir(directory).stdin(Stdio::null());
    command
}

/// Exit code, standard output and standard error.
fn ended(output: Output) -> (i32, String, String) {
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

fn run(directory: &Path, arguments: &[&str]) -> (i32, String, String) {
    ended(command(directory, arguments).output().unwrap())
}

/// Runs it with a standard output that is always full.
fn into_full(directory: &Path, arguments: &[&str]) -> (i32, String) {
    let full = File::options().write(true).open("/dev/full").unwrap();
    let output = command(directory, arguments).stdout(full).output().unwrap();
    let (code, _, error) = ended(output);
    (code, error)
}

/// Moves a file of the site to `shared/` and leaves a link to it.
fn link(site: &Site, file: &str) {
    let shared = site.path("shared");
    std::fs::create_dir_all(&shared).unwrap();
    let real = shared.join(Path::new(file).file_name().unwrap());
    std::fs::rename(site.path(file), &real).unwrap();
    symlink(&real, site.path(file)).unwrap();
}

/// Rules of which the front desk has the offices in place of the lobby.
fn with_offices(rules: &str) -> String {
    let (lobby, offices) = ("zone:lobby,         grant", "zone:offices,       grant");
    let changed = rules.replacen(
        &format!("role:front-desk, {lobby}"),
        &format!("role:front-desk, {offices}"),
        1,
    );
    assert_ne!(changed, rules);
    changed
}

#[test]
fn configuration_is_written_to_where_a_link_leads() {
    let site = Site::new();
    for file in ["callers.toml", "policies/policy.csv"] {
        link(&site, file);
    }
    let real = |name: &str| std::fs::read_to_string(site.path("shared").join(name)).unwrap();
    let (code, _, said) = run(site.root(), &["caller", "revoke", "visitor-desk", "--token", "t"]);
    assert_eq!(code, 0, "{said}");
    assert!(said.contains("was removed from `") && said.contains("shared/callers.toml`"), "{said}");
    assert!(!real("callers.toml").contains("name = \"t\""), "the token is gone where it was");
    let (code, ..) = run(site.root(), &["caller", "new", "visitor-desk", "--name", "u"]);
    assert_eq!(code, 0);
    assert!(real("callers.toml").contains("name = \"u\""));

    let rules = real("policy.csv");
    let unformatted = rules.replace("zone:lobby,         grant", "zone:lobby, grant");
    assert_ne!(unformatted, rules);
    std::fs::write(site.path("shared/policy.csv"), &unformatted).unwrap();
    let (code, _, said) = run(site.root(), &["policy", "fmt"]);
    assert_eq!(code, 0, "{said}");
    assert_eq!(real("policy.csv"), rules);

    let candidate = with_offices(&rules);
    std::fs::write(site.path("policies/candidate.csv"), &candidate).unwrap();
    let config = site.path("grantgate.toml");
    let text = std::fs::read_to_string(&config).unwrap();
    let text = text.replace("# example: candidate_rules_file", "candidate_rules_file");
    std::fs::write(&config, text).unwrap();
    let (code, _, said) = run(site.root(), &["policy", "promote", "sha256:000000000000"]);
    assert_eq!(code, 2, "{said}");
    let revision = said.split("the candidate is ").nth(1).unwrap().split(',').next().unwrap();
    let (code, _, said) = run(site.root(), &["policy", "promote", revision]);
    assert_eq!(code, 0, "{said}");
    assert_eq!(real("policy.csv"), candidate);
    let before = site.path("policies/policy.csv.before");
    assert_eq!(std::fs::read_to_string(before).unwrap(), rules, "what was in force is kept");
    for file in ["callers.toml", "policies/policy.csv"] {
        assert!(site.path(file).is_symlink(), "{file}");
    }
}

#[test]
fn a_report_does_not_turn_a_pipe_into_a_file() {
    let site = Site::new();
    let pipe = site.path("report");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    // Both ends, and no waiting for either.
    let nonblocking = i32::try_from(OFlags::NONBLOCK.bits()).unwrap();
    let both = File::options().read(true).write(true).custom_flags(nonblocking).open(&pipe);
    let (code, _, said) = run(site.root(), &["policy", "test", "--junit", "report"]);
    assert_eq!(code, 0, "{said}");
    let mut report = [0; 64 * 1024];
    let read = both.unwrap().read(&mut report).unwrap();
    assert!(String::from_utf8_lossy(&report[..read]).contains("<testsuites"));
    assert!(std::fs::symlink_metadata(&pipe).unwrap().file_type().is_fifo());
    let (code, _, said) = run(site.root(), &["policy", "test", "--junit", "policies"]);
    assert_eq!(code, 1, "{said}");
    assert!(said.contains("`policies` cannot be written: Is a directory"), "{said}");
}

#[test]
fn configuration_is_never_written_to_what_is_no_file() {
    let site = Site::new();
    // Not a device: a test that fails must not replace one of the machine's.
    let socket = site.path("socket");
    let _bound = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    symlink("socket", site.path("link")).unwrap();
    let keygen = ["audit", "keygen", "a/b", "--out", "link"];
    let (code, _, said) = run(site.root(), &keygen);
    assert_eq!(code, 1, "{said}");
    for file in ["policies/policy.csv", "callers.toml"] {
        let real = site.path(file);
        std::fs::remove_file(&real).unwrap();
        symlink(&socket, &real).unwrap();
    }
    let (code, _, said) = run(site.root(), &["caller", "new", "desk"]);
    assert_eq!(code, 1, "{said}");
    let (code, _, said) = run(site.root(), &["policy", "fmt"]);
    assert_eq!(code, 1, "{said}");
    assert!(std::fs::symlink_metadata(&socket).unwrap().file_type().is_socket());
}

#[test]
fn a_file_that_is_a_mount_point_says_what_to_do() {
    let mounts = ["--map-root-user", "--mount", "true"];
    if !can("unshare", &mounts) {
        return;
    }
    let site = Site::new();
    let script = "mount --bind callers.toml callers.toml && exec \"$0\" caller revoke visitor-desk";
    let output = Command::new("unshare")
        .args(["--map-root-user", "--mount", "sh", "-c", script, env!("CARGO_BIN_EXE_grantgate")])
        .current_dir(site.root())
        .output()
        .unwrap();
    let (code, _, said) = ended(output);
    assert_eq!(code, 1, "{said}");
    assert!(said.contains("is a mount point") && said.contains("mount its directory"), "{said}");
    let text = String::from_utf8(site.read("callers.toml")).unwrap();
    assert!(text.contains("visitor-desk"), "nothing was changed");
}

#[test]
fn a_full_disk_loses_no_caller_and_leaves_no_half_key() {
    if !can("unshare", &["--map-root-user", "--mount", "true"]) {
        return;
    }
    let site = Site::new();
    // 64 KiB, of which nothing is left.
    let script = "mkdir disk && mount -t tmpfs -o size=64k tmpfs disk && cp callers.toml disk && \
        { cat /dev/zero > disk/filler 2>/dev/null; cd disk; \
        \"$0\" caller new late; echo $?; \"$0\" audit keygen a/b --out key; echo $?; ls; \
        cmp callers.toml ../callers.toml && echo same; }";
    let output = Command::new("unshare")
        .args(["--map-root-user", "--mount", "sh", "-c", script, env!("CARGO_BIN_EXE_grantgate")])
        .current_dir(site.root())
        .output()
        .unwrap();
    let (_, out, said) = ended(output);
    assert_eq!(out, "1\n1\ncallers.toml\nfiller\nsame\n", "{said}");
    assert_eq!(said.matches("No space left").count(), 2, "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_result_that_cannot_be_written_is_a_failure_of_every_command() {
    let site = Site::new();
    let seam = Seam::start(&site, Behaviour::confirm()).await;
    let gateway = site.start(&seam, &[]).await;
    let client = site.client();
    assert_eq!(post(&client, &gateway, &site.token, grant_body(LOBBY)).await.status(), 200);
    gateway.stop().await;
    let rules = String::from_utf8(site.read("policies/policy.csv")).unwrap();
    std::fs::write(site.path("new.csv"), with_offices(&rules)).unwrap();
    std::fs::write(site.path("key"), "k".repeat(32)).unwrap();
    let secret = <std::fs::Permissions as std::os::unix::fs::PermissionsExt>::from_mode(0o600);
    std::fs::set_permissions(site.path("key"), secret).unwrap();
    let id = "c6247b75-f1cb-493a-9915-a85a0b9639ae";
    let commands: &[&[&str]] = &[
        &["--help"],
        &["--version"],
        &["policy", "diff", "--help"],
        &["check"],
        &["check", "--format", "json"],
        &["caller", "list"],
        &["caller", "list", "--format", "json"],
        &["policy", "explain", "visitor-desk", LOBBY],
        &["policy", "who", LOBBY],
        &["policy", "doors", "visitor-desk"],
        &["policy", "test"],
        &["policy", "diff", "policies/policy.csv", "new.csv"],
        &["policy", "diff", "policies/policy.csv", "new.csv", "--format", "markdown"],
        &["policy", "diff", "policies/policy.csv", "new.csv", "--format", "json"],
        &["policy", "replay", "--format", "json"],
        &["policy", "check", "--format", "json"],
        &["entrances", "list"],
        &["entrances", "find", SERVER_ROOM],
        &["audit", "show"],
        &["audit", "show", "--format", "json"],
        &["audit", "verify"],
        &["audit", "query"],
        &["audit", "query", "--format", "csv"],
        &["audit", "query", "--format", "json"],
        &["audit", "tail"],
        &["audit", "stats"],
        &["audit", "stats", "--format", "csv"],
        &["audit", "prove", "1"],
        &["audit", "pseudonym", id, "--key", "key"],
        &["audit", "keygen", "a/b", "--out", "signing"],
        &["completions", "bash"],
        &["manual"],
    ];
    for arguments in commands {
        let (code, out, error) = run(site.root(), arguments);
        assert!([0, 2].contains(&code) && !out.is_empty(), "{arguments:?}: {code} {error}");
        let _ = std::fs::remove_file(site.path("signing"));
        let _ = std::fs::remove_file(site.path("signing.pub"));
        let (code, error) = into_full(site.root(), arguments);
        assert_eq!(code, 1, "{arguments:?}: {error}");
        assert!(error.contains("No space left"), "{arguments:?}: {error}");
    }
}

#[test]
fn a_token_that_nobody_saw_is_said_to_be_revoked() {
    let site = Site::new();
    let new = ["caller", "new", "kiosk", "--name", "lost"];
    let (code, error) = into_full(site.root(), &new);
    assert_eq!(code, 1, "{error}");
    let wanted = "run `grantgate caller revoke kiosk --token lost --callers callers.toml`";
    assert!(error.contains(wanted), "{error}");
    let (code, ..) = run(site.root(), &["caller", "revoke", "kiosk", "--token", "lost"]);
    assert_eq!(code, 0, "what it says works");
    // A reader that has gone away has not seen it either.
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let output = command(site.root(), &new).stdout(writer).output().unwrap();
    let (code, _, error) = ended(output);
    assert_eq!(code, 1, "{error}");
    assert!(error.contains(wanted), "{error}");
}

#[test]
fn a_reader_that_has_seen_enough_is_no_failure() {
    let site = Site::new();
    let commands: &[&[&str]] =
        &[&["manual"], &["policy", "doors", "visitor-desk"], &["caller", "list"], &["--help"]];
    for arguments in commands {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let output = command(site.root(), arguments).stdout(writer).output().unwrap();
        let (code, _, error) = ended(output);
        assert!(code == 0 && !error.contains("error"), "{arguments:?}: {error}");
    }
}

#[test]
fn a_caller_that_is_new_is_said_to_be_and_a_slip_is_pointed_out() {
    let site = Site::new();
    let (_, _, said) = run(site.root(), &["caller", "new", "visitor-desk", "--name", "u"]);
    assert!(said.contains("caller `visitor-desk` has a new token `u`"), "{said}");
    let (_, _, said) = run(site.root(), &["caller", "new", "visitor-dsk", "--name", "u"]);
    assert!(said.contains("`visitor-dsk` is a NEW caller"), "{said}");
    assert!(said.contains("there is a caller `visitor-desk`"), "{said}");
    let (_, _, said) = run(site.root(), &["caller", "new", "kiosk", "--name", "u"]);
    assert!(said.contains("`kiosk` is a NEW caller") && !said.contains("note:"), "{said}");
}

#[test]
fn every_secret_is_read_with_the_same_care() {
    use std::os::unix::fs::PermissionsExt as _;
    let site = Site::new();
    std::fs::create_dir(site.path("audit")).unwrap();
    std::fs::write(site.path("key"), "k".repeat(32)).unwrap();
    std::fs::set_permissions(site.path("key"), std::fs::Permissions::from_mode(0o644)).unwrap();
    let id = "c6247b75-f1cb-493a-9915-a85a0b9639ae";
    let commands: &[&[&str]] = &[
        &["audit", "pseudonym", id, "--key", "key"],
        &["audit", "query", "--grantee", id, "--pseudonym-key", "key"],
        &["sandbox", "--address", "127.0.0.1:0", "--key-file", "key"],
        &["sandbox", "--address", "127.0.0.1:0", "--private-key", "key"],
    ];
    for arguments in commands {
        let (code, _, error) = run(site.root(), arguments);
        assert_eq!(code, 1, "{arguments:?}: {error}");
        assert!(error.contains("key: holds a secret and has mode 0644"), "{arguments:?}: {error}");
    }
    // `check` and `serve` read these.
    for file in ["certs/server.key", "secrets/seam_api_key", "secrets/audit_signing_key"] {
        let open = std::fs::Permissions::from_mode(0o604);
        std::fs::set_permissions(site.path(file), open).unwrap();
        let (code, out, _) = run(site.root(), &["check"]);
        assert_eq!(code, 3, "{file}");
        assert!(out.contains(&format!("{file}: holds a secret and has mode 0604")), "{out}");
        let safe = std::fs::Permissions::from_mode(0o600);
        std::fs::set_permissions(site.path(file), safe).unwrap();
    }
    grantgate(&["check", "--config", site.path("grantgate.toml").to_str().unwrap()]);
}

/// Who may write the directory and not give files away must not put a file there that the
/// gateway can no longer read: a revocation would seem done and not be in force.
#[test]
fn a_file_that_cannot_keep_its_owner_is_not_replaced() {
    let other = ["--reuid=4242", "--regid=4242", "--clear-groups", "true"];
    if !can("setpriv", &other) {
        return;
    }
    let site = Site::new();
    let file = site.path("callers.toml");
    let all = |mode| std::os::unix::fs::PermissionsExt::from_mode(mode);
    std::fs::set_permissions(&file, all(0o644)).unwrap();
    std::fs::set_permissions(site.root(), all(0o777)).unwrap();
    let before = std::fs::read(&file).unwrap();
    let output = Command::new("setpriv")
        .args(["--reuid=4242", "--regid=4242", "--clear-groups", env!("CARGO_BIN_EXE_grantgate")])
        .args(["caller", "revoke", "visitor-desk", "--callers"])
        .arg(&file)
        .output()
        .unwrap();
    let (code, _, said) = ended(output);
    assert_eq!(code, 1, "{said}");
    assert!(said.contains("run this as that user or as root"), "{said}");
    assert_eq!(std::fs::read(&file).unwrap(), before);
    let left = std::fs::read_dir(site.root()).unwrap().filter_map(Result::ok);
    assert!(left.into_iter().all(|entry| !entry.file_name().to_string_lossy().starts_with(".tmp")));
}

#[test]
fn of_edits_at_the_same_time_none_is_lost() {
    let site = Site::new();
    let new = |number: usize| {
        let id = format!("caller-{number}");
        command(site.root(), &["caller", "new", &id]).stdout(Stdio::piped()).spawn().unwrap()
    };
    let running: Vec<_> = (0..12).map(new).collect();
    for child in running {
        assert!(child.wait_with_output().unwrap().status.success());
    }
    let (_, listed, _) = run(site.root(), &["caller", "list"]);
    for number in 0..12 {
        assert!(listed.contains(&format!("caller-{number} ")), "{number}: {listed}");
    }
}

/// Of two promotions at once the second would put the candidate's rules over those from
/// before: it must read only when the first has ended.
#[test]
fn a_promotion_reads_nothing_before_it_has_the_lock() {
    let site = Site::new();
    let config = site.path("grantgate.toml");
    let text = String::from_utf8(site.read("grantgate.toml")).unwrap();
    let text = text.replace("# example: candidate_rules_file", "candidate_rules_file");
    std::fs::write(&config, text).unwrap();
    let rules = String::from_utf8(site.read("policies/policy.csv")).unwrap();
    let candidate = site.path("policies/candidate.csv");
    std::fs::write(&candidate, with_offices(&rules)).unwrap();
    let (_, _, said) = run(site.root(), &["policy", "promote", "sha256:000000000000"]);
    let revision = said.split("the candidate is ").nth(1).unwrap().split(',').next().unwrap();

    let directory = File::open(site.path("policies")).unwrap();
    flock(&directory, FlockOperation::LockExclusive).unwrap();
    let promote = command(site.root(), &["policy", "promote", revision])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    std::thread::park_timeout(Duration::from_millis(500));
    std::fs::write(&candidate, &rules).unwrap();
    drop(directory);
    let (code, _, said) = ended(promote.wait_with_output().unwrap());
    assert_eq!(code, 2, "{said}");
    assert_eq!(site.read("policies/policy.csv"), rules.as_bytes());
    assert!(!site.path("policies/policy.csv.before").exists());
}

#[test]
fn a_token_is_not_made_for_an_output_that_is_closed() {
    let site = Site::new();
    let before = site.read("callers.toml");
    let script = r#""$0" caller new kiosk >&-"#;
    let output = Command::new("sh")
        .args(["-c", script, env!("CARGO_BIN_EXE_grantgate")])
        .current_dir(site.root())
        // A preloaded library that opens a file of its own takes the number that was just closed.
        .env_remove("LD_PRELOAD")
        .output()
        .unwrap();
    let (code, _, said) = ended(output);
    assert_eq!(code, 1, "{said}");
    assert!(said.contains("standard output is closed or /dev/null"), "{said}");
    assert_eq!(site.read("callers.toml"), before);
}
