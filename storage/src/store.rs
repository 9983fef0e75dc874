//! s
use shoal_schemas::{Region, TableDef};
use crate::{Table, error::Result};
/// Store.
#[derive(Clone)]
pub struct Store {}
impl Store {
    /// Open.
    pub async fn open(root: &url::Url) -> Result<Store> { let _ = root; todo!() }
    /// Table.
    pub async fn table(&self, region: Region, def: &TableDef) -> Result<Table> { let _ = (region, def); todo!() }
}
