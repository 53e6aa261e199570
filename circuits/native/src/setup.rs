//! A locally made proving key ("dev" everywhere it shows): whoever runs this could keep the trapdoor.
//!
//! Source: Groth, "On the Size of Pairing-based Non-interactive Arguments" (2016), with gamma = 1 and one extra row per
//! public input as snarkjs has it, so that no public input can be unused.

use std::path::Path;

use ark_bn254::{g1, g2, Fr, G1Affine, G2Affine};
use ark_ec::short_weierstrass::{Affine, SWCurveConfig};
use ark_ec::AffineRepr;
use ark_ff::{batch_inversion, BigInteger, FftField, Field, Zero};
use rayon::prelude::*;
use zeroize::{Zeroize, Zeroizing};

use crate::binfile::Writer;
use crate::circuit::Circuit;
use crate::error::Result;
use crate::fixed_base::FixedBase;
use crate::invalid;
use crate::matrix::Matrix;
use crate::points::Point;
use crate::random;
use crate::zkey::{self, Header};

const CHUNK: usize = 1 << 14;
/// A G2 point costs about as much as three G1 points.
const G2_WEIGHT: usize = 3;

/// The trapdoor.
struct Toxic {
    tau: Fr,
    alpha: Fr,
    beta: Fr,
    delta: Fr,
}

impl Drop for Toxic {
    fn drop(&mut self) {
        self.tau.zeroize();
        self.alpha.zeroize();
        self.beta.zeroize();
        self.delta.zeroize();
    }
}

/// What the points of the key are multiples by.
struct Scalars {
    a: Zeroizing<Vec<Fr>>,
    b: Zeroizing<Vec<Fr>>,
    ic: Zeroizing<Vec<Fr>>,
    c: Zeroizing<Vec<Fr>>,
    h: Zeroizing<Vec<Fr>>,
}

/// Makes a key for `circuit` and writes it to `path`. `progress` gets 0..1 and may stop the work with an error.
pub fn dev(circuit: &Circuit, path: &Path, progress: &mut dyn FnMut(f64) -> Result<()>) -> Result<()> {
    progress(0.0)?;
    let toxic = Toxic {
        tau: random::element()?,
        alpha: random::element()?,
        beta: random::element()?,
        delta: random::element()?,
    };
    let scalars = scalars(circuit, &toxic)?;
    if let Some(input) = scalars.ic.iter().position(Fr::is_zero) {
        return invalid!("setup: the verification key does not bind public input {input}");
    }
    let n_g1 = scalars.a.len() * 3 + scalars.h.len();
    let g1 = FixedBase::<g1::Config>::new(G1Affine::generator(), n_g1);
    let g2 = FixedBase::<g2::Config>::new(G2Affine::generator(), scalars.b.len());

    let mut out = Writer::create(path, zkey::MAGIC, 1, 10)?;
    out.begin(zkey::PROTOCOL)?;
    out.u32(zkey::GROTH16)?;
    out.end()?;
    let header = Header {
        n_wires: circuit.n_wires,
        n_public: circuit.n_public,
        domain_size: circuit.domain_size() as u32,
        alpha_g1: g1.mul(&toxic.alpha),
        beta_g1: g1.mul(&toxic.beta),
        beta_g2: g2.mul(&toxic.beta),
        gamma_g2: G2Affine::generator(),
        delta_g1: g1.mul(&toxic.delta),
        delta_g2: g2.mul(&toxic.delta),
    };
    header.write(&mut out)?;
    write_coefficients(circuit, &mut out)?;

    let total = n_g1 + G2_WEIGHT * scalars.b.len();
    let mut done = 0;
    let mut step = |weight: usize| {
        done += weight;
        progress((done as f64 / total as f64).min(1.0))
    };
    write_points(&mut out, zkey::IC, &g1, &scalars.ic, 1, &mut step)?;
    write_points(&mut out, zkey::POINTS_H, &g1, &scalars.h, 1, &mut step)?;
    write_points(&mut out, zkey::POINTS_C, &g1, &scalars.c, 1, &mut step)?;
    write_points(&mut out, zkey::POINTS_A, &g1, &scalars.a, 1, &mut step)?;
    write_points(&mut out, zkey::POINTS_B1, &g1, &scalars.b, 1, &mut step)?;
    write_points(&mut out, zkey::POINTS_B2, &g2, &scalars.b, G2_WEIGHT, &mut step)?;

    out.begin(zkey::CONTRIBUTIONS)?;
    out.write(&[0; zkey::CIRCUIT_HASH_BYTES])?;
    out.u32(0)?;
    out.end()?;
    out.finish()?;
    progress(1.0)
}

fn scalars(circuit: &Circuit, toxic: &Toxic) -> Result<Scalars> {
    let n = circuit.domain_size();
    let rows = circuit.n_constraints();
    let n_public = circuit.n_public as usize;
    let (Some(root), Some(double_root), Some(delta_inverse)) = (
        Fr::get_root_of_unity(n as u64),
        Fr::get_root_of_unity(2 * n as u64),
        toxic.delta.inverse(),
    ) else {
        return invalid!("setup: there is no evaluation domain of {n} rows");
    };
    let lagrange = lagrange(Fr::ONE, root, n, n, &toxic.tau);
    let mut h = self::lagrange(double_root, root, n, 2 * n, &toxic.tau);
    h.iter_mut().for_each(|value| *value *= delta_inverse);

    let column = |matrix: &Matrix| columns(circuit, matrix, &lagrange);
    let (mut a, (b, mut k)) = rayon::join(
        || column(&circuit.a),
        || rayon::join(|| column(&circuit.b), || column(&circuit.c)),
    );
    for (wire, value) in a.iter_mut().enumerate().take(n_public + 1) {
        *value += lagrange[rows + wire];
    }
    k.par_iter_mut()
        .zip(a.par_iter().zip(b.par_iter()))
        .enumerate()
        .for_each(|(wire, (k, (a, b)))| {
            *k += toxic.beta * a + toxic.alpha * b;
            if wire > n_public {
                *k *= delta_inverse;
            }
        });
    let c = Zeroizing::new(k[n_public + 1..].to_vec());
    let ic = Zeroizing::new(k[..=n_public].to_vec());
    Ok(Scalars { a, b, ic, c, h })
}

/// first root^i (tau^order - 1) / (order (tau - first root^i)) for i < count: Lagrange values at tau of the domain of
/// `order` points, of which first root^i are some.
pub fn lagrange(first: Fr, root: Fr, count: usize, order: usize, tau: &Fr) -> Zeroizing<Vec<Fr>> {
    let order_element = Fr::from(order as u64);
    let vanishing = tau.pow([order as u64]) - Fr::ONE;
    let mut nodes = Vec::with_capacity(count);
    let mut node = first;
    for _ in 0..count {
        nodes.push(node);
        node *= root;
    }
    let mut values = Zeroizing::new(
        nodes
            .iter()
            .map(|node| order_element * (*tau - node))
            .collect::<Vec<_>>(),
    );
    batch_inversion(&mut values);
    values
        .par_iter_mut()
        .zip(&nodes)
        .for_each(|(value, node)| *value *= vanishing * node);
    values
}

/// Per wire, the sum over the rows of coefficient times Lagrange value.
fn columns(circuit: &Circuit, matrix: &Matrix, lagrange: &[Fr]) -> Zeroizing<Vec<Fr>> {
    let mut out = Zeroizing::new(vec![Fr::zero(); circuit.n_wires as usize]);
    for (row, value) in lagrange.iter().enumerate().take(matrix.rows()) {
        for term in matrix.row(row) {
            out[term.wire as usize] += circuit.coefs[term.coef as usize] * value;
        }
    }
    out
}

pub fn write_coefficients(circuit: &Circuit, out: &mut Writer) -> Result<()> {
    let factor = zkey::montgomery_factor();
    // In Montgomery form, c 2^256 is held as c 2^512: what the format stores.
    let stored: Vec<Vec<u8>> = circuit
        .coefs
        .iter()
        .map(|coef| (*coef * factor).0.to_bytes_le())
        .collect();
    let rows = circuit.n_constraints();
    let n_public = circuit.n_public as usize;
    out.begin(zkey::COEFFICIENTS)?;
    out.u32((circuit.a.terms() + circuit.b.terms() + n_public + 1) as u32)?;
    let mut line = Vec::new();
    let push = |line: &mut Vec<u8>, matrix: u32, row: usize, wire: u32, coef: u32| {
        for word in [matrix, row as u32, wire] {
            line.extend_from_slice(&word.to_le_bytes());
        }
        line.extend_from_slice(&stored[coef as usize]);
    };
    for row in 0..rows {
        line.clear();
        for (number, matrix) in [(0, &circuit.a), (1, &circuit.b)] {
            for term in matrix.row(row) {
                push(&mut line, number, row, term.wire, term.coef);
            }
        }
        out.write(&line)?;
    }
    line.clear();
    for wire in 0..=n_public {
        push(&mut line, 0, rows + wire, wire as u32, crate::matrix::ONE);
    }
    out.write(&line)?;
    out.end()
}

fn write_points<P>(
    out: &mut Writer,
    section: u32,
    base: &FixedBase<P>,
    scalars: &[Fr],
    weight: usize,
    step: &mut dyn FnMut(usize) -> Result<()>,
) -> Result<()>
where
    P: SWCurveConfig<ScalarField = Fr>,
    Affine<P>: Point,
{
    out.begin(section)?;
    let mut bytes = Vec::with_capacity(CHUNK * Affine::<P>::BYTES);
    for chunk in scalars.chunks(CHUNK) {
        bytes.clear();
        for point in base.mul_all(chunk) {
            point.push_montgomery(&mut bytes);
        }
        out.write(&bytes)?;
        step(weight * chunk.len())?;
    }
    out.end()
}
