//! The Groth16 prover over a `.zkey`.
//!
//! A = alpha + sum z_i A_i + r delta
//! B = beta + sum z_i B_i + s delta
//! C = sum over private wires z_i C_i + sum P(w^(2j+1)) H_j + s A + r B - r s delta
//!
//! where P = a b - c on the odd half of the doubled domain (w its root), and a, b, c interpolate A z, B z and their product.

use ark_bn254::Fr;
use ark_ec::CurveGroup;
use ark_ff::{BigInt, PrimeField};
use rayon::prelude::*;
use zeroize::Zeroizing;

use crate::error::{Error, Result};
use crate::field;
use crate::invalid;
use crate::key::ProvingKey;
use crate::msm::{msm_g1, msm_g2};
use crate::random;
use crate::verify::{verify, Proof};
use crate::zkey;

/// Makes a proof for a witness. With `check` the proof is verified, so a witness that does not satisfy the circuit, or a
/// damaged key, is refused.
pub fn prove(key: &ProvingKey, witness: &[u8], check: bool) -> Result<Proof> {
    let n_wires = key.header.n_wires as usize;
    let n_public = key.header.n_public as usize;
    if witness.len() != n_wires * field::BYTES {
        return invalid!(
            "witness: {} bytes given, the key {} takes {n_wires} elements of 32",
            witness.len(),
            key.name()
        );
    }
    let z = Zeroizing::new(field::parse_all(witness, "witness")?);
    if z[0] != Fr::from(1u64) {
        return invalid!("witness: wire 0 is not 1");
    }
    let scalars: Zeroizing<Vec<BigInt<4>>> =
        Zeroizing::new(z.par_iter().map(|value| value.into_bigint()).collect());

    let sum_g1 = |section, scalars: &[BigInt<4>]| {
        msm_g1(key.bytes(section), scalars, &key.label(section)).map_err(Error::of_key)
    };
    let sum_g2 = |section, scalars: &[BigInt<4>]| {
        msm_g2(key.bytes(section), scalars, &key.label(section)).map_err(Error::of_key)
    };
    let (sum_h, ((sum_b2, sum_c), (sum_a, sum_b1))) = rayon::join(
        || sum_g1(zkey::POINTS_H, &quotient(key, &z, &scalars)?),
        || {
            rayon::join(
                || {
                    rayon::join(
                        || sum_g2(zkey::POINTS_B2, &scalars),
                        || sum_g1(zkey::POINTS_C, &scalars[n_public + 1..]),
                    )
                },
                || {
                    rayon::join(
                        || sum_g1(zkey::POINTS_A, &scalars),
                        || sum_g1(zkey::POINTS_B1, &scalars),
                    )
                },
            )
        },
    );
    let (sum_h, sum_a, sum_b1, sum_b2, sum_c) = (sum_h?, sum_a?, sum_b1?, sum_b2?, sum_c?);

    let (r, s) = (
        Zeroizing::new(random::element()?),
        Zeroizing::new(random::element()?),
    );
    let header = &key.header;
    let a = sum_a + header.alpha_g1 + header.delta_g1 * *r;
    let b = sum_b2 + header.beta_g2 + header.delta_g2 * *s;
    let b1 = sum_b1 + header.beta_g1 + header.delta_g1 * *s;
    let c = sum_c + sum_h + a * *s + b1 * *r - header.delta_g1 * (*r * *s);
    let proof = Proof {
        a: a.into_affine(),
        b: b.into_affine(),
        c: c.into_affine(),
    };
    if check && !verify(&key.vk, &z[1..=n_public], &proof)? {
        return invalid!(
            "proof: it does not verify, so the witness does not satisfy the circuit of {}",
            key.name()
        );
    }
    Ok(proof)
}

/// P on the odd half of the doubled domain.
fn quotient(key: &ProvingKey, z: &[Fr], scalars: &[BigInt<4>]) -> Result<Zeroizing<Vec<BigInt<4>>>> {
    let [a, b] = key.evaluate(z, scalars)?;
    Ok(Zeroizing::new(key.quotient()?.of(a, b)))
}
