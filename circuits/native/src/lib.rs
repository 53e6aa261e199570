//! The proving core of counterfoil: Poseidon, the witness runner, Groth16 over BN254 and the iden3 file formats.
//!
//! Python owns the interfaces (`circuits/_native.pyi`); this crate owns the loops.

pub mod binfile;
pub mod circuit;
pub mod error;
pub mod field;
pub mod matrix;
pub mod poseidon;
pub mod program;
mod python;
pub mod r1cs;
pub mod wtns;
