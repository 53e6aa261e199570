//! The Groth16 prover over a `.zkey`.
//!
//! A = alpha + sum z_i A_i + r delta
//! B = beta + sum z_i B_i + s delta
//! C = sum over private wires z_i C_i + sum P(w^(2j+1)) H_j + s A + r B - r s delta
//!
//! where P = a b - c on the odd half of the doubled domain (w its root), and a, b, c interpolate A z, B z and their product.

use ark_bn254::{Fr, G1Affine, G1Projective, G2Affine, G2Projective};
use ark_ec::{CurveGroup, VariableBaseMSM};
use ark_ff::{BigInt, FftField, PrimeField};
use ark_poly::{EvaluationDomain, Radix2EvaluationDomain};
use rayon::prelude::*;
use zeroize::Zeroizing;

use crate::error::Result;
use crate::field;
use crate::invalid;
use crate::key::ProvingKey;
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
    let scalars: Vec<BigInt<4>> = z.par_iter().map(|value| value.into_bigint()).collect();

    let h = quotient(key, &z, &scalars)?;
    let sum_h = G1Projective::msm_bigint(&key.points::<G1Affine>(zkey::POINTS_H)?, &h);
    let sum_a = G1Projective::msm_bigint(&key.points::<G1Affine>(zkey::POINTS_A)?, &scalars);
    let sum_b1 = G1Projective::msm_bigint(&key.points::<G1Affine>(zkey::POINTS_B1)?, &scalars);
    let sum_b2 = G2Projective::msm_bigint(&key.points::<G2Affine>(zkey::POINTS_B2)?, &scalars);
    let sum_c = G1Projective::msm_bigint(&key.points::<G1Affine>(zkey::POINTS_C)?, &scalars[n_public + 1..]);

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
fn quotient(key: &ProvingKey, z: &[Fr], scalars: &[BigInt<4>]) -> Result<Vec<BigInt<4>>> {
    let size = key.header.domain_size as usize;
    let (Some(domain), Some(shift)) = (
        Radix2EvaluationDomain::<Fr>::new(size),
        Fr::get_root_of_unity(2 * size as u64),
    ) else {
        return invalid!("{}: there is no evaluation domain of {size} rows", key.name());
    };
    let Some(odd) = domain.get_coset(shift) else {
        return invalid!("{}: there is no doubled domain of {size} rows", key.name());
    };
    let [mut a, mut b] = key.evaluate(z, scalars);
    let mut c: Vec<Fr> = a.par_iter().zip(&b).map(|(a, b)| *a * b).collect();
    for values in [&mut a, &mut b, &mut c] {
        domain.ifft_in_place(values);
        odd.fft_in_place(values);
    }
    Ok(a.par_iter()
        .zip(&b)
        .zip(&c)
        .map(|((a, b), c)| (*a * b - c).into_bigint())
        .collect())
}
