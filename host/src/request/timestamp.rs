//! Timestamps in JSON: RFC 3339 text, kept as microseconds since 1970-01-01T00:00:00Z.

/// Reads `2013-01-01T05:15:00-05:00`. Digits beyond the microsecond are cut off.
pub fn parse_timestamp(text: &str) -> Result<i64, String> {
    // jiff reads more than RFC 3339: a zone in brackets, a comma, a date alone. Those are refused by their first sign.
    let shape =
        text.len() >= 20 && text.as_bytes()[10].eq_ignore_ascii_case(&b'T') && !text.contains('[');
    let wrong = |why: &str| {
        format!(
            "\"{}\" is no RFC 3339 timestamp such as 2013-01-01T05:15:00-05:00{why}",
            cut(text)
        )
    };
    if !shape {
        return Err(wrong(""));
    }
    text.parse::<jiff::Timestamp>()
        .map(jiff::Timestamp::as_microsecond)
        .map_err(|error| wrong(&format!(": {error}")))
}

/// Enough of a text to know it again.
fn cut(text: &str) -> &str {
    text.char_indices()
        .nth(60)
        .map_or(text, |(at, _)| &text[..at])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_leap_days_and_fractions() {
        assert_eq!(parse_timestamp("1970-01-01T00:00:00Z"), Ok(0));
        assert_eq!(
            parse_timestamp("2013-01-01T05:15:00-05:00"),
            Ok(1_357_035_300_000_000)
        );
        assert_eq!(
            parse_timestamp("2024-02-29T00:00:00.000001+00:00"),
            Ok(1_709_164_800_000_001)
        );
    }

    #[test]
    fn what_is_no_timestamp_is_refused() {
        for text in [
            "",
            "2013-02-30T00:00:00Z",
            "2013-01-01",
            "2013-01-01T05:15:00",
            "2013-01-01T25:00:00Z",
            "now",
        ] {
            let message = parse_timestamp(text).unwrap_err();
            assert!(message.contains("RFC 3339"), "{message}");
        }
    }
}
