//! A process from start to end: what it logs, and that its end drops nobody.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;

use crate::seam::{Behaviour, Seam};
use crate::support::process::{Process, signal};
use crate::support::{
    KEY, LOBBY, PATH, PERSON, SERVER_ROOM, Site, admin, ended_in_order, fresh_grant, grant_body,
    http1, http2, of_event, until,
};

async fn ended(process: Process) -> Option<i32> {
    tokio::task::spawn_blocking(|| process.wait()).await.unwrap()
}

fn grant(site: &Site, client: &reqwest::Client, process: &Process) -> reqwest::RequestBuilder {
    client
        .post(format!("https://localhost:{}{PATH}", process.address.port()))
        .bearer_auth(&site.token)
        .header("content-type", "application/json")
        .body(grant_body(LOBBY))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_is_announced_before_it_happens() {
    let site = Site::new();
    let seam = Seam::start(&site, Behaviour::confirm()).await;
    let delay = [("GRANTGATE__LIMITS__STOP_DELAY_MS", "1500")];
    let process = Process::serve_with(&site, &seam, &delay);
    let client = site.client();
    assert_eq!(grant(&site, &client, &process).send().await.unwrap().status(), 200);
    assert_eq!(admin(process.admin, "/readyz").await.0, 200);
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", process.id())).unwrap();
    let core = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
    assert_eq!(core.split_whitespace().skip(4).take(2).collect::<Vec<_>>(), ["1", "1"], "{core}");
    signal(process.id(), "TERM");
    let mut ready = 200;
    for _ in 0..100 {
        ready = admin(process.admin, "/readyz").await.0;
        if ready != 200 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(ready, 503);
    assert_eq!(admin(process.admin, "/livez").await.0, 200);
    // Over the open connection, and over a new one.
    for client in [client, site.client()] {
        let answer = grant(&site, &client, &process).send().await.unwrap();
        assert_eq!(answer.status(), 200);
        assert_eq!(answer.headers()["connection"], "close");
    }
    assert_eq!(ended(process).await, Some(0));
    ended_in_order(&site.records());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_signal_is_quick_and_the_next_start_closes_what_was_cut_off() {
    let site = Site::new();
    let seam = Seam::start(&site, Behaviour::Hang).await;
    let process = Process::serve(&site, &seam);
    let request = grant(&site, &site.client(), &process);
    let asked = tokio::spawn(request.send());
    until("the grant is forwarded", || seam.requests().len() == 1).await;
    signal(process.id(), "TERM");
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(!asked.is_finished(), "it is waited for");
    let since = Instant::now();
    signal(process.id(), "TERM");
    assert_eq!(ended(process).await, Some(0));
    assert!(since.elapsed() < Duration::from_secs(5), "sooner than the deadline of the request");
    assert!(asked.await.unwrap().is_err());
    let next = Process::serve(&site, &seam);
    signal(next.id(), "TERM");
    assert_eq!(ended(next).await, Some(0));
    let records = site.records();
    assert_eq!(of_event(&records, "grant.outcome")[0]["outcome"], "unknown");
}

/// Twenty times: callers that keep their connections see answers, then a port that is
/// closed, and never a request that was taken and not answered.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_under_load_drops_no_request() {
    let site = Arc::new(Site::new());
    let seam = Seam::start(&site, Behaviour::confirm()).await;
    let mut answered = 0;
    for round in 0..20 {
        let gateway = site.start(&seam, &[]).await;
        let url = gateway.url();
        let load: Vec<_> = (0..4)
            .map(|_| {
                let (url, client, token) = (url.clone(), site.client(), site.token.clone());
                tokio::spawn(async move {
                    let mut answered = 0;
                    loop {
                        let request = client
                            .post(&url)
                            .bearer_auth(&token)
                            .header("content-type", "application/json")
                            .body(fresh_grant(LOBBY));
                        match request.send().await {
                            Ok(answer) => assert_eq!(answer.status(), 200),
                            Err(error) => {
                                assert!(error.is_connect(), "round {round}: {error:?}");
                                return answered;
                            }
                        }
                        answered += 1;
                    }
                })
            })
            .collect();
        tokio::time::sleep(Duration::from_millis(100)).await;
        gateway.stop.leave();
        tokio::time::sleep(Duration::from_millis(100)).await;
        gateway.stop().await;
        for task in load {
            answered += task.await.unwrap();
        }
    }
    assert_eq!(seam.requests().len(), answered);
    assert_eq!(of_event(&site.records(), "grant.outcome").len(), answered);
}

/// One whose handshake ends when the others have been told of the stop already.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_comes_during_a_stop_is_told_as_well() {
    let site = Site::new();
    let seam = Seam::start(&site, Behaviour::confirm()).await;
    for protocol in [&b"http/1.1"[..], b"h2"] {
        let gateway = site.start(&seam, &[]).await;
        let protocols = [protocol];
        // Now and then a handshake is over at once.
        let (mut begun, mut tries) = (None, 0);
        while begun.is_none() {
            tries += 1;
            assert!(tries < 50, "half a handshake");
            let seen = TcpStream::connect(gateway.address).await.unwrap().into_std().unwrap();
            let tcp = TcpStream::from_std(seen.try_clone().unwrap()).unwrap();
            // So that the first look sends something.
            tcp.writable().await.unwrap();
            let mut connecting = Box::pin(http1::over(&site, tcp, &protocols));
            let once =
                poll_fn(|context| Poll::Ready(connecting.as_mut().poll(context).is_pending()));
            begun = once.await.then_some((connecting, seen));
        }
        let (connecting, seen) = begun.unwrap();
        until("the gateway has answered", || seen.peek(&mut [0]).is_ok()).await;
        gateway.stop.drain();
        tokio::time::sleep(Duration::from_millis(200)).await;
        let mut tls = connecting.await;
        let soon = Duration::from_secs(10);
        if protocol == b"h2" {
            let (requests, connection) = http2::over(tls).await;
            let ends = tokio::time::timeout(soon, connection).await;
            ends.expect("the connection is told to end").unwrap();
            assert!(requests.is_closed());
        } else {
            // It ends long before its idle time, which is a minute.
            let ends = tokio::time::timeout(soon, tls.read_to_end(&mut Vec::new())).await;
            assert_eq!(ends.expect("the connection is told to end").unwrap(), 0);
        }
        gateway.stop().await;
    }
}

/// More lines than a pipe holds, which is 64 KiB.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_go_on_while_nobody_reads_the_log() {
    let site = Site::new();
    let seam = Seam::start(&site, Behaviour::confirm()).await;
    let burst = [("GRANTGATE__LIMITS__CALLER_REQUESTS_BURST", "1000")];
    let process = Process::serve_with(&site, &seam, &burst);
    let client = site.client();
    let gate = process.gate();
    let (held, is_held) = tokio::sync::oneshot::channel();
    let (go, may_go) = std::sync::mpsc::channel::<()>();
    let holder = std::thread::spawn(move || {
        let _closed = gate.lock().unwrap();
        held.send(()).unwrap();
        let _ = may_go.recv();
    });
    is_held.await.unwrap();
    for _ in 0..400 {
        assert_eq!(grant(&site, &client, &process).send().await.unwrap().status(), 200);
    }
    let metrics = admin(process.admin, "/metrics").await.1;
    assert!(metrics.contains("\ngrantgate_log_lost_lines_total 0\n"), "{metrics}");
    drop(go);
    holder.join().unwrap();
    let requests = || {
        let log = process.log();
        let lines = log.iter().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
        lines.filter(|line| line["message"] == "request").count()
    };
    until("all are logged", || requests() == 400).await;
    signal(process.id(), "TERM");
    assert_eq!(ended(process).await, Some(0));
}

/// Lines that are collected are in order with others, and none is lost at the end.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_log_is_whole_and_in_order_at_the_end() {
    let site = Site::new();
    let seam = Seam::start(&site, Behaviour::confirm()).await;
    let process = Process::serve(&site, &seam);
    let client = site.client();
    for number in 0..10 {
        assert_eq!(grant(&site, &client, &process).send().await.unwrap().status(), 200);
        if number == 4 {
            signal(process.id(), "HUP");
        }
    }
    signal(process.id(), "TERM");
    assert_eq!(grant(&site, &client, &process).send().await.unwrap().status(), 200);
    let log = process.end_lines().await;
    let parsed = log.iter().map(|line| serde_json::from_str(line).unwrap());
    let lines: Vec<serde_json::Value> = parsed.collect();
    assert_eq!(lines.iter().filter(|line| line["message"] == "request").count(), 11, "{log:#?}");
    let hangups = lines.iter().filter(|line| line["message"] == "reload requested by SIGHUP");
    assert_eq!(hangups.count(), 1, "{log:#?}");
    assert_eq!(lines.last().unwrap()["message"], "stopped");
    // Others have their time before they have their place.
    let requests = lines.iter().filter(|line| line["message"] == "request");
    let times: Vec<&str> = requests.map(|line| line["timestamp"].as_str().unwrap()).collect();
    assert!(times.is_sorted(), "{log:#?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_request_of_a_caller_is_one_line_without_secrets() {
    let site = Site::new();
    let seam = Seam::start(&site, Behaviour::confirm()).await;
    let process = Process::serve(&site, &seam);
    let client = site.client();
    for (token, entrance) in
        [(&site.token, LOBBY), (&site.token, SERVER_ROOM), (&"seam_gg_nobody".to_owned(), LOBBY)]
    {
        let request = grant(&site, &client, &process).body(grant_body(entrance));
        // The last of two values would be the builder's.
        let mut request = request.build().unwrap();
        request.headers_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
        client.execute(request).await.unwrap();
    }
    let requests = || -> Vec<serde_json::Value> {
        let log = process.log();
        let lines = log.iter().filter_map(|line| serde_json::from_str(line).ok());
        lines.filter(|line: &serde_json::Value| line["message"] == "request").collect()
    };
    until("both are logged", || requests().len() == 2).await;
    let lines = requests();
    let shown: Vec<_> =
        lines.iter().map(|l| (&l["caller"], &l["entrance"], &l["reason"])).collect();
    let caller = &serde_json::json!("visitor-desk");
    let text = |text| serde_json::Value::String(String::from(text));
    assert_eq!(
        shown,
        [
            (caller, &text(LOBBY), &text("allowed-by-rule")),
            (caller, &text(SERVER_ROOM), &text("denied-by-rule")),
        ]
    );
    assert_eq!(lines[0]["entrance_name"], "main entrance");
    assert_eq!(lines[0]["outcome"], "granted");
    for time in ["decided_us", "recorded_us", "forwarded_us", "took_us"] {
        assert!(lines[0][time].as_u64() > Some(0), "{time}: {}", lines[0]);
    }
    let all = process.log().concat();
    for secret in [site.token.as_str(), KEY, PERSON] {
        assert!(!all.contains(secret), "{secret}");
    }
    signal(process.id(), "TERM");
    assert_eq!(ended(process).await, Some(0));
}
