//! Gateways and their database are killed, stopped and started again, at random, while callers grant:
//! afterwards every log is whole, the database has all of them, and Seam saw nothing that was not recorded.
//!
//! For `GRANTGATE_CHAOS_S` seconds (8 unless set), with `GRANTGATE_CHAOS_REPLICAS` gateways (3), by the
//! dice of `GRANTGATE_CHAOS_SEED`.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Instant;

use parking_lot::Mutex;
use rustix::process::Signal;

use super::*;
use crate::support::PATH;
use crate::support::process::{Process, signal};

const MORE: [(&str, &str); 5] = [
    ("GRANTGATE__LIMITS__SHARED", "on"),
    ("GRANTGATE__IDEMPOTENCY__SHARED", "on"),
    ("GRANTGATE__LIMITS__CALLER_GRANTS_PER_DAY", "100000"),
    ("GRANTGATE__LIMITS__BUDGET_WITHOUT_DATABASE", "share"),
    ("GRANTGATE__AUDIT__SEGMENT_BYTES_MAX", "65536"),
];

fn setting(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(otherwise)
}

/// Xorshift: enough to throw dice that can be thrown again.
struct Dice(u64);

impl Dice {
    fn below(&mut self, most: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % most
    }
}

/// A gateway, its Seam, and where callers find it now.
struct Replica {
    site: Site,
    seam: Seam,
    process: Mutex<Option<Process>>,
    url: Mutex<String>,
}

impl Replica {
    fn start(&self) {
        let process = Process::serve_with(&self.site, &self.seam, &MORE);
        *self.url.lock() = process.url();
        *self.process.lock() = Some(process);
    }

    /// As people do, or as a machine does that loses power.
    async fn end(&self, in_order: bool) {
        let Some(process) = self.process.lock().take() else { return };
        if in_order {
            signal(process.id(), "TERM");
            let code = tokio::task::spawn_blocking(|| process.wait()).await.unwrap();
            assert_eq!(code, Some(0));
        } else {
            process.kill();
        }
    }
}

/// Grants without end, at one gateway or another, each with a key; what fails is tried once more.
async fn calls(
    all: Arc<Vec<Replica>>,
    number: u64,
    over: Arc<AtomicBool>,
    granted: Arc<AtomicUsize>,
) {
    let client = all[0].site.client_builder();
    let mut client = client.timeout(Duration::from_secs(5)).build().unwrap();
    let mut dice = Dice(number + 1);
    let mut clients: BTreeMap<usize, reqwest::Client> = BTreeMap::new();
    while !over.load(Ordering::Relaxed) {
        let (body, key) = (fresh_grant(LOBBY), format!("\"{number}-{}\"", dice.below(u64::MAX)));
        for _ in 0..2 {
            let which = usize::try_from(dice.below(all.len() as u64)).unwrap();
            let replica = &all[which];
            client = clients
                .entry(which)
                .or_insert_with(|| {
                    let builder = replica.site.client_builder();
                    builder.timeout(Duration::from_secs(5)).build().unwrap()
                })
                .clone();
            let url = replica.url.lock().clone();
            let request = client.post(url).bearer_auth(&replica.site.token);
            let request = request.header("content-type", "application/json");
            let answer = request.header("idempotency-key", &key).body(body.clone()).send().await;
            if answer.is_ok_and(|answer| answer.status() == 200) {
                granted.fetch_add(1, Ordering::Relaxed);
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
    drop(client);
}

/// One fault, and what takes it back.
async fn fault(dice: &mut Dice, all: &[Replica], server: &mut Postgres) {
    let replica = &all[usize::try_from(dice.below(all.len() as u64)).unwrap()];
    let pause = Duration::from_millis(dice.below(1_500));
    match dice.below(8) {
        0..=2 => {
            replica.end(false).await;
            tokio::time::sleep(pause).await;
            replica.start();
        }
        3 => {
            replica.end(true).await;
            tokio::time::sleep(pause).await;
            replica.start();
        }
        4 | 5 => {
            server.kill();
            tokio::time::sleep(pause).await;
            server.run().await;
        }
        6 => {
            server.signal(Signal::STOP);
            tokio::time::sleep(pause).await;
            server.signal(Signal::CONT);
        }
        _ => tokio::time::sleep(pause).await,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_is_killed_no_record_is_lost_or_there_twice() {
    let seconds = Duration::from_secs(setting("GRANTGATE_CHAOS_S", 8));
    let now = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().subsec_nanos();
    let seed = setting("GRANTGATE_CHAOS_SEED", u64::from(now) + 1);
    println!("GRANTGATE_CHAOS_SEED={seed}");
    let first = Site::new();
    let Some(mut server) = database(&first).await else { return };
    let mut sites = vec![first];
    for number in 1..setting("GRANTGATE_CHAOS_REPLICAS", 3) {
        let site = Site::new();
        connect(&site, &format!("replica-{number}"), (&sites[0], &server));
        sites.push(site);
    }
    let mut all = Vec::new();
    for site in sites {
        let seam = Seam::start(&site, Behaviour::confirm()).await;
        let (process, url) = (Mutex::new(None), Mutex::new(String::new()));
        let replica = Replica { site, seam, process, url };
        replica.start();
        all.push(replica);
    }
    let all = Arc::new(all);
    let (over, granted) = (Arc::new(AtomicBool::new(false)), Arc::<AtomicUsize>::default());
    let callers: Vec<_> = (0..4)
        .map(|number| tokio::spawn(calls(all.clone(), number, over.clone(), granted.clone())))
        .collect();
    let (mut dice, began, mut faults) = (Dice(seed), Instant::now(), 0);
    while began.elapsed() < seconds {
        fault(&mut dice, &all, &mut server).await;
        faults += 1;
    }
    over.store(true, Ordering::Relaxed);
    for caller in callers {
        caller.await.unwrap();
    }
    // A last start of each, so that all of it is sent.
    for replica in all.iter() {
        replica.end(false).await;
        replica.start();
        let process = replica.process.lock().take().unwrap();
        until_all_is_shipped(&replica.site, &process).await;
        signal(process.id(), "TERM");
        tokio::task::spawn_blocking(|| process.wait()).await.unwrap();
    }
    let (mut records, mut sent) = (0, 0);
    for replica in all.iter() {
        let (of_log, of_seam) = accounted_for(replica, &server).await;
        (records, sent) = (records + of_log, sent + of_seam);
    }
    let granted = granted.load(Ordering::Relaxed);
    println!("{faults} faults, {granted} grants confirmed, {sent} sent, {records} records");
    assert!(granted > 0 && sent >= granted);
    let reader = all[0].site.path("reader.toml");
    let keys: Vec<_> = all.iter().map(|one| one.site.path("audit/signing.pub")).collect();
    let mut verify = vec!["audit", "verify", "--database", reader.to_str().unwrap()];
    for key in &keys {
        verify.extend(["--key", key.to_str().unwrap()]);
    }
    grantgate(&verify);
}

async fn until_all_is_shipped(site: &Site, process: &Process) {
    let last = lines(site).len() as u64;
    for _ in 0..3_000 {
        let (_, status) = crate::support::admin(process.admin, "/status").await;
        let status: Value = serde_json::from_str(&status).unwrap();
        if status["database"]["next_seq"].as_u64() > Some(last) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("records still wait");
}

/// The log verifies, the database has it, and what its Seam saw was recorded before. Gives how many
/// records there are, and grants that Seam saw.
async fn accounted_for(replica: &Replica, server: &Postgres) -> (usize, usize) {
    let (site, seam) = (&replica.site, &replica.seam);
    let (log, key) = (site.path("audit"), site.path("audit/signing.pub"));
    grantgate(&["audit", "verify", log.to_str().unwrap(), "--key", key.to_str().unwrap()]);
    let own = lines(site);
    let client = server.admin("grantgate").await;
    let origin = std::fs::read_to_string(key).unwrap();
    let origin = origin.split('+').next().unwrap().to_owned();
    let there = "SELECT line FROM grantgate.audit_record JOIN grantgate.audit_log USING (log_id) \
                 WHERE origin = $1 ORDER BY seq";
    let there = client.query(there, &[&origin]).await.unwrap();
    let there: Vec<String> = there.iter().map(|row| row.get(0)).collect();
    assert_eq!(there.len(), own.len());
    assert!(there == own, "lines differ");
    let mut allowed: BTreeMap<String, usize> = BTreeMap::new();
    for line in &own {
        let record: Value = serde_json::from_str(line).unwrap();
        if record["event"] == "grant.decision" && record["decision"] == "allow" {
            let who = record["user_identity_id"].as_str().unwrap().to_owned();
            *allowed.entry(who).or_default() += 1;
        }
    }
    // Not what Seam was asked about later.
    let grants = format!("POST {PATH} ");
    let requests = seam.requests().into_iter().filter(|request| request.starts_with(&grants));
    let requests: Vec<String> = requests.collect();
    for request in &requests {
        let (_, body) = request.split_once("\r\n\r\n").unwrap();
        let body: Value = serde_json::from_str(body).unwrap();
        let who = body["user_identity_id"].as_str().unwrap();
        let left = allowed.get_mut(who).unwrap_or_else(|| panic!("{who} is in no record"));
        *left =
            left.checked_sub(1).unwrap_or_else(|| panic!("{who}: sent more often than recorded"));
    }
    (own.len(), requests.len())
}
