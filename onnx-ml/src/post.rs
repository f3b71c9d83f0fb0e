//! Post transforms: what is done to a row's scores after the sum.
//!
//! The formulas and their float32 precision are those of ONNX Runtime's `ml_common.h`, so that probabilities agree
//! to the last bits.

use tract_onnx::pb::NodeProto;
use tract_onnx::tract_hir::internal::*;

/// What `post_transform` names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Post {
    None,
    Softmax,
    Logistic,
    SoftmaxZero,
    Probit,
}

impl Post {
    /// Reads the text attribute `post_transform`; absent means `NONE`.
    pub fn parse(node: &NodeProto) -> TractResult<Post> {
        match node
            .get_attr_opt::<&str>("post_transform")?
            .unwrap_or("NONE")
        {
            "NONE" | "" => Ok(Post::None),
            "SOFTMAX" => Ok(Post::Softmax),
            "LOGISTIC" => Ok(Post::Logistic),
            "SOFTMAX_ZERO" => Ok(Post::SoftmaxZero),
            "PROBIT" => Ok(Post::Probit),
            other => node.bail_attr("post_transform", &format!("unknown transform {other:?}")),
        }
    }

    /// Transforms one row of two or more scores in place.
    pub fn apply(self, scores: &mut [f32]) {
        match self {
            Post::None => {}
            Post::Probit => scores.iter_mut().for_each(|s| *s = probit(*s)),
            Post::Logistic => scores.iter_mut().for_each(|s| *s = logistic(*s)),
            Post::Softmax => softmax(scores),
            Post::SoftmaxZero => softmax_zero(scores),
        }
    }
}

/// `1 / (1 + e^-x)`, from the exponential of a negative number so that it does not overflow.
pub(crate) fn logistic(x: f32) -> f32 {
    let v = 1.0 / (1.0 + (-x.abs()).exp());
    if x < 0.0 { 1.0 - v } else { v }
}

/// The inverse of the normal distribution function, by Winitzki's approximation of the inverse error function.
pub(crate) fn probit(x: f32) -> f32 {
    std::f32::consts::SQRT_2 * erf_inv(2.0 * x - 1.0)
}

fn erf_inv(x: f32) -> f32 {
    let sign = if x < 0.0 { -1.0 } else { 1.0 };
    let log = ((1.0 - x) * (1.0 + x)).ln();
    let v = 2.0 / (std::f32::consts::PI * 0.147) + 0.5 * log;
    let v2 = 1.0 / 0.147 * log;
    sign * (-v + (v * v - v2).sqrt()).sqrt()
}

fn softmax(scores: &mut [f32]) {
    let max = scores
        .iter()
        .copied()
        .fold(f32::MIN, |m, s| if s > m { s } else { m });
    let mut sum = 0.0;
    for s in scores.iter_mut() {
        *s = (*s - max).exp();
        sum += *s;
    }
    scores.iter_mut().for_each(|s| *s /= sum);
}

/// Softmax that leaves scores of zero at zero (a class no leaf voted for).
fn softmax_zero(scores: &mut [f32]) {
    let max = scores
        .iter()
        .copied()
        .fold(f32::MIN, |m, s| if s > m { s } else { m });
    let scale = (-max).exp();
    let mut sum = 0.0;
    for s in scores.iter_mut() {
        if *s > 1e-7 || *s < -1e-7 {
            *s = (*s - max).exp();
            sum += *s;
        } else {
            *s *= scale;
        }
    }
    scores.iter_mut().for_each(|s| *s /= sum);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logistic_is_symmetric_and_does_not_overflow() {
        assert_eq!(logistic(0.0), 0.5);
        assert_eq!(logistic(200.0), 1.0);
        assert_eq!(logistic(-200.0), 0.0);
        assert!((logistic(1.5) + logistic(-1.5) - 1.0).abs() < 1e-7);
    }

    #[test]
    fn softmax_of_large_scores_sums_to_one() {
        let mut scores = [1000.0, 1001.0, 999.0];
        Post::Softmax.apply(&mut scores);
        assert!((scores.iter().sum::<f32>() - 1.0).abs() < 1e-6);
        assert!(scores[1] > scores[0] && scores[0] > scores[2]);
    }

    #[test]
    fn softmax_zero_keeps_zero() {
        let mut scores = [0.0, 1.0, 2.0];
        Post::SoftmaxZero.apply(&mut scores);
        assert_eq!(scores[0], 0.0);
        assert!((scores[1] + scores[2] - 1.0).abs() < 1e-6);
    }

    #[test]
    fn probit_is_the_inverse_normal() {
        assert!(probit(0.5).abs() < 1e-6);
        assert!((probit(0.975) - 1.96).abs() < 0.01);
        assert!((probit(0.025) + 1.96).abs() < 0.01);
    }
}
