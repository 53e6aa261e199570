//! A proving key: a `.zkey` in memory-mapped form, checked when it is opened.

use std::path::Path;
use std::sync::OnceLock;

use ark_bn254::{Bn254, Fr, G1Affine, G2Affine};
use ark_ec::pairing::Pairing;
use ark_ec::AffineRepr;
use ark_ff::{BigInt, Field, PrimeField, Zero};
use rayon::prelude::*;

use crate::binfile::{word, Sections};
use crate::circuit::Circuit;
use crate::error::{Error, Result};
use crate::fft::Quotient;
use crate::field;
use crate::invalid;
use crate::mapped::Mapped;
use crate::matrix::{Matrix, LONG};
use crate::random;
use crate::verify::VerifyingKey;
use crate::wide::Wide;
use crate::zkey::{self, Header, Spans};

/// Terms per parallel task, about.
const TERMS_PER_TASK: usize = 1 << 15;

pub struct ProvingKey {
    map: Mapped,
    name: String,
    pub header: Header,
    pub vk: VerifyingKey,
    /// How many participants a ceremony had; a locally made key has none.
    pub contributions: u32,
    spans: Spans,
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
        let map = Mapped::open(path)?;
        let sections = Sections::parse(path, &map, zkey::MAGIC, 1)?;

        let mut protocol = sections.section(zkey::PROTOCOL, "protocol")?;
        if protocol.u32()? != zkey::GROTH16 {
            return invalid!("{} does not say Groth16", protocol.label());
        }
        protocol.end()?;
        let header = Header::read(sections.section(zkey::HEADER, "header")?)?;
        let spans = header.spans(&sections)?;
        let mut ic = sections.section(zkey::IC, "IC")?;
        let vk = VerifyingKey {
            alpha_g1: header.alpha_g1,
            beta_g2: header.beta_g2,
            gamma_g2: header.gamma_g2,
            delta_g2: header.delta_g2,
            ic: (0..=header.n_public)
                .map(|input| zkey::point(&mut ic, &format!("the point of public input {input}")))
                .collect::<Result<_>>()?,
        };
        check_pairs(&header, sections.name())?;

        let (start, size) = spans[zkey::COEFFICIENTS as usize];
        let coefficients = sections.section(zkey::COEFFICIENTS, "coefficients")?;
        let terms = &map[start..start + size];
        header.check_terms(terms, coefficients.label())?;
        let parts = cut(terms);

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
        })
    }

    /// Refuses a file that was cut off since it was opened.
    pub fn require_whole(&self) -> Result<()> {
        self.map.require_whole()
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
    /// `scalars` are the same as integers. The terms were checked when the file was opened, and are read again here, so
    /// that a file that somebody overwrote meanwhile is refused.
    pub fn evaluate(&self, z: &[Fr], scalars: &[BigInt<4>]) -> Result<[Vec<Fr>; 2]> {
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
            .try_for_each(|(first_row, bytes, a, b)| evaluate_part(first_row, bytes, z, scalars, a, b))
            .ok_or_else(|| Error::Key(format!("{}: the key changed while in use", self.name)))?;
        Ok(out)
    }

    /// Whether this key may be one of `circuit`: the same sizes, and the same A z and B z for random z. C is not in a key's
    /// terms and is not compared, so a key that matches may be of a circuit with another C: this finds a key that was
    /// mixed up, and is no reason to trust one.
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
        let [a, b] = self.evaluate(&z, &scalars)?;
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
pub fn check_pairs(header: &Header, name: &str) -> Result<()> {
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

/// Where the list of terms may be cut.
fn cut(terms: &[u8]) -> Vec<Part> {
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
    parts
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
) -> Option<()> {
    let (terms, _) = terms.as_chunks::<{ zkey::COEFFICIENT_BYTES }>();
    let mut last: (&[[u8; zkey::COEFFICIENT_BYTES]], Fr) = (&[], Fr::zero());
    for run in terms.chunk_by(|left, right| left[..8] == right[..8]) {
        let row = (word(&run[0], 4) as usize).checked_sub(first_row)?;
        let side = if word(&run[0], 0) == 0 { &mut *a } else { &mut *b };
        let out = side.get_mut(row)?;
        if run.len() < LONG {
            *out += run_sum(run, z, scalars)?;
            continue;
        }
        let same = last.0.len() == run.len() && last.0.iter().zip(run).all(|(l, r)| l[8..] == r[8..]);
        if !same {
            last = (run, run_sum(run, z, scalars)?);
        }
        *out += last.1;
    }
    Some(())
}

/// The sum over one run; None when a term names a wire that there is not.
fn run_sum(run: &[[u8; zkey::COEFFICIENT_BYTES]], z: &[Fr], scalars: &[BigInt<4>]) -> Option<Fr> {
    let one = zkey::montgomery_factor().0;
    let minus_one = (-zkey::montgomery_factor()).0;
    let mut sum = Fr::zero();
    let mut products = Wide::default();
    for term in run {
        let wire = word(term, 8) as usize;
        let (value, scalar) = (z.get(wire)?, scalars.get(wire)?);
        let stored = field::limbs(&term[12..])?;
        if stored == one {
            sum += value;
        } else if stored == minus_one {
            sum -= value;
        } else if run.len() < LONG {
            // (c 2^256) (z 2^-256)
            sum += Fr::new_unchecked(stored) * Fr::new_unchecked(*scalar);
        } else {
            products.add_product(&stored, scalar);
        }
    }
    Some(if run.len() < LONG {
        sum
    } else {
        sum + products.reduced()
    })
}
