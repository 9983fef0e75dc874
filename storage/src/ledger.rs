//! The ledger of one region.
use std::path::Path;
use shoal_schemas::Programme;
use crate::error::Result;
/// Ledger.
#[derive(Clone)]
pub struct Ledger {}
impl Ledger {
    /// Opens.
    pub fn open(path: &Path) -> Result<Ledger> { let _ = path; todo!() }
    /// Puts.
    pub fn put_consent(&self, programme: Programme, digest: [u8; 16], record: &[u8]) -> Result<()> { let _ = (programme, digest, record); todo!() }
    /// All.
    pub fn consents(&self) -> Result<Vec<(Programme, [u8; 16], Vec<u8>)>> { todo!() }
}
