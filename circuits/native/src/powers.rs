//! A `.ptau` made on one machine, for development and tests: whoever runs this could keep its secrets.
//!
//! Source: snarkjs `powersoftau_new.js`, `powersoftau_contribute.js`, `keypair.js`. The file has one contribution, which
//! `snarkjs powersoftau verify` accepts, and is prepared for phase 2.

use std::path::Path;

use ark_bn254::{g1, g2, Fq, Fr, G1Affine, G2Affine};
use ark_ec::short_weierstrass::{Affine, SWCurveConfig};
use ark_ec::{AffineRepr, CurveGroup};
use ark_ff::Field;
use zeroize::{Zeroize, Zeroizing};

use crate::binfile::Writer;
use crate::blake2b::{Blake2b, Hash};
use crate::bulk::{self, push_uncompressed};
use crate::chacha::ChaCha;
use crate::error::Result;
use crate::fixed_base::FixedBase;
use crate::group_fft::{powers, root};
use crate::invalid;
use crate::points::Point;
use crate::ptau::{self, MAX_POWER};
use crate::random;
use crate::setup;
use crate::transcript::SEED_BYTES;

const CHUNK: usize = 1 << 14;
const TAU: u8 = 0;
const ALPHA: u8 = 1;
const BETA: u8 = 2;
const NAME: u8 = 1;

struct Secrets {
    tau: Fr,
    alpha: Fr,
    beta: Fr,
}

impl Drop for Secrets {
    fn drop(&mut self) {
        self.tau.zeroize();
        self.alpha.zeroize();
        self.beta.zeroize();
    }
}

/// s, s x and p x for a secret x.
struct PublicKey {
    s: G1Affine,
    sx: G1Affine,
    px: G2Affine,
}

struct Output<'a> {
    out: Writer,
    g1: FixedBase<g1::Config>,
    g2: FixedBase<g2::Config>,
    /// The hash that the next contribution would start from.
    challenge: Blake2b,
    done: f64,
    total: f64,
    progress: &'a mut dyn FnMut(f64) -> Result<()>,
}

impl Output<'_> {
    /// Writes a section of multiples; `hashed` says that they are part of the challenge.
    fn section<P>(&mut self, id: u32, levels: &[Zeroizing<Vec<Fr>>], hashed: bool) -> Result<()>
    where
        P: SWCurveConfig<ScalarField = Fr>,
        Affine<P>: Point,
        Self: Table<P>,
    {
        self.out.begin(id)?;
        for chunk in levels.iter().flat_map(|level| level.chunks(CHUNK)) {
            let points = self.table().mul_all(chunk);
            self.out.write(&bulk::montgomery(&points))?;
            if hashed {
                self.challenge.update(&bulk::uncompressed(&points));
            }
            self.done += (chunk.len() * Affine::<P>::BYTES) as f64;
            (self.progress)(f64::min(self.done / self.total, 1.0))?;
        }
        self.out.end()
    }
}

trait Table<P: SWCurveConfig<ScalarField = Fr>> {
    fn table(&self) -> &FixedBase<P>;
}

impl Table<g1::Config> for Output<'_> {
    fn table(&self) -> &FixedBase<g1::Config> {
        &self.g1
    }
}

impl Table<g2::Config> for Output<'_> {
    fn table(&self) -> &FixedBase<g2::Config> {
        &self.g2
    }
}

/// Writes a file of 2^power powers with fresh secrets and one contribution called `name`. `progress` gets 0..1 and may
/// stop the work with an error.
pub fn create(
    path: &Path,
    power: u32,
    prepared: bool,
    name: &str,
    progress: &mut dyn FnMut(f64) -> Result<()>,
) -> Result<()> {
    if !(1..MAX_POWER).contains(&power) || name.len() > usize::from(u8::MAX) {
        return invalid!("powers of tau: 2^1 to 2^27 powers can be made, under a name of at most 255 bytes");
    }
    progress(0.0)?;
    let rows = 1usize << power;
    let secrets = Secrets {
        tau: random::element()?,
        alpha: random::element()?,
        beta: random::element()?,
    };
    let first_challenge = first_challenge(power);
    let keys = [
        public_key(TAU, &first_challenge, &secrets.tau)?,
        public_key(ALPHA, &first_challenge, &secrets.alpha)?,
        public_key(BETA, &first_challenge, &secrets.beta)?,
    ];
    let mut response = Blake2b::default();
    response.update(&first_challenge);
    let state = response.state();
    response.update(&public_bytes(&keys, push_uncompressed, push_uncompressed));
    let mut challenge = Blake2b::default();
    challenge.update(&response.digest());

    let sections = if prepared { 11 } else { 7 };
    let mut output = Output {
        out: Writer::create(path, ptau::MAGIC, 1, sections)?,
        g1: FixedBase::new(G1Affine::generator(), 4 * rows),
        g2: FixedBase::new(G2Affine::generator(), rows),
        challenge,
        done: 0.0,
        total: (rows * 64 * if prepared { 18 } else { 6 }) as f64,
        progress,
    };
    output.out.begin(ptau::HEADER)?;
    output.out.prime::<Fq>()?;
    output.out.u32(power)?;
    output.out.u32(power)?;
    output.out.end()?;
    let tau = Zeroizing::new(powers(Fr::ONE, secrets.tau, 2 * rows - 1));
    let of_tau = |factor: Fr| {
        vec![Zeroizing::new(
            tau[..rows].iter().map(|power| *power * factor).collect(),
        )]
    };
    output.section::<g1::Config>(ptau::TAU_G1, std::slice::from_ref(&tau), true)?;
    output.section::<g2::Config>(ptau::TAU_G2, &of_tau(Fr::ONE), true)?;
    output.section::<g1::Config>(ptau::ALPHA_G1, &of_tau(secrets.alpha), true)?;
    output.section::<g1::Config>(ptau::BETA_G1, &of_tau(secrets.beta), true)?;
    output.section::<g2::Config>(ptau::BETA_G2, &[Zeroizing::new(vec![secrets.beta])], true)?;
    let next_challenge = output.challenge.digest();
    write_contribution(&mut output, &secrets, &keys, &state, &next_challenge, name)?;
    if prepared {
        let levels = (0..=power)
            .map(|level| lagrange(level, &secrets.tau))
            .collect::<Result<Vec<_>>>()?;
        let times = |factor: Fr| -> Vec<_> {
            let scaled = |level: &Zeroizing<Vec<Fr>>| {
                Zeroizing::new(level.iter().map(|value| *value * factor).collect())
            };
            levels.iter().map(scaled).collect()
        };
        let mut all = times(Fr::ONE);
        let mut last = lagrange(power + 1, &secrets.tau)?;
        // The file has no tau^(2n-1), and the last domain counts it as nothing.
        let count = 2 * rows;
        let missing =
            secrets.tau.pow([count as u64 - 1]) * Fr::from(count as u64).inverse().unwrap_or_default();
        let shares = Zeroizing::new(powers(missing, root(count)?, count));
        last.iter_mut()
            .zip(shares.iter())
            .for_each(|(value, share)| *value -= share);
        all.push(last);
        output.section::<g1::Config>(ptau::LAGRANGE_TAU_G1, &all, false)?;
        output.section::<g2::Config>(ptau::LAGRANGE_TAU_G2, &times(Fr::ONE), false)?;
        output.section::<g1::Config>(ptau::LAGRANGE_ALPHA_G1, &times(secrets.alpha), false)?;
        output.section::<g1::Config>(ptau::LAGRANGE_BETA_G1, &times(secrets.beta), false)?;
    }
    output.out.finish()?;
    (output.progress)(1.0)
}

fn lagrange(level: u32, tau: &Fr) -> Result<Zeroizing<Vec<Fr>>> {
    let count = 1usize << level;
    Ok(setup::lagrange(Fr::ONE, root(count)?, count, count, tau))
}

fn write_contribution(
    output: &mut Output<'_>,
    secrets: &Secrets,
    keys: &[PublicKey; 3],
    state: &[u8],
    next_challenge: &Hash,
    name: &str,
) -> Result<()> {
    let mut bytes = 1u32.to_le_bytes().to_vec();
    output.g1.mul(&secrets.tau).push_montgomery(&mut bytes);
    output.g2.mul(&secrets.tau).push_montgomery(&mut bytes);
    output.g1.mul(&secrets.alpha).push_montgomery(&mut bytes);
    output.g1.mul(&secrets.beta).push_montgomery(&mut bytes);
    output.g2.mul(&secrets.beta).push_montgomery(&mut bytes);
    bytes.extend(public_bytes(
        keys,
        |out, point| point.push_montgomery(out),
        |out, point| point.push_montgomery(out),
    ));
    bytes.extend_from_slice(state);
    bytes.extend_from_slice(next_challenge);
    bytes.extend_from_slice(&0u32.to_le_bytes());
    let mut parameters = Vec::new();
    if !name.is_empty() {
        parameters.extend([NAME, name.len() as u8]);
        parameters.extend(name.as_bytes());
    }
    bytes.extend_from_slice(&(parameters.len() as u32).to_le_bytes());
    bytes.extend(parameters);
    output.out.begin(ptau::CONTRIBUTIONS)?;
    output.out.write(&bytes)?;
    output.out.end()
}

/// The hash of a file to which nobody contributed.
fn first_challenge(power: u32) -> Hash {
    let (mut in_g1, mut in_g2) = (Vec::new(), Vec::new());
    push_uncompressed(&mut in_g1, &G1Affine::generator());
    push_uncompressed(&mut in_g2, &G2Affine::generator());
    let rows = 1usize << power;
    let mut hasher = Blake2b::default();
    hasher.update(&Blake2b::default().digest());
    for (point, count) in [
        (&in_g1, 2 * rows - 1),
        (&in_g2, rows),
        (&in_g1, 2 * rows),
        (&in_g2, 1),
    ] {
        for _ in 0..count {
            hasher.update(point);
        }
    }
    hasher.digest()
}

fn public_key(purpose: u8, challenge: &Hash, secret: &Fr) -> Result<PublicKey> {
    let s = (G1Affine::generator() * random::element()?).into_affine();
    let sx = (s * secret).into_affine();
    let mut bytes = vec![purpose];
    bytes.extend_from_slice(challenge);
    push_uncompressed(&mut bytes, &s);
    push_uncompressed(&mut bytes, &sx);
    let mut hasher = Blake2b::default();
    hasher.update(&bytes);
    let mut seed = [0; SEED_BYTES];
    seed.copy_from_slice(&hasher.digest()[..SEED_BYTES]);
    let px = (ChaCha::new(&seed).g2() * secret).into_affine();
    Ok(PublicKey { s, sx, px })
}

fn public_bytes(
    keys: &[PublicKey; 3],
    push_g1: impl Fn(&mut Vec<u8>, &G1Affine),
    push_g2: impl Fn(&mut Vec<u8>, &G2Affine),
) -> Vec<u8> {
    let mut out = Vec::new();
    for key in keys {
        push_g1(&mut out, &key.s);
        push_g1(&mut out, &key.sx);
    }
    keys.iter().for_each(|key| push_g2(&mut out, &key.px));
    out
}
