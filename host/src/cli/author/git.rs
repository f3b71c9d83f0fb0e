//! What git knows of a project's folder. Where there is no git, or no repository, it knows nothing, and that is no error.

use std::ffi::OsStr;
use std::path::Path;
use std::process::Command;

/// Where a project's sources stand in a repository.
#[derive(Debug, PartialEq, Eq)]
pub struct Standing {
    /// The last commit that touched the folder: one that did not changes nothing of the component's bytes.
    pub commit: String,
    /// Whether the folder holds what that commit left in it, and nothing else but what is ignored.
    pub clean: bool,
    /// Where the repository comes from, without credentials.
    pub remote: Option<String>,
}

impl Standing {
    /// Of a folder with a commit. A shallow clone has none: it cannot tell which commit was the last to touch a folder.
    pub fn of(folder: &Path) -> Option<Standing> {
        if text(folder, ["rev-parse", "--is-shallow-repository"])?.trim() != "false" {
            return None;
        }
        let commit = text(folder, ["log", "-1", "--format=%H", "--", "."])?;
        let commit = commit.trim();
        if commit.is_empty() {
            return None;
        }
        let status = [
            "status",
            "--porcelain",
            "--untracked-files=normal",
            "--",
            ".",
            ":(exclude)target",
        ];
        let clean = text(folder, status)?.is_empty();
        let url = text(folder, ["config", "--get", "remote.origin.url"]);
        Some(Standing {
            commit: commit.to_owned(),
            clean,
            remote: url.and_then(|url| public(url.trim())),
        })
    }
}

/// The files of a folder that are the author's: those git tracks, and new ones that it would. Relative, with `/`. Left
/// out are what `.gitignore` names, tracked or not, and new files with a dot in front, which may be anybody's secrets.
/// None without git.
pub fn files(folder: &Path) -> Option<Vec<String>> {
    let is_known = run(git(folder).args(["rev-parse", "--is-inside-work-tree"])).is_some();
    // Ignored by a repository around it, a folder is as if there were none.
    if is_known && run(git(folder).args(["check-ignore", "-q", "."])).is_none() {
        let list = |which: &[&str]| names(git(folder).args(["ls-files", "-z"]).args(which));
        let ignored = list(&["--cached", "--ignored", "--exclude-standard"])?;
        let mut files = list(&["--cached"])?;
        files.retain(|file| !ignored.contains(file));
        files.extend(new_ones(list(&["--others", "--exclude-standard"])?));
        files.sort();
        files.dedup();
        return Some(files);
    }
    // Git reads .gitignore only for a repository, so it gets one, elsewhere and empty.
    let elsewhere = tempfile::tempdir().ok()?;
    run(git(elsewhere.path()).args(["init", "--quiet", "--bare"]))?;
    let listed = names(
        git(folder)
            .env("GIT_DIR", elsewhere.path())
            .env("GIT_WORK_TREE", folder.canonicalize().ok()?)
            .args(["-c", "core.bare=false"])
            .args(["ls-files", "-z", "--others", "--exclude-standard"]),
    )?;
    Some(new_ones(listed))
}

fn new_ones(mut files: Vec<String>) -> Vec<String> {
    const PLAIN: [&str; 2] = [".gitignore", ".cargo/config.toml"];
    // A name that ends with a slash is a repository within this one.
    files.retain(|file| {
        PLAIN.contains(&file.as_str())
            || !file.ends_with('/') && !file.split('/').any(|part| part.starts_with('.'))
    });
    files
}

fn names(command: &mut Command) -> Option<Vec<String>> {
    let text = String::from_utf8(run(command)?).ok()?;
    Some(
        text.split('\0')
            .filter(|name| !name.is_empty())
            .map(str::to_owned)
            .collect(),
    )
}

fn text<const N: usize>(folder: &Path, arguments: [&str; N]) -> Option<String> {
    String::from_utf8(run(git(folder).args(arguments))?).ok()
}

/// What a good run prints.
fn run(command: &mut Command) -> Option<Vec<u8>> {
    let output = command.output().ok()?;
    output.status.success().then_some(output.stdout)
}

/// Git in a folder, asked of that folder's repository, whatever the environment says: a hook's would name another.
fn git(folder: &Path) -> Command {
    let mut git = Command::new("git");
    git.current_dir(folder);
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(|name| name.starts_with("GIT_")) {
            git.env_remove(&name);
        }
    }
    // Reading should not write, and not wait for who does.
    git.env("GIT_OPTIONAL_LOCKS", "0")
        .env("LC_ALL", OsStr::new("C"));
    git
}

/// A remote's address as anybody may read it: no user and password, no query. None of a folder on this machine.
fn public(url: &str) -> Option<String> {
    if url.is_empty() || url.chars().any(char::is_control) {
        return None;
    }
    let Some((scheme, rest)) = url.split_once("://") else {
        // `git@host:path`; a path has a slash before its first colon, or no colon.
        let (host, path) = url.split_once(':')?;
        let is_path = host.contains(['/', '\\']) || host.len() < 2 || path.starts_with(':');
        return (!is_path).then(|| url.to_owned());
    };
    if !["http", "https", "ssh", "git"].contains(&scheme) {
        return None;
    }
    let rest = rest.split(['?', '#']).next().unwrap_or_default();
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    let (user, host) = authority.rsplit_once('@').unwrap_or(("", authority));
    // The user of ssh is no secret, as a rule `git`; that of https may be a token.
    let user = user.split(':').next().unwrap_or_default();
    let user = match scheme == "ssh" && !user.is_empty() {
        true => format!("{user}@"),
        false => String::new(),
    };
    Some(format!("{scheme}://{user}{host}/{path}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_tells_no_secrets_and_no_folders() {
        for (url, expected) in [
            (
                "https://github.com/a/b.git",
                Some("https://github.com/a/b.git"),
            ),
            (
                "https://ann:s3cret@example.com/a",
                Some("https://example.com/a"),
            ),
            (
                "https://ghp_token@example.com/a",
                Some("https://example.com/a"),
            ),
            (
                "https://a:p@ss@example.com/a",
                Some("https://example.com/a"),
            ),
            (
                "https://example.com/a?private_token=x#y",
                Some("https://example.com/a"),
            ),
            (
                "ssh://git:pw@example.com:22/a",
                Some("ssh://git@example.com:22/a"),
            ),
            ("git@github.com:a/b.git", Some("git@github.com:a/b.git")),
            ("/home/ann/a", None),
            ("../a", None),
            ("file:///home/ann/a", None),
            ("C:\\a", None),
            ("./a:b", None),
            ("ext::sh -c whoami", None),
            ("https://example.com/\u{1b}[31m", None),
            ("", None),
        ] {
            assert_eq!(public(url).as_deref(), expected, "{url}");
        }
    }

    /// A repository with one committed project in a folder of it.
    fn repository() -> (tempfile::TempDir, std::path::PathBuf) {
        let root = tempfile::tempdir().unwrap();
        let project = root.path().join("project");
        std::fs::create_dir_all(project.join("src")).unwrap();
        std::fs::create_dir_all(project.join("target/debug")).unwrap();
        for (path, text) in [
            ("project/Cargo.toml", "[package]"),
            ("project/src/lib.rs", "//!"),
            ("project/.gitignore", "/target\n*.key\n"),
            ("project/our.key", "secret"),
            ("project/target/debug/x", "x"),
            ("other.txt", "1"),
        ] {
            std::fs::write(root.path().join(path), text).unwrap();
        }
        for arguments in [
            ["init", "--quiet", "."],
            ["config", "user.name", "Ann"],
            ["config", "user.email", "ann@example.com"],
            ["config", "commit.gpgsign", "false"],
        ] {
            run(git(root.path()).args(arguments)).unwrap();
        }
        commit(root.path(), "one");
        (root, project)
    }

    fn commit(root: &Path, message: &str) {
        run(git(root).args(["add", "."])).unwrap();
        run(git(root).args(["commit", "--quiet", "-m", message])).unwrap();
    }

    #[test]
    fn a_commit_elsewhere_does_not_count_and_a_change_here_does() {
        let (root, project) = repository();
        let first = Standing::of(&project).unwrap();
        assert!(first.clean && first.commit.len() == 40 && first.remote.is_none());
        std::fs::write(root.path().join("other.txt"), "2").unwrap();
        assert_eq!(Standing::of(&project), Standing::of(&project));
        commit(root.path(), "two");
        assert_eq!(Standing::of(&project).unwrap(), first);
        std::fs::write(project.join("src/new.rs"), "").unwrap();
        let changed = Standing::of(&project).unwrap();
        assert_eq!(
            (changed.commit, changed.clean),
            (first.commit.clone(), false)
        );
        commit(root.path(), "three");
        let url = "https://u:p@example.com/a";
        run(git(root.path()).args(["remote", "add", "origin", url])).unwrap();
        let last = Standing::of(&project).unwrap();
        assert!(last.clean && last.commit != first.commit);
        assert_eq!(last.remote.as_deref(), Some("https://example.com/a"));
    }

    #[test]
    fn without_a_repository_nothing_is_known() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(Standing::of(folder.path()), None);
    }

    #[test]
    fn files_are_the_authors_and_no_secrets() {
        let (root, project) = repository();
        std::fs::write(project.join("src/new.rs"), "").unwrap();
        std::fs::write(project.join(".env"), "TOKEN=1").unwrap();
        let forced = git(&project)
            .args(["add", "-f", "our.key"])
            .status()
            .unwrap();
        assert!(forced.success());
        let expected = [".gitignore", "Cargo.toml", "src/lib.rs", "src/new.rs"];
        assert_eq!(files(&project).unwrap(), expected);
        // The same without a repository, and in one that ignores the folder.
        std::fs::remove_dir_all(root.path().join(".git")).unwrap();
        assert_eq!(files(&project).unwrap(), expected);
        run(git(root.path()).args(["init", "--quiet"])).unwrap();
        std::fs::write(root.path().join(".gitignore"), "project\n").unwrap();
        assert_eq!(files(&project).unwrap(), expected);
    }
}
