//! A host's disk: what survives a crash, and how it fails.
//!
//! Records that were synced survive. Of those that were only written a crash takes all, or keeps so many bytes: the disk
//! had begun to carry them out. The record in which the kept bytes end is torn. Whoever reads the log cuts a torn last
//! record off, as every write-ahead log does: nothing that was told relies on it.
//!
//! A disk fails once and at a chosen moment, so that a plan names its failures one by one. A write that fails leaves
//! nothing behind; its replica is told and stops. A disk that is full refuses every write until it is mended.

use kuzusync_core::Error;
use kuzusync_core::message::Record;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A way in which a disk fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum DiskFault {
    /// The records cannot be read, once.
    Read,
    /// A record cannot be written, once.
    Write,
    /// No record can be written any more, until the disk is mended.
    Full,
}

/// A failure that is to come.
#[derive(Clone, Copy, Debug)]
struct Armed {
    fault: DiskFault,
    /// How often what it concerns still goes well.
    after: u32,
}

/// One host's disk.
#[derive(Debug, Default)]
pub struct Disk {
    durable: Vec<Vec<u8>>,
    unsynced: Vec<Vec<u8>>,
    armed: Option<Armed>,
    is_full: bool,
    /// What a sync takes, in simulated microseconds.
    sync_us: u64,
}

impl Disk {
    /// Writes a record and returns its bytes; a crash before the next sync may lose it.
    ///
    /// # Errors
    /// How the disk fails. Then nothing of the record is on it.
    pub fn write(&mut self, record: &Record) -> Result<&[u8], DiskFault> {
        if self.fails(DiskFault::Full) {
            self.is_full = true;
        }
        if self.is_full {
            return Err(DiskFault::Full);
        }
        if self.fails(DiskFault::Write) {
            return Err(DiskFault::Write);
        }
        self.unsynced.push(record.encode());
        Ok(self.unsynced.last().map_or(&[], Vec::as_slice))
    }

    /// Makes everything written durable. Returns how long that takes, `None` if there is nothing.
    pub fn sync(&mut self) -> Option<u64> {
        let had_any = !self.unsynced.is_empty();
        self.durable.append(&mut self.unsynced);
        had_any.then_some(self.sync_us)
    }

    /// Puts other records in the place of those that are durable, all at once.
    pub fn replace(&mut self, records: &[Record]) {
        self.durable = records.iter().map(Record::encode).collect();
    }

    /// The host died; `kept_bytes` of what it had not synced stay. Returns how many records were lost or torn.
    pub fn crash(&mut self, kept_bytes: u64) -> usize {
        let mut left = usize::try_from(kept_bytes).unwrap_or(usize::MAX);
        let mut lost = 0;
        for mut record in std::mem::take(&mut self.unsynced) {
            lost += usize::from(left < record.len());
            record.truncate(left);
            left -= record.len();
            if !record.is_empty() {
                self.durable.push(record);
            }
        }
        lost
    }

    /// Another disk that holds what is durable on this one.
    #[must_use]
    pub fn copy(&self) -> Disk {
        Disk { durable: self.durable.clone(), ..Disk::default() }
    }

    /// The durable records, a torn last one aside, and whether there was one.
    ///
    /// # Errors
    /// [`Error::Malformed`] for the first record, but for the last, that cannot be read.
    pub fn records(&self) -> Result<(Vec<Record>, bool), Error> {
        let mut records = Vec::with_capacity(self.durable.len());
        for (place, bytes) in self.durable.iter().enumerate() {
            match Record::decode(bytes) {
                Ok(record) => records.push(record),
                Err(_) if place + 1 == self.durable.len() => return Ok((records, true)),
                Err(error) => return Err(error),
            }
        }
        Ok((records, false))
    }

    /// Says whether reading fails, this once.
    pub fn fails_to_read(&mut self) -> bool {
        self.fails(DiskFault::Read)
    }

    /// Cuts the last record off.
    pub fn cut_tail(&mut self) {
        self.durable.pop();
    }

    /// Lets the disk fail, after so many times in which it does not.
    pub fn arm(&mut self, fault: DiskFault, after: u32) {
        self.armed = Some(Armed { fault, after });
    }

    /// From now on a sync takes so long.
    pub fn slow_down(&mut self, sync_us: u64) {
        self.sync_us = sync_us;
    }

    /// Nothing is wrong with the disk any more, and nothing will be. What it holds stays.
    pub fn mend(&mut self) {
        *self = Disk {
            durable: std::mem::take(&mut self.durable),
            unsynced: std::mem::take(&mut self.unsynced),
            ..Disk::default()
        };
    }

    /// Counts down to a failure of this kind. Says whether it is due.
    fn fails(&mut self, fault: DiskFault) -> bool {
        let Some(armed) = self.armed.as_mut().filter(|armed| armed.fault == fault) else { return false };
        if armed.after > 0 {
            armed.after -= 1;
            return false;
        }
        self.armed = None;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kuzusync_core::id::ReplicaId;

    fn record(byte: u8) -> Record {
        Record::Main(ReplicaId([byte; 16]))
    }

    fn holds(disk: &Disk) -> (Vec<Record>, bool) {
        disk.records().unwrap()
    }

    #[test]
    fn a_crash_loses_exactly_what_was_not_synced() {
        let mut disk = Disk::default();
        disk.write(&record(1)).unwrap();
        assert!(disk.sync() == Some(0) && disk.sync().is_none());
        disk.write(&record(2)).unwrap();
        assert_eq!(holds(&disk.copy()).0, [record(1)], "a copy is what a crash would leave");
        assert_eq!(disk.crash(0), 1);
        assert_eq!(holds(&disk), (vec![record(1)], false));
    }

    #[test]
    fn a_torn_record_is_cut_off_wherever_it_is_torn_and_the_whole_ones_before_it_stay() {
        let length = record(2).encode().len() as u64;
        for kept in 0..=2 * length {
            let mut disk = Disk::default();
            disk.write(&record(1)).unwrap();
            disk.sync();
            disk.write(&record(2)).unwrap();
            disk.write(&record(3)).unwrap();
            let whole = kept / length;
            assert_eq!(disk.crash(kept), 2 - whole as usize, "{kept} bytes");
            let is_torn = kept % length > 0;
            let expected: Vec<Record> = (1..=1 + whole as u8).map(record).collect();
            assert_eq!(holds(&disk), (expected.clone(), is_torn), "{kept} bytes");
            if is_torn {
                disk.cut_tail();
            }
            assert_eq!(holds(&disk), (expected, false), "{kept} bytes");
        }
    }

    #[test]
    fn a_record_that_is_damaged_before_the_last_is_refused() {
        let mut disk = Disk { durable: vec![vec![1, 2, 3], record(1).encode()], ..Disk::default() };
        assert!(disk.records().is_err());
        disk.durable.swap(0, 1);
        assert_eq!(holds(&disk), (vec![record(1)], true));
    }

    #[test]
    fn it_fails_when_it_is_told_to_and_is_well_again_after() {
        let mut disk = Disk::default();
        disk.arm(DiskFault::Write, 1);
        assert!(disk.write(&record(1)).is_ok());
        assert_eq!(disk.write(&record(2)), Err(DiskFault::Write));
        assert!(disk.write(&record(3)).is_ok());
        disk.sync();
        assert_eq!(holds(&disk).0, [record(1), record(3)]);
        disk.arm(DiskFault::Full, 0);
        assert_eq!(disk.write(&record(4)), Err(DiskFault::Full));
        assert_eq!(disk.write(&record(4)), Err(DiskFault::Full), "until it is mended");
        disk.slow_down(700);
        disk.mend();
        assert!(disk.write(&record(4)).is_ok());
        assert_eq!(disk.sync(), Some(0));
        disk.slow_down(700);
        disk.write(&record(5)).unwrap();
        assert_eq!(disk.sync(), Some(700));
        disk.arm(DiskFault::Read, 0);
        assert!(disk.fails_to_read() && !disk.fails_to_read());
        assert_eq!(holds(&disk).0.len(), 4, "nothing of it is lost");
    }
}
