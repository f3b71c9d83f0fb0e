//! What a call costs beside a floor, in CPU time of its thread and on the clock.
//!
//! Floor and subjects are measured in turns, round by round, so that a neighbour on the machine slows all alike. Ratios are
//! taken within a round, and the median of the rounds is told.

use std::time::{Duration, Instant};

use cpu_time::ThreadTime;

/// About how long a round of one subject takes.
const ROUND: Duration = Duration::from_millis(4);

/// Something that can be done again and again.
pub struct Subject<'a> {
    pub what: String,
    call: Box<dyn FnMut() + 'a>,
    /// Of what a call does so many that the cost of one is told: rows, look-ups.
    units: usize,
    /// Calls a round; 0 where that is found out.
    calls: usize,
    /// Before each round, for others to catch up.
    pause: Duration,
}

/// ns of CPU and ns on the clock, or how many times a floor's they are.
#[derive(Clone, Copy, Debug)]
pub struct Cost {
    pub cpu: f64,
    pub wall: f64,
}

impl<'a> Subject<'a> {
    pub fn new(what: impl Into<String>, call: impl FnMut() + 'a) -> Subject<'a> {
        Subject {
            what: what.into(),
            call: Box::new(call),
            units: 1,
            calls: 0,
            pause: Duration::ZERO,
        }
    }

    /// A call does so many of what is to be told.
    pub fn of(self, units: usize) -> Subject<'a> {
        Subject { units, ..self }
    }

    /// So many calls a round and no more, and a pause before it.
    pub fn paced(self, calls: usize, pause: Duration) -> Subject<'a> {
        Subject {
            calls,
            pause,
            ..self
        }
    }

    /// Finds out how many calls a round are. By CPU time: on the clock a neighbour would make it look enough.
    fn settle(&mut self) {
        let fixed = self.calls > 0;
        self.calls = self.calls.max(1);
        while !fixed && self.times().0 < ROUND / 2 {
            self.calls *= 2;
        }
    }

    /// CPU time and time on the clock of a round's calls.
    fn times(&mut self) -> (Duration, Duration) {
        let (cpu, wall) = (ThreadTime::now(), Instant::now());
        (0..self.calls).for_each(|_| (self.call)());
        (cpu.elapsed(), wall.elapsed())
    }

    fn round(&mut self) -> Cost {
        std::thread::sleep(self.pause);
        let (cpu, wall) = self.times();
        let each = |time: Duration| time.as_secs_f64() * 1e9 / (self.calls * self.units) as f64;
        Cost {
            cpu: each(cpu),
            wall: each(wall),
        }
    }
}

/// Of each subject, what it cost in each round.
pub fn rounds(subjects: &mut [Subject<'_>], count: usize) -> Vec<Vec<Cost>> {
    subjects.iter_mut().for_each(Subject::settle);
    let mut costs = vec![Vec::with_capacity(count); subjects.len()];
    for _ in 0..count {
        for (subject, costs) in subjects.iter_mut().zip(&mut costs) {
            costs.push(subject.round());
        }
    }
    costs
}

impl Cost {
    pub fn median(rounds: &[Cost]) -> Cost {
        Cost {
            cpu: median(rounds.iter().map(|cost| cost.cpu)),
            wall: median(rounds.iter().map(|cost| cost.wall)),
        }
    }

    /// How many times the floor, round by round.
    pub fn ratio(rounds: &[Cost], floor: &[Cost]) -> Cost {
        let pairs = || rounds.iter().zip(floor);
        Cost {
            cpu: median(pairs().map(|(own, floor)| own.cpu / floor.cpu)),
            wall: median(pairs().map(|(own, floor)| own.wall / floor.wall)),
        }
    }
}

/// The middle one; NaN of none.
pub fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut all: Vec<f64> = values.into_iter().collect();
    all.sort_by(f64::total_cmp);
    all.get(all.len() / 2).copied().unwrap_or(f64::NAN)
}
