//! The sum of points times scalars on `lanes`: Pippenger's buckets with signed digits.
//!
//! The points of a window are sorted by bucket and each bucket is added up in pairs, round by round, so that every addition
//! of a round shares the inversion of a batch. A run of buckets is worked on at a time, so that the rounds stay in the
//! cache. The buckets are then weighted in segments side by side.

use ark_bn254::{Fq, Fr};
use ark_ec::short_weierstrass::{Affine, Projective, SWCurveConfig};
use ark_ff::{AdditiveGroup, BigInt, BigInteger, Field};
use rayon::prelude::*;

use crate::error::Result;
use crate::field;
use crate::invalid;
use crate::lane_packed::{convert, Packed, NEGATED};
use crate::lane_points::{Adder, Job};
use crate::msm::{digit, magnitude, reach_of, window_width};
use crate::points::Point;

const MAX_WINDOW: usize = 15;
/// Cost of adding one bucket into the weighted sum, in additions of points.
const BUCKET_COST: usize = 3;
/// Entries whose rounds are done together, at least, in G1; in G2 half as many take the same space.
const RUN: usize = 1 << 15;
const POINTS_PER_TASK: usize = 1 << 12;

/// Points with the magnitudes of their scalars, longest first. A marked point is to be negated.
struct Terms<const D: usize> {
    points: Vec<Packed<D>>,
    magnitudes: Vec<BigInt<4>>,
    /// How many magnitudes have k bits or more.
    reach: [usize; 257],
}

/// The sum of scalars[i] times the i-th point of `bytes`; D is 1 for G1 and 2 for G2. The processor must have what
/// `lanes::available` asks for.
pub fn sum<P, const D: usize>(bytes: &[u8], scalars: &[BigInt<4>], label: &str) -> Result<Projective<P>>
where
    P: SWCurveConfig<ScalarField = Fr>,
    P::BaseField: Field<BasePrimeField = Fq>,
    Affine<P>: Point,
{
    let terms = terms::<D>(bytes, scalars, label)?;
    let width = window_width(&terms.reach, MAX_WINDOW, BUCKET_COST);
    let windows = (0..=256 / width)
        .take_while(|&window| reach_of(&terms.reach, window, width) > 0)
        .count();
    let sums: Vec<Projective<P>> = (0..windows)
        .into_par_iter()
        .with_max_len(1)
        .map(|window| window_sum::<P, D>(&terms, window, width))
        .collect();
    let mut total = Projective::<P>::ZERO;
    for sum in sums.iter().rev() {
        for _ in 0..width {
            total.double_in_place();
        }
        total += sum;
    }
    Ok(total)
}

fn terms<const D: usize>(bytes: &[u8], scalars: &[BigInt<4>], label: &str) -> Result<Terms<D>> {
    let size = 2 * D * field::BYTES;
    let bits: Vec<u16> = bytes
        .par_chunks_exact(size)
        .zip(scalars)
        .map(|(point, scalar)| {
            if scalar.is_zero() || point.iter().all(|byte| *byte == 0) {
                0
            } else {
                magnitude(scalar).0.num_bits() as u16
            }
        })
        .collect();
    let mut reach = [0usize; 257];
    bits.iter().for_each(|&bits| reach[bits as usize] += 1);
    reach[0] = 0;
    for k in (0..256).rev() {
        reach[k] += reach[k + 1];
    }
    let mut next: Vec<usize> = (0..256).map(|k| reach[k + 1]).collect();
    let mut order = vec![0u32; reach[1]];
    for (index, &bits) in bits.iter().enumerate() {
        if bits > 0 {
            order[next[bits as usize]] = index as u32;
            next[bits as usize] += 1;
        }
    }
    let mut points = vec![Packed::INFINITY; order.len()];
    points
        .par_chunks_mut(POINTS_PER_TASK)
        .zip(order.par_chunks(POINTS_PER_TASK))
        .try_for_each(|(points, order)| {
            for (point, &index) in points.iter_mut().zip(order) {
                let start = index as usize * size;
                match take::<D>(&bytes[start..start + size]) {
                    Some(taken) => *point = taken,
                    None => return invalid!("{label}: point {index} is malformed"),
                }
            }
            convert(points);
            for (point, &index) in points.iter_mut().zip(order) {
                if magnitude(&scalars[index as usize]).1 {
                    *point = point.signed(NEGATED);
                }
            }
            Ok(())
        })?;
    let magnitudes = order
        .par_iter()
        .map(|&index| magnitude(&scalars[index as usize]).0)
        .collect();
    Ok(Terms {
        points,
        magnitudes,
        reach,
    })
}

/// The coordinates as they stand; `None` when one is not below q.
fn take<const D: usize>(bytes: &[u8]) -> Option<Packed<D>> {
    use ark_ff::PrimeField;
    let mut words = bytes.chunks_exact(field::BYTES).map(|word| {
        let limbs = field::limbs(word)?;
        (limbs < Fq::MODULUS).then_some(limbs.0)
    });
    let mut out = Packed::INFINITY;
    for coordinate in [&mut out.x, &mut out.y] {
        for part in coordinate {
            *part = words.next()??;
        }
    }
    Some(out)
}

/// The sum over the terms of digit times point.
fn window_sum<P, const D: usize>(terms: &Terms<D>, window: usize, width: usize) -> Projective<P>
where
    P: SWCurveConfig<ScalarField = Fr>,
    P::BaseField: Field<BasePrimeField = Fq>,
{
    let count = reach_of(&terms.reach, window, width);
    let n_buckets = 1usize << (width - 1);
    let mut starts = vec![0u32; n_buckets + 2];
    let digits: Vec<i16> = terms.magnitudes[..count]
        .iter()
        .map(|magnitude| {
            let digit = digit(magnitude, window, width);
            starts[digit.unsigned_abs() as usize] += 1;
            digit as i16
        })
        .collect();
    // Bucket d has the place d - 1.
    let mut place = 0;
    starts[0] = 0;
    for start in &mut starts {
        (*start, place) = (place, place + *start);
    }
    let mut next = starts.clone();
    let mut entries = vec![0u32; place as usize];
    for (index, &digit) in digits.iter().enumerate() {
        if digit != 0 {
            let next = &mut next[digit.unsigned_abs() as usize];
            entries[*next as usize] = index as u32 | if digit < 0 { NEGATED } else { 0 };
            *next += 1;
        }
    }
    let mut adder = Adder::default();
    let sums = bucket_sums::<P, D>(&mut adder, &terms.points, &entries, &starts[1..]);
    weighted::<P, D>(&mut adder, sums)
}

/// The sum of each bucket: bucket b has entries[starts[b]..starts[b + 1]].
fn bucket_sums<P, const D: usize>(
    adder: &mut Adder<D>,
    points: &[Packed<D>],
    entries: &[u32],
    starts: &[u32],
) -> Vec<Packed<D>>
where
    P: SWCurveConfig<ScalarField = Fr>,
    P::BaseField: Field<BasePrimeField = Fq>,
{
    let n_buckets = starts.len() - 1;
    let mut sums = vec![Packed::INFINITY; n_buckets];
    let (mut from, mut to): (Vec<Packed<D>>, Vec<Packed<D>>) = (Vec::new(), Vec::new());
    let mut round = Round::default();
    let mut first = 0;
    while first < n_buckets {
        let mut end = first;
        round.begin();
        while end < n_buckets && (starts[end] - starts[first]) < (RUN / D) as u32 {
            let entries = &entries[starts[end] as usize..starts[end + 1] as usize];
            if let [only] = entries {
                sums[end] = points[(only & !NEGATED) as usize].signed(*only);
            } else if !entries.is_empty() {
                round.pair_up(end, entries.len(), |index| entries[index]);
            }
            end += 1;
        }
        first = end;
        round.finish::<P, D>(adder, points, &mut from);
        while !round.open.is_empty() {
            let open = std::mem::take(&mut round.open);
            round.begin();
            let mut place = 0u32;
            for (bucket, length) in open {
                if length == 1 {
                    sums[bucket] = from[place as usize];
                } else {
                    round.pair_up(bucket, length, |index| place + index as u32);
                }
                place += length as u32;
            }
            round.finish::<P, D>(adder, &from, &mut to);
            std::mem::swap(&mut from, &mut to);
        }
    }
    sums
}

/// One round of additions in pairs.
#[derive(Default)]
struct Round {
    jobs: Vec<Job>,
    /// Entries without a partner, and where they go.
    alone: Vec<(u32, u32)>,
    places: u32,
    /// Buckets that this round leaves, with the number of their points, which follow each other from place 0.
    open: Vec<(usize, usize)>,
}

impl Round {
    fn begin(&mut self) {
        self.jobs.clear();
        self.alone.clear();
        self.open.clear();
        self.places = 0;
    }

    #[inline]
    fn pair_up(&mut self, bucket: usize, length: usize, entry: impl Fn(usize) -> u32) {
        for index in (1..length).step_by(2) {
            self.jobs.push(Job {
                left: entry(index - 1),
                right: entry(index),
                to: self.places,
            });
            self.places += 1;
        }
        if length % 2 == 1 {
            self.alone.push((entry(length - 1), self.places));
            self.places += 1;
        }
        self.open.push((bucket, length.div_ceil(2)));
    }

    fn finish<P, const D: usize>(&self, adder: &mut Adder<D>, source: &[Packed<D>], out: &mut Vec<Packed<D>>)
    where
        P: SWCurveConfig<ScalarField = Fr>,
        P::BaseField: Field<BasePrimeField = Fq>,
    {
        if out.len() < self.places as usize {
            out.resize(self.places as usize, Packed::INFINITY);
        }
        adder.run::<P>(source, &self.jobs, out);
        for &(entry, place) in &self.alone {
            out[place as usize] = source[(entry & !NEGATED) as usize].signed(entry);
        }
    }
}

/// sum of (b + 1) sums[b]. In segments of equal length, side by side: with j the place in segment s of length L it is the sum
/// over s of sum_j (j + 1) B_sj + s L sum_j B_sj.
fn weighted<P, const D: usize>(adder: &mut Adder<D>, sums: Vec<Packed<D>>) -> Projective<P>
where
    P: SWCurveConfig<ScalarField = Fr>,
    P::BaseField: Field<BasePrimeField = Fq>,
{
    // The segments are summed one by one at the end, so there should be fewer of them where that costs more.
    let segments = (sums.len() / 16).clamp(1, 256 / D);
    let length = sums.len() / segments;
    // Running sums from the top of each segment, then their sums, then the buckets.
    let mut state = vec![Packed::INFINITY; 2 * segments];
    state.extend(sums);
    let bucket = |segment: usize, j: usize| 2 * segments + segment * length + j;
    for segment in 0..segments {
        state[segment] = state[bucket(segment, length - 1)];
    }
    let mut out = vec![Packed::INFINITY; 2 * segments];
    for j in (0..length).rev() {
        let add = |left: usize, right: usize| Job {
            left: left as u32,
            right: right as u32,
            to: left as u32,
        };
        let mut jobs: Vec<Job> = (0..segments)
            .map(|segment| add(segments + segment, segment))
            .collect();
        if j > 0 {
            jobs.extend((0..segments).map(|segment| add(segment, bucket(segment, j - 1))));
        }
        adder.run::<P>(&state, &jobs, &mut out);
        for job in &jobs {
            state[job.to as usize] = out[job.to as usize];
        }
    }
    let mut running = Projective::<P>::ZERO;
    let mut total = Projective::<P>::ZERO;
    for segment in (1..segments).rev() {
        running += state[segment].to_affine::<P>();
        total += &running;
    }
    for _ in 0..length.ilog2() {
        total.double_in_place();
    }
    for sum in &state[segments..2 * segments] {
        total += sum.to_affine::<P>();
    }
    total
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lanes::available;
    use ark_bn254::{g1, g2};
    use ark_ec::{AffineRepr, CurveGroup, VariableBaseMSM};
    use ark_ff::{PrimeField, UniformRand};

    /// Against the sum of arkworks, in full and in small scalars, with few and many distinct points.
    fn agrees<P, const D: usize>(count: usize, distinct: usize)
    where
        P: SWCurveConfig<ScalarField = Fr>,
        P::BaseField: Field<BasePrimeField = Fq>,
        Affine<P>: Point,
    {
        let mut rng = ark_std::test_rng();
        let mut points = vec![Affine::<P>::identity(), Affine::<P>::generator()];
        while points.len() < distinct {
            points.push((points[points.len() - 1] * Fr::rand(&mut rng)).into_affine());
        }
        let points: Vec<_> = (0..count).map(|index| points[index * 7 % distinct]).collect();
        let mut bytes = Vec::new();
        points.iter().for_each(|point| point.push_montgomery(&mut bytes));
        for kind in 0..4 {
            let scalars: Vec<BigInt<4>> = (0..count)
                .map(|index| {
                    let random = Fr::rand(&mut rng).into_bigint();
                    match (kind, index % 5) {
                        (0, _) => random,
                        (1, _) => BigInt::from(random.0[0] & 1),
                        (2, _) => BigInt::from(random.0[0] >> (index % 64)),
                        (_, 0) => BigInt::zero(),
                        (_, 1) => (-Fr::from(random.0[0] & 7)).into_bigint(),
                        _ => random,
                    }
                })
                .collect();
            let expected = Projective::<P>::msm_bigint(&points, &scalars);
            let found = sum::<P, D>(&bytes, &scalars, "test").unwrap();
            assert_eq!(found, expected, "{count} points, kind {kind}");
        }
    }

    #[test]
    fn equals_the_sum_of_arkworks() {
        if available() {
            for count in [0, 1, 2, 7, 8, 9, 300] {
                agrees::<g1::Config, 1>(count, 5);
                agrees::<g1::Config, 1>(count, 200);
            }
            agrees::<g1::Config, 1>(40_000, 500);
            agrees::<g2::Config, 2>(2, 3);
            agrees::<g2::Config, 2>(700, 100);
        }
    }
}
