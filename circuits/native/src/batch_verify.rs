//! Many proofs of one verification key in one equation.
//!
//! For random r_i, with S_j = sum_i r_i x_ij and S = sum_i r_i, all proofs hold when
//!
//! prod_i e(r_i A_i, B_i) = e(S alpha, beta) e(S IC_0 + sum_j S_j IC_j, gamma) e(sum_i r_i C_i, delta)
//!
//! and when one does not hold, this is true for one in 2^128 choices of the r_i. That is n + 3 Miller loops and one final
//! exponentiation. r_i = u + v lambda with u and v of 64 random bits: lambda P costs one multiplication, and the 2^128
//! values differ.

use ark_bn254::{g1, Bn254, Fr, G1Affine, G1Projective};
use ark_ec::pairing::{MillerLoopOutput, Pairing};
use ark_ec::scalar_mul::glv::GLVConfig;
use ark_ec::CurveGroup;
use ark_ff::{AdditiveGroup, Field};
use rayon::prelude::*;

use crate::error::{Error, Result};
use crate::field;
use crate::invalid;
use crate::verify::{verify, Proof, VerifyingKey, PROOF_BYTES};

/// Pairs that share the squarings of a Miller loop.
const PAIRS_PER_TASK: usize = 32;
/// So few proofs are checked one by one.
const ONE_BY_ONE: usize = 3;

/// A proof and what it is of.
pub struct Claim {
    pub public: Vec<Fr>,
    pub proof: Proof,
}

/// A random coefficient u + v lambda.
#[derive(Clone, Copy)]
struct Coefficient {
    u: u64,
    v: u64,
}

impl Coefficient {
    fn value(&self) -> Fr {
        Fr::from(self.u) + Fr::from(self.v) * g1::Config::LAMBDA
    }

    /// This times a point: 64 doublings and about 48 additions.
    fn times(&self, point: &G1Affine) -> G1Projective {
        let moved = <g1::Config as GLVConfig>::endomorphism_affine(point);
        let both = (*point + moved).into_affine();
        let mut sum = G1Projective::ZERO;
        for bit in (0..64).rev() {
            sum.double_in_place();
            match (self.u >> bit & 1, self.v >> bit & 1) {
                (1, 0) => sum += point,
                (0, 1) => sum += &moved,
                (1, 1) => sum += &both,
                _ => {}
            }
        }
        sum
    }
}

/// Random coefficients.
fn coefficients(count: usize) -> Result<Vec<Coefficient>> {
    let mut bytes = vec![0u8; count * 16];
    getrandom::fill(&mut bytes).map_err(|error| Error::Io(error.into(), "the system's randomness".into()))?;
    let (words, _) = bytes.as_chunks::<8>();
    Ok(words
        .chunks_exact(2)
        .map(|pair| Coefficient {
            u: u64::from_le_bytes(pair[0]),
            v: u64::from_le_bytes(pair[1]),
        })
        .collect())
}

/// Reads claims: for each, the bytes of its public inputs and 256 bytes of proof. A claim that is malformed comes out as its
/// reason.
pub fn parse(vk: &VerifyingKey, public: &[u8], proofs: &[u8]) -> Result<Vec<Result<Claim>>> {
    let n_public = vk.ic.len() - 1;
    let count = proofs.len() / PROOF_BYTES;
    if !proofs.len().is_multiple_of(PROOF_BYTES) {
        return invalid!(
            "proofs: {} bytes are not a multiple of {PROOF_BYTES}",
            proofs.len()
        );
    }
    let each = n_public * field::BYTES;
    if public.len() != count * each {
        return invalid!(
            "public inputs: {} bytes for {count} proofs, the verification key takes {n_public} elements each",
            public.len()
        );
    }
    Ok((0..count)
        .into_par_iter()
        .map(|index| {
            Ok(Claim {
                public: field::parse_all(&public[index * each..][..each], "public inputs")?,
                proof: Proof::parse(&proofs[index * PROOF_BYTES..][..PROOF_BYTES])?,
            })
        })
        .collect())
}

/// Whether all claims hold. Each must have as many public inputs as the key takes.
pub fn all_hold(vk: &VerifyingKey, claims: &[&Claim]) -> Result<bool> {
    if claims.len() <= ONE_BY_ONE {
        for claim in claims {
            if !verify(vk, &claim.public, &claim.proof)? {
                return Ok(false);
            }
        }
        return Ok(true);
    }
    if let Some(claim) = claims.iter().find(|claim| claim.public.len() + 1 != vk.ic.len()) {
        return invalid!(
            "public inputs: {} given, the verification key takes {}",
            claim.public.len(),
            vk.ic.len() - 1
        );
    }
    Ok(combined(vk, claims, &coefficients(claims.len())?))
}

fn combined(vk: &VerifyingKey, claims: &[&Claim], coefficients: &[Coefficient]) -> bool {
    let values: Vec<Fr> = coefficients.iter().map(Coefficient::value).collect();
    let total: Fr = values.iter().sum();
    let mut inputs = vk.ic[0] * total;
    for (index, ic) in vk.ic[1..].iter().enumerate() {
        let sum: Fr = claims
            .iter()
            .zip(&values)
            .map(|(claim, value)| claim.public[index] * value)
            .sum();
        inputs += *ic * sum;
    }
    let parts: Vec<_> = claims
        .par_chunks(PAIRS_PER_TASK)
        .zip(coefficients.par_chunks(PAIRS_PER_TASK))
        .map(|(claims, coefficients)| {
            let pairs = claims.iter().zip(coefficients);
            let a: Vec<G1Projective> = pairs.clone().map(|(claim, r)| r.times(&claim.proof.a)).collect();
            let c: G1Projective = pairs.map(|(claim, r)| r.times(&claim.proof.c)).sum();
            let a = G1Projective::normalize_batch(&a);
            (
                Bn254::multi_miller_loop(a, claims.iter().map(|claim| claim.proof.b)).0,
                c,
            )
        })
        .collect();
    let sum_c: G1Projective = parts.iter().map(|part| part.1).sum();
    let shared = Bn254::multi_miller_loop(
        G1Projective::normalize_batch(&[-(vk.alpha_g1 * total), -inputs, -sum_c]),
        [vk.beta_g2, vk.gamma_g2, vk.delta_g2],
    );
    let product = parts.iter().fold(shared.0, |product, part| product * part.0);
    Bn254::final_exponentiation(MillerLoopOutput(product))
        .is_some_and(|out| out.0 == <Bn254 as Pairing>::TargetField::ONE)
}

/// The positions of the claims that do not hold, by halving the set while it does not hold.
pub fn find_bad(vk: &VerifyingKey, claims: &[(usize, &Claim)]) -> Result<Vec<usize>> {
    let plain: Vec<&Claim> = claims.iter().map(|claim| claim.1).collect();
    if all_hold(vk, &plain)? {
        return Ok(Vec::new());
    }
    if let [(position, _)] = claims {
        return Ok(vec![*position]);
    }
    let (low, high) = claims.split_at(claims.len() / 2);
    let (low, high) = rayon::join(|| find_bad(vk, low), || find_bad(vk, high));
    let mut bad = low?;
    bad.extend(high?);
    Ok(bad)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ark_bn254::{G2Affine, G2Projective};
    use ark_ec::AffineRepr;
    use ark_ff::UniformRand;

    /// A key whose trapdoor is known, and proofs made from it: e(A, B) = e(alpha, beta) e(IC.x, gamma) e(C, delta) with
    /// C solved for.
    fn claims(count: usize) -> (VerifyingKey, Vec<Claim>) {
        let rng = &mut ark_std::test_rng();
        let mut random = || Fr::rand(rng);
        let (alpha, beta, gamma, delta) = (random(), random(), random(), random());
        let ic = [random(), random(), random()];
        let (g1, g2) = (G1Affine::generator(), G2Affine::generator());
        let vk = VerifyingKey {
            alpha_g1: (g1 * alpha).into(),
            beta_g2: (g2 * beta).into(),
            gamma_g2: (g2 * gamma).into(),
            delta_g2: (g2 * delta).into(),
            ic: ic.iter().map(|value| (g1 * value).into()).collect(),
        };
        let delta_inverse = delta.inverse().unwrap();
        let claims = (0..count)
            .map(|_| {
                let (x, y, a, b) = (random(), random(), random(), random());
                let c = (a * b - alpha * beta - (ic[0] + x * ic[1] + y * ic[2]) * gamma) * delta_inverse;
                let proof = Proof {
                    a: (g1 * a).into(),
                    b: (g2 * b).into(),
                    c: (g1 * c).into(),
                };
                let public = vec![x, y];
                Claim { public, proof }
            })
            .collect();
        (vk, claims)
    }

    fn bad(vk: &VerifyingKey, claims: &[Claim]) -> Vec<usize> {
        find_bad(vk, &claims.iter().enumerate().collect::<Vec<_>>()).unwrap()
    }

    #[test]
    fn a_coefficient_multiplies_as_its_value() {
        let point = (G1Affine::generator() * Fr::from(77u64)).into_affine();
        let zero = Coefficient { u: 0, v: 0 };
        assert_eq!(zero.times(&point), G1Projective::ZERO);
        for coefficient in coefficients(20).unwrap() {
            assert_eq!(coefficient.times(&point), point * coefficient.value());
        }
    }

    #[test]
    fn good_batches_hold_and_each_bad_position_is_found() {
        let (vk, mut claims) = claims(2 * PAIRS_PER_TASK + 5);
        for count in [1, 2, 3, 4, PAIRS_PER_TASK, claims.len()] {
            assert!(bad(&vk, &claims[..count]).is_empty());
        }
        for at in [0, 3, PAIRS_PER_TASK, claims.len() - 1] {
            claims[at].public[1] += Fr::ONE;
            assert_eq!(bad(&vk, &claims), [at]);
            claims[at].public[1] -= Fr::ONE;
        }
        claims[1].proof.b = (claims[1].proof.b + G2Projective::from(G2Affine::generator())).into();
        claims[40].proof.a = -claims[40].proof.a;
        assert_eq!(bad(&vk, &claims), [1, 40]);
    }

    /// Two errors that cancel in a plain product of the equations do not cancel under random coefficients.
    #[test]
    fn errors_that_cancel_are_refused() {
        let (vk, mut claims) = claims(6);
        let error = G1Projective::from(G1Affine::generator());
        claims[2].proof.c = (claims[2].proof.c + error).into();
        claims[4].proof.c = (claims[4].proof.c - error).into();
        let refs: Vec<&Claim> = claims.iter().collect();
        assert!(combined(&vk, &refs, &[Coefficient { u: 1, v: 0 }; 6]));
        assert!(!all_hold(&vk, &refs).unwrap());
        assert_eq!(bad(&vk, &claims), [2, 4]);
    }

    #[test]
    fn malformed_claims_come_out_with_their_reason() {
        let (vk, claims) = claims(2);
        let mut public = Vec::new();
        let mut proofs = Vec::new();
        for claim in &claims {
            claim
                .public
                .iter()
                .for_each(|value| field::push(&mut public, value));
            proofs.extend(claim.proof.encode());
        }
        proofs[PROOF_BYTES..PROOF_BYTES + 64].fill(0);
        let parsed = parse(&vk, &public, &proofs).unwrap();
        assert!(parsed[0].is_ok());
        assert_eq!(
            parsed[1].as_ref().err().unwrap().to_string(),
            "proof: A is the point at infinity"
        );
        assert!(parse(&vk, &public, &proofs[1..]).is_err());
        assert!(parse(&vk, &public[1..], &proofs).is_err());
    }
}
