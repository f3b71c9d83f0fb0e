//! Files read whole, and the words for what is wrong with them.

use std::fs::{self, File};
use std::path::Path;
use std::sync::Arc;

use arrow_array::builder::{FixedSizeListBuilder, Int64Builder, LargeListBuilder, StringBuilder};
use arrow_array::types::Int32Type;
use arrow_array::{
    ArrayRef, BooleanArray, Date32Array, DictionaryArray, Float32Array, Float64Array, Int8Array,
    Int32Array, Int64Array, LargeStringArray, NullArray, RecordBatch, StringArray, StringViewArray,
    TimestampMicrosecondArray, TimestampMillisecondArray, TimestampNanosecondArray,
    TimestampSecondArray, UInt64Array,
};
use parquet::arrow::ArrowWriter;
use proptest::prelude::*;

use super::*;
use crate::block::Block;
use crate::block::samples::{any_block, every_type, schema};
use crate::schema::{Field, Schema};

/// All rows of a file as lines of JSON.
fn lines(path: &Path, schema: &Schema) -> Result<Vec<String>, String> {
    let mut lines = Vec::new();
    for block in open(path, schema).map_err(|error| error.to_string())? {
        let block = block.map_err(|error| error.to_string())?;
        for row in 0..block.rows() {
            let mut out = Vec::new();
            json::write_row(&block, schema, row, &mut out);
            lines.push(String::from_utf8(out).unwrap());
        }
    }
    Ok(lines)
}

/// As [`lines`], of a file that is written first; messages without the folder.
fn of_file(name: &str, content: &str, schema: &Schema) -> Result<Vec<String>, String> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    fs::write(&path, content).unwrap();
    lines(&path, schema)
        .map_err(|message| message.replace(&format!("{}/", folder.path().display()), ""))
}

fn of_parquet(columns: Vec<(&str, ArrayRef)>, schema: &Schema) -> Result<Vec<String>, String> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("rows.parquet");
    let columns = columns.into_iter().map(|(name, array)| (name, array, true));
    write_parquet(
        &path,
        &[RecordBatch::try_from_iter_with_nullable(columns).unwrap()],
    );
    lines(&path, schema)
        .map_err(|message| message.replace(&format!("{}/", folder.path().display()), ""))
}

fn write_parquet(path: &Path, batches: &[RecordBatch]) {
    let mut writer =
        ArrowWriter::try_new(File::create(path).unwrap(), batches[0].schema(), None).unwrap();
    batches
        .iter()
        .for_each(|batch| writer.write(batch).unwrap());
    writer.close().unwrap();
}

fn weather() -> Schema {
    let mut fields = schema(&[
        ("origin", "text", false),
        ("at", "timestamp", true),
        ("temp", "f64", true),
        ("gusts", "list<f64>", true),
        ("calm", "bool", true),
    ])
    .fields()
    .to_vec();
    fields[2] = Field {
        maximum: Some(150.0),
        ..fields[2].clone()
    };
    Schema::new(fields)
}

#[test]
fn the_same_rows_from_csv_and_ndjson() {
    let csv = "\u{feff}temp,extra,origin,at,calm,gusts\r\n\
               39.02,x,EWR,2013-01-01T10:00:00Z,true,\"[1, 2.5]\"\r\n\
               ,\"a, b\",\"J\"\"FK\n\",,,\r\n";
    let ndjson = "{\"origin\":\"EWR\",\"temp\":39.02,\"gusts\":[1,2.5],\"at\":\"2013-01-01T05:00:00-05:00\",\"calm\":true}\n\n\
                  {\"extra\":{},\"origin\":\"J\\\"FK\\n\",\"temp\":null}";
    let expected = [
        r#"{"origin":"EWR","at":"2013-01-01T10:00:00Z","temp":39.02,"gusts":[1.0,2.5],"calm":true}"#,
        r#"{"origin":"J\"FK\n","at":null,"temp":null,"gusts":null,"calm":null}"#,
    ];
    assert_eq!(of_file("rows.csv", csv, &weather()).unwrap(), expected);
    assert_eq!(
        of_file("rows.ndjson", ndjson, &weather()).unwrap(),
        expected
    );
    assert_eq!(of_file("rows.JSONL", ndjson, &weather()).unwrap(), expected);
    assert_eq!(
        of_file("rows.csv", "origin\n", &weather()).unwrap(),
        [""; 0]
    );
    assert_eq!(of_file("rows.ndjson", "", &weather()).unwrap(), [""; 0]);
}

#[test]
fn what_is_wrong_with_a_file_is_said() {
    for (name, content, expected) in [
        (
            "rows.xlsx",
            "",
            "rows.xlsx: rows are read from files named .parquet, .arrow, .feather, .ipc or .arrows, .csv, .ndjson or .jsonl",
        ),
        (
            "rows.csv",
            "temp,gust\n",
            "rows.csv: it has no column \"origin\", which may not be null; there are temp and gust",
        ),
        (
            "rows.csv",
            "origin,temp,temp\n",
            "rows.csv: it has two columns \"temp\"",
        ),
        (
            "rows.csv",
            "origin,temp\nEWR,1\n\"J\nFK\",cold\n",
            "rows.csv, line 3, column \"temp\": \"cold\" stands where f64 belongs",
        ),
        (
            "rows.csv",
            "origin,temp\nEWR,151\n",
            "rows.csv, line 2, column \"temp\": 151 is outside its range -inf to 150",
        ),
        (
            "rows.csv",
            "origin\n\"\"\n",
            "rows.csv, line 2, column \"origin\": it is empty, and may not be null",
        ),
        (
            "rows.csv",
            "origin,temp\nEWR\n",
            "rows.csv, line 2: it has 1 cells, where the first line has 2",
        ),
        (
            "rows.ndjson",
            "\n{\"origin\":\"EWR\",\"temp\":\"cold\"}",
            "rows.ndjson, line 2.temp: ",
        ),
        (
            "rows.ndjson",
            "{\"origin\":\"EWR\"}\nnothing",
            "rows.ndjson, line 2: not JSON: ",
        ),
        (
            "rows.parquet",
            "PAR1",
            "rows.parquet: it is no Parquet file that can be read: ",
        ),
    ] {
        let message = of_file(name, content, &weather()).unwrap_err();
        assert!(message.starts_with(expected), "{message}\n{expected}");
    }
    let missing = open(Path::new("/nowhere/rows.csv"), &weather())
        .err()
        .unwrap()
        .to_string();
    assert!(
        missing.starts_with("/nowhere/rows.csv: cannot be opened: "),
        "{missing}"
    );
    let other = of_file(
        "rows.csv",
        "a\n1\n",
        &schema(&[("b", "i64", true), ("c", "i64", true)]),
    )
    .unwrap_err();
    assert_eq!(
        other,
        "rows.csv: it has none of the columns b, c; there is a"
    );
}

#[test]
fn after_an_error_there_are_no_more_rows() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("rows.csv");
    fs::write(&path, "n\n1\nx\n3\n").unwrap();
    let outcomes: Vec<bool> = open(&path, &schema(&[("n", "i64", false)]))
        .unwrap()
        .map(|block| block.is_ok())
        .collect();
    assert_eq!(outcomes, [false]);
}

#[test]
fn blocks_are_bounded_and_rows_are_numbered_across_them() {
    let folder = tempfile::tempdir().unwrap();
    let (count, columns) = (BATCH_ROWS as i64 * 2 + 5, schema(&[("n", "i64", false)]));
    let csv = folder.path().join("rows.csv");
    fs::write(
        &csv,
        std::iter::once("n".to_owned())
            .chain((0..count).map(|n| format!("\n{n}")))
            .collect::<String>(),
    )
    .unwrap();
    let parquet = folder.path().join("rows.parquet");
    let column: ArrayRef = Arc::new(Float64Array::from_iter_values((0..count).map(|n| n as f64)));
    write_parquet(
        &parquet,
        &[RecordBatch::try_from_iter([("n", column)]).unwrap()],
    );
    for path in [&csv, &parquet] {
        let blocks: Vec<Block> = open(path, &columns).unwrap().map(Result::unwrap).collect();
        assert_eq!(
            blocks.iter().map(Block::rows).collect::<Vec<_>>(),
            [BATCH_ROWS, BATCH_ROWS, 5]
        );
        let all = Block::concat(&columns, &blocks);
        assert_eq!(
            all.integer_column(columns.slot(0)),
            (0..count).collect::<Vec<_>>()
        );
    }
    assert_eq!(
        open(&parquet, &columns).unwrap().rows_hint(),
        Some(count as u64)
    );
    assert_eq!(open(&csv, &columns).unwrap().rows_hint(), None);

    let late: ArrayRef = Arc::new(Float64Array::from_iter_values(
        (0..count).map(|n| if n == count - 2 { 0.5 } else { 1.0 }),
    ));
    write_parquet(
        &parquet,
        &[RecordBatch::try_from_iter([("n", late)]).unwrap()],
    );
    let message = lines(&parquet, &columns).unwrap_err();
    assert!(
        message.ends_with(&format!(
            "rows.parquet, row {}, column \"n\": 0.5 is no i64",
            count - 1
        )),
        "{message}"
    );
}

#[test]
fn parquet_types_are_converted_exactly() {
    let strings = || vec![Some("a"), None, Some("")];
    let dictionary: DictionaryArray<Int32Type> = strings().into_iter().collect();
    for (data_type, array, expected) in [
        (
            "text",
            Arc::new(StringArray::from(strings())) as ArrayRef,
            ["\"a\"", "null", "\"\""],
        ),
        (
            "text",
            Arc::new(LargeStringArray::from(strings())),
            ["\"a\"", "null", "\"\""],
        ),
        (
            "text",
            Arc::new(StringViewArray::from(strings())),
            ["\"a\"", "null", "\"\""],
        ),
        ("text", Arc::new(dictionary), ["\"a\"", "null", "\"\""]),
        (
            "text",
            Arc::new(NullArray::new(3)),
            ["null", "null", "null"],
        ),
        (
            "json",
            Arc::new(StringArray::from(vec![Some("{}"), None, Some("1")])),
            ["{}", "null", "1"],
        ),
        (
            "bool",
            Arc::new(BooleanArray::from(vec![Some(true), None, Some(false)])),
            ["true", "null", "false"],
        ),
        (
            "i64",
            Arc::new(Int8Array::from(vec![Some(-1), None, Some(2)])),
            ["-1", "null", "2"],
        ),
        (
            "i64",
            Arc::new(Int32Array::from(vec![Some(i32::MIN), None, Some(2)])),
            ["-2147483648", "null", "2"],
        ),
        (
            "i64",
            Arc::new(UInt64Array::from(vec![Some(1 << 62), None, Some(2)])),
            ["4611686018427387904", "null", "2"],
        ),
        (
            "i64",
            Arc::new(Float64Array::from(vec![Some(-2e18), None, Some(0.0)])),
            ["-2000000000000000000", "null", "0"],
        ),
        (
            "f64",
            Arc::new(Float32Array::from(vec![Some(0.5), None, Some(0.1)])),
            ["0.5", "null", "0.10000000149011612"],
        ),
        (
            "f64",
            Arc::new(Int64Array::from(vec![Some(1 << 53), None, Some(-3)])),
            ["9007199254740992.0", "null", "-3.0"],
        ),
        (
            "timestamp",
            Arc::new(
                TimestampNanosecondArray::from(vec![Some(1_500), None, Some(0)])
                    .with_timezone("America/New_York"),
            ),
            [
                "\"1970-01-01T00:00:00.000001Z\"",
                "null",
                "\"1970-01-01T00:00:00Z\"",
            ],
        ),
        (
            "timestamp",
            Arc::new(TimestampMicrosecondArray::from(vec![
                Some(-1),
                None,
                Some(0),
            ])),
            [
                "\"1969-12-31T23:59:59.999999Z\"",
                "null",
                "\"1970-01-01T00:00:00Z\"",
            ],
        ),
        (
            "timestamp",
            Arc::new(TimestampMillisecondArray::from(vec![
                Some(1),
                None,
                Some(0),
            ])),
            [
                "\"1970-01-01T00:00:00.001Z\"",
                "null",
                "\"1970-01-01T00:00:00Z\"",
            ],
        ),
        (
            "timestamp",
            Arc::new(TimestampSecondArray::from(vec![Some(1), None, Some(0)])),
            [
                "\"1970-01-01T00:00:01Z\"",
                "null",
                "\"1970-01-01T00:00:00Z\"",
            ],
        ),
        (
            "timestamp",
            Arc::new(Date32Array::from(vec![Some(1), None, Some(0)])),
            [
                "\"1970-01-02T00:00:00Z\"",
                "null",
                "\"1970-01-01T00:00:00Z\"",
            ],
        ),
        (
            "timestamp",
            Arc::new(StringArray::from(vec![
                Some("1970-01-01T01:00:00+01:00"),
                None,
                Some("2013-01-01T10:00:00Z"),
            ])),
            [
                "\"1970-01-01T00:00:00Z\"",
                "null",
                "\"2013-01-01T10:00:00Z\"",
            ],
        ),
    ] {
        let what = format!("{data_type} of {}", array.data_type());
        let found =
            of_parquet(vec![("a", array)], &schema(&[("a", data_type, true)])).expect(&what);
        assert_eq!(
            found,
            expected.map(|value| format!("{{\"a\":{value}}}")),
            "{what}"
        );
    }
}

#[test]
fn lists_of_any_kind_without_what_null_rows_hide() {
    let columns = schema(&[("a", "list<f64>", true)]);
    let mut fixed = FixedSizeListBuilder::new(Int64Builder::new(), 2);
    let mut large = LargeListBuilder::new(Int64Builder::new());
    for valid in [true, false, true] {
        fixed.values().append_slice(&[1, 2]);
        fixed.append(valid);
        large.values().append_slice(&[1, 2]);
        large.append(valid);
    }
    for array in [
        Arc::new(fixed.finish()) as ArrayRef,
        Arc::new(large.finish()),
    ] {
        let block = from_arrays(&columns, &[Some(array.clone())], 3).unwrap();
        let items = |row| {
            block
                .items(columns.slot(0), row)
                .map(|at| block.float_item(at))
                .collect::<Vec<_>>()
        };
        assert_eq!(
            [items(0), items(1), items(2)],
            [vec![1.0, 2.0], vec![], vec![1.0, 2.0]]
        );
        let part = from_arrays(&columns, &[Some(array.slice(1, 2))], 2).unwrap();
        assert!(part.same_bits(&block.slice(&columns, 1..3), &columns));
        assert_eq!(part.floats.len(), 2, "the items of null rows are not kept");
    }
}

#[test]
fn parquet_values_that_do_not_fit_are_refused() {
    let mut list = LargeListBuilder::new(StringBuilder::new());
    list.values().append_value("a");
    list.append(true);
    list.append(true);
    list.values().append_null();
    list.append(true);
    for (data_type, array, expected) in [
        (
            "i64",
            Arc::new(Float64Array::from(vec![1.0, 1.5])) as ArrayRef,
            ", row 2, column \"a\": 1.5 is no i64",
        ),
        (
            "i64",
            Arc::new(Float64Array::from(vec![9_223_372_036_854_775_808.0])),
            ", row 1, column \"a\": 9",
        ),
        (
            "i64",
            Arc::new(Float64Array::from(vec![f64::NAN])),
            ", row 1, column \"a\": NaN is no i64",
        ),
        (
            "i64",
            Arc::new(UInt64Array::from(vec![u64::MAX])),
            "18446744073709551615 is too large for an i64",
        ),
        (
            "f64",
            Arc::new(Int64Array::from(vec![(1 << 53) + 1])),
            "no f64 is exactly 9007199254740993",
        ),
        (
            "f64",
            Arc::new(Int64Array::from(vec![i64::MAX])),
            "no f64 is exactly 9223372036854775807",
        ),
        (
            "f64",
            Arc::new(StringArray::from(vec!["1"])),
            ", column \"a\": it is of type Utf8 there, where f64 belongs",
        ),
        (
            "text",
            Arc::new(Int64Array::from(vec![1])),
            ", column \"a\": it is of type Int64 there, where text belongs",
        ),
        (
            "bool",
            Arc::new(Int64Array::from(vec![1])),
            "it is of type Int64 there, where bool belongs",
        ),
        (
            "timestamp",
            Arc::new(Int64Array::from(vec![1])),
            "it is of type Int64 there, where timestamp belongs",
        ),
        (
            "timestamp",
            Arc::new(StringArray::from(vec!["2013-01-01"])),
            ", row 1, column \"a\": \"2013-01-01\" is no RFC",
        ),
        (
            "timestamp",
            Arc::new(TimestampMillisecondArray::from(vec![i64::MAX])),
            "is too large for a timestamp",
        ),
        (
            "json",
            Arc::new(StringArray::from(vec!["{}", "{"])),
            ", row 2, column \"a\": it is no JSON",
        ),
        (
            "text",
            Arc::new(StringArray::from(vec![Some("a"), None])),
            ", row 2, column \"a\": it is null, and may not be",
        ),
        (
            "list<text>",
            Arc::new(list.finish()),
            ", row 3, column \"a\": an item of the list is null",
        ),
        (
            "list<f64>",
            Arc::new(Int64Array::from(vec![1])),
            "it is of type Int64 there, where list<f64> belongs",
        ),
    ] {
        let message =
            of_parquet(vec![("a", array)], &schema(&[("a", data_type, false)])).unwrap_err();
        assert!(
            message.starts_with("rows.parquet") && message.contains(expected),
            "{message}\n{expected}"
        );
    }
    // Where there is no range any float may come, NaN too.
    let odd: ArrayRef = Arc::new(Float64Array::from(vec![f64::NAN]));
    of_parquet(vec![("a", odd.clone())], &schema(&[("a", "f64", false)])).unwrap();
    let origin: ArrayRef = Arc::new(StringArray::from(vec!["EWR"]));
    assert_eq!(
        of_parquet(vec![("temp", odd), ("origin", origin)], &weather()).unwrap_err(),
        "rows.parquet, row 1, column \"temp\": NaN is outside its range -inf to 150"
    );
    let hot: ArrayRef = Arc::new(Float64Array::from(vec![1.0, 151.0]));
    let origin: ArrayRef = Arc::new(StringArray::from(vec!["EWR", "JFK"]));
    let message = of_parquet(vec![("temp", hot), ("origin", origin)], &weather()).unwrap_err();
    assert_eq!(
        message,
        "rows.parquet, row 2, column \"temp\": 151 is outside its range -inf to 150"
    );
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]

    #[test]
    fn blocks_come_back_from_parquet(blocks in prop::collection::vec(any_block(every_type(), 9), 1..4)) {
        let schema = every_type();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rows.parquet");
        let batch = |block: &Block| {
            let columns = schema.fields().iter().zip(schema.slots());
            let arrays = columns.map(|(field, slot)| (&field.name, arrow::to_array(block, field, *slot), field.nullable));
            RecordBatch::try_from_iter_with_nullable(arrays).unwrap()
        };
        write_parquet(&path, &blocks.iter().map(batch).collect::<Vec<_>>());
        let back: Vec<Block> = open(&path, &schema).unwrap().map(Result::unwrap).collect();
        let (back, all) = (Block::concat(&schema, &back), Block::concat(&schema, &blocks));
        prop_assert_eq!(back.first_difference(&all, &schema), None);
    }
}

/// The real files of the demo, where this crate stands in its repository.
#[test]
fn the_flights_are_read() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../demo/flights");
    let flights = schema(&[
        ("carrier", "text", false),
        ("tailnum", "text", true),
        ("scheduled", "timestamp", false),
    ]);
    for (name, columns) in [
        ("flights.parquet", flights),
        (
            "weather.parquet",
            schema(&[
                ("time_hour", "timestamp", false),
                ("wind_gust", "f64", true),
            ]),
        ),
        (
            "planes.parquet",
            schema(&[
                ("tailnum", "text", false),
                ("year", "i64", true),
                ("seats", "i64", true),
            ]),
        ),
        (
            "airports.parquet",
            schema(&[("faa", "text", false), ("lat", "f64", false)]),
        ),
    ] {
        let path = folder.join(name);
        let rows: usize = open(&path, &columns)
            .unwrap()
            .map(|block| block.unwrap().rows())
            .sum();
        assert_eq!(
            Some(rows as u64),
            open(&path, &columns).unwrap().rows_hint()
        );
        assert!(rows > 0);
    }
}

/// Rows, and what is wrong with those that are null for it.
type Forgiven = (Vec<String>, Vec<(usize, String)>);

/// What a forgiving reader gives.
fn forgiven(path: &Path, columns: &Schema) -> Result<Forgiven, String> {
    let reader = forgiving(path, columns).map_err(|error| error.to_string())?;
    let (schema, name) = (reader.schema.clone(), format!("{}, ", path.display()));
    let (mut rows, mut ill) = (Vec::new(), Vec::new());
    for part in reader {
        let (block, wrong) = part.map_err(|error| error.to_string())?;
        ill.extend(wrong.into_iter().map(|wrong| {
            let message = wrong.message.replace(&name, "");
            (rows.len() + wrong.row, message)
        }));
        for row in 0..block.rows() {
            let mut out = Vec::new();
            json::write_row(&block, &schema, row, &mut out);
            rows.push(String::from_utf8(out).unwrap());
        }
    }
    Ok((rows, ill))
}

#[test]
fn a_forgiving_reader_goes_on_after_a_row_that_does_not_fit() {
    let folder = tempfile::tempdir().unwrap();
    let columns = schema(&[("n", "i64", false), ("s", "text", true)]);
    let expected = [
        "{\"n\":1,\"s\":\"a\"}",
        "{\"n\":null,\"s\":null}",
        "{\"n\":null,\"s\":\"c\"}",
        "{\"n\":4,\"s\":null}",
    ];

    let csv = folder.path().join("rows.csv");
    fs::write(&csv, "extra,n,s\nx,1,a\nx,1.5,b\nx,,c\nx,4,\nx,5\n").unwrap();
    let (rows, ill) = forgiven(&csv, &columns).unwrap();
    assert_eq!(rows[..4], expected);
    assert_eq!(rows[4], "{\"n\":null,\"s\":null}");
    assert_eq!(
        ill,
        [
            (
                1,
                "line 3, column \"n\": \"1.5\" stands where i64 belongs".to_owned()
            ),
            (
                4,
                "line 6: it has 2 cells, where the first line has 3".to_owned()
            ),
        ]
    );
    assert_eq!(
        forgiving(&csv, &columns).unwrap().columns,
        ["extra", "n", "s"]
    );

    let ndjson = folder.path().join("rows.ndjson");
    let lines = "{\"n\":1,\"s\":\"a\",\"extra\":0}\n\n{\"s\":\"b\",\"n\":1.5}\n{\"s\":\"c\"}\n{\"n\":4}\n[\n";
    fs::write(&ndjson, lines).unwrap();
    let (rows, ill) = forgiven(&ndjson, &columns).unwrap();
    assert_eq!(rows[..4], expected);
    assert_eq!(ill.iter().map(|(row, _)| *row).collect::<Vec<_>>(), [1, 4]);
    assert!(ill[0].1.starts_with("line 3.n: "), "{ill:?}");
    assert_eq!(
        forgiving(&ndjson, &columns).unwrap().columns,
        ["n", "s", "extra"]
    );

    let parquet = folder.path().join("rows.parquet");
    let n: ArrayRef = Arc::new(Float64Array::from(vec![
        Some(1.0),
        Some(1.5),
        None,
        Some(4.0),
    ]));
    let s: ArrayRef = Arc::new(StringArray::from(vec![
        Some("a"),
        Some("b"),
        Some("c"),
        None,
    ]));
    let batch = RecordBatch::try_from_iter([("n", n), ("s", s)]).unwrap();
    write_parquet(&parquet, &[batch.clone(), batch]);
    let (rows, ill) = forgiven(&parquet, &columns).unwrap();
    assert_eq!(
        (&rows[..4], &rows[4..]),
        (
            &expected.map(str::to_owned)[..],
            &expected.map(str::to_owned)[..]
        )
    );
    assert_eq!(
        ill,
        [2, 6].map(|row| (row - 1, format!("row {row}, column \"n\": 1.5 is no i64")))
    );

    // What no row can mend is an error, before the first row.
    let wrong = forgiven(
        &parquet,
        &schema(&[("n", "text", true), ("s", "text", true)]),
    )
    .unwrap_err();
    assert!(
        wrong.ends_with("column \"n\": it is of type Float64 there, where text belongs"),
        "{wrong}"
    );
    let missing = forgiven(&csv, &schema(&[("n", "i64", false), ("m", "i64", false)])).unwrap_err();
    assert!(
        missing.contains("it has no column \"m\", which may not be null; there are extra, n and s"),
        "{missing}"
    );
}
