//! Exact sensitivity, consistency against plain least squares, coverage and utility on simulated values.
#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::*;
use crate::noise::testing::SeededEntropy;

/// 256 leaves, each wider by the same factor: from 1 to 10 000 000.
pub(super) fn log_grid() -> Grid {
    let mut edges: Vec<i64> = vec![1];
    while edges.len() < 257 {
        let ideal = 1e7_f64.powf(edges.len() as f64 / 256.0).round() as i64;
        edges.push(ideal.max(edges[edges.len() - 1] + 1));
    }
    Grid::new(edges).unwrap()
}

fn squared(a: &[i128], b: &[i128]) -> u128 {
    a.iter().zip(b).map(|(a, b)| (a - b).unsigned_abs().pow(2)).sum()
}

#[test]
fn grids_have_leaves_and_paths() {
    for edges in [vec![], vec![1], vec![1, 1], vec![2, 1], (0..258).collect()] {
        assert_eq!(Grid::new(edges), Err(TreeError::Edges));
    }
    let grid = Grid::fitted(vec![0, 10, 20, 50, 60, 100]).unwrap();
    assert_eq!((grid.levels(), grid.leaves(), grid.nodes()), (3, 8, 14));
    let leaves = [-5, 0, 9, 10, 19, 20, 59, 60, 100, 1_000].map(|value| grid.leaf(value));
    assert_eq!(leaves, [0, 0, 0, 1, 1, 2, 3, 4, 4, 4]);
    assert_eq!(grid.path(4).collect::<Vec<_>>(), [1, 4, 10]);
    let whole = log_grid();
    assert_eq!((whole.levels(), whole.nodes(), whole.leaf(i64::MAX)), (8, 510, 255));
    let one = Grid::fitted(vec![0, 1]).unwrap();
    assert_eq!((one.levels(), one.nodes(), one.leaf(7)), (1, 2, 0));
    let full = Grid::new(vec![0, 1]).unwrap();
    assert_eq!((full.levels(), full.nodes(), full.leaf(7)), (8, 510, 0));
}

#[test]
fn counts_are_in_every_node_of_their_path() {
    let grid = log_grid();
    let mut counts = LeafCounts::new(&grid);
    let mut expected = vec![0_i128; 510];
    for (leaf, values) in [(0, 3), (17, 1), (17, 2), (255, 9)] {
        counts.add(4, leaf, values);
        grid.path(leaf).for_each(|node| expected[node as usize] += i128::from(values));
    }
    assert_eq!(counts.nodes(4), expected);
    assert_eq!((counts.nodes(3), counts.nodes(5)), (vec![0; 510], vec![0; 510]));
    assert_eq!(counts.cells().collect::<Vec<_>>(), [4]);
    for (values, sum) in [(65_532, 65_535), (1, 65_536), (65_535, 131_071), (9 << 40, (9 << 40) + 131_071)] {
        counts.add(4, 0, values);
        assert_eq!(counts.nodes(4)[254], sum, "of {values} more");
    }
}

proptest! {
    /// What is held is bounded by the number of cells, whatever their values are.
    #[test]
    fn a_cell_takes_no_more_than_is_said_whatever_is_in_it(
        cells in 1..200_u32, values in proptest::collection::vec((0..200_u32, 0..=255_u8, 1..9_u64), 0..300),
    ) {
        let grid = log_grid();
        let most = |cells: u32| cells as usize * LeafCounts::bytes_of_a_cell(&grid);
        let (mut few, mut full) = (LeafCounts::new(&grid), LeafCounts::new(&grid));
        for cell in 0..cells {
            few.add(cell, 7, 1);
            (0..=255).for_each(|leaf| full.add(cell, leaf, 1));
            prop_assert_eq!(few.bytes(), full.bytes());
            // A list begins with four places.
            prop_assert!(full.bytes() <= most(cell + 4), "{} of {cell}", full.bytes());
        }
        for (cell, leaf, count) in values {
            few.add(cell % cells, leaf, count);
        }
        prop_assert_eq!(few.bytes(), full.bytes());
    }
}

/// The multisets of at most `most` of `leaves` leaves.
fn multisets(leaves: usize, most: u64) -> Vec<Vec<u64>> {
    match leaves {
        0 => vec![vec![]],
        _ => (0..=most)
            .flat_map(|count| {
                multisets(leaves - 1, most - count).into_iter().map(move |mut rest| {
                    rest.push(count);
                    rest
                })
            })
            .collect(),
    }
}

#[test]
fn the_sensitivities_are_the_largest_changes_there_are() {
    // Every pair of samples of one cell: nothing changes more, and something changes as much.
    for (edges, most) in [(2, 3), (3, 3), (5, 3), (9, 2)] {
        let grid = Grid::fitted((0..edges).collect()).unwrap();
        let trees: Vec<Vec<i128>> = multisets(grid.leaves() as usize, most)
            .into_iter()
            .map(|counts| {
                let mut leaves = LeafCounts::new(&grid);
                (0..).zip(counts).for_each(|(leaf, values)| leaves.add(0, leaf, values));
                leaves.nodes(0)
            })
            .collect();
        let zero = vec![0; grid.nodes() as usize];
        let alone = trees.iter().map(|tree| squared(tree, &zero)).max().unwrap();
        let pairs = trees.iter().flat_map(|a| trees.iter().map(move |b| squared(a, b)));
        assert_eq!(Ok(alone), grid.days_sensitivity(most));
        assert_eq!(Ok(pairs.max().unwrap()), grid.range_sensitivity(most));
    }
    let grid = log_grid();
    assert_eq!((grid.days_sensitivity(2), grid.range_sensitivity(2)), (Ok(8 * 4), Ok(8 * 2 * 4)));
    for most in [0, u64::MAX] {
        assert_eq!(grid.range_sensitivity(most), Err(TreeError::Limits));
    }
}

/// A day, a subject, a value.
type Row = (i32, u8, i64);

fn tree<'a>(
    rows: impl Iterator<Item = &'a Row>,
    grid: &Grid,
    most: u64,
    seed: u64,
    by_day: bool,
) -> Vec<i128> {
    let key = SampleKey::draw(&mut SeededEntropy::new(seed)).unwrap();
    let mut units = std::collections::BTreeMap::<_, LeafSample>::new();
    for (day, subject, value) in rows {
        units
            .entry((by_day.then_some(*day), [*subject; 16]))
            .or_default()
            .push((value % 3).unsigned_abs(), grid.leaf(*value));
    }
    let mut counts = LeafCounts::new(grid);
    for ((day, subject), mut sample) in units {
        let (len, mut kept) = (sample.len(), 0);
        let unit = Unit { subject: &subject, day };
        sample.take(most, &key, unit, |cell, leaf, values| {
            kept += values;
            counts.add(u32::try_from(cell).unwrap(), leaf, values);
        });
        assert_eq!(kept, len.min(most));
        assert!(sample.is_empty());
    }
    // Three cells, as different groups.
    (0..3).flat_map(|cell| counts.nodes(cell)).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn one_subjects_day_changes_no_more_than_is_charged(
        rows in prop::collection::vec((0..3_i32, 0..3_u8, -5..120_i64), 0..80),
        most in 1..5_u64, day in 0..3_i32, name in 0..3_u8, seed in any::<u64>(),
    ) {
        let grid = Grid::new((0..12).map(|edge| edge * 10).collect()).unwrap();
        let without = || rows.iter().filter(|row| (row.0, row.1) != (day, name));
        for by_day in [true, false] {
            let change = squared(
                &tree(rows.iter(), &grid, most, seed, by_day),
                &tree(without(), &grid, most, seed, by_day),
            );
            let paid = match by_day {
                true => grid.days_sensitivity(most),
                false => grid.range_sensitivity(most),
            };
            prop_assert!(change <= paid.unwrap(), "{change} > {paid:?}");
        }
    }
}

#[test]
fn a_day_less_can_exchange_the_whole_sample() {
    let grid = log_grid();
    let rows: Vec<Row> = vec![(0, 1, 1), (1, 1, 10_000_000)];
    let changes = (0..64).map(|seed| {
        squared(&tree(rows.iter(), &grid, 1, seed, false), &tree(rows[1..].iter(), &grid, 1, seed, false))
    });
    assert_eq!(changes.max(), Some(grid.range_sensitivity(1).unwrap()));
}

#[test]
fn every_value_is_as_likely_to_be_kept() {
    let (mut kept, mut entropy) = ([0_u64; 10], SeededEntropy::new(5));
    for _ in 0..5_000 {
        let key = SampleKey::draw(&mut entropy).unwrap();
        let mut sample = LeafSample::default();
        // Leaf 3 has three values, in two runs.
        [3, 0, 1, 2, 3, 3, 4, 5, 6].into_iter().for_each(|leaf| sample.push(u64::from(leaf) % 2, leaf));
        let unit = Unit { subject: &[9; 16], day: Some(3) };
        sample.take(3, &key, unit, |_, leaf, values| kept[usize::from(leaf)] += values);
    }
    // 3 of 9: 1 667 of 5 000, with a standard deviation of 33.
    for leaf in [0, 1, 2, 4, 5, 6] {
        assert!(kept[leaf].abs_diff(1_667) < 150, "{kept:?}");
    }
    assert!(kept[3].abs_diff(5_000) < 300, "{kept:?}");
}

/// Solves the normal equations of all nodes by elimination: the leaves, and the covariance of the leaves for unit noise.
fn least_squares(grid: &Grid, nodes: &[i128]) -> (Vec<f64>, Vec<Vec<f64>>) {
    let n = grid.leaves() as usize;
    let mut rows = vec![vec![0.0; 2 * n + 1]; n];
    for leaf in 0..n {
        rows[leaf][n + 1 + leaf] = 1.0;
        for node in grid.path(leaf as u8) {
            rows[leaf][n] += nodes[node as usize] as f64;
            for (other, cell) in rows[leaf].iter_mut().take(n).enumerate() {
                *cell += f64::from(u8::from(grid.path(other as u8).any(|of| of == node)));
            }
        }
    }
    for pivot in 0..n {
        let scale = rows[pivot][pivot];
        rows[pivot].iter_mut().for_each(|x| *x /= scale);
        for row in 0..n {
            if row != pivot {
                let (factor, from) = (rows[row][pivot], rows[pivot].clone());
                rows[row].iter_mut().zip(from).for_each(|(x, y)| *x -= factor * y);
            }
        }
    }
    (rows.iter().map(|row| row[n]).collect(), rows.iter().map(|row| row[n + 1..].to_vec()).collect())
}

#[test]
fn leaves_and_deviations_are_those_of_least_squares() {
    for edges in [2, 4, 13, 17] {
        let grid = Grid::fitted((0..edges).collect()).unwrap();
        let nodes: Vec<i128> =
            (0..i128::from(grid.nodes())).map(|node| (node * node * 37 + 11) % 101).collect();
        let (expected, covariance) = least_squares(&grid, &nodes);
        let found = Distribution::new(&grid, &nodes, 4.0).unwrap();
        let mut sum = 0.0;
        for (leaf, value) in expected.iter().take(edges as usize - 1).enumerate() {
            assert!((found.below[leaf] - sum).abs() < 1e-9);
            sum += value;
        }
        assert!((found.total() - expected.iter().sum::<f64>()).abs() < 1e-9);
        for step in 0..=2 * (edges - 1) {
            let (at, q) = (step as f64 / 2.0, 0.3);
            let weight = |leaf: usize| (at - leaf as f64).clamp(0.0, 1.0) - q;
            let mut square = 0.0;
            for (a, row) in covariance.iter().enumerate() {
                for (b, shared) in row.iter().enumerate() {
                    square += weight(a) * shared * weight(b);
                }
            }
            assert!((found.sd(at, q) - 2.0 * square.sqrt()).abs() < 1e-9, "{edges} edges, at {at}");
        }
    }
}

#[test]
fn the_ascending_sequence_is_the_nearest() {
    assert_eq!(
        super::estimate::ascending(&[1.0, 3.0, 2.0, 2.0, 5.0, 0.0]),
        [1.0, 7.0 / 3.0, 7.0 / 3.0, 7.0 / 3.0, 2.5, 2.5]
    );
    assert_eq!(super::estimate::ascending(&[0.0, 1.0, 1.0]), [0.0, 1.0, 1.0]);
}
