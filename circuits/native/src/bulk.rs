//! Many points of a file at once: reading with every check, the bytes a ceremony hashes, and random combinations.

use ark_bn254::{Bn254, Fr, G1Affine, G2Affine};
use ark_ec::pairing::Pairing;
use ark_ec::short_weierstrass::{Affine, Projective, SWCurveConfig};
use ark_ec::{AffineRepr, CurveGroup, VariableBaseMSM};
use ark_ff::{Field, PrimeField};
use rayon::prelude::*;

use crate::error::{Error, Result};
use crate::invalid;
use crate::points::Point;

/// A false claim about points passes a random combination with a chance of 2^-128.
const CHALLENGE_BYTES: usize = 16;

/// Points in Montgomery form, each on the curve and in the group of order r; infinity only where it is allowed.
pub fn read<G: Point>(bytes: &[u8], label: &str, infinity_allowed: bool) -> Result<Vec<G>> {
    bytes
        .par_chunks_exact(G::BYTES)
        .enumerate()
        .map(|(index, bytes)| match G::from_montgomery(bytes) {
            Some(point) if point.is_valid() || infinity_allowed && point.is_zero() => Ok(point),
            Some(point) if point.is_zero() => invalid!("{label}: point {index} is the point at infinity"),
            Some(point) if !point.is_on_the_curve() => invalid!("{label}: point {index} is not on the curve"),
            Some(_) => invalid!("{label}: point {index} is not in the group of order r"),
            None => invalid!("{label}: point {index} has a coordinate that is not below the field order"),
        })
        .collect()
}

/// The bytes of a ceremony's hashes: big-endian coordinates, the imaginary part first, infinity all zero.
pub fn push_uncompressed<G: Point>(out: &mut Vec<u8>, point: &G) {
    let start = out.len();
    if point.is_zero() {
        out.resize(start + G::BYTES, 0);
        return;
    }
    point.push_canonical(out);
    let (x, y) = out[start..].split_at_mut(G::BYTES / 2);
    x.reverse();
    y.reverse();
}

/// `push_uncompressed` of all points.
pub fn uncompressed<G: Point>(points: &[G]) -> Vec<u8> {
    let parts: Vec<Vec<u8>> = points
        .par_chunks(1 << 12)
        .map(|points| {
            let mut out = Vec::with_capacity(points.len() * G::BYTES);
            points.iter().for_each(|point| push_uncompressed(&mut out, point));
            out
        })
        .collect();
    parts.concat()
}

/// The points' Montgomery form.
pub fn montgomery<G: Point>(points: &[G]) -> Vec<u8> {
    let mut out = Vec::with_capacity(points.len() * G::BYTES);
    points.iter().for_each(|point| point.push_montgomery(&mut out));
    out
}

/// Random 128-bit factors for a combination.
pub fn challenges(count: usize) -> Result<Vec<Fr>> {
    let mut bytes = vec![0; count * CHALLENGE_BYTES];
    getrandom::fill(&mut bytes).map_err(|error| Error::Io(error.into(), "the system's randomness".into()))?;
    Ok(bytes
        .par_chunks_exact(CHALLENGE_BYTES)
        .map(Fr::from_le_bytes_mod_order)
        .collect())
}

/// sum_i factors_i points_i.
pub fn combine<P: SWCurveConfig<ScalarField = Fr>>(points: &[Affine<P>], factors: &[Fr]) -> Affine<P> {
    Projective::<P>::msm_unchecked(points, factors).into_affine()
}

/// Every point times one factor.
pub fn scale<P: SWCurveConfig<ScalarField = Fr>>(points: &[Affine<P>], factor: &Fr) -> Vec<Affine<P>> {
    points
        .par_chunks(1 << 10)
        .flat_map_iter(|points| {
            let scaled: Vec<_> = points.iter().map(|point| *point * factor).collect();
            Projective::normalize_batch(&scaled)
        })
        .collect()
}

/// Whether the second point of each pair is the same multiple of the first: e(a, d) = e(b, c) for b = x a, d = x c.
pub fn same_ratio([a, b]: [G1Affine; 2], [c, d]: [G2Affine; 2]) -> bool {
    let none = a.is_zero() || b.is_zero() || c.is_zero() || d.is_zero();
    !none && Bn254::multi_pairing([a, -b], [d, c]).0 == <Bn254 as Pairing>::TargetField::ONE
}

#[cfg(test)]
mod tests {
    use super::*;
    use ark_bn254::{g1, G1Projective};

    #[test]
    fn ratios_scaling_and_combinations() {
        let (g, h) = (G1Affine::generator(), G2Affine::generator());
        let x = Fr::from(7u64);
        let (gx, hx) = ((g * x).into_affine(), (h * x).into_affine());
        assert!(same_ratio([g, gx], [h, hx]));
        assert!(!same_ratio([g, gx], [hx, h]));
        assert!(!same_ratio([G1Affine::identity(), G1Affine::identity()], [h, hx]));
        assert_eq!(scale::<g1::Config>(&[g, gx], &x), [gx, (gx * x).into_affine()]);
        assert_eq!(
            combine::<g1::Config>(&[g, gx], &[x, x]).into_group(),
            G1Projective::from(g) * Fr::from(56u64)
        );
    }

    #[test]
    fn hashed_bytes_are_big_endian_and_infinity_is_zero() {
        let mut out = Vec::new();
        push_uncompressed(&mut out, &G1Affine::generator());
        push_uncompressed(&mut out, &G1Affine::identity());
        let mut expected = vec![0; 128];
        (expected[31], expected[63]) = (1, 2);
        assert_eq!(out, expected);
    }
}
