//! Every type of a column, there and back through a block, and blocks that are none.

use tidemill_sdk::__private::bindings::tidemill::transform::types::{Block, Failure};
use tidemill_sdk::Transform;
use tidemill_sdk::prelude::*;
use tidemill_sdk::testing::{describe, rows, run};

/// One column of each type; text and lists borrowed.
#[derive(Input)]
struct Call<'a> {
    flag: bool,
    integer: i64,
    float: f64,
    text: &'a str,
    moment: Timestamp,
    json: Json<'a>,
    flags: Bools<'a>,
    integers: &'a [i64],
    floats: &'a [f64],
    texts: Texts<'a>,
    moments: &'a [Timestamp],
    jsons: Jsons<'a>,
}

#[derive(Output)]
struct Echo<'a> {
    flag: bool,
    integer: i64,
    float: f64,
    text: &'a str,
    owned: String,
    moment: Timestamp,
    json: Json<'a>,
    flags: Bools<'a>,
    integers: &'a [i64],
    floats: Vec<f64>,
    texts: Vec<&'a str>,
    moments: &'a [Timestamp],
    jsons: Vec<Json<'a>>,
}

/// Echoes, and refuses the text `no`.
#[transform(name = "echo")]
fn echo<'a>(call: Call<'a>) -> Result<Echo<'a>, Refusal> {
    let Call {
        flag,
        integer,
        float,
        text,
        moment,
        json,
        flags,
        integers,
        ..
    } = call;
    if text == "no" {
        refuse!("{integer} says {text}");
    }
    Ok(Echo {
        flag,
        integer,
        float,
        text,
        owned: text.to_uppercase(),
        moment,
        json,
        flags,
        integers,
        floats: call.floats.to_vec(),
        texts: call.texts.iter().collect(),
        moments: call.moments,
        jsons: call.jsons.iter().collect(),
    })
}

#[test]
fn every_type_and_back() {
    let answer = run::<echo>(rows![
        {
            flag: true, integer: -1, float: 0.5, text: "ä", moment: "2013-01-01T00:00:00Z", json: "{}",
            flags: [true, false], integers: [1, 2], floats: [0.5], texts: ["", "b", "ç"],
            moments: ["1970-01-01T00:00:00Z"], jsons: ["1", "[]"],
        },
        {
            flag: false, integer: 7, float: -0.0, text: "", moment: "1969-12-31T23:59:59.5Z", json: "null",
            flags: Vec::<bool>::new(), integers: Vec::<i64>::new(), floats: [1, 2],
            texts: ["x"], moments: Vec::<Timestamp>::new(), jsons: Vec::<String>::new(),
        },
    ]);
    assert_eq!(
        answer,
        rows![
            {
                flag: true, integer: -1, float: 0.5, text: "ä", owned: "Ä", moment: "2013-01-01T00:00:00Z", json: "{}",
                flags: [true, false], integers: [1, 2], floats: [0.5], texts: ["", "b", "ç"],
                moments: ["1970-01-01T00:00:00Z"], jsons: ["1", "[]"],
            },
            {
                flag: false, integer: 7, float: 0, text: "", owned: "", moment: "1969-12-31T23:59:59.5Z", json: "null",
                flags: Vec::<bool>::new(), integers: Vec::<i64>::new(), floats: [1, 2],
                texts: ["x"], moments: Vec::<Timestamp>::new(), jsons: Vec::<String>::new(),
            },
        ]
    );
}

#[test]
fn a_refused_row_leaves_its_neighbours_alone() {
    let row = |text: &str| {
        rows![{
            flag: true, integer: 3, float: 1, text: text, moment: "2013-01-01T00:00:00Z", json: "{}", flags: [true],
            integers: [1], floats: [1], texts: ["t"], moments: ["2013-01-01T00:00:00Z"], jsons: ["1"],
        }]
    };
    let answer = run::<echo>(row("a").and(row("no")).and(row("b")));
    assert_eq!(answer.refusals(), [(1, "3 says no")]);
    assert_eq!(answer.column::<&str>("owned"), ["A", "", "B"]);
    assert_eq!(answer.column::<i64>("integer"), [3, 0, 3]);
    assert_eq!(answer.column::<&[f64]>("floats"), [&[1.0][..], &[], &[1.0]]);
    let texts: Vec<Vec<&str>> = answer
        .column::<Texts>("texts")
        .into_iter()
        .map(|texts| texts.iter().collect())
        .collect();
    assert_eq!(texts, [vec!["t"], vec![], vec!["t"]]);
}

#[derive(Input)]
struct Maybe<'a> {
    /// Between nothing and all.
    #[field(min = 0, max = 1)]
    share: Option<f64>,
    r#type: Option<&'a str>,
    #[field(rename = "tags-of-old")]
    tags: Option<Texts<'a>>,
}

#[derive(Output)]
struct Perhaps<'a> {
    #[field(max = 1)]
    share: Option<f64>,
    r#type: Option<&'a str>,
    tags: Option<Texts<'a>>,
    count: Option<i64>,
}

/// Nulls there and back.
///
/// Two lines.
#[transform(name = "maybe", version = "2.1.0-rc.1")]
fn maybe(
    Maybe {
        share,
        r#type,
        tags,
    }: Maybe,
) -> Perhaps {
    Perhaps {
        share: share.map(|share| share * 2.0),
        r#type,
        tags,
        count: tags.map(|tags| tags.len() as i64),
    }
}

#[test]
fn nulls_stay_null_over_more_than_one_byte_of_validity() {
    let full = rows![{ share: 0.25, type: "t", "tags-of-old": ["a", "b"] }];
    let empty = rows![{ share: null, type: null }];
    let mut rows = full.clone();
    for row in 1..20 {
        rows = rows.and(if row % 3 == 0 {
            full.clone()
        } else {
            empty.clone()
        });
    }
    let answer = run::<maybe>(rows);
    for row in 0..20 {
        let some = row % 3 == 0;
        assert_eq!(
            answer.column::<Option<f64>>("share")[row],
            some.then_some(0.5)
        );
        assert_eq!(
            answer.column::<Option<&str>>("type")[row],
            some.then_some("t")
        );
        assert_eq!(
            answer.column::<Option<i64>>("count")[row],
            some.then_some(2)
        );
        let tags =
            answer.column::<Option<Texts>>("tags")[row].map(|tags| tags.iter().collect::<Vec<_>>());
        assert_eq!(tags, some.then_some(vec!["a", "b"]));
    }
}

#[test]
fn descriptions_tell_all() {
    assert_eq!(
        describe::<maybe>(),
        "maybe@2.1.0-rc.1: Nulls there and back.\n\nTwo lines.\n  \
         in  share: f64 or null, at least 0, at most 1. Between nothing and all.\n  \
         in  type: text or null\n  \
         in  tags-of-old: list<text> or null\n  \
         out share: f64 or null, at most 1\n  \
         out type: text or null\n  \
         out tags: list<text> or null\n  \
         out count: i64 or null\n"
    );
}

#[test]
fn tests_hear_what_the_host_would_say() {
    let heard = |rows: fn() -> tidemill_sdk::testing::Rows| {
        let panic = std::panic::catch_unwind(|| run::<maybe>(rows())).unwrap_err();
        panic.downcast_ref::<String>().cloned().unwrap_or_default()
    };
    assert_eq!(
        heard(|| rows![{ shere: 1 }]),
        "row 0: no input `shere`; there are share, type, tags-of-old"
    );
    assert_eq!(
        heard(|| rows![{ type: 1 }]),
        "row 0: 1 is no value for type: text or null"
    );
    assert_eq!(
        heard(|| rows![{}, { share: 1.5 }]),
        "row 1: 1.5 is out of range for share: f64 or null, at least 0, at most 1. Between nothing and all."
    );
    assert_eq!(
        heard(|| rows![{ share: 0.75 }]),
        "row 0: 1.5 is out of range for share: f64 or null, at most 1"
    );
}

/// A good block of `maybe`: two rows, `0.5, "ab", ["c", "d"]` and nulls.
fn block() -> Block {
    Block {
        rows: 2,
        floats: vec![0.5, 0.0],
        integers: vec![],
        booleans: vec![],
        text: b"abcd".to_vec(),
        text_ends: vec![2, 2, 3, 4],
        list_offsets: vec![2, 4, 4],
        validity: vec![1, 1, 1],
    }
}

#[test]
fn a_good_block_by_hand() {
    let answer = maybe::transform(&block()).unwrap();
    let expected = Block {
        rows: 2,
        floats: vec![1.0, 0.0],
        integers: vec![2, 0],
        booleans: vec![],
        text: b"abcd".to_vec(),
        text_ends: vec![2, 2, 3, 4],
        list_offsets: vec![2, 4, 4],
        validity: vec![1, 1, 1, 1],
    };
    assert_eq!(answer.rows, expected);
}

#[test]
fn a_block_that_does_not_fit_is_a_failure() {
    let told = |spoil: fn(&mut Block)| {
        let mut block = block();
        spoil(&mut block);
        let Err(Failure { message }) = maybe::transform(&block) else {
            panic!("it was understood")
        };
        message
    };
    type Spoil = fn(&mut Block);
    let cases: [(Spoil, &str); 12] = [
        (|block| block.rows = 0, "a block has at least one row"),
        (
            |block| block.rows = 3,
            "floats holds 2 entries; 1 columns of 3 rows take 3 each",
        ),
        (
            |block| block.floats.clear(),
            "floats holds 0 entries; 1 columns of 2 rows take 2 each",
        ),
        (
            |block| block.floats.push(0.0),
            "floats holds 3 entries; 1 columns of 2 rows take 2 each",
        ),
        (
            |block| block.integers.push(0),
            "integers holds 1 entries; 0 columns of 2 rows take 2 each",
        ),
        (
            |block| block.validity.clear(),
            "validity holds 0 entries; 3 columns of 2 rows take 1 each",
        ),
        (
            |block| block.list_offsets.clear(),
            "list-offsets holds 0 entries; 1 columns of 2 rows take 3 each",
        ),
        (
            |block| block.list_offsets[2] = 5,
            "list-offsets must ascend within the items of their pool",
        ),
        (
            |block| block.list_offsets[1] = 1,
            "list-offsets must ascend within the items of their pool",
        ),
        (
            |block| block.text_ends[0] = 3,
            "text-ends must ascend and cut the text between characters; found 2",
        ),
        (
            |block| block.text_ends[3] = 9,
            "text-ends must ascend and cut the text between characters; found 9",
        ),
        (
            |block| block.text[0] = 0xff,
            "text is not UTF-8: invalid utf-8 sequence of 1 bytes from index 0",
        ),
    ];
    for (spoil, message) in cases {
        assert_eq!(told(spoil), message);
    }
}
