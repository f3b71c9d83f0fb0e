//! Sums without an error: a fixed-point number as wide as all doubles.
//!
//! Rounded additions depend on their order, and a training set is to have one mean, whatever it was split into. After
//! Kulisch's long accumulator: each double is put, unrounded, where its bits belong.

/// Bits of a limb that carry value; the others take carries.
const BITS: usize = 32;
/// From 2^-1074, the smallest double, up to the largest with room for 2^64 of them.
const LIMBS: usize = 68;
/// Additions after which a limb could overflow, with a margin.
const PATIENCE: u32 = 1 << 30;

/// The exact sum of finite doubles.
#[derive(Clone, Debug)]
pub struct Sum {
    limbs: Box<[i64; LIMBS]>,
    /// Additions since the carries were last put through.
    pending: u32,
}

impl Default for Sum {
    fn default() -> Sum {
        Sum {
            limbs: Box::new([0; LIMBS]),
            pending: 0,
        }
    }
}

impl Sum {
    /// Adds a finite number; others are for the caller to keep apart.
    pub fn add(&mut self, value: f64) {
        let bits = value.to_bits();
        let (exponent, fraction) = ((bits >> 52) & 0x7ff, bits & ((1 << 52) - 1));
        if exponent == 0x7ff {
            return;
        }
        let mantissa = match exponent {
            0 => fraction,
            _ => fraction | 1 << 52,
        };
        let place = exponent.max(1) as usize - 1;
        let wide = u128::from(mantissa) << (place % BITS);
        for (part, limb) in self.limbs[place / BITS..].iter_mut().take(3).enumerate() {
            let part = ((wide >> (BITS * part)) & 0xffff_ffff) as i64;
            *limb += if value < 0.0 { -part } else { part };
        }
        self.pending += 1;
        if self.pending >= PATIENCE {
            self.carry();
        }
    }

    /// Adds the square of a finite number, unrounded where it is no underflow. False where it is too large for a double.
    pub fn add_square(&mut self, value: f64) -> bool {
        let square = value * value;
        if !square.is_finite() {
            return false;
        }
        self.add(square);
        // What the product lost in rounding is a double itself.
        self.add(value.mul_add(value, -square));
        true
    }

    pub fn merge(&mut self, other: &Sum) {
        let mut other = other.clone();
        other.carry();
        self.carry();
        for (mine, theirs) in self.limbs.iter_mut().zip(other.limbs.iter()) {
            *mine += theirs;
        }
        self.pending += 1;
    }

    /// The sum as a double and what it leaves out, of about 106 bits together.
    pub fn value(&self) -> (f64, f64) {
        let mut sum = self.clone();
        sum.carry();
        let negative = sum.limbs[LIMBS - 1] < 0;
        if negative {
            sum.limbs.iter_mut().for_each(|limb| *limb = -*limb);
            sum.carry();
        }
        let (mut high, mut low) = (0.0, 0.0);
        for (at, limb) in sum.limbs.iter().enumerate().rev() {
            let (all, lost) = two_sum(high, scaled(*limb, BITS * at));
            (high, low) = (all, low + lost);
            if !high.is_finite() {
                return (if negative { -high } else { high }, 0.0);
            }
        }
        let (high, low) = two_sum(high, low);
        match negative {
            true => (-high, -low),
            false => (high, low),
        }
    }

    /// Puts the carries through: each limb but the last is then from 0 to 2^32 - 1, so that equal sums look equal.
    fn carry(&mut self) {
        for at in 0..LIMBS - 1 {
            let carry = self.limbs[at] >> BITS;
            self.limbs[at] -= carry << BITS;
            self.limbs[at + 1] += carry;
        }
        self.pending = 1;
    }
}

/// Mean and standard deviation (of a sample: divided by count - 1) of `count` numbers, from their sum and that of their
/// squares.
pub fn moments(count: u64, sum: &Sum, squares: &Sum) -> (f64, Option<f64>) {
    let n = count as f64;
    let (high, low) = sum.value();
    let mean = high / n;
    let mean = mean + (mean.mul_add(-n, high) + low) / n;
    if count < 2 {
        return (mean, None);
    }
    // Σx² - (Σx)²/n cancels where the numbers are large and close together; so it is done in twice the width.
    let square = high * high;
    let square_low = high.mul_add(high, -square) + 2.0 * high * low;
    let ratio = square / n;
    let ratio_low = (ratio.mul_add(-n, square) + square_low) / n;
    let (all, all_low) = squares.value();
    let (spread, lost) = two_sum(all, -ratio);
    let spread = spread + (lost + (all_low - ratio_low));
    let deviation = match spread.is_nan() {
        // The squares are beyond all doubles.
        true => f64::NAN,
        false => (spread.max(0.0) / (n - 1.0)).sqrt(),
    };
    (mean, deviation.is_finite().then_some(deviation))
}

/// The rounded sum and what the rounding lost (Knuth).
fn two_sum(a: f64, b: f64) -> (f64, f64) {
    let sum = a + b;
    let part = sum - a;
    (sum, (a - (sum - part)) + (b - part))
}

/// `limb` × 2^(place - 1074).
fn scaled(limb: i64, place: usize) -> f64 {
    if limb == 0 {
        return 0.0;
    }
    let weight = match place {
        // Below the normal doubles.
        0..52 => f64::from_bits(1 << place),
        52..2098 => f64::from_bits((place as u64 - 51) << 52),
        _ => f64::INFINITY,
    };
    limb as f64 * weight
}
