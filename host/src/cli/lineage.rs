//! `tidemill lineage`

use anyhow::{Result, bail};
use clap::Args;
use clap::builder::PossibleValuesParser;

use super::client::ServerArg;
use crate::registry::Kind;

/// Show what a version was made from, and what was made with it.
#[derive(Args)]
#[command(after_help = "\
Examples:
  tidemill lineage service flight-delay@stable
  tidemill lineage transform great-circle@1.0.0 --format mermaid > lineage.mmd
  tidemill lineage                              everything that is registered")]
pub struct Lineage {
    /// What it is; everything there is where absent.
    #[arg(value_parser = PossibleValuesParser::new(Kind::ALL.map(Kind::name)))]
    kind: Option<String>,
    /// name@version; of a service also name@alias; name for the newest.
    id: Option<String>,
    /// An indented tree, nodes and edges, or a diagram.
    #[arg(long, default_value = "text", value_parser = ["text", "json", "mermaid"])]
    format: String,
    #[command(flatten)]
    server: ServerArg,
}

impl Lineage {
    pub fn run(self) -> Result<()> {
        let path = match (&self.kind, &self.id) {
            (Some(kind), Some(id)) => format!("/v1/lineage/{kind}/{id}"),
            (None, _) => "/v1/lineage".to_owned(),
            (Some(kind), None) => bail!("say which {kind}, as in `tidemill lineage {kind} name@1`"),
        };
        let client = self.server.client();
        let path = format!("{path}?format={}", self.format);
        match self.format.as_str() {
            "json" => println!("{:#}", client.get(&path)?),
            _ => print!("{}", String::from_utf8_lossy(&client.get_raw(&path)?)),
        }
        Ok(())
    }
}
