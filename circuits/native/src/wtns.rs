//! The `.wtns` file: header and values.
//!
//! Source: snarkjs `wtns_utils.js`, version 2.

use std::path::Path;

use ark_bn254::Fr;

use crate::binfile::{self, Sections, Writer};
use crate::error::Result;
use crate::field;
use crate::invalid;

const MAGIC: &[u8; 4] = b"wtns";
const HEADER: u32 = 1;
const VALUES: u32 = 2;

/// Writes canonical witness bytes.
pub fn write(path: &Path, witness: &[u8]) -> Result<()> {
    let count = field::parse_all(witness, "witness")?.len();
    let mut out = Writer::create(path, MAGIC, 2, 2)?;
    out.begin(HEADER)?;
    out.prime::<Fr>()?;
    out.u32(count as u32)?;
    out.end()?;
    out.begin(VALUES)?;
    out.write(witness)?;
    out.end()?;
    out.finish()
}

/// Reads canonical witness bytes.
pub fn read(path: &Path) -> Result<Vec<u8>> {
    let data = binfile::read(path)?;
    let file = Sections::parse(path, &data, MAGIC, 2)?;
    let mut header = file.section(HEADER, "header")?;
    header.prime::<Fr>("the prime")?;
    let count = header.u32()? as usize;
    header.end()?;
    let mut values = file.section(VALUES, "values")?;
    if values.left() != count * field::BYTES {
        return invalid!(
            "{} should have {count} elements, it has {} bytes",
            values.label(),
            values.left()
        );
    }
    let bytes = values.bytes(count * field::BYTES)?;
    field::parse_all(bytes, values.label())?;
    Ok(bytes.to_vec())
}
