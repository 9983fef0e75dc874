//! What is asked of the ledger and what it says: blocks, released parts and their charges, and their numbers in files.
//!
//! Not here: how it is kept (`book`, `high_water_mark`).

use shoal_schemas::{Kind, Region};

/// What identifies a released part: a digest of everything that decides its content.
pub type PartId = [u8; 32];

/// One table, one day, one region: what a budget is kept for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Block {
    /// The region.
    pub region: Region,
    /// The table.
    pub kind: Kind,
    /// Days since 1970-01-01.
    pub day: i32,
}

/// One block's part of the price of a released part, from one of the block's pools.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Charge {
    /// Whose budget.
    pub block: Block,
    /// Which part of the block's budget.
    pub pool: u8,
    /// How much, in billionths of rho.
    pub nano: u64,
    /// How much of the block's delta, in quintillionths (10^-18); nothing when no threshold hides a group.
    pub delta_atto: u64,
}

/// A released part that is to be paid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartOrder {
    /// Its identity.
    pub id: PartId,
    /// What it is, in words; it holds no value of an event.
    pub text: String,
    /// Its price on each block.
    pub charges: Vec<Charge>,
}

/// What a block may spend, in billionths of rho and quintillionths (10^-18) of delta.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpendingCaps {
    /// Rho from each pool, by number; a pool beyond has nothing.
    pub pools: Vec<u64>,
    /// Rho from all pools together.
    pub block: u64,
    /// Delta from all pools together; a charge without delta is not held against it.
    pub delta_atto: u64,
}

/// Released parts that are paid together or not at all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    /// Every released part once.
    pub parts: Vec<PartOrder>,
    /// Public part of the key that asks.
    pub asker: String,
    /// Of each block.
    pub caps: SpendingCaps,
    /// Milliseconds since 1970, UTC.
    pub now_ms: i64,
}

/// A block that cannot bear what is asked of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shortage {
    /// Which block.
    pub block: Block,
    /// Which pool.
    pub pool: u8,
    /// What was asked of it, in billionths of rho.
    pub asked_nano: u64,
    /// What it has left.
    pub left_nano: u64,
    /// What was asked of the block's delta, from all pools together, in quintillionths.
    pub asked_delta_atto: u64,
    /// What the block has left of it.
    pub left_delta_atto: u64,
}

/// What the ledger knows about a released part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// It was never paid.
    Nothing,
    /// It is paid and not sealed: it is being made, or it was lost and has to be paid again.
    Reserved,
    /// Its answer.
    Sealed(Vec<u8>),
}

/// The stable number of a region in files.
pub(super) fn region_byte(region: Region) -> u8 {
    match region {
        Region::Us => 0,
        Region::De => 1,
        Region::Sg => 2,
        Region::My => 3,
    }
}

/// The stable number of a table in files.
pub(super) fn kind_byte(kind: Kind) -> u8 {
    match kind {
        Kind::Usage => 0,
        Kind::Crash => 1,
        Kind::Performance => 2,
        Kind::Device => 3,
    }
}

pub(super) fn region_of(byte: u8) -> Option<Region> {
    Region::ALL.iter().copied().find(|r| region_byte(*r) == byte)
}

pub(super) fn kind_of(byte: u8) -> Option<Kind> {
    Kind::ALL.iter().copied().find(|k| kind_byte(*k) == byte)
}
