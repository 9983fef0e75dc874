//! Realistic, distinct request bodies, for the load generator (`main.rs`) and the benches of single stages.

mod body;

pub use body::Bodies;
