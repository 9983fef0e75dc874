//! Criterion benches of each stage and the load generator.
