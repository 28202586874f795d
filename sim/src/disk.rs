//! What survives a crash: records that were synced. Those that were only written are lost.

use kuzusync_core::Error;
use kuzusync_core::message::Record;

/// One host's disk.
#[derive(Debug, Default)]
pub struct Disk {
    durable: Vec<Vec<u8>>,
    unsynced: Vec<Vec<u8>>,
}

impl Disk {
    /// Writes a record and returns its bytes; a crash before the next sync loses it.
    pub fn write(&mut self, record: &Record) -> &[u8] {
        self.unsynced.push(record.encode());
        self.unsynced.last().map_or(&[], Vec::as_slice)
    }

    /// Makes everything written durable. Says whether there was anything.
    pub fn sync(&mut self) -> bool {
        let had_any = !self.unsynced.is_empty();
        self.durable.append(&mut self.unsynced);
        had_any
    }

    /// The host died. Returns how many records were lost.
    pub fn crash(&mut self) -> usize {
        std::mem::take(&mut self.unsynced).len()
    }

    /// Another disk that holds what is durable on this one.
    #[must_use]
    pub fn copy(&self) -> Disk {
        Disk { durable: self.durable.clone(), unsynced: Vec::new() }
    }

    /// Reads the durable records.
    ///
    /// # Errors
    /// [`Error::Malformed`] for the first record that cannot be read.
    pub fn read(&self) -> Result<Vec<Record>, Error> {
        self.durable.iter().map(|bytes| Record::decode(bytes)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kuzusync_core::id::ReplicaId;

    #[test]
    fn a_crash_loses_exactly_what_was_not_synced() {
        let record = |byte| Record::Main(ReplicaId([byte; 16]));
        let mut disk = Disk::default();
        disk.write(&record(1));
        assert!(disk.sync() && !disk.sync());
        disk.write(&record(2));
        assert_eq!(disk.copy().read().unwrap(), [record(1)], "a copy is what a crash would leave");
        assert_eq!(disk.crash(), 1);
        assert_eq!(disk.read().unwrap(), [record(1)]);
    }
}
