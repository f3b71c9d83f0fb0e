//! What a transform may use.

use serde::{Deserialize, Serialize};

use super::sections::Sections;
use crate::error::{Error, Result};

const MIB: usize = 1 << 20;
/// Linear memories are addressed by 32 bits.
const ADDRESSABLE: usize = 1 << 32;

/// The `[transforms]` table of the configuration. Every key has a default that runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Fuel for a call of one row: the time limit, the same on every machine. One unit is about one Wasm instruction, or
    /// one byte of a bulk copy; 100 million are some 50 milliseconds, and an ordinary row takes a few thousand.
    pub fuel: u64,
    /// Fuel added for each further row of a call. A call that needs more is repeated with fewer rows.
    pub fuel_per_row: u64,
    /// Linear memory of one instance, in bytes.
    pub memory_bytes: usize,
    /// What one call may answer, in bytes, before it is copied out of the guest.
    pub answer_bytes: usize,
    /// Most rows handed to a guest in one call. Larger blocks are split.
    pub rows_per_call: usize,
    /// Size of a component, in bytes, without its source archive.
    pub component_bytes: usize,
    /// After so many calls an instance is replaced by a new one.
    pub calls_per_instance: u32,
    /// And after so many rows: what an instance could remember shows itself within its life, all of which a transform is
    /// tried for when it is registered.
    pub rows_per_instance: usize,
    /// An instance that has grown by more than this, in bytes, is not kept for another call.
    pub warm_memory_bytes: usize,
    /// Instances at one time, over all transforms and threads. Each reserves 4 GiB of address space, not of memory.
    pub instances: u32,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            fuel: 100_000_000,
            fuel_per_row: 100_000,
            memory_bytes: 64 * MIB,
            answer_bytes: 32 * MIB,
            rows_per_call: 16_384,
            component_bytes: 8 * MIB,
            calls_per_instance: 10_000,
            rows_per_instance: 100_000,
            warm_memory_bytes: 8 * MIB,
            instances: 500,
        }
    }
}

impl Limits {
    /// Refuses values that no engine could be built with, by the name of their key.
    pub fn check(&self) -> Result<()> {
        let positive = [
            ("fuel", self.fuel as usize),
            ("memory_bytes", self.memory_bytes),
            ("answer_bytes", self.answer_bytes),
            ("rows_per_call", self.rows_per_call),
            ("component_bytes", self.component_bytes),
            ("calls_per_instance", self.calls_per_instance as usize),
            ("rows_per_instance", self.rows_per_instance),
            ("instances", self.instances as usize),
        ];
        if let Some((key, _)) = positive.iter().find(|(_, value)| *value == 0) {
            return Err(Error::invalid(
                format!("transforms.{key}"),
                "must be at least 1",
            ));
        }
        if self.memory_bytes > ADDRESSABLE {
            return Err(Error::invalid(
                "transforms.memory_bytes",
                format!("must be at most {ADDRESSABLE}"),
            ));
        }
        Ok(())
    }

    /// [`Error::TooLarge`] for a component or module over `component_bytes`. Of its bytes only where sections begin is
    /// looked at, so this comes before anything dear.
    pub fn check_size(&self, bytes: &[u8]) -> Result<()> {
        let size = Sections::of(bytes).map_or(bytes.len(), |sections| sections.code_len());
        if size <= self.component_bytes {
            return Ok(());
        }
        Err(Error::TooLarge {
            what: format!("a component of {size} bytes"),
            limit: format!(
                "{} bytes (transforms.component_bytes)",
                self.component_bytes
            ),
        })
    }

    /// Fuel of a call of `rows` rows.
    pub fn fuel_for(&self, rows: usize) -> u64 {
        self.fuel.saturating_add(
            self.fuel_per_row
                .saturating_mul(rows.saturating_sub(1) as u64),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_table_is_the_default() {
        assert_eq!(toml::from_str::<Limits>("").unwrap(), Limits::default());
        Limits::default().check().unwrap();
    }

    #[test]
    fn an_unknown_key_is_refused_by_name() {
        let error = toml::from_str::<Limits>("fule = 3")
            .unwrap_err()
            .to_string();
        assert!(error.contains("fule") && error.contains("fuel"), "{error}");
    }

    #[test]
    fn a_zero_is_refused_by_name() {
        let limits = Limits {
            instances: 0,
            ..Limits::default()
        };
        assert_eq!(
            limits.check().unwrap_err().to_string(),
            "transforms.instances: must be at least 1"
        );
    }

    #[test]
    fn fuel_grows_with_rows_and_never_wraps() {
        let limits = Limits {
            fuel: 10,
            fuel_per_row: 3,
            ..Limits::default()
        };
        assert_eq!(
            [limits.fuel_for(1), limits.fuel_for(2), limits.fuel_for(5)],
            [10, 13, 22]
        );
        let limits = Limits {
            fuel: u64::MAX,
            fuel_per_row: u64::MAX,
            ..Limits::default()
        };
        assert_eq!(limits.fuel_for(9), u64::MAX);
    }
}
