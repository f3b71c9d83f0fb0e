//! The population stability index.

/// The least share that a bin counts with: an empty one would make the index infinite.
pub const EPSILON: f64 = 1e-4;

/// `Σ (live - training) · ln(live / training)` over the bins, of the share that each has of all; a share under [`EPSILON`]
/// counts as that much, and nothing is scaled again. None where one side has no rows.
///
/// Siddiqi, *Credit Risk Scorecards* (2006). It is at home in bins of a tenth of the training set each, which
/// [`bins`](crate::statistics::NumberStatistics) are, and one more for what is missing. Without drift it is about
/// (bins - 1) · (1 / live rows + 1 / training rows).
pub fn psi(training: &[u64], live: &[u64]) -> Option<f64> {
    let all = |counts: &[u64]| {
        let sum: u64 = counts.iter().sum();
        (sum > 0).then_some(sum as f64)
    };
    let (theirs, mine) = (all(training)?, all(live)?);
    let parts = training
        .iter()
        .zip(live)
        .map(|(&training, &live)| part(training as f64 / theirs, live as f64 / mine));
    Some(parts.sum())
}

/// What one bin adds.
pub(super) fn part(training: f64, live: f64) -> f64 {
    let (training, live) = (training.max(EPSILON), live.max(EPSILON));
    (live - training) * (live / training).ln()
}
