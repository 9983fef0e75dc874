//! The distinguishing game: two worlds that differ in one subject's day, an attack that sees answers, and the question
//! how often it says in which world it is.
//!
//! What is paid for bounds that: after charges of `rho` in all, no test is right more often than Phi(sqrt(2 rho) / 2), up to
//! the error of the trials. An attack is a list of statements and numbers made of their answers; on one half of the
//! trials it learns how to weigh them and where to draw the line, on the other half it is counted.
//!
//! - `attacks`: the statements, and the worlds they are asked in
//! - `play`: how a statement is answered, many times, with seeded noise; the only file that knows the engine's stages
//! - `score`: weights, line and accuracy
//! - `exact`: the controls, plain DataFusion with and without a smallest group; the same attacks must win there
//! - `execution`: whole services over stored events, with what can fail in them (`faults`); `executions`: the attacks on them
//!
//! `SHOAL_TRIALS` is the number of trials in each world (3,000 when it is not set; a twentieth of them for
//! attacks through the postprocessing, a seventy-fifth where each trial is a service); `SHOAL_ATTACKS` chooses those whose
//! names contain it. But for that of whole services all noise is seeded: a run is a function of the code. A draw fails by chance
//! once in 10^5 runs (4.3 standard errors).

mod attacks;
mod exact;
mod execution;
mod executions;
mod play;
mod score;
mod templates;

use shoal_anonymity::budget::Precision;
use statrs::distribution::{ContinuousCDF, Normal};

use self::attacks::{Attack, attacks};
use self::exact::{Exact, answers};
use self::play::Player;
use self::score::accuracy;

/// A row of an answer: its keys as text, and its numbers.
pub(super) type AnswerRow = (String, Vec<f64>);
/// The rows of an answer, in order.
pub(super) type Answer = Vec<AnswerRow>;

/// Standard errors that an accuracy may lie above its bound.
const ERRORS: f64 = 4.3;

fn trials() -> usize {
    std::env::var("SHOAL_TRIALS").map_or(3_000, |text| text.parse().unwrap())
}

/// What no test can beat after charges of `rho`, and the error of a count of `trials`.
fn bound(rho: f64, trials: usize) -> f64 {
    let best = Normal::new(0.0, 1.0).unwrap().cdf((2.0 * rho).sqrt() / 2.0);
    best + ERRORS * 0.5 / (trials as f64).sqrt()
}

/// How an attack fared.
enum Fared {
    /// At least one of its statements is refused, so it has nothing.
    Refused,
    /// Accuracy, what was charged, and the trials that were counted.
    Played { accuracy: f64, rho: f64, trials: usize },
}

async fn fare(attack: &Attack, precision: Precision) -> Fared {
    let worlds = [attack.world(true), attack.world(false)];
    let mut scores: Vec<Vec<Vec<f64>>> = Vec::new();
    let mut rho = 0.0;
    let count = if attack.postprocesses { trials() / 20 } else { trials() };
    for (at, world) in worlds.iter().enumerate() {
        let seed = attack.name.bytes().fold(at as u64, |seed, byte| seed.rotate_left(7) ^ u64::from(byte));
        let Some(mut player) = Player::new(world, &attack.ours(), precision, seed).await else {
            return Fared::Refused;
        };
        rho = player.rho(attack.differs);
        let mut seen = Vec::with_capacity(count);
        for _ in 0..count {
            seen.push((attack.features)(&player.trial(attack.postprocesses).await));
        }
        scores.push(seen);
    }
    Fared::Played { accuracy: accuracy(&scores[0], &scores[1]), rho, trials: count }
}

async fn assert_bounded(attacks: &[Attack], precision: Precision) -> usize {
    let mut played = 0;
    for attack in attacks {
        match fare(attack, precision).await {
            Fared::Refused => println!("{:28} {:7} refused", attack.name, precision.as_str()),
            Fared::Played { accuracy, rho, trials } => {
                let most = bound(rho, trials);
                let name = attack.name;
                println!("{name:28} {:7} rho {rho:6.4}  {accuracy:.3} of {most:.3}", precision.as_str());
                assert!(
                    accuracy <= most,
                    "{name}: right {accuracy:.3} of the time, and rho {rho} allows {most:.3}"
                );
                played += 1;
            }
        }
    }
    played
}

#[tokio::test]
async fn no_attack_tells_one_subject_better_than_is_paid_for() {
    let only = std::env::var("SHOAL_ATTACKS").unwrap_or_default();
    let chosen: Vec<Attack> = attacks().into_iter().filter(|a| a.name.contains(&only)).collect();
    let played = assert_bounded(&chosen, Precision::High).await;
    assert_eq!(played, chosen.len(), "an attack was refused");
}

#[tokio::test]
async fn lower_precisions_tell_less() {
    let some: Vec<Attack> = attacks().into_iter().filter(|a| a.cheap).collect();
    for precision in [Precision::Low, Precision::Normal] {
        assert!(assert_bounded(&some, precision).await >= 3);
    }
}

/// Repeats give one answer, for one price: the average of fifty is as noisy as one.
#[tokio::test]
async fn what_is_asked_again_is_charged_once() {
    for name in ["averaging repeats", "averaging in other words", "sliding windows"] {
        let attack = attacks().into_iter().find(|a| a.name == name).unwrap();
        let mut player = Player::new(&attack.world(true), &attack.ours(), Precision::High, 1).await.unwrap();
        assert_eq!(player.rho(attack.differs), Precision::High.rho().to_f64(), "{name}");
        if name.starts_with("averaging") {
            let answers = player.trial(false).await;
            assert!(answers.iter().all(|answer| *answer == answers[0]), "{name}");
        }
    }
}

/// The game is not blind: what pays for 2.2 times the noise that there is, is found out.
#[tokio::test]
async fn the_game_finds_noise_that_is_too_small() {
    let attack = attacks().into_iter().find(|a| a.name == "overlapping predicates").unwrap();
    let Fared::Played { accuracy, rho, trials } = fare(&attack, Precision::High).await else {
        panic!("refused");
    };
    let claimed = rho * Precision::Normal.rho().to_f64() / Precision::High.rho().to_f64();
    assert!(accuracy > bound(claimed, trials), "{accuracy} is within what rho {claimed} allows");
}

/// How often an attack is right where there is no noise.
async fn exact(attack: &Attack, engine: Exact) -> f64 {
    let mut scores = Vec::new();
    for is_there in [true, false] {
        let features = (attack.features)(&answers(&attack.world(is_there), &attack.statements, engine).await);
        scores.push(vec![features; 40]);
    }
    accuracy(&scores[0], &scores[1])
}

#[tokio::test]
async fn the_same_attacks_win_on_exact_answers() {
    for attack in attacks().iter().filter(|a| a.on_exact) {
        for engine in [Exact::Plain, Exact::SmallestGroup] {
            let accuracy = exact(attack, engine).await;
            println!("{:28} {engine:?} {accuracy:.3}", attack.name);
            assert!(accuracy > 0.95, "{} on {engine:?}: {accuracy}", attack.name);
        }
    }
}
