use tokio::sync::Notify;
use tokio::task::yield_now;

use super::*;

fn load(change: impl FnOnce(&mut Server)) -> Arc<Load> {
    let mut server = Server {
        threads: 1,
        ..Server::default()
    };
    change(&mut server);
    let metrics = Metrics::new().expect("metrics");
    Arc::new(Load::new(&server, &metrics))
}

/// As if the last requests had each taken so long.
fn taking(load: &Load, work: Duration) {
    (0..200).for_each(|_| load.learn(work));
}

fn refusal<T>(outcome: Result<T, Overload>) -> Option<Overload> {
    outcome.err()
}

#[test]
fn a_place_is_free_again_when_its_request_ends() {
    let load = load(|server| server.in_flight = 2);
    let (first, _second) = (load.enter(false).unwrap(), load.enter(false).unwrap());
    assert_eq!(refusal(load.knock()), Some(Overload::InFlight));
    assert_eq!(refusal(load.enter(false)), Some(Overload::InFlight));
    drop(first);
    assert_eq!(refusal(load.knock()), None);
    assert_eq!(refusal(load.enter(false)), None);
}

#[test]
fn large_requests_have_a_quarter_of_the_places() {
    let load = load(|server| server.in_flight = 8);
    let _large = (load.enter(true).unwrap(), load.enter(true).unwrap());
    assert_eq!(refusal(load.enter(true)), Some(Overload::Batch));
    assert_eq!(refusal(load.enter(false)), None);
    assert_eq!(load.in_flight.load(Relaxed), 2, "a refusal takes no place");
}

#[test]
fn a_request_that_would_wait_too_long_is_turned_away() {
    let load = load(|server| server.wait_ms = 100);
    taking(&load, Duration::from_millis(10));
    let places: Vec<Place> = (0..20).map_while(|_| load.enter(false).ok()).collect();
    // Eleven of ten milliseconds each are more than a hundred.
    assert_eq!(places.len(), 11);
    assert_eq!(refusal(load.knock()), Some(Overload::Wait));
    assert!(load.is_high());
    drop(places);
    assert!(!load.is_high());
}

#[test]
fn few_are_never_turned_away_however_long_they_take() {
    let load = load(|server| server.wait_ms = 1);
    taking(&load, Duration::from_secs(10));
    let places: Vec<Place> = (0..20).map_while(|_| load.enter(false).ok()).collect();
    assert_eq!(places.len(), FEW + 1);
}

#[test]
fn without_a_longest_wait_only_the_places_count() {
    let load = load(|server| {
        server.wait_ms = 0;
        server.in_flight = 20;
    });
    taking(&load, Duration::from_secs(10));
    let places: Vec<Place> = (0..30).map_while(|_| load.enter(false).ok()).collect();
    assert_eq!(places.len(), 20);
}

#[test]
fn those_turned_away_are_told_to_come_back_over_as_many_seconds_as_they_are_too_many() {
    let load = load(|server| server.in_flight = 1);
    assert_eq!(load.retry_after(), 1);
    // One in ten is taken.
    for _ in 0..1000 {
        let place = load.enter(false);
        for _ in 0..9 {
            assert!(load.knock().is_err());
        }
        drop(place);
    }
    let told: std::collections::BTreeSet<u64> = (0..100)
        .map(|_| {
            load.turn_away(Overload::InFlight);
            load.retry_after()
        })
        .collect();
    assert!(told.contains(&1) && told.contains(&8), "{told:?}");
    assert!(told.iter().all(|seconds| *seconds <= LONGEST), "{told:?}");
}

#[test]
fn bodies_weigh_until_they_are_gone() {
    let load = load(|server| server.in_flight_bytes = 100);
    let (mut first, mut second) = (load.weigh(), load.weigh());
    assert_eq!(first.add(90), Ok(()));
    assert_eq!(second.add(20), Err(Overload::Bytes));
    drop(second);
    assert_eq!(first.add(10), Ok(()));
    drop(first);
    assert_eq!(load.bytes.load(Relaxed), 0);
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime")
}

/// A thread that the machine holds up seems to work for long: that must not make others wait, or be turned away.
#[test]
fn a_pause_of_the_machine_is_no_work() {
    let load = load(|_| {});
    let place = load.enter(false).unwrap();
    let work = || place.work(async { std::thread::sleep(Duration::from_millis(5)) });
    runtime().block_on(work());
    assert!(load.expected(1) < HEAVY, "{:?}", load.expected(1));
    for _ in 0..100 {
        runtime().block_on(work());
    }
    assert!(load.expected(1) < 2 * HEAVY, "{:?}", load.expected(1));
}

/// Requests that take turns: one that waits for something keeps nobody from theirs.
#[test]
fn who_waits_holds_no_turn() {
    let load = load(|_| {});
    taking(&load, Duration::from_secs(1));
    let (first, second) = (load.enter(false).unwrap(), load.enter(false).unwrap());
    let signal = Notify::new();
    runtime().block_on(async {
        let waits = first.work(async {
            signal.notified().await;
            "first"
        });
        let signals = second.work(async {
            yield_now().await;
            signal.notify_one();
            "second"
        });
        assert_eq!(tokio::join!(waits, signals), ("first", "second"));
    });
}

/// What has just been asked is seen before the next of those waiting is worked on.
#[test]
fn who_asks_is_heard_before_who_waits_is_worked_on() {
    let load = load(|server| server.in_flight = 3);
    taking(&load, Duration::from_secs(1));
    let done = Mutex::new(Vec::new());
    runtime().block_on(async {
        let request = |name: &'static str| {
            let (load, done) = (&load, &done);
            async move {
                match load.enter(false) {
                    Ok(place) => place.work(async { done.lock().push(name) }).await,
                    Err(_) => done.lock().push("turned away"),
                }
            }
        };
        tokio::join!(request("a"), request("b"), request("c"), request("d"));
    });
    assert_eq!(*done.lock(), ["turned away", "a", "b", "c"]);
}
