//! `promote`, `shadow` and `canary`: the settings of an alias, one at a time.

use anyhow::{Result, bail};
use clap::Args;
use serde_json::{Value, json};

use super::client::{Client, ServerArg};
use super::service::text_of;

#[derive(Args)]
pub struct Promote {
    name: String,
    version: u32,
    /// The alias to move. A service's bare name means what stable points at.
    #[arg(long, default_value = "stable", value_name = "NAME")]
    alias: String,
    /// Why; it stands in the alias' history.
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    #[command(flatten)]
    server: ServerArg,
}

#[derive(Args)]
#[command(after_help = "\
A shadow runs after the answer, at low priority, and is dropped and counted where the server has no time for it. It runs
on what POST …/score and …/features answered as JSON; streams and jobs have none. See what it would have changed with
`tidemill service compare`.

Examples:
  tidemill service shadow flight-delay 4
  tidemill service shadow flight-delay 4 --share 0.1
  tidemill service shadow flight-delay 4 --off")]
pub struct Shadow {
    name: String,
    /// The version that is to run on what the alias' version has answered.
    version: u32,
    /// The share of the requests, from 0 to 1.
    #[arg(long, default_value_t = 1.0, value_name = "SHARE")]
    share: f64,
    /// Let it run no more.
    #[arg(long, conflicts_with = "share")]
    off: bool,
    #[command(flatten)]
    on: On,
}

#[derive(Args)]
#[command(after_help = "\
An entity is on the canary's side by a hash of its key, so it stays there while the share does, and a larger share only
adds entities. A request of several rows goes by its first row; one whose key is null stays with the alias' version, and
so do streams and jobs. An answer's service_version says which version it was.

Examples:
  tidemill service canary flight-delay 4 --share 0.05 --key tailnum
  tidemill service canary flight-delay 4 --share 0.2
  tidemill service canary flight-delay 4 --off")]
pub struct Canary {
    name: String,
    /// The version that is to answer the share.
    version: u32,
    /// The share of the entities, from 0 to 1.
    #[arg(long, value_name = "SHARE", required_unless_present = "off")]
    share: Option<f64>,
    /// The request field that says which entity it is, or several with commas between; without it the key the canary has.
    #[arg(long, value_delimiter = ',', value_name = "FIELD")]
    key: Vec<String>,
    /// Let the alias' version answer all again.
    #[arg(long, conflicts_with_all = ["share", "key"])]
    off: bool,
    #[command(flatten)]
    on: On,
}

#[derive(Args)]
struct On {
    /// The alias whose requests they are.
    #[arg(long, default_value = "stable", value_name = "NAME")]
    alias: String,
    /// Why; it stands in the alias' history.
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    #[command(flatten)]
    server: ServerArg,
}

impl Promote {
    pub fn run(self) -> Result<()> {
        let client = self.server.client();
        let reason = self.reason.as_deref();
        let shown = promoted(
            &client,
            &self.name,
            self.version.into(),
            &self.alias,
            reason,
        )?;
        println!("{}", last_change(&shown));
        Ok(())
    }
}

impl Shadow {
    pub fn run(self) -> Result<()> {
        let On {
            alias,
            reason,
            server,
        } = self.on;
        let client = server.client();
        let mut settings = pointed(&client, &self.name, &alias)?;
        let mut shadows = settings["shadow"].as_array().cloned().unwrap_or_default();
        let before = shadows.len();
        shadows.retain(|shadow| shadow["version"] != self.version);
        if self.off && shadows.len() == before {
            bail!(
                "{0}@{1} is no shadow of {0}@{alias}",
                self.name,
                self.version
            );
        }
        if !self.off {
            shadows.push(json!({ "version": self.version, "share": self.share }));
        }
        settings["shadow"] = shadows.into();
        put(&client, &self.name, &alias, settings, reason.as_deref())
    }
}

impl Canary {
    pub fn run(self) -> Result<()> {
        let On {
            alias,
            reason,
            server,
        } = self.on;
        let client = server.client();
        let mut settings = pointed(&client, &self.name, &alias)?;
        let mine = settings["canary"]["version"] == self.version;
        if self.off && !mine {
            bail!(
                "{0}@{1} is not the canary of {0}@{alias}",
                self.name,
                self.version
            );
        }
        let key = match self.key.is_empty() {
            false => self.key.into(),
            true => settings["canary"]["key"].clone(),
        };
        if !self.off && key.is_null() {
            bail!("say with --key which request field names the entity, such as --key customer_id");
        }
        settings["canary"] = match self.off {
            true => Value::Null,
            false => json!({ "version": self.version, "share": self.share, "key": key }),
        };
        put(&client, &self.name, &alias, settings, reason.as_deref())
    }
}

/// Points an alias at a version. Its shadows and its canary stay, but for those that are this version.
pub fn promoted(
    client: &Client,
    name: &str,
    version: u64,
    alias: &str,
    reason: Option<&str>,
) -> Result<Value> {
    let mut settings = found(client, name, alias)?.unwrap_or_else(|| json!({}));
    settings["version"] = version.into();
    if settings["canary"]["version"] == version {
        settings["canary"] = Value::Null;
    }
    if let Some(shadows) = settings.get_mut("shadow").and_then(Value::as_array_mut) {
        shadows.retain(|shadow| shadow["version"] != version);
    }
    settings["reason"] = reason.into();
    client.put(&format!("/v1/services/{name}/aliases/{alias}"), &settings)
}

/// The settings of an alias, which must be there.
fn pointed(client: &Client, name: &str, alias: &str) -> Result<Value> {
    let Some(settings) = found(client, name, alias)? else {
        let option = match alias {
            "stable" => String::new(),
            other => format!(" --alias {other}"),
        };
        bail!(
            "service {name} has no alias {alias}, whose requests these would be; point it at a version first: \
             tidemill service promote {name} VERSION{option}"
        );
    };
    Ok(settings)
}

fn found(client: &Client, name: &str, alias: &str) -> Result<Option<Value>> {
    let answer = client.get(&format!("/v1/services/{name}/aliases"))?;
    let aliases = answer["aliases"].as_array().into_iter().flatten();
    let mut mine = aliases.filter(|shown| shown["alias"] == alias);
    Ok(mine.next().map(|shown| shown["settings"].clone()))
}

fn put(
    client: &Client,
    name: &str,
    alias: &str,
    mut settings: Value,
    reason: Option<&str>,
) -> Result<()> {
    settings["reason"] = reason.into();
    let shown = client.put(&format!("/v1/services/{name}/aliases/{alias}"), &settings)?;
    println!("{name}@{alias} is {}", words(&shown["settings"]));
    Ok(())
}

/// Where an alias went with its last change.
pub fn last_change(shown: &Value) -> String {
    let (service, alias) = (text_of(&shown["service"]), text_of(&shown["alias"]));
    let last = shown["history"].as_array().and_then(|all| all.last());
    let from = last.map_or(&Value::Null, |last| &last["from"]);
    let now = words(&shown["settings"]);
    match from["version"].as_u64() {
        Some(from) => format!("{service}@{alias} is {service}@{now}, and was {service}@{from}"),
        None => format!("{service}@{alias} is {service}@{now}"),
    }
}

/// What settings say, in a few words: `3, canary 4 for 5 % by customer_id, shadow 5`.
pub fn words(settings: &Value) -> String {
    let Some(version) = settings["version"].as_u64() else {
        return "–".to_owned();
    };
    let mut words = version.to_string();
    let canary = &settings["canary"];
    if canary.is_object() {
        let key = match &canary["key"] {
            Value::Array(fields) => fields.iter().map(text_of).collect::<Vec<_>>().join(", "),
            one => text_of(one),
        };
        words += &format!(
            ", canary {} for {} by {key}",
            canary["version"],
            percent(&canary["share"])
        );
    }
    for shadow in settings["shadow"].as_array().into_iter().flatten() {
        words += &format!(", shadow {}", shadow["version"]);
        if shadow["share"] != 1.0 {
            words += &format!(" for {}", percent(&shadow["share"]));
        }
    }
    words
}

fn percent(share: &Value) -> String {
    // Rounded, for 0.07 × 100 is not 7.
    let percent = (share.as_f64().unwrap_or(f64::NAN) * 1e8).round() / 1e6;
    format!("{percent} %")
}
