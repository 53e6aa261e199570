//! A constraint system with its witness program: (A z)(B z) = C z row by row, z[0] = 1.

use ark_bn254::Fr;
use ark_ff::Field;
use rayon::prelude::*;

use crate::error::Result;
use crate::invalid;
use crate::matrix::{self, LastDot, Matrix};
use crate::program::{self, Forced, Op};
use crate::schedule::Schedule;

/// Groth16 over BN254 needs a doubled domain inside the 2^28 roots of unity.
const MAX_DOMAIN: u64 = 1 << 27;

pub struct Circuit {
    pub n_wires: u32,
    /// Public inputs, wires 1..=n_public.
    pub n_public: u32,
    /// All inputs, wires 1..=n_inputs.
    pub n_inputs: u32,
    pub coefs: Vec<Fr>,
    pub a: Matrix,
    pub b: Matrix,
    pub c: Matrix,
    /// Rows that only the witness program reads.
    pub h: Matrix,
    program: Option<Program>,
}

/// The operations in order, and the way in which they are run.
struct Program {
    ops: Vec<Op>,
    schedule: Schedule,
}

/// Buffers a circuit is built from; see `circuits/_native.pyi`.
pub struct Parts<'a> {
    pub n_wires: u32,
    pub n_public: u32,
    pub n_inputs: u32,
    pub coefs: &'a [Fr],
    pub a: [&'a [u8]; 3],
    pub b: [&'a [u8]; 3],
    pub c: [&'a [u8]; 3],
    pub h: [&'a [u8]; 3],
    pub program: &'a [u8],
}

impl Circuit {
    /// Checks every index, so that nothing later can run out of bounds.
    pub fn from_parts(parts: Parts<'_>) -> Result<Self> {
        let (coefs, places) = matrix::coefficient_table(parts.coefs);
        let matrix = |name, arrays| Matrix::from_csr(name, arrays, parts.n_wires, &places);
        let mut circuit = Circuit {
            n_wires: parts.n_wires,
            n_public: parts.n_public,
            n_inputs: parts.n_inputs,
            a: matrix("A", parts.a)?,
            b: matrix("B", parts.b)?,
            c: matrix("C", parts.c)?,
            h: matrix("H", parts.h)?,
            coefs,
            program: None,
        };
        circuit.check_shape()?;
        let ops = program::parse(&matrix::words("program", "words", parts.program)?)?;
        program::check(&circuit, &ops)?;
        let schedule = Schedule::new(&circuit, &ops, true);
        circuit.program = Some(Program { ops, schedule });
        Ok(circuit)
    }

    /// A constraint system without a program, as read from a file. Terms must be in range.
    pub fn from_matrices(
        n_wires: u32,
        n_public: u32,
        n_inputs: u32,
        coefs: Vec<Fr>,
        [a, b, c]: [Matrix; 3],
    ) -> Result<Self> {
        let circuit = Circuit {
            n_wires,
            n_public,
            n_inputs,
            coefs,
            a,
            b,
            c,
            h: Matrix::new(),
            program: None,
        };
        circuit.check_shape()?;
        Ok(circuit)
    }

    fn check_shape(&self) -> Result<()> {
        if self.n_public > self.n_inputs || self.n_inputs >= self.n_wires {
            return invalid!(
                "circuit: {} public inputs, {} inputs and {} wires do not fit together",
                self.n_public,
                self.n_inputs,
                self.n_wires
            );
        }
        let rows = [self.a.rows(), self.b.rows(), self.c.rows()];
        if rows != [rows[0]; 3] || rows[0] == 0 {
            return invalid!("circuit: A, B and C have {rows:?} rows, they must be equal and not 0");
        }
        if rows[0] as u64 + u64::from(self.n_public) >= MAX_DOMAIN {
            return invalid!("circuit: {} rows are more than BN254 can prove", rows[0]);
        }
        Ok(())
    }

    pub fn n_constraints(&self) -> usize {
        self.a.rows()
    }

    /// The smallest power of two that holds the rows and one more for wire 0 and for each public input.
    pub fn domain_size(&self) -> usize {
        (self.n_constraints() + self.n_public as usize + 1).next_power_of_two()
    }

    /// All wires from the inputs. Refuses inputs whose range checks fail.
    pub fn witness(&self, inputs: &[Fr]) -> Result<Vec<Fr>> {
        let program = self.program_for(inputs)?;
        match program.schedule.run(self, &program.ops, inputs) {
            Some(z) => Ok(z),
            // The first range check that fails is named by the run in order.
            None => program::run(self, &program.ops, inputs, None),
        }
    }

    /// The wires of a dishonest prover (see `program::run`), and every row that they do not satisfy.
    pub fn tampered(&self, inputs: &[Fr], forced: &Forced) -> Result<(Vec<Fr>, Vec<u32>)> {
        let program = self.program_for(inputs)?;
        let z = program::run(self, &program.ops, inputs, Some(forced))?;
        let broken = (0..self.n_constraints())
            .into_par_iter()
            .filter(|&row| !self.holds(row, &z))
            .map(|row| row as u32)
            .collect();
        Ok((z, broken))
    }

    fn program_for(&self, inputs: &[Fr]) -> Result<&Program> {
        let Some(program) = &self.program else {
            return invalid!("circuit: it was read from a file and has no witness program");
        };
        if inputs.len() != self.n_inputs as usize {
            return invalid!(
                "witness: {} inputs given, the circuit takes {}",
                inputs.len(),
                self.n_inputs
            );
        }
        Ok(program)
    }

    pub fn check_length(&self, witness: &[Fr]) -> Result<()> {
        if witness.len() != self.n_wires as usize {
            return invalid!(
                "witness: {} wires given, the circuit has {}",
                witness.len(),
                self.n_wires
            );
        }
        if witness[0] != Fr::ONE {
            return invalid!("witness: wire 0 is not 1");
        }
        Ok(())
    }

    /// The first row that the witness does not satisfy.
    pub fn first_violation(&self, witness: &[Fr]) -> Result<Option<usize>> {
        self.check_length(witness)?;
        Ok((0..self.n_constraints())
            .into_par_iter()
            .find_first(|&row| !self.holds(row, witness)))
    }

    /// Whether one row is satisfied.
    fn holds(&self, row: usize, z: &[Fr]) -> bool {
        let mut last = LastDot::default();
        let a = last.dot(self.a.row(row), &self.coefs, z);
        let b = last.dot(self.b.row(row), &self.coefs, z);
        a * b == self.c.dot(row, &self.coefs, z)
    }
}
