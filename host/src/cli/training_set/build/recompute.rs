//! A set recomputed: another version of the service over the raw inputs that the log has, each row with the time it was
//! asked, so that the views are as they stood.

use anyhow::{Result, bail};
use arrow_array::RecordBatch;
use arrow_schema::{Field as ArrowField, Schema as ArrowSchema};

use super::as_served::{said, told};
use super::logged::{Logged, Outcomes};
use super::spine::training_rows;
use super::{Each, Of, Source};
use crate::log::Group;
use crate::offline::parallel::ordered;
use crate::schema::Field;
use crate::training::ARRIVAL;

/// What tells the rows apart, and when they were asked: as the log has it, so that sets can be compared.
const OF_THE_ROW: [&str; 3] = ["request_id", "time", "row"];

/// Hands on what `of` makes of the inputs that `answered` was given.
pub fn read(
    logged: &Logged,
    answered: &Of<'_>,
    of: &Of<'_>,
    mut each: Each<'_, '_>,
) -> Result<Source> {
    let files = logged.files(answered)?;
    let Some(request) = files.shape().and_then(|shape| shape.groups.first()) else {
        bail!(
            "the log of {} does not say what its requests hold",
            answered.id
        );
    };
    let (there, absent) = fields(answered, of, request)?;
    each.expect(Some(files.rows()))?;
    let mut outcomes = Outcomes::default();
    let threads = std::thread::available_parallelism().map_or(2, usize::from);
    ordered(
        files.batches(),
        threads,
        |batch| {
            let batch = batch?;
            match batch.num_rows() {
                0 => Ok(None),
                _ => recomputed(of, request, &there, &batch).map(Some),
            }
        },
        |batch| {
            let Some(batch) = batch else { return Ok(()) };
            outcomes.count(&batch);
            each.take(&batch, None)
        },
    )?;
    let absent = absent.iter().map(|field| field.name.clone()).collect();
    Ok(Source {
        told: told(logged, answered.id, &outcomes, Some(absent)),
        said: said(&files, &outcomes),
    })
}

/// Of the request fields of `of`, those that the log has, and those that may be left out; what else there is is refused.
fn fields<'d>(
    answered: &Of<'_>,
    of: &'d Of<'_>,
    logged: &Group,
) -> Result<(Vec<&'d Field>, Vec<&'d Field>)> {
    let wanted = of.definition.request.fields().iter();
    let (there, absent): (Vec<&Field>, Vec<&Field>) =
        wanted.partition(|field| logged.schema.position(&field.name).is_some());
    let needed: Vec<&str> = absent
        .iter()
        .filter(|field| !field.nullable && field.default.is_none())
        .map(|field| field.name.as_str())
        .collect();
    if !needed.is_empty() {
        bail!(
            "{} needs {}, which requests to {} did not have; the log has {}",
            of.id,
            needed.join(", "),
            answered.id,
            logged.schema.names().join(", ")
        );
    }
    for field in &there {
        let at = logged.schema.position(&field.name).unwrap_or_default();
        let found = logged.schema.field(at).data_type;
        if found != field.data_type {
            bail!(
                "request field {} is {} in {}, and {found} in the log of {}",
                field.name,
                field.data_type,
                of.id,
                answered.id
            );
        }
    }
    Ok((there, absent))
}

fn recomputed(
    of: &Of<'_>,
    request: &Group,
    fields: &[&Field],
    logged: &RecordBatch,
) -> Result<RecordBatch> {
    let from = |name: &str| match logged.column_by_name(name) {
        Some(column) => Ok(column.clone()),
        None => bail!("the log has no column {name}"),
    };
    let (mut asked, mut columns) = (Vec::new(), Vec::new());
    for field in fields {
        let column = from(&format!("{}.{}", request.name, field.name))?;
        asked.push(ArrowField::new(
            &field.name,
            column.data_type().clone(),
            true,
        ));
        columns.push(column);
    }
    let time = from("time")?;
    asked.push(ArrowField::new(ARRIVAL, time.data_type().clone(), false));
    columns.push(time);
    let asked = RecordBatch::try_new(ArrowSchema::new(asked).into(), columns)?;
    let rows = training_rows(of.client, of.id, &asked)?;
    if rows.num_rows() != logged.num_rows() {
        bail!(
            "{} rows were sent and {} came back",
            logged.num_rows(),
            rows.num_rows()
        );
    }
    let (mut all, mut columns) = (Vec::new(), Vec::new());
    for name in OF_THE_ROW {
        let column = from(name)?;
        all.push(ArrowField::new(name, column.data_type().clone(), false));
        columns.push(column);
    }
    all.extend(
        rows.schema()
            .fields()
            .iter()
            .map(|field| ArrowField::clone(field)),
    );
    columns.extend(rows.columns().iter().cloned());
    Ok(RecordBatch::try_new(ArrowSchema::new(all).into(), columns)?)
}
