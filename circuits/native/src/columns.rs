//! Per wire, the sum over the rows of coefficient times the row's point: what a proving key made from a public setup
//! consists of.
//!
//! Rows that are the same combination of wires (the three rows of an S-box use one) are added first and then worked on
//! once. The rest is a sum for each wire with signed 6-bit digits over a table of each combination's small multiples;
//! additions share their inversions.

use std::collections::HashMap;

use ark_bn254::Fr;
use ark_ec::short_weierstrass::{Affine, Projective, SWCurveConfig};
use ark_ec::CurveGroup;
use ark_ff::{AdditiveGroup, BigInteger, PrimeField, Zero};
use rayon::prelude::*;

use crate::batch_add::Additions;
use crate::circuit::Circuit;
use crate::error::Result;
use crate::matrix::{Term, MINUS_ONE, ONE};

const WIDTH: usize = 6;
const HALF: usize = 1 << (WIDTH - 1);
/// 254 bits and a carry.
const WINDOWS: usize = 255 / WIDTH + 1;
/// A wire with more terms gets several sums, so that its additions can be batched.
const TERMS_PER_SUM: usize = 64;
const CHUNK: usize = 512;
const NO_TABLE: u32 = u32::MAX;

type Digits = [i8; WINDOWS];

/// One addition into a sum.
#[derive(Clone, Copy)]
struct Entry {
    sum: u32,
    combination: u32,
    coef: u32,
}

/// Which combinations each matrix has in which rows, and the order of the additions.
pub struct Plan {
    n_wires: usize,
    /// For A, B and C: the combination of each row, if it has terms.
    pub rows: [Vec<Option<u32>>; 3],
    n_combinations: usize,
    /// Where a combination's multiples start, in tables of `HALF`.
    tables: Vec<u32>,
    n_tables: usize,
    digits: Vec<Digits>,
    /// Runs of entries whose sums differ.
    layers: Vec<Vec<Entry>>,
    /// The wire of each sum.
    wire_of: Vec<u32>,
}

impl Plan {
    pub fn new(circuit: &Circuit) -> Self {
        let mut known: HashMap<&[Term], u32> = HashMap::new();
        let mut combinations: Vec<&[Term]> = Vec::new();
        let mut rows: [Vec<Option<u32>>; 3] = Default::default();
        for (out, matrix) in rows.iter_mut().zip([&circuit.a, &circuit.b, &circuit.c]) {
            for row in 0..matrix.rows() {
                let terms = matrix.row(row);
                out.push((!terms.is_empty()).then(|| {
                    *known.entry(terms).or_insert_with(|| {
                        combinations.push(terms);
                        combinations.len() as u32 - 1
                    })
                }));
            }
        }
        let (mut tables, mut n_tables) = (Vec::with_capacity(combinations.len()), 0);
        for terms in &combinations {
            let small = terms
                .iter()
                .all(|term| term.coef == ONE || term.coef == MINUS_ONE);
            tables.push(if small { NO_TABLE } else { n_tables });
            n_tables += u32::from(!small);
        }
        let (layers, wire_of) = layers(circuit.n_wires as usize, &combinations);
        Plan {
            n_wires: circuit.n_wires as usize,
            rows,
            n_combinations: combinations.len(),
            tables,
            n_tables: n_tables as usize,
            digits: circuit.coefs.par_iter().map(digits).collect(),
            layers,
            wire_of,
        }
    }

    /// Per combination, the sum of the points of its rows: `points[row]` for each matrix that is given.
    pub fn bases<P: SWCurveConfig<ScalarField = Fr>>(
        &self,
        points: [Option<&[Affine<P>]>; 3],
    ) -> Vec<Affine<P>> {
        let mut sums = vec![Projective::<P>::ZERO; self.n_combinations];
        for (rows, points) in self.rows.iter().zip(points) {
            for (combination, point) in rows.iter().zip(points.unwrap_or_default()) {
                if let Some(combination) = combination {
                    sums[*combination as usize] += point;
                }
            }
        }
        normalized(&sums)
    }

    /// Per wire, the sum over the combinations of coefficient times base. `step` is told of each window's work.
    pub fn sums<P: SWCurveConfig<ScalarField = Fr>>(
        &self,
        bases: &[Affine<P>],
        step: &mut dyn FnMut(usize) -> Result<()>,
    ) -> Result<Vec<Affine<P>>> {
        let table = self.multiples(bases);
        let mut totals = vec![Projective::<P>::ZERO; self.wire_of.len()];
        let windows: Vec<usize> = (0..WINDOWS).rev().collect();
        for windows in windows.chunks(rayon::current_num_threads()) {
            let sums: Vec<Vec<Affine<P>>> = windows
                .par_iter()
                .map(|&window| self.window(window, bases, &table))
                .collect();
            for sums in sums {
                totals.par_iter_mut().zip(sums).for_each(|(total, sum)| {
                    if !total.is_zero() {
                        for _ in 0..WIDTH {
                            total.double_in_place();
                        }
                    }
                    *total += sum;
                });
                step(1)?;
            }
        }
        let mut wires = vec![Projective::<P>::ZERO; self.n_wires];
        for (total, &wire) in totals.iter().zip(&self.wire_of) {
            wires[wire as usize] += total;
        }
        Ok(normalized(&wires))
    }

    /// How often `sums` calls `step`.
    pub const STEPS: usize = WINDOWS;

    fn window<P: SWCurveConfig>(
        &self,
        window: usize,
        bases: &[Affine<P>],
        table: &[Affine<P>],
    ) -> Vec<Affine<P>> {
        let mut sums = vec![Affine::<P>::identity(); self.wire_of.len()];
        let mut additions = Additions::default();
        for layer in &self.layers {
            for entry in layer {
                let digit = self.digits[entry.coef as usize][window];
                if digit == 0 {
                    continue;
                }
                let size = digit.unsigned_abs() as usize;
                let point = match self.tables[entry.combination as usize] {
                    NO_TABLE => bases[entry.combination as usize],
                    start => table[start as usize * HALF + size - 1],
                };
                additions.add(
                    &mut sums,
                    entry.sum as usize,
                    if digit < 0 { -point } else { point },
                );
                if additions.is_full() {
                    additions.settle(&mut sums);
                }
            }
            additions.settle(&mut sums);
        }
        sums
    }

    /// 1 to `HALF` times each base that has a table.
    fn multiples<P: SWCurveConfig>(&self, bases: &[Affine<P>]) -> Vec<Affine<P>> {
        let with_table: Vec<Affine<P>> = (self.tables.iter().zip(bases))
            .filter(|(table, _)| **table != NO_TABLE)
            .map(|(_, base)| *base)
            .collect();
        let mut out = vec![Affine::identity(); self.n_tables * HALF];
        out.par_chunks_mut(CHUNK * HALF)
            .zip(with_table.par_chunks(CHUNK))
            .for_each(|(out, bases)| {
                let mut current = vec![Affine::identity(); bases.len()];
                let mut additions = Additions::default();
                for multiple in 0..HALF {
                    for (place, base) in bases.iter().enumerate() {
                        additions.add(&mut current, place, *base);
                    }
                    additions.settle(&mut current);
                    for (place, point) in current.iter().enumerate() {
                        out[place * HALF + multiple] = *point;
                    }
                }
            });
        out
    }
}

/// Entries in runs in which each sum comes once.
fn layers(n_wires: usize, combinations: &[&[Term]]) -> (Vec<Vec<Entry>>, Vec<u32>) {
    let mut layers: Vec<Vec<Entry>> = Vec::new();
    let mut wire_of = Vec::new();
    // Per wire: its open sum and how many terms that has.
    let mut open = vec![(0u32, TERMS_PER_SUM); n_wires];
    for (combination, terms) in combinations.iter().enumerate() {
        for term in *terms {
            let (sum, count) = &mut open[term.wire as usize];
            if *count == TERMS_PER_SUM {
                (*sum, *count) = (wire_of.len() as u32, 0);
                wire_of.push(term.wire);
            }
            if layers.len() == *count {
                layers.push(Vec::new());
            }
            layers[*count].push(Entry {
                sum: *sum,
                combination: combination as u32,
                coef: term.coef,
            });
            *count += 1;
        }
    }
    (layers, wire_of)
}

/// Signed digits, least significant first; the smaller of c and r - c decides the sign, so that small negative
/// coefficients have few.
fn digits(coef: &Fr) -> Digits {
    let value = coef.into_bigint();
    let negative = value > Fr::MODULUS_MINUS_ONE_DIV_TWO;
    let magnitude = if negative { (-*coef).into_bigint() } else { value };
    let mut out = [0i8; WINDOWS];
    let mut carry = 0;
    for (window, digit) in out.iter_mut().enumerate() {
        let mut value = carry;
        for bit in 0..WIDTH {
            value += i32::from(magnitude.get_bit(window * WIDTH + bit)) << bit;
        }
        carry = i32::from(value > HALF as i32);
        value -= carry << WIDTH;
        *digit = (if negative { -value } else { value }) as i8;
    }
    out
}

fn normalized<P: SWCurveConfig>(points: &[Projective<P>]) -> Vec<Affine<P>> {
    points
        .par_chunks(1 << 10)
        .flat_map_iter(Projective::normalize_batch)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::matrix::Matrix;
    use ark_bn254::{g1, G1Affine};
    use ark_ff::{Field, UniformRand};

    #[test]
    fn equals_term_by_term_sums() {
        let mut rng = ark_std::test_rng();
        let mut coefs = vec![Fr::ONE, -Fr::ONE, Fr::from(2u64), -Fr::from(1u64 << 40), Fr::ZERO];
        coefs.extend((0..3).map(|_| Fr::rand(&mut rng)));
        let (n_wires, n_rows) = (9u32, 150usize);
        let mut matrices = [Matrix::new(), Matrix::new(), Matrix::new()];
        for (number, matrix) in matrices.iter_mut().enumerate() {
            for row in 0..n_rows {
                // Many equal rows, some empty, wire 0 in all others, and a wire that comes twice.
                let kind = row % 11;
                let terms = (0..kind).map(|k| Term {
                    wire: (k * (kind - k) % 9) as u32,
                    coef: ((k + kind + number) % 8) as u32,
                });
                matrix.push_row(terms.collect::<Vec<_>>());
            }
        }
        let circuit = Circuit::from_matrices(n_wires, 1, 2, coefs, matrices).unwrap();
        let points: Vec<G1Affine> = (0..n_rows).map(|_| G1Affine::rand(&mut rng)).collect();
        let plan = Plan::new(&circuit);
        let bases = plan.bases::<g1::Config>([Some(&points), None, Some(&points)]);
        let sums = plan.sums(&bases, &mut |_| Ok(())).unwrap();
        let mut expected = vec![ark_bn254::G1Projective::ZERO; n_wires as usize];
        for matrix in [&circuit.a, &circuit.c] {
            for (row, point) in points.iter().enumerate() {
                for term in matrix.row(row) {
                    expected[term.wire as usize] += *point * circuit.coefs[term.coef as usize];
                }
            }
        }
        assert_eq!(sums, Projective::normalize_batch(&expected));
    }
}
