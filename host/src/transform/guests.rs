//! Guests for the tests of this room, written as text: no compiler is needed to build them.
//!
//! Each is a core module with the contract embedded as the SDK embeds it. `describe` answers from memory laid out here;
//! `transform` hands its columns back as they came, unless a test says otherwise.

use wit_component::{StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

use crate::block::{Block, RowsBuilder};
use crate::schema::{DataType, Field, Schema};

const WIT: &str = include_str!("../../../wit/transform.wit");
/// Where the description lies in the guest's memory, and where the answer and the heap begin.
const DESCRIPTION: usize = 1024;
const ANSWER: usize = 512;
const HEAP: usize = 65536;

/// A guest as a test wants it. Each text is Wasm in text form.
pub(crate) struct Guest {
    pub name: String,
    pub version: String,
    pub doc: String,
    pub inputs: Vec<Field>,
    pub outputs: Vec<Field>,
    /// Version of the contract.
    pub contract: &'static str,
    /// What stands beside the functions: imports, a start function, globals.
    pub items: &'static str,
    /// What `describe` does before it answers.
    pub describe: &'static str,
    /// What `cabi_realloc` does before it answers.
    pub realloc: &'static str,
    /// What `transform` does before it answers. The parameters are `$rows` and, of each list, `$floats` and `$floats_len`.
    pub transform: &'static str,
    /// What `transform` does to the answer at `ANSWER`, before it returns it.
    pub answer: &'static str,
}

impl Default for Guest {
    fn default() -> Guest {
        let fields = vec![field("x", "f64", true), field("label", "text", false)];
        Guest {
            name: "echo".to_owned(),
            version: "1.2.3".to_owned(),
            doc: "Hands back what it got.".to_owned(),
            inputs: fields.clone(),
            outputs: fields,
            contract: "0.1.0",
            items: "",
            describe: "",
            realloc: "",
            transform: "",
            answer: "",
        }
    }
}

pub(crate) fn field(name: &str, data_type: &str, nullable: bool) -> Field {
    Field::new(name, DataType::parse(data_type).unwrap(), nullable)
}

/// `rows` rows of the default guest's inputs: every third x null, labels of growing length.
pub(crate) fn rows(rows: usize) -> Block {
    let schema = Schema::new(Guest::default().inputs);
    let mut builder = RowsBuilder::new(&schema);
    for row in 0..rows {
        builder.begin_row();
        if row % 3 != 2 {
            builder.set_float(schema.slot(0), row as f64 / 7.0);
        }
        builder.set_text(schema.slot(1), &"label"[..row % 6]);
    }
    builder.finish()
}

impl Guest {
    /// The raw core module, as a compiler would leave it.
    pub(crate) fn module(&self) -> Vec<u8> {
        let mut module = wat::parse_str(self.text()).unwrap();
        let mut resolve = Resolve::default();
        let wit = WIT.replace("@0.1.0", &format!("@{}", self.contract));
        let package = resolve.push_str("transform.wit", &wit).unwrap();
        let world = resolve.select_world(&[package], Some("transform")).unwrap();
        embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8).unwrap();
        module
    }

    fn text(&self) -> String {
        let Guest {
            realloc,
            items,
            describe,
            transform,
            answer,
            ..
        } = self;
        let data: String = self
            .description()
            .iter()
            .map(|byte| format!("\\{byte:02x}"))
            .collect();
        let lists = [
            "floats",
            "integers",
            "booleans",
            "text",
            "text_ends",
            "list_offsets",
            "validity",
        ];
        let parameters: String = lists
            .iter()
            .map(|list| format!("(param ${list} i32) (param ${list}_len i32) "))
            .collect();
        // result<answer, failure>: its case at 0, the block's rows at 4, its lists from 8 on, the refusals at 64.
        let echo: String = lists
            .iter()
            .enumerate()
            .map(|(i, list)| {
                let at = ANSWER + 8 + 8 * i;
                format!(
                    "(i32.store (i32.const {at}) (local.get ${list}))
                     (i32.store (i32.const {}) (local.get ${list}_len))",
                    at + 4
                )
            })
            .collect();
        format!(
            r#"(module $guest
                {items}
                (memory (export "memory") 2)
                (data (i32.const {DESCRIPTION}) "{data}")
                (global $heap (mut i32) (i32.const {HEAP}))
                (func $realloc (export "cabi_realloc") (param i32 i32) (param $align i32) (param $size i32) (result i32)
                    (local $at i32)
                    {realloc}
                    (local.set $at (i32.and
                        (i32.add (global.get $heap) (i32.sub (local.get $align) (i32.const 1)))
                        (i32.sub (i32.const 0) (local.get $align))))
                    (global.set $heap (i32.add (local.get $at) (local.get $size)))
                    (block $enough
                        (br_if $enough (i32.le_u (global.get $heap) (i32.mul (memory.size) (i32.const 65536))))
                        (br_if $enough (i32.ne (i32.const -1) (memory.grow (i32.sub
                            (i32.div_u (i32.add (global.get $heap) (i32.const 65535)) (i32.const 65536))
                            (memory.size)))))
                        unreachable)
                    (local.get $at))
                (func $describe (export "describe") (result i32)
                    {describe}
                    (i32.const {DESCRIPTION}))
                (func $transform (export "transform") (param $rows i32) {parameters} (result i32)
                    {transform}
                    (i32.store (i32.const {}) (local.get $rows))
                    {echo}
                    {answer}
                    (i32.const {ANSWER}))
                (func (export "cabi_post_transform") (param i32) (global.set $heap (i32.const {HEAP})))
            )"#,
            ANSWER + 4
        )
    }

    /// The description as the canonical ABI lays it out, to lie at [`DESCRIPTION`].
    fn description(&self) -> Vec<u8> {
        const RECORD: usize = 48;
        const FIELD: usize = 56;
        let mut image = vec![0; RECORD];
        let place = |image: &mut Vec<u8>, at: usize, bytes: &[u8], count: usize| {
            image.resize(image.len().next_multiple_of(8), 0);
            let address = (DESCRIPTION + image.len()) as u32;
            image[at..at + 4].copy_from_slice(&address.to_le_bytes());
            image[at + 4..at + 8].copy_from_slice(&(count as u32).to_le_bytes());
            image.extend_from_slice(bytes);
        };
        for (at, text) in [(0, &self.name), (8, &self.version), (16, &self.doc)] {
            place(&mut image, at, text.as_bytes(), text.len());
        }
        for (at, fields) in [(24, &self.inputs), (32, &self.outputs)] {
            place(&mut image, at, &vec![0; fields.len() * FIELD], fields.len());
            let first = image.len() - fields.len() * FIELD;
            for (i, field) in fields.iter().enumerate() {
                let at = first + i * FIELD;
                place(&mut image, at, field.name.as_bytes(), field.name.len());
                image[at + 8] = u8::from(field.data_type.is_many());
                image[at + 9] = match field.data_type.scalar().name() {
                    "bool" => 0,
                    "i64" => 1,
                    "f64" => 2,
                    "text" => 3,
                    "timestamp" => 4,
                    _ => 5,
                };
                image[at + 10] = u8::from(field.nullable);
                place(&mut image, at + 12, field.doc.as_bytes(), field.doc.len());
                for (at, end) in [(at + 24, field.minimum), (at + 40, field.maximum)] {
                    if let Some(end) = end {
                        image[at] = 1;
                        image[at + 8..at + 16].copy_from_slice(&end.to_le_bytes());
                    }
                }
            }
        }
        image
    }
}
