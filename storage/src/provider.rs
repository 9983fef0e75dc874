//! A fixed list of Parquet files as a DataFusion table. The only place in this crate that knows DataFusion.
//!
//! The plan is DataFusion's own `DataSourceExec` over a `ParquetSource`, so that projection, filters, row-group pruning and
//! repartitioning are DataFusion's, and the plan can be serialised. Invariants: exactly the files given are read, whatever
//! else lies in the directories, and they stay there while a plan lives; the row count told to the optimiser is exact. Not here: which files (`snapshot`).

use std::path::Path;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use async_trait::async_trait;
use chrono::DateTime;
use datafusion::catalog::Session;
use datafusion::common::stats::Precision;
use datafusion::common::{Result as PlanResult, ScalarValue, Statistics};
use datafusion::datasource::file_format::FileFormat;
use datafusion::datasource::file_format::parquet::ParquetFormat;
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::{FileGroup, FileScanConfigBuilder, ParquetSource};
use datafusion::datasource::table_schema::TableSchema;
use datafusion::datasource::{TableProvider, TableType};
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::empty::EmptyExec;
use object_store::ObjectMeta;
use object_store::path::Path as ObjectPath;
use shoal_schemas::columns;

use crate::error::{Result, StorageError};
use crate::snapshot::{LiveFile, Snapshot};

impl Snapshot {
    /// A DataFusion table over exactly the live files that `keep` selects: DataFusion's own Parquet scan with its projection
    /// and filter pushdown, `day` (Date32) last, `time` in microseconds UTC. A column that an old file lacks is null.
    ///
    /// Files are read through the object store that the session's runtime has for `file://`, which every `RuntimeEnv` has.
    ///
    /// # Errors
    /// [`StorageError::Location`] when the store's path cannot be an object store path.
    pub fn provider(&self, keep: &dyn Fn(&LiveFile) -> bool) -> Result<Arc<dyn TableProvider>> {
        Ok(Arc::new(FilesProvider::new(self, keep)?))
    }
}

/// Goes with each file into the plan and its streams, so that the files stay on the disk until the last of them is gone.
struct Pin {
    _files: Arc<Vec<LiveFile>>,
}

#[derive(Debug)]
struct FilesProvider {
    schema: TableSchema,
    files: Vec<PartitionedFile>,
    rows: usize,
    bytes: usize,
}

impl FilesProvider {
    fn new(snapshot: &Snapshot, keep: &dyn Fn(&LiveFile) -> bool) -> Result<FilesProvider> {
        let day = Arc::new(Field::new(columns::DAY, DataType::Date32, false));
        let mut provider = FilesProvider {
            schema: TableSchema::builder(snapshot.layout.file_schema())
                .with_table_partition_cols(vec![day])
                .build(),
            files: Vec::new(),
            rows: 0,
            bytes: 0,
        };
        for file in snapshot.files().iter().filter(|f| keep(f)) {
            provider.rows += usize::try_from(file.rows).unwrap_or(usize::MAX);
            provider.bytes += usize::try_from(file.bytes).unwrap_or(usize::MAX);
            let read = partitioned(&snapshot.dir, file, provider.schema.table_schema())?;
            provider.files.push(read.with_extension(Pin { _files: Arc::clone(&snapshot.files) }));
        }
        Ok(provider)
    }

    fn statistics(&self) -> Statistics {
        statistics(self.schema.table_schema(), self.rows, self.bytes)
    }
}

fn statistics(schema: &Schema, rows: usize, bytes: usize) -> Statistics {
    let mut statistics = Statistics::new_unknown(schema);
    statistics.num_rows = Precision::Exact(rows);
    statistics.total_byte_size = Precision::Inexact(bytes);
    statistics
}

fn partitioned(dir: &Path, file: &LiveFile, schema: &Schema) -> Result<PartitionedFile> {
    let path = dir.join(&file.path);
    let location = ObjectPath::from_absolute_path(&path).map_err(|e| StorageError::Location {
        location: path.display().to_string(),
        reason: e.to_string(),
    })?;
    // A file never changes under its name, so a constant is as good as its time of change to whatever caches by it.
    let meta = ObjectMeta {
        location,
        last_modified: DateTime::UNIX_EPOCH,
        size: file.bytes,
        e_tag: None,
        version: None,
    };
    let rows = usize::try_from(file.rows).unwrap_or(usize::MAX);
    let bytes = usize::try_from(file.bytes).unwrap_or(usize::MAX);
    let day = ScalarValue::Date32(Some(file.day));
    Ok(PartitionedFile::new_from_meta(meta)
        .with_partition_values(vec![day])
        .with_statistics(Arc::new(statistics(schema, rows, bytes))))
}

#[async_trait]
impl TableProvider for FilesProvider {
    fn schema(&self) -> SchemaRef {
        Arc::clone(self.schema.table_schema())
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> PlanResult<Vec<TableProviderFilterPushDown>> {
        Ok(vec![TableProviderFilterPushDown::Inexact; filters.len()])
    }

    fn statistics(&self) -> Option<Statistics> {
        Some(FilesProvider::statistics(self))
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> PlanResult<Arc<dyn ExecutionPlan>> {
        if self.files.is_empty() {
            let schema = match projection {
                Some(columns) => Arc::new(self.schema().project(columns)?),
                None => self.schema(),
            };
            return Ok(Arc::new(EmptyExec::new(schema)));
        }
        let groups: Vec<FileGroup> =
            FileGroup::new(self.files.clone()).split_files(state.config().target_partitions().max(1));
        let source = Arc::new(ParquetSource::new(self.schema.clone()));
        // With filters still to come, a limit on the scan would drop rows that the query wants.
        let limit = if filters.is_empty() { limit } else { None };
        let url = ObjectStoreUrl::local_filesystem();
        let config = FileScanConfigBuilder::new(url, source)
            .with_file_groups(groups)
            .with_statistics(FilesProvider::statistics(self))
            .with_projection_indices(projection.cloned())?
            .with_limit(limit)
            .build();
        ParquetFormat::default()
            .with_options(state.table_options().parquet.clone())
            .create_physical_plan(state, config)
            .await
    }
}
