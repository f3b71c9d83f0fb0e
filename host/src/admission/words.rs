//! Text and JSON: words as they come, and what breaks those who did not think of it.

use std::fmt::Write as _;

use super::random::Random;

/// Bytes of the longest texts.
const LONG: usize = 64 << 10;

/// How deep JSON is nested: what requests and files may hold at most.
const DEEP: usize = 127;

const TYPICAL: [&str; 60] = [
    "EUR",
    "USD",
    "GBP",
    "JPY",
    "US",
    "DE",
    "en",
    "en-US",
    "JFK",
    "EWR",
    "SFO",
    "UA",
    "N14228",
    "America/New_York",
    "Europe/Berlin",
    "Asia/Kolkata",
    "UTC",
    "grocery",
    "fuel",
    "travel",
    "restaurant",
    "online",
    "mobile",
    "desktop",
    "web",
    "ios",
    "android",
    "chrome",
    "visa",
    "card",
    "cash",
    "yes",
    "no",
    "true",
    "false",
    "unknown",
    "other",
    "none",
    "A",
    "B",
    "a",
    "x",
    "new",
    "low",
    "medium",
    "high",
    "GET",
    "POST",
    "Ann Lee",
    "ann@example.com",
    "https://example.com/a?b=c#d",
    "192.168.0.1",
    "2001:db8::1",
    "2024-02-29",
    "2013-01-01T05:15:00Z",
    "42",
    "3.14",
    "-7",
    "6fa459ea-ee8a-3ca4-894e-db77e160355e",
    "Two words, and a comma.",
];
const ODD: [&str; 40] = [
    "",
    "",
    " ",
    "\t\r\n",
    "\0",
    "a\0b",
    "null",
    "NULL",
    "NaN",
    "-",
    "-0",
    "1e999",
    "0x10",
    "١٢٣",
    "99999999999999999999999999",
    "eur",
    " EUR ",
    "EUR\n",
    "é",
    "e\u{301}",
    "ß",
    "İ",
    "ﬁ",
    "ǅ",
    "中文",
    "שלום",
    "\u{202e}abc",
    "\u{feff}x",
    "\u{fffd}",
    "\u{10ffff}",
    "\u{7f}",
    "🦀",
    "👩‍👩‍👧‍👦",
    "🇩🇪",
    "\"",
    "\\",
    "'; --",
    "<a>&amp;",
    "%s%n{}",
    "../../x",
];
const ODD_JSON: [&str; 24] = [
    "null",
    "true",
    "0",
    "-0.0",
    "1e400",
    "123456789012345678901234567890",
    "0.1e-7",
    "\"\"",
    "\"\\u0000\\ud83e\\udd80\\n\\/\"",
    "\"é🦀\"",
    "[]",
    "{}",
    "[[]]",
    "[null,1,\"a\",{},[]]",
    "{\"\":\"\"}",
    "{\"a\":1,\"a\":2}",
    "{\"a\":null}",
    " { \"a\" :\n\t[ 1 , 2 ] } ",
    "{\"a\":{\"b\":{\"c\":{\"d\":1}}}}",
    "{\"id\":-9223372036854775808}",
    "{\"id\":18446744073709551615}",
    "{\"id\":\"1\"}",
    "{\"items\":{}}",
    "{\"a\\u0062\":\"key with an escape\"}",
];
const KEYS: [&str; 16] = [
    "id", "user", "type", "name", "at", "amount", "currency", "country", "ip", "lat", "lon",
    "items", "price", "quantity", "tags", "ok",
];

/// What may stand in a field, as far as its name and its doc say: `EUR, USD or GBP` are three words to try.
pub(super) fn hints(doc: &str) -> Vec<String> {
    let inner = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '/' | '.' | ':' | '+');
    doc.split(|c: char| !inner(c))
        .map(|word| word.trim_matches(|c: char| !c.is_alphanumeric()))
        .filter(|word| !word.is_empty() && word.len() <= 40)
        .take(100)
        .map(str::to_owned)
        .collect()
}

/// A text of at most `room` bytes.
pub(super) fn text(random: &mut Random, hints: &[String], odd: bool, room: usize) -> String {
    if !odd {
        return match random.below(10) {
            0..6 if !hints.is_empty() => hints[random.below(hints.len())].clone(),
            0..8 => random.of(&TYPICAL).to_owned(),
            8 => letters(random, b'a', 12),
            _ => letters(random, b'A', 6),
        };
    }
    let long = match random.below(100) {
        0..3 => LONG,
        3..10 => 1_000,
        _ => return random.of(&ODD).to_owned(),
    };
    let unit = random.of(&[
        "a", "9", " ", "é", "🦀", "word, ", "x\n", "\\", "[", "America/",
    ]);
    unit.repeat(long.min(room) / unit.len())
}

fn letters(random: &mut Random, first: u8, most: usize) -> String {
    let length = 1 + random.below(most);
    (0..length)
        .map(|_| char::from(first + random.below(26) as u8))
        .collect()
}

/// One JSON value, well formed, of about `room` bytes at most.
pub(super) fn json(random: &mut Random, hints: &[String], odd: bool, room: usize) -> String {
    if !odd {
        let mut out = String::new();
        object(random, hints, 2, &mut out);
        return out;
    }
    match random.below(30) {
        0 => quoted(&text(random, hints, true, room / 6)),
        // As deep as a request may nest it.
        1 => format!("{}1{}", "[".repeat(DEEP), "]".repeat(DEEP)),
        2 => {
            let items = vec!["{\"id\":1}"; (room / 9).clamp(1, 1_000)];
            format!("{{\"items\":[{}]}}", items.join(","))
        }
        _ => random.of(&ODD_JSON).to_owned(),
    }
}

fn object(random: &mut Random, hints: &[String], depth: usize, out: &mut String) {
    out.push('{');
    for at in 0..random.below(6) {
        if at > 0 {
            out.push(',');
        }
        let key = match hints.is_empty() || random.percent(50) {
            true => random.of(&KEYS),
            false => &hints[random.below(hints.len())],
        };
        out.push_str(&quoted(key));
        out.push(':');
        value(random, hints, depth, out);
    }
    out.push('}');
}

fn value(random: &mut Random, hints: &[String], depth: usize, out: &mut String) {
    // Writing to a string cannot fail.
    let _ = match random.below(10) {
        0 if depth > 0 => return object(random, hints, depth - 1, out),
        1 if depth > 0 => {
            out.push('[');
            for at in 0..random.below(4) {
                if at > 0 {
                    out.push(',');
                }
                value(random, hints, depth - 1, out);
            }
            out.push(']');
            return;
        }
        0..3 => write!(out, "{}", random.below(1_000)),
        3 | 4 => write!(out, "{}", random.between(-100.0, 100.0)),
        5 => write!(out, "{}", random.percent(50)),
        6 => write!(out, "null"),
        _ => write!(out, "{}", quoted(&text(random, hints, false, 0))),
    };
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_doc_gives_words_to_try() {
        assert_eq!(
            hints("ISO 4217: EUR, `USD` or GBP; zones like America/New_York."),
            [
                "ISO",
                "4217",
                "EUR",
                "USD",
                "or",
                "GBP",
                "zones",
                "like",
                "America/New_York"
            ]
        );
        assert_eq!(hints(" —, "), Vec::<String>::new());
    }

    #[test]
    fn all_json_is_json() {
        let mut random = Random::new(1);
        let hints = hints("a \"b\" c\\");
        for at in 0..3_000 {
            let text = json(&mut random, &hints, at % 2 == 0, 10_000);
            let read: Result<&serde_json::value::RawValue, _> = serde_json::from_str(&text);
            assert!(read.is_ok(), "{text}");
        }
    }

    #[test]
    fn no_text_is_over_its_room() {
        let mut random = Random::new(1);
        let longest = (0..3_000)
            .map(|_| text(&mut random, &[], true, 500).len())
            .max();
        assert_eq!(longest, Some(500));
    }
}
