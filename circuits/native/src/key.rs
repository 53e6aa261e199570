//! A proving key: a `.zkey` in memory-mapped form, checked when it is opened.

use std::fs::File;
use std::path::Path;
use std::sync::OnceLock;

use ark_bn254::{Bn254, Fr, G1Affine, G2Affine};
use ark_ec::pairing::Pairing;
use ark_ec::AffineRepr;
use ark_ff::{BigInt, Field, PrimeField, Zero};
use memmap2::Mmap;
use rayon::prelude::*;

use crate::binfile::{word, Sections};
use crate::circuit::Circuit;
use crate::error::{Error, Result};
use crate::fft::Quotient;
use crate::field;
use crate::invalid;
use crate::matrix::{Matrix, LONG};
use crate::points::{G1_BYTES, G2_BYTES};
use crate::random;
use crate::verify::VerifyingKey;
use crate::wide::Wide;
use crate::zkey::{self, Header};

/// Terms per parallel task, about.
const TERMS_PER_TASK: usize = 1 << 15;

pub struct ProvingKey {
    map: Mmap,
    file: File,
    name: String,
    pub header: Header,
    pub vk: VerifyingKey,
    /// How many participants a ceremony had; a locally made key has none.
    pub contributions: u32,
    spans: [(usize, usize); 11],
    /// Where the terms of section 4 may be cut: each part has rows of its own, in file order.
    parts: Vec<Part>,
    quotient: OnceLock<Quotient>,
}

/// Consecutive terms whose rows are all in first_row..next part's first row.
#[derive(Clone, Copy)]
struct Part {
    first_term: usize,
    first_row: usize,
}

impl ProvingKey {
    /// Maps the file and checks its structure, the points of the verification key and every coefficient. The bulk
    /// points are checked when a proof is made from them.
    pub fn open(path: &Path) -> Result<Self> {
        let file = File::open(path).map_err(Error::io(path))?;
        // SAFETY: the map is only read. A file changed by another process while it is mapped can give wrong values,
        // which `prove` finds by verifying its proof; one that was cut off is found by `require_whole` before it is used.
        let map = unsafe { Mmap::map(&file) }.map_err(Error::io(path))?;
        let sections = Sections::parse(path, &map, zkey::MAGIC, 1)?;

        let mut protocol = sections.section(zkey::PROTOCOL, "protocol")?;
        if protocol.u32()? != zkey::GROTH16 {
            return invalid!("{} does not say Groth16", protocol.label());
        }
        protocol.end()?;
        let header = Header::read(sections.section(zkey::HEADER, "header")?)?;
        let (n_wires, n_public) = (header.n_wires as usize, header.n_public as usize);
        let domain = header.domain_size as usize;
        if n_public >= n_wires || !domain.is_power_of_two() || domain <= n_public || domain > 1 << 27 {
            return invalid!(
                "{}: section 2 (header): {n_wires} wires, {n_public} public inputs and a domain of {domain} rows do not \
                 fit together",
                sections.name()
            );
        }
        let mut spans = [(0, 0); 11];
        for (id, what, size) in [
            (zkey::IC, "IC", (n_public + 1) * G1_BYTES),
            (zkey::POINTS_A, "points A", n_wires * G1_BYTES),
            (zkey::POINTS_B1, "points B1", n_wires * G1_BYTES),
            (zkey::POINTS_B2, "points B2", n_wires * G2_BYTES),
            (zkey::POINTS_C, "points C", (n_wires - n_public - 1) * G1_BYTES),
            (zkey::POINTS_H, "points H", domain * G1_BYTES),
        ] {
            let section = sections.section(id, what)?;
            if section.left() != size {
                return invalid!(
                    "{} should have {size} bytes, it has {}",
                    section.label(),
                    section.left()
                );
            }
            spans[id as usize] = sections.span(id).unwrap_or_default();
        }

        let mut ic = sections.section(zkey::IC, "IC")?;
        let vk = VerifyingKey {
            alpha_g1: header.alpha_g1,
            beta_g2: header.beta_g2,
            gamma_g2: header.gamma_g2,
            delta_g2: header.delta_g2,
            ic: (0..=n_public)
                .map(|input| zkey::point(&mut ic, &format!("the point of public input {input}")))
                .collect::<Result<_>>()?,
        };
        check_pairs(&header, sections.name())?;

        let mut coefficients = sections.section(zkey::COEFFICIENTS, "coefficients")?;
        let count = coefficients.u32()? as usize;
        if coefficients.left() != count * zkey::COEFFICIENT_BYTES {
            return invalid!(
                "{} should have {count} terms, it has {} bytes of them",
                coefficients.label(),
                coefficients.left()
            );
        }
        let terms = coefficients.bytes(coefficients.left())?;
        let parts = check_terms(terms, &header, coefficients.label())?;
        let (start, size) = sections.span(zkey::COEFFICIENTS).unwrap_or_default();
        spans[zkey::COEFFICIENTS as usize] = (start + 4, size - 4);

        let mut ceremony = sections.section(zkey::CONTRIBUTIONS, "contributions")?;
        ceremony.bytes(zkey::CIRCUIT_HASH_BYTES)?;
        let contributions = ceremony.u32()?;
        let name = sections.name().to_string();
        Ok(ProvingKey {
            name,
            header,
            vk,
            contributions,
            spans,
            parts,
            quotient: OnceLock::new(),
            map,
            file,
        })
    }

    /// Refuses a file that was cut off since it was opened: reading past its end would end the process. What writes keys
    /// here moves a new file into place, which leaves the opened one whole.
    pub fn require_whole(&self) -> Result<()> {
        let length = self
            .file
            .metadata()
            .map_err(Error::io(Path::new(&self.name)))?
            .len();
        if length < self.map.len() as u64 {
            return invalid!(
                "{}: the file was cut off while in use, {length} of {} bytes are left",
                self.name,
                self.map.len()
            );
        }
        Ok(())
    }

    /// The points of a section, or the terms of section 4.
    pub fn bytes(&self, section: u32) -> &[u8] {
        let (start, size) = self.spans[section as usize];
        &self.map[start..start + size]
    }

    /// The transforms over the key's domain; their tables are made once.
    pub fn quotient(&self) -> Result<&Quotient> {
        if let Some(tables) = self.quotient.get() {
            return Ok(tables);
        }
        let tables = Quotient::new(self.header.domain_size as usize)?;
        Ok(self.quotient.get_or_init(|| tables))
    }

    /// What a section is called in refusals.
    pub fn label(&self, section: u32) -> String {
        format!("{}: section {section}", self.name)
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    /// A z and B z over the whole domain, the extra rows of the public inputs included. `z` has n_wires values and
    /// `scalars` are the same as integers.
    pub fn evaluate(&self, z: &[Fr], scalars: &[BigInt<4>]) -> [Vec<Fr>; 2] {
        let domain = self.header.domain_size as usize;
        let mut out = [vec![Fr::zero(); domain], vec![Fr::zero(); domain]];
        let [a, b] = &mut out;
        let terms = self.bytes(zkey::COEFFICIENTS);
        let mut tasks = Vec::with_capacity(self.parts.len());
        let (mut a, mut b) = (a.as_mut_slice(), b.as_mut_slice());
        for (index, part) in self.parts.iter().enumerate() {
            let next = self.parts.get(index + 1);
            let end_term = next.map_or(terms.len() / zkey::COEFFICIENT_BYTES, |next| next.first_term);
            let rows = next.map_or(domain, |next| next.first_row) - part.first_row;
            let (mine_a, rest_a) = a.split_at_mut(rows);
            let (mine_b, rest_b) = b.split_at_mut(rows);
            (a, b) = (rest_a, rest_b);
            let bytes = &terms[part.first_term * zkey::COEFFICIENT_BYTES..end_term * zkey::COEFFICIENT_BYTES];
            tasks.push((part.first_row, bytes, mine_a, mine_b));
        }
        tasks
            .into_par_iter()
            .for_each(|(first_row, bytes, a, b)| evaluate_part(first_row, bytes, z, scalars, a, b));
        out
    }

    /// Whether this key was made for `circuit`: the same sizes, and the same A z and B z for random z.
    pub fn matches(&self, circuit: &Circuit) -> Result<bool> {
        let header = &self.header;
        if (header.n_wires, header.n_public) != (circuit.n_wires, circuit.n_public)
            || header.domain_size as usize != circuit.domain_size()
        {
            return Ok(false);
        }
        let seed = random::element()?;
        let mut z = Vec::with_capacity(circuit.n_wires as usize);
        let mut value = Fr::ONE;
        for _ in 0..circuit.n_wires {
            z.push(value);
            value *= seed;
        }
        let scalars: Vec<_> = z.iter().map(|value| value.into_bigint()).collect();
        let [a, b] = self.evaluate(&z, &scalars);
        let rows = circuit.n_constraints();
        let same = |matrix: &Matrix, ours: &[Fr]| {
            (0..rows)
                .into_par_iter()
                .all(|row| matrix.dot(row, &circuit.coefs, &z) == ours[row])
        };
        let extra = z[..=circuit.n_public as usize] == a[rows..=rows + circuit.n_public as usize];
        Ok(extra && same(&circuit.a, &a) && same(&circuit.b, &b))
    }
}

/// alpha, beta and delta of the two groups must belong together.
fn check_pairs(header: &Header, name: &str) -> Result<()> {
    for (what, in_g1, in_g2) in [
        ("beta", header.beta_g1, header.beta_g2),
        ("delta", header.delta_g1, header.delta_g2),
    ] {
        let product = Bn254::multi_pairing([in_g1, -G1Affine::generator()], [G2Affine::generator(), in_g2]);
        if product.0 != <Bn254 as Pairing>::TargetField::ONE {
            return invalid!("{name}: section 2 (header): {what} differs between the two groups");
        }
    }
    Ok(())
}

/// Checks every term and finds where the list may be cut.
fn check_terms(terms: &[u8], header: &Header, label: &str) -> Result<Vec<Part>> {
    terms
        .par_chunks_exact(zkey::COEFFICIENT_BYTES)
        .enumerate()
        .try_for_each(|(index, term)| {
            if word(term, 0) > 1 {
                return invalid!(
                    "{label}: term {index} is of matrix {}, there are A and B",
                    word(term, 0)
                );
            }
            if word(term, 4) >= header.domain_size {
                return invalid!(
                    "{label}: term {index} is in row {} past the domain",
                    word(term, 4)
                );
            }
            if word(term, 8) >= header.n_wires {
                return invalid!("{label}: term {index} uses wire {} past the last", word(term, 8));
            }
            match field::limbs(&term[12..]) {
                Some(limbs) if limbs < Fr::MODULUS => Ok(()),
                _ => invalid!("{label}: term {index} has a coefficient not below the field order"),
            }
        })?;
    let count = terms.len() / zkey::COEFFICIENT_BYTES;
    let row = |index: usize| word(terms, index * zkey::COEFFICIENT_BYTES + 4) as usize;
    let whole = Part {
        first_term: 0,
        first_row: 0,
    };
    let sorted = (1..count)
        .into_par_iter()
        .all(|index| row(index - 1) <= row(index));
    let mut parts = vec![whole];
    if sorted {
        let mut next = TERMS_PER_TASK;
        while next < count {
            while next < count && row(next) == row(next - 1) {
                next += 1;
            }
            if next < count {
                parts.push(Part {
                    first_term: next,
                    first_row: row(next),
                });
            }
            next += TERMS_PER_TASK;
        }
    }
    Ok(parts)
}

/// Adds the terms into their rows. Consecutive terms of one side of one row are a run; a run with the same wires and
/// coefficients as the last long one, which the rows of an S-box have, has its sum.
fn evaluate_part(
    first_row: usize,
    terms: &[u8],
    z: &[Fr],
    scalars: &[BigInt<4>],
    a: &mut [Fr],
    b: &mut [Fr],
) {
    let (terms, _) = terms.as_chunks::<{ zkey::COEFFICIENT_BYTES }>();
    let mut last: (&[[u8; zkey::COEFFICIENT_BYTES]], Fr) = (&[], Fr::zero());
    for run in terms.chunk_by(|left, right| left[..8] == right[..8]) {
        let row = word(&run[0], 4) as usize - first_row;
        let out = if word(&run[0], 0) == 0 {
            &mut a[row]
        } else {
            &mut b[row]
        };
        if run.len() < LONG {
            *out += run_sum(run, z, scalars);
            continue;
        }
        let same = last.0.len() == run.len() && last.0.iter().zip(run).all(|(l, r)| l[8..] == r[8..]);
        if !same {
            last = (run, run_sum(run, z, scalars));
        }
        *out += last.1;
    }
}

/// The sum over one run.
fn run_sum(run: &[[u8; zkey::COEFFICIENT_BYTES]], z: &[Fr], scalars: &[BigInt<4>]) -> Fr {
    let one = zkey::montgomery_factor().0;
    let minus_one = (-zkey::montgomery_factor()).0;
    let mut sum = Fr::zero();
    let mut products = Wide::default();
    for term in run {
        let wire = word(term, 8) as usize;
        let Some(stored) = field::limbs(&term[12..]) else {
            continue;
        };
        if stored == one {
            sum += &z[wire];
        } else if stored == minus_one {
            sum -= &z[wire];
        } else if run.len() < LONG {
            // (c 2^256) (z 2^-256)
            sum += Fr::new_unchecked(stored) * Fr::new_unchecked(scalars[wire]);
        } else {
            products.add_product(&stored, &scalars[wire]);
        }
    }
    if run.len() < LONG {
        sum
    } else {
        sum + products.reduced()
    }
}
