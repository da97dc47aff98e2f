use super::*;
use crate::domain::{Operation, Outcome, RequestId};
use crate::gateway::Answer;
use crate::seam;
use crate::upstream::Forwarded;
use std::num::NonZeroU32;

fn admission(all: usize, own: usize, burst: u32) -> Admission {
    among(Arc::default(), (all, own, burst))
}

fn among(gateways: Arc<Gateways>, (all, own, burst): (usize, usize, u32)) -> Admission {
    let limits = RequestLimits {
        body_bytes_max: 1,
        headers_max: 64,
        body_timeout: Duration::ZERO,
        requests_in_flight_max: all,
        answer_deadline: Duration::ZERO,
        caller_requests_in_flight_max: own,
        caller_requests_per_second: NonZeroU32::MIN,
        caller_budget: crate::domain::Budget::default(),
        caller_requests_burst: NonZeroU32::new(burst).unwrap(),
        authentication_failures_per_minute: 0,
        shared: None,
    };
    Admission::new(&limits, gateways)
}

fn id(text: &str) -> CallerId {
    CallerId::parse(text).unwrap()
}

fn in_flight(admission: &Admission, caller: &CallerId) -> (usize, usize) {
    let caller = admission.caller(caller);
    let own = caller.in_flight.lock();
    (own.all, own.reads)
}

fn taken(admission: &Admission) -> [usize; 2] {
    [&admission.places, &admission.reads].map(|places| places.taken.load(Ordering::Relaxed))
}

fn refused(admission: &Admission, caller: &CallerId) -> Option<Reason> {
    admission.admit(caller, Effect::Changes).err().map(|refusal| refusal.reason)
}

#[test]
fn each_limit_has_its_own_reason_and_places_come_back() {
    let limits = admission(3, 2, 100);
    let [a, b] = ["a", "b"].map(id);
    let places = [limits.admit(&a, Effect::Changes).ok(), limits.admit(&a, Effect::Changes).ok()];
    assert!(places.iter().all(Option::is_some));
    assert_eq!(refused(&limits, &a), Some(Reason::CallerBusy));
    let last = limits.admit(&b, Effect::Changes).ok();
    assert!(last.is_some(), "one caller does not use up another's");
    assert_eq!(refused(&limits, &b), Some(Reason::Overloaded));
    drop((places, last));
    assert_eq!(refused(&limits, &a), None);
    assert_eq!(
        (in_flight(&limits, &a), in_flight(&limits, &b), taken(&limits)),
        ((0, 0), (0, 0), [0, 0])
    );
}

#[test]
fn reads_have_a_share_and_leave_the_rest_to_grants() {
    let limits = admission(24, 16, 100);
    let [a, b] = ["a", "b"].map(id);
    let read = |caller: &CallerId| limits.admit(caller, Effect::Reads);
    let reason = |refused: Result<Seat, Refusal>| refused.err().map(|refusal| refusal.reason);
    let mut seats = vec![read(&a).ok(), read(&a).ok()];
    assert!(seats.iter().all(Option::is_some));
    assert_eq!(reason(read(&a)), Some(Reason::CallerBusy));
    seats.push(read(&b).ok());
    assert_eq!(reason(read(&b)), Some(Reason::Overloaded), "three of twenty-four");
    assert_eq!(refused(&limits, &a), None, "grants go on");
    drop(seats.remove(0));
    assert_eq!(reason(read(&a)), None);
    drop(seats);
    assert_eq!(
        (in_flight(&limits, &a), in_flight(&limits, &b), taken(&limits)),
        ((0, 0), (0, 0), [0, 0])
    );
}

/// An answer that nobody reads keeps its caller from asking for more of them.
#[test]
fn a_read_has_its_seat_until_its_answer_is_sent() {
    let limits = admission(8, 8, 100);
    let caller = id("a");
    let forwarded = Forwarded {
        outcome: Outcome::Answered,
        reason: Reason::AllowedByRule,
        status: Some(http::StatusCode::OK),
        confirmation: None,
        error: None,
        retry_after_s: None,
        seam_request_id: None,
        took: None,
    };
    let shown = seam::Shown::Read { entrances: 0, body: b"{}".to_vec() };
    let answer = Answer::forwarded(Operation::ListEntrances, forwarded, Some(shown));
    let seat = limits.admit(&caller, Effect::Reads).ok().unwrap();
    let response = answer.holding(seat).into_response(RequestId::generate());
    assert!(limits.admit(&caller, Effect::Reads).is_err());
    drop(response);
    assert!(limits.admit(&caller, Effect::Reads).is_ok());
}

#[test]
fn a_caller_that_is_too_fast_is_told_when_to_come_back() {
    let limits = admission(100, 100, 3);
    let [a, b] = ["a", "b"].map(id);
    for _ in 0..3 {
        assert_eq!(refused(&limits, &a), None);
    }
    let refusal = limits.admit(&a, Effect::Changes).err().unwrap();
    assert_eq!(refusal.reason, Reason::RateLimited);
    assert!(matches!(refusal.retry_after_s, Some(1..=2)));
    assert_eq!(refused(&limits, &b), None);
}

/// What is kept would be the same if it were made anew, or it is not forgotten.
#[test]
fn callers_that_have_gone_are_forgotten_and_no_limit_with_them() {
    let limits = admission(100, 100, 3);
    let [busy, fast] = ["busy", "fast"].map(id);
    let _seat = limits.admit(&busy, Effect::Changes).ok().unwrap();
    while refused(&limits, &fast).is_none() {}
    let long_ago = Instant::now().checked_sub(Duration::from_secs(10)).unwrap();
    limits.caller(&busy).in_flight.lock().asked = long_ago;
    for number in 2..KNOWN_MIN {
        limits.caller(&id(&format!("gone{number}"))).in_flight.lock().asked = long_ago;
    }
    assert_eq!(limits.known.lock().callers.len(), KNOWN_MIN);
    limits.caller(&id("new"));
    let mut left: Vec<String> =
        limits.known.lock().callers.keys().map(ToString::to_string).collect();
    left.sort();
    assert_eq!(left, ["busy", "fast", "new"]);
    assert_eq!(refused(&limits, &fast), Some(Reason::RateLimited));
    assert_eq!(in_flight(&limits, &busy), (1, 0));
}

#[test]
fn threads_together_take_no_more_places_than_there_are() {
    let places = Places::new(3);
    let most = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..10_000 {
                    let place = places.take();
                    most.fetch_max(places.taken.load(Ordering::Relaxed), Ordering::Relaxed);
                    drop(place);
                }
            });
        }
    });
    assert!((1..=3).contains(&most.into_inner()));
    assert_eq!(places.taken.load(Ordering::Relaxed), 0);
}

#[test]
fn a_rate_is_divided_among_gateways_and_a_change_gives_nothing_away() {
    let directory = tempfile::tempdir().unwrap();
    let kept = |count: u32| {
        std::fs::write(directory.path().join("gateways"), format!("{count}\n")).unwrap();
        Gateways::kept_in(directory.path())
    };
    for (gateways, at_once) in [(1, 9), (3, 3), (4, 2), (20, 1)] {
        let limits = among(kept(gateways), (100, 100, 9));
        let caller = id("a");
        let admitted = (0..20).filter(|_| refused(&limits, &caller).is_none()).count();
        assert_eq!(admitted, at_once, "among {gateways}");
        let refusal = limits.admit(&caller, Effect::Changes).err().unwrap();
        // One a second, by all of them.
        let wait = refusal.retry_after_s.unwrap();
        assert!((gateways..=gateways + 1).contains(&wait), "{wait} among {gateways}");
    }
    let limits = among(kept(3), (100, 100, 9));
    let caller = id("a");
    while refused(&limits, &caller).is_none() {}
    for count in [2, 3, 1, 2, 3] {
        limits.gateways.told(count);
        assert_eq!(refused(&limits, &caller), None, "one, for the change");
        assert_eq!(refused(&limits, &caller), Some(Reason::RateLimited));
    }
}
