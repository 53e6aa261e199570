//! Sparse matrices over a shared table of coefficients.

use std::ops::Index;

use ark_bn254::Fr;
use ark_ff::{AdditiveGroup, Field};

use crate::error::Result;
use crate::invalid;
use crate::wide::Wide;

/// Positions of 1 and -1 in every coefficient table; both are added instead of multiplied.
pub const ONE: u32 = 0;
pub const MINUS_ONE: u32 = 1;

/// One entry of a row: coefficient table position times wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Term {
    pub wire: u32,
    pub coef: u32,
}

/// Rows of terms.
#[derive(Clone, Debug)]
pub struct Matrix {
    ends: Vec<u32>,
    terms: Vec<Term>,
}

impl Default for Matrix {
    fn default() -> Self {
        Self::new()
    }
}

impl Matrix {
    pub fn new() -> Self {
        Matrix {
            ends: Vec::new(),
            terms: Vec::new(),
        }
    }

    /// From CSR arrays of little-endian u32, checked: pointers start at 0, do not decrease and end at the number of
    /// terms; wires are below `n_wires`; coefficients are positions in `coefficients`, which maps them to ours.
    pub fn from_csr(name: &str, arrays: [&[u8]; 3], n_wires: u32, coefficients: &[u32]) -> Result<Self> {
        let [pointers, wires, coefs] = arrays;
        let pointers = words(name, "row pointers", pointers)?;
        let wires = words(name, "wires", wires)?;
        let coefs = words(name, "coefficients", coefs)?;
        if wires.len() != coefs.len() {
            return invalid!(
                "matrix {name}: {} wires but {} coefficients",
                wires.len(),
                coefs.len()
            );
        }
        if pointers.first() != Some(&0) || pointers.last().map(|&p| p as usize) != Some(wires.len()) {
            return invalid!(
                "matrix {name}: row pointers must start at 0 and end at {}",
                wires.len()
            );
        }
        if let Some(row) = pointers.windows(2).position(|pair| pair[0] > pair[1]) {
            return invalid!("matrix {name}: row {row} ends before it starts");
        }
        let mut terms = Vec::with_capacity(wires.len());
        for (position, (&wire, &coef)) in wires.iter().zip(&coefs).enumerate() {
            if wire >= n_wires {
                return invalid!("matrix {name}: term {position} uses wire {wire}, there are {n_wires}");
            }
            match coefficients.get(coef as usize) {
                Some(&coef) => terms.push(Term { wire, coef }),
                None => {
                    return invalid!(
                        "matrix {name}: term {position} uses coefficient {coef}, there are {}",
                        coefficients.len()
                    )
                }
            }
        }
        Ok(Matrix {
            ends: pointers[1..].to_vec(),
            terms,
        })
    }

    pub fn push_row(&mut self, terms: impl IntoIterator<Item = Term>) {
        self.terms.extend(terms);
        self.ends.push(self.terms.len() as u32);
    }

    pub fn rows(&self) -> usize {
        self.ends.len()
    }

    pub fn terms(&self) -> usize {
        self.terms.len()
    }

    /// The terms of one row. Rows are below `rows()`.
    #[inline]
    pub fn row(&self, row: usize) -> &[Term] {
        let start = if row == 0 { 0 } else { self.ends[row - 1] };
        &self.terms[start as usize..self.ends[row] as usize]
    }

    /// <row, values>.
    #[inline]
    pub fn dot(&self, row: usize, coefs: &[Fr], values: &(impl Values + ?Sized)) -> Fr {
        dot(self.row(row), coefs, values)
    }
}

/// Terms from which on a sum of products is reduced once, at the end.
pub const LONG: usize = 4;

/// The value of each wire, wherever it is kept.
pub trait Values: Index<usize, Output = Fr> {}

impl<T: Index<usize, Output = Fr> + ?Sized> Values for T {}

/// The sum of coefficient times value over the terms.
#[inline]
pub fn dot(terms: &[Term], coefs: &[Fr], values: &(impl Values + ?Sized)) -> Fr {
    let mut sum = Fr::ZERO;
    let mut products = Wide::default();
    for term in terms {
        let value = &values[term.wire as usize];
        match term.coef {
            ONE => sum += value,
            MINUS_ONE => sum -= value,
            coef if terms.len() < LONG => sum += coefs[coef as usize] * value,
            coef => products.add_product(&coefs[coef as usize].0, &value.0),
        }
    }
    if terms.len() < LONG {
        sum
    } else {
        sum + products.reduced()
    }
}

/// Remembers the last long combination: rows of a power of a sum, as an S-box has them, use one several times.
#[derive(Default)]
pub struct LastDot<'a> {
    terms: &'a [Term],
    value: Fr,
}

impl<'a> LastDot<'a> {
    /// As `dot`. The values of wires may not change between calls.
    #[inline]
    pub fn dot(&mut self, terms: &'a [Term], coefs: &[Fr], values: &(impl Values + ?Sized)) -> Fr {
        if terms.len() < LONG {
            return dot(terms, coefs, values);
        }
        if self.terms != terms {
            self.value = dot(terms, coefs, values);
            self.terms = terms;
        }
        self.value
    }
}

/// A table that starts with 1 and -1, and the place of each given coefficient in it.
pub fn coefficient_table(given: &[Fr]) -> (Vec<Fr>, Vec<u32>) {
    let mut table = vec![Fr::ONE, -Fr::ONE];
    let places = given
        .iter()
        .map(|coef| {
            if *coef == table[0] {
                ONE
            } else if *coef == table[1] {
                MINUS_ONE
            } else {
                table.push(*coef);
                table.len() as u32 - 1
            }
        })
        .collect();
    (table, places)
}

/// Little-endian u32 words.
pub fn words(name: &str, what: &str, bytes: &[u8]) -> Result<Vec<u32>> {
    let (chunks, rest) = bytes.as_chunks::<4>();
    if !rest.is_empty() {
        return invalid!(
            "matrix {name}: {what} have {} bytes, not a multiple of 4",
            bytes.len()
        );
    }
    Ok(chunks.iter().map(|chunk| u32::from_le_bytes(*chunk)).collect())
}
