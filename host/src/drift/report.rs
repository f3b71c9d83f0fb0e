//! Both sides next to each other.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::counted::{Counted, CountedColumn};
use super::psi::{part, psi};
use super::reference::{Known, Reference, SCORE, scored};
use crate::statistics::{Kind, Quantile, Statistics};

/// From this index on a column is worth a look; from [`DRIFTED`] on it has drifted.
pub const LOOK: f64 = 0.1;
pub const DRIFTED: f64 = 0.25;
/// With fewer rows the index is mostly chance.
pub const FEW: u64 = 200;

/// How far what a service version sees has come from what its model was trained on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = DriftReport)]
pub struct Report {
    pub service: String,
    pub version: u32,
    #[schema(required)]
    pub model: Option<String>,
    /// That the model was trained on, and how many rows it has.
    #[schema(required)]
    pub training_set: Option<String>,
    #[schema(required)]
    pub training_rows: Option<u64>,
    /// Why there is no comparison, and what to do.
    #[schema(required)]
    pub note: Option<String>,
    #[serde(flatten)]
    pub span: Span,
    /// The most drifted first, then those that cannot be compared.
    pub columns: Vec<ColumnDrift>,
}

/// Which rows were looked at.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = DriftSpan)]
pub struct Span {
    /// Rows that were counted.
    pub rows: u64,
    /// Rows that were answered in that time; where they are more, only some of them were counted.
    pub answered: u64,
    #[schema(required)]
    pub from: Option<Timestamp>,
    #[schema(required)]
    pub to: Option<Timestamp>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ColumnDrift {
    /// As in the files of the feature log: `request.carrier`, `leg.km`, `weather.status`, `score`.
    pub column: String,
    pub kind: Kind,
    /// Whether the model sees it.
    pub feature: bool,
    /// The population stability index: sum over the bins of (live - training) · ln(live / training), of shares of at least
    /// 0.0001. Null where the training set does not have the column.
    #[schema(required)]
    pub psi: Option<f64>,
    pub reading: Reading,
    #[schema(required)]
    pub training: Option<Side>,
    pub live: Side,
    /// The bin that adds most to the index.
    #[schema(required)]
    pub most: Option<Moved>,
}

/// One side of a column.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = DriftSide)]
pub struct Side {
    pub rows: u64,
    pub missing_share: f64,
    /// Of a boolean the share of true.
    #[schema(required)]
    pub mean: Option<f64>,
    pub quantiles: Vec<Quantile>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = DriftMoved)]
pub struct Moved {
    pub bin: String,
    pub training_share: f64,
    pub live_share: f64,
}

/// The index in a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = DriftReading)]
pub enum Reading {
    /// Under 0.1.
    Stable,
    /// From 0.1 to 0.25.
    Look,
    /// Over 0.25.
    Drifted,
    /// Fewer than 200 rows: mostly chance.
    FewRows,
    /// Nothing to compare with.
    NotCompared,
}

impl Reading {
    fn of(psi: Option<f64>, rows: u64) -> Reading {
        match psi {
            None => Reading::NotCompared,
            Some(_) if rows < FEW => Reading::FewRows,
            Some(psi) if psi > DRIFTED => Reading::Drifted,
            Some(psi) if psi >= LOOK => Reading::Look,
            Some(_) => Reading::Stable,
        }
    }

    pub fn words(self) -> &'static str {
        match self {
            Reading::Stable => "stable",
            Reading::Look => "look",
            Reading::Drifted => "drifted",
            Reading::FewRows => "too few rows",
            Reading::NotCompared => "not compared",
        }
    }
}

/// The columns of what was counted, the most drifted first.
pub(super) fn columns(reference: Option<&Reference>, counted: &Counted) -> Vec<ColumnDrift> {
    let mut columns: Vec<ColumnDrift> = (counted.columns.iter())
        .map(|counted| {
            let known = reference.and_then(|all| all.columns.get(counted.column.name()));
            column(known, counted)
        })
        .collect();
    let size = |column: &ColumnDrift| column.psi.unwrap_or(-1.0);
    columns.sort_by(|a, b| (size(b).total_cmp(&size(a))).then_with(|| a.column.cmp(&b.column)));
    columns
}

fn column(known: Option<&Known>, counted: &CountedColumn) -> ColumnDrift {
    let (mut live, mut bins) = (counted.column.statistics(), counted.bins.clone());
    if live.column == SCORE {
        scored(&mut live, &mut bins);
    }
    let index = known.and_then(|known| psi(&known.counts, &bins));
    ColumnDrift {
        kind: live.kind,
        feature: known.is_some_and(|known| known.feature),
        psi: index,
        reading: Reading::of(index, live.rows),
        training: known.map(|known| Side::of(&known.statistics)),
        most: index.and_then(|_| most(known?, &bins)),
        live: Side::of(&live),
        column: live.column,
    }
}

fn most(known: &Known, live: &[u64]) -> Option<Moved> {
    let all = |counts: &[u64]| counts.iter().sum::<u64>().max(1) as f64;
    let (theirs, mine) = (all(&known.counts), all(live));
    let shares = known.counts.iter().zip(live);
    let shares = shares.map(|(&a, &b)| (a as f64 / theirs, b as f64 / mine));
    let parts = shares
        .enumerate()
        .map(|(at, (a, b))| (part(a, b), at, a, b));
    let (size, at, training_share, live_share) = parts.max_by(|a, b| a.0.total_cmp(&b.0))?;
    (size > 0.0).then(|| Moved {
        bin: known.bins.words(&known.statistics, at),
        training_share,
        live_share,
    })
}

impl Side {
    fn of(column: &Statistics) -> Side {
        let numbers = column.numbers.as_ref();
        let booleans = column.booleans.as_ref();
        Side {
            rows: column.rows,
            missing_share: column.missing_share,
            mean: numbers
                .and_then(|numbers| numbers.mean)
                .or_else(|| booleans.and_then(|booleans| booleans.true_share)),
            quantiles: numbers.map_or_else(Vec::new, |numbers| numbers.quantiles.clone()),
        }
    }

    /// The value that half of all do not exceed.
    pub fn median(&self) -> Option<f64> {
        let found = self.quantiles.iter().find(|known| known.share == 0.5);
        found.map(|known| known.value)
    }
}

impl Report {
    /// What was counted of a service version beside `reference`, or the reason why there is none.
    pub fn of(
        (service, version, model): (&str, u32, Option<&str>),
        reference: Result<&Reference, &str>,
        counted: Option<&Counted>,
        span: Span,
    ) -> Report {
        let note = match (reference, counted) {
            (Err(reason), _) => Some(reason.to_owned()),
            (Ok(_), None) => Some("no row has been counted yet".to_owned()),
            (Ok(_), Some(_)) => None,
        };
        let known = reference.ok();
        Report {
            service: service.to_owned(),
            version,
            model: model.map(str::to_owned),
            training_set: known.map(|known| known.id.clone()),
            training_rows: known.map(|known| known.rows),
            note,
            span,
            columns: counted.map_or_else(Vec::new, |counted| columns(known, counted)),
        }
    }

    /// The columns whose index is over `limit`, of enough rows to say so.
    pub fn over(&self, limit: f64) -> impl Iterator<Item = &ColumnDrift> {
        let sure = |column: &&ColumnDrift| column.reading != Reading::FewRows;
        let over = move |column: &&ColumnDrift| column.psi.is_some_and(|psi| psi > limit);
        self.columns.iter().filter(sure).filter(over)
    }
}
