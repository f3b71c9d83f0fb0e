//! How much the weather stands in the way of a flight.

use tidemill_sdk::prelude::*;

/// The weather at an airport. What was not measured adds no risk.
#[derive(Input)]
pub struct Weather {
    /// Degrees Fahrenheit.
    pub temp: Option<f64>,
    /// Miles an hour.
    pub wind_speed: Option<f64>,
    /// Miles an hour.
    pub wind_gust: Option<f64>,
    /// Inches an hour.
    pub precip: Option<f64>,
    /// Miles.
    pub visib: Option<f64>,
}

/// One number for all of it.
#[derive(Output)]
pub struct Risk {
    /// 0 in calm, clear weather; towards 1 in fog, storm, rain and ice.
    #[field(min = 0.0, max = 1.0)]
    pub risk: f64,
}

/// A rule of thumb from 0 to 1 for how much the weather hinders a take-off.
///
/// Poor sight, rain, wind and ice each hinder by themselves: risk = 1 − ∏ (1 − pᵢ). Sight counts below 10 miles, wind
/// (the gust where there is one that is stronger) from 15 mph, ice where something falls at 32 °F or less. The
/// weights are chosen by hand; a model learns what the number is worth.
#[transform]
pub fn weather_risk(weather: Weather) -> Risk {
    let Weather {
        temp,
        wind_speed,
        wind_gust,
        precip,
        visib,
    } = weather;
    // A table may say NaN for what was not measured; the promised range has no room for it.
    let measured = |value: Option<f64>| value.filter(|value| !value.is_nan());
    let [temp, wind_speed, wind_gust, precip, visib] =
        [temp, wind_speed, wind_gust, precip, visib].map(measured);
    let sight = visib.map_or(0.0, |miles| 0.5 * ((10.0 - miles) / 10.0).clamp(0.0, 1.0));
    let rain = precip.map_or(0.0, |inches| 0.6 * (inches / 0.3).clamp(0.0, 1.0));
    let strongest = [wind_speed, wind_gust]
        .into_iter()
        .flatten()
        .reduce(f64::max);
    let wind = strongest.map_or(0.0, |mph| 0.5 * ((mph - 15.0) / 35.0).clamp(0.0, 1.0));
    let falls = precip.is_some_and(|inches| inches > 0.0);
    let ice = if falls && temp.is_some_and(|fahrenheit| fahrenheit <= 32.0) {
        0.3
    } else {
        0.0
    };
    Risk {
        risk: 1.0 - (1.0 - sight) * (1.0 - rain) * (1.0 - wind) * (1.0 - ice),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tidemill_sdk::testing::{rows, run};

    #[test]
    fn each_hindrance_and_all_together() {
        let answer = run::<weather_risk>(rows![
            { temp: 60, wind_speed: 5, wind_gust: null, precip: 0, visib: 10 },
            { visib: 0 },
            { precip: 0.3 },
            { wind_speed: 20, wind_gust: 50 },
            { wind_speed: 32.5 },
            { temp: 32, precip: 0.003 },
            { temp: 20, wind_speed: 90, precip: 2, visib: 0 },
        ]);
        let ice = 1.0 - (1.0 - 0.6 * (0.003 / 0.3)) * (1.0 - 0.3);
        let all = 1.0 - 0.5 * (1.0 - 0.6) * 0.5 * (1.0 - 0.3);
        assert_eq!(
            answer,
            rows![
                { risk: 0 },
                { risk: 0.5 },
                { risk: 0.6 },
                { risk: 0.5 },
                { risk: 0.25 },
                { risk: ice },
                { risk: all },
            ]
        );
    }

    #[test]
    fn what_was_not_measured_adds_nothing() {
        assert_eq!(
            run::<weather_risk>(
                rows![{}, { temp: 10 }, { precip: f64::NAN, visib: f64::NAN, wind_gust: f64::NAN }]
            ),
            rows![{ risk: 0 }, { risk: 0 }, { risk: 0 }]
        );
    }

    #[test]
    fn frost_alone_is_no_ice_and_good_sight_has_an_end() {
        assert_eq!(
            run::<weather_risk>(rows![{ temp: 10, precip: 0, visib: 25, wind_speed: -3 }]),
            rows![{ risk: 0 }]
        );
    }
}
