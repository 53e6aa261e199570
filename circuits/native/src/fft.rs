//! From the values on a domain to the values on its odd half: an inverse transform, a scaling and a transform, without
//! reordering between them (the first leaves its output in bit-reversed order, which the second takes).

use ark_bn254::Fr;
use ark_ff::{BigInt, FftField, Field, PrimeField};
use rayon::prelude::*;
use zeroize::Zeroizing;

use crate::error::Result;
use crate::invalid;
#[cfg(target_arch = "x86_64")]
use crate::{lane_fft, lanes};

/// Below this length a transform stays on one thread.
const SERIAL: usize = 1 << 11;

/// The quotient polynomial's values for one size of domain, in the fastest way that the processor has.
pub enum Quotient {
    Portable(OddHalf),
    #[cfg(target_arch = "x86_64")]
    Lanes(Box<lane_fft::Tables>),
}

impl Quotient {
    /// Refuses a size that is not a power of two or whose double is not a domain.
    pub fn new(size: usize) -> Result<Self> {
        #[cfg(target_arch = "x86_64")]
        if size.is_power_of_two() && size >= lane_fft::SMALLEST && lanes::available() {
            return match lane_fft::Tables::new(size) {
                Some(tables) => Ok(Quotient::Lanes(Box::new(tables))),
                None => no_domain(size),
            };
        }
        Ok(Quotient::Portable(OddHalf::new(size)?))
    }

    /// The integers of P = a b - c on the odd half of the doubled domain, where a and b are given by their values on the
    /// domain and c is their product there.
    pub fn of(&self, a: Vec<Fr>, b: Vec<Fr>) -> Vec<BigInt<4>> {
        match self {
            Quotient::Portable(tables) => tables.quotient(a, b),
            #[cfg(target_arch = "x86_64")]
            Quotient::Lanes(tables) => {
                let (a, b) = (Zeroizing::new(a), Zeroizing::new(b));
                tables.quotient(&a, &b)
            }
        }
    }
}

fn no_domain<T>(size: usize) -> Result<T> {
    invalid!("there is no evaluation domain of {size} rows and its double")
}

/// Tables for the domain of one size.
pub struct OddHalf {
    /// Per level, from the whole domain down: the first half of the powers of that level's root.
    roots: Vec<Vec<Fr>>,
    /// The same for the inverse root.
    inverse_roots: Vec<Vec<Fr>>,
    /// shift^i / size at the bit-reversed place of i, where shift^2 is the root.
    scale: Vec<Fr>,
}

impl OddHalf {
    /// Tables for a power of two. Refuses one whose double is not a domain.
    pub fn new(size: usize) -> Result<Self> {
        if !size.is_power_of_two() {
            return invalid!("an evaluation domain of {size} rows is not a power of two");
        }
        let (Some(root), Some(shift), Some(size_inverse)) = (
            Fr::get_root_of_unity(size as u64),
            Fr::get_root_of_unity(2 * size as u64),
            Fr::from(size as u64).inverse(),
        ) else {
            return no_domain(size);
        };
        let inverse_root = root.inverse().unwrap_or(Fr::ONE);
        let bits = size.ilog2();
        let powers = powers(shift, size_inverse, size);
        let scale = (0..size)
            .map(|place| {
                powers[if bits == 0 {
                    0
                } else {
                    place.reverse_bits() >> (usize::BITS - bits)
                }]
            })
            .collect();
        let (roots, inverse_roots) = rayon::join(|| levels(root, size), || levels(inverse_root, size));
        Ok(OddHalf {
            roots,
            inverse_roots,
            scale,
        })
    }

    /// The integers of P = a b - c on the odd half of the doubled domain, where a and b are given by their values on the
    /// domain and c is their product there.
    pub fn quotient(&self, a: Vec<Fr>, b: Vec<Fr>) -> Vec<BigInt<4>> {
        let c: Vec<Fr> = a.par_iter().zip(&b).map(|(a, b)| *a * b).collect();
        let mut sides = Zeroizing::new([a, b, c]);
        sides.par_iter_mut().for_each(|values| self.move_to(values));
        let [a, b, c] = &*sides;
        a.par_iter()
            .zip(b)
            .zip(c)
            .map(|((a, b), c)| (*a * b - c).into_bigint())
            .collect()
    }

    /// Replaces values at root^i by those at shift root^i of the same polynomial.
    pub fn move_to(&self, values: &mut [Fr]) {
        to_coefficients(values, &self.inverse_roots);
        values
            .iter_mut()
            .zip(&self.scale)
            .for_each(|(value, scale)| *value *= scale);
        to_values(values, &self.roots);
    }
}

/// first base^i for i < count.
fn powers(base: Fr, first: Fr, count: usize) -> Vec<Fr> {
    let mut out = Vec::with_capacity(count);
    let mut power = first;
    for _ in 0..count {
        out.push(power);
        power *= base;
    }
    out
}

fn levels(root: Fr, size: usize) -> Vec<Vec<Fr>> {
    let mut out = Vec::new();
    let mut level = powers(root, Fr::ONE, size / 2);
    while !level.is_empty() {
        let next = level.iter().copied().step_by(2).take(level.len() / 2).collect();
        out.push(std::mem::replace(&mut level, next));
    }
    out
}

/// Decimation in frequency: natural order in, bit-reversed order out, not divided by the size.
fn to_coefficients(values: &mut [Fr], levels: &[Vec<Fr>]) {
    let Some((roots, rest)) = levels.split_first() else {
        return;
    };
    let half = values.len() / 2;
    let (low, high) = values.split_at_mut(half);
    each(low, high, roots, &|a, b, root| {
        let difference = *a - *b;
        *a += &*b;
        *b = difference * root;
    });
    both(low, high, |part| to_coefficients(part, rest));
}

/// Decimation in time: bit-reversed order in, natural order out.
fn to_values(values: &mut [Fr], levels: &[Vec<Fr>]) {
    let Some((roots, rest)) = levels.split_first() else {
        return;
    };
    let half = values.len() / 2;
    let (low, high) = values.split_at_mut(half);
    both(low, high, |part| to_values(part, rest));
    each(low, high, roots, &|a, b, root| {
        let product = *b * root;
        *b = *a - product;
        *a += product;
    });
}

fn both(low: &mut [Fr], high: &mut [Fr], work: impl Fn(&mut [Fr]) + Sync) {
    if low.len() < SERIAL {
        work(low);
        work(high);
    } else {
        rayon::join(|| work(low), || work(high));
    }
}

/// One layer of butterflies.
fn each(low: &mut [Fr], high: &mut [Fr], roots: &[Fr], butterfly: &(impl Fn(&mut Fr, &mut Fr, &Fr) + Sync)) {
    if low.len() > SERIAL {
        let half = low.len() / 2;
        let ((a, b), (c, d)) = (low.split_at_mut(half), high.split_at_mut(half));
        let (first, second) = roots.split_at(half);
        rayon::join(|| each(a, c, first, butterfly), || each(b, d, second, butterfly));
    } else {
        for ((a, b), root) in low.iter_mut().zip(high).zip(roots) {
            butterfly(a, b, root);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ark_ff::{AdditiveGroup, UniformRand};

    /// Against Horner at each point, for polynomials of up to 20 coefficients.
    #[test]
    fn equals_evaluation_at_the_odd_half() {
        let mut rng = ark_std::test_rng();
        for size in [1usize, 2, 4, 8, 1 << 5, 1 << 13] {
            let coefficients: Vec<Fr> = (0..size.min(20)).map(|_| Fr::rand(&mut rng)).collect();
            let at = |x: Fr| coefficients.iter().rev().fold(Fr::ZERO, |sum, c| sum * x + c);
            let root = Fr::get_root_of_unity(size as u64).unwrap();
            let shift = Fr::get_root_of_unity(2 * size as u64).unwrap();
            let mut values: Vec<Fr> = powers(root, Fr::ONE, size).into_iter().map(at).collect();
            OddHalf::new(size).unwrap().move_to(&mut values);
            let expected: Vec<Fr> = powers(root, shift, size).into_iter().map(at).collect();
            assert!(values == expected, "size {size}");
        }
    }

    #[test]
    fn a_size_without_a_doubled_domain_is_refused() {
        assert!(OddHalf::new(1 << 28).is_err());
        assert!(OddHalf::new(3).is_err());
    }
}
