//! What wasmtime says went wrong in a guest, as one of our faults.

use std::fmt;

use wasmtime::{Trap, WasmBacktrace};

use super::limits::Limits;
use crate::error::Fault;

/// Functions named in a fault.
const MAX_FRAMES: usize = 16;
/// wasmtime keeps the error of an exhausted `set_hostcall_fuel` private; this is in its message.
const ANSWER_TOO_LARGE: &str = "fuel allocated for hostcalls has been exhausted";

/// Raised by the host where a guest wants more memory than it may have.
#[derive(Debug)]
pub(super) struct MemoryRefused;

impl fmt::Display for MemoryRefused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("more memory was wanted than is allowed")
    }
}

impl std::error::Error for MemoryRefused {}

/// The fault behind an error of a call that had `fuel`.
pub(super) fn fault(error: &wasmtime::Error, limits: &Limits, fuel: u64) -> Fault {
    let frames = frames(error);
    if error.is::<MemoryRefused>() {
        return Fault::OutOfMemory {
            limit: limits.memory_bytes,
            frames,
        };
    }
    match error.downcast_ref::<Trap>() {
        Some(Trap::OutOfFuel) => Fault::OutOfFuel {
            limit: fuel,
            frames,
        },
        Some(Trap::UnreachableCodeReached) => Fault::Trap {
            message: "it reached an `unreachable` instruction, as a panic does".to_owned(),
            frames,
        },
        Some(trap) => {
            let message = trap.to_string();
            Fault::Trap {
                message: message.trim_start_matches("wasm trap: ").to_owned(),
                frames,
            }
        }
        None => other(error.root_cause().to_string(), limits),
    }
}

/// A fault without a trap: the host could not place the rows in the guest's memory, or read the answer out of it.
fn other(message: String, limits: &Limits) -> Fault {
    if message.contains(ANSWER_TOO_LARGE) {
        return Fault::AnswerTooLarge {
            limit: limits.answer_bytes,
        };
    }
    match message.strip_prefix("realloc return: ") {
        Some(what) => Fault::Trap {
            message: format!("its allocator gave no room for the rows: {what}"),
            frames: Vec::new(),
        },
        None => Fault::BadAnswer(message),
    }
}

/// The guest's functions, innermost first, as an author wrote them.
fn frames(error: &wasmtime::Error) -> Vec<String> {
    let Some(backtrace) = error.downcast_ref::<WasmBacktrace>() else {
        return Vec::new();
    };
    let name = |frame: &wasmtime::FrameInfo| match frame.func_name() {
        Some(name) => format!("{:#}", rustc_demangle::demangle(name)),
        None => format!("function {}", frame.func_index()),
    };
    backtrace
        .frames()
        .iter()
        .take(MAX_FRAMES)
        .map(name)
        .collect()
}
