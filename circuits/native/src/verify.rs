//! Groth16 verification, and our bytes of proofs and verification keys.
//!
//! proof = A (G1) B (G2) C (G1); verification key = alpha (G1) beta gamma delta (G2) IC (G1, one per public input and one
//! before them), all canonical.

use ark_bn254::{Bn254, Fr, G1Affine, G1Projective, G2Affine};
use ark_ec::pairing::Pairing;
use ark_ec::{CurveGroup, VariableBaseMSM};
use ark_ff::{Field, PrimeField};

use crate::error::Result;
use crate::field;
use crate::invalid;
use crate::points::{Point, G1_BYTES, G2_BYTES};

pub const PROOF_BYTES: usize = 2 * G1_BYTES + G2_BYTES;
const KEY_FIXED_BYTES: usize = G1_BYTES + 3 * G2_BYTES;

#[derive(Clone, Debug)]
pub struct VerifyingKey {
    pub alpha_g1: G1Affine,
    pub beta_g2: G2Affine,
    pub gamma_g2: G2Affine,
    pub delta_g2: G2Affine,
    pub ic: Vec<G1Affine>,
}

#[derive(Clone, Debug)]
pub struct Proof {
    pub a: G1Affine,
    pub b: G2Affine,
    pub c: G1Affine,
}

/// Takes the next point off `bytes`. Refuses one that is not a proper point of the group of order r.
fn take<G: Point>(bytes: &mut &[u8], what: &str) -> Result<G> {
    let Some((head, tail)) = bytes.split_at_checked(G::BYTES) else {
        return invalid!("{what} is cut off");
    };
    *bytes = tail;
    match G::from_canonical(head) {
        None => invalid!("{what} has a coordinate that is not below the field order"),
        Some(point) if point.is_zero() => invalid!("{what} is the point at infinity"),
        Some(point) if !point.is_on_the_curve() => invalid!("{what} is not on the curve"),
        Some(point) if !point.is_valid() => invalid!("{what} is not in the subgroup of order r"),
        Some(point) => Ok(point),
    }
}

impl VerifyingKey {
    pub fn parse(mut bytes: &[u8]) -> Result<Self> {
        let ic_bytes = bytes.len().saturating_sub(KEY_FIXED_BYTES);
        if ic_bytes == 0 || !ic_bytes.is_multiple_of(G1_BYTES) {
            return invalid!(
                "verification key: {} bytes, it should have {KEY_FIXED_BYTES} and {G1_BYTES} for each IC point",
                bytes.len()
            );
        }
        let rest = &mut bytes;
        let key = VerifyingKey {
            alpha_g1: take(rest, "verification key: alpha")?,
            beta_g2: take(rest, "verification key: beta")?,
            gamma_g2: take(rest, "verification key: gamma")?,
            delta_g2: take(rest, "verification key: delta")?,
            ic: (0..ic_bytes / G1_BYTES)
                .map(|input| take(rest, &format!("verification key: IC point {input}")))
                .collect::<Result<_>>()?,
        };
        if key.gamma_g2 == key.delta_g2 {
            return invalid!(
                "verification key: gamma equals delta, its second phase was skipped and anyone could forge proofs"
            );
        }
        Ok(key)
    }

    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(KEY_FIXED_BYTES + self.ic.len() * G1_BYTES);
        self.alpha_g1.push_canonical(&mut out);
        for point in [&self.beta_g2, &self.gamma_g2, &self.delta_g2] {
            point.push_canonical(&mut out);
        }
        self.ic.iter().for_each(|point| point.push_canonical(&mut out));
        out
    }
}

impl Proof {
    pub fn parse(mut bytes: &[u8]) -> Result<Self> {
        if bytes.len() != PROOF_BYTES {
            return invalid!("proof: {} bytes, it should have {PROOF_BYTES}", bytes.len());
        }
        let rest = &mut bytes;
        Ok(Proof {
            a: take(rest, "proof: A")?,
            b: take(rest, "proof: B")?,
            c: take(rest, "proof: C")?,
        })
    }

    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(PROOF_BYTES);
        self.a.push_canonical(&mut out);
        self.b.push_canonical(&mut out);
        self.c.push_canonical(&mut out);
        out
    }
}

/// e(alpha, beta) as twelve canonical coordinates, c0 before c1 at each step of the tower: what snarkjs exports.
pub fn alpha_beta(vk: &VerifyingKey) -> Vec<u8> {
    let value = Bn254::pairing(vk.alpha_g1, vk.beta_g2).0;
    let mut out = Vec::with_capacity(12 * field::BYTES);
    for sextic in [value.c0, value.c1] {
        for quadratic in [sextic.c0, sextic.c1, sextic.c2] {
            field::push(&mut out, &quadratic.c0);
            field::push(&mut out, &quadratic.c1);
        }
    }
    out
}

/// e(A, B) = e(alpha, beta) e(IC_0 + sum x_i IC_i, gamma) e(C, delta).
pub fn verify(vk: &VerifyingKey, public: &[Fr], proof: &Proof) -> Result<bool> {
    if public.len() + 1 != vk.ic.len() {
        return invalid!(
            "public inputs: {} given, the verification key takes {}",
            public.len(),
            vk.ic.len() - 1
        );
    }
    let scalars: Vec<_> = public.iter().map(|value| value.into_bigint()).collect();
    let inputs = (G1Projective::msm_bigint(&vk.ic[1..], &scalars) + vk.ic[0]).into_affine();
    let product = Bn254::multi_pairing(
        [-proof.a, vk.alpha_g1, inputs, proof.c],
        [proof.b, vk.beta_g2, vk.gamma_g2, vk.delta_g2],
    );
    Ok(product.0 == <Bn254 as Pairing>::TargetField::ONE)
}
