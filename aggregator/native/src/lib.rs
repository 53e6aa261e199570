//! The book kernel of counterfoil: many accounts under one policy, re-valued exactly (M1-M7 of docs/protocol.md).
//!
//! Pure Rust: the Python boundary is in `circuits/native`, which builds the one extension module. The layout and
//! the reasons why every fast path is exact are in docs/book.md.

// Lanes, limbs and classes are indexed in step over several arrays, as in the formulas.
#![allow(clippy::needless_range_loop)]

pub mod block;
pub mod book;
pub mod charge;
pub mod conclude;
pub mod contingency;
pub mod correlation;
pub mod divide;
pub mod error;
pub mod exact;
#[cfg(target_arch = "x86_64")]
pub mod ifma;
#[cfg(target_arch = "x86_64")]
pub mod lanes;
pub mod policy;
pub mod scan;
pub mod tables;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
pub mod tick;
