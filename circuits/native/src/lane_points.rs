//! Affine additions eight at a time, with one inversion for a whole list of them (Montgomery's trick).
//!
//! A coordinate is of the base field (D = 1) or of its quadratic extension by u^2 = -1 (D = 2). The curve has a = 0.

use std::arch::x86_64::*;

use ark_bn254::Fq;
use ark_ec::short_weierstrass::SWCurveConfig;
use ark_ff::{batch_inversion, AdditiveGroup, Field, PrimeField};

use crate::lane_packed::{Packed, NEGATED};
use crate::lanes::*;

/// Independent chains of products, so that one does not wait for another.
const CHAINS: usize = 4;
/// Additions that share an inversion, in G1; in G2 half as many take the same space.
const BATCH: usize = 4096;
/// Jobs ahead of which points are fetched into the cache.
const AHEAD: usize = 3 * LANES;

/// out[to] = source[left] + source[right], where left and right may be marked as negated.
#[derive(Clone, Copy)]
pub struct Job {
    pub left: u32,
    pub right: u32,
    pub to: u32,
}

/// A coordinate in lanes.
type Coordinate<const D: usize> = [Lanes; D];

#[inline]
#[target_feature(enable = "avx512f,avx512ifma,avx512vbmi2")]
fn times<const D: usize>(a: &Coordinate<D>, b: &Coordinate<D>) -> Coordinate<D> {
    let zero = [_mm512_setzero_si512(); 10];
    let mut out = *a;
    if D == 1 {
        out[0] = product::<Fq>(&a[0], &b[0]);
    } else {
        let minus_a1 = difference::<Fq, 4>(&self::zero(), &a[1]);
        out[0] = reduced::<Fq>(accumulate(accumulate(zero, &a[0], &b[0]), &minus_a1, &b[1]));
        out[1] = reduced::<Fq>(accumulate(accumulate(zero, &a[0], &b[1]), &a[1], &b[0]));
    }
    out
}

/// a - b + 2q, below 4q when a is below 2q.
#[inline]
#[target_feature(enable = "avx512f,avx512ifma,avx512vbmi2")]
fn minus<const D: usize>(a: &Coordinate<D>, b: &Coordinate<D>) -> Coordinate<D> {
    let mut out = *a;
    for (out, b) in out.iter_mut().zip(b) {
        *out = difference::<Fq, 2>(out, b);
    }
    out
}

#[inline]
#[target_feature(enable = "avx512f,avx512ifma,avx512vbmi2")]
fn choose<const D: usize>(mask: u8, otherwise: &Coordinate<D>, chosen: &Coordinate<D>) -> Coordinate<D> {
    let mut out = *otherwise;
    for (out, chosen) in out.iter_mut().zip(chosen) {
        *out = select(mask, out, chosen);
    }
    out
}

#[inline]
#[target_feature(enable = "avx512f,avx512ifma,avx512vbmi2")]
fn one<const D: usize>() -> Coordinate<D> {
    let mut out = [zero(); D];
    out[0] = broadcast(&const { ONE });
    out
}

/// 2^260 mod q by limb.
const ONE: [u64; 5] = {
    // 2^260 - 84 q: 84 is the quotient, since q is just above 2^260 / 84.67.
    let q = Fq::MODULUS.0;
    let limbs = split(q);
    let mut out = [0u64; 5];
    let mut borrow = 0i128;
    let mut i = 0;
    while i < 5 {
        let value = borrow - 84 * limbs[i] as i128;
        out[i] = (value & ((1 << 52) - 1)) as u64;
        borrow = value >> 52;
        i += 1;
    }
    out
};

/// One side of eight additions; bit i of `infinite` is set when the i-th point is at infinity.
struct Operands<const D: usize> {
    x: [[__m512i; 4]; D],
    infinite: u8,
}

/// Additions and their scratch space.
pub struct Adder<const D: usize> {
    denominators: Vec<Coordinate<D>>,
    before: Vec<Coordinate<D>>,
}

impl<const D: usize> Default for Adder<D> {
    fn default() -> Self {
        Adder {
            denominators: Vec::with_capacity(BATCH / D / LANES),
            before: Vec::with_capacity(BATCH / D / LANES),
        }
    }
}

impl<const D: usize> Adder<D> {
    /// Does all jobs. `to` must be a place of `out`, `left` and `right` places of `source`.
    ///
    /// The processor must have what `lanes::available` asks for.
    pub fn run<P: SWCurveConfig>(&mut self, source: &[Packed<D>], jobs: &[Job], out: &mut [Packed<D>])
    where
        P::BaseField: Field<BasePrimeField = Fq>,
    {
        for batch in jobs.chunks(BATCH / D) {
            // SAFETY: this module is reached only through `lane_msm`, which has asked for the instructions.
            unsafe { self.batch::<P>(source, batch, out) }
        }
    }

    #[target_feature(enable = "avx512f,avx512ifma,avx512vbmi2")]
    fn batch<P: SWCurveConfig>(&mut self, source: &[Packed<D>], jobs: &[Job], out: &mut [Packed<D>])
    where
        P::BaseField: Field<BasePrimeField = Fq>,
    {
        self.denominators.clear();
        for (index, group) in jobs.chunks(LANES).enumerate() {
            if let Some(next) = jobs.get(index * LANES + AHEAD..) {
                for job in next.iter().take(LANES) {
                    fetch(source, job.left);
                    fetch(source, job.right);
                }
            }
            let (left, right) = (x_of(source, group, false), x_of(source, group, true));
            let mut d = minus(&unpacked(&right.x), &unpacked(&left.x));
            let infinite = left.infinite | right.infinite;
            if infinite != 0 {
                d = choose(infinite, &d, &one());
            }
            self.denominators.push(d);
        }
        let mut products = self.multiply_up();
        let mut exceptions = Vec::new();
        let mut inverses = invert_all(&products);
        if inverses.is_none() {
            exceptions = self.take_zeros();
            products = self.multiply_up();
            inverses = invert_all(&products);
        }
        let Some(mut inverses) = inverses else {
            return;
        };
        for (index, group) in jobs.chunks(LANES).enumerate().rev() {
            let inverse = &mut inverses[index % CHAINS];
            let reciprocal = times(inverse, &self.before[index]);
            *inverse = times(inverse, &self.denominators[index]);
            add_group(source, group, &reciprocal, out);
        }
        for index in exceptions {
            let Some(job) = jobs.get(index) else { continue };
            let operand = |marked: u32| {
                source[(marked & !NEGATED) as usize]
                    .signed(marked)
                    .to_affine::<P>()
            };
            let sum = operand(job.left) + operand(job.right);
            out[job.to as usize] = Packed::from_affine::<P>(&sum.into());
        }
    }

    /// The products of each chain, with those before each denominator kept.
    #[target_feature(enable = "avx512f,avx512ifma,avx512vbmi2")]
    fn multiply_up(&mut self) -> [Coordinate<D>; CHAINS] {
        let mut products = [one(); CHAINS];
        self.before.clear();
        for (index, d) in self.denominators.iter().enumerate() {
            let product = &mut products[index % CHAINS];
            self.before.push(*product);
            *product = times(product, d);
        }
        products
    }

    /// Replaces denominators that are zero, of equal or opposite points, and says where they were.
    #[target_feature(enable = "avx512f,avx512ifma,avx512vbmi2")]
    fn take_zeros(&mut self) -> Vec<usize> {
        let mut found = Vec::new();
        for (group, d) in self.denominators.iter_mut().enumerate() {
            let parts = d.map(|part| rows(pack(&part)));
            let mut mask = 0u8;
            for lane in 0..LANES {
                if parts.iter().all(|part| canonical::<Fq>(&part[lane]).0 == [0; 4]) {
                    mask |= 1 << lane;
                    found.push(group * LANES + lane);
                }
            }
            *d = choose(mask, d, &one());
        }
        found
    }
}

/// The inverses of the products, or `None` when one of them is zero.
#[target_feature(enable = "avx512f,avx512ifma,avx512vbmi2")]
fn invert_all<const D: usize>(products: &[Coordinate<D>; CHAINS]) -> Option<[Coordinate<D>; CHAINS]> {
    let mut up = [products[0]; CHAINS];
    for index in 1..CHAINS {
        up[index] = times(&up[index - 1], &products[index]);
    }
    let mut inverse = invert(&up[CHAINS - 1])?;
    let mut out = up;
    for index in (1..CHAINS).rev() {
        out[index] = times(&inverse, &up[index - 1]);
        inverse = times(&inverse, &products[index]);
    }
    out[0] = inverse;
    Some(out)
}

/// The inverse of each lane. (a + b u)^-1 = (a - b u) / (a^2 + b^2).
#[target_feature(enable = "avx512f,avx512ifma,avx512vbmi2")]
fn invert<const D: usize>(value: &Coordinate<D>) -> Option<Coordinate<D>> {
    let norm = if D == 1 {
        value[0]
    } else {
        let zero = [_mm512_setzero_si512(); 10];
        reduced::<Fq>(accumulate(
            accumulate(zero, &value[0], &value[0]),
            &value[1],
            &value[1],
        ))
    };
    // A stored v 2^260 reads as 16 v in the scalar form, whose inverse is stored as 2^256 / (16 v): 2^8 too little.
    let correction = Fq::from(256u64);
    let mut scalars = rows(pack(&norm)).map(|row| Fq::new_unchecked(canonical::<Fq>(&row)));
    if scalars.contains(&Fq::ZERO) {
        return None;
    }
    batch_inversion(&mut scalars);
    let back = scalars.map(|scalar| (scalar * correction).0 .0);
    let inverse = unpack(&load(back.each_ref()));
    let mut out = *value;
    out[0] = if D == 1 {
        inverse
    } else {
        product::<Fq>(&value[0], &inverse)
    };
    if D == 2 {
        out[1] = product::<Fq>(&difference::<Fq, 4>(&zero(), &value[1]), &inverse);
    }
    Some(out)
}

#[inline]
#[target_feature(enable = "avx512f,avx512ifma,avx512vbmi2")]
fn fetch<const D: usize>(source: &[Packed<D>], marked: u32) {
    if let Some(point) = source.get((marked & !NEGATED) as usize) {
        let start = std::ptr::from_ref(point).cast::<i8>();
        _mm_prefetch::<_MM_HINT_T0>(start);
        if D == 2 {
            _mm_prefetch::<_MM_HINT_T0>(start.wrapping_add(64));
        }
    }
}

/// The points of one side of up to eight jobs; infinity stands for the jobs that are missing.
#[inline]
#[target_feature(enable = "avx512f,avx512ifma,avx512vbmi2")]
fn side<'a, const D: usize>(source: &'a [Packed<D>], group: &[Job], right: bool) -> [&'a Packed<D>; LANES] {
    let mut out = [&Packed::INFINITY; LANES];
    for (out, job) in out.iter_mut().zip(group) {
        *out = &source[((if right { job.right } else { job.left }) & !NEGATED) as usize];
    }
    out
}

#[inline]
#[target_feature(enable = "avx512f,avx512ifma,avx512vbmi2")]
fn x_of<const D: usize>(source: &[Packed<D>], group: &[Job], right: bool) -> Operands<D> {
    x_from(&side(source, group, right))
}

#[inline]
#[target_feature(enable = "avx512f,avx512ifma,avx512vbmi2")]
fn x_from<const D: usize>(points: &[&Packed<D>; LANES]) -> Operands<D> {
    let mut x = [[_mm512_setzero_si512(); 4]; D];
    for (part, x) in x.iter_mut().enumerate() {
        *x = load(points.map(|point| &point.x[part]));
    }
    let infinite = _mm512_cmpeq_epi64_mask(x[0][3], word(u64::MAX));
    Operands { x, infinite }
}

#[inline]
#[target_feature(enable = "avx512f,avx512ifma,avx512vbmi2")]
fn unpacked<const D: usize>(words: &[[__m512i; 4]; D]) -> Coordinate<D> {
    let mut out = [zero(); D];
    for (out, words) in out.iter_mut().zip(words) {
        *out = unpack(words);
    }
    out
}

/// y of eight points, negated where the mask is set: below or at 2q.
#[inline]
#[target_feature(enable = "avx512f,avx512ifma,avx512vbmi2")]
fn y_from<const D: usize>(points: &[&Packed<D>; LANES], negated: u8) -> Coordinate<D> {
    let mut out = [zero(); D];
    for (part, out) in out.iter_mut().enumerate() {
        let y = unpack(&load(points.map(|point| &point.y[part])));
        *out = if negated == 0 {
            y
        } else {
            select(negated, &y, &difference::<Fq, 2>(&zero(), &y))
        };
    }
    out
}

/// Up to eight additions, given 1 / (x2 - x1).
#[inline]
#[target_feature(enable = "avx512f,avx512ifma,avx512vbmi2")]
fn add_group<const D: usize>(
    source: &[Packed<D>],
    group: &[Job],
    reciprocal: &Coordinate<D>,
    out: &mut [Packed<D>],
) {
    let (left, right) = (side(source, group, false), side(source, group, true));
    let (a, b) = (x_from(&left), x_from(&right));
    let (x1, x2) = (unpacked(&a.x), unpacked(&b.x));
    let (mut left_signs, mut right_signs) = (0u8, 0u8);
    for (lane, job) in group.iter().enumerate() {
        left_signs |= ((job.left >> 31) as u8) << lane;
        right_signs |= ((job.right >> 31) as u8) << lane;
    }
    let (y1, y2) = (y_from(&left, left_signs), y_from(&right, right_signs));
    let slope = times(&minus(&y2, &y1), reciprocal);
    let square = times(&slope, &slope);
    let mut x3 = x1;
    for part in 0..D {
        // square < 1.4q and x1 + x2 < 2.1q: the sum is in (1.9q, 5.4q).
        let sum = raw_sum(&x1[part].0, &x2[part].0);
        x3[part] = settled::<Fq>(raw_difference::<Fq, 4>(&square[part].0, &sum));
    }
    let mut y3 = times(&slope, &minus(&x1, &x3));
    for part in 0..D {
        // The product is below 1.4q and y1 at most 2q: the difference is in (1.9q, 5.4q).
        y3[part] = settled::<Fq>(raw_difference::<Fq, 4>(&y3[part].0, &y1[part].0));
    }
    let (mut x3, mut y3) = (x3.map(|part| pack(&part)), y3.map(|part| pack(&part)));
    if a.infinite | b.infinite != 0 {
        for part in 0..D {
            let (y1, y2) = (pack(&y1[part]), pack(&y2[part]));
            for limb in 0..4 {
                let x = _mm512_mask_mov_epi64(x3[part][limb], b.infinite, a.x[part][limb]);
                x3[part][limb] = _mm512_mask_mov_epi64(x, a.infinite, b.x[part][limb]);
                let y = _mm512_mask_mov_epi64(y3[part][limb], b.infinite, y1[limb]);
                y3[part][limb] = _mm512_mask_mov_epi64(y, a.infinite, y2[limb]);
            }
        }
    }
    let (x3, y3) = (x3.map(|part| rows(part)), y3.map(|part| rows(part)));
    for (lane, job) in group.iter().enumerate() {
        let to = &mut out[job.to as usize];
        for part in 0..D {
            to.x[part] = x3[part][lane];
            to.y[part] = y3[part][lane];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ark_bn254::{g1, g2, Fr};
    use ark_ec::short_weierstrass::Affine;
    use ark_ec::AffineRepr;
    use ark_ec::CurveGroup;

    fn every_case<P: SWCurveConfig<ScalarField = Fr>, const D: usize>()
    where
        P::BaseField: Field<BasePrimeField = Fq>,
    {
        let multiple = |n: u64| (Affine::<P>::generator() * Fr::from(n)).into_affine();
        let mut affine: Vec<Affine<P>> = (1..40).map(multiple).collect();
        affine.extend([Affine::identity(), -affine[3], affine[3]]);
        let source: Vec<Packed<D>> = affine.iter().map(Packed::from_affine::<P>).collect();
        for (point, packed) in affine.iter().zip(&source) {
            assert_eq!(packed.to_affine::<P>(), *point);
            assert_eq!(packed.signed(NEGATED).to_affine::<P>(), -*point);
        }
        let places = affine.len() as u32;
        let jobs: Vec<Job> = (0..places * places)
            .map(|index| Job {
                left: (index / places) | ((index % 3 % 2) << 31),
                right: (index % places) | ((index % 5 % 2) << 31),
                to: index,
            })
            .collect();
        let value = |marked: u32| {
            let point = affine[(marked & !NEGATED) as usize];
            if marked & NEGATED == 0 {
                point
            } else {
                -point
            }
        };
        for jobs in [&jobs[..], &jobs[..1], &jobs[3..16], &jobs[100..109]] {
            let mut out = vec![Packed::INFINITY; affine.len() * affine.len()];
            Adder::<D>::default().run::<P>(&source, jobs, &mut out);
            for job in jobs {
                let expected = (value(job.left) + value(job.right)).into_affine();
                let found = out[job.to as usize];
                assert_eq!(found.to_affine::<P>(), expected);
                assert!(found.is_infinity() || found.x.iter().all(|x| x[3] <= Fq::MODULUS.0[3] + 1));
            }
        }
    }

    #[test]
    fn every_case_of_addition() {
        if available() {
            every_case::<g1::Config, 1>();
            every_case::<g2::Config, 2>();
        }
    }
}
