//! From the bytes of a request to a clean batch, the write-ahead log and a Delta commit.
