//! The two number types trees are evaluated in: float inputs in float32, double inputs in float64.

use std::cell::RefCell;
use std::ops::{Add, AddAssign, Div};

use tract_onnx::tract_hir::internal::Datum;

/// float32 or float64.
pub(crate) trait Number:
    Datum + Copy + PartialOrd + Default + Add<Output = Self> + AddAssign + Div<Output = Self>
{
    const NEG_INFINITY: Self;

    /// Rounds to nearest.
    fn from_f64(v: f64) -> Self;
    fn from_f32(v: f32) -> Self;
    /// Rounds to nearest.
    fn to_f32(self) -> f32;
    fn to_f64(self) -> f64;
    fn is_nan(self) -> bool;
    /// The greatest number less than this one; `-inf` has none and gives NaN, which no number is at most.
    fn below(self) -> Self;
    /// An index carried in a leaf's key. It is a positive number, never NaN.
    fn from_index(index: u32) -> Self;
    fn to_index(self) -> u32;
    /// This thread's working memory, kept between calls so that scoring does not allocate.
    fn with_scratch<R>(work: impl FnOnce(&mut Scratch<Self>) -> R) -> R;
}

/// Working memory of one thread: copied rows, sums, and which sums a leaf has reached.
#[derive(Debug, Default)]
pub(crate) struct Scratch<T> {
    pub rows: Vec<T>,
    pub sums: Vec<T>,
    pub reached: Vec<bool>,
}

/// Indices a key can carry: below the bit pattern of float32 infinity.
pub(crate) const INDICES: usize = 0x7f00_0000;

macro_rules! number {
    ($t:ty, $bits:ty, $scratch:ident) => {
        thread_local! {
            static $scratch: RefCell<Scratch<$t>> = RefCell::default();
        }

        impl Number for $t {
            const NEG_INFINITY: Self = <$t>::NEG_INFINITY;

            fn from_f64(v: f64) -> Self {
                v as $t
            }
            fn from_f32(v: f32) -> Self {
                v as $t
            }
            fn to_f32(self) -> f32 {
                self as f32
            }
            fn to_f64(self) -> f64 {
                self as f64
            }
            fn is_nan(self) -> bool {
                <$t>::is_nan(self)
            }
            fn below(self) -> Self {
                if self == <$t>::NEG_INFINITY {
                    <$t>::NAN
                } else {
                    self.next_down()
                }
            }
            fn from_index(index: u32) -> Self {
                <$t>::from_bits(index as $bits)
            }
            fn to_index(self) -> u32 {
                self.to_bits() as u32
            }
            fn with_scratch<R>(work: impl FnOnce(&mut Scratch<Self>) -> R) -> R {
                $scratch.with(|s| work(&mut s.borrow_mut()))
            }
        }
    };
}

number!(f32, u32, SCRATCH_F32);
number!(f64, u64, SCRATCH_F64);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn below_turns_less_than_into_at_most() {
        for t in [
            0.0f32,
            -0.0,
            1.0,
            -1.0,
            f32::MIN_POSITIVE,
            f32::MAX,
            f32::INFINITY,
            f32::NEG_INFINITY,
            f32::NAN,
        ] {
            for x in [
                0.0f32,
                -0.0,
                1.0,
                1.0f32.next_down(),
                f32::INFINITY,
                f32::NEG_INFINITY,
                f32::NAN,
                -1e-45,
            ] {
                assert_eq!(x < t, x <= t.below(), "{x} < {t}");
            }
        }
    }

    #[test]
    fn an_index_survives_a_key() {
        for i in [0u32, 1, 77, 1 << 24, (INDICES - 1) as u32] {
            assert_eq!(f32::from_index(i).to_index(), i);
            assert_eq!(f64::from_index(i).to_index(), i);
            assert!(f32::NEG_INFINITY <= f32::from_index(i));
        }
    }
}
