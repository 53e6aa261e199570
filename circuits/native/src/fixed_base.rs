//! Many multiples of one point: a table of its windowed multiples, then one affine addition per window, with the
//! divisions of a whole block shared (Montgomery's trick).

use ark_bn254::Fr;
use ark_ec::short_weierstrass::{Affine, Projective, SWCurveConfig};
use ark_ec::{AffineRepr, CurveGroup};
use ark_ff::{AdditiveGroup, PrimeField};
use rayon::prelude::*;

use crate::batch_add::Additions;

const SCALAR_BITS: usize = 254;
const BLOCK: usize = 512;

pub struct FixedBase<P: SWCurveConfig<ScalarField = Fr>> {
    window: usize,
    /// `multiples[w][d - 1]` = d 2^(w window) base.
    multiples: Vec<Vec<Affine<P>>>,
}

impl<P: SWCurveConfig<ScalarField = Fr>> FixedBase<P> {
    /// A table sized for about `count` multiplications.
    pub fn new(base: Affine<P>, count: usize) -> Self {
        // Building costs 2^w and using costs `count` additions per window, so w = log2(count) - 2 balances them.
        let window = (count.max(1).ilog2() as usize).saturating_sub(2).clamp(4, 14);
        let mut starts = Vec::with_capacity(SCALAR_BITS.div_ceil(window));
        let mut start = base.into_group();
        for _ in 0..SCALAR_BITS.div_ceil(window) {
            starts.push(start);
            for _ in 0..window {
                start.double_in_place();
            }
        }
        let multiples = starts
            .par_iter()
            .map(|start| {
                let step = start.into_affine();
                let mut all = Vec::with_capacity((1 << window) - 1);
                let mut current = *start;
                for _ in 1..1usize << window {
                    all.push(current);
                    current += step;
                }
                Projective::normalize_batch(&all)
            })
            .collect();
        FixedBase { window, multiples }
    }

    /// The multiples by each scalar, in parallel.
    pub fn mul_all(&self, scalars: &[Fr]) -> Vec<Affine<P>> {
        let mut out = vec![Affine::identity(); scalars.len()];
        out.par_chunks_mut(BLOCK)
            .zip(scalars.par_chunks(BLOCK))
            .for_each(|(sums, scalars)| self.mul_block(sums, scalars));
        out
    }

    /// One multiple, for a few points.
    pub fn mul(&self, scalar: &Fr) -> Affine<P> {
        let mut out = [Affine::identity()];
        self.mul_block(&mut out, std::slice::from_ref(scalar));
        out[0]
    }

    fn mul_block(&self, sums: &mut [Affine<P>], scalars: &[Fr]) {
        let digits: Vec<_> = scalars.iter().map(|scalar| scalar.into_bigint()).collect();
        let mut additions = Additions::default();
        for (index, table) in self.multiples.iter().enumerate() {
            for (place, digits) in digits.iter().enumerate() {
                let digit = window_digit(&digits.0, index * self.window, self.window);
                if digit > 0 {
                    additions.add(sums, place, table[digit - 1]);
                }
            }
            additions.settle(sums);
        }
    }
}

/// Bits start..start+width of a little-endian integer; width is below 64.
fn window_digit(limbs: &[u64; 4], start: usize, width: usize) -> usize {
    let (limb, shift) = (start / 64, start % 64);
    let mut bits = limbs[limb] >> shift;
    if shift + width > 64 && limb + 1 < limbs.len() {
        bits |= limbs[limb + 1] << (64 - shift);
    }
    (bits & ((1 << width) - 1)) as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use ark_bn254::{g1, g2, G1Affine, G2Affine};
    use ark_ff::{Field, UniformRand};

    fn agrees<P: SWCurveConfig<ScalarField = Fr>>(base: Affine<P>, count: usize) {
        let mut rng = ark_std::test_rng();
        let mut scalars: Vec<Fr> = (0..count).map(|_| Fr::rand(&mut rng)).collect();
        scalars.extend([Fr::ZERO, Fr::ONE, -Fr::ONE, Fr::from(2u64)]);
        let table = FixedBase::new(base, count);
        let out = table.mul_all(&scalars);
        for (scalar, point) in scalars.iter().zip(&out) {
            assert_eq!((base * scalar).into_affine(), *point);
            assert_eq!(table.mul(scalar), *point);
        }
    }

    #[test]
    fn equals_double_and_add() {
        agrees::<g1::Config>(G1Affine::generator(), 1);
        agrees::<g1::Config>(G1Affine::generator(), 1000);
        agrees::<g2::Config>(G2Affine::generator(), 200);
    }
}
