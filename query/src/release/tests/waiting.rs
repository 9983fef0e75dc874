//! Two askers at the same time.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use futures::future::join_all;
use tokio::sync::Semaphore;
use tokio::time::Instant;

use super::super::answer::answer;
use super::super::circumstances::Circumstances;
use super::{After, World, asked, priced};
use crate::charge::ChargedQuery;
use crate::error::{NoAnswer, QueryError};
use crate::failure::Failure;
use crate::release::LookedUp;
use crate::tests::{now_ms, today};

const SQL: &str = "SELECT COUNT(*) FROM usage WHERE day > current_date - 3";

async fn looked_up(world: &World, queries: &[Arc<ChargedQuery>]) -> LookedUp {
    LookedUp::of(queries, &world.budget, now_ms()).await.unwrap()
}

#[tokio::test]
async fn one_pays_and_the_others_get_the_same_numbers() {
    let world = Arc::new(World::new());
    let asks = (0..8).map(|_| {
        let world = Arc::clone(&world);
        tokio::spawn(async move { world.ask(SQL, now_ms()).await.unwrap() })
    });
    let answers: Vec<_> = join_all(asks).await.into_iter().map(Result::unwrap).collect();
    assert_eq!(world.runs().len(), 1);
    assert!(answers.iter().all(|a| a.groups[0].rows == answers[0].groups[0].rows));
    assert_eq!(answers.iter().map(|a| a.paid.blocks).sum::<u64>(), 3);
    assert_eq!(world.spent(today()), 2_000_000);
}

#[tokio::test]
async fn who_waits_too_long_pays_nothing_and_who_makes_it_goes_on() {
    let world = World::new();
    let queries = [priced(SQL, now_ms()).await];
    let (started, may_end) = (Semaphore::new(0), Semaphore::new(0));
    let maker = async {
        let slow = After(|| async {
            started.add_permits(1);
            may_end.acquire().await.map(|_| ()).map_err(|_| Failure::Internal)
        });
        answer(looked_up(&world, &queries).await, &asked(&world.budget, now_ms()), &slow).await.unwrap()
    };
    let waiter = async {
        let _started = started.acquire().await.unwrap();
        let hasty = Circumstances { deadline: Instant::now(), ..asked(&world.budget, now_ms()) };
        let never = After(|| async { Err(Failure::Internal) });
        let error = answer(looked_up(&world, &queries).await, &hasty, &never).await.err().unwrap();
        may_end.add_permits(1);
        error
    };
    let (made, error) = tokio::join!(maker, waiter);
    assert!(matches!(error, NoAnswer::Told(QueryError::Busy)), "{error:?}");
    assert_eq!((made.paid.blocks, world.spent(today())), (3, 2_000_000));
}

#[tokio::test]
async fn when_the_maker_goes_away_the_next_one_pays_and_makes_it() {
    let world = World::new();
    let queries = [priced(SQL, now_ms()).await];
    let (started, may_go, runs) = (Semaphore::new(0), Semaphore::new(0), AtomicU64::new(0));
    let maker = async {
        let endless = After(|| async {
            runs.fetch_add(1, Ordering::Relaxed);
            started.add_permits(1);
            std::future::pending().await
        });
        let asked = asked(&world.budget, now_ms());
        tokio::select! {
            _ = answer(looked_up(&world, &queries).await, &asked, &endless) => panic!("answered"),
            _ = may_go.acquire() => {}
        }
    };
    let next = async {
        let _started = started.acquire().await.unwrap();
        let (second, ()) = tokio::join!(world.answer(&queries, now_ms()), async { may_go.add_permits(1) });
        second.unwrap()
    };
    let (_, second) = tokio::join!(maker, next);
    assert_eq!((second.paid.blocks, runs.load(Ordering::Relaxed)), (3, 1));
    assert_eq!(world.spent(today()), 4_000_000, "both are charged, one has an answer");
    assert_eq!(world.ask(SQL, now_ms()).await.unwrap().groups[0].rows, second.groups[0].rows);
}

#[tokio::test]
async fn questions_that_share_some_parts_do_not_wait_in_a_circle() {
    let world = Arc::new(World::new());
    let asks = (0..24).map(|at| {
        let world = Arc::clone(&world);
        tokio::spawn(async move {
            let (first, last) = (at % 5 + 1, at % 3);
            let sql = format!(
                "SELECT COUNT(*) FROM usage WHERE day BETWEEN current_date - {} AND current_date - {last}",
                first + last
            );
            world.ask(&sql, now_ms()).await.unwrap().paid.blocks
        })
    });
    let paid: u64 = join_all(asks).await.into_iter().map(Result::unwrap).sum();
    assert_eq!(paid, 8, "each day from 0 to 7 days ago once");
    for ago in 0..8 {
        assert_eq!(world.spent(today() - ago), 2_000_000);
    }
}
