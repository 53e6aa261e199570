//! Sums of points times scalars: Pippenger's buckets with signed digits, in affine coordinates with shared inversions.
//!
//! Witness values are mostly zeros, ones and small numbers: zeros cost nothing, a one costs one addition, and a window is
//! only worked on for the scalars that reach it. The points stream past the buckets of a window, which stay in the cache;
//! a point whose bucket waits for an inversion is put off, and those points are added in pairs at the end.

use ark_bn254::{g1, g2, Fr, G1Projective, G2Projective};
use ark_ec::short_weierstrass::{Affine, Projective, SWCurveConfig};
use ark_ec::AffineRepr;
use ark_ff::{AdditiveGroup, BigInt, BigInteger, PrimeField};
use rayon::prelude::*;

use crate::batch_add::{self, Additions};
use crate::error::Result;
use crate::invalid;
use crate::points::Point;
#[cfg(target_arch = "x86_64")]
use crate::{lane_msm, lanes};

const MAX_WINDOW: usize = 15;
/// Cost of adding one bucket into the running sums, in affine additions.
const BUCKET_COST: usize = 2;
const NEGATED: u32 = 1 << 31;

/// A point that takes part, with its scalar's magnitude below r/2; the point is negated when the scalar was above.
struct Term<P: SWCurveConfig> {
    point: Affine<P>,
    magnitude: BigInt<4>,
}

impl<P: SWCurveConfig> Clone for Term<P> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<P: SWCurveConfig> Copy for Term<P> {}

/// The sum of scalars[i] times the i-th point of `bytes` (Montgomery form) in G1. `label` names the points in refusals.
pub fn msm_g1(bytes: &[u8], scalars: &[BigInt<4>], label: &str) -> Result<G1Projective> {
    #[cfg(target_arch = "x86_64")]
    if lanes::available() {
        return lane_msm::sum::<g1::Config, 1>(bytes, scalars, label);
    }
    msm::<g1::Config>(bytes, scalars, label)
}

/// The same in G2.
pub fn msm_g2(bytes: &[u8], scalars: &[BigInt<4>], label: &str) -> Result<G2Projective> {
    #[cfg(target_arch = "x86_64")]
    if lanes::available() {
        return lane_msm::sum::<g2::Config, 2>(bytes, scalars, label);
    }
    msm::<g2::Config>(bytes, scalars, label)
}

/// The same in either group, on any processor.
pub fn msm<P>(bytes: &[u8], scalars: &[BigInt<4>], label: &str) -> Result<Projective<P>>
where
    P: SWCurveConfig<ScalarField = Fr>,
    Affine<P>: Point,
{
    let terms: Vec<Term<P>> = bytes
        .par_chunks_exact(Affine::<P>::BYTES)
        .zip(scalars)
        .enumerate()
        .filter(|(_, (_, scalar))| !scalar.is_zero())
        .map(
            |(index, (bytes, scalar))| match Affine::<P>::from_montgomery(bytes) {
                Some(point) => Ok(term(point, *scalar)),
                None => invalid!("{label}: point {index} is malformed"),
            },
        )
        .filter(|term| !matches!(term, Ok(term) if term.point.is_zero()))
        .collect::<Result<_>>()?;
    Ok(sum(&terms))
}

fn term<P: SWCurveConfig>(point: Affine<P>, scalar: BigInt<4>) -> Term<P> {
    let (magnitude, negated) = magnitude(&scalar);
    let point = if negated { -point } else { point };
    Term { point, magnitude }
}

/// The scalar, or r minus it when that is smaller, and whether it is the latter.
#[inline]
pub fn magnitude(scalar: &BigInt<4>) -> (BigInt<4>, bool) {
    if *scalar > Fr::MODULUS_MINUS_ONE_DIV_TWO {
        let mut magnitude = Fr::MODULUS;
        magnitude.sub_with_borrow(scalar);
        (magnitude, true)
    } else {
        (*scalar, false)
    }
}

fn sum<P: SWCurveConfig>(terms: &[Term<P>]) -> Projective<P> {
    // reach[k] terms have k bits or more; they come first once the terms are sorted.
    let mut reach = [0usize; 257];
    let bits: Vec<u16> = terms
        .iter()
        .map(|term| term.magnitude.num_bits() as u16)
        .collect();
    bits.iter().for_each(|&bits| reach[bits as usize] += 1);
    for k in (0..256).rev() {
        reach[k] += reach[k + 1];
    }
    let mut next: Vec<usize> = (0..256).map(|k| reach[k + 1]).collect();
    let mut sorted = terms.to_vec();
    for (term, &bits) in terms.iter().zip(&bits) {
        sorted[next[bits as usize]] = *term;
        next[bits as usize] += 1;
    }
    let width = window_width(&reach, MAX_WINDOW, BUCKET_COST);
    let windows = (0..=256 / width)
        .take_while(|&window| reach_of(&reach, window, width) > 0)
        .count();
    let sums: Vec<Projective<P>> = (0..windows)
        .into_par_iter()
        .with_max_len(1)
        .map(|window| window_sum(&sorted[..reach_of(&reach, window, width)], window, width))
        .collect();
    let mut total = Projective::<P>::ZERO;
    for sum in sums.iter().rev() {
        for _ in 0..width {
            total.double_in_place();
        }
        total += sum;
    }
    total
}

/// How many terms have a digit in `window`: a magnitude of k bits has digits in windows 0..=k/width.
pub fn reach_of(reach: &[usize; 257], window: usize, width: usize) -> usize {
    reach[(window * width).clamp(1, 256)]
}

/// The width with the least additions: one for each digit, and `bucket_cost` for each bucket of each window.
pub fn window_width(reach: &[usize; 257], max_width: usize, bucket_cost: usize) -> usize {
    let cost = |width: usize| -> usize {
        (0..=256 / width)
            .map(|window| reach_of(reach, window, width))
            .take_while(|&terms| terms > 0)
            .map(|terms| terms + (bucket_cost << (width - 1)))
            .sum()
    };
    (2..=max_width).min_by_key(|&width| cost(width)).unwrap_or(2)
}

/// Booth's digit of a window: bits window*width-1 .. window*width+width-1 (bit -1 is 0), in -2^(width-1)..=2^(width-1).
#[inline]
pub fn digit(magnitude: &BigInt<4>, window: usize, width: usize) -> i32 {
    let limbs = &magnitude.0;
    let x = if window == 0 {
        limbs[0] << 1
    } else {
        let start = window * width - 1;
        let (limb, shift) = (start / 64, start % 64);
        let low = limbs.get(limb).map_or(0, |limb| limb >> shift);
        let high = limbs
            .get(limb + 1)
            .map_or(0, |limb| if shift == 0 { 0 } else { limb << (64 - shift) });
        low | high
    };
    let x = (x & ((1 << (width + 1)) - 1)) as i32;
    ((x + 1) >> 1) - ((x >> width) << width)
}

/// The sum over the terms of digit times point.
fn window_sum<P: SWCurveConfig>(terms: &[Term<P>], window: usize, width: usize) -> Projective<P> {
    let mut buckets = vec![Affine::<P>::identity(); (1 << (width - 1)) + 1];
    let mut put_off = Vec::new();
    // The batch in which a bucket's addition waits.
    let mut waits_in = vec![0u32; buckets.len()];
    let mut batch = 1;
    let mut additions = Additions::default();
    for (index, term) in terms.iter().enumerate() {
        let digit = digit(&term.magnitude, window, width);
        let bucket = digit.unsigned_abs() as usize;
        if digit == 0 {
            continue;
        }
        if waits_in[bucket] == batch {
            put_off.push((bucket as u32, index as u32 | if digit < 0 { NEGATED } else { 0 }));
            continue;
        }
        let point = if digit < 0 { -term.point } else { term.point };
        if additions.add(&mut buckets, bucket, point) {
            waits_in[bucket] = batch;
        }
        if additions.is_full() {
            additions.settle(&mut buckets);
            batch += 1;
        }
    }
    additions.settle(&mut buckets);
    let rest = sums_in_pairs(terms, &put_off, buckets.len());
    batch_add::add_each(&mut buckets, &rest);

    // sum of d buckets[d], by running sums from the top.
    let mut running = Projective::<P>::ZERO;
    let mut total = Projective::<P>::ZERO;
    for bucket in buckets.iter().skip(1).rev() {
        running += bucket;
        total += &running;
    }
    total
}

/// The sum of each bucket of (bucket, term) entries: sorted by bucket, then added in pairs, round by round.
fn sums_in_pairs<P: SWCurveConfig>(
    terms: &[Term<P>],
    entries: &[(u32, u32)],
    n_buckets: usize,
) -> Vec<Affine<P>> {
    let mut lengths = vec![0usize; n_buckets];
    entries
        .iter()
        .for_each(|&(bucket, _)| lengths[bucket as usize] += 1);
    let mut next = Vec::with_capacity(n_buckets);
    let mut place = 0;
    for &length in &lengths {
        next.push(place);
        place += length;
    }
    let mut sorted = vec![0u32; entries.len()];
    for &(bucket, entry) in entries {
        sorted[next[bucket as usize]] = entry;
        next[bucket as usize] += 1;
    }
    let first = |position: usize| {
        let entry = sorted[position];
        let point = terms[(entry & !NEGATED) as usize].point;
        if entry & NEGATED == 0 {
            point
        } else {
            -point
        }
    };
    let mut sums = vec![Affine::identity(); n_buckets];
    let mut open: Vec<(usize, usize)> = lengths
        .into_iter()
        .enumerate()
        .filter(|open| open.1 > 0)
        .collect();
    let mut from = Vec::with_capacity(sorted.len() / 2 + open.len());
    halve(first, &mut open, &mut from, &mut sums);
    let mut to = Vec::with_capacity(from.len() / 2 + open.len());
    while !open.is_empty() {
        to.clear();
        halve(|position| from[position], &mut open, &mut to, &mut sums);
        std::mem::swap(&mut from, &mut to);
    }
    sums
}

/// Adds the points of each open bucket, which follow each other from position 0, in pairs. A bucket with one point is
/// settled.
fn halve<P: SWCurveConfig>(
    get: impl Fn(usize) -> Affine<P>,
    open: &mut Vec<(usize, usize)>,
    out: &mut Vec<Affine<P>>,
    sums: &mut [Affine<P>],
) {
    let mut additions = Additions::default();
    let mut position = 0;
    open.retain_mut(|(bucket, length)| {
        let end = position + *length;
        if *length == 1 {
            sums[*bucket] = get(position);
            position = end;
            return false;
        }
        for left in (position..end - 1).step_by(2) {
            out.push(get(left));
            let place = out.len() - 1;
            additions.add(out, place, get(left + 1));
            if additions.is_full() {
                additions.settle(out);
            }
        }
        if *length % 2 == 1 {
            out.push(get(end - 1));
        }
        position = end;
        *length = length.div_ceil(2);
        true
    });
    additions.settle(out);
}

#[cfg(test)]
mod tests {
    use super::*;
    use ark_ec::{CurveGroup, PrimeGroup};
    use ark_ff::{Field, UniformRand};

    fn scalars(count: usize) -> Vec<Fr> {
        let mut rng = ark_std::test_rng();
        let mut out = Vec::new();
        for index in 0..count {
            let random = Fr::rand(&mut rng);
            let small = Fr::from(random.into_bigint().0[0] >> (index % 64));
            out.push(match index % 7 {
                0 => Fr::ZERO,
                1 | 2 => Fr::ONE,
                3 => small,
                4 => -small,
                5 => -Fr::ONE,
                _ => random,
            });
        }
        // Both sides of r/2, and r - 1.
        let half = Fr::from_bigint(Fr::MODULUS_MINUS_ONE_DIV_TWO).unwrap();
        out.extend([half, half + Fr::ONE, -Fr::from(2u64), Fr::from(1u64 << 63)]);
        out
    }

    fn agrees<P>(count: usize)
    where
        P: SWCurveConfig<ScalarField = Fr>,
        Affine<P>: Point,
    {
        let scalars = scalars(count);
        let generator = Projective::<P>::generator();
        // Few distinct points, opposite ones and infinity, so that buckets double and cancel.
        let points: Vec<Affine<P>> = (0..scalars.len())
            .map(|index| match index % 11 {
                0 => Affine::identity(),
                1 => (-generator).into_affine(),
                k => (generator * Fr::from((index % (3 * k)) as u64)).into_affine(),
            })
            .collect();
        let mut bytes = Vec::new();
        points.iter().for_each(|point| point.push_montgomery(&mut bytes));
        let integers: Vec<_> = scalars.iter().map(|scalar| scalar.into_bigint()).collect();
        let expected: Projective<P> = points
            .iter()
            .zip(&scalars)
            .map(|(point, scalar)| *point * scalar)
            .sum();
        assert_eq!(msm::<P>(&bytes, &integers, "test").unwrap(), expected);
        let terms: Vec<Term<P>> = points
            .iter()
            .zip(&integers)
            .map(|(point, integer)| term(*point, *integer))
            .collect();
        for width in 2..=MAX_WINDOW {
            let windows = 256 / width + 1;
            let mut total = Projective::<P>::ZERO;
            for window in (0..windows).rev() {
                (0..width).for_each(|_| total = total + total);
                total += window_sum(&terms, window, width);
            }
            assert_eq!(total, expected, "width {width}");
        }
    }

    #[test]
    fn equals_double_and_add() {
        agrees::<g1::Config>(0);
        agrees::<g1::Config>(1);
        agrees::<g1::Config>(300);
        agrees::<g2::Config>(60);
    }

    #[test]
    fn a_coordinate_above_the_field_is_refused() {
        let refusal = msm::<g1::Config>(&[0xff; 64], &[BigInt::one()], "points").unwrap_err();
        assert_eq!(refusal.to_string(), "points: point 0 is malformed");
    }
}
