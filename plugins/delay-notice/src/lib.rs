//! What passengers are told of the delay that a model expects: a step behind the model.

use tidemill_sdk::prelude::*;

/// From these probabilities on there is a notice. Chosen by hand: a notice that proves wrong costs less than none.
const LIKELY: f64 = 0.5;
const POSSIBLE: f64 = 0.25;

/// What is known once the model has answered.
#[derive(Input)]
pub struct Expected<'a> {
    /// The model's, of the classes "on time" and "late".
    pub probabilities: &'a [f64],
    /// How much the odds of late arrivals are raised today against those of the model's training; 1 where nothing is
    /// known.
    #[field(min = 0.001, max = 1000.0)]
    pub odds: f64,
}

/// What is done about it.
#[derive(Output)]
pub struct Notice {
    /// The probability of a late arrival, at today's odds.
    #[field(min = 0.0, max = 1.0)]
    pub probability: f64,
    /// `likely`, `possible` or `none`.
    pub notice: &'static str,
    /// Whether a seat on the next connection is to be held.
    pub hold_seat: bool,
}

/// From a model's probability to a decision, for days that are not like those it learned from.
///
/// The correction is Bayes' for another prior (Saerens, Latinne, Decaestecker 2002, equation 2.4, for two classes): the
/// odds of what the model says are multiplied by how much the prior odds have changed. Anything but two probabilities
/// refuses the row.
#[transform]
pub fn delay_notice(expected: Expected) -> Result<Notice, Refusal> {
    let late = match expected.probabilities {
        [_, late] if (0.0..=1.0).contains(late) => *late,
        [_, late] => refuse!("{late} is no probability"),
        other => refuse!(
            "{} probabilities, not those of on time and late",
            other.len()
        ),
    };
    let probability = late * expected.odds / (late * expected.odds + 1.0 - late);
    Ok(Notice {
        probability,
        notice: match probability {
            LIKELY.. => "likely",
            POSSIBLE.. => "possible",
            _ => "none",
        },
        hold_seat: probability >= LIKELY,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use tidemill_sdk::testing::{rows, run};

    #[test]
    fn at_the_odds_of_training_the_models_word_stands() {
        let answer = run::<delay_notice>(rows![
            { probabilities: [0.875, 0.125], odds: 1 },
            { probabilities: [0.75, 0.25], odds: 1 },
            { probabilities: [0.5, 0.5], odds: 1 },
            { probabilities: [0, 1], odds: 1 },
        ]);
        assert_eq!(
            answer,
            rows![
                { probability: 0.125, notice: "none", hold_seat: false },
                { probability: 0.25, notice: "possible", hold_seat: false },
                { probability: 0.5, notice: "likely", hold_seat: true },
                { probability: 1, notice: "likely", hold_seat: true },
            ]
        );
    }

    #[test]
    fn what_is_no_pair_of_probabilities_is_refused() {
        for (probabilities, message) in [
            (&[0.5][..], "1 probabilities, not those of on time and late"),
            (&[0.0, 1.5], "1.5 is no probability"),
            (&[0.0, f64::NAN], "NaN is no probability"),
        ] {
            let refusal = delay_notice(Expected {
                probabilities,
                odds: 1.0,
            });
            assert_eq!(refusal.err().unwrap().message(), message);
        }
    }

    #[test]
    fn higher_odds_raise_what_is_not_certain() {
        // Odds of 1 to 3, tripled.
        let answer = run::<delay_notice>(rows![
            { probabilities: [0.75, 0.25], odds: 3 },
            { probabilities: [1, 0], odds: 1000 },
        ]);
        assert_eq!(
            answer,
            rows![
                { probability: 0.5, notice: "likely", hold_seat: true },
                { probability: 0, notice: "none", hold_seat: false },
            ]
        );
    }
}
