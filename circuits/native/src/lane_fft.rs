//! The quotient polynomial's values on `lanes`.
//!
//! Element l m + j of a transform of 8 m elements is in lane l of vector j. A transform of decreasing frequency then starts
//! with one of 8 elements over the lanes of each vector and one multiplication by root^(j rev(l)), and goes on with
//! transforms of m elements which all lanes do alike. The reverse mirrors it. No element is moved: the first leaves its output
//! in bit-reversed order, which the second takes.

use std::arch::x86_64::*;

use ark_bn254::Fr;
use ark_ff::{BigInt, FftField, Field};
use rayon::prelude::*;

use crate::lanes::*;

/// Smallest transform that is worth it.
pub const SMALLEST: usize = 64;
/// Vectors below which a transform stays on one thread.
const SERIAL: usize = 1 << 8;
/// Vectors of one task.
const TASK: usize = 1 << 8;
/// rev(l) for three bits.
const REVERSED: [u64; LANES] = [0, 4, 2, 6, 1, 5, 3, 7];

type Limbs = [u64; 5];

/// Tables for one direction.
struct Direction {
    /// Per level of the transform of m, from the whole down: the first half of the powers of its root.
    levels: Vec<Vec<Limbs>>,
    /// root^(j rev(l)).
    twist: Vec<Lanes>,
    /// 1, 1, w, w^2 of the fourth roots (w = 1 for two of them), and of the eighth roots.
    fourth: Lanes,
    eighth: Lanes,
}

/// Tables for transforms of one size.
pub struct Tables {
    size: usize,
    forward: Direction,
    backward: Direction,
    /// (shift^8)^rev(j) and shift^rev(l) / size, where shift^2 is the root.
    scale: Vec<Limbs>,
    lane_scale: Lanes,
}

/// The lanes that hold the values.
#[target_feature(enable = "avx512f,avx512ifma,avx512vbmi2")]
fn from_values(values: [Fr; LANES]) -> Lanes {
    let factor = Fr::from(2u64).pow([260]);
    let words = values.map(|value| ark_ff::PrimeField::into_bigint(value * factor).0);
    unpack(&load(words.each_ref()))
}

fn powers(base: Fr, count: usize) -> Vec<Fr> {
    std::iter::successors(Some(Fr::ONE), |power| Some(*power * base))
        .take(count)
        .collect()
}

/// Vector j of the result is first times step^j.
#[target_feature(enable = "avx512f,avx512ifma,avx512vbmi2")]
fn progression(first: Lanes, step: Lanes, count: usize) -> Vec<Lanes> {
    let mut out = Vec::with_capacity(count);
    let mut current = first;
    for _ in 0..count {
        out.push(current);
        current = product::<Fr>(&current, &step);
    }
    out
}

#[target_feature(enable = "avx512f,avx512ifma,avx512vbmi2")]
fn direction(root: Fr, size: usize) -> Direction {
    let m = size / LANES;
    let mut levels = Vec::new();
    let mut level: Vec<Limbs> = powers(root.pow([LANES as u64]), m / 2)
        .into_iter()
        .map(constant)
        .collect();
    while !level.is_empty() {
        let next = level.iter().copied().step_by(2).take(level.len() / 2).collect();
        levels.push(std::mem::replace(&mut level, next));
    }
    let w = root.pow([m as u64]);
    let one = Fr::ONE;
    let fourth = w.square();
    Direction {
        levels,
        twist: progression(
            from_values([one; LANES]),
            from_values(REVERSED.map(|power| root.pow([power]))),
            m,
        ),
        fourth: from_values([one, one, one, fourth, one, one, one, fourth]),
        eighth: from_values([one, one, one, one, one, w, w.square(), w * w.square()]),
    }
}

impl Tables {
    /// Tables for a power of two of at least `SMALLEST`; `None` when its double is not a domain. The processor must have what
    /// `lanes::available` asks for.
    pub fn new(size: usize) -> Option<Self> {
        // SAFETY: the caller has asked for the instructions.
        unsafe { Self::make(size) }
    }

    #[target_feature(enable = "avx512f,avx512ifma,avx512vbmi2")]
    fn make(size: usize) -> Option<Self> {
        let root = Fr::get_root_of_unity(size as u64)?;
        let shift = Fr::get_root_of_unity(2 * size as u64)?;
        let size_inverse = Fr::from(size as u64).inverse()?;
        let m = size / LANES;
        let unordered: Vec<Limbs> = powers(shift.pow([LANES as u64]), m)
            .into_iter()
            .map(constant)
            .collect();
        let bits = m.ilog2();
        Some(Tables {
            size,
            forward: direction(root, size),
            backward: direction(root.inverse()?, size),
            scale: (0..m)
                .map(|j| unordered[j.reverse_bits() >> (usize::BITS - bits)])
                .collect(),
            lane_scale: from_values(REVERSED.map(|power| shift.pow([power]) * size_inverse)),
        })
    }

    /// The integers of P = a b - c on the odd half of the doubled domain, where a and b are given by their values on the
    /// domain and c is their product there.
    pub fn quotient(&self, a: &[Fr], b: &[Fr]) -> Vec<BigInt<4>> {
        // SAFETY: whoever made the tables has asked for the instructions.
        unsafe { self.quotient_in_lanes(a, b) }
    }

    #[target_feature(enable = "avx512f,avx512ifma,avx512vbmi2")]
    fn quotient_in_lanes(&self, a: &[Fr], b: &[Fr]) -> Vec<BigInt<4>> {
        // The scalar form has the factor 2^256: in the lanes stand a / 16, b / 16 and a b / 256.
        let (mut a, mut b) = (gather(a, self.size), gather(b, self.size));
        let mut c = a.clone();
        c.par_iter_mut().zip(&b).for_each(|(c, b)| {
            *c = product::<Fr>(c, b);
        });
        [&mut a, &mut b, &mut c]
            .into_par_iter()
            .for_each(|values| self.move_to_odd_half(values));
        self.finish(&a, &b, &c)
    }

    #[target_feature(enable = "avx512f,avx512ifma,avx512vbmi2")]
    fn move_to_odd_half(&self, values: &mut [Lanes]) {
        for_each_task(values, &self.backward.twist, |values, twist| {
            spread_lanes(values, twist, &self.backward)
        });
        to_coefficients(values, &self.backward.levels);
        for_each_task(values, &self.scale, |values, scale| {
            scale_all(values, scale, &self.lane_scale)
        });
        to_values(values, &self.forward.levels);
        for_each_task(values, &self.forward.twist, |values, twist| {
            collect_lanes(values, twist, &self.forward)
        });
    }

    fn finish(&self, a: &[Lanes], b: &[Lanes], c: &[Lanes]) -> Vec<BigInt<4>> {
        let m = self.size / LANES;
        let mut out = vec![BigInt([0; 4]); self.size];
        let mut regions: Vec<_> = out.chunks_mut(m).map(|region| region.chunks_mut(TASK)).collect();
        let mut tasks = Vec::new();
        for start in (0..m).step_by(TASK) {
            let slices: Vec<&mut [BigInt<4>]> = regions.iter_mut().filter_map(Iterator::next).collect();
            tasks.push((start, slices));
        }
        tasks.into_par_iter().for_each(|(start, mut slices)| {
            let end = (start + TASK).min(m);
            for j in start..end {
                // SAFETY: this function runs only where the instructions are.
                let rows = unsafe { difference_as_integers(&a[j], &b[j], &c[j]) };
                for (slice, row) in slices.iter_mut().zip(&rows) {
                    slice[j - start] = canonical::<Fr>(row);
                }
            }
        });
        out
    }
}

/// Element l m + j into lane l of vector j, as it stands.
fn gather(values: &[Fr], size: usize) -> Vec<Lanes> {
    let m = size / LANES;
    (0..m)
        .into_par_iter()
        .map(|j| {
            let words: [&[u64; 4]; LANES] = std::array::from_fn(|lane| &values[lane * m + j].0 .0);
            // SAFETY: this function runs only where the instructions are.
            unsafe { unpack(&load(words)) }
        })
        .collect()
}

/// (a b - c) 256 as integers below 1.0001 r.
#[target_feature(enable = "avx512f,avx512ifma,avx512vbmi2")]
fn difference_as_integers(a: &Lanes, b: &Lanes, c: &Lanes) -> [[u64; 4]; LANES] {
    let p = difference::<Fr, 2>(&product::<Fr>(a, b), c);
    rows(pack(&product::<Fr>(&p, &broadcast(&[256, 0, 0, 0, 0]))))
}

fn for_each_task<T: Sync>(values: &mut [Lanes], table: &[T], work: impl Fn(&mut [Lanes], &[T]) + Sync) {
    values
        .par_chunks_mut(TASK)
        .zip(table.par_chunks(TASK))
        .for_each(|(values, table)| work(values, table));
}

/// low + high in the lanes whose bit in `upper` is 0 and low - high in the others, where lanes are paired by `pairs`.
#[inline]
#[target_feature(enable = "avx512f,avx512ifma,avx512vbmi2")]
fn butterfly_lanes(x: &Lanes, pairs: __m512i, upper: u8) -> Lanes {
    let mut out = x.0;
    for (i, out) in out.iter_mut().enumerate() {
        let other = _mm512_permutexvar_epi64(pairs, *out);
        let sum = _mm512_add_epi64(other, *out);
        let both = _mm512_mask_sub_epi64(sum, upper, other, *out);
        *out = _mm512_add_epi64(both, word(Fr::MULTIPLES[i][3]));
    }
    // Inputs are below 1.1 r, so this is in (1.8 r, 5.2 r).
    settled::<Fr>(out)
}

#[inline]
#[target_feature(enable = "avx512f,avx512ifma,avx512vbmi2")]
fn by_four(x: &Lanes) -> Lanes {
    butterfly_lanes(x, _mm512_setr_epi64(4, 5, 6, 7, 0, 1, 2, 3), 0b1111_0000)
}

#[inline]
#[target_feature(enable = "avx512f,avx512ifma,avx512vbmi2")]
fn by_two(x: &Lanes) -> Lanes {
    butterfly_lanes(x, _mm512_setr_epi64(2, 3, 0, 1, 6, 7, 4, 5), 0b1100_1100)
}

#[inline]
#[target_feature(enable = "avx512f,avx512ifma,avx512vbmi2")]
fn by_one(x: &Lanes) -> Lanes {
    butterfly_lanes(x, _mm512_setr_epi64(1, 0, 3, 2, 5, 4, 7, 6), 0b1010_1010)
}

/// The first three levels of decreasing frequency.
#[target_feature(enable = "avx512f,avx512ifma,avx512vbmi2")]
fn spread_lanes(values: &mut [Lanes], twist: &[Lanes], direction: &Direction) {
    for (value, twist) in values.iter_mut().zip(twist) {
        let x = product::<Fr>(&by_four(value), &direction.eighth);
        let x = product::<Fr>(&by_two(&x), &direction.fourth);
        *value = product::<Fr>(&by_one(&x), twist);
    }
}

/// The last three levels of increasing frequency.
#[target_feature(enable = "avx512f,avx512ifma,avx512vbmi2")]
fn collect_lanes(values: &mut [Lanes], twist: &[Lanes], direction: &Direction) {
    for (value, twist) in values.iter_mut().zip(twist) {
        let x = by_one(&product::<Fr>(value, twist));
        let x = by_two(&product::<Fr>(&x, &direction.fourth));
        *value = by_four(&product::<Fr>(&x, &direction.eighth));
    }
}

#[target_feature(enable = "avx512f,avx512ifma,avx512vbmi2")]
fn scale_all(values: &mut [Lanes], scale: &[Limbs], lane_scale: &Lanes) {
    for (value, scale) in values.iter_mut().zip(scale) {
        *value = product::<Fr>(&product::<Fr>(value, &broadcast(scale)), lane_scale);
    }
}

/// Decreasing frequency over the vectors: natural order in, bit-reversed order out.
#[target_feature(enable = "avx512f,avx512ifma,avx512vbmi2")]
fn to_coefficients(values: &mut [Lanes], levels: &[Vec<Limbs>]) {
    let Some((roots, rest)) = levels.split_first() else {
        return;
    };
    let (low, high) = values.split_at_mut(values.len() / 2);
    each(low, high, roots, decreasing);
    both(low, high, |part| to_coefficients(part, rest));
}

/// Increasing frequency over the vectors: bit-reversed order in, natural order out.
#[target_feature(enable = "avx512f,avx512ifma,avx512vbmi2")]
fn to_values(values: &mut [Lanes], levels: &[Vec<Limbs>]) {
    let Some((roots, rest)) = levels.split_first() else {
        return;
    };
    let (low, high) = values.split_at_mut(values.len() / 2);
    both(low, high, |part| to_values(part, rest));
    each(low, high, roots, increasing);
}

/// a, b -> a + b, (a - b) root. Values are below 1.1 r before and after.
#[target_feature(enable = "avx512f,avx512ifma,avx512vbmi2")]
fn decreasing(low: &mut [Lanes], high: &mut [Lanes], roots: &[Limbs]) {
    let offset = broadcast(&Fr::MULTIPLES.map(|limb| limb[2]));
    for ((a, b), root) in low.iter_mut().zip(high).zip(roots) {
        let apart = difference::<Fr, 2>(a, b);
        *a = settled::<Fr>(raw_sum(&raw_sum(&a.0, &b.0), &offset.0));
        *b = product::<Fr>(&apart, &broadcast(root));
    }
}

/// a, b -> a + b root, a - b root. Values are below 1.1 r before and after.
#[target_feature(enable = "avx512f,avx512ifma,avx512vbmi2")]
fn increasing(low: &mut [Lanes], high: &mut [Lanes], roots: &[Limbs]) {
    let offset = broadcast(&Fr::MULTIPLES.map(|limb| limb[2]));
    for ((a, b), root) in low.iter_mut().zip(high).zip(roots) {
        let turned = product::<Fr>(b, &broadcast(root));
        *b = settled::<Fr>(raw_difference::<Fr, 3>(&a.0, &turned.0));
        *a = settled::<Fr>(raw_sum(&raw_sum(&a.0, &turned.0), &offset.0));
    }
}

fn both(low: &mut [Lanes], high: &mut [Lanes], work: impl Fn(&mut [Lanes]) + Sync) {
    if low.len() < SERIAL {
        work(low);
        work(high);
    } else {
        rayon::join(|| work(low), || work(high));
    }
}

/// One layer of butterflies.
#[target_feature(enable = "avx512f,avx512ifma,avx512vbmi2")]
fn each(
    low: &mut [Lanes],
    high: &mut [Lanes],
    roots: &[Limbs],
    layer: unsafe fn(&mut [Lanes], &mut [Lanes], &[Limbs]),
) {
    if low.len() > SERIAL {
        low.par_chunks_mut(SERIAL)
            .zip(high.par_chunks_mut(SERIAL))
            .zip(roots.par_chunks(SERIAL))
            // SAFETY: this function runs only where the instructions are.
            .for_each(|((low, high), roots)| unsafe { layer(low, high, roots) });
    } else {
        // SAFETY: as above.
        unsafe { layer(low, high, roots) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fft::OddHalf;
    use ark_ff::{AdditiveGroup, UniformRand};

    #[test]
    fn equals_the_portable_transform() {
        let mut rng = ark_std::test_rng();
        for bits in [6, 7, 10, 13] {
            if !available() {
                return;
            }
            let size = 1usize << bits;
            let mut random = || -> Vec<Fr> { (0..size).map(|_| Fr::rand(&mut rng)).collect() };
            let (mut a, mut b) = (random(), random());
            a[..8].fill(Fr::ZERO);
            b[3..20].fill(-Fr::ONE);
            let found = Tables::new(size).unwrap().quotient(&a, &b);
            assert!(found == OddHalf::new(size).unwrap().quotient(a, b), "size {size}");
        }
    }
}
