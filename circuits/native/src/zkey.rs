//! The layout of a Groth16 `.zkey`.
//!
//! Source: snarkjs `zkey_utils.js`: 1 protocol, 2 header, 3 IC, 4 coefficients of A and B, 5 A, 6 B1, 7 B2, 8 C, 9 H,
//! 10 contributions. A coefficient c is stored as c 2^512 mod r, so that one Montgomery product with a canonical witness
//! value gives a Montgomery result.

use ark_bn254::{Fq, Fr, FrConfig, G1Affine, G2Affine};
use ark_ff::MontConfig;

use crate::binfile::{Section, Writer};
use crate::error::Result;
use crate::invalid;
use crate::points::Point;

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
