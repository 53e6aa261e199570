//! The container of the iden3 formats: a magic word, a version and numbered sections with 64-bit lengths.
//!
//! Source: iden3 `binfileutils` (`readBinFile`, `startWriteSection`).

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufWriter, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use ark_bn254::Fr;
use ark_ff::{BigInteger, PrimeField};

use crate::error::{Error, Result};
use crate::field;
use crate::invalid;

const HEADER_BYTES: usize = 12;
const SECTION_HEADER_BYTES: usize = 12;

/// The sections of one file in memory.
pub struct Sections<'a> {
    name: String,
    data: &'a [u8],
    spans: HashMap<u32, (usize, usize)>,
}

impl<'a> Sections<'a> {
    /// Finds the sections. Refuses another magic word, a newer version, sections that reach past the end of the file,
    /// that come twice, and bytes after the last one.
    pub fn parse(path: &Path, data: &'a [u8], magic: &[u8; 4], max_version: u32) -> Result<Self> {
        let name = path.display().to_string();
        let kind = String::from_utf8_lossy(magic);
        let Some(header) = data.get(..HEADER_BYTES) else {
            return invalid!(
                "{name}: a .{kind} file has 12 header bytes, this one has {}",
                data.len()
            );
        };
        if &header[..4] != magic {
            return invalid!("{name}: not a .{kind} file, it does not start with \"{kind}\"");
        }
        let version = word(header, 4);
        if !(1..=max_version).contains(&version) {
            return invalid!("{name}: .{kind} version {version} is not supported, 1 to {max_version} are");
        }
        let mut spans = HashMap::new();
        let mut position = HEADER_BYTES;
        for index in 0..word(header, 8) {
            let Some(head) = data.get(position..position + SECTION_HEADER_BYTES) else {
                return invalid!(
                    "{name}: the file ends before the header of section number {}",
                    index + 1
                );
            };
            let id = word(head, 0);
            let size = u64::from(word(head, 4)) | u64::from(word(head, 8)) << 32;
            let start = position + SECTION_HEADER_BYTES;
            let left = data.len() - start;
            if size > left as u64 {
                return invalid!(
                    "{name}: section {id} is truncated: it should have {size} bytes, {left} are left"
                );
            }
            if spans.insert(id, (start, size as usize)).is_some() {
                return invalid!("{name}: section {id} comes twice");
            }
            position = start + size as usize;
        }
        if position != data.len() {
            return invalid!("{name}: {} bytes follow the last section", data.len() - position);
        }
        Ok(Sections { name, data, spans })
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn has(&self, id: u32) -> bool {
        self.spans.contains_key(&id)
    }

    /// Where a section's bytes are in the file.
    pub fn span(&self, id: u32) -> Option<(usize, usize)> {
        self.spans.get(&id).copied()
    }

    /// A cursor over section `id`; `what` names it in refusals.
    pub fn section(&self, id: u32, what: &'static str) -> Result<Section<'a>> {
        match self.spans.get(&id) {
            Some(&(start, size)) => Ok(Section {
                label: format!("{}: section {id} ({what})", self.name),
                data: &self.data[start..start + size],
            }),
            None => invalid!("{}: section {id} ({what}) is missing", self.name),
        }
    }
}

/// A cursor over the bytes of one section.
pub struct Section<'a> {
    label: String,
    data: &'a [u8],
}

impl<'a> Section<'a> {
    pub fn label(&self) -> &str {
        &self.label
    }

    pub fn left(&self) -> usize {
        self.data.len()
    }

    pub fn bytes(&mut self, count: usize) -> Result<&'a [u8]> {
        if count > self.data.len() {
            return invalid!(
                "{} ends too early: {count} bytes expected, {} left",
                self.label,
                self.data.len()
            );
        }
        let (head, tail) = self.data.split_at(count);
        self.data = tail;
        Ok(head)
    }

    pub fn u32(&mut self) -> Result<u32> {
        Ok(word(self.bytes(4)?, 0))
    }

    pub fn u64(&mut self) -> Result<u64> {
        Ok(u64::from(self.u32()?) | u64::from(self.u32()?) << 32)
    }

    /// Reads a length-prefixed prime and refuses another one than `F`'s modulus.
    pub fn prime<F: PrimeField>(&mut self, what: &str) -> Result<()> {
        let size = self.u32()?;
        let modulus = F::MODULUS.to_bytes_le();
        if size as usize != modulus.len() || self.bytes(modulus.len())? != modulus {
            return invalid!("{}: {what} is not that of BN254", self.label);
        }
        Ok(())
    }

    /// Refuses bytes that nothing has read.
    pub fn end(self) -> Result<()> {
        if self.data.is_empty() {
            Ok(())
        } else {
            invalid!("{} has {} bytes too many", self.label, self.data.len())
        }
    }
}

/// Little-endian u32 at `at`; the caller has checked the length.
pub fn word(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

/// A file that is removed again unless it reaches its place.
struct Partial(PathBuf);

impl Drop for Partial {
    fn drop(&mut self) {
        // After the move there is nothing left under this name, and a failing removal leaves only an odd name.
        let _ = std::fs::remove_file(&self.0);
    }
}

/// Writes a file beside its final place and moves it there at the end, so a killed run leaves no half file.
pub struct Writer {
    path: PathBuf,
    out: BufWriter<File>,
    partial: Partial,
    section_start: u64,
}

impl Writer {
    /// Refuses a place that holds something other than a file: the move would put the file over a device or a pipe.
    pub fn create(path: &Path, magic: &[u8; 4], version: u32, sections: u32) -> Result<Self> {
        if std::fs::metadata(path).is_ok_and(|held| !held.is_file()) {
            let reason = std::io::Error::other("there is something other than a file");
            return Err(Error::io(path)(reason));
        }
        let mut nonce = [0u8; 8];
        getrandom::fill(&mut nonce).map_err(|error| Error::io(path)(error.into()))?;
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let partial = path.with_file_name(format!(".{name}.{:016x}.part", u64::from_le_bytes(nonce)));
        let file = File::create_new(&partial).map_err(Error::io(path))?;
        let mut writer = Writer {
            path: path.to_path_buf(),
            out: BufWriter::with_capacity(1 << 20, file),
            partial: Partial(partial),
            section_start: 0,
        };
        writer.write(magic)?;
        writer.u32(version)?;
        writer.u32(sections)?;
        Ok(writer)
    }

    pub fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.out.write_all(bytes).map_err(Error::io(&self.path))
    }

    pub fn u32(&mut self, value: u32) -> Result<()> {
        self.write(&value.to_le_bytes())
    }

    pub fn u64(&mut self, value: u64) -> Result<()> {
        self.write(&value.to_le_bytes())
    }

    pub fn prime<F: PrimeField>(&mut self) -> Result<()> {
        let modulus = F::MODULUS.to_bytes_le();
        self.u32(modulus.len() as u32)?;
        self.write(&modulus)
    }

    pub fn element(&mut self, value: &Fr) -> Result<()> {
        let mut bytes = Vec::with_capacity(field::BYTES);
        field::push(&mut bytes, value);
        self.write(&bytes)
    }

    pub fn begin(&mut self, id: u32) -> Result<()> {
        self.u32(id)?;
        self.u64(0)?;
        self.section_start = self.out.stream_position().map_err(Error::io(&self.path))?;
        Ok(())
    }

    pub fn end(&mut self) -> Result<()> {
        let end = self.out.stream_position().map_err(Error::io(&self.path))?;
        self.seek(self.section_start - 8)?;
        self.u64(end - self.section_start)?;
        self.seek(end)
    }

    fn seek(&mut self, position: u64) -> Result<()> {
        let moved = self.out.seek(SeekFrom::Start(position));
        moved.map(|_| ()).map_err(Error::io(&self.path))
    }

    /// Flushes and moves the file to its place.
    pub fn finish(self) -> Result<()> {
        let path = &self.path;
        let file = self
            .out
            .into_inner()
            .map_err(|error| Error::io(path)(error.into_error()))?;
        file.sync_all().map_err(Error::io(path))?;
        std::fs::rename(&self.partial.0, path).map_err(Error::io(path))
    }
}

/// The whole file.
pub fn read(path: &Path) -> Result<Vec<u8>> {
    std::fs::read(path).map_err(Error::io(path))
}
