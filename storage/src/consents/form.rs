//! What `shoal-privacy` says about records and acts, as functions: what either says is not known in this crate.

/// How a record becomes bytes and back.
pub struct RecordForm<R> {
    /// The bytes of a record, or why there are none.
    pub encode: fn(&R) -> std::result::Result<Vec<u8>, String>,
    /// The record of these bytes, or why they are none.
    pub decode: fn(&[u8]) -> std::result::Result<R, String>,
}

/// What the journal's acts make of records. The first byte of an act is its kind.
pub struct JournalForm<R> {
    /// Does an act again on the record that an older file has. None when it changes nothing. Whether the file is known to lack the
    /// act is the last argument; if not, times decide.
    pub replay: fn(&[u8], Option<R>, bool) -> std::result::Result<Option<R>, String>,
    /// Makes one act of two of one kind, the older one first.
    pub merge: fn(&[u8], &[u8]) -> std::result::Result<Vec<u8>, String>,
    /// The act that a record tells of, if any.
    pub of_record: fn(&R) -> Option<Vec<u8>>,
}
