//! `tidemill training-set show`

use anyhow::Result;

use crate::cli::client::Client;
use crate::cli::service::{print_retired, text_of};
use crate::cli::table::Table;
use crate::statistics::Statistics;
use crate::training_set::Manifest;

/// Values of a text column that the table has room for.
const VALUES: usize = 3;

pub fn show(client: &Client, id: &str, json: bool) -> Result<()> {
    let shown = client.get(&format!("/v1/training-sets/{id}"))?;
    if json {
        println!("{shown:#}");
        return Ok(());
    }
    println!(
        "training set {}@{}  {}",
        text_of(&shown["name"]),
        shown["version"],
        text_of(&shown["digest"])
    );
    println!("registered {}", text_of(&shown["registered_at"]));
    print_retired(&shown);
    print(&serde_json::from_value(shown["manifest"].clone())?);
    Ok(())
}

fn print(manifest: &Manifest) {
    println!("{} rows of {}", manifest.rows, manifest.service);
    for used in manifest.transforms.iter().chain(&manifest.model) {
        println!("  made with {}  sha256:{}", used.id, used.hex());
    }
    for span in &manifest.views {
        if let (Some(from), Some(to)) = (span.from, span.to) {
            println!("  looked up {}, rows from {from} to {to}", span.view);
        }
    }
    for file in &manifest.files {
        println!(
            "  {}  {} rows, {} bytes, sha256:{}",
            file.path,
            file.rows,
            file.bytes,
            file.hex()
        );
    }
    let (numbers, rest): (Vec<&Statistics>, Vec<&Statistics>) =
        (manifest.statistics.iter()).partition(|column| column.numbers.is_some());
    if !numbers.is_empty() {
        let head = [
            "numbers",
            "missing",
            "NaN",
            "mean",
            "deviation",
            "min",
            "5%",
            "median",
            "95%",
            "max",
        ];
        let mut table = Table::new(&head);
        for column in numbers {
            let Some(found) = &column.numbers else {
                continue;
            };
            table.row([
                column.column.clone(),
                share(column.missing_share),
                (found.nan + found.infinite).to_string(),
                number(found.mean),
                number(found.standard_deviation),
                number(found.min),
                number(found.quantile(0.05)),
                number(found.quantile(0.5)),
                number(found.quantile(0.95)),
                number(found.max),
            ]);
        }
        print!("\n{table}");
    }
    if !rest.is_empty() {
        let mut table = Table::new(&[
            "other columns",
            "type",
            "missing",
            "different",
            "what is in it",
        ]);
        for column in rest {
            let declared = (manifest.schema.iter()).find(|known| known.name == column.column);
            let different = column.texts.as_ref().map(|texts| match texts.distinct {
                Some(count) => count.to_string(),
                None => "many".to_owned(),
            });
            table.row([
                column.column.clone(),
                declared.map_or_else(String::new, |known| known.data_type.clone()),
                share(column.missing_share),
                different.unwrap_or_default(),
                content(column),
            ]);
        }
        print!("\n{table}");
    }
}

/// What a column without numbers holds, in a few words.
fn content(column: &Statistics) -> String {
    let there = (column.rows - column.missing).max(1) as f64;
    if let Some(booleans) = &column.booleans {
        return (booleans.true_share).map_or_else(String::new, |true_share| {
            format!("true {}", share(true_share))
        });
    }
    if let Some(texts) = &column.texts {
        let shown = &texts.values[..texts.values.len().min(VALUES)];
        let listed: u64 = shown.iter().map(|value| value.count).sum();
        let words = shown.iter().map(|value| {
            let text: String = value.value.chars().take(30).collect();
            format!("{text} {}", share(value.count as f64 / there))
        });
        let mut words: Vec<String> = words.collect();
        let rest = column.rows - column.missing - listed;
        if rest > 0 {
            words.push(format!("other {}", share(rest as f64 / there)));
        }
        return words.join(", ");
    }
    match column.times.map(|times| (times.earliest, times.latest)) {
        Some((Some(from), Some(to))) => format!("{from} to {to}"),
        _ => String::new(),
    }
}

/// A share as a person reads it; what is not nothing is not shown as nothing.
pub fn share(share: f64) -> String {
    match share * 100.0 {
        0.0 => "0 %".to_owned(),
        small if small < 0.1 => "<0.1 %".to_owned(),
        percent => format!("{percent:.1} %"),
    }
}

/// A number in about six digits.
pub fn number(value: Option<f64>) -> String {
    let Some(value) = value else {
        return "–".to_owned();
    };
    let size = value.abs();
    if value == value.trunc() && size < 1e9 {
        format!("{value}")
    } else if (1e-3..1e6).contains(&size) {
        let digits = 5 - size.log10().floor().clamp(-3.0, 5.0) as i32;
        format!("{value:.*}", digits.clamp(0, 6) as usize)
    } else {
        format!("{value:.4e}")
    }
}
