//! Reloads: what is edited takes effect, whole or not at all, while requests go on.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::seam::{Behaviour, Seam};
use crate::support::authority::Authority;
use crate::support::process::{Process, signal};
use crate::support::{
    Gateway, LOBBY, PATH, Site, fresh_grant, grant_body, grantgate, http1, of_event, post,
};
use crate::tls::{client_config, connect};

/// As editors and deployments do it: a new file takes the old one's name.
pub fn replace(path: &Path, text: impl AsRef<[u8]>) {
    let beside = path.with_extension("new");
    std::fs::write(&beside, text).unwrap();
    let mode = std::fs::metadata(path).unwrap().permissions();
    std::fs::set_permissions(&beside, mode).unwrap();
    std::fs::rename(beside, path).unwrap();
}

const LOBBY_RULE: &str = "p, role:front-desk, zone:lobby,         grant, allow";

fn edit_policy(site: &Site, from: &str, to: &str) {
    let path = site.path("policies/policy.csv");
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(text.contains(from));
    replace(&path, text.replace(from, to));
}

/// Waits until `condition` holds, for at most ten seconds.
pub async fn until<F: AsyncFnMut() -> bool>(what: &str, mut condition: F) {
    for _ in 0..200 {
        if condition().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("never happened: {what}");
}

/// A grant over a connection that is open already: the status line.
pub async fn grant<S>(stream: &mut S, token: Option<&str>) -> String
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
{
    let body = grant_body(LOBBY);
    let token = token.map_or(String::new(), |t| format!("authorization: Bearer {t}\r\n"));
    let request = format!(
        "POST {PATH} HTTP/1.1\r\nhost: localhost\r\n{token}content-type: application/json\r\n\
         content-length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&answer).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
            if body.len() == length.unwrap().parse::<usize>().unwrap() {
                return text.lines().next().unwrap().to_owned();
            }
        }
        let mut buffer = [0; 4096];
        let read = stream.read(&mut buffer).await.unwrap();
        assert_ne!(read, 0, "the connection was closed: {text}");
        answer.extend_from_slice(&buffer[..read]);
    }
}

#[tokio::test]
async fn a_policy_edit_takes_effect_by_itself_and_is_recorded() {
    let site = Site::new();
    let seam = Seam::start(&site, Behaviour::confirm()).await;
    let gateway = site.start(&seam, &[]).await;
    let client = site.client();
    assert_eq!(post(&client, &gateway, &site.token, grant_body(LOBBY)).await.status(), 200);
    edit_policy(&site, LOBBY_RULE, "p, role:front-desk, zone:lobby, grant, deny");
    until("the edit takes effect", async || {
        post(&client, &gateway, &site.token, grant_body(LOBBY)).await.status() == 403
    })
    .await;
    let (_, metrics) = gateway.admin("/metrics").await;
    assert!(
        metrics.contains("grantgate_reloads_total{part=\"policy\",result=\"ok\"} 1"),
        "{metrics}"
    );
    gateway.stop().await;

    let records = site.records();
    let reloads = of_event(&records, "config.reload");
    assert_eq!(reloads.len(), 1, "{reloads:?}");
    assert_eq!(reloads[0]["result"], "ok");
    assert_eq!(reloads[0]["parts"], serde_json::json!(["policy"]));
    let decisions = of_event(&records, "grant.decision");
    let (first, last) = (decisions[0], decisions[decisions.len() - 1]);
    assert_eq!(reloads[0]["revision_before"], first["revision"]);
    assert_eq!(reloads[0]["revision"], last["revision"]);
    assert_ne!(first["revision"], last["revision"]);
    assert_eq!(last["reason"], "denied-by-rule");
    // On disk before it is in force.
    let of_new = decisions.iter().filter(|d| d["revision"] == last["revision"]);
    assert!(of_new.map(|d| &d["seq"]).all(|seq| seq.as_u64() > reloads[0]["seq"].as_u64()));
}

#[tokio::test]
async fn a_bad_edit_changes_nothing_and_is_shown_everywhere() {
    let site = Site::new();
    let seam = Seam::start(&site, Behaviour::confirm()).await;
    let gateway = site.start(&seam, &[]).await;
    let client = site.client();
    edit_policy(&site, LOBBY_RULE, "p, role:front-desk, zone:lobby,         grant, alow");
    until("the failure is shown", async || {
        gateway.admin("/metrics").await.1.contains("\ngrantgate_reload_failing 1")
    })
    .await;
    assert_eq!(post(&client, &gateway, &site.token, grant_body(LOBBY)).await.status(), 200);
    let (status, text) = gateway.admin("/readyz?verbose").await;
    assert_eq!(status, 200, "grants are still decided: {text}");
    assert!(
        text.contains("[!] reload: ") && text.contains("policy.csv:8:48: `alow` is not an effect"),
        "{text}"
    );
    let status: Value = serde_json::from_str(&gateway.admin("/status").await.1).unwrap();
    let problem = status["reload_failure"]["problems"][0].as_str().unwrap();
    assert!(problem.contains("policy.csv:8"), "{status}");
    // Asked again, it fails again: the operator sees it.
    gateway.reload.request();
    until("it is tried again", async || {
        let metrics = gateway.admin("/metrics").await.1;
        metrics.contains("grantgate_reloads_total{part=\"policy\",result=\"failed\"} 2")
    })
    .await;
    edit_policy(&site, "alow", "allow");
    until("the failure is over", async || {
        gateway.admin("/metrics").await.1.contains("\ngrantgate_reload_failing 0")
    })
    .await;
    gateway.stop().await;
    let records = site.records();
    let reloads = of_event(&records, "config.reload");
    assert_eq!(reloads.len(), 2, "{reloads:?}");
    for reload in reloads {
        assert_eq!(reload["result"], "failed");
        assert_eq!(reload["revision"], reload["revision_before"]);
        assert!(reload["problems"][0].as_str().unwrap().contains("policy.csv:8"), "{reload}");
    }
}

#[tokio::test]
async fn a_revoked_token_is_refused_on_a_connection_that_is_open() {
    let site = Site::new();
    let seam = Seam::start(&site, Behaviour::confirm()).await;
    let gateway = site.start(&seam, &[]).await;
    let mut stream = http1::connect(&site, gateway.address).await;
    assert_eq!(grant(&mut stream, Some(&site.token)).await, "HTTP/1.1 200 OK");
    let callers = site.path("callers.toml");
    let arguments = ["caller", "revoke", "visitor-desk", "--token", "t", "--callers"];
    grantgate(&[&arguments[..], &[callers.to_str().unwrap()]].concat());
    until("the token is refused", async || {
        grant(&mut stream, Some(&site.token)).await == "HTTP/1.1 401 Unauthorized"
    })
    .await;
    gateway.stop().await;
    // Callers are part of what a decision rests on.
    let records = site.records();
    let reload = of_event(&records, "config.reload")[0];
    assert_eq!(reload["parts"], serde_json::json!(["callers"]));
    assert_ne!(reload["revision"], reload["revision_before"]);
}

#[tokio::test]
async fn a_revoked_certificate_is_refused_on_a_connection_that_is_open() {
    let site = Site::new();
    let seam = Seam::start(&site, Behaviour::confirm()).await;
    let authority = Authority::new(&site);
    let crl = site.path("certs/callers.crl");
    std::fs::write(&crl, authority.revocation_list(&[1], 2100)).unwrap();
    let setting = [("GRANTGATE__LISTENER__CLIENT_CRL_FILE", crl.to_str().unwrap())];
    let gateway = site.start(&seam, &setting).await;
    let open = async |serial| {
        let certificate = Some(authority.issue(serial));
        let config = client_config(&site, rustls::DEFAULT_VERSIONS, &["http/1.1"], certificate);
        connect(&gateway, config).await.unwrap()
    };
    let (mut kept, mut revoked) = (open(6).await, open(7).await);
    let shown = gateway.admin("/readyz?verbose").await.1;
    assert!(shown.contains("client-crl expires 2100-01-01T00:00:00Z"), "{shown}");
    assert_eq!(grant(&mut kept, None).await, "HTTP/1.1 200 OK");
    assert_eq!(grant(&mut revoked, None).await, "HTTP/1.1 200 OK");
    replace(&crl, authority.revocation_list(&[1, 7], 2100));
    until("the certificate is refused", async || {
        grant(&mut revoked, None).await == "HTTP/1.1 401 Unauthorized"
    })
    .await;
    assert_eq!(grant(&mut kept, None).await, "HTTP/1.1 200 OK", "it was not revoked");
    let refused = grant(&mut revoked, Some(&site.token)).await;
    assert_eq!(refused, "HTTP/1.1 401 Unauthorized", "a token beside it does not help");
    gateway.stop().await;
}

#[tokio::test]
async fn server_certificate_and_workspace_key_are_replaced_while_connections_stay() {
    let site = Site::new();
    let seam = Seam::start(&site, Behaviour::confirm()).await;
    let gateway = site.start(&seam, &[]).await;
    let mut old = http1::connect(&site, gateway.address).await;
    assert_eq!(grant(&mut old, Some(&site.token)).await, "HTTP/1.1 200 OK");

    replace(&site.path("secrets/seam_api_key"), "seam_another_key\n");
    until("the new key is sent", async || {
        assert_eq!(grant(&mut old, Some(&site.token)).await, "HTTP/1.1 200 OK");
        seam.requests().last().unwrap().contains("authorization: Bearer seam_another_key\r\n")
    })
    .await;

    let other = Site::new();
    // One after the other: in between they do not fit, and the old pair stays in force.
    replace(&site.path("certs/server.pem"), other.read("certs/server.pem"));
    tokio::time::sleep(Duration::from_millis(600)).await;
    drop(http1::connect(&site, gateway.address).await);
    replace(&site.path("certs/server.key"), other.read("certs/server.key"));
    until("new connections get the new certificate", async || {
        let tls = client_config(&other, rustls::DEFAULT_VERSIONS, &["http/1.1"], None);
        connect(&gateway, tls).await.is_ok()
    })
    .await;
    assert_eq!(grant(&mut old, Some(&site.token)).await, "HTTP/1.1 200 OK");
    gateway.stop().await;
}

/// Connections to Seam that are open and idle were trusted by what was in force before.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_another_authority_no_open_connection_to_seam_is_used_any_more() {
    let site = Site::new();
    let trusted = Authority::new_in(&site, "certs/seam-ca.pem");
    let proof = trusted.issue_server("localhost", 2040);
    let seam = Seam::start_as(&proof.0, &proof.1, Behaviour::confirm()).await;
    let settings = [
        ("GRANTGATE__UPSTREAM__CA_FILE", "certs/seam-ca.pem"),
        ("GRANTGATE__UPSTREAM__BREAKER_FAILURES", "0"),
    ];
    let process = Process::serve_with(&site, &seam, &settings);
    let client = site.client();
    let ask = async || {
        let url = format!("https://localhost:{}{PATH}", process.address.port());
        let request = client.post(url).bearer_auth(&site.token);
        let request = request.header("content-type", "application/json").body(grant_body(LOBBY));
        request.send().await.unwrap().status().as_u16()
    };
    for _ in 0..3 {
        assert_eq!(ask().await, 200);
    }
    let other = Authority::new_in(&site, "certs/other.pem");
    drop(other);
    replace(&site.path("certs/seam-ca.pem"), site.read("certs/other.pem"));
    until("it is not trusted any more", async || ask().await == 502).await;
    let sent = seam.requests().len();
    for _ in 0..3 {
        assert_eq!(ask().await, 502);
    }
    assert_eq!(seam.requests().len(), sent);
    signal(process.id(), "TERM");
    assert_eq!(tokio::task::spawn_blocking(|| process.wait()).await.unwrap(), Some(0));
}

/// The way of ConfigMaps and Secrets: files are links through `..data`, which is
/// swapped as a whole.
#[tokio::test]
async fn a_swapped_link_is_noticed() {
    let site = Site::new();
    let seam = Seam::start(&site, Behaviour::confirm()).await;
    let (mount, first, second) =
        (site.path("mount"), site.path("mount/..1"), site.path("mount/..2"));
    std::fs::create_dir_all(&first).unwrap();
    std::fs::create_dir_all(&second).unwrap();
    let text = std::fs::read_to_string(site.path("policies/policy.csv")).unwrap();
    std::fs::write(first.join("policy.csv"), &text).unwrap();
    let denying = text.replace(LOBBY_RULE, "p, role:front-desk, zone:lobby, grant, deny");
    std::fs::write(second.join("policy.csv"), denying).unwrap();
    std::os::unix::fs::symlink("..1", mount.join("..data")).unwrap();
    std::os::unix::fs::symlink("..data/policy.csv", mount.join("policy.csv")).unwrap();
    let rules = mount.join("policy.csv");
    let settings = [
        ("GRANTGATE__POLICY__RULES_FILE", rules.to_str().unwrap()),
        // The look now and then comes too late for this test.
        ("GRANTGATE__RELOAD__POLL_MS", "3600000"),
    ];
    let gateway = site.start(&seam, &settings).await;
    let client = site.client();
    assert_eq!(post(&client, &gateway, &site.token, grant_body(LOBBY)).await.status(), 200);
    std::os::unix::fs::symlink("..2", mount.join("..data_tmp")).unwrap();
    std::fs::rename(mount.join("..data_tmp"), mount.join("..data")).unwrap();
    until("the swap takes effect", async || {
        post(&client, &gateway, &site.token, grant_body(LOBBY)).await.status() == 403
    })
    .await;
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hangup_signal_reloads_and_does_not_end_the_process() {
    let site = Site::new();
    let seam = Seam::start(&site, Behaviour::confirm()).await;
    let process = Process::serve(&site, &seam);
    edit_policy(&site, LOBBY_RULE, "nonsense");
    let failed = || of_event(&site.records(), "config.reload").len();
    until("the edit is seen", async || failed() == 1).await;
    signal(process.id(), "HUP");
    until("it is tried again at the signal", async || failed() == 2).await;
    signal(process.id(), "TERM");
    let code = tokio::task::spawn_blocking(|| process.wait()).await.unwrap();
    assert_eq!(code, Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reloads_under_load_lose_no_request() {
    let site = Site::new();
    let seam = Seam::start(&site, Behaviour::confirm()).await;
    let gateway = Arc::new(site.start(&seam, &[]).await);
    let done = Arc::new(AtomicBool::new(false));
    let load: Vec<_> = (0..4)
        .map(|_| {
            let (gateway, done, client) = (gateway.clone(), done.clone(), site.client());
            let token = site.token.clone();
            tokio::spawn(async move {
                let mut answered = 0;
                while !done.load(Ordering::Relaxed) {
                    let answer = post(&client, &gateway, &token, fresh_grant(LOBBY)).await;
                    assert_eq!(answer.status(), 200);
                    answered += 1;
                }
                answered
            })
        })
        .collect();
    let count = async |gateway: &Gateway| {
        let metrics = gateway.admin("/metrics").await.1;
        let name = "grantgate_reloads_total{part=\"policy\",result=\"ok\"} ";
        metrics.lines().find_map(|line| line.strip_prefix(name)?.parse::<usize>().ok()).unwrap_or(0)
    };
    for round in 0..20 {
        edit_policy(&site, "# Cleaning shifts", "# \n# Cleaning shifts");
        gateway.reload.request();
        until("the reload is done", async || count(&gateway).await > round).await;
    }
    done.store(true, Ordering::Relaxed);
    let mut answered = 0;
    for task in load {
        answered += task.await.unwrap();
    }
    Arc::into_inner(gateway).unwrap().stop().await;
    let records = site.records();
    let revisions: std::collections::BTreeSet<_> =
        of_event(&records, "grant.decision").iter().map(|r| r["revision"].to_string()).collect();
    assert!(revisions.len() > 5, "the load ran across reloads: {}", revisions.len());
    let mut known = std::collections::BTreeSet::new();
    for record in &records {
        match record["event"].as_str().unwrap() {
            "log.start" | "config.reload" => {
                known.insert(record["revision"].to_string());
            }
            "grant.decision" => assert!(known.contains(&record["revision"].to_string())),
            _ => {}
        }
    }
    assert_eq!(of_event(&records, "grant.outcome").len(), answered);
    assert_eq!(seam.requests().len(), answered);
}

/// Each prefix of whole lines is a valid policy, and those without the last lines allow
/// what the whole denies.
#[tokio::test]
async fn a_file_that_is_still_being_written_is_not_taken() {
    let site = Site::new();
    let seam = Seam::start(&site, Behaviour::confirm()).await;
    let gateway = site.start(&seam, &[]).await;
    let path = site.path("policies/policy.csv");
    let mut text = std::fs::read_to_string(&path).unwrap();
    for line in 0..30 {
        text.push_str(&format!("# line {line}\n"));
        // In place, as a careless script does.
        std::fs::write(&path, &text).unwrap();
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    until("it is taken", async || !of_event(&site.records(), "config.reload").is_empty()).await;
    gateway.stop().await;
    let records = site.records();
    let reloads = of_event(&records, "config.reload");
    assert_eq!(reloads.len(), 1, "only the whole file: {reloads:?}");
}

/// A revocation takes effect by itself however the file is found and however it is written.
/// Nothing here is looked at now and then.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_revocation_behind_links_takes_effect_at_once() {
    use std::os::unix::fs::symlink;
    /// How the callers file is laid out, and how it is edited.
    type Case = (&'static str, fn(&Site), fn(&Site, &str));
    let cases: &[Case] = &[
        (
            "a link to a file elsewhere, which is replaced",
            |site| symlink("shared/1/callers.toml", site.path("callers.toml")).unwrap(),
            |site, text| replace(&site.path("shared/1/callers.toml"), text),
        ),
        (
            "a link to a file elsewhere, which is written in place",
            |site| symlink("shared/1/callers.toml", site.path("callers.toml")).unwrap(),
            |site, text| std::fs::write(site.path("shared/1/callers.toml"), text).unwrap(),
        ),
        (
            "a link to a link, which is turned",
            |site| {
                symlink("1/callers.toml", site.path("shared/link")).unwrap();
                symlink("shared/link", site.path("callers.toml")).unwrap();
            },
            |site, text| {
                std::fs::write(site.path("shared/2/callers.toml"), text).unwrap();
                symlink("2/callers.toml", site.path("shared/new")).unwrap();
                std::fs::rename(site.path("shared/new"), site.path("shared/link")).unwrap();
            },
        ),
        (
            "a directory that is a link, which is turned",
            |site| {
                symlink("1", site.path("shared/current")).unwrap();
                symlink("shared/current/callers.toml", site.path("callers.toml")).unwrap();
            },
            |site, text| {
                std::fs::write(site.path("shared/2/callers.toml"), text).unwrap();
                symlink("2", site.path("shared/new")).unwrap();
                std::fs::rename(site.path("shared/new"), site.path("shared/current")).unwrap();
            },
        ),
        (
            "a directory that is replaced by another",
            |site| symlink("shared/1/callers.toml", site.path("callers.toml")).unwrap(),
            |site, text| {
                std::fs::write(site.path("shared/2/callers.toml"), text).unwrap();
                std::fs::rename(site.path("shared/1"), site.path("shared/old")).unwrap();
                std::fs::rename(site.path("shared/2"), site.path("shared/1")).unwrap();
            },
        ),
        (
            "a directory above that of the file, which is replaced by another",
            |site| {
                std::fs::create_dir_all(site.path("live/conf/deep")).unwrap();
                let file = site.path("live/conf/deep/callers.toml");
                std::fs::rename(site.path("shared/1/callers.toml"), file).unwrap();
                symlink("live/conf/deep/callers.toml", site.path("callers.toml")).unwrap();
            },
            |site, text| {
                std::fs::create_dir_all(site.path("new/conf/deep")).unwrap();
                std::fs::write(site.path("new/conf/deep/callers.toml"), text).unwrap();
                std::fs::rename(site.path("live"), site.path("old")).unwrap();
                std::fs::rename(site.path("new"), site.path("live")).unwrap();
            },
        ),
        (
            "the command, through the link",
            |site| symlink("shared/1/callers.toml", site.path("callers.toml")).unwrap(),
            |site, _| {
                let file = site.path("callers.toml");
                let file = file.to_str().unwrap();
                grantgate(&["caller", "revoke", "visitor-desk", "--token", "t", "--callers", file]);
            },
        ),
    ];
    for (name, lay_out, edit) in cases {
        let site = Site::new();
        let text = std::fs::read_to_string(site.path("callers.toml")).unwrap();
        for directory in ["shared/1", "shared/2"] {
            std::fs::create_dir_all(site.path(directory)).unwrap();
        }
        std::fs::rename(site.path("callers.toml"), site.path("shared/1/callers.toml")).unwrap();
        lay_out(&site);
        let seam = Seam::start(&site, Behaviour::confirm()).await;
        let gateway = site.start(&seam, &[("GRANTGATE__RELOAD__POLL_MS", "3600000")]).await;
        let client = site.client();
        assert_eq!(post(&client, &gateway, &site.token, grant_body(LOBBY)).await.status(), 200);
        let revoked: String = text
            .lines()
            .filter(|line| !line.contains("name = \"t\""))
            .map(|l| format!("{l}\n"))
            .collect();
        assert_ne!(revoked, text, "{text}");
        edit(&site, &revoked);
        until(name, async || {
            post(&client, &gateway, &site.token, grant_body(LOBBY)).await.status() == 401
        })
        .await;
        // Once more: what is watched is where the names lead now.
        replace(&std::fs::canonicalize(site.path("callers.toml")).unwrap(), &text);
        until(name, async || {
            post(&client, &gateway, &site.token, grant_body(LOBBY)).await.status() == 200
        })
        .await;
        gateway.stop().await;
    }
}
