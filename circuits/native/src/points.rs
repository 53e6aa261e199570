//! Curve points as bytes.
//!
//! "Montgomery" bytes are those of a `.zkey` (iden3's LEM): coordinates times 2^256, little-endian, infinity all zero.
//! "Canonical" bytes are ours for proofs and verification keys: coordinates below q, little-endian.
//! A G2 coordinate is c0 then c1.

use ark_bn254::g1::G1Affine;
use ark_bn254::g2::G2Affine;
use ark_bn254::{Fq, Fq2};
use ark_ec::AffineRepr;
use ark_ff::{BigInteger, PrimeField};

use crate::field;

pub const G1_BYTES: usize = 64;
pub const G2_BYTES: usize = 128;

/// A group whose points can be read and written.
pub trait Point: AffineRepr {
    const BYTES: usize;

    /// `None` when a coordinate is not below q. Does not check the curve.
    fn from_montgomery(bytes: &[u8]) -> Option<Self>;
    /// `None` when a coordinate is not below q. Does not check the curve.
    fn from_canonical(bytes: &[u8]) -> Option<Self>;
    fn push_montgomery(&self, out: &mut Vec<u8>);
    fn push_canonical(&self, out: &mut Vec<u8>);
    /// On the curve.
    fn is_on_the_curve(&self) -> bool;
    /// On the curve, in the subgroup of order r, and not infinity.
    fn is_valid(&self) -> bool;
}

impl Point for G1Affine {
    const BYTES: usize = G1_BYTES;

    fn from_montgomery(bytes: &[u8]) -> Option<Self> {
        Some(G1Affine::new_unchecked(raw(bytes, 0)?, raw(bytes, 1)?))
    }

    fn from_canonical(bytes: &[u8]) -> Option<Self> {
        Some(G1Affine::new_unchecked(
            coordinate(bytes, 0)?,
            coordinate(bytes, 1)?,
        ))
    }

    fn push_montgomery(&self, out: &mut Vec<u8>) {
        push_raw(out, &self.x);
        push_raw(out, &self.y);
    }

    fn push_canonical(&self, out: &mut Vec<u8>) {
        field::push(out, &self.x);
        field::push(out, &self.y);
    }

    fn is_on_the_curve(&self) -> bool {
        self.is_on_curve()
    }

    fn is_valid(&self) -> bool {
        !self.is_zero() && self.is_on_curve()
    }
}

impl Point for G2Affine {
    const BYTES: usize = G2_BYTES;

    fn from_montgomery(bytes: &[u8]) -> Option<Self> {
        Some(G2Affine::new_unchecked(
            Fq2::new(raw(bytes, 0)?, raw(bytes, 1)?),
            Fq2::new(raw(bytes, 2)?, raw(bytes, 3)?),
        ))
    }

    fn from_canonical(bytes: &[u8]) -> Option<Self> {
        Some(G2Affine::new_unchecked(
            Fq2::new(coordinate(bytes, 0)?, coordinate(bytes, 1)?),
            Fq2::new(coordinate(bytes, 2)?, coordinate(bytes, 3)?),
        ))
    }

    fn push_montgomery(&self, out: &mut Vec<u8>) {
        for value in [&self.x.c0, &self.x.c1, &self.y.c0, &self.y.c1] {
            push_raw(out, value);
        }
    }

    fn push_canonical(&self, out: &mut Vec<u8>) {
        for value in [&self.x.c0, &self.x.c1, &self.y.c0, &self.y.c1] {
            field::push(out, value);
        }
    }

    fn is_on_the_curve(&self) -> bool {
        self.is_on_curve()
    }

    fn is_valid(&self) -> bool {
        !self.is_zero() && self.is_on_curve() && self.is_in_correct_subgroup_assuming_on_curve()
    }
}

fn slot(bytes: &[u8], index: usize) -> Option<&[u8]> {
    bytes.get(index * field::BYTES..(index + 1) * field::BYTES)
}

fn raw(bytes: &[u8], index: usize) -> Option<Fq> {
    let limbs = field::limbs(slot(bytes, index)?)?;
    (limbs < Fq::MODULUS).then(|| Fq::new_unchecked(limbs))
}

fn coordinate(bytes: &[u8], index: usize) -> Option<Fq> {
    field::parse(slot(bytes, index)?)
}

fn push_raw(out: &mut Vec<u8>, value: &Fq) {
    out.extend_from_slice(&value.0.to_bytes_le());
}
