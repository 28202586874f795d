//! The folder of a database on disk.
//!
//! A database that is thrown away is not emptied but followed by another, in a file with the next number; what is older is
//! then removed. So no file is ever open twice, and a crash between the two leaves both, of which the newer is looked at.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// A folder that belongs to one store, and the number of its database.
#[derive(Debug)]
pub(crate) struct Directory {
    path: PathBuf,
    number: u64,
}

impl Directory {
    /// Takes over a folder and the newest database in it; makes the folder if there is none.
    pub(crate) fn open(path: &Path) -> io::Result<Directory> {
        fs::create_dir_all(path)?;
        let mut directory = Directory { path: path.to_owned(), number: 1 };
        for (number, _) in directory.files()? {
            directory.number = directory.number.max(number);
        }
        Ok(directory)
    }

    /// The file of the database.
    pub(crate) fn file(&self) -> PathBuf {
        self.path.join(format!("view-{}.kuzu", self.number))
    }

    /// The next database takes the place of this one.
    pub(crate) fn advance(&mut self) {
        self.number += 1;
    }

    /// Removes the files of earlier databases.
    pub(crate) fn remove_earlier(&self) -> io::Result<()> {
        for (number, file) in self.files()? {
            if number < self.number {
                fs::remove_file(file)?;
            }
        }
        Ok(())
    }

    /// Every file of a database, with its number. Kùzu puts its own files beside it under longer names.
    fn files(&self) -> io::Result<Vec<(u64, PathBuf)>> {
        let mut files = Vec::new();
        for entry in fs::read_dir(&self.path)? {
            let file = entry?.path();
            let name = file.file_name().and_then(|name| name.to_str()).unwrap_or("");
            let number = name.strip_prefix("view-").and_then(|name| name.split_once(".kuzu"));
            if let Some(number) = number.and_then(|(number, _)| number.parse().ok()) {
                files.push((number, file));
            }
        }
        Ok(files)
    }
}
