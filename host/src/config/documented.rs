//! The configuration as a file with what each key means, in the words of the comments on its fields.

use super::Config;

/// Table, struct, and the file that struct stands in.
const STRUCTS: [(&str, &str, &str); 12] = [
    ("", "Config", include_str!("../config.rs")),
    ("server", "Server", include_str!("../config.rs")),
    ("server.tls", "Tls", include_str!("../config.rs")),
    ("access", "Access", include_str!("../config.rs")),
    ("store", "Store", include_str!("../config.rs")),
    (
        "transforms",
        "Limits",
        include_str!("../transform/limits.rs"),
    ),
    ("log", "Log", include_str!("../config.rs")),
    ("log", "Settings", include_str!("../log/parquet.rs")),
    ("skew", "Settings", include_str!("../skew.rs")),
    ("drift", "Settings", include_str!("../drift/watch.rs")),
    ("jobs", "Settings", include_str!("../jobs/settings.rs")),
    ("shadow", "Settings", include_str!("../shadow.rs")),
];

/// Every key with its value, and above it what it means. Read back, it is the same configuration.
pub(super) fn documented(config: &Config) -> Result<String, toml::ser::Error> {
    let mut out = String::new();
    let mut table = "";
    let text = toml::to_string(config)?;
    for line in text.lines() {
        if let Some(name) = line
            .strip_prefix('[')
            .and_then(|rest| rest.strip_suffix(']'))
        {
            table = name;
        } else if let Some((key, _)) = line.split_once(" = ") {
            for comment in meaning(table, key) {
                out.push_str("# ");
                out.push_str(comment);
                out.push('\n');
            }
        }
        out.push_str(line);
        out.push('\n');
    }
    Ok(out)
}

/// The lines of the comment on a field.
fn meaning(table: &str, key: &str) -> Vec<&'static str> {
    let field = format!("pub {key}:");
    for (_, name, source) in STRUCTS.iter().filter(|(of, ..)| *of == table) {
        let head = format!("pub struct {name} {{\n");
        let fields = source
            .split_once(&head)
            .and_then(|(_, rest)| rest.split_once("\n}"));
        let mut comment = Vec::new();
        for line in fields.map_or("", |(fields, _)| fields).lines() {
            match line.trim().strip_prefix("///") {
                Some(words) => comment.push(words.trim()),
                None if line.trim().starts_with(&field) => return comment,
                // What serde is told of the field.
                None if line.trim().starts_with("#[") => {}
                None => comment.clear(),
            }
        }
    }
    Vec::new()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_has_a_meaning_and_its_value() {
        let mut config = Config::default();
        // Keys that are left out where they say nothing.
        config.store.history = Some(crate::span::Span(std::time::Duration::from_secs(86_400)));
        config.jobs.callback_secret_file = Some("secret".into());
        let text = documented(&config).unwrap();
        assert_eq!(Config::parse(&text).unwrap(), config);
        let lines: Vec<&str> = text.lines().collect();
        for pair in lines.windows(2) {
            let key = !pair[1].starts_with(['#', '[']) && !pair[1].is_empty();
            assert!(
                !key || pair[0].starts_with("# "),
                "{} has no comment: its field needs one, and its struct a place in STRUCTS",
                pair[1]
            );
        }
        assert!(text.contains("# Connections that may be open at once"));
    }
}
