//! How long a component would take to compile, judged before it is tried: a compiler cannot be stopped half-way.
//!
//! The time grows with the bytes of code, about a microsecond each. Within a function it also grows with the number of
//! locals times the number of places where ways through the code meet, and loops in loops multiply: a kilobyte can take
//! minutes. The bounds are some thirty times what the largest function of a real transform needs, and let through
//! what compiles in a few seconds.

use wasmparser::{
    BinaryReaderError, BlockType, CompositeInnerType, FunctionBody, Operator, Parser, Payload,
};

use super::component::malformed;

const MAX_CODE: usize = 2 << 20;
const MAX_FUNCTION: usize = 256 << 10;
const MAX_LOOPS_IN_LOOPS: usize = 50;
/// Of one function, and of all together, in locals times meetings.
const MAX_WEIGHT: u64 = 1_000_000;
const MAX_WEIGHT_OF_ALL: u64 = 5_000_000;
/// A loop costs as much as so many other meetings.
const LOOP: u64 = 32;

/// Says in a sentence what of a component would take too long.
pub(super) fn check(component: &[u8]) -> Result<(), String> {
    let (mut code, mut weight) = (0, 0);
    // Of each function type of the module at hand, how many values go in and come out.
    let mut arities = Vec::new();
    for payload in Parser::new(0).parse_all(component) {
        match payload.map_err(malformed)? {
            Payload::ModuleSection { .. } => arities.clear(),
            Payload::TypeSection(types) => {
                for group in types {
                    let arity = |inner: &CompositeInnerType| match inner {
                        CompositeInnerType::Func(ty) => ty.params().len() + ty.results().len(),
                        _ => 0,
                    };
                    let types = group.map_err(malformed)?.into_types();
                    arities.extend(types.map(|ty| arity(&ty.composite_type.inner)));
                }
            }
            Payload::CodeSectionEntry(body) => {
                let bytes = body.range().len();
                let function = Weight::of(&body, &arities).map_err(malformed)?;
                code += bytes;
                weight += function.weight;
                over("one of its functions", bytes, MAX_FUNCTION, "bytes")?;
                over(
                    "one of its functions",
                    function.depth,
                    MAX_LOOPS_IN_LOOPS,
                    "loops in loops",
                )?;
                over(
                    "one of its functions",
                    function.weight,
                    MAX_WEIGHT,
                    "locals times branches",
                )?;
            }
            _ => {}
        }
    }
    over("its code", code, MAX_CODE, "bytes")?;
    over(
        "its code",
        weight,
        MAX_WEIGHT_OF_ALL,
        "locals times branches",
    )
}

struct Weight {
    weight: u64,
    /// Loops around the innermost one, itself included.
    depth: usize,
}

impl Weight {
    fn of(body: &FunctionBody<'_>, arities: &[usize]) -> Result<Weight, BinaryReaderError> {
        let mut locals = 0;
        for group in body.get_locals_reader()? {
            locals += u64::from(group?.0);
        }
        let (mut meetings, mut values) = (1, 0);
        let (mut blocks, mut loops, mut depth) = (Vec::new(), 0, 0);
        let mut operators = body.get_operators_reader()?;
        while !operators.eof() {
            match operators.read()? {
                Operator::Block { blockty } | Operator::If { blockty } => {
                    meetings += 1;
                    values += arity(blockty, arities);
                    blocks.push(false);
                }
                Operator::Loop { blockty } => {
                    meetings += LOOP;
                    values += arity(blockty, arities);
                    blocks.push(true);
                    loops += 1;
                    depth = depth.max(loops);
                }
                Operator::End if blocks.pop() == Some(true) => loops -= 1,
                _ => {}
            }
        }
        Ok(Weight {
            weight: (locals + 1) * meetings + LOOP * values,
            depth,
        })
    }
}

/// Values into a block and out of it: each is one more meeting.
fn arity(block: BlockType, arities: &[usize]) -> u64 {
    match block {
        BlockType::FuncType(index) => arities.get(index as usize).map_or(0, |arity| *arity as u64),
        _ => 0,
    }
}

fn over<N: PartialOrd + std::fmt::Display>(
    what: &str,
    found: N,
    limit: N,
    unit: &str,
) -> Result<(), String> {
    match found > limit {
        true => Err(format!(
            "{what} would take too long to compile: {found} {unit}, over the limit of {limit}"
        )),
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(functions: &str) -> Result<(), String> {
        check(&wat::parse_str(format!("(module {functions})")).unwrap())
    }

    fn refused(functions: &str) -> String {
        judged(functions).unwrap_err()
    }

    #[test]
    fn ten_thousand_small_functions_are_fine() {
        let function = "(func (param i32) (result i32) (local i32) (loop (br_if 0 (local.get 0))) (local.get 0))";
        judged(&function.repeat(10_000)).unwrap();
    }

    #[test]
    fn much_code_is_too_much() {
        let sums = |n: usize| {
            format!(
                "(func (param i32) {})",
                "(drop (i32.eqz (local.get 0)))".repeat(n)
            )
        };
        judged(&sums(50_000)).unwrap();
        assert!(
            refused(&sums(80_000))
                .starts_with("one of its functions would take too long to compile: 320002 bytes")
        );
        assert!(
            refused(&sums(50_000).repeat(11))
                .starts_with("its code would take too long to compile: 2200022 bytes")
        );
    }

    #[test]
    fn few_bytes_can_be_too_much() {
        let nested =
            |loops: usize| format!("(func {} {})", "(loop ".repeat(loops), ")".repeat(loops));
        judged(&nested(50)).unwrap();
        assert_eq!(
            refused(&nested(51)),
            "one of its functions would take too long to compile: 51 loops in loops, over the limit of 50"
        );
        let branching = |locals: usize, ifs: usize| {
            let branches = "(if (local.get 0) (then))".repeat(ifs);
            format!("(func {} {branches})", "(local i32)".repeat(locals))
        };
        judged(&branching(99, 9_999)).unwrap();
        assert!(
            refused(&branching(999, 1_001))
                .contains("1002000 locals times branches, over the limit of 1000000")
        );
        assert!(
            refused(&branching(99, 9_999).repeat(6))
                .starts_with("its code would take too long to compile: 6000000")
        );
    }

    #[test]
    fn values_carried_through_blocks_count() {
        let types = format!("(type (func (param{})))", " i32".repeat(900));
        let function = format!(
            "(func unreachable {} {})",
            "(block (type 0) ".repeat(50),
            "unreachable)".repeat(50)
        );
        assert!(refused(&format!("{types} {function}")).contains("locals times branches"));
    }
}
