//! `tidemill apply`: the features of a file's rows, in each format, whatever the threads, and where rows or files are bad.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tempfile::TempDir;

use super::command_line::{bad, good, tidemill};
use super::support::{file, flights, guest, plugin};

/// A folder with components, by their names.
fn folder(plugins: &[&str], guests: &[&str]) -> TempDir {
    let folder = TempDir::new().expect("a folder");
    let write = |name: &str, bytes: Vec<u8>| {
        let path = folder.path().join(format!("{name}.wasm"));
        std::fs::write(path, bytes).expect("it is written");
    };
    plugins.iter().for_each(|name| write(name, plugin(name)));
    guests.iter().for_each(|name| write(name, guest(name)));
    folder
}

/// `tidemill apply`, where transforms and files are those of the folder.
fn apply(folder: &Path, arguments: &[&str]) -> std::process::Command {
    let mut command = tidemill(&["apply"]);
    command.current_dir(folder).args(arguments);
    // What is compiled is kept beside the components, and not in somebody's home.
    command.env(
        "XDG_CACHE_HOME",
        std::path::absolute(file("target/tidemill")).expect("a path"),
    );
    command
}

fn lines(path: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(path).expect("a file");
    let lines = text.lines();
    lines
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect()
}

/// What is in the folder beside components.
fn files(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).expect("a folder");
    let mut names: Vec<String> = entries
        .map(|entry| {
            entry
                .expect("an entry")
                .file_name()
                .into_string()
                .expect("text")
        })
        .filter(|name| !name.ends_with(".wasm"))
        .collect();
    names.sort();
    names
}

const FLIGHTS: &str = "demo/flights/flights.parquet";

fn demo() -> String {
    file(FLIGHTS).to_str().expect("text").to_owned()
}

#[test]
fn every_format_in_and_out_holds_the_same_features() {
    let folder = folder(&["departure-delay"], &[]);
    let here = folder.path();
    let mut outputs = Vec::new();
    for format in ["parquet", "arrow", "feather", "arrows", "csv", "ndjson"] {
        let middle = format!("middle.{format}");
        good(&mut apply(
            here,
            &[
                "departure-delay.wasm",
                "--in",
                &demo(),
                "--out",
                &middle,
                "--keep-all",
            ],
        ));
        let out = format!("{format}.ndjson");
        let said = good(&mut apply(
            here,
            &[
                "departure-delay.wasm",
                "--in",
                &middle,
                "--out",
                &out,
                "--keep",
                "flight_id,tailnum",
            ],
        ));
        assert!(said.starts_with("5,421 rows of middle."), "{said}");
        outputs.push(std::fs::read_to_string(here.join(out)).expect("a file"));
    }
    assert_eq!(outputs[0].lines().count(), 5_421);
    let first: Value =
        serde_json::from_str(outputs[0].lines().next().expect("a line")).expect("JSON");
    assert_eq!(
        first,
        json!({"flight_id": "US881/2013-10-05/EWR", "tailnum": "N712US", "departure-delay.minutes_late": -7.0,
            "departure-delay.is_late": false, "error": null})
    );
    for output in &outputs[1..] {
        assert!(*output == outputs[0]);
    }
    // A CSV file's cells go along letter by letter.
    good(&mut apply(
        here,
        &[
            "departure-delay.wasm",
            "--in",
            "middle.csv",
            "--out",
            "again.csv",
            "--keep",
            "flight_id,carrier,tailnum,origin,dest,scheduled,departed,arr_delay",
        ],
    ));
    let [middle, again] =
        ["middle.csv", "again.csv"].map(|name| std::fs::read(here.join(name)).expect("a file"));
    assert!(middle == again);
}

#[test]
fn the_servers_transforms_give_the_servers_answers() {
    let folder = TempDir::new().expect("a folder");
    good(
        apply(
            folder.path(),
            &[
                "delay=departure-delay@1",
                "--in",
                &demo(),
                "--out",
                "features.ndjson",
                "--keep-all",
            ],
        )
        .args(["--server", flights().url()]),
    );
    let rows = lines(&folder.path().join("features.ndjson"));
    let fields = [
        "flight_id",
        "carrier",
        "tailnum",
        "origin",
        "dest",
        "scheduled",
        "departed",
    ];
    for rows in rows.chunks(1_000) {
        let asked: Vec<Value> = rows
            .iter()
            .map(|row| {
                fields
                    .iter()
                    .map(|&name| (name.to_owned(), row[name].clone()))
                    .collect()
            })
            .collect();
        let body = json!({ "rows": asked, "features": true }).to_string();
        let answer = flights().post("/v1/services/flight-delay/features", body);
        let results = answer.json["results"].as_array().expect("results");
        assert_eq!(results.len(), rows.len());
        let mut compared = 0;
        for (row, result) in rows.iter().zip(results) {
            for (name, value) in result["features"].as_object().expect("features") {
                if name.starts_with("delay.") {
                    // Numbers are written so that they read back as the same bits.
                    assert_eq!(row[name], *value, "{name} of {}", row["flight_id"]);
                    compared += 1;
                }
            }
        }
        assert!(compared >= rows.len());
    }
}

/// The demo's flights thirteen times over, some of which nobody can read.
fn many(folder: &Path) -> PathBuf {
    good(&mut apply(
        folder,
        &[
            "d=departure-delay.wasm",
            "--in",
            &demo(),
            "--out",
            "once.csv",
            "--keep",
            "flight_id,scheduled,departed,arr_delay",
        ],
    ));
    let once = std::fs::read_to_string(folder.join("once.csv")).expect("a file");
    let (head, rows) = once.split_once('\n').expect("lines");
    let mut all = format!("{head}\n");
    for time in 0..13 {
        for (at, row) in rows.lines().enumerate() {
            if (at + time) % 997 == 0 {
                all.push_str("odd,yesterday,,13,,,\n");
            } else {
                all.push_str(row);
                all.push('\n');
            }
        }
    }
    let path = folder.join("many.csv");
    std::fs::write(&path, all).expect("it is written");
    path
}

#[test]
fn threads_and_batches_change_no_byte() {
    let folder = folder(&["departure-delay", "weather-risk"], &["panics"]);
    let here = folder.path();
    many(here);
    for extension in ["parquet", "arrow", "ndjson"] {
        let mut first: Option<Vec<u8>> = None;
        for (threads, batch) in [("1", "4096"), ("2", "8192"), ("7", "509"), ("3", "40000")] {
            let out = format!("out.{extension}");
            let arguments = [
                "departure-delay.wasm",
                "weather-risk.wasm",
                "panics.wasm",
                "--bind",
                "weather-risk.wind_speed=departure-delay.minutes_late",
                "--bind",
                "weather-risk.temp=",
                "--bind",
                "weather-risk.wind_gust=",
                "--bind",
                "weather-risk.precip=",
                "--bind",
                "weather-risk.visib=",
                "--bind",
                "panics.x=arr_delay",
                "--keep",
                "flight_id,scheduled",
                "--in",
                "many.csv",
                "--out",
                &out,
                "--threads",
                threads,
                "--batch-rows",
                batch,
            ];
            let said = good(&mut apply(here, &arguments));
            assert!(said.starts_with("70,473 rows"), "{said}");
            let bytes = std::fs::read(here.join(&out)).expect("a file");
            match &first {
                None => first = Some(bytes),
                Some(first) => assert!(
                    *first == bytes,
                    "{extension}, {threads} threads, batches of {batch}"
                ),
            }
        }
    }
    let rows = lines(&here.join("out.ndjson"));
    // What fails, fails alone, and what reads from it has no features either.
    let odd = rows
        .iter()
        .find(|row| row["flight_id"] == "odd")
        .expect("an odd row");
    assert!(odd["departure-delay.is_late"].is_null() && odd["weather-risk.risk"].is_null());
    let error = odd["error"].as_str().expect("a reason");
    assert!(
        error.contains("many.csv, line 2, column \"scheduled\": "),
        "{error}"
    );
    let unlucky = rows
        .iter()
        .find(|row| row["error"].to_string().contains("panics"))
        .expect("a trap");
    assert!(unlucky["panics.y"].is_null() && unlucky["departure-delay.is_late"].is_boolean());
    let late = rows
        .iter()
        .find(|row| row["departure-delay.minutes_late"] == 50.0)
        .expect("a late flight");
    assert_eq!(late["weather-risk.risk"], 0.5);
}

#[test]
fn rows_that_fail_are_counted_and_shown() {
    let folder = folder(&[], &["panics", "refuses"]);
    let here = folder.path();
    let rows: String = (0..100)
        .map(|x| format!("{{\"id\": {x}, \"x\": {}}}\n", x % 20))
        .collect();
    std::fs::write(
        here.join("rows.ndjson"),
        format!("{rows}\n{{\"id\": 100, \"x\": \"far\"}}\n{{\"id\": 101}}\n[]\n"),
    )
    .expect("it is written");
    let said = good(&mut apply(
        here,
        &[
            "panics.wasm",
            "refuses.wasm",
            "--in",
            "rows.ndjson",
            "--out",
            "out.csv",
            "--keep",
            "id",
        ],
    ));
    assert!(
        said.contains("8 of them lack features; the column error says why. The first 5:"),
        "{said}"
    );
    assert!(
        said.contains("  row 14: panics: it trapped: it reached an `unreachable` instruction"),
        "{said}"
    );
    assert!(said.contains("; refuses: 13 brings bad luck\n"), "{said}");
    let out = std::fs::read_to_string(here.join("out.csv")).expect("a file");
    let out: Vec<&str> = out.lines().collect();
    assert_eq!(out.len(), 104);
    assert_eq!(&out[..2], ["id,panics.y,refuses.y,error", "0,1.0,1.0,"]);
    assert_eq!(out[13], "12,13.0,13.0,");
    assert!(out[14].starts_with("13,,,\"panics: "), "{}", out[14]);
    assert_eq!(
        out[101],
        "100,,,\"rows.ndjson, line 102.x: text stands where an f64 or null belongs\""
    );
    assert_eq!(
        out[102],
        "101,,,\"panics: \"\"x\"\" is null, and may not be; refuses: \"\"x\"\" is null, and may not be\""
    );
    let words = bad(&mut apply(
        here,
        &[
            "panics.wasm",
            "--in",
            "rows.ndjson",
            "--out",
            "strict.csv",
            "--fail",
        ],
    ));
    assert!(words.contains("row 14: panics: it trapped"), "{words}");
    assert_eq!(files(here), ["out.csv", "rows.ndjson"]);
}

/// Of lines each value is read once: a column that two inputs share, also one that none of the first thousand lines has, and
/// one that is an input and kept, where another value of its row cannot be read.
#[test]
fn a_column_of_lines_serves_all_who_want_it() {
    let folder = folder(&[], &["good"]);
    let here = folder.path();
    let mut rows: String = (0..1_000).map(|id| format!("{{\"id\": {id}}}\n")).collect();
    rows.push_str("{\"id\": 1000, \"late\": 4}\n");
    std::fs::write(here.join("late.ndjson"), rows).expect("it is written");
    let binds = ["--bind", "a.x=late", "--bind", "b.x=late"];
    let run = |name: &str, arguments: &[&str]| {
        let (rows, out) = (format!("{name}.ndjson"), format!("{name}-out.ndjson"));
        let both = ["a=good.wasm", "b=good.wasm", "--in", &rows, "--out", &out];
        good(apply(here, &both).args(arguments));
        lines(&here.join(out))
    };
    let late = run("late", &[&binds[..], &["--keep", "id"]].concat());
    assert_eq!(
        late[1_000],
        json!({"id": 1000, "a.y": 5.0, "b.y": 5.0, "error": null})
    );
    assert!(late[..1_000].iter().all(|row| row["error"].is_string()));

    let rows = "{\"u\": 1, \"v\": 2}\n{\"u\": 3, \"v\": \"far\", \"w\": \"there\"}\n";
    std::fs::write(here.join("ill.ndjson"), rows).expect("it is written");
    let binds = ["--bind", "a.x=u", "--bind", "b.x=v", "--keep", "u,v,w"];
    let ill = run("ill", &binds);
    let kept = |row: &Value| [row["u"].clone(), row["v"].clone(), row["w"].clone()];
    assert_eq!(kept(&ill[0]), [json!(1.0), json!(2.0), Value::Null]);
    assert_eq!(kept(&ill[1]), [json!(3.0), Value::Null, json!("there")]);
    assert!(ill[1]["error"].to_string().contains("ill.ndjson, line 2.v"));
}

#[test]
fn mistakes_are_told_with_what_there_is() {
    let folder = folder(&["departure-delay", "great-circle"], &["good"]);
    let here = folder.path();
    std::fs::write(here.join("rows.csv"), "x,y,y\n1,2,3\n").expect("it is written");
    let run = |transforms: &[&str], more: &[&str]| {
        let mut arguments = transforms.to_vec();
        arguments.extend(["--out", "out.parquet"]);
        arguments.extend(more);
        bad(&mut apply(here, &arguments))
    };
    let demo = demo();
    for (transforms, more, expected) in [
        (
            vec!["great-circle.wasm"],
            vec!["--in", demo.as_str()],
            "input \"from_lat\": ",
        ),
        (
            vec!["great-circle.wasm"],
            vec!["--in", demo.as_str()],
            "flights.parquet has no column \"from_lat\"; there are flight_id, carrier, tailnum, origin, dest, scheduled, departed and arr_delay; bind it with --bind great-circle.from_lat=COLUMN, or to nothing for null",
        ),
        (
            vec!["good.wasm"],
            vec!["--in", demo.as_str(), "--bind", "good.x=origin"],
            "flights.parquet, column \"origin\": it is of type Utf8 there, where f64 belongs",
        ),
        (
            vec!["good.wasm"],
            vec!["--in", demo.as_str(), "--bind", "good.x="],
            "it may not be null",
        ),
        (
            vec!["good.wasm"],
            vec!["--in", demo.as_str(), "--bind", "bad.x=origin"],
            "there is no transform \"bad\"; there is good",
        ),
        (
            vec!["good.wasm"],
            vec!["--in", demo.as_str(), "--bind", "good.z=origin"],
            "good@1.0.0 has no input \"z\"; there is x",
        ),
        (
            vec!["good.wasm"],
            vec!["--in", demo.as_str(), "--bind", "x=origin"],
            "no binding such as",
        ),
        (
            vec!["a=good.wasm", "b=good.wasm"],
            vec![
                "--in",
                demo.as_str(),
                "--bind",
                "a.x=b.y",
                "--bind",
                "b.x=a.y",
            ],
            "a, b wait for one another in a circle",
        ),
        (
            vec!["a=good.wasm", "b=good.wasm"],
            vec!["--in", "rows.csv", "--bind", "a.x=b.q"],
            "good@1.0.0 has no output \"q\"; there is y",
        ),
        (
            vec!["good.wasm", "good.wasm"],
            vec!["--in", "rows.csv"],
            "two transforms have this name",
        ),
        (
            vec!["good.wasm"],
            vec!["--in", "rows.csv", "--keep", "z"],
            "rows.csv has no column \"z\"; there are x, y and y",
        ),
        (
            vec!["good.wasm"],
            vec!["--in", "rows.csv", "--keep", "y"],
            "rows.csv has two columns \"y\"",
        ),
        (
            vec!["good.wasm"],
            vec!["--in", "rows.txt"],
            "rows are read from files named .parquet",
        ),
        (
            vec!["good.wasm"],
            vec!["--in", "none.csv"],
            "none.csv: cannot be opened",
        ),
        (
            vec!["better.wasm"],
            vec!["--in", "rows.csv"],
            "cannot read better.wasm",
        ),
        (
            vec!["rows.csv"],
            vec!["--in", "rows.csv", "--server", "http://127.0.0.1:1"],
            "start a server with",
        ),
        (
            vec!["good@1"],
            vec!["--in", "rows.csv", "--data-dir", "."],
            ". is no data folder of Tidemill",
        ),
    ] {
        let words = run(&transforms, &more);
        assert!(words.contains(expected), "{transforms:?} {more:?}: {words}");
    }
    let words = bad(&mut apply(
        here,
        &["good.wasm", "--in", "rows.csv", "--out", "out.txt"],
    ));
    assert!(
        words.contains("rows are written to files named .parquet"),
        "{words}"
    );
    let words = bad(&mut apply(
        here,
        &["good.wasm", "--in", "rows.csv", "--out", "no/where/out.csv"],
    ));
    assert!(
        words.contains("no/where/out.csv: it cannot be written"),
        "{words}"
    );
    assert_eq!(files(here), ["rows.csv"]);
}

#[test]
fn files_that_are_damaged_leave_nothing_behind() {
    let folder = folder(&["departure-delay"], &["good"]);
    let here = folder.path();
    let arguments =
        |input: &'static str| ["departure-delay.wasm", "--in", input, "--out", "out.arrow"];
    let whole = std::fs::read(file(FLIGHTS)).expect("a file");
    let write =
        |name: &str, bytes: &[u8]| std::fs::write(here.join(name), bytes).expect("it is written");
    write("cut.parquet", &whole[..whole.len() / 2]);
    // The end is there, the middle is not.
    let mut holed = whole.clone();
    holed[1_000..80_000].fill(0xa5);
    write("holed.parquet", &holed);
    good(&mut apply(
        here,
        &[
            "n=departure-delay.wasm",
            "--in",
            &demo(),
            "--out",
            "whole.arrows",
            "--keep-all",
        ],
    ));
    let stream = std::fs::read(here.join("whole.arrows")).expect("a file");
    std::fs::remove_file(here.join("whole.arrows")).expect("it is there");
    write("cut.arrows", &stream[..stream.len() / 2]);
    for name in ["empty.parquet", "empty.arrow", "empty.csv", "empty.ndjson"] {
        write(name, b"");
    }
    let before = files(here);
    for (name, expected) in [
        (
            "cut.parquet",
            "cut.parquet: it is no Parquet file that can be read",
        ),
        ("holed.parquet", "it cannot be read"),
        ("cut.arrows", "it cannot be read"),
        (
            "empty.parquet",
            "empty.parquet: it is no Parquet file that can be read",
        ),
        (
            "empty.arrow",
            "empty.arrow: it is no Arrow file that can be read",
        ),
        (
            "empty.csv",
            "empty.csv: it has no first line with the names of its columns",
        ),
        (
            "empty.ndjson",
            "empty.ndjson: it has no rows, so nothing says which columns there are",
        ),
    ] {
        let words = bad(&mut apply(here, &arguments(name)));
        assert!(words.contains(expected), "{name}: {words}");
    }
    assert_eq!(files(here), before);

    // Columns without rows are a file all the same, and a cell that is no text is its row's own.
    write("none.csv", b"scheduled,departed\n");
    good(&mut apply(
        here,
        &[
            "departure-delay.wasm",
            "--in",
            "none.csv",
            "--out",
            "none.parquet",
            "--keep-all",
        ],
    ));
    good(&mut apply(
        here,
        &[
            "n=departure-delay.wasm",
            "--in",
            "none.parquet",
            "--out",
            "none.ndjson",
            "--keep-all",
        ],
    ));
    assert_eq!(
        std::fs::read(here.join("none.ndjson")).expect("a file"),
        b""
    );
    write("odd.csv", b"id,x\na,1\n\xff,2\nb,\xff\nc,4,5\nd,6\n");
    let said = good(&mut apply(
        here,
        &[
            "good.wasm",
            "--in",
            "odd.csv",
            "--out",
            "odd.ndjson",
            "--keep",
            "id",
        ],
    ));
    assert!(said.starts_with("5 rows"), "{said}");
    assert_eq!(
        lines(&here.join("odd.ndjson")),
        [
            json!({"id": "a", "good.y": 2.0, "error": null}),
            json!({"id": null, "good.y": null, "error": "odd.csv, line 3, column \"id\": it is no UTF-8"}),
            json!({"id": "b", "good.y": null, "error": "odd.csv, line 4, column \"x\": it is no UTF-8"}),
            json!({"id": null, "good.y": null, "error": "odd.csv, line 5: it has 3 cells, where the first line has 2"}),
            json!({"id": "d", "good.y": 7.0, "error": null}),
        ]
    );
}
