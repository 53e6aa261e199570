//! Poseidon over the scalar field of BN254 with circomlib's constants. The reference is `circuits/poseidon.py`.

use std::sync::OnceLock;

use ark_bn254::Fr;
use ark_ff::{BigInt, Field, PrimeField, Zero};
use rayon::prelude::*;

use crate::error::Result;
use crate::invalid;

pub const MAX_ARITY: usize = 16;
const ROUNDS_FULL: usize = 8;
/// Partial rounds for width 2..=17, from circomlib.
const ROUNDS_PARTIAL: [usize; MAX_ARITY] = [56, 57, 56, 60, 60, 63, 64, 63, 60, 66, 60, 65, 70, 60, 64, 68];
const FIELD_BITS: usize = 254;

/// The self-shrinking Grain LFSR of the Poseidon paper (appendix E).
struct Grain {
    state: u128,
}

impl Grain {
    fn new(width: usize, rounds_full: usize, rounds_partial: usize) -> Self {
        let fields = [
            (1, 2),
            (0, 4),
            (FIELD_BITS, 12),
            (width, 12),
            (rounds_full, 10),
            (rounds_partial, 10),
            ((1 << 30) - 1, 30),
        ];
        let mut state = 0u128;
        let mut position = 0;
        for (value, bits) in fields {
            for bit in (0..bits).rev() {
                state |= ((value >> bit & 1) as u128) << position;
                position += 1;
            }
        }
        let mut grain = Grain { state };
        for _ in 0..160 {
            grain.raw_bit();
        }
        grain
    }

    fn raw_bit(&mut self) -> bool {
        let s = self.state;
        let new = (s >> 62 ^ s >> 51 ^ s >> 38 ^ s >> 23 ^ s >> 13 ^ s) & 1;
        self.state = s >> 1 | new << 79;
        new == 1
    }

    fn bit(&mut self) -> bool {
        while !self.raw_bit() {
            self.raw_bit();
        }
        self.raw_bit()
    }

    fn integer(&mut self) -> BigInt<4> {
        let mut limbs = [0u64; 4];
        for position in (0..FIELD_BITS).rev() {
            limbs[position / 64] |= (self.bit() as u64) << (position % 64);
        }
        BigInt(limbs)
    }

    /// The next integer below the modulus; larger ones are skipped.
    fn element(&mut self) -> Fr {
        loop {
            if let Some(value) = Fr::from_bigint(self.integer()) {
                return value;
            }
        }
    }

    /// The next integer, reduced (it is below 2r).
    fn element_reduced(&mut self) -> Fr {
        use ark_ff::BigInteger;
        Fr::from_le_bytes_mod_order(&self.integer().to_bytes_le())
    }
}

/// The permutation of one width.
struct Permutation {
    width: usize,
    rounds_partial: usize,
    constants: Vec<Fr>,
    mds: Vec<Fr>,
}

impl Permutation {
    fn new(width: usize) -> Self {
        let rounds_partial = ROUNDS_PARTIAL[width - 2];
        let mut grain = Grain::new(width, ROUNDS_FULL, rounds_partial);
        let rounds = ROUNDS_FULL + rounds_partial;
        let constants = (0..rounds * width).map(|_| grain.element()).collect();
        let mds = loop {
            let points: Vec<Fr> = (0..2 * width).map(|_| grain.element_reduced()).collect();
            let distinct = (0..2 * width).all(|i| !points[..i].contains(&points[i]));
            let (xs, ys) = points.split_at(width);
            let inverses: Option<Vec<Fr>> = xs
                .iter()
                .flat_map(|x| ys.iter().map(move |y| (*x + y).inverse()))
                .collect();
            if let (true, Some(mds)) = (distinct, inverses) {
                break mds;
            }
        };
        Permutation {
            width,
            rounds_partial,
            constants,
            mds,
        }
    }

    /// The first element of the permuted state.
    fn hash(&self, inputs: &[Fr], state: &mut Vec<Fr>, next: &mut Vec<Fr>) -> Fr {
        state.clear();
        state.push(Fr::zero());
        state.extend_from_slice(inputs);
        let half = ROUNDS_FULL / 2;
        for (round, constants) in self.constants.chunks_exact(self.width).enumerate() {
            state.iter_mut().zip(constants).for_each(|(x, c)| *x += c);
            let full = round < half || round >= half + self.rounds_partial;
            let boxed = if full { self.width } else { 1 };
            for x in &mut state[..boxed] {
                *x *= x.square().square();
            }
            next.clear();
            next.extend(
                self.mds
                    .chunks_exact(self.width)
                    .map(|row| row.iter().zip(state.iter()).map(|(m, x)| *m * x).sum::<Fr>()),
            );
            std::mem::swap(state, next);
        }
        state[0]
    }
}

fn permutation(arity: usize) -> &'static Permutation {
    static CACHE: [OnceLock<Permutation>; MAX_ARITY] = [const { OnceLock::new() }; MAX_ARITY];
    CACHE[arity - 1].get_or_init(|| Permutation::new(arity + 1))
}

/// Hashes consecutive groups of `arity` inputs, in parallel.
pub fn batch(arity: usize, inputs: &[Fr]) -> Result<Vec<Fr>> {
    if !(1..=MAX_ARITY).contains(&arity) {
        return invalid!("Poseidon arity {arity} is not supported: use 1 to {MAX_ARITY}");
    }
    if !inputs.len().is_multiple_of(arity) {
        return invalid!(
            "Poseidon of arity {arity}: {} elements do not divide into groups",
            inputs.len()
        );
    }
    let permutation = permutation(arity);
    Ok(inputs
        .par_chunks_exact(arity)
        .map_init(
            || (Vec::with_capacity(17), Vec::with_capacity(17)),
            |(state, next), group| permutation.hash(group, state, next),
        )
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::str::FromStr;

    /// Value published by circomlibjs: poseidon([1, 2]).
    #[test]
    fn known_value() {
        let out = batch(2, &[Fr::from(1), Fr::from(2)]).ok();
        let known =
            Fr::from_str("7853200120776062878684798364095072458815029376092732009249414926327459813530");
        assert_eq!(out, known.ok().map(|value| vec![value]));
    }

    #[test]
    fn other_arities_are_refused() {
        assert!(batch(0, &[]).is_err());
        assert!(batch(17, &[]).is_err());
        assert!(batch(2, &[Fr::from(1)]).is_err());
    }
}
