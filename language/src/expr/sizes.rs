//! How large the expressions of a statement may be.
//!
//! What stands in a text is bounded by the text. What its names stand for is not: a name of a subquery that is made of others
//! can double at each step. So expressions are measured with every name written out, and a node that is shared counts once
//! besides.
//! Not here: what taking a statement apart may cost (`work.rs`).

/// Most parts of the expressions of one statement, with each name replaced by what it stands for: as many as a statement may
/// have tokens, so that they are not larger than a person could have written them. A text counts one part more for each 32
/// bytes of it, a list one more for each eight values. `docs/sql.md` has it.
pub const EXPANDED_MAX: u64 = 4_000;
/// Most different parts of the expressions of one statement.
pub const NODES_MAX: u64 = 2_000;
/// Most levels of one expression.
pub const NODES_DEEP_MAX: u32 = 250;
