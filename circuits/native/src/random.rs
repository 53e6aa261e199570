//! Field elements from the operating system's randomness.

use ark_bn254::Fr;
use ark_ff::{PrimeField, Zero};
use zeroize::Zeroizing;

use crate::error::{Error, Result};

/// A uniform non-zero element: 512 random bits reduced, so the bias is below 2^-256.
pub fn element() -> Result<Fr> {
    let mut bytes = Zeroizing::new([0u8; 64]);
    loop {
        getrandom::fill(bytes.as_mut())
            .map_err(|error| Error::Io(error.into(), "the system's randomness".into()))?;
        let value = Fr::from_le_bytes_mod_order(bytes.as_ref());
        if !value.is_zero() {
            return Ok(value);
        }
    }
}
