//! An act on a person, and how far it is. Not here: its bytes (`form`), where it is kept (`places`).

use shoal_schemas::Programme;
use uuid::Uuid;

/// What is done on behalf of a person in one region. No `Debug`: it has pseudonyms.
#[derive(Clone, PartialEq, Eq)]
pub struct SubjectAct {
    /// What it is called in all regions.
    pub id: Uuid,
    /// A random number, under which its receipt is known: the id is made of the person, with a key.
    pub number: Uuid,
    /// When it was asked for, in milliseconds since 1970.
    pub asked_ms: i64,
    /// In which role somebody has asked for it.
    pub by: AskedBy,
    /// What is done.
    pub kind: ActKind,
    /// Pseudonyms of the person, ascending, each once; at most 1,000,000. There may be none.
    pub subjects: Vec<u128>,
    /// Digests of consents, by which the gate knows the person, ascending, each once; at most 1,000,000.
    pub named: Vec<(Programme, u128)>,
}

/// In which role an act is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AskedBy {
    /// On the machine.
    Operator,
    /// With an officer's key.
    Officer,
    /// With the key of an account service.
    AccountService,
}

/// What is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ActKind {
    /// The rows go, and nothing new is kept until they are gone.
    Erase,
    /// The rows go, and nothing new is kept until it is lifted: the person may not take part.
    Exclude,
    /// The rows stay and are in no release, and nothing new is kept, until it is lifted.
    Restrict(Restriction),
}

/// Why processing is restricted, and when somebody looks at it again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Restriction {
    /// The ground.
    pub ground: Ground,
    /// The day on which it is to be reviewed, since 1970.
    pub review_day: i32,
}

/// The grounds of a restriction (GDPR, Article 18 (1)).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ground {
    /// The person says that the data are wrong, and that is being looked at.
    Accuracy,
    /// They were processed unlawfully, and the person does not want them erased.
    Unlawful,
    /// The person needs them for a legal claim.
    LegalClaim,
    /// The person has objected, and whose grounds weigh more is being looked at.
    Objection,
}

impl Ground {
    /// All of them.
    pub const ALL: &[Ground] = &[Ground::Accuracy, Ground::Unlawful, Ground::LegalClaim, Ground::Objection];

    /// The word for it, as people write it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Ground::Accuracy => "accuracy",
            Ground::Unlawful => "unlawful",
            Ground::LegalClaim => "legal-claim",
            Ground::Objection => "objection",
        }
    }

    /// The ground of this word.
    pub fn parse(word: &str) -> Option<Ground> {
        Ground::ALL.iter().copied().find(|ground| ground.as_str() == word)
    }
}

/// What was done of an erasure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Erased {
    /// When, in milliseconds since 1970.
    pub done_ms: i64,
    /// Files that were written anew or removed.
    pub files: u64,
    /// Rows that were removed.
    pub rows: u64,
}

/// The end of an act.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lifted {
    /// When, in milliseconds since 1970.
    pub at_ms: i64,
    /// In which role somebody has lifted it.
    pub by: AskedBy,
}

/// How far an act is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ActState {
    /// Under which its receipt is known.
    pub number: Uuid,
    /// In which role somebody has asked for it.
    pub by: AskedBy,
    /// What is done.
    pub kind: ActKind,
    /// In which programmes, each once.
    pub programmes: Vec<Programme>,
    /// When it was asked for, in milliseconds since 1970.
    pub asked_ms: i64,
    /// What was erased, once all of it is gone from this data directory.
    pub erased: Option<Erased>,
    /// Its end.
    pub lifted: Option<Lifted>,
}

impl ActKind {
    /// Whether rows are to go.
    pub const fn erases(self) -> bool {
        !matches!(self, ActKind::Restrict(_))
    }

    /// Whether it stays in force until somebody lifts it.
    pub const fn can_be_lifted(self) -> bool {
        !matches!(self, ActKind::Erase)
    }
}

impl ActState {
    /// Whether rows of the person may still be there that are to be in no release.
    pub const fn suppresses(&self) -> bool {
        match self.kind {
            ActKind::Erase | ActKind::Exclude => self.erased.is_none(),
            ActKind::Restrict(_) => self.lifted.is_none(),
        }
    }

    /// Whether nothing new of the person is kept.
    pub const fn refuses(&self) -> bool {
        match self.kind {
            ActKind::Erase => self.erased.is_none(),
            ActKind::Exclude => self.erased.is_none() || self.lifted.is_none(),
            ActKind::Restrict(_) => self.lifted.is_none(),
        }
    }

    /// Whether rows are still to go.
    pub const fn is_to_erase(&self) -> bool {
        self.kind.erases() && self.erased.is_none()
    }

    /// Whether it stays in force until somebody lifts it, and nobody has.
    pub const fn is_to_lift(&self) -> bool {
        self.kind.can_be_lifted() && self.lifted.is_none()
    }

    /// Whether nothing is left to do, and nothing in force.
    pub const fn is_over(&self) -> bool {
        !self.suppresses() && !self.refuses()
    }
}
