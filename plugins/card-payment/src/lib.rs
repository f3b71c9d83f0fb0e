//! Features of a card payment at the moment of authorisation.

use tidemill_sdk::prelude::*;

/// Euros for one unit of each currency known. Fixed, so that a payment has the same features today and in training.
const EUR_RATES: [(&str, f64); 5] = [
    ("EUR", 1.0),
    ("USD", 0.92),
    ("GBP", 1.17),
    ("JPY", 0.0061),
    ("CHF", 1.04),
];

/// Mean radius of the Earth in kilometres (IUGG, R₁).
const EARTH_KM: f64 = 6_371.008_8;

/// One payment, and what is known of the customer.
#[derive(Input)]
pub struct Payment<'a> {
    /// In the payment's currency.
    #[field(min = 0.0)]
    pub amount: f64,
    /// ISO 4217: EUR, USD, GBP, JPY or CHF.
    pub currency: &'a str,
    /// The merchant's: grocery, fuel, travel, restaurant, online, gambling; anything else is other.
    pub category: &'a str,
    /// When it happens.
    pub at: Timestamp,
    /// Degrees north, of the terminal.
    pub lat: Option<f64>,
    /// Degrees east, of the terminal.
    pub lon: Option<f64>,
    /// Degrees north, of the customer's home.
    pub home_lat: Option<f64>,
    /// Degrees east, of the customer's home.
    pub home_lon: Option<f64>,
    /// From UTC to the terminal's local time; UTC where it is missing.
    pub utc_offset_minutes: Option<i64>,
    /// What the customer pays on average, in euros.
    pub mean_amount_eur: Option<f64>,
}

/// What a fraud model looks at.
#[derive(Output, Debug, PartialEq)]
pub struct Features {
    /// The amount in euros, at fixed rates.
    pub amount_eur: f64,
    pub is_grocery: bool,
    pub is_fuel: bool,
    pub is_travel: bool,
    pub is_restaurant: bool,
    pub is_online: bool,
    pub is_gambling: bool,
    /// None of the other categories.
    pub is_other: bool,
    /// From 22 to 6 o'clock, local time.
    pub is_night: bool,
    /// Kilometres along the great circle from home to the terminal; null where either is unknown.
    pub km_from_home: Option<f64>,
    /// The amount over what the customer pays on average; null where there is no such average.
    pub ratio_to_mean: Option<f64>,
}

/// Features of a card payment: amount in euros, category one-hot, night, distance from home, ratio to the mean.
///
/// A currency without a rate refuses the payment.
#[transform]
pub fn card_payment(payment: Payment) -> Result<Features, Refusal> {
    let amount_eur = payment.amount * eur_rate(payment.currency)?;
    let is = |category| payment.category == category;
    let known = [
        "grocery",
        "fuel",
        "travel",
        "restaurant",
        "online",
        "gambling",
    ];
    let hour = payment
        .at
        .plus_minutes(payment.utc_offset_minutes.unwrap_or(0))
        .hour_of_day();
    Ok(Features {
        amount_eur,
        is_grocery: is("grocery"),
        is_fuel: is("fuel"),
        is_travel: is("travel"),
        is_restaurant: is("restaurant"),
        is_online: is("online"),
        is_gambling: is("gambling"),
        is_other: !known.contains(&payment.category),
        is_night: !(6.0..22.0).contains(&hour),
        km_from_home: km_from_home(&payment),
        ratio_to_mean: payment
            .mean_amount_eur
            .filter(|mean| *mean > 0.0)
            .map(|mean| amount_eur / mean),
    })
}

fn eur_rate(currency: &str) -> Result<f64, Refusal> {
    match EUR_RATES.iter().find(|(known, _)| *known == currency) {
        Some((_, rate)) => Ok(*rate),
        None => {
            let known = EUR_RATES.map(|(known, _)| known).join(", ");
            refuse!("no rate for the currency `{currency}`; there are {known}")
        }
    }
}

/// The haversine formula, as in `great-circle`.
fn km_from_home(payment: &Payment) -> Option<f64> {
    let (lat, home_lat) = (payment.lat?.to_radians(), payment.home_lat?.to_radians());
    let (lon, home_lon) = (payment.lon?.to_radians(), payment.home_lon?.to_radians());
    let (half_lat, half_lon) = (
        ((lat - home_lat) / 2.0).sin(),
        ((lon - home_lon) / 2.0).sin(),
    );
    let a = half_lat * half_lat + home_lat.cos() * lat.cos() * half_lon * half_lon;
    Some(2.0 * EARTH_KM * a.sqrt().min(1.0).asin())
}

#[cfg(test)]
mod tests {
    use super::*;
    use tidemill_sdk::testing::{rows, run};

    fn payment() -> Payment<'static> {
        Payment {
            amount: 100.0,
            currency: "EUR",
            category: "grocery",
            at: "2024-05-01T12:00:00Z".parse().unwrap(),
            lat: None,
            lon: None,
            home_lat: None,
            home_lon: None,
            utc_offset_minutes: None,
            mean_amount_eur: None,
        }
    }

    #[test]
    fn the_whole_answer() {
        let answer = run::<card_payment>(rows![{
            amount: 250, currency: "USD", category: "travel", at: "2024-05-01T20:30:00Z",
            lat: 5, lon: 90, home_lat: 5, home_lon: 90, utc_offset_minutes: 120, mean_amount_eur: 46,
        }]);
        assert_eq!(
            answer,
            rows![{
                amount_eur: 230, is_grocery: false, is_fuel: false, is_travel: true, is_restaurant: false,
                is_online: false, is_gambling: false, is_other: false, is_night: true,
                km_from_home: 0, ratio_to_mean: 5,
            }]
        );
    }

    #[test]
    fn one_category_is_hot() {
        for category in [
            "grocery",
            "fuel",
            "travel",
            "restaurant",
            "online",
            "gambling",
            "opera",
            "",
        ] {
            let features = card_payment(Payment {
                category,
                ..payment()
            })
            .unwrap();
            let Features {
                is_grocery,
                is_fuel,
                is_travel,
                is_restaurant,
                is_online,
                is_gambling,
                is_other,
                ..
            } = features;
            let hot = [
                is_grocery,
                is_fuel,
                is_travel,
                is_restaurant,
                is_online,
                is_gambling,
                is_other,
            ];
            assert_eq!(hot.iter().filter(|hot| **hot).count(), 1, "{category}");
        }
    }

    #[test]
    fn night_goes_by_local_time() {
        let night = |at: &str, utc_offset_minutes| {
            let at = at.parse().unwrap();
            card_payment(Payment {
                at,
                utc_offset_minutes,
                ..payment()
            })
            .unwrap()
            .is_night
        };
        assert!(night("2024-05-01T05:59:59.999999Z", None));
        assert!(!night("2024-05-01T06:00:00Z", None));
        assert!(!night("2024-05-01T21:59:59Z", None));
        assert!(night("2024-05-01T22:00:00Z", None));
        assert!(night("2024-05-01T12:00:00Z", Some(-8 * 60)));
        assert!(!night("2024-05-01T02:00:00Z", Some(5 * 60 + 30)));
        assert!(night("1969-12-31T23:00:00Z", None));
    }

    #[test]
    fn home_is_far_or_unknown() {
        let quarter = Payment {
            lat: Some(0.0),
            lon: Some(90.0),
            home_lat: Some(0.0),
            home_lon: Some(0.0),
            ..payment()
        };
        let km = km_from_home(&quarter).unwrap();
        assert!(
            (km - EARTH_KM * std::f64::consts::FRAC_PI_2).abs() < 1e-9,
            "{km}"
        );
        assert_eq!(
            km_from_home(&Payment {
                home_lon: None,
                ..quarter
            }),
            None
        );
    }

    #[test]
    fn an_average_that_is_none_gives_no_ratio() {
        let ratio = |mean_amount_eur| {
            card_payment(Payment {
                mean_amount_eur,
                ..payment()
            })
            .unwrap()
            .ratio_to_mean
        };
        assert_eq!(
            [
                ratio(None),
                ratio(Some(0.0)),
                ratio(Some(-1.0)),
                ratio(Some(50.0))
            ],
            [None, None, None, Some(2.0)]
        );
    }

    #[test]
    fn an_unknown_currency_is_refused() {
        let refusal = card_payment(Payment {
            currency: "XAU",
            ..payment()
        })
        .unwrap_err();
        assert_eq!(
            refusal.message(),
            "no rate for the currency `XAU`; there are EUR, USD, GBP, JPY, CHF"
        );
    }
}
