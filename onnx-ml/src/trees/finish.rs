//! From a row's sums to its outputs, as ONNX Runtime's `tree_ensemble_aggregator.h` does it, special cases of
//! binary classification included.

use super::ensemble::Aggregate;
use super::number::Number;
use crate::post::{Post, logistic, probit};

/// What is done to the sums of a regression.
#[derive(Debug)]
pub(crate) struct Regression<T> {
    pub aggregate: Aggregate,
    pub trees: usize,
    pub base: Vec<T>,
    pub post: Post,
}

impl<T: Number> Regression<T> {
    /// Turns sums into outputs, in place.
    pub fn finish(&self, sums: &mut [T], reached: &[bool]) {
        let trees = T::from_f64(self.trees as f64);
        let base = (self.base.len() == sums.len()).then_some(&self.base);
        for (i, sum) in sums.iter_mut().enumerate() {
            match self.aggregate {
                Aggregate::Average => *sum = *sum / trees,
                Aggregate::Sum | Aggregate::Min | Aggregate::Max => {}
            }
            if let Some(base) = base {
                *sum += base[i];
            }
        }
        zero_unreached(sums, reached);
        if let [only] = sums {
            // One target: ONNX Runtime applies PROBIT and passes the others through.
            if self.post == Post::Probit {
                *only = T::from_f32(probit(only.to_f32()));
            }
        } else {
            transform(self.post, sums);
        }
    }
}

/// What is done to the sums of a classification.
#[derive(Debug)]
pub(crate) struct Classification<T> {
    pub base: Vec<T>,
    pub post: Post,
    /// Two classes, and every weight is given to one and the same of them.
    pub binary: bool,
    pub all_positive: bool,
    /// Index of the labels that stand for 0 and 1 where the case is not `binary`: the numbers themselves for integer
    /// labels, the two classes for text.
    pub zero_one: u32,
}

impl<T: Number> Classification<T> {
    /// Turns the sums of a row into its scores, in place, and returns the index of its label.
    pub fn finish(&self, sums: &mut [T], reached: &[bool]) -> u32 {
        match sums {
            [only] => self.finish_one(only),
            [first, second] => {
                let (scores, label) = self.finish_two(*first, *second, reached);
                [*first, *second] = scores;
                label
            }
            _ => self.finish_many(sums, reached),
        }
    }

    fn finish_one(&self, score: &mut T) -> u32 {
        if let [base] = self.base[..] {
            *score += base;
        }
        let label = self.zero_one + (*score > T::default()) as u32;
        if self.post == Post::Probit {
            *score = T::from_f32(probit(score.to_f32()));
        }
        label
    }

    fn finish_two(&self, mut first: T, mut second: T, reached: &[bool]) -> ([T; 2], u32) {
        let has_second = reached[1];
        let mut scores = 2;
        let mut layout = None;
        match self.base[..] {
            [_, base] if has_second => {
                // The sum of the first class, not of the second, is what ONNX Runtime adds here.
                second = base + first;
                first = negative(second);
            }
            [base_first, base_second] => {
                second += base_second;
                first += base_first;
            }
            [base] => {
                first += base;
                scores = if has_second { 2 } else { 1 };
            }
            _ => {
                layout = Some(Second::Negated);
                scores = if has_second { 2 } else { 1 };
            }
        }
        let positive = if has_second {
            second
        } else if reached[0] {
            first
        } else {
            T::default()
        };
        let label = match (self.binary, self.all_positive) {
            (true, true) => {
                layout = Some(Second::Complement);
                (positive > T::from_f32(0.5)) as u32
            }
            (true, false) => {
                layout = Some(Second::Negated);
                (positive > T::default()) as u32
            }
            (false, _) => self.zero_one + (positive > T::default()) as u32,
        };
        if scores == 2 {
            let mut both = [first, second];
            zero_unreached(&mut both, &[reached[0], has_second]);
            transform(self.post, &mut both);
            return (both, label);
        }
        (self.expand(first, layout), label)
    }

    /// The two scores of a row that has one.
    fn expand(&self, score: T, layout: Option<Second>) -> [T; 2] {
        if self.post == Post::Probit {
            return [T::from_f32(probit(score.to_f32())), T::default()];
        }
        match layout {
            Some(Second::Complement) => [T::from_f64(1.0) + negative(score), score],
            Some(Second::Negated) | None if self.post == Post::Logistic => {
                let positive = score.to_f32();
                [
                    T::from_f32(logistic(-positive)),
                    T::from_f32(logistic(positive)),
                ]
            }
            Some(Second::Negated) | None => [negative(score), score],
        }
    }

    fn finish_many(&self, sums: &mut [T], reached: &[bool]) -> u32 {
        // A base value makes its class count as reached.
        let with_base = self.base.len().min(sums.len());
        sums.iter_mut().zip(&self.base).for_each(|(s, b)| *s += *b);
        let mut best: Option<(usize, T)> = None;
        for (class, &score) in sums.iter().enumerate() {
            let counts = reached[class] || class < with_base;
            if counts && best.is_none_or(|(_, b)| score > b) {
                best = Some((class, score));
            }
        }
        zero_unreached(&mut sums[with_base..], &reached[with_base..]);
        transform(self.post, sums);
        best.map_or(0, |(class, _)| class as u32)
    }
}

/// How the second score of a row with one sum is made.
#[derive(Debug, Clone, Copy)]
enum Second {
    /// Weights are probabilities: `1 - s, s`.
    Complement,
    /// Weights are margins: `-s, s`, or their logistic.
    Negated,
}

/// A sum no leaf has added to is zero, whatever base value it got: ONNX Runtime reads it so.
fn zero_unreached<T: Number>(sums: &mut [T], reached: &[bool]) {
    let unreached = sums
        .iter_mut()
        .zip(reached)
        .filter(|(_, reached)| !**reached);
    unreached.for_each(|(sum, _)| *sum = T::default());
}

fn negative<T: Number>(x: T) -> T {
    // Times minus one, which is exact; the trait has no negation.
    x / T::from_f64(-1.0)
}

/// Applies a post transform in float32, whatever the type of the sums.
fn transform<T: Number>(post: Post, scores: &mut [T]) {
    if post == Post::None {
        return;
    }
    // Few classes stay on the stack.
    let mut few = [0f32; 16];
    let mut many;
    let floats = match few.get_mut(..scores.len()) {
        Some(floats) => floats,
        None => {
            many = vec![0f32; scores.len()];
            &mut many[..]
        }
    };
    floats
        .iter_mut()
        .zip(scores.iter())
        .for_each(|(f, s)| *f = s.to_f32());
    post.apply(floats);
    scores
        .iter_mut()
        .zip(floats.iter())
        .for_each(|(s, f)| *s = T::from_f32(*f));
}
