use super::*;

fn shadows(settings: Settings) -> Shadows {
    let metrics = Arc::new(Metrics::new().unwrap());
    Shadows::start(settings, 100, None, metrics).unwrap()
}

#[test]
fn what_waits_is_bounded_in_requests_and_in_bytes() {
    let settings = Settings {
        queue_requests: 3,
        queue_bytes: 1_000,
        ..Settings::default()
    };
    let shadows = shadows(settings);
    let shared = &shadows.shared;
    assert!(shared.reserve(500) && shared.reserve(500));
    assert!(!shared.reserve(1), "1,000 bytes wait");
    shared.release(500);
    assert!(shared.reserve(1) && shared.reserve(0));
    assert!(!shared.reserve(0), "three wait");
    for bytes in [500, 1, 0] {
        shared.release(bytes);
    }
    assert!(!shared.reserve(1_001), "more than there is place for");
    assert!(!shared.reserve(usize::MAX));
    assert!(shared.reserve(1_000), "what found no place takes none");
}

#[test]
fn a_share_is_of_the_random_ends_of_ids() {
    let has = |share, end: u32| {
        let shadow = Shadow { version: 2, share };
        shadow.has(Uuid::from_u128(u128::MAX << 32 | u128::from(end)))
    };
    assert!(has(1.0, u32::MAX) && has(1.0, 0));
    assert!(!has(0.0, 0));
    assert!(has(0.5, u32::MAX / 2) && !has(0.5, u32::MAX / 2 + 1));
    // The ids that requests get are as random there as this says.
    let shadow = Shadow {
        version: 2,
        share: 0.25,
    };
    let count = (0..10_000).filter(|_| shadow.has(Uuid::now_v7())).count();
    // Six standard deviations of 43.
    assert!((2_240..=2_760).contains(&count), "{count}");
}

#[cfg(target_os = "linux")]
#[test]
fn the_threads_give_way() {
    let shadows = shadows(Settings {
        threads: 2,
        ..Settings::default()
    });
    let nice = |stat: &str| -> i64 {
        // After the name, which may hold anything, in brackets: the state, and 15 numbers before it.
        let rest = stat.rsplit(')').next().unwrap();
        rest.split_whitespace().nth(16).unwrap().parse().unwrap()
    };
    let found = || {
        let tasks = std::fs::read_dir("/proc/self/task").unwrap().flatten();
        let stats = tasks.filter_map(|task| std::fs::read_to_string(task.path().join("stat")).ok());
        let mine = stats.filter(|stat| stat.contains("(shadow)"));
        mine.filter(|stat| nice(stat) == 19).count()
    };
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(30);
    while found() < 2 {
        assert!(std::time::Instant::now() < deadline, "{} are nice", found());
        std::thread::yield_now();
    }
    drop(shadows);
}
