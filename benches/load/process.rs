//! What Linux says of a process.

use std::time::Duration;

use anyhow::{Context, Result};

#[derive(Clone, Copy)]
pub struct Process(pub u32);

impl Process {
    /// CPU time of all its threads, in steps of 10 ms.
    pub fn cpu(self) -> Result<Duration> {
        let stat = self.read("stat")?;
        // The name, in brackets, may hold anything; user and system time are the 14th and 15th field.
        let rest = stat.rsplit_once(')').context("no such line")?.1;
        let fields: Vec<&str> = rest.split_whitespace().collect();
        let ticks: u64 = fields[11].parse::<u64>()? + fields[12].parse::<u64>()?;
        Ok(Duration::from_millis(ticks * 10))
    }

    /// The most memory it had since `forget_peak`, in bytes.
    pub fn peak(self) -> Result<u64> {
        self.status("VmHWM:")
    }

    /// What it has now, in bytes.
    pub fn resident(self) -> Result<u64> {
        self.status("VmRSS:")
    }

    pub fn forget_peak(self) {
        // Not every system lets one do so: then the peak is that of its whole life.
        let _ = std::fs::write(format!("/proc/{}/clear_refs", self.0), "5");
    }

    fn status(self, name: &str) -> Result<u64> {
        let status = self.read("status")?;
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        let kib = line.and_then(|line| line.split_whitespace().next());
        Ok(kib.context("no such line")?.parse::<u64>()? * 1024)
    }

    fn read(self, file: &str) -> Result<String> {
        let path = format!("/proc/{}/{file}", self.0);
        std::fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))
    }
}
