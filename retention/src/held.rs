//! What is kept of subjects in a region, for whoever is told of it. Changes nothing.
//!
//! Not here: whose rows (`shoal-ingest`), how they are read (`shoal-storage`, `tables/held.rs`).

use std::sync::Arc;

use shoal_schemas::calendar::day_of;
use shoal_schemas::{Kind, Region};
use shoal_storage::{HeldRows, LiveFile, Subjects};

use crate::run::Retention;
use crate::{RetentionError, is_expired};

impl Retention {
    /// The rows of these subjects that are not past their time at `now_ms` (milliseconds since 1970), table by table, up to so many bytes in all.
    ///
    /// # Errors
    /// When a table cannot be read: what is there is told whole or not at all.
    pub async fn held_rows(
        &self,
        region: Region,
        subjects: &Arc<Subjects>,
        now_ms: i64,
        bytes_max: usize,
    ) -> Result<Vec<(Kind, HeldRows)>, RetentionError> {
        let (registry, today) = (self.definitions.current(), day_of(now_ms));
        let (mut all, mut room) = (Vec::with_capacity(Kind::ALL.len()), bytes_max);
        for kind in Kind::ALL.iter().copied() {
            let is_told = |file: &LiveFile| !is_expired(&registry, file.programme, kind, file.day, today);
            let held = async {
                let table = self.store.table(region, registry.table(kind)).await?;
                table.held_rows(Arc::clone(subjects), is_told, room).await
            };
            let held = held.await.map_err(|source| RetentionError::Table { region, kind, source })?;
            room = room.saturating_sub(held.lines.len());
            all.push((kind, held));
        }
        Ok(all)
    }
}
