//! Rates and budgets of callers that hold for all gateways together.

use super::*;
use crate::budgets::on_one_day;
use crate::support::SERVER_ROOM;
use crate::support::process::Process;

const GARAGE: &str = "0a9f3c52-6f5e-4d0b-b1d4-93c4e7a8f216";
const SHARED: (&str, &str) = ("GRANTGATE__LIMITS__SHARED", "on");
const DAILY: &str = "GRANTGATE__LIMITS__CALLER_GRANTS_PER_DAY";
const DOORS: &str = "GRANTGATE__LIMITS__CALLER_DOORS_PER_DAY";

async fn grant(site: &Site, gateway: &Gateway, entrance: &str) -> u16 {
    post(&site.client(), gateway, &site.token, fresh_grant(entrance)).await.status().as_u16()
}

/// Until each of them knows that there are so many.
async fn until_known(gateways: &[&Gateway], count: u32) {
    let wanted = format!("grantgate_limits_gateways {count}\n");
    for gateway in gateways {
        for round in 0.. {
            if gateway.admin("/metrics").await.1.contains(&wanted) {
                break;
            }
            assert!(round < 1_000, "never {count} gateways");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

async fn leased(server: &Postgres) -> i64 {
    let client = server.admin("grantgate").await;
    let sum = "SELECT coalesce(sum(grants), 0)::bigint FROM grantgate.budget_lease";
    client.query_one(sum, &[]).await.unwrap().get(0)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_budget_is_one_for_all_gateways_whatever_is_killed() {
    on_one_day().await;
    let site = Site::new();
    let Some(server) = database(&site).await else { return };
    let other = another(&site, &server);
    let seam = Seam::start(&site, Behaviour::confirm()).await;
    let second = Seam::start(&other, Behaviour::confirm()).await;
    let more = [SHARED, (DAILY, "30"), (DOORS, "2")];
    let (one, two) = (site.start(&seam, &more).await, Process::serve_with(&other, &second, &more));
    until_known(&[&one], 2).await;
    assert_eq!(grant(&site, &one, LOBBY).await, 200);
    let client = other.client();
    let of_second = async |process: &Process, entrance: &str| {
        let request = client.post(process.url()).bearer_auth(&other.token);
        let request = request.header("content-type", "application/json");
        let answer = request.body(fresh_grant(entrance)).send().await;
        answer.unwrap().status().as_u16()
    };
    assert_eq!(of_second(&two, GARAGE).await, 200);
    let room = "7c0e2b1d-53a4-4f86-8e9b-1d2c3f4a5b6c";
    assert_eq!(grant(&site, &one, room).await, 429, "a third entrance, of which it had one");
    // Killed, with what it had taken and not used.
    two.kill();
    let two = Process::serve_with(&other, &second, &more);
    let (mut granted, mut refused) = (2, 0);
    for round in 0..60 {
        let entrance = if round % 2 == 0 { LOBBY } else { GARAGE };
        let status = match round % 3 {
            0 => of_second(&two, entrance).await,
            _ => grant(&site, &one, entrance).await,
        };
        match status {
            200 => granted += 1,
            429 => refused += 1,
            status => panic!("{status}"),
        }
    }
    assert_eq!((granted + refused, seam.requests().len() + second.requests().len()), (62, granted));
    // One part of the share, which is one grant, may have been lost with the gateway.
    assert!((29..=30).contains(&granted), "{granted}");
    assert_eq!(leased(&server).await, 30);
    one.stop().await;
    let refused = site.records().iter().filter(|r| r["reason"] == "budget-exhausted").count();
    assert!(refused > 0);
}

/// What was taken ahead goes back when a gateway stops.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_taken_and_not_used_is_given_back() {
    on_one_day().await;
    let site = Site::new();
    let Some(server) = database(&site).await else { return };
    let seam = Seam::start(&site, Behaviour::NoTls(crate::seam::NoTls::Close)).await;
    let gateway = site.start(&seam, &[SHARED, (DAILY, "1000")]).await;
    assert_eq!(grant(&site, &gateway, LOBBY).await, 502, "nothing of it is sent");
    seam.set(Behaviour::confirm());
    for _ in 0..3 {
        assert_eq!(grant(&site, &gateway, LOBBY).await, 200);
    }
    assert_eq!(leased(&server).await, 50, "a twentieth");
    for _ in 0..30 {
        assert_eq!(grant(&site, &gateway, LOBBY).await, 200);
    }
    until_known(&[&gateway], 1).await;
    assert_eq!(leased(&server).await, 100, "more, before it was needed");
    gateway.stop().await;
    assert_eq!(leased(&server).await, 33);
}

/// Nobody waits for long, and it is as was set what becomes of grants.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_the_database_budgets_are_refused_or_shared_out() {
    on_one_day().await;
    let site = Site::new();
    let Some(mut server) = database(&site).await else { return };
    let other = another(&site, &server);
    let seam = Seam::start(&site, Behaviour::confirm()).await;
    let second = Seam::start(&other, Behaviour::confirm()).await;
    let more = [SHARED, (DAILY, "12")];
    let shares = [SHARED, (DAILY, "12"), ("GRANTGATE__LIMITS__BUDGET_WITHOUT_DATABASE", "share")];
    let [one, two] = [site.start(&seam, &more).await, other.start(&second, &shares).await];
    until_known(&[&one, &two], 2).await;
    assert_eq!(grant(&site, &one, LOBBY).await, 200);
    assert_eq!(grant(&other, &two, LOBBY).await, 200);
    for hangs in [true, false] {
        match hangs {
            true => server.signal(rustix::process::Signal::STOP),
            false => server.kill(),
        }
        let began = std::time::Instant::now();
        let mut status = grant(&site, &one, LOBBY).await;
        if status == 200 && !hangs {
            // What was taken late, when it went on, was there for this one.
            status = grant(&site, &one, LOBBY).await;
        }
        assert_eq!(status, 503);
        assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
        if hangs {
            server.signal(rustix::process::Signal::CONT);
            continue;
        }
        // Half of the budget, by itself.
        for round in 0..8 {
            let wanted = if round < 6 { 200 } else { 503 };
            assert_eq!(grant(&other, &two, LOBBY).await, wanted, "{round}");
        }
    }
    // A gateway that starts now does not know what it had, and has no more than that.
    two.stop().await;
    let two = other.start(&second, &shares).await;
    until_known(&[&two], 2).await;
    assert_eq!(grant(&other, &two, LOBBY).await, 503);
    server.run().await;
    for round in 0.. {
        if grant(&site, &one, LOBBY).await == 200 {
            break;
        }
        assert!(round < 300, "never again");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    one.stop().await;
    let unconfirmed =
        site.records().iter().filter(|record| record["reason"] == "budget-unconfirmed").count();
    assert!(unconfirmed >= 2, "{unconfirmed}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rate_is_divided_among_those_that_speak() {
    let site = Site::new();
    let Some(server) = database(&site).await else { return };
    let other = another(&site, &server);
    let seam = Seam::start(&site, Behaviour::confirm()).await;
    let second = Seam::start(&other, Behaviour::confirm()).await;
    let more = [
        SHARED,
        ("GRANTGATE__LIMITS__CALLER_REQUESTS_PER_SECOND", "2"),
        ("GRANTGATE__LIMITS__CALLER_REQUESTS_BURST", "40"),
    ];
    let [one, two] = [site.start(&seam, &more).await, other.start(&second, &more).await];
    until_known(&[&one, &two], 2).await;
    for (at, gateway) in [(&site, &one), (&other, &two)] {
        let (began, client) = (std::time::Instant::now(), at.client());
        let mut admitted = 0;
        for _ in 0..60 {
            let body = fresh_grant(SERVER_ROOM);
            match post(&client, gateway, &at.token, body).await.status().as_u16() {
                403 => admitted += 1,
                429 => {}
                status => panic!("{status}"),
            }
        }
        let most = 20 + began.elapsed().as_secs() + 2;
        assert!((20..=most).contains(&admitted), "{admitted} of {most}");
    }
    two.stop().await;
    until_known(&[&one], 1).await;
}
