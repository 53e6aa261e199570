//! Affine additions with one shared inversion: 3 multiplications for the inversion and 3 for the addition, instead of
//! 10 or more in projective coordinates.

use ark_ec::short_weierstrass::{Affine, SWCurveConfig};
use ark_ec::AffineRepr;
use ark_ff::{AdditiveGroup, Field};

/// Reused between calls.
pub struct Scratch<F> {
    /// Per open addition: the position, the denominator, and the product of the denominators before it.
    open: Vec<(u32, F, F)>,
}

impl<F> Default for Scratch<F> {
    fn default() -> Self {
        Scratch { open: Vec::new() }
    }
}

/// sums[i] += pick(i) for every i. `pick` is called up to twice per position and must answer the same.
pub fn add_each<'a, P: SWCurveConfig>(
    sums: &mut [Affine<P>],
    pick: impl Fn(usize) -> Option<&'a Affine<P>>,
    scratch: &mut Scratch<P::BaseField>,
) {
    let mut product = P::BaseField::ONE;
    scratch.open.clear();
    for (position, sum) in sums.iter_mut().enumerate() {
        let Some(other) = pick(position) else { continue };
        if let Some(denominator) = start(sum, other) {
            scratch.open.push((position as u32, denominator, product));
            product *= denominator;
        }
    }
    // The product is of non-zero elements; with none open it is 1.
    let mut inverse = product.inverse().unwrap_or(P::BaseField::ONE);
    for &(position, denominator, before) in scratch.open.iter().rev() {
        let position = position as usize;
        if let Some(other) = pick(position) {
            finish(&mut sums[position], other, inverse * before);
        }
        inverse *= denominator;
    }
}

/// The denominator of the slope, or `None` when the sum is already settled.
#[inline]
pub fn start<P: SWCurveConfig>(sum: &mut Affine<P>, other: &Affine<P>) -> Option<P::BaseField> {
    if other.is_zero() {
        return None;
    }
    if sum.is_zero() {
        *sum = *other;
        return None;
    }
    let difference = other.x - sum.x;
    if difference != P::BaseField::ZERO {
        return Some(difference);
    }
    if other.y == sum.y && other.y != P::BaseField::ZERO {
        return Some(sum.y.double());
    }
    *sum = Affine::identity();
    None
}

/// Completes an addition whose `start` gave a denominator. The curve has a = 0.
#[inline]
pub fn finish<P: SWCurveConfig>(sum: &mut Affine<P>, other: &Affine<P>, inverse: P::BaseField) {
    let slope = if other.x == sum.x {
        let square = sum.x.square();
        (square.double() + square) * inverse
    } else {
        (other.y - sum.y) * inverse
    };
    let x = slope.square() - sum.x - other.x;
    let y = slope * (sum.x - x) - sum.y;
    *sum = Affine::new_unchecked(x, y);
}

#[cfg(test)]
mod tests {
    use super::*;
    use ark_bn254::{g1, Fr, G1Affine};
    use ark_ec::CurveGroup;

    #[test]
    fn every_case_of_addition() {
        let g = G1Affine::generator();
        let p = |n: u64| (g * Fr::from(n)).into_affine();
        let zero = G1Affine::identity();
        let cases = [
            (p(3), p(4)),
            (p(5), p(5)),
            (p(6), -p(6)),
            (zero, p(7)),
            (p(8), zero),
            (zero, zero),
        ];
        let mut sums: Vec<G1Affine> = cases.iter().map(|case| case.0).collect();
        add_each::<g1::Config>(&mut sums, |i| Some(&cases[i].1), &mut Scratch::default());
        for ((a, b), sum) in cases.iter().zip(&sums) {
            assert_eq!((*a + *b).into_affine(), *sum);
        }
    }
}
