//! Affine additions with one shared inversion (Montgomery's trick): 5 multiplications and a square for each, instead of
//! 10 or more in projective coordinates. The curve has a = 0.

use ark_ec::short_weierstrass::{Affine, SWCurveConfig};
use ark_ec::AffineRepr;
use ark_ff::{AdditiveGroup, Field};

/// Additions that share an inversion.
const BATCH: usize = 1024;

/// One addition that waits for its inverse.
struct Open<P: SWCurveConfig> {
    place: u32,
    other: Affine<P>,
    denominator: P::BaseField,
    /// The product of the denominators before this one.
    before: P::BaseField,
}

/// Additions to different places of one slice, completed by `settle`.
pub struct Additions<P: SWCurveConfig> {
    open: Vec<Open<P>>,
    product: P::BaseField,
}

impl<P: SWCurveConfig> Default for Additions<P> {
    fn default() -> Self {
        Additions {
            open: Vec::with_capacity(BATCH),
            product: P::BaseField::ONE,
        }
    }
}

impl<P: SWCurveConfig> Additions<P> {
    /// sums[place] += other, now or when `settle` is called with the same slice; true means that it waits, and that
    /// nothing may be added to this place before.
    #[inline]
    pub fn add(&mut self, sums: &mut [Affine<P>], place: usize, other: Affine<P>) -> bool {
        let sum = &mut sums[place];
        if other.is_zero() {
            return false;
        }
        if sum.is_zero() {
            *sum = other;
            return false;
        }
        let mut denominator = other.x - sum.x;
        if denominator == P::BaseField::ZERO {
            if other.y != sum.y || other.y == P::BaseField::ZERO {
                *sum = Affine::identity();
                return false;
            }
            denominator = sum.y.double();
        }
        self.open.push(Open {
            place: place as u32,
            other,
            denominator,
            before: self.product,
        });
        self.product *= denominator;
        true
    }

    pub fn is_full(&self) -> bool {
        self.open.len() >= BATCH
    }

    /// Completes the open additions.
    pub fn settle(&mut self, sums: &mut [Affine<P>]) {
        // The product is of non-zero elements; with none open it is 1.
        let mut inverse = self.product.inverse().unwrap_or(P::BaseField::ONE);
        for open in self.open.iter().rev() {
            let sum = &mut sums[open.place as usize];
            let reciprocal = inverse * open.before;
            inverse *= open.denominator;
            let slope = if open.other.x == sum.x {
                let square = sum.x.square();
                (square.double() + square) * reciprocal
            } else {
                (open.other.y - sum.y) * reciprocal
            };
            let x = slope.square() - sum.x - open.other.x;
            *sum = Affine::new_unchecked(x, slope * (sum.x - x) - sum.y);
        }
        self.open.clear();
        self.product = P::BaseField::ONE;
    }
}

/// sums[i] += others[i] for every i.
pub fn add_each<P: SWCurveConfig>(sums: &mut [Affine<P>], others: &[Affine<P>]) {
    let mut additions = Additions::default();
    for (place, other) in others.iter().enumerate().take(sums.len()) {
        additions.add(sums, place, *other);
        if additions.is_full() {
            additions.settle(sums);
        }
    }
    additions.settle(sums);
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
        let mut cases = vec![
            (p(3), p(4)),
            (p(5), p(5)),
            (p(6), -p(6)),
            (zero, p(7)),
            (p(8), zero),
            (zero, zero),
        ];
        cases.extend((1..2 * BATCH as u64).map(|n| (p(n), p(3 * n))));
        let mut sums: Vec<G1Affine> = cases.iter().map(|case| case.0).collect();
        let others: Vec<G1Affine> = cases.iter().map(|case| case.1).collect();
        add_each::<g1::Config>(&mut sums, &others);
        for ((a, b), sum) in cases.iter().zip(&sums) {
            assert_eq!((*a + *b).into_affine(), *sum);
        }
    }
}
