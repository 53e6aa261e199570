//! The layout of a Groth16 `.zkey`.
//!
//! Source: snarkjs `zkey_utils.js`: 1 protocol, 2 header, 3 IC, 4 coefficients of A and B, 5 A, 6 B1, 7 B2, 8 C, 9 H,
//! 10 contributions. A coefficient c is stored as c 2^512 mod r, so that one Montgomery product with a canonical witness
//! value gives a Montgomery result.

use ark_bn254::{Fq, Fr, FrConfig, G1Affine, G2Affine};
use ark_ff::{MontConfig, PrimeField};
use rayon::prelude::*;

use crate::binfile::{word, Section, Sections, Writer};
use crate::error::Result;
use crate::field;
use crate::invalid;
use crate::points::{Point, G1_BYTES, G2_BYTES};

pub const MAGIC: &[u8; 4] = b"zkey";
pub const PROTOCOL: u32 = 1;
pub const HEADER: u32 = 2;
pub const IC: u32 = 3;
pub const COEFFICIENTS: u32 = 4;
pub const POINTS_A: u32 = 5;
pub const POINTS_B1: u32 = 6;
pub const POINTS_B2: u32 = 7;
pub const POINTS_C: u32 = 8;
pub const POINTS_H: u32 = 9;
pub const CONTRIBUTIONS: u32 = 10;

pub const GROTH16: u32 = 1;
/// matrix, row, wire (u32 each) and the coefficient.
pub const COEFFICIENT_BYTES: usize = 12 + 32;
pub const CIRCUIT_HASH_BYTES: usize = 64;

/// Numbers and points of section 2.
#[derive(Clone, Debug)]
pub struct Header {
    pub n_wires: u32,
    pub n_public: u32,
    pub domain_size: u32,
    pub alpha_g1: G1Affine,
    pub beta_g1: G1Affine,
    pub beta_g2: G2Affine,
    pub gamma_g2: G2Affine,
    pub delta_g1: G1Affine,
    pub delta_g2: G2Affine,
}

impl Header {
    pub fn write(&self, out: &mut Writer) -> Result<()> {
        out.begin(HEADER)?;
        out.prime::<Fq>()?;
        out.prime::<Fr>()?;
        out.u32(self.n_wires)?;
        out.u32(self.n_public)?;
        out.u32(self.domain_size)?;
        let mut points = Vec::new();
        self.alpha_g1.push_montgomery(&mut points);
        self.beta_g1.push_montgomery(&mut points);
        self.beta_g2.push_montgomery(&mut points);
        self.gamma_g2.push_montgomery(&mut points);
        self.delta_g1.push_montgomery(&mut points);
        self.delta_g2.push_montgomery(&mut points);
        out.write(&points)?;
        out.end()
    }

    /// Reads the section; every point is checked.
    pub fn read(mut section: Section<'_>) -> Result<Self> {
        section.prime::<Fq>("the base field")?;
        section.prime::<Fr>("the scalar field")?;
        let header = Header {
            n_wires: section.u32()?,
            n_public: section.u32()?,
            domain_size: section.u32()?,
            alpha_g1: point(&mut section, "alpha1")?,
            beta_g1: point(&mut section, "beta1")?,
            beta_g2: point(&mut section, "beta2")?,
            gamma_g2: point(&mut section, "gamma2")?,
            delta_g1: point(&mut section, "delta1")?,
            delta_g2: point(&mut section, "delta2")?,
        };
        section.end()?;
        Ok(header)
    }
}

/// Where the sections of a file are that have a fixed size, and the terms of section 4; by section.
pub type Spans = [(usize, usize); 11];

impl Header {
    /// Refuses sizes that do not fit together, and a file whose sections have not the sizes that they ask for.
    pub fn spans(&self, sections: &Sections<'_>) -> Result<Spans> {
        let (n_wires, n_public) = (self.n_wires as usize, self.n_public as usize);
        let domain = self.domain_size as usize;
        if n_public >= n_wires || !domain.is_power_of_two() || domain <= n_public || domain > 1 << 27 {
            return invalid!(
                "{}: section 2 (header): {n_wires} wires, {n_public} public inputs and a domain of {domain} rows do not \
                 fit together",
                sections.name()
            );
        }
        let mut spans = [(0, 0); 11];
        for (id, what, size) in [
            (IC, "IC", (n_public + 1) * G1_BYTES),
            (POINTS_A, "points A", n_wires * G1_BYTES),
            (POINTS_B1, "points B1", n_wires * G1_BYTES),
            (POINTS_B2, "points B2", n_wires * G2_BYTES),
            (POINTS_C, "points C", (n_wires - n_public - 1) * G1_BYTES),
            (POINTS_H, "points H", domain * G1_BYTES),
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
        let mut coefficients = sections.section(COEFFICIENTS, "coefficients")?;
        let count = coefficients.u32()? as usize;
        if coefficients.left() != count * COEFFICIENT_BYTES {
            return invalid!(
                "{} should have {count} terms, it has {} bytes of them",
                coefficients.label(),
                coefficients.left()
            );
        }
        let (start, size) = sections.span(COEFFICIENTS).unwrap_or_default();
        spans[COEFFICIENTS as usize] = (start + 4, size - 4);
        Ok(spans)
    }

    /// Checks every term of section 4: its matrix, row and wire are there, and its coefficient is below the order.
    pub fn check_terms(&self, terms: &[u8], label: &str) -> Result<()> {
        terms
            .par_chunks_exact(COEFFICIENT_BYTES)
            .enumerate()
            .try_for_each(|(index, term)| {
                if word(term, 0) > 1 {
                    return invalid!(
                        "{label}: term {index} is of matrix {}, there are A and B",
                        word(term, 0)
                    );
                }
                if word(term, 4) >= self.domain_size {
                    return invalid!(
                        "{label}: term {index} is in row {} past the domain",
                        word(term, 4)
                    );
                }
                if word(term, 8) >= self.n_wires {
                    return invalid!("{label}: term {index} uses wire {} past the last", word(term, 8));
                }
                match field::limbs(&term[12..]) {
                    Some(limbs) if limbs < Fr::MODULUS => Ok(()),
                    _ => invalid!("{label}: term {index} has a coefficient not below the field order"),
                }
            })
    }
}

/// A point of the key that must be a proper one.
pub fn point<G: Point>(section: &mut Section<'_>, what: &str) -> Result<G> {
    match G::from_montgomery(section.bytes(G::BYTES)?) {
        Some(point) if point.is_valid() => Ok(point),
        _ => invalid!(
            "{}: {what} is not a point of the curve's group of order r",
            section.label()
        ),
    }
}

/// 2^256 mod r as a field element: what turns a coefficient into the stored form and back.
pub fn montgomery_factor() -> Fr {
    Fr::new_unchecked(FrConfig::R2)
}
