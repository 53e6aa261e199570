//! A pattern of the witness program run for eight blocks at a time on `lanes`.
//!
//! With p the field's order: inputs and products are kept below 1.2p and combinations, of which none has more than
//! `MOST_TERMS` terms, below 4p. See `lanes` for what a product of such values is below.

use std::arch::x86_64::*;
use std::sync::Arc;

use ark_bn254::Fr;
use ark_ff::{BigInt, Field, PrimeField};

use crate::blocks::Pattern;
use crate::lanes::*;
use crate::matrix::{Term, ONE};
use crate::program::rest;

/// 1 + 0.012 x 1.2 x 192 < 4, and a column of 64 bits takes ten products of 52 bits for each term.
const MOST_TERMS: usize = 192;

type Limbs = [u64; 5];

/// A factor of a product: a local wire or a combination.
#[derive(Clone, Copy)]
enum Side {
    Wire(u32),
    Sum(u32),
}

/// What is computed next, from what was computed before.
enum Step {
    /// The next combination, from this many further terms.
    Sum(u32),
    /// The next wire, a b, less a combination.
    Wire { a: Side, b: Side, less: Option<Side> },
}

/// What the blocks of a pattern compute.
pub struct LaneProgram {
    coefs: Arc<[Limbs]>,
    steps: Vec<Step>,
    terms: Vec<Term>,
    inputs: usize,
    wires: usize,
    sums: usize,
}

/// Coefficients in the form of the lanes.
pub fn coefficients(coefs: &[Fr]) -> Arc<[Limbs]> {
    let factor = Fr::factor();
    coefs
        .iter()
        .map(|coef| split((*coef * factor).into_bigint().0))
        .collect()
}

impl LaneProgram {
    /// `None` when the processor cannot run it, or when a row is too long. `coefs` are the circuit's `coefficients`.
    pub fn new(pattern: &Pattern, coefs: &Arc<[Limbs]>) -> Option<Self> {
        if !available() {
            return None;
        }
        let mut program = LaneProgram {
            coefs: coefs.clone(),
            steps: Vec::new(),
            terms: Vec::new(),
            inputs: pattern.inputs,
            wires: pattern.rows.rows() / 3,
            sums: 0,
        };
        let mut last = None;
        for row in 0..program.wires {
            let [a, b, c] = [0, 1, 2].map(|side| pattern.rows.row(3 * row + side));
            let (a, b) = (program.side(a, &mut last)?, program.side(b, &mut last)?);
            let own = (pattern.inputs + row) as u32;
            let others: Vec<Term> = rest(c, own).flatten().copied().collect();
            let less = if others.is_empty() {
                None
            } else {
                Some(program.sum(&others)?)
            };
            program.steps.push(Step::Wire { a, b, less });
        }
        Some(program)
    }

    /// A combination that is the last one again, as in the rows of an S-box, is not computed again.
    fn side<'a>(&mut self, terms: &'a [Term], last: &mut Option<(&'a [Term], Side)>) -> Option<Side> {
        if let [Term { wire, coef: ONE }] = terms {
            return Some(Side::Wire(*wire));
        }
        match last {
            Some((known, sum)) if *known == terms => Some(*sum),
            _ => {
                let sum = self.sum(terms)?;
                *last = Some((terms, sum));
                Some(sum)
            }
        }
    }

    fn sum(&mut self, terms: &[Term]) -> Option<Side> {
        if terms.len() > MOST_TERMS {
            return None;
        }
        self.steps.push(Step::Sum(terms.len() as u32));
        self.terms.extend_from_slice(terms);
        self.sums += 1;
        Some(Side::Sum(self.sums as u32 - 1))
    }

    /// Computes the wires of up to eight blocks into the equal parts of `out`. `inputs` has, for each input, the place of its
    /// value in `known` for each block.
    pub fn run(&self, known: &[Fr], inputs: &[[u32; LANES]], out: &mut [Fr]) {
        // SAFETY: whoever made the program has asked for the instructions.
        unsafe { self.run_in_lanes(known, inputs, out) }
    }

    #[target_feature(enable = "avx512f,avx512ifma,avx512vbmi2")]
    fn run_in_lanes(&self, known: &[Fr], inputs: &[[u32; LANES]], out: &mut [Fr]) {
        // The scalar form has the factor 2^256, that of the lanes 2^260.
        let into = broadcast(&constant(Fr::from(16u64)));
        let back = broadcast(&constant(Fr::from(16u64).inverse().unwrap_or_default()));
        let mut wires = Vec::with_capacity(self.inputs + self.wires);
        for places in inputs {
            let words = places.each_ref().map(|place| &known[*place as usize].0 .0);
            wires.push(product::<Fr>(&unpack(&load(words)), &into));
        }
        let mut sums = Vec::with_capacity(self.sums);
        let mut terms = self.terms.as_slice();
        let mut row = 0;
        for step in &self.steps {
            let side = |side: Side| match side {
                Side::Wire(wire) => &wires[wire as usize],
                Side::Sum(sum) => &sums[sum as usize],
            };
            match *step {
                Step::Sum(count) => {
                    let (own, after) = terms.split_at(count as usize);
                    terms = after;
                    sums.push(combination(own, &self.coefs, &wires));
                }
                Step::Wire { a, b, less } => {
                    let mut wire = product::<Fr>(side(a), side(b));
                    if let Some(less) = less {
                        // In (p, 6.2p).
                        wire = settled::<Fr>(raw_difference::<Fr, 5>(&wire.0, &side(less).0));
                    }
                    let values = rows(pack(&below_order::<Fr>(&product::<Fr>(&wire, &back))));
                    for (part, value) in out.chunks_exact_mut(self.wires).zip(values) {
                        part[row] = Fr::new_unchecked(BigInt(value));
                    }
                    wires.push(wire);
                    row += 1;
                }
            }
        }
    }
}

#[inline]
#[target_feature(enable = "avx512f,avx512ifma,avx512vbmi2")]
fn combination(terms: &[Term], coefs: &[Limbs], wires: &[Lanes]) -> Lanes {
    let mut sum = [_mm512_setzero_si512(); 10];
    for term in terms {
        sum = accumulate_same(sum, &wires[term.wire as usize], &coefs[term.coef as usize]);
    }
    reduced::<Fr>(sum)
}
