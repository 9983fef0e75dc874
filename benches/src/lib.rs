//! Realistic, distinct request bodies, for the load generator (`main.rs`) and the benches of single stages; and the trial
//! that compares answers with the truth (`utility`, run by `shoal-utility`).

mod body;
pub mod utility;

pub use body::Bodies;
