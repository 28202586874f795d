//! Export: the rows of the change log after one, as a file.

use std::collections::BTreeMap;

use kuzusync_core::change::ChangeId;
use kuzusync_core::export::{self, FORMAT_VERSION, Meta, Row};
use kuzusync_core::message::{Delivery, Entry};
use kuzusync_sqlite::StoredRow;

use crate::directory::Directory;
use crate::error::Error;

impl Directory {
    /// The rows after `from_lsn` as a file, and its first line. A transaction is never divided: if `from_lsn` is within one,
    /// the file begins with its first row.
    ///
    /// # Errors
    /// [`Error::BeyondEnd`].
    pub fn export(&self, from_lsn: u64) -> Result<(Meta, String), Error> {
        let last = self.log.last_lsn()?;
        if from_lsn > last {
            return Err(Error::BeyondEnd { asked: from_lsn, last });
        }
        let mut from_lsn = from_lsn;
        let mut stored = self.log.rows_after(from_lsn)?;
        if let Some((_, first)) = stored.first().filter(|(_, first)| first.op_index > 0) {
            from_lsn -= u64::from(first.op_index);
            stored = self.log.rows_after(from_lsn)?;
        }
        // What has a number since it was written is exported with it.
        let mut deliveries: BTreeMap<ChangeId, Delivery> = BTreeMap::new();
        for (_, row) in &stored {
            let Some(id) = row.change else { continue };
            let change = self.replica.log().get(id).cloned();
            let lsn = self.replica.log().lsn(id);
            deliveries.extend(change.map(|change| (id, Delivery::Change(Entry { change, lsn }))));
        }
        let rows: Vec<Row> = stored.into_iter().map(|(lsn, row)| self.row(lsn, row, &mut deliveries)).collect();
        let meta = Meta {
            format_version: FORMAT_VERSION,
            database: self.replica.database(),
            client_id: self.replica.id(),
            source_node: self.settings.name.clone(),
            role: self.replica.role(),
            from_lsn,
            to_lsn: last,
            count: rows.len() as u64,
            schema_version: self.replica.schema_state().version,
            clock: self.replica.clock().clone(),
        };
        let text = export::write(&meta, &rows);
        Ok((meta, text))
    }

    fn row(&self, lsn: u64, row: StoredRow, deliveries: &mut BTreeMap<ChangeId, Delivery>) -> Row {
        let json = |text: String| serde_json::from_str(&text).unwrap_or(serde_json::Value::String(text));
        let delivery = match row.change {
            Some(id) => deliveries.remove(&id),
            None => row.number.and_then(|number| self.replica.log().delivery(number)),
        };
        Row {
            lsn,
            tx_id: row.tx_id,
            table_name: row.table_name,
            pk_json: row.pk_json.map(json),
            op: row.op,
            payload: row.payload.map(json),
            tombstone: row.tombstone,
            created_at: row.created_at,
            source_node: row.source_node,
            delivery,
        }
    }
}
