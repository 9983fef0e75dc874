//! The definitions of the service: read from the files, and taken over while it runs.
//!
//! ```text
//! files -> a registry (all faults at once) -> may it follow on what is in force, and do the tables take it (all reasons at once)
//!       -> new columns are committed -> the line of the audit -> it is in force
//! ```
//! Invariants: nothing sees a column before every table has it; until the last step what was in force is, and columns that tables
//! have got by then are null, as those of a start that ended there would be. Not here: what may follow on what
//! (`shoal-schemas`, `changes.rs`), when a reload is asked for (`reload.rs`).

use std::path::Path;
use std::sync::Arc;

use shoal_schemas::{Changes, InForce, Kind, Region, Registry};
use shoal_storage::{StorageError, Store};

use crate::error::Error;

/// The definitions, embedded and overlaid.
///
/// # Errors
/// Everything that is wrong with them, a line each.
pub(crate) fn read(overlay: Option<&Path>) -> Result<Registry, Error> {
    Registry::load(overlay).map_err(|errors| wrong(errors.iter().map(ToString::to_string)))
}

fn wrong(reasons: impl Iterator<Item = String>) -> Error {
    Error::Schemas(reasons.collect::<Vec<_>>().join("\n"))
}

/// Definitions that may take the place of those in force.
pub(crate) struct Successor {
    registry: Arc<Registry>,
    pub(crate) changes: Changes,
}

impl Successor {
    /// Looks whether they may. Changes nothing.
    ///
    /// # Errors
    /// Every reason why not.
    pub(crate) async fn of(next: Registry, in_force: &InForce, store: &Store) -> Result<Successor, Error> {
        let found = in_force.current().changes_to(&next);
        let mut reasons = found.as_ref().err().cloned().unwrap_or_default();
        for (region, kind) in tables() {
            match store.fits(region, next.table(kind)).await {
                Ok(()) => {}
                Err(StorageError::Schema { table, reason }) => {
                    reasons.push(format!("table {table}: {reason}"))
                }
                Err(other) => return Err(other.into()),
            }
        }
        match found {
            Ok(changes) if reasons.is_empty() => Ok(Successor { registry: Arc::new(next), changes }),
            _ => Err(wrong(reasons.into_iter())),
        }
    }

    /// Gives every table its new columns, durably, as a start does. May be done again.
    ///
    /// # Errors
    /// When a table cannot be read or written.
    pub(crate) async fn prepare(&self, store: &Store) -> Result<(), Error> {
        for (region, kind) in tables() {
            store.table(region, self.registry.table(kind)).await?;
        }
        Ok(())
    }

    /// From now on they are in force.
    pub(crate) fn take_over(self, in_force: &InForce) -> Changes {
        in_force.replace(self.registry);
        self.changes
    }
}

fn tables() -> impl Iterator<Item = (Region, Kind)> {
    Region::ALL.iter().flat_map(|region| Kind::ALL.iter().map(|kind| (*region, *kind)))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::fs;

    use tempfile::TempDir;

    use super::*;

    /// Embedded definitions, and a property of clicks that says this of its type.
    fn with(property: &str) -> Registry {
        let dir = TempDir::new().unwrap();
        fs::create_dir(dir.path().join("events")).unwrap();
        let text = format!("extends = \"click\"\n[properties.hand]\ndoc = \"Which hand.\"\n{property}");
        fs::write(dir.path().join("events/click.toml"), text).unwrap();
        read(Some(dir.path())).unwrap()
    }

    const BOOLEAN: &str = "type = \"boolean\"\nclass = \"dimension\"\nkeys_max = 2\n";
    const NUMBER: &str =
        "type = \"number\"\nclass = \"measure\"\nunit = \"1\"\nmin = 0\nmax = 9\nday_sum_max = 9\n";

    #[tokio::test]
    async fn tables_get_their_columns_before_definitions_are_in_force_and_keep_their_types() {
        let dir = TempDir::new().unwrap();
        let store = Store::open(&url::Url::from_directory_path(dir.path()).unwrap()).await.unwrap();
        let in_force = InForce::new(Arc::new(read(None).unwrap()));
        for (region, kind) in tables() {
            store.table(region, in_force.current().table(kind)).await.unwrap();
        }
        let columns = async || {
            let mut with_it = 0;
            for table in store.tables().await {
                let snapshot = table.snapshot().await.unwrap();
                with_it += usize::from(snapshot.rows_schema(&["hand"]).is_ok());
            }
            with_it
        };
        let successor = Successor::of(with(BOOLEAN), &in_force, &store).await.unwrap();
        assert_eq!(successor.changes.properties_added, ["click.hand"]);
        assert_eq!(columns().await, 0, "nothing is changed by looking");
        successor.prepare(&store).await.unwrap();
        assert_eq!(columns().await, Region::ALL.len());
        assert!(in_force.current().event("click").unwrap().property("hand").is_none());
        successor.take_over(&in_force);
        assert!(in_force.current().event("click").unwrap().property("hand").is_some());
        // Taken away and given another type, told with each of its reasons; and so for whoever starts without it.
        let refused = |found: Result<Successor, Error>| found.err().unwrap().to_string();
        let told = refused(Successor::of(with(NUMBER), &in_force, &store).await);
        let of_tables = Region::ALL
            .iter()
            .map(|region| format!("table {region}/usage: column hand is stored as Boolean"));
        let of_definitions = ["events/click.toml: property `hand` cannot change its type".to_owned()];
        for reason in of_tables.chain(of_definitions) {
            assert!(told.contains(&reason), "{reason}: {told}");
        }
        let told = refused(Successor::of(read(None).unwrap(), &in_force, &store).await);
        assert!(told.contains("property `hand` is declared no longer"), "{told}");
        let earlier = InForce::new(Arc::new(read(None).unwrap()));
        let told = refused(Successor::of(with(NUMBER), &earlier, &store).await);
        assert!(told.contains("table DE/usage") && !told.contains("events/"), "{told}");
    }
}
