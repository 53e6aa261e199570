//! The `.r1cs` file: header, constraints, wire-to-label map.
//!
//! Source: iden3 `r1csfile` (doc/r1cs_bin_format.md). Public inputs are written as public inputs, never as outputs.

use std::collections::HashMap;
use std::path::Path;

use ark_bn254::Fr;

use crate::binfile::{self, Section, Sections, Writer};
use crate::circuit::Circuit;
use crate::error::{Error, Result};
use crate::field;
use crate::invalid;
use crate::matrix::{coefficient_table, Matrix, Term};

const MAGIC: &[u8; 4] = b"r1cs";
const HEADER: u32 = 1;
const CONSTRAINTS: u32 = 2;
const WIRE_TO_LABEL: u32 = 3;
const CUSTOM_GATES: u32 = 4;
const LABEL_BYTES: u64 = 8;

/// Writes the constraint system; wires are their own labels.
pub fn write(circuit: &Circuit, path: &Path) -> Result<()> {
    let mut out = Writer::create(path, MAGIC, 1, 3)?;
    out.begin(HEADER)?;
    out.prime::<Fr>()?;
    out.u32(circuit.n_wires)?;
    out.u32(0)?; // outputs
    out.u32(circuit.n_public)?;
    out.u32(circuit.n_inputs - circuit.n_public)?;
    out.u64(u64::from(circuit.n_wires))?;
    out.u32(circuit.n_constraints() as u32)?;
    out.end()?;
    out.begin(CONSTRAINTS)?;
    let mut line = Vec::new();
    for row in 0..circuit.n_constraints() {
        line.clear();
        for matrix in [&circuit.a, &circuit.b, &circuit.c] {
            push_row(&mut line, matrix.row(row), &circuit.coefs);
        }
        out.write(&line)?;
    }
    out.end()?;
    out.begin(WIRE_TO_LABEL)?;
    for wire in 0..circuit.n_wires {
        out.u64(u64::from(wire))?;
    }
    out.end()?;
    out.finish()
}

/// A row with each wire once: readers keep only the last coefficient of a wire that is named twice.
fn push_row(line: &mut Vec<u8>, terms: &[Term], coefs: &[Fr]) {
    let mut sums: Vec<(u32, Fr)> = terms
        .iter()
        .map(|term| (term.wire, coefs[term.coef as usize]))
        .collect();
    sums.sort_by_key(|&(wire, _)| wire);
    sums.dedup_by(|next, kept| {
        let same = next.0 == kept.0;
        if same {
            kept.1 += next.1;
        }
        same
    });
    line.extend_from_slice(&(sums.len() as u32).to_le_bytes());
    for (wire, coef) in sums {
        line.extend_from_slice(&wire.to_le_bytes());
        field::push(line, &coef);
    }
}

/// Reads a constraint system, outputs counted as public inputs. There is no witness program in the file.
///
/// The labels themselves are not used, but there has to be one for each wire: so the number of wires, and what a key or
/// a copy of the file takes, is bounded by the size of the file.
pub fn read(path: &Path) -> Result<Circuit> {
    let data = binfile::read(path)?;
    let file = Sections::parse(path, &data, MAGIC, 1)?;
    if file.has(CUSTOM_GATES) {
        let mut gates = file.section(CUSTOM_GATES, "custom gates")?;
        if gates.u32()? != 0 {
            return invalid!("{}: custom gates are not supported by Groth16", file.name());
        }
    }
    let mut header = file.section(HEADER, "header")?;
    header.prime::<Fr>("the prime")?;
    let n_wires = header.u32()?;
    let (outputs, public, private) = (header.u32()?, header.u32()?, header.u32()?);
    let _labels = header.u64()?;
    let rows = header.u32()?;
    header.end()?;
    let n_public = outputs.checked_add(public);
    let n_inputs = n_public.and_then(|n| n.checked_add(private));
    let (Some(n_public), Some(n_inputs)) = (n_public, n_inputs) else {
        return invalid!(
            "{}: section 1 (header): the number of inputs is too large",
            file.name()
        );
    };

    let labels = file.section(WIRE_TO_LABEL, "wire to label")?;
    if labels.left() as u64 != u64::from(n_wires) * LABEL_BYTES {
        return invalid!(
            "{} should have {LABEL_BYTES} bytes for each of {n_wires} wires, it has {}",
            labels.label(),
            labels.left()
        );
    }

    let mut body = file.section(CONSTRAINTS, "constraints")?;
    let mut reader = Terms::new(n_wires);
    let mut matrices = [Matrix::new(), Matrix::new(), Matrix::new()];
    for row in 0..rows {
        for matrix in &mut matrices {
            reader.row(row, &mut body, matrix)?;
        }
    }
    body.end()?;
    Circuit::from_matrices(n_wires, n_public, n_inputs, reader.table, matrices).map_err(|error| match error {
        Error::Invalid(reason) => Error::Invalid(format!("{}: {reason}", file.name())),
        other => other,
    })
}

/// Reads terms and collects their coefficients in one table.
struct Terms<'a> {
    n_wires: u32,
    table: Vec<Fr>,
    places: HashMap<&'a [u8], u32>,
}

impl<'a> Terms<'a> {
    fn new(n_wires: u32) -> Self {
        Terms {
            n_wires,
            table: coefficient_table(&[]).0,
            places: HashMap::new(),
        }
    }

    fn row(&mut self, row: u32, body: &mut Section<'a>, matrix: &mut Matrix) -> Result<()> {
        let count = body.u32()? as usize;
        if count > body.left() / (4 + field::BYTES) {
            return invalid!("{} ends too early: row {row} has {count} terms", body.label());
        }
        let mut terms = Vec::with_capacity(count);
        for _ in 0..count {
            let wire = body.u32()?;
            let bytes = body.bytes(field::BYTES)?;
            if wire >= self.n_wires {
                return invalid!(
                    "{}: row {row} uses wire {wire}, there are {}",
                    body.label(),
                    self.n_wires
                );
            }
            let coef = match self.places.get(bytes) {
                Some(&place) => place,
                None => {
                    let Some(value) = field::parse::<Fr>(bytes) else {
                        return invalid!(
                            "{}: row {row} has a coefficient not below the prime",
                            body.label()
                        );
                    };
                    let known = self.table[..2].iter().position(|held| *held == value);
                    let place = known.unwrap_or(self.table.len()) as u32;
                    if known.is_none() {
                        self.table.push(value);
                    }
                    self.places.insert(bytes, place);
                    place
                }
            };
            terms.push(Term { wire, coef });
        }
        matrix.push_row(terms);
        Ok(())
    }
}
