//! Finding what each input is read from, and what of the file is kept.

use std::collections::HashSet;

use super::{Bind, Keep, Named, Output, Plan, Source, Step};
use crate::error::{Error, Result, listed};
use crate::offline::Extension;
use crate::offline::table::{Table, Wanted};
use crate::offline::write::Column;
use crate::schema::{DataType, Field, Scalar, Schema};

/// What is read of the file, as it is found to be needed.
#[derive(Default)]
struct Reading {
    fields: Vec<Field>,
    places: Vec<Option<usize>>,
    arrays: Vec<usize>,
}

impl Plan {
    /// In one sentence: a transform, input or column that is not there (with those that are), of another type, bound
    /// twice, or read in a circle.
    pub fn new(
        table: &Table,
        transforms: Vec<Named>,
        binds: &[Bind],
        keep: &Keep,
        written: Extension,
        strict: bool,
    ) -> Result<Plan> {
        check_names(&transforms, binds)?;
        let mut reading = Reading::default();
        let mut steps = Vec::new();
        for named in &transforms {
            let inputs = named.transform.description().inputs.fields().iter();
            let inputs: Result<Vec<Source>> = inputs
                .map(|input| source(table, &transforms, binds, named, input, &mut reading))
                .collect();
            steps.push(Step {
                alias: named.alias.clone(),
                transform: named.transform.clone(),
                inputs: inputs?,
                columns: named.transform.description().outputs.opened(),
            });
        }
        let order = order(&steps)?;
        let (mut outputs, mut columns) = (Vec::new(), Vec::new());
        for at in kept(table, keep)? {
            let (output, column) = reading.keep(table, at, written)?;
            outputs.push(output);
            columns.push(column);
        }
        for (
            step,
            Step {
                alias,
                columns: features,
                ..
            },
        ) in steps.iter().enumerate()
        {
            for (output, field) in features.fields().iter().enumerate() {
                outputs.push(Output::Feature { step, output });
                let name = format!("{alias}.{}", field.name);
                columns.push(Column::Values(name, field.clone()));
            }
        }
        let mut seen = HashSet::new();
        if let Some(twice) = columns.iter().find(|column| !seen.insert(column.name())) {
            let name = twice.name();
            return Err(Error::invalid(
                format!("column \"{name}\""),
                "the output would have it twice: leave it out of --keep, or call the transform otherwise (alias=name@version)",
            ));
        }
        if !strict {
            let mut name = "error".to_owned();
            while columns.iter().any(|column| column.name() == name) {
                name.insert_str(0, "tidemill.");
            }
            outputs.push(Output::Error);
            let text = Field::new(&name, DataType::One(Scalar::Text), true);
            columns.push(Column::Values(name, text));
        }
        Ok(Plan {
            wanted: Wanted {
                schema: Schema::new(reading.fields),
                places: reading.places,
                arrays: reading.arrays,
            },
            steps,
            order,
            outputs,
            columns,
            strict,
        })
    }
}

fn check_names(transforms: &[Named], binds: &[Bind]) -> Result<()> {
    let aliases: Vec<String> = transforms.iter().map(|named| named.alias.clone()).collect();
    for (at, alias) in aliases.iter().enumerate() {
        if aliases[..at].contains(alias) {
            let message =
                "two transforms have this name: give one another, as in other=name@version";
            return Err(Error::invalid(format!("transform \"{alias}\""), message));
        }
    }
    for (at, bind) in binds.iter().enumerate() {
        let place = format!("--bind {}.{}", bind.alias, bind.input);
        let Some(named) = transforms.iter().find(|named| named.alias == bind.alias) else {
            let message = format!(
                "there is no transform \"{}\"; {}",
                bind.alias,
                listed("transform", &aliases)
            );
            return Err(Error::invalid(place, message));
        };
        let inputs = &named.transform.description().inputs;
        if inputs.position(&bind.input).is_none() {
            let message = format!(
                "{} has no input \"{}\"; {}",
                named.transform.name(),
                bind.input,
                listed("input", &inputs.names())
            );
            return Err(Error::invalid(place, message));
        }
        let same = |other: &Bind| other.alias == bind.alias && other.input == bind.input;
        if binds[..at].iter().any(same) {
            return Err(Error::invalid(place, "it is bound twice"));
        }
    }
    Ok(())
}

/// Where an input comes from.
fn source(
    table: &Table,
    transforms: &[Named],
    binds: &[Bind],
    named: &Named,
    input: &Field,
    reading: &mut Reading,
) -> Result<Source> {
    let refuse = |message: String| {
        let place = format!("transform \"{}\", input \"{}\"", named.alias, input.name);
        Error::invalid(place, message)
    };
    let bound = binds
        .iter()
        .find(|bind| bind.alias == named.alias && bind.input == input.name);
    let name = bound.map_or(input.name.as_str(), |bind| &bind.from);
    if name.is_empty() {
        return match input.nullable {
            true => Ok(Source::File(reading.null(input))),
            false => Err(refuse("it may not be null".to_owned())),
        };
    }
    let found = table.position(name);
    let computed = name.split_once('.').and_then(|(alias, output)| {
        let step = transforms.iter().position(|named| named.alias == alias)?;
        Some((step, output))
    });
    match (found, computed.filter(|_| bound.is_some())) {
        (Ok(_), Some(_)) => Err(refuse(format!(
            "\"{name}\" is a column of {} and an output: call the transform otherwise (alias=name@version)",
            table.name
        ))),
        (_, Some((step, output))) => {
            let outputs = &transforms[step].transform.description().outputs;
            let Some(at) = outputs.position(output) else {
                return Err(refuse(format!(
                    "{} has no output \"{output}\"; {}",
                    transforms[step].transform.name(),
                    listed("output", &outputs.names())
                )));
            };
            let found = outputs.field(at).data_type;
            if found != input.data_type {
                let wanted = input.data_type;
                return Err(refuse(format!(
                    "\"{name}\" is {found}, and {wanted} is wanted"
                )));
            }
            Ok(Source::Step { step, output: at })
        }
        (Ok(at), None) => reading
            .column(table, at, input.data_type)
            .map(Source::File)
            .map_err(refuse),
        // The rows that were looked at may all lack it.
        (Err(_), None) if bound.is_some() && table.may_have_more() => reading
            .unseen(name, input.data_type)
            .map(Source::File)
            .map_err(refuse),
        (Err(message), None) => {
            let null = match input.nullable {
                true => ", or to nothing for null",
                false => "",
            };
            Err(refuse(format!(
                "{message}; bind it with --bind {}.{}=COLUMN{null}",
                named.alias, input.name
            )))
        }
    }
}

impl Reading {
    /// A column of the file as a type.
    fn column(&mut self, table: &Table, at: usize, data_type: DataType) -> Result<usize, String> {
        let there = (0..self.fields.len()).find(|&known| self.places[known] == Some(at));
        match there {
            Some(known) if self.fields[known].data_type == data_type => return Ok(known),
            // A line of NDJSON is read once, each of its values as one type.
            Some(known) if table.may_have_more() => {
                return Err(elsewhere(&self.fields[known], data_type));
            }
            _ => {}
        }
        let again = (0..self.fields.len()).find(|&known| {
            self.places[known] == Some(at) && self.fields[known].data_type == data_type
        });
        Ok(again.unwrap_or_else(|| {
            let name = &table.columns[at].name;
            self.fields.push(Field::new(name, data_type, true));
            self.places.push(Some(at));
            self.fields.len() - 1
        }))
    }

    /// A column of NDJSON that is read by its name, though no row was seen to have it. It too is read once.
    fn unseen(&mut self, name: &str, data_type: DataType) -> Result<usize, String> {
        match self.fields.iter().position(|known| known.name == name) {
            Some(known) if self.fields[known].data_type == data_type => Ok(known),
            Some(known) => Err(elsewhere(&self.fields[known], data_type)),
            None => Ok(self.nowhere(name, data_type)),
        }
    }

    fn null(&mut self, input: &Field) -> usize {
        // A name that no line of NDJSON has, and another for each.
        let name = format!("\0null {}", self.fields.len());
        self.nowhere(&name, input.data_type)
    }

    fn nowhere(&mut self, name: &str, data_type: DataType) -> usize {
        self.fields.push(Field::new(name, data_type, true));
        self.places.push(None);
        self.fields.len() - 1
    }

    /// A column that goes along, as it is where both files are of arrays, else as a block has it.
    fn keep(&mut self, table: &Table, at: usize, written: Extension) -> Result<(Output, Column)> {
        use Extension::{Arrow, Csv, Parquet, Stream};
        let column = &table.columns[at];
        let of_arrays = matches!(written, Parquet | Arrow | Stream);
        if let Some(arrow) = &column.arrow
            && of_arrays
            && !matches!(arrow.data_type(), arrow_schema::DataType::Dictionary(..))
        {
            self.arrays.push(at);
            let output = Output::Array(self.arrays.len() - 1);
            return Ok((output, Column::Array(arrow.clone())));
        }
        let place = format!("column \"{}\"", column.name);
        let read = (0..self.fields.len()).find(|&known| self.places[known] == Some(at));
        let read = read.map(|known| self.fields[known].data_type);
        let data_type = match (column.data_type, &column.arrow) {
            // A cell goes along letter by letter.
            (Some(own), None) if written == Csv && !table.may_have_more() => own,
            (Some(own), None) => read.unwrap_or(own),
            (Some(own), Some(_)) => own,
            (None, arrow) => {
                let found = arrow.as_ref().map(|field| field.data_type().to_string());
                return Err(Error::invalid(
                    place,
                    format!(
                        "it is of type {} there, for which this file has no word: leave it out of --keep, or write .parquet or .arrow",
                        found.unwrap_or_default()
                    ),
                ));
            }
        };
        let known = (table.may_have_more() && read.is_some())
            .then(|| (0..self.fields.len()).find(|&known| self.places[known] == Some(at)))
            .flatten();
        let known = known.unwrap_or_else(|| {
            self.fields.push(Field::new(&column.name, data_type, true));
            self.places.push(Some(at));
            self.fields.len() - 1
        });
        let column = Column::Values(column.name.clone(), self.fields[known].clone());
        Ok((Output::Kept(known), column))
    }
}

fn kept(table: &Table, keep: &Keep) -> Result<Vec<usize>> {
    match keep {
        Keep::All => Ok((0..table.columns.len()).collect()),
        Keep::Some(names) => names
            .iter()
            .map(|name| {
                table
                    .position(name)
                    .map_err(|message| Error::invalid("--keep", message))
            })
            .collect(),
    }
}

/// The steps, each behind those it reads from.
fn order(steps: &[Step]) -> Result<Vec<usize>> {
    let mut order: Vec<usize> = Vec::new();
    while order.len() < steps.len() {
        let ready = |step: &usize| {
            let mut inputs = steps[*step].inputs.iter();
            inputs.all(|input| match input {
                Source::File(_) => true,
                Source::Step { step, .. } => order.contains(step),
            })
        };
        let open = || (0..steps.len()).filter(|step| !order.contains(step));
        let Some(next) = open().find(ready) else {
            let circle: Vec<&str> = open().map(|step| steps[step].alias.as_str()).collect();
            return Err(Error::invalid(
                "--bind",
                format!("{} wait for one another in a circle", circle.join(", ")),
            ));
        };
        order.push(next);
    }
    Ok(order)
}

fn elsewhere(known: &Field, wanted: DataType) -> String {
    format!(
        "\"{}\" is read as {} elsewhere, and {wanted} is wanted",
        known.name, known.data_type
    )
}
