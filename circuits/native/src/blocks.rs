//! Runs of operations that stay together, and which of them do the same to different wires.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;

use rayon::prelude::*;

use crate::circuit::Circuit;
use crate::matrix::{Matrix, Term};
use crate::program::Op;

/// Terms from which on it pays to look for blocks that are alike.
const LARGE: usize = 256;
/// Patterns tried for blocks of one outline. The cap keeps loading linear in the size of any file.
const ATTEMPTS: usize = 4;
const UNKNOWN: u32 = u32::MAX;

/// A run of operations. Its wires have consecutive numbers, and every wire that it reads is one of them or smaller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    pub ops: Range<usize>,
    pub first: u32,
    pub wires: u32,
    /// How many terms it reads, which is about what it costs.
    pub terms: usize,
}

impl Block {
    /// All combinations of wires that it reads.
    pub fn reads<'a>(&self, circuit: &'a Circuit, ops: &'a [Op]) -> impl Iterator<Item = [&'a [Term]; 3]> {
        ops[self.ops.clone()].iter().flat_map(|op| op.reads(circuit))
    }
}

/// Splits a checked program. A single row that reads the wire directly before it could never run beside the operation
/// which computes that, so both stay together: the last row of a hash, the factors of a long product.
pub fn split(circuit: &Circuit, ops: &[Op]) -> Vec<Block> {
    let mut blocks: Vec<Block> = Vec::new();
    let mut follows = false;
    for (number, op) in ops.iter().enumerate() {
        let (first, wires) = op.wires();
        let before = first - 1;
        let terms = || op.reads(circuit).flatten();
        let goes_on =
            follows && op.multiplies() && wires == 1 && terms().flatten().any(|term| term.wire == before);
        let cost = terms().map(<[Term]>::len).sum();
        match blocks.last_mut() {
            Some(block) if goes_on => {
                block.ops.end = number + 1;
                block.wires += wires;
                block.terms += cost;
            }
            _ => blocks.push(Block {
                ops: number..number + 1,
                first,
                wires,
                terms: cost,
            }),
        }
        follows = op.multiplies();
    }
    blocks
}

/// What a block of products does, over local wires: those it only reads, in the order in which they appear, then its own.
pub struct Pattern {
    outline: Vec<(bool, u32)>,
    pub inputs: usize,
    /// For each row A, B and, when it is solved for its wire, C.
    pub rows: Matrix,
}

impl Pattern {
    fn new(circuit: &Circuit, ops: &[Op], block: &Block) -> Self {
        let mut inputs: HashMap<u32, u32> = HashMap::new();
        for term in block.reads(circuit, ops).flatten().flatten() {
            if term.wire < block.first {
                let next = inputs.len() as u32;
                inputs.entry(term.wire).or_insert(next);
            }
        }
        let own = inputs.len() as u32;
        let local = |term: &Term| Term {
            wire: match term.wire.checked_sub(block.first) {
                Some(wire) => own + wire,
                None => inputs[&term.wire],
            },
            coef: term.coef,
        };
        let mut rows = Matrix::new();
        for terms in block.reads(circuit, ops).flatten() {
            rows.push_row(terms.iter().map(local));
        }
        Pattern {
            outline: outline(ops, block),
            inputs: inputs.len(),
            rows,
        }
    }

    /// The wires that another block has where this one has its inputs, if it differs in nothing else.
    fn inputs_of(&self, circuit: &Circuit, ops: &[Op], block: &Block) -> Option<Vec<u32>> {
        if outline(ops, block) != self.outline {
            return None;
        }
        let mut wires = vec![UNKNOWN; self.inputs];
        wires.extend(block.first..block.first + block.wires);
        for (row, terms) in block.reads(circuit, ops).flatten().enumerate() {
            let ours = self.rows.row(row);
            if ours.len() != terms.len() {
                return None;
            }
            for (ours, term) in ours.iter().zip(terms) {
                let wire = &mut wires[ours.wire as usize];
                if *wire == UNKNOWN && term.wire < block.first {
                    *wire = term.wire;
                }
                if *wire != term.wire || ours.coef != term.coef {
                    return None;
                }
            }
        }
        wires.truncate(self.inputs);
        Some(wires)
    }
}

/// Whether each operation solves its row, and for how many rows it stands.
fn outline(ops: &[Op], block: &Block) -> Vec<(bool, u32)> {
    let ops = ops[block.ops.clone()].iter();
    ops.map(|op| (matches!(op, Op::Solve { .. }), op.wires().1))
        .collect()
}

/// Blocks that are alike: the number and the inputs of each.
pub struct Family {
    pub pattern: Pattern,
    pub members: Vec<(usize, Vec<u32>)>,
}

/// The families of large blocks.
pub fn families(circuit: &Circuit, ops: &[Op], blocks: &[Block]) -> Vec<Family> {
    let mut candidates: BTreeMap<_, Vec<usize>> = BTreeMap::new();
    for (number, block) in blocks.iter().enumerate() {
        if block.terms >= LARGE && ops[block.ops.start].multiplies() {
            let key = (outline(ops, block), block.terms);
            candidates.entry(key).or_default().push(number);
        }
    }
    let mut families = Vec::new();
    for mut left in candidates.into_values() {
        for _ in 0..ATTEMPTS {
            if left.len() < 2 {
                break;
            }
            let pattern = Pattern::new(circuit, ops, &blocks[left[0]]);
            let found: Vec<_> = left
                .par_iter()
                .map(|&number| (number, pattern.inputs_of(circuit, ops, &blocks[number])))
                .collect();
            left = found
                .iter()
                .filter(|(_, inputs)| inputs.is_none())
                .map(|(number, _)| *number)
                .collect();
            let members: Vec<_> = found
                .into_iter()
                .filter_map(|(number, inputs)| Some((number, inputs?)))
                .collect();
            families.push(Family { pattern, members });
        }
    }
    families
}
