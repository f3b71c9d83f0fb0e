//! What a component carries beside its code: where it came from, and its source.
//!
//! Both are custom sections at the component's end, which `tidemill transform build` puts there. They are part of the
//! bytes that are named by the digest, and of nothing else: the compiler never sees them. Whoever uploads a component
//! may have written anything into them, so they are bounded, and nothing of them is believed but shown.

use std::borrow::Cow;
use std::ops::Range;

use wasm_encoder::{ComponentSection as _, CustomSection};
use wasmparser::BinaryReader;

use super::component::malformed;
use super::description::{MAX_PROVENANCE, check_pair};

/// A JSON object of texts: `{"crate": "trip-speed 0.1.0", "commit": "9f2c…", …}`.
pub const PROVENANCE: &str = "tidemill.provenance";
/// A tar archive, compressed with zstd.
pub const SOURCE: &str = "tidemill.source";
/// Bytes of each.
const MAX_PROVENANCE_BYTES: usize = 64 << 10;
pub const MAX_SOURCE_BYTES: usize = 4 << 20;
/// Magic number and version.
const HEADER: usize = 8;

/// Our sections of a component, where they are there.
#[derive(Default)]
pub struct Sections<'a> {
    bytes: &'a [u8],
    provenance: Option<&'a [u8]>,
    source: Option<&'a [u8]>,
    /// Where they lie, each with its head.
    ranges: Vec<Range<usize>>,
}

impl<'a> Sections<'a> {
    /// Finds them among the top sections of a component or module. In one sentence: that it is malformed, or that one
    /// stands there twice or is over its limit.
    pub fn of(bytes: &'a [u8]) -> Result<Sections<'a>, String> {
        let mut sections = Sections {
            bytes,
            ..Sections::default()
        };
        let mut reader = BinaryReader::new(bytes, 0);
        reader.read_bytes(HEADER).map_err(malformed)?;
        while !reader.eof() {
            let start = reader.original_position();
            let id = reader.read_u8().map_err(malformed)?;
            let size = reader.read_var_u32().map_err(malformed)?;
            let body = reader.read_bytes(size as usize).map_err(malformed)?;
            if id != 0 {
                continue;
            }
            let mut body = BinaryReader::new(body, reader.original_position() - body.len());
            let name = body.read_string().map_err(malformed)?;
            let (place, limit) = match name {
                PROVENANCE => (&mut sections.provenance, MAX_PROVENANCE_BYTES),
                SOURCE => (&mut sections.source, MAX_SOURCE_BYTES),
                _ => continue,
            };
            let data = body.read_bytes(body.bytes_remaining()).map_err(malformed)?;
            if data.len() > limit {
                return Err(format!(
                    "its section `{name}` has {} bytes, over the limit of {limit}",
                    data.len()
                ));
            }
            if place.replace(data).is_some() {
                return Err(format!("it has two sections `{name}`"));
            }
            sections.ranges.push(start..reader.original_position());
        }
        Ok(sections)
    }

    /// The component without them.
    pub(super) fn code(&self) -> Cow<'a, [u8]> {
        if self.ranges.is_empty() {
            return Cow::Borrowed(self.bytes);
        }
        let mut code = Vec::with_capacity(self.code_len());
        let mut from = 0;
        for range in &self.ranges {
            code.extend_from_slice(&self.bytes[from..range.start]);
            from = range.end;
        }
        code.extend_from_slice(&self.bytes[from..]);
        Cow::Owned(code)
    }

    /// Bytes of the component without them.
    pub(super) fn code_len(&self) -> usize {
        self.bytes.len() - self.ranges.iter().map(Range::len).sum::<usize>()
    }

    /// The archive of its source: see [`crate::transform::source`].
    pub fn source(&self) -> Option<&'a [u8]> {
        self.source
    }

    /// The pairs of its provenance, or in one sentence why they are none.
    pub(super) fn provenance(&self) -> Result<Vec<(String, String)>, String> {
        let Some(bytes) = self.provenance else {
            return Ok(Vec::new());
        };
        let object: serde_json::Map<String, serde_json::Value> = serde_json::from_slice(bytes)
            .map_err(|error| format!("its section `{PROVENANCE}` is no JSON object: {error}"))?;
        if object.len() > MAX_PROVENANCE {
            return Err(format!(
                "its section `{PROVENANCE}` has {} entries, over the limit of {MAX_PROVENANCE}",
                object.len()
            ));
        }
        object
            .into_iter()
            .map(|(key, value)| {
                let serde_json::Value::String(value) = value else {
                    return Err(format!(
                        "in its section `{PROVENANCE}`, something other than text stands for one of the keys"
                    ));
                };
                check_pair(&key, &value)?;
                Ok((key, value))
            })
            .collect()
    }
}

/// Puts a section at the end of a component.
pub fn append(component: &mut Vec<u8>, name: &str, data: &[u8]) {
    let section = CustomSection {
        name: name.into(),
        data: data.into(),
    };
    section.append_to_component(component);
}

/// One list of what made a component: what its section says, then what only its code says. Where both speak of one
/// thing they must agree: one of two accounts is false, and nobody can tell which.
pub(super) fn united(
    section: Vec<(String, String)>,
    told: Vec<(String, String)>,
) -> Result<Vec<(String, String)>, String> {
    let mut united = section;
    for (key, value) in told {
        match united.iter().find(|(known, _)| *known == key) {
            None => united.push((key, value)),
            Some((_, known)) if *known == value => {}
            Some((_, known)) => {
                return Err(format!(
                    "its section `{PROVENANCE}` says {key} {known} and it describes itself with {key} {value}: build it \
                     again with `tidemill transform build`"
                ));
            }
        }
    }
    Ok(united)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transform::componentize;
    use crate::transform::guests::Guest;

    fn component() -> Vec<u8> {
        componentize(&Guest::default().module())
            .unwrap()
            .into_owned()
    }

    fn with(sections: &[(&str, &[u8])]) -> Vec<u8> {
        let mut bytes = component();
        for (name, data) in sections {
            append(&mut bytes, name, data);
        }
        bytes
    }

    #[test]
    fn what_was_put_in_comes_out_and_the_code_is_as_it_was() {
        let bytes = with(&[
            ("other", b"of somebody else"),
            (PROVENANCE, br#"{"crate":"echo 1.2.3","sdk":"0.1.0"}"#),
            (SOURCE, b"an archive"),
        ]);
        let sections = Sections::of(&bytes).unwrap();
        assert_eq!(sections.source(), Some(&b"an archive"[..]));
        assert_eq!(
            sections.provenance().unwrap(),
            [("crate", "echo 1.2.3"), ("sdk", "0.1.0")]
                .map(|(key, value)| (key.to_owned(), value.to_owned()))
        );
        let code = with(&[("other", b"of somebody else")]);
        assert_eq!(sections.code().into_owned(), code);
        assert_eq!(sections.code_len(), code.len());
        let none = Sections::of(&code).unwrap();
        assert_eq!((none.source(), none.provenance().unwrap()), (None, vec![]));
    }

    #[test]
    fn what_is_odd_is_refused_in_words() {
        let long = format!("{{\"a\":\"{}\"}}", "x".repeat(70_000));
        let many: Vec<String> = (0..65).map(|at| format!("\"k{at}\":\"\"")).collect();
        let many = format!("{{{}}}", many.join(","));
        let value = format!("{{\"a\":\"{}\"}}", "x".repeat(1_001));
        for (text, reason) in [
            ("not JSON", "is no JSON object"),
            ("[1]", "is no JSON object"),
            ("{\"a\":1}", "something other than text"),
            ("{\"a\":\"\\u001b[31m\"}", "control characters"),
            ("{\"a\\n\":\"\"}", "control characters"),
            ("{\"a\":\"\\u202eb\"}", "control characters"),
            ("{\"\":\"x\"}", "an empty key"),
            (value.as_str(), "over 1000 bytes"),
            (many.as_str(), "65 entries, over the limit of 64"),
            (long.as_str(), "70008 bytes, over the limit of 65536"),
        ] {
            let bytes = with(&[(PROVENANCE, text.as_bytes())]);
            let said = Sections::of(&bytes).and_then(|sections| sections.provenance());
            let said = said.unwrap_err();
            assert!(said.contains(reason), "{said}\n{reason}");
        }
        let twice = with(&[(PROVENANCE, b"{}"), (PROVENANCE, b"{}")]);
        let said = Sections::of(&twice).map(drop).unwrap_err();
        assert_eq!(said, "it has two sections `tidemill.provenance`");
        let large = with(&[(SOURCE, &vec![0; MAX_SOURCE_BYTES + 1])]);
        let said = Sections::of(&large).map(drop).unwrap_err();
        assert!(
            said.contains("`tidemill.source` has 4194305 bytes"),
            "{said}"
        );
    }

    #[test]
    fn cut_off_anywhere_it_is_refused_or_read() {
        let bytes = with(&[(PROVENANCE, br#"{"a":"b"}"#)]);
        for end in (bytes.len() - 60)..bytes.len() {
            if let Ok(sections) = Sections::of(&bytes[..end]) {
                assert_eq!(sections.provenance(), Ok(vec![]));
            }
        }
    }

    #[test]
    fn two_accounts_must_agree() {
        let pairs = |pairs: &[(&str, &str)]| {
            pairs
                .iter()
                .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
                .collect::<Vec<_>>()
        };
        assert_eq!(
            united(
                pairs(&[("a", "1"), ("b", "2")]),
                pairs(&[("b", "2"), ("c", "3")])
            ),
            Ok(pairs(&[("a", "1"), ("b", "2"), ("c", "3")]))
        );
        let said = united(pairs(&[("sdk", "1")]), pairs(&[("sdk", "2")])).unwrap_err();
        assert!(
            said.contains("says sdk 1 and it describes itself with sdk 2"),
            "{said}"
        );
    }
}
