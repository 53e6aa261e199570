//! Transforms of vectors whose entries can be added and multiplied by field elements: the elements themselves, or points.

use std::ops::{Add, Mul, Sub};

use ark_bn254::Fr;
use ark_ff::{FftField, Field};
use rayon::prelude::*;

use crate::error::Result;
use crate::invalid;

/// Butterflies per parallel task.
const TASK: usize = 64;

pub trait Vector:
    Copy + Send + Sync + Add<Output = Self> + Sub<Output = Self> + Mul<Fr, Output = Self>
{
}

impl<T: Copy + Send + Sync + Add<Output = T> + Sub<Output = T> + Mul<Fr, Output = T>> Vector for T {}

/// A root of unity of order `size`. Refuses a size that has none.
pub fn root(size: usize) -> Result<Fr> {
    match Fr::get_root_of_unity(size as u64) {
        Some(root) if size.is_power_of_two() => Ok(root),
        _ => invalid!("there is no evaluation domain of {size} rows"),
    }
}

/// first base^i for i < count.
pub fn powers(first: Fr, base: Fr, count: usize) -> Vec<Fr> {
    let next = |value: &Fr| Some(*value * base);
    std::iter::successors(Some(first), next).take(count).collect()
}

/// values_i becomes sum_j values_j root^(-ij), not divided by the size. `step` is told of each layer's work.
pub fn inverse<T: Vector>(values: &mut [T], step: &mut dyn FnMut(usize) -> Result<()>) -> Result<()> {
    let size = values.len();
    let bits = size.trailing_zeros();
    let inverse_root = root(size)?.inverse().unwrap_or(Fr::ONE);
    let roots = powers(Fr::ONE, inverse_root, size / 2);
    for place in 0..size {
        let other = if bits == 0 {
            0
        } else {
            place.reverse_bits() >> (usize::BITS - bits)
        };
        if place < other {
            values.swap(place, other);
        }
    }
    let mut half = 1;
    while half < size {
        let stride = size / (2 * half);
        values.par_chunks_mut(2 * half).for_each(|block| {
            let (low, high) = block.split_at_mut(half);
            low.par_iter_mut()
                .zip(high)
                .enumerate()
                .with_min_len(TASK)
                .for_each(|(index, (a, b))| {
                    let product = if index == 0 {
                        *b
                    } else {
                        *b * roots[index * stride]
                    };
                    *b = *a - product;
                    *a = *a + product;
                });
        });
        step(size / 2)?;
        half *= 2;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use ark_bn254::G1Projective;
    use ark_ec::PrimeGroup;
    use ark_ff::{AdditiveGroup, UniformRand};

    #[test]
    fn equals_the_definition_on_elements_and_on_points() {
        let mut rng = ark_std::test_rng();
        for size in [1usize, 2, 8, 256] {
            let given: Vec<Fr> = (0..size).map(|_| Fr::rand(&mut rng)).collect();
            let root = root(size).unwrap().inverse().unwrap();
            let expected: Vec<Fr> = (0..size)
                .map(|i| {
                    let x = root.pow([i as u64]);
                    given.iter().rev().fold(Fr::ZERO, |sum, c| sum * x + c)
                })
                .collect();
            let mut values = given.clone();
            inverse(&mut values, &mut |_| Ok(())).unwrap();
            assert_eq!(values, expected);
            let g = G1Projective::generator();
            let mut points: Vec<G1Projective> = given.iter().map(|value| g * value).collect();
            inverse(&mut points, &mut |_| Ok(())).unwrap();
            assert!(points
                .iter()
                .zip(&expected)
                .all(|(point, value)| *point == g * value));
        }
        assert!(root(3).is_err());
    }
}
