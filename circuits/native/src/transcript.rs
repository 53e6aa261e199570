//! Section 10 of a `.zkey`: who contributed to it, and the proof that each contribution follows from the one before.
//!
//! Source: snarkjs `zkey_utils.js` (`readMPCParams`, `hashPubKey`), `zkey_contribute.js`, `zkey_verify_frominit.js`.
//! A contribution multiplies delta by d and shows a point s with s d, and p d for a point p that everyone derives from the
//! hash of all contributions before and of s and s d.

use ark_bn254::{Fr, G1Affine, G2Affine};
use ark_ec::{AffineRepr, CurveGroup};
use ark_ff::{Field, PrimeField, Zero};
use zeroize::{Zeroize, Zeroizing};

use crate::binfile::{Section, Writer};
use crate::blake2b::{Blake2b, Hash, HASH_BYTES};
use crate::bulk::{push_uncompressed, same_ratio};
use crate::chacha::ChaCha;
use crate::error::{Error, Result};
use crate::invalid;
use crate::points::Point;
use crate::random;
use crate::zkey;

const NAME: u8 = 1;
const ITERATIONS: u8 = 2;
const BEACON: u8 = 3;
/// The longest name that snarkjs writes.
pub const MAX_NAME_BYTES: usize = 64;
pub const SEED_BYTES: usize = 32;

/// A public value that nobody could foresee, and 2^iterations hashes of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Beacon {
    pub iterations: u8,
    pub value: Vec<u8>,
}

#[derive(Clone, Debug)]
pub struct Contribution {
    pub delta: G1Affine,
    pub s: G1Affine,
    pub sd: G1Affine,
    pub pd: G2Affine,
    pub transcript: Hash,
    pub name: String,
    pub beacon: Option<Beacon>,
}

pub struct Transcript {
    pub circuit_hash: Hash,
    pub contributions: Vec<Contribution>,
}

/// The secret of one contribution.
pub struct Secret {
    pub d: Fr,
    s: G1Affine,
}

impl Drop for Secret {
    fn drop(&mut self) {
        self.d.zeroize();
    }
}

impl Secret {
    /// From the operating system's randomness and a user's text: neither weakens the other.
    pub fn fresh(text: &[u8]) -> Result<Self> {
        let mut bytes = Zeroizing::new([0u8; HASH_BYTES]);
        getrandom::fill(bytes.as_mut())
            .map_err(|error| Error::Io(error.into(), "the system's randomness".into()))?;
        let mut hasher = Blake2b::default();
        hasher.update(bytes.as_ref());
        hasher.update(text);
        let mixed = Zeroizing::new(hasher.digest());
        let d = Fr::from_le_bytes_mod_order(mixed.as_ref()) + random::element()?;
        if d.is_zero() || d == Fr::ONE {
            return Self::fresh(text);
        }
        let s = (G1Affine::generator() * random::element()?).into_affine();
        Ok(Secret { d, s })
    }

    /// From a beacon's seed: everyone gets the same.
    pub fn of_beacon(seed: &[u8; SEED_BYTES]) -> Self {
        let mut rng = ChaCha::new(seed);
        let d = rng.scalar();
        Secret { d, s: rng.g1() }
    }
}

impl Contribution {
    /// What later contributions hash, and what the participant publishes the hash of.
    fn push_public(&self, out: &mut Vec<u8>) {
        for point in [&self.delta, &self.s, &self.sd] {
            push_uncompressed(out, point);
        }
        push_uncompressed(out, &self.pd);
        out.extend_from_slice(&self.transcript);
    }

    /// The hash that its participant publishes.
    pub fn hash(&self) -> Hash {
        let mut bytes = Vec::new();
        self.push_public(&mut bytes);
        let mut hasher = Blake2b::default();
        hasher.update(&bytes);
        hasher.digest()
    }
}

/// The point p of a contribution.
fn challenge_point(transcript: &Hash) -> G2Affine {
    let mut seed = [0; SEED_BYTES];
    seed.copy_from_slice(&transcript[..SEED_BYTES]);
    ChaCha::new(&seed).g2()
}

impl Transcript {
    pub fn read(mut section: Section<'_>) -> Result<Self> {
        let circuit_hash = hash(&mut section)?;
        let count = section.u32()?;
        let mut contributions = Vec::new();
        for number in 1..=count {
            contributions.push(read_contribution(&mut section, number)?);
        }
        section.end()?;
        Ok(Transcript {
            circuit_hash,
            contributions,
        })
    }

    pub fn write(&self, out: &mut Writer) -> Result<()> {
        out.begin(zkey::CONTRIBUTIONS)?;
        out.write(&self.circuit_hash)?;
        out.u32(self.contributions.len() as u32)?;
        for contribution in &self.contributions {
            let mut bytes = Vec::new();
            for point in [&contribution.delta, &contribution.s, &contribution.sd] {
                point.push_montgomery(&mut bytes);
            }
            contribution.pd.push_montgomery(&mut bytes);
            bytes.extend_from_slice(&contribution.transcript);
            let mut parameters = Vec::new();
            if !contribution.name.is_empty() {
                parameters.extend([NAME, contribution.name.len() as u8]);
                parameters.extend(contribution.name.as_bytes());
            }
            if let Some(beacon) = &contribution.beacon {
                parameters.extend([ITERATIONS, beacon.iterations, BEACON, beacon.value.len() as u8]);
                parameters.extend(&beacon.value);
            }
            bytes.extend_from_slice(&u32::from(contribution.beacon.is_some()).to_le_bytes());
            bytes.extend_from_slice(&(parameters.len() as u32).to_le_bytes());
            out.write(&bytes)?;
            out.write(&parameters)?;
        }
        out.end()
    }

    fn transcript(&self, before: usize, s: &G1Affine, sd: &G1Affine) -> Hash {
        let mut bytes = self.circuit_hash.to_vec();
        for contribution in &self.contributions[..before] {
            contribution.push_public(&mut bytes);
        }
        push_uncompressed(&mut bytes, s);
        push_uncompressed(&mut bytes, sd);
        let mut hasher = Blake2b::default();
        hasher.update(&bytes);
        hasher.digest()
    }

    /// Adds a contribution that takes delta to `delta`, and gives back its hash.
    pub fn add(&mut self, secret: &Secret, delta: G1Affine, name: String, beacon: Option<Beacon>) -> Hash {
        let sd = (secret.s * secret.d).into_affine();
        let transcript = self.transcript(self.contributions.len(), &secret.s, &sd);
        let contribution = Contribution {
            delta,
            s: secret.s,
            sd,
            pd: (challenge_point(&transcript) * secret.d).into_affine(),
            transcript,
            name,
            beacon,
        };
        let hash = contribution.hash();
        self.contributions.push(contribution);
        hash
    }

    /// Checks that each contribution follows from the one before. `seeds` has, for each beacon in order, the hash that
    /// its value and iterations give; without it beacons are checked like other contributions. Returns the last delta.
    /// `label` names the section in refusals.
    pub fn check(&self, label: &str, seeds: Option<&[[u8; SEED_BYTES]]>) -> Result<G1Affine> {
        let mut delta = G1Affine::generator();
        let mut seeds = seeds.map(|seeds| seeds.iter());
        for (index, c) in self.contributions.iter().enumerate() {
            let label = format!("{label}: contribution {}", index + 1);
            if self.transcript(index, &c.s, &c.sd) != c.transcript {
                return invalid!("{label} does not follow from the contributions before it");
            }
            let p = challenge_point(&c.transcript);
            if !same_ratio([c.s, c.sd], [p, c.pd]) {
                return invalid!("{label} does not prove that its maker knew the secret");
            }
            if !same_ratio([delta, c.delta], [p, c.pd]) {
                return invalid!("{label} changed delta by another secret than the one it proves");
            }
            if c.delta == delta {
                return invalid!("{label} changed nothing");
            }
            if let (Some(_), Some(seeds)) = (&c.beacon, &mut seeds) {
                let Some(seed) = seeds.next() else {
                    return invalid!("{label} is a beacon, and its seed was not given");
                };
                let secret = Secret::of_beacon(seed);
                if secret.s != c.s || (secret.s * secret.d).into_affine() != c.sd {
                    return invalid!("{label} is not what its beacon gives");
                }
            }
            delta = c.delta;
        }
        Ok(delta)
    }
}

fn hash(section: &mut Section<'_>) -> Result<Hash> {
    let mut out = [0; HASH_BYTES];
    out.copy_from_slice(section.bytes(HASH_BYTES)?);
    Ok(out)
}

fn read_contribution(section: &mut Section<'_>, number: u32) -> Result<Contribution> {
    let what = |point: &str| format!("{point} of contribution {number}");
    let delta = zkey::point(section, &what("delta"))?;
    let s = zkey::point(section, &what("s"))?;
    let sd = zkey::point(section, &what("s d"))?;
    let pd = zkey::point(section, &what("p d"))?;
    let transcript = hash(section)?;
    let kind = section.u32()?;
    let size = section.u32()? as usize;
    let label = section.label().to_string();
    let mut parameters = section.bytes(size)?;
    let mut take = |count: usize| match parameters.split_at_checked(count) {
        Some((head, tail)) => {
            parameters = tail;
            Ok(head)
        }
        None => invalid!("{label}: the parameters of contribution {number} are cut off"),
    };
    let (mut name, mut iterations, mut value) = (None, None, None);
    let mut left = size;
    let mut last = 0;
    while left > 0 {
        let id = take(1)?[0];
        if id <= last || id > BEACON {
            return invalid!("{label}: contribution {number} has parameter {id} after {last}");
        }
        last = id;
        let length = take(1)?[0];
        left -= 2;
        if id == ITERATIONS {
            iterations = Some(length);
            continue;
        }
        let bytes = take(length as usize)?.to_vec();
        left -= bytes.len();
        match id {
            NAME => name = Some(bytes),
            _ => value = Some(bytes),
        }
    }
    let Ok(name) = String::from_utf8(name.unwrap_or_default()) else {
        return invalid!("{label}: the name of contribution {number} is not UTF-8");
    };
    let beacon = match (kind, iterations, value) {
        (0, None, None) => None,
        (1, Some(iterations), Some(value)) if iterations < 64 => Some(Beacon { iterations, value }),
        _ => return invalid!("{label}: contribution {number} is neither a plain one nor a beacon"),
    };
    Ok(Contribution {
        delta,
        s,
        sd,
        pd,
        transcript,
        name,
        beacon,
    })
}
