//! Prices and the noise they buy.

#![allow(clippy::unwrap_used)]

use proptest::prelude::*;
use shoal_anonymity::budget::{Precision, Preset};

use super::*;
use crate::tests::{engine, grant, now_ms, request};
use shoal_language::{Aggregate, AggregateOp};
use shoal_language::{Scalar, Type};
use shoal_schemas::Region;

async fn query(regions: &[Region], sql: &str) -> PrivateQuery {
    engine().prepare(&grant(regions), &request(sql), now_ms()).await.unwrap().single().query.clone()
}

async fn daily(sql: &str) -> bool {
    let query = query(&[Region::De], sql).await;
    charge(query, Accuracy::default(), &Caps::default()).unwrap().is_daily()
}

#[tokio::test]
async fn what_adds_up_is_daily_and_what_is_distinct_is_not() {
    assert!(daily("SELECT COUNT(*), SUM(amount) FROM usage WHERE day > current_date - 9").await);
    // A session of two days would count on both.
    assert!(!daily("SELECT COUNT(*), COUNT(DISTINCT session) FROM usage WHERE day > current_date - 9").await);
    assert!(
        daily("SELECT day, COUNT(DISTINCT session) FROM usage WHERE day > current_date - 9 GROUP BY day")
            .await
    );
    assert!(
        daily("SELECT app_version, COUNT(*) FROM usage WHERE day > current_date - 9 GROUP BY app_version")
            .await
    );
    assert!(
        daily("SELECT day, COUNT(DISTINCT subject) FROM usage WHERE day > current_date - 9 GROUP BY day")
            .await
    );
    assert!(daily("SELECT COUNT(DISTINCT subject) FROM usage WHERE day = current_date").await);
    assert!(!daily("SELECT COUNT(*), COUNT(DISTINCT subject) FROM usage WHERE day > current_date - 9").await);
}

/// The standard deviation of each number that is shown, in its unit.
fn shown(charged: &ChargedQuery, regions: f64, days: f64) -> Vec<f64> {
    let pairs = charged.noise.iter().zip(charged.query.aggregates());
    let of = |(noise, aggregate): (&DiscreteGaussian, &Aggregate)| {
        (noise.variance().to_f64() * regions * days).sqrt() / 10_f64.powi(i32::from(aggregate.scale))
    };
    pairs.map(of).collect()
}

#[tokio::test]
async fn a_wanted_deviation_is_met_at_the_least_price() {
    let sql = "SELECT COUNT(DISTINCT subject) FROM usage WHERE day = current_date";
    let one = query(&[Region::De], sql).await;
    let charged = charge(one, Accuracy::SdMax(10.0), &Caps::default()).unwrap();
    assert_eq!(charged.price, Rho::from_nano(5_000_000));
    let sql = "SELECT day, COUNT(*), SUM(items) FROM usage WHERE day > current_date - 7 GROUP BY day";
    for (regions, sql, factor, days) in [
        (1, sql, 1.0, 1.0),
        (3, sql, 3.0, 1.0),
        (2, &sql.replace("day, COUNT", "COUNT").replace("GROUP BY day", ""), 2.0, 7.0),
        (2, &sql.replace("day, COUNT", "region, COUNT").replace("BY day", "BY region"), 1.0, 7.0),
    ] {
        let query = query(&Region::ALL[..regions], sql).await;
        let wanted = 700.0;
        let caps = Caps { rho_block_max: Preset::Internal.cap(), ..Caps::default() };
        let charged = charge(query.clone(), Accuracy::SdMax(wanted), &caps).unwrap();
        let shown = shown(&charged, factor, days);
        assert!(shown.iter().all(|sd| *sd <= wanted), "{shown:?}");
        assert!(shown.iter().any(|sd| *sd > wanted * 0.99), "{shown:?}");
    }
}

#[tokio::test]
async fn what_no_epoch_can_bear_is_refused() {
    let sql = "SELECT COUNT(DISTINCT subject) FROM usage WHERE day = current_date";
    let query = query(&[Region::De], sql).await;
    // 1 / (2 * 0.2) = 2.5: the largest share of the standard cap.
    let exactly = charge(query.clone(), Accuracy::SdMax(2.5_f64.sqrt()), &Caps::default()).unwrap();
    assert_eq!(exactly.price, Rho::from_nano(200_000_000));
    for sd_max in [1.58, 1e-12, 0.0, -1.0, f64::NAN] {
        let refusal = charge(query.clone(), Accuracy::SdMax(sd_max), &Caps::default()).err().unwrap();
        assert_eq!(refusal.rule, Rule::Budget);
        assert_eq!(refusal.example, "SELECT COUNT(DISTINCT subject) AS people FROM usage");
    }
}

#[tokio::test]
async fn quantiles_of_one_measure_share_a_slot() {
    let mut query = query(&[Region::De], "SELECT COUNT(*) FROM usage WHERE day > current_date - 3").await;
    let quantile = |name: &str, millionths| Aggregate {
        op: AggregateOp::Quantile {
            measure: Scalar::Column { name: name.to_owned(), ty: Type::Number { scale: 0 } },
            millionths,
            edges: (0..257).collect(),
        },
        filter: None,
        linf: 1,
        unit: None,
        scale: 0,
    };
    query.aggregates_mut().extend([quantile("a", 500_000), quantile("b", 500_000), quantile("a", 900_000)]);
    let ranged = charge(query.clone(), Precision::High.into(), &Caps::default()).unwrap();
    assert_eq!(ranged.layout.slots, [Place::Daily(0), Place::Tree(0), Place::Tree(1), Place::Tree(0)]);
    let slots = ranged.slots();
    assert_eq!(slots.iter().map(|slot| slot.width).collect::<Vec<_>>(), [1, 510, 510]);
    assert!(ranged.layout.trees.iter().all(|tree| tree.most == 1));
    // Three shares of 0.01; 8 levels, one value of a day each: sigma^2 = 8 / (2 * 0.00333..).
    let share = 10_000_000.0 / 3.0 / 1e9;
    assert!((slots[1].noise.variance().to_f64() - 8.0 / (2.0 * share)).abs() < 0.1);
    query.days_mut().first = query.days().last;
    let daily = charge(query, Precision::High.into(), &Caps::default()).unwrap();
    assert!(daily.is_daily() && daily.layout.trees[0].most == 1);
    assert!((daily.slots()[1].noise.variance().to_f64() - 8.0 / (2.0 * share)).abs() < 0.1);
}

#[tokio::test]
async fn no_question_costs_less_than_the_lowest_price() {
    for sql in [
        "SELECT COUNT(*) FROM usage WHERE day = current_date",
        "SELECT app_version, COUNT(*) FROM usage WHERE day = current_date GROUP BY app_version",
    ] {
        let query = query(&[Region::De], sql).await;
        let charged = charge(query, Accuracy::SdMax(1e9), &Caps::default()).unwrap();
        assert!(charged.price >= PRICE_MIN && charged.price < Rho::from_nano(2 * PRICE_MIN.nano()), "{sql}");
    }
}

/// The threshold of a question is that of its part of a block's delta, and all parts that a block can pay for are the whole.
#[tokio::test]
async fn the_deltas_of_a_block_add_up_to_no_more_than_its_own() {
    let caps = Caps::default();
    let sql = "SELECT app_version, COUNT(*) FROM usage WHERE day = current_date GROUP BY app_version";
    let query = query(&[Region::De], sql).await;
    for precision in [Precision::Low, Precision::Normal, Precision::High] {
        let charged = charge(query.clone(), precision.into(), &caps).unwrap();
        let times = caps.rho_block_max.nano() / charged.price.nano();
        let delta = caps.delta_of(charged.price);
        assert!(delta * times as f64 <= caps.threshold_delta * (1.0 + 1e-9), "{precision:?}");
        let Subjects::Own(noise) = charged.threshold.as_ref().unwrap().subjects else { panic!("own") };
        let groups = charged.layout.cells_of_one();
        let least = threshold(caps.k_min, noise.variance(), delta, groups).unwrap();
        assert_eq!(charged.threshold.unwrap().subjects_min, least, "{precision:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 20, ..ProptestConfig::default() })]

    #[test]
    fn slots_never_cost_more_than_the_price(sd in 3.0_f64..5_000.0, which in 0..3_usize) {
        let sql = [
            "SELECT COUNT(*), COUNT(DISTINCT subject), SUM(items) FROM usage WHERE day > current_date - 5",
            "SELECT app_version, COUNT(*) FROM usage WHERE day > current_date - 5 GROUP BY app_version",
            "SELECT os, COUNT(DISTINCT subject), COUNT(DISTINCT session) FROM usage GROUP BY os",
        ][which];
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let query = runtime.block_on(query(&[Region::De], sql));
        if let Ok(charged) = charge(query, Accuracy::SdMax(sd), &Caps::default()) {
            let own = match charged.threshold.as_ref().map(|t| &t.subjects) {
                Some(Subjects::Own(noise)) => 1.0 / (2.0 * noise.variance().to_f64()),
                _ => 0.0,
            };
            // At least linf^2 = 1 for each: a lower bound of what each slot costs.
            let slots = charged.slots();
            let cost: f64 = slots.iter().map(|slot| 1.0 / (2.0 * slot.noise.variance().to_f64())).sum();
            prop_assert!(cost + own <= charged.price.to_f64() * (1.0 + 1e-9));
        }
    }
}
