//! Field elements as 32 bytes, little-endian and canonical.

use ark_bn254::Fr;
use ark_ff::{BigInteger, PrimeField};

use crate::error::Result;
use crate::invalid;

pub const BYTES: usize = 32;

/// The integer in 32 little-endian bytes. `None` unless it is below the modulus and exactly 32 bytes long.
pub fn parse<F: PrimeField>(bytes: &[u8]) -> Option<F>
where
    F::BigInt: From<ark_ff::BigInt<4>>,
{
    F::from_bigint(limbs(bytes)?.into())
}

/// Four 64-bit limbs from 32 little-endian bytes.
pub fn limbs(bytes: &[u8]) -> Option<ark_ff::BigInt<4>> {
    let bytes: &[u8; BYTES] = bytes.try_into().ok()?;
    let mut out = [0u64; 4];
    for (limb, chunk) in out.iter_mut().zip(bytes.chunks_exact(8)) {
        *limb = u64::from_le_bytes(chunk.try_into().ok()?);
    }
    Some(ark_ff::BigInt(out))
}

/// Appends the canonical 32 bytes of `value`.
pub fn push<F: PrimeField>(out: &mut Vec<u8>, value: &F) {
    out.extend_from_slice(&value.into_bigint().to_bytes_le());
}

/// Elements from a buffer; `what` names the buffer in the refusal.
pub fn parse_all(bytes: &[u8], what: &str) -> Result<Vec<Fr>> {
    use rayon::prelude::*;
    if !bytes.len().is_multiple_of(BYTES) {
        return invalid!("{what}: {} bytes are not a multiple of 32", bytes.len());
    }
    bytes
        .par_chunks_exact(BYTES)
        .enumerate()
        .map(|(index, chunk)| match parse(chunk) {
            Some(value) => Ok(value),
            None => invalid!("{what}: element {index} is not below the field order"),
        })
        .collect()
}

/// The canonical bytes of all elements.
pub fn encode_all(values: &[Fr]) -> Vec<u8> {
    let mut out = vec![0u8; values.len() * BYTES];
    encode_into(values, &mut out);
    out
}

/// As `encode_all`, into a buffer of 32 bytes a value.
pub fn encode_into(values: &[Fr], out: &mut [u8]) {
    use rayon::prelude::*;
    out.par_chunks_exact_mut(BYTES)
        .zip(values)
        .for_each(|(chunk, value)| {
            for (bytes, limb) in chunk.chunks_exact_mut(8).zip(value.into_bigint().0) {
                bytes.copy_from_slice(&limb.to_le_bytes());
            }
        });
}
