//! The log as Parquet files, written by a thread of its own.

use std::fmt::Display;
use std::panic::AssertUnwindSafe;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use arrow_array::RecordBatch;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use super::batch::Batch;
use super::columns::fault;
use super::file::{OpenFile, sweep};
use super::queue::Queue;
use super::{FeatureLog, Record, Shape};
use crate::error::{Error, Result};

/// How often the writer looks into the queue.
const TICK: Duration = Duration::from_millis(200);

/// How often a failing disk is worth a line in the program's log.
const COMPLAINT: Duration = Duration::from_secs(10);

/// How much waits, and when a file is closed: at whichever comes first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// How many bytes of records may wait to be written; more are dropped. So many more may wait for a row group, in all
    /// files together.
    pub queue_bytes: usize,
    /// A file that holds so many rows is finished, and a new one begun.
    pub file_rows: usize,
    /// The same, for its bytes.
    pub file_bytes: usize,
    /// The same, for its age in seconds: what a crash may lose at most.
    pub file_seconds: u64,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            queue_bytes: 64 << 20,
            file_rows: 1_000_000,
            file_bytes: 64 << 20,
            file_seconds: 60,
        }
    }
}

/// Is shown what was written, on the writer's thread: rows of one shape, with the columns of its files.
pub type Saw = Box<dyn Fn(&Shape, &RecordBatch) + Send>;

/// Writes `DIR/service=NAME/day=YYYY-MM-DD/NAME-vN-UUID.parquet`. When it is dropped, it writes what waits, and ends.
pub struct ParquetLog {
    shared: Arc<Shared>,
    writer: Option<JoinHandle<()>>,
}

struct Shared {
    queue: Queue,
    written: AtomicU64,
    failed: AtomicU64,
    /// How many of those a flush has told of.
    told: AtomicU64,
    complained: Mutex<Option<Instant>>,
    dir: PathBuf,
}

impl ParquetLog {
    /// Removes what a crash left unfinished in `dir`, and starts the writer. From here on a disk that fails costs
    /// records, which are counted, and nothing else.
    pub fn open(dir: &Path, settings: Settings) -> Result<ParquetLog> {
        ParquetLog::watched(dir, settings, None)
    }

    /// As [`ParquetLog::open`], with somebody who is shown what was written.
    pub fn watched(dir: &Path, settings: Settings, saw: Option<Saw>) -> Result<ParquetLog> {
        let refused = |error: std::io::Error| {
            Error::refused(
                format!("feature log in {}", dir.display()),
                error.to_string(),
            )
        };
        std::fs::create_dir_all(dir).map_err(refused)?;
        sweep(dir);
        let shared = Arc::new(Shared {
            queue: Queue::new(settings.queue_bytes),
            written: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            told: AtomicU64::new(0),
            complained: Mutex::default(),
            dir: dir.to_owned(),
        });
        let mut writer = Writer {
            shared: shared.clone(),
            dir: dir.to_owned(),
            settings,
            open: Vec::new(),
            saw,
        };
        let thread = std::thread::Builder::new()
            .name("feature-log".to_owned())
            .spawn(move || writer.run());
        Ok(ParquetLog {
            shared,
            writer: Some(thread.map_err(refused)?),
        })
    }
}

impl Shared {
    /// Counts records that could not be written, and says so now and then.
    fn complain(&self, records: u64, error: &dyn Display) {
        let failed = self.failed.fetch_add(records, Ordering::Relaxed) + records;
        let mut complained = self.complained.lock();
        if complained.is_none_or(|at| at.elapsed() >= COMPLAINT) {
            *complained = Some(Instant::now());
            tracing::error!(dir = %self.dir.display(), failed, %error, "the feature log cannot be written");
        }
    }
}

impl FeatureLog for ParquetLog {
    fn offer(&self, record: Record) -> bool {
        if let Some(fault) = fault(&record) {
            self.shared.complain(1, &fault);
            return true;
        }
        self.shared.queue.offer(record)
    }

    fn dropped(&self) -> u64 {
        self.shared.queue.dropped()
    }

    fn failed(&self) -> u64 {
        self.shared.failed.load(Ordering::Relaxed)
    }

    fn written(&self) -> u64 {
        self.shared.written.load(Ordering::Relaxed)
    }

    fn flush(&self) -> Result<()> {
        self.shared.queue.flush()?;
        let failed = self.failed();
        match failed.saturating_sub(self.shared.told.swap(failed, Ordering::Relaxed)) {
            0 => Ok(()),
            lost => Err(Error::Internal(format!(
                "the feature log could not write {lost} records"
            ))),
        }
    }
}

impl Drop for ParquetLog {
    fn drop(&mut self) {
        self.shared.queue.stop();
        if let Some(writer) = self.writer.take() {
            // Its panic, if any, has been printed.
            let _ = writer.join();
        }
    }
}

struct Writer {
    shared: Arc<Shared>,
    dir: PathBuf,
    settings: Settings,
    /// One for each shape and day there are records of just now.
    open: Vec<OpenFile>,
    saw: Option<Saw>,
}

impl Writer {
    fn run(&mut self) {
        let shared = self.shared.clone();
        let _ends = shared.queue.writer();
        loop {
            let taken = shared.queue.take(TICK);
            taken
                .batches
                .into_iter()
                .for_each(|batch| self.append(batch));
            let all = taken.flush.is_some() || taken.stop;
            self.close_if(|file, settings| all || due(file, settings));
            if let Some(flush) = taken.flush {
                shared.queue.done(flush);
            }
            if taken.stop {
                return;
            }
        }
    }

    /// Appends a batch to the file it belongs to.
    fn append(&mut self, batch: Batch) {
        let (shape, day, records) = (batch.shape.clone(), batch.day, batch.records());
        let at = match self
            .open
            .iter()
            .position(|file| Arc::ptr_eq(&file.shape, &shape) && file.day == day)
        {
            Some(at) => at,
            None => match OpenFile::create(&self.dir, &shape, day) {
                Ok(file) => {
                    self.open.push(file);
                    self.open.len() - 1
                }
                Err(error) => return self.shared.complain(records, &error),
            },
        };
        let file = &mut self.open[at];
        match file.append(batch) {
            Err(error) => {
                // Half a row group may be in it: the whole file is given up.
                let file = self.open.swap_remove(at);
                return self.shared.complain(file.records, &error);
            }
            Ok(rows) => self.show(&shape, &rows),
        }
        let file = &mut self.open[at];
        if due(file, &self.settings) {
            let file = self.open.swap_remove(at);
            self.close(file);
        }
        self.lighten();
    }

    /// Each service has a file of its own, and each file's rows wait in memory until they are a row group. Where all of
    /// them together are more than may wait in the queue, the largest ends its row group.
    fn lighten(&mut self) {
        let all = self.open.iter().map(OpenFile::waiting_bytes).sum::<usize>();
        let largest = (0..self.open.len()).max_by_key(|&at| self.open[at].waiting_bytes());
        let Some(at) = largest.filter(|_| all > self.settings.queue_bytes) else {
            return;
        };
        if let Err(error) = self.open[at].write_out() {
            let file = self.open.swap_remove(at);
            self.shared.complain(file.records, &error);
        }
    }

    /// A slip of whoever watches must not cost the log.
    fn show(&mut self, shape: &Shape, batch: &RecordBatch) {
        let Some(saw) = &self.saw else { return };
        let shown = std::panic::catch_unwind(AssertUnwindSafe(|| saw(shape, batch)));
        if shown.is_err() {
            self.saw = None;
            tracing::error!("what watches the feature log panicked, and is left out from now on");
        }
    }

    fn close_if(&mut self, wanted: impl Fn(&OpenFile, &Settings) -> bool) {
        let settings = &self.settings;
        let closing: Vec<OpenFile> = self
            .open
            .extract_if(.., |file| wanted(file, settings))
            .collect();
        for file in closing {
            self.close(file);
        }
    }

    fn close(&mut self, file: OpenFile) {
        let records = file.records;
        match file.close() {
            Ok(()) => _ = self.shared.written.fetch_add(records, Ordering::Relaxed),
            Err(error) => self.shared.complain(records, &error),
        }
    }
}

fn due(file: &OpenFile, settings: &Settings) -> bool {
    file.rows >= settings.file_rows
        || file.bytes() >= settings.file_bytes
        || file.opened.elapsed() >= Duration::from_secs(settings.file_seconds)
}
