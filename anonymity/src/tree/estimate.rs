//! Noisy nodes -> the distribution of the values, its quantiles and their confidence intervals.
//!
//! Everything here is post-processing of released integers and public parameters, so floating point is harmless.
//!
//! - Consistency: the leaves x that minimise the squared error of all nodes (Hay, Rastogi, Miklau, Suciu, "Boosting the
//!   Accuracy of Differentially Private Histograms Through Consistency", VLDB 2010, section 4): one pass up, one down.
//!   There is no root here, so each node of level 1 is the root of a tree of its own.
//! - Variance of a weighted sum w.x of them: let A take leaves to nodes. A'A is the sum of one block matrix of ones for
//!   each level, so its eigenvectors are the constant and the Haar wavelets, and its eigenvalues are 2^(L-l) - 1 for a
//!   wavelet on a block of 2^(L-l) leaves (and 2^L - 1 for the constant). So Var(w.x) = s^2 * sum of
//!   (w.h)^2 / (b (b - 1)) over the wavelets h of +1 and -1 on blocks of b leaves, and the constant.
//! - Interval: the points t that a test would not reject as the quantile: |F(t) - q N| <= 1.96 sd(F(t) - q N), F the
//!   values below t and N all values. Where that set has holes, they are filled.
//!
//! - Sampling: where the values are some of more ([`Distribution::sampled`]), F(t) - q N has the variance q (1 - q) N
//!   besides, as if those were infinitely many: at most a little too much.
//!
//! The interval describes the noise and the sampling: the quantile it is about is that of the values on the grid, evenly spread
//! inside each leaf. How wide a leaf is, and what clamping took away, is not in it.

use super::{Grid, TreeError};
use crate::budget::Z_95;

/// A quantile, in units of the measure.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Quantile {
    /// The estimate.
    pub value: f64,
    /// Lower end of the 95 % confidence interval.
    pub low: f64,
    /// Upper end of it.
    pub high: f64,
}

impl Quantile {
    /// Standard deviation: that of a normal estimate with an interval of this width.
    pub fn sd(&self) -> f64 {
        (self.high - self.low) / (2.0 * Z_95)
    }
}

/// What the noisy nodes of a tree, or of a sum of trees over the same grid, say about the values.
#[derive(Debug, Clone, PartialEq)]
pub struct Distribution<'a> {
    grid: &'a Grid,
    /// Values below each edge, as they are estimated: they can fall.
    pub(super) below: Vec<f64>,
    /// The same, made ascending: the least change in squares that does it.
    ascending: Vec<f64>,
    /// All values.
    total: f64,
    /// Standard deviation of the noise of one node.
    node_sd: f64,
    is_sampled: bool,
}

impl<'a> Distribution<'a> {
    /// `nodes`: the noisy nodes, in the order of their numbers; those of several days and regions added node by node.
    /// `variance`: of the noise of each of them, added likewise.
    pub fn new(grid: &'a Grid, nodes: &[i128], variance: f64) -> Result<Distribution<'a>, TreeError> {
        if nodes.len() != grid.nodes() as usize || !variance.is_finite() || variance < 0.0 {
            return Err(TreeError::Nodes);
        }
        let leaves = consistent(grid.levels(), nodes);
        let total = leaves.iter().sum();
        let mut below = vec![0.0];
        for leaf in &leaves[..grid.edges().len() - 1] {
            below.push(below.last().copied().unwrap_or(0.0) + leaf);
        }
        let ascending = ascending(&below);
        Ok(Distribution { grid, below, ascending, total, node_sd: variance.sqrt(), is_sampled: false })
    }

    /// The values are some of more, about whose quantiles is asked.
    #[must_use]
    pub fn sampled(self) -> Distribution<'a> {
        Distribution { is_sampled: true, ..self }
    }

    /// How many values there are, as estimated.
    pub fn total(&self) -> f64 {
        self.total
    }

    /// The quantile, in millionths: 500 000 is the median. Without values, or with fewer than the noise hides, it can be
    /// anywhere on the grid and its interval says so.
    pub fn quantile(&self, millionths: u32) -> Quantile {
        let q = f64::from(millionths.min(1_000_000)) / 1e6;
        let end = self.below.len() - 1;
        let excess =
            |at: f64, side: f64| line(&self.below, at) - q * self.total + side * Z_95 * self.sd(at, q);
        // The first point where the test does not say "below the quantile", the last where it does not say "above".
        let first = (0..=end).find(|at| excess(*at as f64, 1.0) >= 0.0).unwrap_or(end);
        let last = (0..=end).rev().find(|at| excess(*at as f64, -1.0) <= 0.0).unwrap_or(0);
        let low = match first {
            0 => 0.0,
            at => crossing((at - 1) as f64, at as f64, |at| excess(at, 1.0) >= 0.0),
        };
        let high = match last {
            at if at == end => end as f64,
            at => crossing((at + 1) as f64, at as f64, |at| excess(at, -1.0) <= 0.0),
        };
        let target = q * self.total;
        let upper = self.ascending.partition_point(|below| *below < target).min(end);
        let value = match upper {
            0 => 0.0,
            at => {
                let (from, to) = (self.ascending[at - 1], self.ascending[at]);
                let part = if to > from { ((target - from) / (to - from)).clamp(0.0, 1.0) } else { 1.0 };
                (at - 1) as f64 + part
            }
        };
        let (low, high) = (low.min(high), high.max(low));
        let (low, high) = (self.units(low), self.units(high));
        Quantile { value: self.units(value).clamp(low, high), low, high }
    }

    /// Standard deviation of F(t) - q N at a point given in leaves, exactly: see the head of this file.
    pub(super) fn sd(&self, at: f64, q: f64) -> f64 {
        let leaves = f64::from(self.grid.leaves());
        let mut sum = (at - q * leaves).powi(2) / (leaves * (leaves - 1.0));
        let mut block = leaves;
        while block > 1.0 {
            let place = at % block;
            let weight = place.min(block - place);
            sum += weight * weight / (block * (block - 1.0));
            block /= 2.0;
        }
        let sampling = if self.is_sampled { q * (1.0 - q) * self.total.max(0.0) } else { 0.0 };
        (self.node_sd * self.node_sd * sum + sampling).sqrt()
    }

    /// The value at a point given in leaves.
    fn units(&self, at: f64) -> f64 {
        let edges = self.grid.edges();
        let leaf = (at as usize).min(edges.len() - 2);
        let (from, to) = (edges[leaf] as f64, edges[leaf + 1] as f64);
        from + (to - from) * (at - leaf as f64)
    }
}

/// A line through the points (0, points[0]), (1, points[1]) ..
fn line(points: &[f64], at: f64) -> f64 {
    let leaf = (at as usize).min(points.len() - 2);
    points[leaf] + (points[leaf + 1] - points[leaf]) * (at - leaf as f64)
}

/// The point next to where `holds` begins to hold, between one where it does not and one where it does.
fn crossing(without: f64, with: f64, holds: impl Fn(f64) -> bool) -> f64 {
    let (mut without, mut with) = (without, with);
    for _ in 0..40 {
        let middle = f64::midpoint(without, with);
        if holds(middle) { with = middle } else { without = middle }
    }
    with
}

/// The leaves whose tree is nearest to the noisy nodes.
fn consistent(levels: u32, nodes: &[i128]) -> Vec<f64> {
    let leaves = 1_usize << levels;
    // In the order of a heap, as in `counts`; 0 and 1 (the root) are not used.
    let mut best: Vec<f64> = [0.0, 0.0].into_iter().chain(nodes.iter().map(|node| *node as f64)).collect();
    let mut sums = vec![0.0; 2 * leaves];
    for node in (2..leaves).rev() {
        // A tree of height h (a leaf has 1) and 2^h - 1 nodes.
        let height = levels + 1 - node.ilog2();
        let (whole, half) = ((1_u64 << height) as f64, (1_u64 << (height - 1)) as f64);
        sums[node] = best[2 * node] + best[2 * node + 1];
        best[node] = ((whole - half) * best[node] + (half - 1.0) * sums[node]) / (whole - 1.0);
    }
    for node in 2..leaves {
        let rest = (best[node] - sums[node]) / 2.0;
        best[2 * node] += rest;
        best[2 * node + 1] += rest;
    }
    best.split_off(leaves)
}

/// The ascending sequence nearest to this one: pool adjacent violators.
pub(super) fn ascending(values: &[f64]) -> Vec<f64> {
    let mut pools: Vec<(f64, usize)> = Vec::with_capacity(values.len());
    for value in values {
        let (mut sum, mut len) = (*value, 1);
        while let Some((before, count)) = pools.last().copied() {
            if before / count as f64 <= sum / len as f64 {
                break;
            }
            (sum, len) = (sum + before, len + count);
            pools.pop();
        }
        pools.push((sum, len));
    }
    pools.iter().flat_map(|(sum, len)| std::iter::repeat_n(sum / *len as f64, *len)).collect()
}
