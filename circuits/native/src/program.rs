//! The witness program: which wires are computed from which rows, in what order.
//!
//! A stream of u32 words, an opcode and its arguments. Every wire after the inputs is computed exactly once, and every
//! operation reads only wires that are already known; both are checked when the circuit is built.

use std::ops::Index;

use ark_bn254::Fr;
use ark_ff::{AdditiveGroup, BigInteger, Field, PrimeField};

use crate::circuit::Circuit;
use crate::error::Result;
use crate::invalid;
use crate::matrix::{dot, LastDot, Term, Values, ONE};

const MUL: u32 = 1;
const BITS: u32 = 2;
const LIN: u32 = 3;
const INV: u32 = 4;
const SOLVE: u32 = 5;
const MAX_BITS: u32 = 254;

/// One operation. `z` is the witness.
#[derive(Clone, Copy, Debug)]
pub enum Op {
    /// z[wire+i] = <A[row+i], z> <B[row+i], z> for i < count.
    Mul { row: u32, wire: u32, count: u32 },
    /// z[wire+j] = bit j of <H[h], z>, which must be below 2^count.
    Bits { h: u32, wire: u32, count: u32 },
    /// z[wire] = <H[h], z>.
    Lin { h: u32, wire: u32 },
    /// z[wire] = 1 / <H[h], z>, or 0.
    Inv { h: u32, wire: u32 },
    /// z[wire] = <A[row], z> <B[row], z> - the rest of C[row], in which the wire has coefficient 1.
    Solve { row: u32, wire: u32 },
}

impl Op {
    /// The first wire that it computes and how many it computes.
    pub fn wires(&self) -> (u32, u32) {
        match *self {
            Op::Mul { wire, count, .. } | Op::Bits { wire, count, .. } => (wire, count),
            Op::Lin { wire, .. } | Op::Inv { wire, .. } | Op::Solve { wire, .. } => (wire, 1),
        }
    }

    /// Whether its wires are products.
    pub fn multiplies(&self) -> bool {
        matches!(self, Op::Mul { .. } | Op::Solve { .. })
    }

    /// The combinations of wires that it reads, up to three for each row; a wire of its own may be among them.
    pub fn reads<'a>(&self, circuit: &'a Circuit) -> impl Iterator<Item = [&'a [Term]; 3]> {
        let op = *self;
        let (lines, solves) = match op {
            Op::Mul { row, count, .. } => (row..row + count, false),
            Op::Solve { row, .. } => (row..row + 1, true),
            Op::Bits { h, .. } | Op::Lin { h, .. } | Op::Inv { h, .. } => (h..h + 1, false),
        };
        lines.map(move |line| {
            let line = line as usize;
            if op.multiplies() {
                let c = if solves { circuit.c.row(line) } else { &[] };
                [circuit.a.row(line), circuit.b.row(line), c]
            } else {
                [circuit.h.row(line), &[], &[]]
            }
        })
    }
}

/// Reads the operations.
pub fn parse(words: &[u32]) -> Result<Vec<Op>> {
    let mut ops = Vec::new();
    let mut rest = words;
    while let Some((&opcode, tail)) = rest.split_first() {
        let op = match (opcode, tail) {
            (MUL, &[row, wire, count, ..]) => Op::Mul { row, wire, count },
            (BITS, &[h, wire, count, ..]) => Op::Bits { h, wire, count },
            (LIN, &[h, wire, ..]) => Op::Lin { h, wire },
            (INV, &[h, wire, ..]) => Op::Inv { h, wire },
            (SOLVE, &[row, wire, ..]) => Op::Solve { row, wire },
            (MUL..=SOLVE, _) => return invalid!("program: op {} is cut off", ops.len()),
            _ => return invalid!("program: op {} has the unknown code {opcode}", ops.len()),
        };
        rest = &tail[if opcode <= BITS { 3 } else { 2 }..];
        ops.push(op);
    }
    Ok(ops)
}

/// Checks that the program computes wires n_inputs+1.. in order, each once and from known wires only.
pub fn check(circuit: &Circuit, ops: &[Op]) -> Result<()> {
    let mut next = circuit.n_inputs + 1;
    for (number, op) in ops.iter().enumerate() {
        let (first, count) = op.wires();
        if first != next {
            return invalid!("program: op {number} computes wire {first}, the next one is {next}");
        }
        if count > circuit.n_wires - next {
            return invalid!("program: op {number} computes more wires than the circuit has");
        }
        match *op {
            Op::Mul { row, count, .. } => {
                if row as usize + count as usize > circuit.a.rows() {
                    return invalid!("program: op {number} uses rows past the last one");
                }
                for i in 0..count {
                    let line = (row + i) as usize;
                    known(circuit.a.row(line), next + i, number)?;
                    known(circuit.b.row(line), next + i, number)?;
                    match circuit.c.row(line) {
                        [term] if term.wire == next + i && term.coef == ONE => {}
                        _ => {
                            return invalid!(
                            "program: op {number} computes wire {}, which is not the C side of row {line}",
                            next + i
                        )
                        }
                    }
                }
            }
            Op::Solve { row, .. } => {
                let line = row as usize;
                if line >= circuit.a.rows() {
                    return invalid!("program: op {number} uses row {row}, past the last one");
                }
                known(circuit.a.row(line), next, number)?;
                known(circuit.b.row(line), next, number)?;
                known(circuit.c.row(line), next + 1, number)?;
                let own = circuit.c.row(line).iter().filter(|term| term.wire == next);
                if !own.map(|term| term.coef).eq([ONE]) {
                    return invalid!(
                        "program: op {number} solves row {row} for a wire without coefficient 1"
                    );
                }
            }
            Op::Bits { h, .. } | Op::Lin { h, .. } | Op::Inv { h, .. } => {
                if h as usize >= circuit.h.rows() {
                    return invalid!(
                        "program: op {number} uses hint row {h}, there are {}",
                        circuit.h.rows()
                    );
                }
                if matches!(op, Op::Bits { .. }) && count > MAX_BITS {
                    return invalid!("program: op {number} takes {count} bits, at most {MAX_BITS} fit");
                }
                known(circuit.h.row(h as usize), next, number)?;
            }
        }
        next += count;
    }
    if next != circuit.n_wires {
        return invalid!("program: wire {next} is not computed");
    }
    Ok(())
}

fn known(terms: &[Term], limit: u32, number: usize) -> Result<()> {
    match terms.iter().find(|term| term.wire >= limit) {
        Some(term) => invalid!(
            "program: op {number} reads wire {} before it is computed",
            term.wire
        ),
        None => Ok(()),
    }
}

/// Values that a dishonest prover puts on wires instead of the program's.
pub type Forced = std::collections::HashMap<u32, Fr>;

/// Wires that are being computed: the known ones can be read, and the next one put.
pub trait Wires: Values {
    fn put(&mut self, value: Fr);
}

/// Computes one operation of a checked program. Returns whether its value fits its bits; if it does not, they are the low
/// ones. `last` is one run's.
#[inline]
pub fn compute<'a>(circuit: &'a Circuit, op: Op, last: &mut LastDot<'a>, z: &mut impl Wires) -> bool {
    let coefs = &circuit.coefs;
    let hint = |h: u32, z: &_| circuit.h.dot(h as usize, coefs, z);
    let mut product = |row: u32, z: &_| {
        let a = last.dot(circuit.a.row(row as usize), coefs, z);
        a * last.dot(circuit.b.row(row as usize), coefs, z)
    };
    match op {
        Op::Mul { row, count, .. } => {
            for line in row..row + count {
                let value = product(line, z);
                z.put(value);
            }
        }
        Op::Bits { h, count, .. } => {
            let value = hint(h, z).into_bigint();
            for j in 0..count as usize {
                z.put(if value.get_bit(j) { Fr::ONE } else { Fr::ZERO });
            }
            return value.num_bits() <= count;
        }
        Op::Solve { row, wire } => {
            let whole = product(row, z);
            let rest: Fr = rest(circuit.c.row(row as usize), wire)
                .map(|terms| dot(terms, coefs, z))
                .sum();
            z.put(whole - rest);
        }
        Op::Lin { h, .. } => {
            let value = hint(h, z);
            z.put(value);
        }
        Op::Inv { h, .. } => {
            let value = hint(h, z);
            z.put(value.inverse().unwrap_or(Fr::ZERO));
        }
    }
    true
}

/// The terms beside the wire that a row is solved for.
pub fn rest(terms: &[Term], wire: u32) -> impl Iterator<Item = &[Term]> {
    terms.split(move |term| term.wire == wire)
}

/// The wires in order, some of them forced.
struct InOrder<'a> {
    z: Vec<Fr>,
    forced: Option<&'a Forced>,
}

impl Index<usize> for InOrder<'_> {
    type Output = Fr;

    #[inline]
    fn index(&self, wire: usize) -> &Fr {
        &self.z[wire]
    }
}

impl Wires for InOrder<'_> {
    #[inline]
    fn put(&mut self, value: Fr) {
        let own = self.forced.and_then(|values| values.get(&(self.z.len() as u32)));
        self.z.push(own.copied().unwrap_or(value));
    }
}

/// Runs a checked program from its first operation to its last: the reference of `Schedule::run`. `inputs` are the public
/// and private inputs.
///
/// With `forced`, the run is a dishonest prover's: those wires get those values, whatever follows is computed from
/// them, and a value that does not fit its bits passes with its low ones.
pub fn run(circuit: &Circuit, ops: &[Op], inputs: &[Fr], forced: Option<&Forced>) -> Result<Vec<Fr>> {
    let mut z = Vec::with_capacity(circuit.n_wires as usize);
    z.push(Fr::ONE);
    z.extend_from_slice(inputs);
    let mut wires = InOrder { z, forced };
    let mut last = LastDot::default();
    for (number, op) in ops.iter().enumerate() {
        if !compute(circuit, *op, &mut last, &mut wires) && forced.is_none() {
            let (_, count) = op.wires();
            return invalid!("range check at op {number}: the value does not fit {count} bits");
        }
    }
    Ok(wires.z)
}
