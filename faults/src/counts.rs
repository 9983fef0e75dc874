//! How often each trial runs, which are left out, and the seed of a run, as the environment says.
//!
//! | variable | |
//! |---|---|
//! | `SHOAL_TRIALS` | `long`, or not set for the counts of CI. A number is another test's, and means nothing here |
//! | `SHOAL_TRIALS_COUNT` | `name=count,..`: counts of single trials |
//! | `SHOAL_TRIALS_WITHOUT` | `name,..`: trials that are left out |
//! | `SHOAL_SEED` | the seed, decimal or with `0x` hexadecimal; without it there is a new one for each run |

/// A trial.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trial {
    /// Processes that are killed.
    Kill,
    /// Disks that stop in the middle.
    PowerLoss,
    /// Calls of the system that fail.
    Io,
    /// Disks without room.
    FullDisk,
    /// Senders beside maintenance, in seconds.
    SideBySide,
    /// Input that is broken.
    Malformed,
    /// Bits that flip.
    Flips,
}

impl Trial {
    /// All of them.
    pub const ALL: [Trial; 7] = [
        Trial::Kill,
        Trial::PowerLoss,
        Trial::Io,
        Trial::FullDisk,
        Trial::SideBySide,
        Trial::Malformed,
        Trial::Flips,
    ];

    /// Its name in the variables.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Trial::Kill => "kill",
            Trial::PowerLoss => "power-loss",
            Trial::Io => "io",
            Trial::FullDisk => "full-disk",
            Trial::SideBySide => "side-by-side",
            Trial::Malformed => "malformed",
            Trial::Flips => "flips",
        }
    }

    const fn usual(self, is_long: bool) -> u64 {
        match (self, is_long) {
            (Trial::Kill, false) => 50,
            (Trial::Kill, true) => 1_000,
            (Trial::PowerLoss, false) => 12,
            (Trial::PowerLoss, true) => 300,
            (Trial::Io, false) => 40,
            (Trial::Flips, false) => 60,
            (Trial::Io, true) => 2_000,
            (Trial::FullDisk, false) => 1,
            (Trial::FullDisk, true) => 50,
            (Trial::SideBySide, false) => 30,
            (Trial::SideBySide, true) => 1_800,
            (Trial::Malformed, false) | (Trial::Flips, true) => 1_000,
            (Trial::Malformed, true) => 10_000,
        }
    }
}

/// What the environment says.
#[derive(Clone, Debug)]
pub struct Counts {
    is_long: bool,
    counts: Vec<(Trial, u64)>,
    without: Vec<Trial>,
    /// The seed of the run.
    pub seed: u64,
}

impl Counts {
    /// Reads the variables by their names; `new_seed` is the seed where none is said.
    ///
    /// # Errors
    /// When a variable has another form than those above: a word that is misspelt must not become a short run.
    pub fn read(variable: impl Fn(&str) -> Option<String>, new_seed: u64) -> Result<Counts, String> {
        let is_long = match variable("SHOAL_TRIALS").as_deref().unwrap_or("") {
            "long" => true,
            text if text.bytes().all(|byte| byte.is_ascii_digit()) => false,
            other => return Err(format!("SHOAL_TRIALS is `long` or not set, not `{other}`")),
        };
        let said = variable("SHOAL_TRIALS_COUNT").unwrap_or_default();
        let counts = words(&said).map(|word| {
            let (name, count) =
                word.split_once('=').ok_or(format!("SHOAL_TRIALS_COUNT: `{word}` has no ="))?;
            Ok((
                named(name)?,
                count.parse().map_err(|_| format!("SHOAL_TRIALS_COUNT: `{count}` is no count"))?,
            ))
        });
        let left_out = variable("SHOAL_TRIALS_WITHOUT").unwrap_or_default();
        let seed = match variable("SHOAL_SEED") {
            None => new_seed,
            Some(text) => match text.strip_prefix("0x") {
                Some(digits) => u64::from_str_radix(digits, 16),
                None => text.parse(),
            }
            .map_err(|_| format!("SHOAL_SEED: `{text}` is no number"))?,
        };
        Ok(Counts {
            is_long,
            counts: counts.collect::<Result<_, String>>()?,
            without: words(&left_out).map(named).collect::<Result<_, String>>()?,
            seed,
        })
    }

    /// How often a trial runs; none when it is left out.
    #[must_use]
    pub fn of(&self, trial: Trial) -> Option<u64> {
        if self.without.contains(&trial) {
            return None;
        }
        let said = self.counts.iter().find(|(of, _)| *of == trial).map(|(_, count)| *count);
        Some(said.unwrap_or(trial.usual(self.is_long)))
    }
}

fn words(list: &str) -> impl Iterator<Item = &str> {
    list.split(',').map(str::trim).filter(|word| !word.is_empty())
}

fn named(name: &str) -> Result<Trial, String> {
    let names: Vec<&str> = Trial::ALL.iter().map(|trial| trial.name()).collect();
    Trial::ALL
        .into_iter()
        .find(|trial| trial.name() == name)
        .ok_or_else(|| format!("there is no trial `{name}`: {}", names.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::{Counts, Trial};

    fn read(variables: &[(&str, &str)]) -> Result<Counts, String> {
        let find =
            |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, v)| (*v).to_owned());
        Counts::read(find, 9)
    }

    #[test]
    fn the_environment_says_how_often_and_a_misspelt_word_is_refused() {
        let usual = read(&[]).unwrap();
        assert_eq!((usual.of(Trial::Kill), usual.seed), (Some(50), 9));
        let long = read(&[("SHOAL_TRIALS", "long"), ("SHOAL_SEED", "0x10"), ("SHOAL_TRIALS_COUNT", "io=3")])
            .unwrap();
        assert_eq!((long.of(Trial::Kill), long.of(Trial::Io), long.seed), (Some(1_000), Some(3), 16));
        assert_eq!(read(&[("SHOAL_TRIALS", "100000")]).unwrap().of(Trial::Kill), Some(50));
        assert_eq!(read(&[("SHOAL_TRIALS_WITHOUT", "power-loss")]).unwrap().of(Trial::PowerLoss), None);
        for bad in [
            ("SHOAL_TRIALS", "lang"),
            ("SHOAL_TRIALS_COUNT", "kill"),
            ("SHOAL_TRIALS_COUNT", "kil=3"),
            ("SHOAL_TRIALS_WITHOUT", "power"),
            ("SHOAL_SEED", "x"),
        ] {
            assert!(read(&[bad]).is_err(), "{bad:?}");
        }
    }
}
