//! One NaN for every machine, at the price of the few places where one can be told from another.
//!
//! Which bits a computed NaN has is the processor's choice: x86 sets its sign, Arm does not. A guest sees such bits only
//! where a float ceases to be one: where it is stored to memory, reinterpreted as an integer, lends its sign
//! (`copysign`), or enters a vector. So a check is put in front of just these, into the code before it is compiled, and
//! every NaN that passes becomes the canonical one. All else that Wasm does with floats is the same for all NaNs.
//! Cranelift would do the same behind every single addition, which makes a page of trigonometry more than twice as slow.
//!
//! What only moves keeps its bits: a float that was loaded, a constant, or a local that holds nothing else, is stored as it
//! is, also a NaN with a payload. Vectors are bits to begin with: their arithmetic is checked at once.

use wasm_encoder::Encode;
use wasmparser::{
    BinaryReader, BinaryReaderError, CodeSectionReader, CompositeInnerType, FunctionBody,
    FunctionSectionReader, Operator, TypeSectionReader, Validator, WasmFeatures,
};

/// Goes into the name of what is compiled: another version makes other code of the same component, or takes other
/// components. The second is the first to look whether they are valid.
pub(super) const VERSION: u32 = 2;

type Result<T> = std::result::Result<T, BinaryReaderError>;

const HEADER: usize = 8;
const TYPES: u8 = 1;
const FUNCTIONS: u8 = 3;
const CODE: u8 = 10;
/// Of a component's sections.
const CORE_MODULE: u8 = 1;
const COMPONENT: u8 = 4;

/// The component with its checks. An error is about what is no valid Wasm: locals of a function that it does not declare
/// would be ours.
pub(super) fn checked(component: &[u8]) -> Result<Vec<u8>> {
    // Which of its features are let in is the compiler's to say.
    Validator::new_with_features(WasmFeatures::all()).validate_all(component)?;
    rewritten(component)
}

fn rewritten(component: &[u8]) -> Result<Vec<u8>> {
    sections(component, |id, body| match id {
        CORE_MODULE => module(body).map(Some),
        COMPONENT => rewritten(body).map(Some),
        _ => Ok(None),
    })
}

fn module(bytes: &[u8]) -> Result<Vec<u8>> {
    // How many parameters the functions of each type have, and the type of each function.
    let (mut arities, mut functions) = (Vec::new(), Vec::new());
    sections(bytes, |id, body| {
        let reader = BinaryReader::new(body, 0);
        match id {
            TYPES => {
                for group in TypeSectionReader::new(reader)? {
                    arities.extend(group?.into_types().map(|ty| match ty.composite_type.inner {
                        CompositeInnerType::Func(ty) => ty.params().len() as u32,
                        _ => 0,
                    }));
                }
                Ok(None)
            }
            FUNCTIONS => {
                for ty in FunctionSectionReader::new(reader)? {
                    functions.push(ty?);
                }
                Ok(None)
            }
            CODE => code(reader, &arities, &functions).map(Some),
            _ => Ok(None),
        }
    })
}

/// The same module or component, with other bodies for some of its sections.
fn sections(
    bytes: &[u8],
    mut change: impl FnMut(u8, &[u8]) -> Result<Option<Vec<u8>>>,
) -> Result<Vec<u8>> {
    let mut reader = BinaryReader::new(bytes, 0);
    let mut out = reader.read_bytes(HEADER)?.to_vec();
    while !reader.eof() {
        let id = reader.read_u8()?;
        let size = reader.read_var_u32()?;
        let body = reader.read_bytes(size as usize)?;
        let changed = change(id, body)?;
        out.push(id);
        changed.as_deref().unwrap_or(body).encode(&mut out);
    }
    Ok(out)
}

fn code(reader: BinaryReader<'_>, arities: &[u32], functions: &[u32]) -> Result<Vec<u8>> {
    let bodies = CodeSectionReader::new(reader)?;
    let mut out = Vec::new();
    bodies.count().encode(&mut out);
    for (at, body) in bodies.into_iter().enumerate() {
        // A module without these is no module, as whoever compiles it will say.
        let ty = functions.get(at).copied().unwrap_or_default();
        let parameters = arities.get(ty as usize).copied().unwrap_or_default();
        function(&body?, parameters)?.encode(&mut out);
    }
    Ok(out)
}

/// What may be a computed NaN, at one place of the code.
#[derive(Clone, Copy)]
enum Kind {
    F32,
    F64,
    F32x4,
    F64x2,
}

/// Where the value on top of the stack comes from, as far as the operator before shows.
#[derive(Clone, Copy, PartialEq)]
enum Top {
    /// Bits that were bits before.
    Bits,
    Local(u32),
    /// Perhaps arithmetic.
    Unknown,
}

/// A place where a check goes, and what it would check.
struct Site {
    at: usize,
    kind: Kind,
    top: Top,
}

fn function(body: &FunctionBody<'_>, parameters: u32) -> Result<Vec<u8>> {
    let start = body.range().start;
    let mut locals = body.get_locals_reader()?;
    let groups = locals.get_count();
    let groups_start = locals.original_position();
    let mut count = parameters;
    for _ in 0..groups {
        count = count.saturating_add(locals.read()?.0);
    }
    let operators_start = locals.original_position();
    let (sites, moved) = sites(body)?;
    let computed = Computed::of(parameters, &moved);
    let sites: Vec<Site> = sites
        .into_iter()
        .filter(|site| match site.top {
            Top::Bits => false,
            Top::Local(local) => computed.has(local),
            Top::Unknown => true,
        })
        .collect();

    let bytes = body.as_bytes();
    let mut scratch = Scratch::new(count);
    let mut code = Vec::with_capacity(bytes.len() + 32 * sites.len());
    let mut from = operators_start - start;
    for site in &sites {
        code.extend_from_slice(&bytes[from..site.at - start]);
        from = site.at - start;
        scratch.check(site.kind, &mut code);
    }
    code.extend_from_slice(&bytes[from..]);

    let mut out = Vec::with_capacity(code.len() + 32);
    (groups + scratch.types.len() as u32).encode(&mut out);
    out.extend_from_slice(&bytes[groups_start - start..operators_start - start]);
    for ty in &scratch.types {
        1_u32.encode(&mut out);
        ty.encode(&mut out);
    }
    out.extend_from_slice(&code);
    Ok(out)
}

/// Where a local got its value, once.
type Moved = (u32, Top);

/// The places of a function where a float may cease to be one, and what its locals are set to.
fn sites(body: &FunctionBody<'_>) -> Result<(Vec<Site>, Vec<Moved>)> {
    let (mut sites, mut moved) = (Vec::new(), Vec::new());
    let mut top = Top::Unknown;
    let mut operators = body.get_operators_reader()?;
    while !operators.eof() {
        let (operator, at) = operators.read_with_offset()?;
        let mut site = |at, kind| sites.push(Site { at, kind, top });
        let behind = operators.original_position();
        use Operator::*;
        match operator {
            F32Store { .. }
            | I32ReinterpretF32
            | F32Copysign
            | F32x4Splat
            | F32x4ReplaceLane { .. } => site(at, Kind::F32),
            F64Store { .. }
            | I64ReinterpretF64
            | F64Copysign
            | F64x2Splat
            | F64x2ReplaceLane { .. } => site(at, Kind::F64),
            F32x4Add | F32x4Sub | F32x4Mul | F32x4Div | F32x4Sqrt | F32x4Min | F32x4Max
            | F32x4Ceil | F32x4Floor | F32x4Trunc | F32x4Nearest | F32x4DemoteF64x2Zero => {
                top = Top::Unknown;
                sites.push(Site {
                    at: behind,
                    kind: Kind::F32x4,
                    top,
                });
            }
            F64x2Add | F64x2Sub | F64x2Mul | F64x2Div | F64x2Sqrt | F64x2Min | F64x2Max
            | F64x2Ceil | F64x2Floor | F64x2Trunc | F64x2Nearest | F64x2PromoteLowF32x4 => {
                top = Top::Unknown;
                sites.push(Site {
                    at: behind,
                    kind: Kind::F64x2,
                    top,
                });
            }
            LocalSet { local_index } | LocalTee { local_index } => moved.push((local_index, top)),
            _ => {}
        }
        top = match operator {
            F32Load { .. }
            | F64Load { .. }
            | F32Const { .. }
            | F64Const { .. }
            | F32ReinterpretI32
            | F64ReinterpretI64 => Top::Bits,
            LocalGet { local_index } | LocalTee { local_index } => Top::Local(local_index),
            // They turn a bit, and are no arithmetic.
            F32Neg | F32Abs | F64Neg | F64Abs => top,
            _ => Top::Unknown,
        };
    }
    Ok((sites, moved))
}

/// The locals that may hold the result of arithmetic: parameters, and whatever is set to a thing that may be one.
struct Computed {
    parameters: u32,
    locals: std::collections::HashSet<u32>,
}

impl Computed {
    fn of(parameters: u32, moved: &[Moved]) -> Computed {
        let mut computed = Computed {
            parameters,
            locals: Default::default(),
        };
        // Who is set to whom, from the one to the other.
        let mut followers: std::collections::HashMap<u32, Vec<u32>> = Default::default();
        let mut open = Vec::new();
        for &(local, top) in moved {
            match top {
                Top::Bits => {}
                Top::Unknown => open.push(local),
                Top::Local(other) if other < parameters => open.push(local),
                Top::Local(other) => followers.entry(other).or_default().push(local),
            }
        }
        while let Some(local) = open.pop() {
            if computed.locals.insert(local) {
                open.extend(followers.remove(&local).unwrap_or_default());
            }
        }
        computed
    }

    fn has(&self, local: u32) -> bool {
        local < self.parameters || self.locals.contains(&local)
    }
}

/// Locals of our own behind the function's, one of each type that is used.
struct Scratch {
    first: u32,
    types: Vec<wasm_encoder::ValType>,
}

impl Scratch {
    fn new(first: u32) -> Scratch {
        Scratch {
            first,
            types: Vec::new(),
        }
    }

    fn local(&mut self, ty: wasm_encoder::ValType) -> u32 {
        let at = self.types.iter().position(|other| *other == ty);
        let at = at.unwrap_or_else(|| {
            self.types.push(ty);
            self.types.len() - 1
        });
        self.first + at as u32
    }

    /// What is on top of the stack if it equals itself, else the canonical NaN.
    fn check(&mut self, kind: Kind, out: &mut Vec<u8>) {
        use wasm_encoder::{Instruction, ValType};
        const NAN_32: u32 = 0x7fc0_0000;
        const NAN_64: u64 = 0x7ff8_0000_0000_0000;
        let of_f32x4 = (0..4).fold(0, |all, lane| all | u128::from(NAN_32) << (32 * lane));
        let of_f64x2 = u128::from(NAN_64) << 64 | u128::from(NAN_64);
        let (ty, nan, equal, choose) = match kind {
            Kind::F32 => (
                ValType::F32,
                Instruction::F32Const(wasm_encoder::Ieee32::new(NAN_32)),
                Instruction::F32Eq,
                Instruction::Select,
            ),
            Kind::F64 => (
                ValType::F64,
                Instruction::F64Const(wasm_encoder::Ieee64::new(NAN_64)),
                Instruction::F64Eq,
                Instruction::Select,
            ),
            Kind::F32x4 => (
                ValType::V128,
                Instruction::V128Const(of_f32x4 as i128),
                Instruction::F32x4Eq,
                Instruction::V128Bitselect,
            ),
            Kind::F64x2 => (
                ValType::V128,
                Instruction::V128Const(of_f64x2 as i128),
                Instruction::F64x2Eq,
                Instruction::V128Bitselect,
            ),
        };
        let local = self.local(ty);
        for instruction in [
            Instruction::LocalTee(local),
            nan,
            Instruction::LocalGet(local),
            Instruction::LocalGet(local),
            equal,
            choose,
        ] {
            instruction.encode(out);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use wasmtime::{Config, Engine, Instance, Module, Store};

    use super::*;

    const CANONICAL: u64 = 0x7ff8_0000_0000_0000;
    /// A NaN with a sign and a payload.
    const ODD: u64 = 0xfff8_0000_0000_0123;

    fn engine(canonicalizes: bool) -> Engine {
        let mut config = Config::new();
        config.cranelift_nan_canonicalization(canonicalizes);
        Engine::new(&config).unwrap()
    }

    /// What `run`, a function of two integers, answers.
    fn run(engine: &Engine, module: &[u8], a: u64, b: u64) -> u64 {
        let module = Module::new(engine, module).unwrap();
        let mut store = Store::new(engine, ());
        let instance = Instance::new(&mut store, &module, &[]).unwrap();
        let run = instance
            .get_typed_func::<(i64, i64), i64>(&mut store, "run")
            .unwrap();
        run.call(&mut store, (a as i64, b as i64)).unwrap() as u64
    }

    /// A body between the arguments as floats, in the locals $a and $b, and an integer.
    fn wat(body: &str) -> Vec<u8> {
        wat::parse_str(format!(
            "(module (memory 1) (global $g (mut f64) (f64.const 0))
               (func $same (param f64) (result f64) (local.get 0))
               (func (export \"run\") (param i64 i64) (result i64) (local $a f64) (local $b f64) (local $c f64) (local $v v128)
                 (local.set $a (f64.reinterpret_i64 (local.get 0)))
                 (local.set $b (f64.reinterpret_i64 (local.get 1)))
                 {body}))"
        ))
        .unwrap()
    }

    fn checked_run(body: &str, a: u64, b: u64) -> u64 {
        run(&engine(false), &module(&wat(body)).unwrap(), a, b)
    }

    #[test]
    fn every_way_out_shows_the_one_nan() {
        let difference = "(f64.sub (local.get $a) (local.get $b))";
        for body in [
            format!("(i64.reinterpret_f64 {difference})"),
            format!("(f64.store (i32.const 8) {difference}) (i64.load (i32.const 8))"),
            format!("(i64.reinterpret_f64 (local.tee $c {difference}))"),
            format!("(local.set $c {difference}) (i64.reinterpret_f64 (local.get $c))"),
            format!("(local.set $c {difference}) (local.set $a (local.get $c)) (i64.reinterpret_f64 (local.get $a))"),
            format!("(global.set $g {difference}) (i64.reinterpret_f64 (global.get $g))"),
            format!("(i64.reinterpret_f64 (call $same {difference}))"),
            format!("(i64.reinterpret_f64 (block (result f64) {difference}))"),
            format!("(i64.reinterpret_f64 (f64.neg {difference}))"),
            format!("(i64x2.extract_lane 1 (f64x2.splat {difference}))"),
            format!("(i64x2.extract_lane 1 (f64x2.replace_lane 1 (v128.const i64x2 0 0) {difference}))"),
            "(i64x2.extract_lane 0 (f64x2.sub (f64x2.splat (local.get $a)) (f64x2.splat (local.get $b))))".to_owned(),
            format!("(i64.reinterpret_f64 (f64.promote_f32 (f32.demote_f64 {difference})))"),
            "(i64.or (i64.const 0x7ff8000000000000) (i64.extend_i32_s (i32.shl (i32.sub (i32x4.extract_lane 2 (f32x4.div
               (f32x4.splat (f32.const 0)) (f32x4.splat (f32.const 0)))) (i32.const 0x7fc00000)) (i32.const 1))))"
                .to_owned(),
        ] {
            // inf - inf, and a NaN that comes along with its payload.
            for (a, b) in [(f64::INFINITY.to_bits(), f64::INFINITY.to_bits()), (ODD, ODD)] {
                let found = checked_run(&body, a, b);
                assert_eq!(found, CANONICAL, "{body}: {found:x}");
            }
        }
        let sign = format!("(i64.reinterpret_f64 (f64.copysign (local.get $a) {difference}))");
        let one = 1_f64.to_bits();
        assert_eq!(checked_run(&sign, one, f64::NAN.to_bits()), one);
        assert_eq!(checked_run(&sign, one, ODD), one);
    }

    #[test]
    fn what_only_moves_keeps_its_bits() {
        for body in [
            "(i64.reinterpret_f64 (local.get $a))",
            "(f64.store (i32.const 8) (local.get $a)) (i64.load (i32.const 8))",
            "(i64.store (i32.const 8) (local.get 0)) (f64.store (i32.const 16) (f64.load (i32.const 8))) (i64.load (i32.const 16))",
            "(local.set $c (local.get $a)) (i64.reinterpret_f64 (local.get $c))",
            "(i64.reinterpret_f64 (f64.neg (f64.neg (local.get $a))))",
            "(i64x2.extract_lane 1 (f64x2.splat (local.get $a)))",
        ] {
            assert_eq!(checked_run(body, ODD, 0), ODD, "{body}");
        }
    }

    #[test]
    fn a_local_that_is_not_declared_is_not_ours_to_give() {
        let difference = "(f64.sub (local.get $a) (local.get $b))";
        // Six locals are declared, so the seventh would be where a check keeps what it looks at.
        let body = format!(
            "(drop (i64.reinterpret_f64 {difference})) (i64.reinterpret_f64 (local.get 6))"
        );
        let component = wat::parse_str("(component)").unwrap();
        let mut with_module = component.clone();
        with_module.push(CORE_MODULE);
        wat(&body).as_slice().encode(&mut with_module);
        let error = checked(&with_module).unwrap_err().to_string();
        assert!(error.contains("unknown local 6"), "{error}");
        checked(&component).unwrap();
    }

    /// Chains of operators over two floats, each by its place in this list.
    const OPERATORS: [&str; 12] = [
        "(f64.add (local.get $c) (local.get $b))",
        "(f64.sub (local.get $c) (local.get $b))",
        "(f64.mul (local.get $c) (local.get $a))",
        "(f64.div (local.get $c) (local.get $b))",
        "(f64.sqrt (local.get $c))",
        "(f64.min (local.get $a) (local.get $c))",
        "(f64.max (local.get $c) (local.get $b))",
        "(f64.floor (local.get $c))",
        "(f64.promote_f32 (f32.demote_f64 (local.get $c)))",
        "(f64.reinterpret_i64 (i64.add (i64.reinterpret_f64 (local.get $c)) (i64.const 1)))",
        "(f64x2.extract_lane 1 (f64x2.mul (f64x2.splat (local.get $c)) (f64x2.splat (local.get $b))))",
        "(select (local.get $c) (local.get $b) (f64.lt (local.get $c) (local.get $a)))",
    ];

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        /// Numbers are untouched, and NaNs are those of a compiler that looks after every operator.
        #[test]
        fn as_if_every_operator_were_checked(
            chain in proptest::collection::vec(0..OPERATORS.len(), 1..12),
            a in prop_oneof![any::<u64>(), Just(f64::INFINITY.to_bits()), Just(ODD), Just(0), Just(1_f64.to_bits())],
            b in prop_oneof![any::<u64>(), Just(f64::INFINITY.to_bits()), Just(0), Just((-2_f64).to_bits())],
        ) {
            let mut body = "(local.set $c (f64.add (local.get $a) (local.get $b)))".to_owned();
            for at in chain {
                body.push_str(&format!("(local.set $c {})", OPERATORS[at]));
            }
            // What is selected may be a NaN that came along; both must see that it is one.
            body.push_str("(i64.reinterpret_f64 (f64.add (local.get $c) (f64.const 0)))");
            let whole = wat(&body);
            let expected = run(&engine(true), &whole, a, b);
            prop_assert_eq!(run(&engine(false), &module(&whole).unwrap(), a, b), expected, "{}", body);
        }
    }
}
