//! Files that are mapped, not read: keys and powers of tau, of up to gigabytes.

use std::fs::{File, OpenOptions};
use std::ops::Deref;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use memmap2::Mmap;

use crate::error::{Error, Result};
use crate::invalid;

/// A mapped file. Another process that overwrites it changes what is read here, so everything is checked as it is used;
/// one that cuts it off ends this process where its end is read, so the ceremony works on copies of its own.
pub struct Mapped {
    map: Mmap,
    file: File,
    name: String,
}

impl Mapped {
    /// Maps a regular file. A pipe or a device is refused, and nothing is waited for.
    pub fn open(path: &Path) -> Result<Self> {
        let mut options = OpenOptions::new();
        options.read(true).custom_flags(libc::O_NONBLOCK);
        let file = options.open(path).map_err(Error::io(path))?;
        if !file.metadata().map_err(Error::io(path))?.is_file() {
            return invalid!("{}: it is not a regular file", path.display());
        }
        // SAFETY: the map is only read, and `require_whole` finds a file that was cut off before it is used.
        let map = unsafe { Mmap::map(&file) }.map_err(Error::io(path))?;
        let name = path.display().to_string();
        Ok(Mapped { map, file, name })
    }

    /// Refuses a file that was cut off since it was opened: reading past its end would end the process. What writes
    /// files here moves a new one into place, which leaves the opened one whole.
    pub fn require_whole(&self) -> Result<()> {
        let metadata = self.file.metadata();
        let length = metadata.map_err(Error::io(Path::new(&self.name)))?.len();
        if length < self.map.len() as u64 {
            return invalid!(
                "{}: the file was cut off while in use, {length} of {} bytes are left",
                self.name,
                self.map.len()
            );
        }
        Ok(())
    }
}

impl Deref for Mapped {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.map
    }
}
