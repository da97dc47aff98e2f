//! Under a service manager: one process takes over from another, and what the manager
//! is told.

use std::net::TcpListener;
use std::os::unix::net::UnixDatagram;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use crate::seam::{Behaviour, Seam};
use crate::support::process::{self, Process, signal};
use crate::support::{LOBBY, PATH, Site, fresh_grant, grant_body, http2, of_event, until};

const ROUNDS: usize = 20;

/// Longer than any answer takes.
const PATIENCE: Duration = Duration::from_secs(15);

async fn ended(process: Process) -> Option<i32> {
    tokio::task::spawn_blocking(|| process.wait()).await.unwrap()
}

/// What a load needs to know.
struct Load {
    site: Site,
    port: u16,
    granted: AtomicUsize,
    enough: AtomicBool,
}

impl Load {
    fn is_wanted(&self) -> bool {
        !self.enough.load(Ordering::Relaxed)
    }

    fn granted(&self) -> usize {
        self.granted.load(Ordering::Relaxed)
    }

    /// With one connection, or with one for every request.
    async fn http1(&self, keeps: bool) {
        let mut client = self.site.client();
        while self.is_wanted() {
            let request = client
                .post(format!("https://localhost:{}{PATH}", self.port))
                .bearer_auth(&self.site.token)
                .header("content-type", "application/json")
                .body(fresh_grant(LOBBY));
            assert_eq!(request.send().await.unwrap().status(), 200);
            self.granted.fetch_add(1, Ordering::Relaxed);
            if !keeps {
                client = self.site.client();
            }
        }
    }

    async fn http2(&self, keeps: bool) {
        let mut connection = None;
        while self.is_wanted() {
            let mut requests = match connection.take() {
                Some(requests) => requests,
                None => http2::connect(&self.site, self.port).await,
            };
            let request = http2::post(&self.site, self.port, LOBBY);
            let sent = tokio::time::timeout(PATIENCE, requests.try_send_request(request));
            let Ok(answer) = sent.await else {
                // The client's library waits on a connection that has ended. Whether the
                // request was taken shows in the end: grants are counted on both sides.
                assert!(requests.is_closed(), "no answer on a connection that is open");
                continue;
            };
            match answer {
                Ok(answer) => {
                    assert_eq!(answer.status(), 200);
                    self.granted.fetch_add(1, Ordering::Relaxed);
                    connection = keeps.then_some(requests);
                }
                // The gateway took no further request on this connection: clients send it
                // on another (RFC 9113, section 6.8). That it was not taken shows in the end.
                Err(mut error) => {
                    let text = format!("{:?}", error.error());
                    let left = text.contains("GoAway(b\"\", NO_ERROR, Remote)");
                    assert!(left || error.take_message().is_some(), "{text}");
                }
            }
        }
    }
}

/// Clients that keep their connections and such that open one for every request, of
/// both protocols: none of them may notice that the process changes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_process_takes_over_under_load_and_no_request_fails() {
    let site = Site::new();
    let seam = Seam::start(&site, Behaviour::Slow(Duration::from_millis(5))).await;
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut process = Process::inheriting(&site, &seam, &socket);
    let port = socket.local_addr().unwrap().port();
    assert_eq!(process.address.port(), port);

    let load = Load { site, port, granted: AtomicUsize::new(0), enough: AtomicBool::new(false) };
    let load = Arc::new(load);
    let clients: Vec<_> = [(false, false), (false, true), (true, false), (true, true)]
        .repeat(2)
        .into_iter()
        .map(|(http2, keeps)| {
            let load = load.clone();
            tokio::spawn(async move {
                if http2 { load.http2(keeps).await } else { load.http1(keeps).await }
            })
        })
        .collect();
    for round in 0..ROUNDS {
        let before = load.granted();
        until("requests are answered", || load.granted() > before + 20).await;
        signal(process.id(), "TERM");
        assert_eq!(ended(process).await, Some(0), "round {round}");
        process = Process::inheriting(&load.site, &seam, &socket);
    }
    load.enough.store(true, Ordering::Relaxed);
    for client in clients {
        client.await.unwrap();
    }
    signal(process.id(), "TERM");
    assert_eq!(ended(process).await, Some(0));

    assert_eq!(seam.requests().len(), load.granted());
    let records = load.site.records();
    let outcomes = of_event(&records, "grant.outcome");
    assert_eq!(outcomes.len(), load.granted());
    assert!(outcomes.iter().all(|outcome| outcome["outcome"] == "granted"));
    assert_eq!(of_event(&records, "log.start").len(), ROUNDS + 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_service_manager_is_told_of_start_reload_and_stop_and_that_nothing_hangs() {
    let site = Site::new();
    let seam = Seam::start(&site, Behaviour::confirm()).await;
    let manager = UnixDatagram::bind(site.path("notify")).unwrap();
    manager.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let mut command = process::serve(&site, &seam, &[]);
    command.env("NOTIFY_SOCKET", site.path("notify")).env("WATCHDOG_USEC", "100000");
    let process = Process::start(command);

    // The next message that is not of the watchdog, and how many of those came before.
    let next = || {
        let (mut buffer, mut fed) = ([0; 1024], 0);
        loop {
            let length = manager.recv(&mut buffer).unwrap();
            let text = String::from_utf8(buffer[..length].to_vec()).unwrap();
            if text.trim_end() != "WATCHDOG=1" {
                return (text, fed);
            }
            fed += 1;
        }
    };
    let address = process.address;
    let ready = format!("READY=1\nSTATUS=serving on {address}\n");
    assert_eq!(next().0, ready);

    tokio::time::sleep(Duration::from_secs(1)).await;
    // Ready again only when the new rules are in force.
    let rules = String::from_utf8(site.read("policies/policy.csv")).unwrap();
    let rules = rules.replace("zone:lobby,         grant, allow", "zone:lobby, grant, deny");
    std::fs::write(site.path("policies/policy.csv"), rules).unwrap();
    signal(process.id(), "HUP");
    let (reloading, fed) = next();
    let time = reloading.strip_prefix("RELOADING=1\nMONOTONIC_USEC=").unwrap();
    assert!(time.trim_end().parse::<u64>().unwrap() > 0);
    assert!(fed >= 10, "fed {fed} times in ten periods");
    assert_eq!(next().0, ready);
    let request = site
        .client()
        .post(format!("https://localhost:{}{PATH}", address.port()))
        .bearer_auth(&site.token)
        .header("content-type", "application/json")
        .body(grant_body(LOBBY));
    assert_eq!(request.send().await.unwrap().status(), 403);

    signal(process.id(), "TERM");
    assert!(next().0.starts_with("STOPPING=1\n"));
    assert_eq!(ended(process).await, Some(0));
}

#[test]
fn a_socket_that_is_none_is_refused() {
    let site = Site::new();
    let script = "exec 3</dev/null; LISTEN_FDS=$1 LISTEN_PID=$$ exec \"$0\" serve --config \"$2\"";
    for (count, said) in [("1", "the service manager's socket: "), ("2", "2 sockets were passed")] {
        let output = std::process::Command::new("sh")
            .args(["-c", script, env!("CARGO_BIN_EXE_grantgate"), count])
            .arg(site.path("grantgate.toml"))
            .output()
            .unwrap();
        let text = String::from_utf8(output.stderr).unwrap();
        assert!(text.contains(said), "{text}");
        assert_eq!(output.status.code(), Some(1));
    }
    // A socket with Accept=yes: one connection.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let connected = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let script =
        "exec 3<&0 0</dev/null; LISTEN_FDS=1 LISTEN_PID=$$ exec \"$0\" serve --config \"$1\"";
    let output = std::process::Command::new("sh")
        .args(["-c", script, env!("CARGO_BIN_EXE_grantgate")])
        .arg(site.path("grantgate.toml"))
        .stdin(std::os::fd::OwnedFd::from(connected))
        .output()
        .unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(text.contains("the service manager's socket: it does not listen"), "{text}");
    assert_eq!(output.status.code(), Some(1));
}

/// systemd's `ListenStream=8443` is such a socket.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_a_socket_of_both_families_an_ipv4_address_stays_one() {
    let Ok(socket) = TcpListener::bind("[::]:0") else { return };
    let site = Site::new();
    let seam = Seam::start(&site, Behaviour::confirm()).await;
    let process = Process::inheriting(&site, &seam, &socket);
    let port = socket.local_addr().unwrap().port();
    let client = site.client_builder().resolve("localhost", ([127, 0, 0, 1], port).into());
    let request = client
        .build()
        .unwrap()
        .post(format!("https://localhost:{port}{PATH}"))
        .bearer_auth(&site.token)
        .header("content-type", "application/json")
        .body(grant_body(LOBBY));
    assert_eq!(request.send().await.unwrap().status(), 200);
    signal(process.id(), "TERM");
    assert_eq!(ended(process).await, Some(0));
    let records = site.records();
    let peer = of_event(&records, "grant.decision")[0]["peer"].as_str().unwrap();
    assert!(peer.starts_with("127.0.0.1:"), "{peer}");
}
