//! A laid-out ensemble: rows in, sums out. Each row's sums are made in the order of the trees, starting from zero,
//! whatever the number of rows, so a row's score does not depend on the batch it came in.

use tract_onnx::tract_hir::internal::*;

use super::compact::{Compact, LANES};
use super::general::General;
use super::leaves::Leaves;
use super::number::{Number, Scratch};
use super::raw::{Checked, Raw};

/// How the leaves of the trees are put together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Aggregate {
    Average,
    Sum,
    Min,
    Max,
}

#[derive(Debug)]
enum Layout<T> {
    Compact(Compact<T>),
    General(General<T>),
}

/// Trees, ready to score.
#[derive(Debug)]
pub(crate) struct Ensemble<T> {
    layout: Layout<T>,
    leaves: Leaves<T>,
    pub aggregate: Aggregate,
    pub targets: usize,
    pub trees: usize,
    /// The least number of input columns.
    pub features: usize,
    /// Targets that any leaf adds to; enough where a leaf of every tree reaches all its tree's targets.
    reached: Vec<bool>,
}

impl<T: Number> Ensemble<T> {
    /// Lays `raw` out, as it was `checked`.
    pub fn new(raw: &Raw, checked: Checked, aggregate: Aggregate) -> TractResult<Ensemble<T>> {
        let (leaves, keys) = Leaves::new(raw).context("the ensemble has too many leaves")?;
        let layout = match Compact::new(raw, checked, &keys) {
            Some(compact) => Layout::Compact(compact),
            None => Layout::General(General::new(raw, &keys)),
        };
        let mut reached = vec![!matches!(leaves, Leaves::PerTree(_)); raw.targets];
        if let Leaves::PerTree(of) = &leaves {
            of.iter()
                .for_each(|&target| reached[target as usize] = true);
        }
        Ok(Ensemble {
            layout,
            leaves,
            aggregate,
            targets: raw.targets,
            trees: raw.roots.len(),
            features: checked.features,
            reached,
        })
    }

    /// Bytes of all nodes, for the curious.
    pub fn bytes(&self) -> usize {
        match &self.layout {
            Layout::Compact(c) => c.bytes(),
            Layout::General(g) => g.bytes(),
        }
    }

    /// Scores `rows` × `columns` numbers. `finish` gets each row's number, its sums, and for each sum whether any
    /// leaf has added to it.
    pub fn score(
        &self,
        rows: usize,
        columns: usize,
        data: &[T],
        mut finish: impl FnMut(usize, &mut [T], &[bool]),
    ) -> TractResult<()> {
        ensure!(
            columns >= self.features,
            "the trees read {} features, a row has {columns}",
            self.features
        );
        ensure!(
            Some(data.len()) == rows.checked_mul(columns),
            "{rows} rows of {columns} numbers, got {}",
            data.len()
        );
        T::with_scratch(|scratch| match &self.layout {
            Layout::Compact(layout) => {
                self.score_compact(layout, rows, columns, data, scratch, &mut finish)
            }
            Layout::General(layout) => {
                self.score_general(layout, rows, columns, data, scratch, &mut finish)
            }
        });
        Ok(())
    }

    fn score_compact(
        &self,
        layout: &Compact<T>,
        rows: usize,
        columns: usize,
        data: &[T],
        scratch: &mut Scratch<T>,
        finish: &mut impl FnMut(usize, &mut [T], &[bool]),
    ) {
        let Scratch {
            rows: copied,
            sums,
            reached,
        } = scratch;
        let features = layout.features();
        let mut start = 0;
        let block = self.block(layout.row_len());
        while rows - start >= LANES {
            let n = block.min((rows - start) / LANES * LANES);
            let nan = transpose(&data[start * columns..], columns, n, features, copied);
            self.sum(n, sums, reached, Walk::CompactBlock(layout, copied, nan));
            self.finish(start, sums, reached, finish);
            start += n;
        }
        for r in start..rows {
            let row = &data[r * columns..][..features];
            copied.clear();
            copied.extend_from_slice(row);
            copied.push(T::NEG_INFINITY);
            let nan = layout.nan_true && row.iter().any(|x| x.is_nan());
            self.sum(1, sums, reached, Walk::CompactRow(layout, copied, nan));
            self.finish(r, sums, reached, finish);
        }
    }

    fn score_general(
        &self,
        layout: &General<T>,
        rows: usize,
        columns: usize,
        data: &[T],
        scratch: &mut Scratch<T>,
        finish: &mut impl FnMut(usize, &mut [T], &[bool]),
    ) {
        let Scratch { sums, reached, .. } = scratch;
        let mut start = 0;
        let block = self.block(columns);
        while start < rows {
            let n = block.min(rows - start);
            let block = &data[start * columns..(start + n) * columns];
            self.sum(n, sums, reached, Walk::General(layout, block, n, columns));
            self.finish(start, sums, reached, finish);
            start += n;
        }
    }

    /// Rows scored together: as many as leave room for a tree in a first-level cache of 32 KiB.
    fn block(&self, row_len: usize) -> usize {
        let rows = 16 * 1024 / (size_of::<T>() * (row_len + self.targets));
        (rows / LANES * LANES).clamp(LANES, 256)
    }

    /// Adds up the leaves of `n` rows, as `walk` visits them, into `sums` of `n` × `targets`. `reached` has as many
    /// flags where they differ from row to row, else none.
    fn sum(&self, n: usize, sums: &mut Vec<T>, reached: &mut Vec<bool>, walk: Walk<'_, T>) {
        let targets = self.targets;
        sums.clear();
        sums.resize(n * targets, T::default());
        reached.clear();
        let additive = matches!(self.aggregate, Aggregate::Sum | Aggregate::Average);
        match &self.leaves {
            Leaves::One if additive => walk.drive(|_, r, key| sums[r] += key),
            Leaves::PerTree(of) if additive => {
                walk.drive(|tree, r, key| sums[r * targets + of[tree] as usize] += key)
            }
            Leaves::Dense(weights) if additive => walk.drive(|_, r, key| {
                let weights = &weights[key.to_index() as usize..][..targets];
                let sums = &mut sums[r * targets..][..targets];
                sums.iter_mut().zip(weights).for_each(|(s, w)| *s += *w);
            }),
            leaves => {
                reached.resize(n * targets, false);
                let aggregate = self.aggregate;
                walk.drive(|tree, r, key| {
                    for (target, weight) in leaves.entries(targets, tree, key) {
                        let at = r * targets + target;
                        let better = match aggregate {
                            Aggregate::Sum | Aggregate::Average => {
                                sums[at] += weight;
                                false
                            }
                            Aggregate::Min => !reached[at] || weight < sums[at],
                            Aggregate::Max => !reached[at] || weight > sums[at],
                        };
                        if better {
                            sums[at] = weight;
                        }
                        reached[at] = true;
                    }
                });
            }
        }
    }

    fn finish(
        &self,
        start: usize,
        sums: &mut [T],
        reached: &[bool],
        finish: &mut impl FnMut(usize, &mut [T], &[bool]),
    ) {
        let targets = self.targets;
        for (r, sums) in sums.chunks_exact_mut(targets).enumerate() {
            let reached = match reached.get(r * targets..(r + 1) * targets) {
                Some(own) => own,
                None => &self.reached,
            };
            finish(start + r, sums, reached);
        }
    }
}

/// A layout with copied rows to walk.
enum Walk<'a, T> {
    CompactBlock(&'a Compact<T>, &'a [T], bool),
    CompactRow(&'a Compact<T>, &'a [T], bool),
    General(&'a General<T>, &'a [T], usize, usize),
}

impl<T: Number> Walk<'_, T> {
    /// Visits the leaf of every tree and row: tree, row, key. For one row the trees come in order.
    #[inline(always)]
    fn drive(self, mut visit: impl FnMut(usize, usize, T)) {
        match self {
            Walk::CompactBlock(layout, chunks, nan) => layout.walk_block(chunks, nan, visit),
            Walk::CompactRow(layout, row, nan) => {
                layout.walk_row(row, nan, |t, key| visit(t, 0, key))
            }
            Walk::General(layout, rows, n, columns) => layout.walk_block(rows, n, columns, visit),
        }
    }
}

/// Copies `n` rows (a multiple of [`LANES`]) transposed in groups of `LANES`, with the column of minus infinities
/// that [`Compact`] wants after `features` columns. Tells whether there is a missing value.
fn transpose<T: Number>(
    data: &[T],
    columns: usize,
    n: usize,
    features: usize,
    out: &mut Vec<T>,
) -> bool {
    let group = (features + 1) * LANES;
    out.clear();
    out.resize(n / LANES * group, T::NEG_INFINITY);
    let mut nan = false;
    for (g, out) in out.chunks_exact_mut(group).enumerate() {
        for lane in 0..LANES {
            let row = &data[(g * LANES + lane) * columns..][..features];
            for (feature, &x) in row.iter().enumerate() {
                out[feature * LANES + lane] = x;
                nan |= x.is_nan();
            }
        }
    }
    nan
}
