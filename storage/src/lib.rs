//! Delta tables on an object store: open, commit, scan, rewrite, vacuum, and the durable ledger.
