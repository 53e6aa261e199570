//! The proving core of counterfoil: Poseidon, the witness runner, Groth16 over BN254 and the iden3 file formats.
//!
//! Python owns the interfaces (`circuits/_native.pyi`); this crate owns the loops.

pub mod batch_add;
pub mod batch_verify;
pub mod binfile;
pub mod blake2b;
mod blocks;
mod book_python;
pub mod bulk;
pub mod chacha;
pub mod circuit;
pub mod columns;
pub mod contribute;
pub mod error;
pub mod fft;
pub mod field;
pub mod fixed_base;
pub mod group_fft;
pub mod key;
#[cfg(target_arch = "x86_64")]
mod lane_fft;
#[cfg(target_arch = "x86_64")]
mod lane_msm;
#[cfg(target_arch = "x86_64")]
mod lane_packed;
#[cfg(target_arch = "x86_64")]
mod lane_points;
#[cfg(target_arch = "x86_64")]
mod lane_program;
#[cfg(not(target_arch = "x86_64"))]
#[path = "lane_program_absent.rs"]
mod lane_program;
#[cfg(target_arch = "x86_64")]
mod lanes;
pub mod mapped;
pub mod matrix;
pub mod msm;
pub mod phase2;
pub mod points;
pub mod poseidon;
pub mod powers;
pub mod program;
pub mod prove;
pub mod ptau;
mod python;
mod python_ceremony;
pub mod r1cs;
pub mod random;
mod schedule;
pub mod setup;
pub mod transcript;
pub mod verify;
mod wide;
pub mod wtns;
pub mod zkey;
