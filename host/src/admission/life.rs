//! The life of an instance, from its first call to its last: long enough for whatever it could remember to show.

use super::report::{Report, Spread};
use super::ways::{FUEL, Joined, Trial, row_of};
use super::{Stop, cause};
use crate::block::Block;
use crate::error::{Error, Fault};
use crate::transform::{Answer, Transform};

/// Bytes that go into an instance in the course of one life: a transform of a thousand columns is tried in the time of
/// one of ten.
const BYTES: usize = 256 << 20;
/// Rows whose fuel is measured of a transform that is refused, and fuel that may go into it.
const MEASURED: usize = 200;
const MEASURED_FUEL: u64 = FUEL / 5;

impl Trial<'_> {
    /// All rows at once, again and again, until an instance has had all the rows it may have; twice at least.
    pub(super) fn life_of_rows(&self, report: &mut Report) -> Result<(), Stop> {
        let (count, bytes) = (self.rows.rows().max(1), self.rows.bytes().max(1));
        let most = self
            .transform
            .limits()
            .rows_per_instance
            .div_ceil(count)
            .min(BYTES / bytes)
            .max(2);
        self.transform.cool();
        let mut fuel = 0;
        for call in 1..=most {
            let way = "on a warm instance";
            let answer = self.passed(way, &self.rows, self.transform.call_warm(&self.rows))?;
            fuel += answer.fuel;
            self.compare(way, answer, cause::STATE, report)?;
            report.rows_of_one_instance = call * self.rows.rows();
            if call >= 2 && fuel > 2 * FUEL {
                break;
            }
        }
        Ok(())
    }

    /// Each row in a call of its own, again and again, until an instance has had all the calls it may have; once at
    /// least. Says what fuel a row takes.
    pub(super) fn life_of_calls(&self, report: &mut Report) -> Result<(), Stop> {
        let (inputs, outputs) = self.schemas();
        let count = self.rows.rows();
        if count == 0 {
            return Ok(());
        }
        let way = "one by one on a warm instance";
        let alone = |row: usize| self.rows.slice(inputs, row..row + 1);
        self.transform.cool();
        let (mut joined, mut fuel) = (Joined::default(), Vec::with_capacity(count));
        for row in 0..count {
            let only = alone(row);
            let answer = self.passed(way, &only, self.transform.call_warm(&only))?;
            fuel.push(answer.fuel);
            joined.push(answer);
        }
        let mut spent: u64 = fuel.iter().sum();
        report.fuel_per_row = Spread::of(fuel);
        report.calls_of_one_instance = count;
        self.compare(way, joined.finish(outputs), cause::STATE, report)?;

        let most = self.transform.limits().calls_per_instance as usize;
        let bytes = self.rows.bytes().max(1);
        let calls = most.min(count.saturating_mul(BYTES / bytes));
        let rows: Vec<Block> = (0..count.min(calls.saturating_sub(count)))
            .map(alone)
            .collect();
        let expected: Vec<Answer> = (0..rows.len())
            .map(|row| row_of(&self.expected, outputs, row))
            .collect();
        for call in count..calls {
            if spent > 2 * FUEL {
                break;
            }
            let row = (call - count) % rows.len();
            let answer = self.passed(way, &rows[row], self.transform.call_warm(&rows[row]))?;
            if cause::first_difference(&expected[row], &answer, outputs).is_some() {
                return Err(self.differs(row, &answer, way, cause::STATE));
            }
            spent += answer.fuel;
            report.calls_of_one_instance = call + 1;
        }
        Ok(())
    }
}

/// The fuel of some of the rows, each in a call of its own; a row that fails for want of it counts as all there is.
pub(super) fn fuel_of_some(transform: &Transform, rows: &Block) -> Spread {
    let inputs = &transform.description().inputs;
    let (mut all, mut spent) = (Vec::new(), 0);
    for row in 0..rows.rows().min(MEASURED) {
        let fuel = match transform.call_warm(&rows.slice(inputs, row..row + 1)) {
            Ok(answer) => answer.fuel,
            Err(Error::Transform {
                fault: Fault::OutOfFuel { limit, .. },
                ..
            }) => limit,
            Err(_) => continue,
        };
        all.push(fuel);
        spent += fuel;
        if spent > MEASURED_FUEL {
            break;
        }
    }
    Spread::of(all)
}
