//! Adoption: an existing Kùzu database becomes the beginning of a replica's history. (DDL Integration Plan, case A8.)

use std::path::Path;

use kuzusync_core::adopt::{self, Found};

use crate::directory::{Applied, Directory};
use crate::error::Error;

impl Directory {
    /// Adopts what was found in a database. The replica must not hold anything yet, unless an earlier adoption of the same
    /// was interrupted: that goes on where it stopped.
    ///
    /// # Errors
    /// [`Error::NotNew`], and whatever a replica cannot hold.
    pub fn adopt_found(self, found: &Found) -> Result<(Self, Applied), Error> {
        let transactions = adopt::transactions(found);
        let is_of_it = |tx| transactions.iter().any(|transaction| transaction.tx == tx);
        if self.replica.log().changes().any(|change| !is_of_it(change.tx)) {
            return Err(Error::NotNew);
        }
        self.apply((1..).zip(transactions).collect())
    }

    /// Adopts a Kùzu database. A copy of it is read; nothing is done to the original.
    ///
    /// # Errors
    /// What cannot be adopted.
    #[cfg(feature = "kuzu")]
    pub fn adopt(self, database: &Path) -> Result<(Self, Applied, Vec<String>), Error> {
        let bad = |problem: String| Error::Adoption { path: database.to_owned(), problem };
        let scratch = tempfile::tempdir_in(self.path()).map_err(Error::io(self.path()))?;
        let found = kuzusync_kuzu::adopt::read(database, scratch.path()).map_err(|error| bad(error.to_string()))?;
        let (directory, applied) = self.adopt_found(&found)?;
        Ok((directory, applied, found.left_behind))
    }

    /// Adopts a Kùzu database.
    ///
    /// # Errors
    /// Always: this build has no Kùzu.
    #[cfg(not(feature = "kuzu"))]
    pub fn adopt(self, database: &Path) -> Result<(Self, Applied, Vec<String>), Error> {
        let problem = "this build has no Kùzu; build without `--no-default-features`".to_owned();
        Err(Error::Adoption { path: database.to_owned(), problem })
    }
}
