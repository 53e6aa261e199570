//! The first key of a ceremony: a `.zkey` of a circuit from a `.ptau`, byte for byte what `snarkjs groth16 setup` makes,
//! with everything checked that snarkjs takes on trust.
//!
//! Source: snarkjs `zkey_new.js`. delta is 1 until the first contribution.

use std::path::Path;

use ark_bn254::{g1, g2, G1Affine, G2Affine};
use ark_ec::short_weierstrass::{Affine, SWCurveConfig};
use ark_ec::{AffineRepr, CurveGroup};

use crate::binfile::Writer;
use crate::blake2b::{Blake2b, Hash};
use crate::bulk;
use crate::circuit::Circuit;
use crate::columns::Plan;
use crate::error::Result;
use crate::invalid;
use crate::points::Point;
use crate::ptau::{self, Lagrange, Powers, Ptau};
use crate::setup;
use crate::transcript::Transcript;
use crate::zkey::{self, Header};

/// From this many rows on, snarkjs hashes one point more than it means to. It is past the end of a file that the circuit
/// fills, so such a file is refused.
const CHUNKED_ROWS: usize = 1 << 15;
/// Shares of the work, for progress.
const CHECKED: f64 = 0.15;
const LAGRANGE_PREPARED: f64 = 0.15;
const LAGRANGE_COMPUTED: f64 = 0.55;
/// A window in G2 costs about as much as three in G1.
const G2_WEIGHT: f64 = 3.0;

/// What a key of a circuit consists of, with delta = 1.
struct Points {
    ic: Vec<G1Affine>,
    a: Vec<G1Affine>,
    b_g1: Vec<G1Affine>,
    b_g2: Vec<G2Affine>,
    c: Vec<G1Affine>,
}

/// Makes the first key of `circuit` from the powers in `ptau_path`, writes it to `path` and returns the circuit's hash.
/// `progress` gets 0..1 and may stop the work with an error.
pub fn first_key(
    circuit: &Circuit,
    ptau_path: &Path,
    path: &Path,
    progress: &mut dyn FnMut(f64) -> Result<()>,
) -> Result<Hash> {
    progress(0.0)?;
    let file = Ptau::open(ptau_path)?;
    let rows = circuit.domain_size();
    if rows >= CHUNKED_ROWS && rows >= 1 << file.power {
        return invalid!(
            "{}: it has 2^{} powers, a circuit of 2^{} rows needs 2^{} or more",
            ptau_path.display(),
            file.power,
            rows.ilog2(),
            rows.ilog2() + 1
        );
    }
    let mut done = 0.0;
    let mut step = |share: f64| {
        done += share;
        progress(f64::min(done, 1.0))
    };
    let powers = file.powers(rows, &mut |share| step(share * CHECKED))?;
    let weight = if file.prepared {
        LAGRANGE_PREPARED
    } else {
        LAGRANGE_COMPUTED
    };
    let lagrange = file.lagrange(rows, &powers, &mut |share| step(share * weight))?;
    let left = 1.0 - CHECKED - weight;
    let points = points(circuit, &lagrange, &mut |share| step(share * left))?;
    if let Some(input) = points.ic.iter().position(G1Affine::is_zero) {
        return invalid!("setup: the verification key does not bind public input {input}");
    }
    let header = Header {
        n_wires: circuit.n_wires,
        n_public: circuit.n_public,
        domain_size: rows as u32,
        alpha_g1: powers.alpha_g1[0],
        beta_g1: powers.beta_g1[0],
        beta_g2: powers.beta_g2,
        gamma_g2: G2Affine::generator(),
        delta_g1: G1Affine::generator(),
        delta_g2: G2Affine::generator(),
    };
    let circuit_hash = circuit_hash(&header, &points, &hashed_differences(&powers, rows));
    let mut out = Writer::create(path, zkey::MAGIC, 1, 10)?;
    write_protocol(&mut out)?;
    header.write(&mut out)?;
    setup::write_coefficients(circuit, &mut out)?;
    write_section(&mut out, zkey::IC, &points.ic)?;
    write_section(&mut out, zkey::POINTS_H, &lagrange.odd_g1)?;
    write_section(&mut out, zkey::POINTS_C, &points.c)?;
    write_section(&mut out, zkey::POINTS_A, &points.a)?;
    write_section(&mut out, zkey::POINTS_B1, &points.b_g1)?;
    write_section(&mut out, zkey::POINTS_B2, &points.b_g2)?;
    let transcript = Transcript {
        circuit_hash,
        contributions: Vec::new(),
    };
    transcript.write(&mut out)?;
    out.finish()?;
    progress(1.0)?;
    Ok(circuit_hash)
}

pub fn write_protocol(out: &mut Writer) -> Result<()> {
    out.begin(zkey::PROTOCOL)?;
    out.u32(zkey::GROTH16)?;
    out.end()
}

fn write_section<G: Point>(out: &mut Writer, section: u32, points: &[G]) -> Result<()> {
    out.begin(section)?;
    out.write(&bulk::montgomery(points))?;
    out.end()
}

fn points(circuit: &Circuit, lagrange: &Lagrange, step: &mut dyn FnMut(f64) -> Result<()>) -> Result<Points> {
    let plan = Plan::new(circuit);
    let share = 1.0 / (Plan::STEPS as f64 * (3.0 + G2_WEIGHT));
    let n_public = circuit.n_public as usize;
    let rows = circuit.n_constraints();
    let mut one = |_| step(share);
    let tau = Some(lagrange.tau_g1.as_slice());
    let mut a = plan.sums::<g1::Config>(&plan.bases([tau, None, None]), &mut one)?;
    let b_g1 = plan.sums::<g1::Config>(&plan.bases([None, tau, None]), &mut one)?;
    let sources = [
        Some(lagrange.beta_g1.as_slice()),
        Some(lagrange.alpha_g1.as_slice()),
        tau,
    ];
    let mut c = plan.sums::<g1::Config>(&plan.bases(sources), &mut one)?;
    // One more row for wire 0 and each public input, so that none can be unused.
    for input in 0..=n_public {
        a[input] = sum(&a[input], &lagrange.tau_g1[rows + input]);
        c[input] = sum(&c[input], &lagrange.beta_g1[rows + input]);
    }
    let in_g2 = plan.bases([None, Some(lagrange.tau_g2.as_slice()), None]);
    let b_g2 = plan.sums::<g2::Config>(&in_g2, &mut |_| step(share * G2_WEIGHT))?;
    let private = c.split_off(n_public + 1);
    Ok(Points {
        ic: c,
        a,
        b_g1,
        b_g2,
        c: private,
    })
}

fn sum<P: SWCurveConfig>(a: &Affine<P>, b: &Affine<P>) -> Affine<P> {
    (a.into_group() + b).into_affine()
}

/// The points by which the circuit's hash stands for H: differences of powers. From 2^15 rows on, snarkjs hashes whole
/// chunks and so one point more.
fn hashed_differences(powers: &Powers, rows: usize) -> Vec<G1Affine> {
    let mut out = ptau::differences(powers, rows);
    if rows < CHUNKED_ROWS {
        out.pop();
    }
    out
}

/// BLAKE2b over the key with delta = 1.
fn circuit_hash(header: &Header, points: &Points, differences: &[G1Affine]) -> Hash {
    let mut hasher = Blake2b::default();
    let mut start = Vec::new();
    bulk::push_uncompressed(&mut start, &header.alpha_g1);
    bulk::push_uncompressed(&mut start, &header.beta_g1);
    bulk::push_uncompressed(&mut start, &header.beta_g2);
    bulk::push_uncompressed(&mut start, &header.gamma_g2);
    bulk::push_uncompressed(&mut start, &header.delta_g1);
    bulk::push_uncompressed(&mut start, &header.delta_g2);
    hasher.update(&start);
    hash_points(&mut hasher, &points.ic, points.ic.len());
    hash_points(&mut hasher, differences, header.domain_size as usize - 1);
    hash_points(&mut hasher, &points.c, points.c.len());
    hash_points(&mut hasher, &points.a, points.a.len());
    hash_points(&mut hasher, &points.b_g1, points.b_g1.len());
    hash_points(&mut hasher, &points.b_g2, points.b_g2.len());
    hasher.digest()
}

fn hash_points<G: Point>(hasher: &mut Blake2b, points: &[G], count: usize) {
    hasher.update(&(count as u32).to_be_bytes());
    hasher.update(&bulk::uncompressed(points));
}
