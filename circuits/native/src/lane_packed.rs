//! Points as the lanes take them: coordinates in Montgomery form with factor 2^260, in four words each.

use ark_bn254::Fq;
use ark_ec::short_weierstrass::{Affine, SWCurveConfig};
use ark_ec::AffineRepr;
use ark_ff::{AdditiveGroup, Field, PrimeField};

use crate::lanes::*;

/// Marks the left or right operand of an addition as negated.
pub const NEGATED: u32 = 1 << 31;

/// A point in the form of the lanes: x below 1.0001q, y at most 2q. Infinity has all bits of x set.
#[derive(Clone, Copy, PartialEq, Debug)]
#[repr(C, align(64))]
pub struct Packed<const D: usize> {
    pub x: [[u64; 4]; D],
    pub y: [[u64; 4]; D],
}

impl<const D: usize> Packed<D> {
    pub const INFINITY: Self = Packed {
        x: [[u64::MAX; 4]; D],
        y: [[0; 4]; D],
    };

    pub fn is_infinity(&self) -> bool {
        self.x[0][3] == u64::MAX
    }

    pub fn from_affine<P: SWCurveConfig>(point: &Affine<P>) -> Self
    where
        P::BaseField: Field<BasePrimeField = Fq>,
    {
        if point.is_zero() {
            return Self::INFINITY;
        }
        let words = |value: &P::BaseField| {
            let mut parts = value.to_base_prime_field_elements();
            std::array::from_fn(|_| (parts.next().unwrap_or(Fq::ZERO) * Fq::from(16u64)).0 .0)
        };
        Packed {
            x: words(&point.x),
            y: words(&point.y),
        }
    }

    pub fn to_affine<P: SWCurveConfig>(self) -> Affine<P>
    where
        P::BaseField: Field<BasePrimeField = Fq>,
    {
        if self.is_infinity() {
            return Affine::identity();
        }
        let sixteenth = Fq::from(16u64).inverse().unwrap_or(Fq::ONE);
        let value = |words: &[[u64; 4]; D]| {
            let parts = words.map(|words| Fq::new_unchecked(canonical::<Fq>(&words)) * sixteenth);
            P::BaseField::from_base_prime_field_elems(parts).unwrap_or(P::BaseField::ZERO)
        };
        Affine::new_unchecked(value(&self.x), value(&self.y))
    }

    /// 2q - y.
    fn negated(mut self) -> Self {
        for y in &mut self.y {
            let mut borrow = false;
            for (y, order) in y.iter_mut().zip(DOUBLE_ORDER) {
                let (first, a) = order.overflowing_sub(*y);
                let (second, b) = first.overflowing_sub(u64::from(borrow));
                (*y, borrow) = (second, a || b);
            }
        }
        self
    }

    /// The point, negated when `marked` has the mark.
    pub fn signed(self, marked: u32) -> Self {
        if marked & NEGATED == 0 || self.is_infinity() {
            self
        } else {
            self.negated()
        }
    }
}

const DOUBLE_ORDER: [u64; 4] = {
    let q = Fq::MODULUS.0;
    [
        q[0] << 1,
        (q[1] << 1) | (q[0] >> 63),
        (q[2] << 1) | (q[1] >> 63),
        (q[3] << 1) | (q[2] >> 63),
    ]
};

/// Points in the form of a `.zkey` (factor 2^256) in the form of the lanes. Coordinates are below q and none is infinity.
pub fn convert<const D: usize>(points: &mut [Packed<D>]) {
    // SAFETY: this module is reached only through `lane_msm`, which has asked for the instructions.
    unsafe { convert_lanes(points) }
}

#[target_feature(enable = "avx512f,avx512ifma,avx512vbmi2")]
fn convert_lanes<const D: usize>(points: &mut [Packed<D>]) {
    // Times 2^264 / 2^260: what is stored as v 2^256 is then v 2^260.
    let factor = broadcast(&constant(Fq::from(16u64)));
    for group in points.chunks_mut(LANES) {
        let mut copies = [Packed::INFINITY; LANES];
        copies[..group.len()].copy_from_slice(group);
        for part in 0..D {
            let move_over = |words: [&[u64; 4]; LANES]| {
                let moved = product::<Fq>(&unpack(&load(words)), &factor);
                let order = broadcast(&Fq::MULTIPLES.map(|limb| limb[1]));
                rows(pack(&settled::<Fq>(raw_sum(&moved.0, &order.0))))
            };
            let x = move_over(copies.each_ref().map(|copy| &copy.x[part]));
            let y = move_over(copies.each_ref().map(|copy| &copy.y[part]));
            for (lane, point) in group.iter_mut().enumerate() {
                point.x[part] = x[lane];
                point.y[part] = y[lane];
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ark_bn254::{g2, Fr};
    use ark_ec::CurveGroup;

    #[test]
    fn points_of_a_key_are_taken_over() {
        if available() {
            let points: Vec<_> = (1..20u64)
                .map(|n| (Affine::<g2::Config>::generator() * Fr::from(n)).into_affine())
                .collect();
            let mut packed: Vec<Packed<2>> = points
                .iter()
                .map(|point| Packed {
                    x: [point.x.c0.0 .0, point.x.c1.0 .0],
                    y: [point.y.c0.0 .0, point.y.c1.0 .0],
                })
                .collect();
            convert(&mut packed);
            for (point, packed) in points.iter().zip(&packed) {
                assert_eq!(packed.to_affine::<g2::Config>(), *point);
            }
        }
    }
}
