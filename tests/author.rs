//! From sources in a repository to versions in a registry: what a component says of itself, and how versions compare.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use super::command_line::{bad, good, tidemill};
use super::support::{Server, file, guest};

fn git(folder: &Path, arguments: &[&str]) -> String {
    let mut git = Command::new("git");
    git.current_dir(folder).args(arguments);
    good(&mut git).trim().to_owned()
}

/// A repository with a project in a folder of it, committed, and something beside it.
struct Repository {
    root: tempfile::TempDir,
    project: PathBuf,
}

impl Repository {
    fn new(name: &str) -> Repository {
        let root = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
        let project = root.path().join("project");
        good(tidemill(&["transform", "new", name, "--dir"]).arg(&project));
        let repository = Repository { root, project };
        let root = repository.root.path();
        git(root, &["init", "--quiet"]);
        git(root, &["config", "user.name", "Ann"]);
        git(root, &["config", "user.email", "ann@example.com"]);
        git(root, &["config", "commit.gpgsign", "false"]);
        git(
            root,
            &[
                "remote",
                "add",
                "origin",
                "https://ann:s3cret@example.com/ann/speeds.git",
            ],
        );
        // As it will be after a first build, which writes it.
        good(
            Command::new("cargo")
                .current_dir(&repository.project)
                .args(["generate-lockfile", "--offline"]),
        );
        repository.commit("one");
        repository
    }

    fn commit(&self, message: &str) -> String {
        git(self.root.path(), &["add", "."]);
        git(
            self.root.path(),
            &["commit", "--quiet", "--allow-empty", "-m", message],
        );
        git(self.root.path(), &["rev-parse", "HEAD"])
    }

    fn write(&self, path: &str, text: &str) {
        std::fs::write(self.root.path().join(path), text).expect("it is written");
    }

    fn replace(&self, path: &str, from: &str, to: &str) {
        let path = self.project.join(path);
        let text = std::fs::read_to_string(&path).expect("a file");
        assert!(text.contains(from), "{from} is not in {text}");
        std::fs::write(path, text.replace(from, to)).expect("it is written");
    }

    fn build(&self, name: &str, more: &[&str]) -> (PathBuf, Vec<u8>) {
        let target = file("target/tidemill");
        good(
            tidemill(&["transform", "build"])
                .arg(&self.project)
                .arg("--target-dir")
                .arg(&target)
                .args(more),
        );
        let path = target.join(format!("components/{name}.wasm"));
        let bytes = std::fs::read(&path).expect("a component");
        (path, bytes)
    }
}

/// The pairs of a provenance by their keys.
fn pairs(shown: &Value) -> Value {
    let pairs = shown["provenance"].as_array().expect("pairs");
    let object: serde_json::Map<String, Value> = pairs
        .iter()
        .map(|pair| (pair[0].as_str().expect("a key").to_owned(), pair[1].clone()))
        .collect();
    assert_eq!(object.len(), pairs.len(), "a key stands there twice");
    Value::Object(object)
}

#[test]
fn a_component_says_where_it_comes_from_and_the_same_commit_gives_the_same_bytes() {
    let repository = Repository::new("speed-of-ann");
    let commit = git(repository.root.path(), &["rev-parse", "HEAD"]);
    repository.write("project/.env", "TOKEN=s3cret");
    repository.write(".gitignore", ".env\n");
    let (path, first) = repository.build("speed-of-ann", &["--with-source"]);
    let (_, again) = repository.build("speed-of-ann", &["--with-source"]);
    assert!(first == again, "a second build gave other bytes");
    // A commit elsewhere, and from another folder of the file system.
    repository.write("README.md", "Speeds.");
    assert_ne!(repository.commit("elsewhere"), commit);
    let (_, again) = repository.build("speed-of-ann", &["--with-source"]);
    assert!(first == again, "a commit elsewhere gave other bytes");

    let server = Server::start(|_| {});
    server.admit(&first);
    let shown = server.get("/v1/transforms/speed-of-ann").json;
    let provenance = pairs(&shown);
    let expected = json!({
        "crate": "speed-of-ann 0.1.0",
        "sdk": "0.1.0",
        "contract": "0.1.0",
        "rustc": provenance["rustc"],
        "tidemill": env!("CARGO_PKG_VERSION"),
        "commit": commit,
        "tree": "clean",
        "remote": "https://example.com/ann/speeds.git",
    });
    assert_eq!(provenance, expected);
    assert!(
        provenance["rustc"]
            .as_str()
            .is_some_and(|rustc| rustc.starts_with("1."))
    );
    for text in ["s3cret", repository.root.path().to_str().expect("a path")] {
        let found = first
            .windows(text.len())
            .any(|bytes| bytes == text.as_bytes());
        assert!(!found, "{text} is in the component");
    }

    // The bytes come back, and so does the source.
    let (status, content_type, bytes) =
        server.get_bytes("/v1/transforms/speed-of-ann@0.1.0/component");
    assert_eq!((status, content_type.as_str()), (200, "application/wasm"));
    assert!(bytes == first);
    let (status, content_type, archive) =
        server.get_bytes("/v1/transforms/speed-of-ann@0.1.0/source");
    assert_eq!((status, content_type.as_str()), (200, "application/zstd"));
    assert_eq!(shown["source_bytes"], json!(archive.len()));
    let out = repository.root.path().join("out");
    let unpack = || {
        let mut source = tidemill(&["transform", "source", "speed-of-ann@0.1.0", "--out"]);
        source.arg(&out).args(["--server", server.url()]);
        source
    };
    let said = good(&mut unpack());
    assert!(said.starts_with("4 files in "), "{said}");
    for path in ["Cargo.toml", "Cargo.lock", "src/lib.rs", ".gitignore"] {
        let read = |root: &Path| std::fs::read(root.join(path)).expect("a file");
        assert_eq!(
            read(&out.join("speed-of-ann-0.1.0")),
            read(&repository.project),
            "{path}"
        );
    }
    let again = bad(&mut unpack());
    assert!(again.contains("is there already"), "{again}");

    // At home the same is shown.
    let checked = good(tidemill(&["transform", "check"]).arg(&path));
    assert!(
        checked.contains(&format!("commit: {commit}")) && checked.contains("source: "),
        "{checked}"
    );
    // What is not committed is told; without the option there is no source.
    repository.replace("src/lib.rs", "Mean speed", "The mean speed");
    let (_, changed) = repository.build("speed-of-ann", &[]);
    let other = Server::start(|_| {});
    other.admit(&changed);
    assert_eq!(
        pairs(&other.get("/v1/transforms/speed-of-ann").json)["tree"],
        json!("changed")
    );
    let none = other.get("/v1/transforms/speed-of-ann/source");
    assert_eq!(
        (none.status, &none.json["kind"]),
        (404, &json!("source archive"))
    );
    // The manifest may ask for it too.
    repository.replace(
        "Cargo.toml",
        "publish = false",
        "publish = false\n\n[package.metadata.tidemill]\nsource = true",
    );
    repository.replace("Cargo.toml", "0.1.0", "0.1.1");
    other.admit(&repository.build("speed-of-ann", &[]).1);
    assert!(other.get("/v1/transforms/speed-of-ann@0.1.1").json["source_bytes"].is_u64());
}

#[test]
fn versions_are_compared_when_they_are_registered_and_whenever_asked() {
    let repository = Repository::new("speed-of-bob");
    let server = Server::start(|_| {});
    let register = || {
        let (path, _) = repository.build("speed-of-bob", &[]);
        good(
            tidemill(&["transform", "register"])
                .arg(path)
                .args(["--server", server.url()]),
        )
    };
    let first = register();
    assert!(!first.contains("compared with"), "{first}");
    let alone = server.get("/v1/transforms/speed-of-bob/diff");
    assert_eq!(
        (alone.status, &alone.json["field"]),
        (400, &json!("against")),
        "{}",
        alone.text
    );

    // Half an hour is added under another number of the third place, and a column goes.
    repository.replace("Cargo.toml", "version = \"0.1.0\"", "version = \"0.1.1\"");
    repository.replace(
        "src/lib.rs",
        "trip.distance / hours",
        "trip.distance / hours + 3.5",
    );
    repository.replace("src/lib.rs", "    pub is_over: bool,\n", "");
    repository.replace("src/lib.rs", ", is_over: false", "");
    repository.replace("src/lib.rs", ", is_over: true", "");
    repository.replace(
        "src/lib.rs",
        "    pub distance: f64,",
        "    pub distance: f64,\n    pub driver: Option<i64>,",
    );
    let said = register();
    for line in [
        "compared with speed-of-bob@0.1.0:",
        "changed: input \"driver\" is new and may be null",
        "breaking: output \"is_over\" is gone",
        "mean_speed differs on ",
        "warning: 0.1.1 breaks what 0.1.0 promised, and its number does not say so: 0.2.0 would",
    ] {
        assert!(said.contains(line), "{said}\n{line}");
    }
    let kept = server.get("/v1/transforms/speed-of-bob@0.1.1").json["diff"].take();
    let asked = server.get("/v1/transforms/speed-of-bob@0.1.1/diff?against=speed-of-bob@0.1.0");
    assert_eq!((asked.status, &asked.json), (200, &kept));
    let speed = &kept["outputs"][0];
    assert_eq!(
        (&speed["output"], &kept["breaking"]),
        (&json!("mean_speed"), &json!(true))
    );
    assert_eq!(kept["outputs"].as_array().map(Vec::len), Some(1));
    let most = speed["largest_absolute"].as_f64().expect("a number");
    assert!((3.49..3.51).contains(&most), "{speed}");
    let share = speed["share"].as_f64().expect("a share");
    assert!(0.1 < share && share < 1.0, "{speed}");
    assert!(speed["example"]["row"]["distance"].is_number(), "{speed}");

    let told = good(&mut tidemill(&[
        "transform",
        "diff",
        "speed-of-bob@0.1.0",
        "speed-of-bob@0.1.1",
        "--server",
        server.url(),
    ]));
    assert!(said.contains(told.trim()), "{said}\n{told}");
    let shown = good(&mut tidemill(&[
        "transform",
        "show",
        "speed-of-bob",
        "--server",
        server.url(),
    ]));
    assert!(
        shown.contains(told.trim()) && shown.contains("admitted: 2000 rows"),
        "{shown}"
    );
    // Backwards, and between two that have nothing to do with each other.
    let back = server
        .get("/v1/transforms/speed-of-bob@0.1.0/diff?against=speed-of-bob@0.1.1")
        .json;
    assert_eq!(back["outputs"][0]["rows"], speed["rows"]);
    server.admit(&guest("good"));
    let unlike = server
        .get("/v1/transforms/good/diff?against=speed-of-bob")
        .json;
    assert_eq!(
        (&unlike["breaking"], &unlike["outputs"]),
        (&json!(true), &json!([]))
    );
    let missing = server.get("/v1/transforms/good/diff?against=gone@1.0.0");
    assert_eq!(missing.status, 404);
    let typo = server.get("/v1/transforms/good/diff?agianst=good");
    assert_eq!((typo.status, &typo.json["field"]), (400, &json!("against")));
}

#[test]
fn a_component_with_false_papers_is_refused() {
    use tidemill::transform::sections::{PROVENANCE, SOURCE, append};
    let server = Server::start(|_| {});
    let papers = |name: &str, data: &[u8]| {
        let mut bytes = guest("text-echo");
        append(&mut bytes, name, data);
        let answer = server.post_as("/v1/transforms", "application/wasm", bytes);
        assert_eq!(answer.status, 422, "{}", answer.text);
        answer.json["detail"].as_str().expect("a detail").to_owned()
    };
    // It has one already.
    let detail = papers(PROVENANCE, b"{}");
    assert!(
        detail.contains("it has two sections `tidemill.provenance`"),
        "{detail}"
    );
    let detail = papers(SOURCE, b"no archive");
    assert!(detail.contains("it is no tar archive"), "{detail}");
    let detail = papers(SOURCE, &vec![0; 5 << 20]);
    assert!(detail.contains("over the limit of 4194304"), "{detail}");
    assert_eq!(
        server.get("/v1/transforms").json,
        json!({ "transforms": [] })
    );
}
