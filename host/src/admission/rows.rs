//! Rows of a schema, made from a seed.

use super::random::Random;
use super::{numbers, words};
use crate::block::{Block, RowsBuilder};
use crate::schema::{Field, Pool, Scalar, Schema, Slot};

const ROWS: usize = 2_000;
/// Most bytes that odd texts may take together, and items that lists may have together: a transform of a thousand
/// columns is tried in the time of one of ten.
const TEXT_BYTES: usize = 2 << 20;
const ITEMS: usize = 200_000;
const LONG_LIST: usize = 1_000;
/// Bytes of a text in a list: there are many, and very long ones stand in columns of their own.
const LONG_ITEM: usize = 100;

/// How a row is made.
#[derive(Clone, Copy)]
enum Mood {
    /// Absent where it may be; else zero, empty and false, or the number nearest to zero that the range allows.
    Blank,
    /// Ordinary values, few nulls.
    Typical,
    /// Some columns odd or null, the others ordinary: the odd one alone is to blame.
    Mixed,
    /// Odd values only.
    Odd,
}

struct Maker {
    random: Random,
    rows: RowsBuilder,
    text_room: usize,
    item_room: usize,
    /// For each column, words to try.
    hints: Vec<Vec<String>>,
}

/// 2,000 rows, the same for the same schema and seed, everywhere: most of them typical, others with nulls, extreme
/// numbers, empty, strange and very long text (64 KiB, 2 MiB in all), NaN and infinities, moments out of any calendar,
/// lists without an item and with a thousand, JSON as odd as JSON may be.
///
/// What a field declares is kept to: no null where none may be, no number outside of its range, and in a column with a
/// range no NaN. Whatever else its type can hold may come, from a file if not over JSON. The kinds are mixed, so that
/// any few of the rows are a fair sample.
pub fn rows(schema: &Schema, seed: u64) -> Block {
    let words = |field: &Field| match field.data_type.scalar().pool() {
        Pool::Text => words::hints(&format!("{} {}", field.name, field.doc)),
        _ => Vec::new(),
    };
    let mut maker = Maker {
        random: Random::new(seed),
        rows: RowsBuilder::new(schema),
        text_room: TEXT_BYTES,
        item_room: ITEMS,
        hints: schema.fields().iter().map(words).collect(),
    };
    for row in 0..ROWS {
        let mood = match (row, maker.random.below(100)) {
            (0, _) => Mood::Typical,
            (1, _) => Mood::Blank,
            (_, 0..70) => Mood::Typical,
            (_, 70..95) => Mood::Mixed,
            _ => Mood::Odd,
        };
        maker.rows.begin_row();
        for column in 0..schema.len() {
            maker.set(column, schema.field(column), schema.slot(column), mood);
        }
    }
    maker.rows.finish()
}

impl Maker {
    fn set(&mut self, column: usize, field: &Field, slot: Slot, mood: Mood) {
        let chance = match mood {
            Mood::Blank => return self.blank(field, slot),
            Mood::Typical => (8, 0),
            Mood::Mixed => (20, 30),
            Mood::Odd => (10, 100),
        };
        if field.nullable && self.random.percent(chance.0) {
            return;
        }
        let odd = self.random.percent(chance.1);
        if slot.many {
            return self.list(column, field, slot, odd);
        }
        match field.data_type.scalar() {
            Scalar::Boolean => self.rows.set_boolean(slot, self.random.percent(50)),
            Scalar::Integer => {
                let value = numbers::integer(&mut self.random, field, odd);
                self.rows.set_integer(slot, value);
            }
            Scalar::Timestamp => {
                let value = numbers::moment(&mut self.random, odd);
                self.rows.set_integer(slot, value);
            }
            Scalar::Float => {
                let value = numbers::float(&mut self.random, field, odd);
                self.rows.set_float(slot, value);
            }
            Scalar::Text | Scalar::Json => {
                let value = self.text(column, field, odd, usize::MAX);
                self.rows.set_text(slot, &value);
            }
        }
    }

    /// What nothing was set to is null, zero, empty or false already.
    fn blank(&mut self, field: &Field, slot: Slot) {
        if field.nullable || slot.many {
            return;
        }
        let nearest = 0_f64
            .max(field.minimum.unwrap_or(0.0))
            .min(field.maximum.unwrap_or(f64::INFINITY));
        match field.data_type.scalar() {
            Scalar::Float => self.rows.set_float(slot, nearest),
            Scalar::Integer => {
                let (low, high) = (nearest.ceil(), nearest.floor());
                let whole = if nearest > 0.0 { low } else { high };
                self.rows.set_integer(slot, whole as i64);
            }
            Scalar::Json => self.rows.set_text(slot, "{}"),
            _ => {}
        }
    }

    fn list(&mut self, column: usize, field: &Field, slot: Slot, odd: bool) {
        let length = match (odd, self.random.below(100)) {
            (false, _) => self.random.below(8),
            (true, 0..50) => 0,
            (true, 50..75) => 1,
            (true, 75..97) => self.random.below(8),
            (true, _) => LONG_LIST,
        };
        let length = length.min(self.item_room);
        self.item_room -= length;
        self.rows.begin_list(slot);
        for _ in 0..length {
            let odd = odd && self.random.percent(50);
            match field.data_type.scalar() {
                Scalar::Boolean => self.rows.push_boolean(self.random.percent(50)),
                Scalar::Integer => {
                    let value = numbers::integer(&mut self.random, field, odd);
                    self.rows.push_integer(value);
                }
                Scalar::Timestamp => {
                    let value = numbers::moment(&mut self.random, odd);
                    self.rows.push_integer(value);
                }
                Scalar::Float => {
                    let value = numbers::float(&mut self.random, field, odd);
                    self.rows.push_float(value);
                }
                Scalar::Text | Scalar::Json => {
                    let value = self.text(column, field, odd, LONG_ITEM);
                    self.rows.push_text(&value);
                }
            }
        }
        self.rows.end_list(slot);
    }

    fn text(&mut self, column: usize, field: &Field, odd: bool, most: usize) -> String {
        let room = self.text_room.min(most);
        let (random, hints) = (&mut self.random, &self.hints[column]);
        let text = match field.data_type.scalar() {
            Scalar::Json => words::json(random, hints, odd, room),
            _ => words::text(random, hints, odd, room),
        };
        if odd {
            self.text_room = self.text_room.saturating_sub(text.len());
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admission::SEED;
    use crate::block::samples::every_type;
    use crate::transform::guests::field;

    #[test]
    fn rows_are_the_same_for_everyone_and_of_every_kind() {
        let schema = every_type();
        let block = rows(&schema, SEED);
        assert_eq!(block.rows(), 2_000);
        assert!(block.same_bits(&rows(&schema, SEED), &schema));
        assert!(!block.same_bits(&rows(&schema, SEED + 1), &schema));
        let all = 0..block.rows();
        for (field, &slot) in schema.fields().iter().zip(schema.slots()) {
            let name = format!("{} {}", field.data_type, field.nullable);
            let some = |what: &dyn Fn(usize) -> bool| all.clone().any(what);
            assert_eq!(
                some(&|row| !block.is_valid(slot, row)),
                field.nullable,
                "{name}"
            );
            if slot.many {
                assert!(some(&|row| block.items(slot, row).is_empty()), "{name}");
                assert!(some(&|row| block.items(slot, row).len() >= 1_000), "{name}");
                continue;
            }
            match slot.pool {
                Pool::Floats => {
                    let has = |what: fn(f64) -> bool| some(&|row| what(block.float(slot, row)));
                    assert!(has(f64::is_nan) && has(|x| x == f64::INFINITY), "{name}");
                    assert!(has(|x| x == 0.0 && x.is_sign_negative()), "{name}");
                    // Small whole numbers, and of others none.
                    assert!(has(|x| x == 1.0) && !has(|x| x == 13.0), "{name}");
                }
                Pool::Integers => {
                    let has = |what: i64| some(&|row| block.integer(slot, row) == what);
                    assert!(has(i64::MIN) && has(i64::MAX) && has(0), "{name}");
                }
                Pool::Booleans => assert!(some(&|row| block.boolean(slot, row)), "{name}"),
                Pool::Text => {
                    let has =
                        |what: &dyn Fn(&str) -> bool| some(&|row| what(block.text(slot, row)));
                    assert!(!field.nullable || has(&|text| !text.is_ascii()), "{name}");
                    if field.data_type.scalar() == Scalar::Text {
                        assert!(
                            has(&str::is_empty) && has(&|text| text.len() > 60_000),
                            "{name}"
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn texts_and_lists_have_an_end_however_many_columns_there_are() {
        let fields = (0..300).flat_map(|at| {
            ["text", "list<text>", "json"]
                .map(|data_type| field(&format!("c{at}-{data_type}"), data_type, false))
        });
        let schema = Schema::new(fields.collect());
        let block = rows(&schema, SEED);
        let texts: usize = (0..schema.len())
            .filter(|&at| !schema.slot(at).many)
            .map(|at| {
                (0..2_000)
                    .map(|row| block.text(schema.slot(at), row).len())
                    .sum::<usize>()
            })
            .sum();
        assert!(texts < 100 << 20, "{texts}");
    }

    #[test]
    fn ranges_are_kept_and_their_ends_are_tried() {
        let ranged = |name: &str, data_type: &str, minimum, maximum| Field {
            minimum,
            maximum,
            ..field(name, data_type, true)
        };
        let schema = Schema::new(vec![
            ranged("a", "f64", Some(-90.0), Some(90.0)),
            ranged("b", "f64", Some(5e8), None),
            ranged("c", "f64", None, Some(-1e-9)),
            ranged("d", "i64", Some(1.0), Some(12.0)),
            ranged("e", "i64", Some(1e12), None),
            ranged("f", "list<f64>", Some(0.25), Some(0.5)),
            ranged("g", "list<i64>", None, Some(-5.0)),
            ranged("h", "f64", Some(f64::MIN), Some(f64::MAX)),
        ]);
        let block = rows(&schema, SEED);
        assert_eq!(block.out_of_range(&schema), None);
        assert!(block.floats.iter().all(|value| !value.is_nan()));
        let a = schema.slot(0);
        for end in [-90.0, 90.0] {
            assert!((0..2_000).any(|row| block.float(a, row) == end));
        }
        let d = schema.slot(3);
        for month in 1..=12 {
            assert!(
                (0..2_000).any(|row| block.integer(d, row) == month),
                "{month}"
            );
        }
    }
}
