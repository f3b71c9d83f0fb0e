use std::fs;

use super::*;

struct Log {
    dir: tempfile::TempDir,
    db: sled::Db,
}

impl Log {
    fn new() -> Log {
        Log {
            dir: tempfile::tempdir().unwrap(),
            db: sled::Config::new().temporary(true).open().unwrap(),
        }
    }

    fn open(&self) -> Audit {
        Audit::open(&self.path(), &self.db).unwrap()
    }

    fn path(&self) -> PathBuf {
        self.dir.path().join("audit")
    }

    /// The one file there is.
    fn file(&self) -> PathBuf {
        let names = files::names(&self.path()).unwrap();
        assert_eq!(names.len(), 1, "{names:?}");
        self.path().join(&names[0])
    }

    fn verified(&self) -> Verified {
        verify(&self.path(), None).unwrap()
    }

    fn found(&self, query: &Query) -> (Vec<u64>, Option<u64>) {
        let page = page(&self.path(), query).unwrap();
        let seqs = page
            .lines
            .iter()
            .map(|line| serde_json::from_str::<Line>(line.get()).unwrap().seq);
        (seqs.collect(), page.earlier)
    }
}

fn entry(action: &str, subject: &str) -> Entry {
    Entry::new(&Principal::loopback(), "127.0.0.1", action, subject)
}

fn write(audit: &Audit, action: &str, subject: &str) -> u64 {
    audit
        .end(entry(action, subject))
        .blocking_recv()
        .unwrap()
        .unwrap()
}

fn all() -> Query {
    Query {
        limit: 100,
        ..Query::default()
    }
}

#[test]
fn lines_are_numbered_chained_and_go_on_after_a_restart() {
    let log = Log::new();
    for round in 0..2 {
        let audit = log.open();
        assert_eq!(
            write(&audit, "transform.register", "a@1.0.0"),
            2 * round + 1
        );
        assert_eq!(write(&audit, "view.register", "plane"), 2 * round + 2);
        assert_eq!(verify(&log.path(), Some(&audit.head())).unwrap().bad, None);
    }
    let text = fs::read_to_string(log.file()).unwrap();
    let first = text.lines().next().unwrap();
    let at = &serde_json::from_str::<serde_json::Value>(first).unwrap()["at"];
    assert_eq!(
        first,
        format!(
            "{{\"seq\":1,\"at\":{at},\"who\":\"loopback\",\"role\":\"admin\",\"from\":\"127.0.0.1\",\
             \"action\":\"transform.register\",\"subject\":\"a@1.0.0\",\"digest\":null,\"outcome\":\"ok\",\
             \"detail\":null,\"begun\":null,\"previous\":\"{}\"}}",
            "0".repeat(64)
        )
    );
    assert_eq!((log.verified().lines, log.verified().bad), (4, None));
}

#[test]
fn an_edited_or_removed_line_shows() {
    let log = Log::new();
    let audit = log.open();
    for n in 1..=4 {
        write(&audit, "view.register", &format!("view-{n}"));
    }
    let (file, head) = (log.file(), audit.head());
    let whole = fs::read_to_string(&file).unwrap();
    let lines: Vec<&str> = whole.lines().collect();
    let bad = |text: String| {
        fs::write(&file, text).unwrap();
        let bad = verify(&log.path(), Some(&head)).unwrap().bad.unwrap();
        (bad.line, bad.reason)
    };
    let (line, reason) = bad(whole.replace("view-2", "view-9"));
    assert!(line == 2 && reason.contains("it was edited"), "{reason}");
    let (line, reason) = bad(whole.replace("view-4", "view-9"));
    assert!(line == 4 && reason.contains("the server knows"), "{reason}");
    let (line, reason) = bad(format!("{}\n{}\n{}\n", lines[0], lines[2], lines[3]));
    assert!(
        line == 2 && reason.contains("line 3 of the log follows line 1"),
        "{reason}"
    );
    let (line, reason) = bad(format!("{}\n{}\n", lines[0], lines[1]));
    assert!(
        line == 2 && reason.contains("the end was removed"),
        "{reason}"
    );
    let (line, reason) = bad(format!("{}\n{}\n", lines[1], lines[2]));
    assert!(line == 1 && reason.contains("follows line 0"), "{reason}");
    let (line, reason) = bad(whole.replace(lines[1], "{}"));
    assert!(
        line == 2 && reason.contains("no line of the log"),
        "{reason}"
    );
    fs::write(&file, whole).unwrap();
    assert_eq!(verify(&log.path(), Some(&head)).unwrap().bad, None);
}

#[test]
fn an_end_removed_while_the_server_was_stopped_shows_for_ever() {
    let log = Log::new();
    let audit = log.open();
    for n in 1..=3 {
        write(&audit, "view.register", &format!("view-{n}"));
    }
    drop(audit);
    let whole = fs::read_to_string(log.file()).unwrap();
    let end = whole.trim_end().rfind('\n').unwrap() + 1;
    fs::write(log.file(), &whole[..end]).unwrap();
    let audit = log.open();
    assert_eq!(write(&audit, "view.register", "later"), 5);
    let (seqs, _) = log.found(&all());
    assert_eq!(seqs, [1, 2, 4, 5]);
    let bad = log.verified().bad.unwrap();
    assert!(
        bad.line == 3 && bad.reason.contains("follows line 2"),
        "{bad:?}"
    );
    let note = fs::read_to_string(log.file()).unwrap();
    assert!(note.contains("log.gap"), "{note}");
}

#[test]
fn half_a_line_is_kept_aside_and_the_chain_goes_on() {
    let log = Log::new();
    write(&log.open(), "view.register", "plane");
    let whole = fs::read(log.file()).unwrap();
    // What crashes leave: half a line, zeros where the disk got the length and not the bytes, and a file with nothing else.
    for (at, left) in [&whole[..whole.len() / 2], &[0; 700][..], b"{"]
        .iter()
        .enumerate()
    {
        let mut text = fs::read(log.file()).unwrap();
        text.extend(*left);
        fs::write(log.file(), text).unwrap();
        let audit = log.open();
        let seq = write(&audit, "view.register", "airport");
        assert_eq!(seq, 3 + 2 * at as u64, "a line says what was cut");
        assert_eq!(verify(&log.path(), Some(&audit.head())).unwrap().bad, None);
        let aside = fs::read_dir(log.path())
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.extension().is_some_and(|end| end == "txt"))
            .any(|path| fs::read(path).unwrap() == *left);
        assert!(aside);
    }
    let next_month = log.path().join("2999-01.ndjson");
    fs::write(&next_month, "{\"seq\":").unwrap();
    let audit = log.open();
    assert_eq!(write(&audit, "view.register", "weather"), 9);
    assert_eq!((log.verified().lines, log.verified().bad), (9, None));
    let cut = Query {
        action: Some("log".to_owned()),
        ..all()
    };
    assert_eq!(log.found(&cut).0, [2, 4, 6, 8]);
}

#[test]
fn a_log_that_cannot_be_written_says_so_and_owes_what_happened() {
    let log = Log::new();
    let audit = log.open();
    write(&audit, "view.register", "plane");
    let (path, away) = (log.path(), log.dir.path().join("away"));
    fs::rename(&path, &away).unwrap();
    let told = audit
        .begin(entry("view.register", "never"))
        .blocking_recv()
        .unwrap()
        .unwrap_err();
    assert!(told.contains("No such file"), "{told}");
    let told = audit.end(entry("view.register", "happened"));
    assert!(told.blocking_recv().unwrap().is_err());
    assert!(audit.is_failing());
    fs::rename(&away, &path).unwrap();
    assert_eq!(
        write(&audit, "view.register", "later"),
        3,
        "behind what was owed"
    );
    assert!(!audit.is_failing());
    let text = fs::read_to_string(log.file()).unwrap();
    assert!(
        text.contains("happened") && !text.contains("never"),
        "{text}"
    );
    assert_eq!(verify(&path, Some(&audit.head())).unwrap().bad, None);
}

#[test]
fn pages_and_filters() {
    let log = Log::new();
    let audit = log.open();
    for n in 1..=5 {
        let mut line = entry("service.register", &format!("flights@{n}"));
        line.outcome = BEGUN.to_owned();
        let begun = audit.begin(line).blocking_recv().unwrap().unwrap();
        if n != 3 {
            let mut line = entry("service.register", &format!("flights@{n}"));
            line.begun = Some(begun);
            audit.end(line).blocking_recv().unwrap().unwrap();
        }
    }
    write(&audit, "token.create", "ci");
    assert_eq!(
        log.found(&all()),
        (vec![2, 4, 5, 7, 9, 10], None),
        "5 began and nobody knows its end"
    );
    let page = |before| {
        log.found(&Query {
            limit: 2,
            before,
            ..Query::default()
        })
    };
    assert_eq!(page(None), (vec![9, 10], Some(9)));
    assert_eq!(page(Some(9)), (vec![5, 7], Some(5)));
    assert_eq!(page(Some(5)), (vec![2, 4], None));
    let by = |change: fn(&mut Query)| {
        let mut query = all();
        change(&mut query);
        log.found(&query).0
    };
    assert_eq!(by(|q| q.action = Some("token".to_owned())), [10]);
    assert_eq!(by(|q| q.action = Some("tok".to_owned())), [0u64; 0]);
    assert_eq!(by(|q| q.subject = Some("flights@4".to_owned())), [7]);
    assert_eq!(by(|q| q.subject = Some("flights".to_owned())).len(), 5);
    assert_eq!(by(|q| q.who = Some("ada".to_owned())), [0u64; 0]);
    assert_eq!(by(|q| q.since = Some(Timestamp::MAX)), [0u64; 0]);
}

#[test]
fn the_chain_goes_over_the_end_of_a_month() {
    let log = Log::new();
    let mut files = Files::open(&log.path(), &log.db).unwrap();
    for at in [
        "2026-01-31T23:59:59Z",
        "2026-02-01T00:00:00Z",
        "2026-01-31T23:59:59Z",
    ] {
        files
            .append(&[(at.parse().unwrap(), entry("view.register", "plane"))])
            .unwrap();
    }
    let names = files::names(&log.path()).unwrap();
    assert_eq!(names, ["2026-01.ndjson", "2026-02.ndjson"]);
    assert_eq!((log.verified().lines, log.verified().bad), (3, None));
    assert_eq!(log.found(&all()).0, [1, 2, 3]);
    fs::remove_file(log.path().join("2026-01.ndjson")).unwrap();
    assert!(log.verified().bad.is_some());
}

#[test]
fn what_a_stranger_sends_is_cut() {
    let log = Log::new();
    let audit = log.open();
    let mut line = entry("view.register", &"ü\u{1b}[31m".repeat(10_000));
    line.detail = Some("\n".repeat(10_000));
    audit.turned_away(line).blocking_recv().unwrap().unwrap();
    let text = fs::read(log.file()).unwrap();
    assert!(
        text.len() < 5_000 && !text.contains(&0x1b),
        "{}",
        text.len()
    );
    assert_eq!(log.verified().lines, 1);
}
