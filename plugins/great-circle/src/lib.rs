//! Distance and bearing between two points on Earth.

use tidemill_sdk::prelude::*;

/// Mean radius of the Earth in kilometres (IUGG, R₁).
const EARTH_KM: f64 = 6_371.008_8;

/// Two points, in degrees. Where a part of a point is missing, there is no answer.
#[derive(Input)]
pub struct Points {
    /// Degrees north.
    pub from_lat: Option<f64>,
    /// Degrees east.
    pub from_lon: Option<f64>,
    /// Degrees north.
    pub to_lat: Option<f64>,
    /// Degrees east.
    pub to_lon: Option<f64>,
}

/// The way from the first to the second.
#[derive(Output)]
pub struct Way {
    /// Kilometres along the great circle.
    #[field(min = 0.0)]
    pub km: Option<f64>,
    /// Direction at the start, in degrees clockwise from north: 0 up to 360.
    #[field(min = 0.0, max = 360.0)]
    pub bearing_deg: Option<f64>,
}

/// Kilometres along the great circle, and the bearing at the start, from one point to another.
///
/// The haversine formula on a sphere of mean radius: at most 0.6 % off the ellipsoid.
/// Source: <https://www.movable-type.co.uk/scripts/latlong.html>.
#[transform]
pub fn great_circle(points: Points) -> Result<Way, Refusal> {
    let from_lat = within("from_lat", points.from_lat, 90.0)?;
    let from_lon = within("from_lon", points.from_lon, 180.0)?;
    let to_lat = within("to_lat", points.to_lat, 90.0)?;
    let to_lon = within("to_lon", points.to_lon, 180.0)?;
    let (Some(from_lat), Some(from_lon), Some(to_lat), Some(to_lon)) =
        (from_lat, from_lon, to_lat, to_lon)
    else {
        return Ok(Way {
            km: None,
            bearing_deg: None,
        });
    };
    Ok(Way {
        km: Some(haversine_km(from_lat, from_lon, to_lat, to_lon)),
        bearing_deg: Some(bearing_deg(from_lat, from_lon, to_lat, to_lon)),
    })
}

/// A coordinate, if it is one; NaN is none.
fn within(name: &str, degrees: Option<f64>, limit: f64) -> Result<Option<f64>, Refusal> {
    match degrees {
        Some(degrees) if !(-limit..=limit).contains(&degrees) => {
            refuse!("{name} is {degrees}, outside -{limit} to {limit} degrees")
        }
        degrees => Ok(degrees),
    }
}

/// a = sin²(Δφ/2) + cos φ₁ · cos φ₂ · sin²(Δλ/2), distance = 2R · asin √a.
fn haversine_km(from_lat: f64, from_lon: f64, to_lat: f64, to_lon: f64) -> f64 {
    let half_lat = ((to_lat - from_lat).to_radians() / 2.0).sin();
    let half_lon = ((to_lon - from_lon).to_radians() / 2.0).sin();
    let a = half_lat * half_lat
        + from_lat.to_radians().cos() * to_lat.to_radians().cos() * half_lon * half_lon;
    // Rounding can carry the root of opposite points past 1.
    2.0 * EARTH_KM * a.sqrt().min(1.0).asin()
}

/// θ = atan2(sin Δλ · cos φ₂, cos φ₁ · sin φ₂ − sin φ₁ · cos φ₂ · cos Δλ).
fn bearing_deg(from_lat: f64, from_lon: f64, to_lat: f64, to_lon: f64) -> f64 {
    let (from_lat, to_lat) = (from_lat.to_radians(), to_lat.to_radians());
    let lon = (to_lon - from_lon).to_radians();
    let east = lon.sin() * to_lat.cos();
    let north = from_lat.cos() * to_lat.sin() - from_lat.sin() * to_lat.cos() * lon.cos();
    let degrees = east.atan2(north).to_degrees().rem_euclid(360.0);
    // A tiny negative angle is rounded up to the whole circle.
    if degrees < 360.0 { degrees } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tidemill_sdk::testing::{rows, run};

    fn way(from_lat: f64, from_lon: f64, to_lat: f64, to_lon: f64) -> (f64, f64) {
        let points = Points {
            from_lat: Some(from_lat),
            from_lon: Some(from_lon),
            to_lat: Some(to_lat),
            to_lon: Some(to_lon),
        };
        let way = great_circle(points).unwrap();
        (way.km.unwrap(), way.bearing_deg.unwrap())
    }

    #[track_caller]
    fn assert_near((km, degrees): (f64, f64), (expected_km, expected_degrees): (f64, f64)) {
        assert!((km - expected_km).abs() < 0.01, "{km} km");
        assert!((degrees - expected_degrees).abs() < 0.01, "{degrees}°");
    }

    #[test]
    fn known_ways() {
        let quarter = EARTH_KM * std::f64::consts::FRAC_PI_2;
        assert_near(way(0.0, 0.0, 0.0, 90.0), (quarter, 90.0));
        assert_near(way(0.0, 0.0, 90.0, 0.0), (quarter, 0.0));
        assert_near(way(0.0, 0.0, 0.0, -90.0), (quarter, 270.0));
        assert_near(way(-90.0, 0.0, 90.0, 0.0), (2.0 * quarter, 0.0));
        // Newark to Houston; timetables say 1,400 miles, which is 2,253 km, on the ellipsoid.
        assert_near(
            way(40.6925, -74.168667, 29.984433, -95.341442),
            (2250.552, 244.729),
        );
    }

    #[test]
    fn over_the_date_line() {
        let (km, degrees) = way(0.0, 179.5, 0.0, -179.5);
        assert_near((km, degrees), (EARTH_KM.to_radians(), 90.0));
    }

    #[test]
    fn the_same_point_and_opposite_points() {
        assert_eq!(way(40.6925, -74.168667, 40.6925, -74.168667), (0.0, 0.0));
        let (km, _) = way(40.6925, -74.168667, -40.6925, 105.831333);
        assert!((km - EARTH_KM * std::f64::consts::PI).abs() < 1e-6);
    }

    #[test]
    fn a_bearing_is_below_the_whole_circle() {
        let (_, degrees) = way(0.0, 0.0, 1.0, -1e-18);
        assert_eq!(degrees, 0.0);
    }

    #[test]
    fn nulls_and_impossible_points() {
        let answer = run::<great_circle>(rows![
            { from_lat: 0, from_lon: 0, to_lat: 0, to_lon: 0 },
            { from_lat: 0, from_lon: 0, to_lat: 0 },
            { from_lat: -90.5, from_lon: 0, to_lat: 0, to_lon: 0 },
            { to_lon: 180.01 },
            { to_lon: f64::NAN },
        ]);
        assert_eq!(
            answer.refusals(),
            [
                (2, "from_lat is -90.5, outside -90 to 90 degrees"),
                (3, "to_lon is 180.01, outside -180 to 180 degrees"),
                (4, "to_lon is NaN, outside -180 to 180 degrees"),
            ]
        );
        assert_eq!(
            answer.column::<Option<f64>>("km"),
            [Some(0.0), None, None, None, None]
        );
        assert_eq!(
            answer.column::<Option<f64>>("bearing_deg"),
            [Some(0.0), None, None, None, None]
        );
    }
}
