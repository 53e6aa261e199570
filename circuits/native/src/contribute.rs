//! Contributions to a `.zkey`, and the check of a whole transcript against the ceremony's first key.
//!
//! Source: snarkjs `zkey_contribute.js`, `zkey_beacon.js`, `zkey_verify_frominit.js`. A contribution multiplies delta by a
//! secret d and divides the points of C and H by it; everything else stays as it was.

use std::path::Path;

use ark_bn254::{g1, Fr, G1Affine, G2Affine};
use ark_ec::{AffineRepr, CurveGroup};
use ark_ff::Field;
use zeroize::Zeroizing;

use crate::binfile::{Sections, Writer};
use crate::blake2b::Hash;
use crate::bulk;
use crate::error::Result;
use crate::invalid;
use crate::key::check_pairs;
use crate::mapped::Mapped;
use crate::phase2::write_protocol;
use crate::points::{Point, G1_BYTES};
use crate::transcript::{Beacon, Secret, Transcript, MAX_NAME_BYTES, SEED_BYTES};
use crate::zkey::{self, Header, Spans};

const CHUNK: usize = 1 << 14;
const UNCHANGED: [(u32, &str); 5] = [
    (zkey::IC, "IC"),
    (zkey::COEFFICIENTS, "coefficients"),
    (zkey::POINTS_A, "points A"),
    (zkey::POINTS_B1, "points B1"),
    (zkey::POINTS_B2, "points B2"),
];
const DIVIDED: [(u32, &str); 2] = [(zkey::POINTS_C, "points C"), (zkey::POINTS_H, "points H")];

/// A mapped `.zkey`, as far as a ceremony looks into it.
struct Key {
    map: Mapped,
    name: String,
    header: Header,
    transcript: Transcript,
    spans: Spans,
}

impl Key {
    fn open(path: &Path) -> Result<Self> {
        let map = Mapped::open(path)?;
        let sections = Sections::parse(path, &map, zkey::MAGIC, 1)?;
        let mut protocol = sections.section(zkey::PROTOCOL, "protocol")?;
        if protocol.u32()? != zkey::GROTH16 {
            return invalid!("{} does not say Groth16", protocol.label());
        }
        protocol.end()?;
        let header = Header::read(sections.section(zkey::HEADER, "header")?)?;
        let spans = header.spans(&sections)?;
        let transcript = Transcript::read(sections.section(zkey::CONTRIBUTIONS, "contributions")?)?;
        Ok(Key {
            name: sections.name().to_string(),
            header,
            transcript,
            spans,
            map,
        })
    }

    fn bytes(&self, section: u32) -> &[u8] {
        let (start, size) = self.spans[section as usize];
        &self.map[start..start + size]
    }

    fn label(&self, section: u32) -> String {
        let known = UNCHANGED
            .into_iter()
            .chain(DIVIDED)
            .find(|(id, _)| *id == section);
        let what = known.map_or("contributions", |(_, what)| what);
        format!("{}: section {section} ({what})", self.name)
    }

    fn points<G: Point>(&self, section: u32) -> Result<Vec<G>> {
        self.map.require_whole()?;
        bulk::read(self.bytes(section), &self.label(section), true)
    }

    /// The header's delta has to be the one that the contributions lead to, in both groups.
    fn require_delta(&self, delta: G1Affine) -> Result<()> {
        if delta != self.header.delta_g1 {
            return invalid!(
                "{}: section 2 (header): delta is not that of the last contribution",
                self.name
            );
        }
        let (g, h) = (G1Affine::generator(), G2Affine::generator());
        if !bulk::same_ratio([g, delta], [h, self.header.delta_g2]) {
            return invalid!(
                "{}: section 2 (header): delta differs between the two groups",
                self.name
            );
        }
        Ok(())
    }

    /// Refuses a key that would be copied with what nobody can prove with: a contribution to it would be lost.
    fn check_unchanged(&self) -> Result<()> {
        check_pairs(&self.header, &self.name)?;
        self.points::<G1Affine>(zkey::IC)?;
        self.points::<G1Affine>(zkey::POINTS_A)?;
        self.points::<G1Affine>(zkey::POINTS_B1)?;
        self.points::<G2Affine>(zkey::POINTS_B2)?;
        let terms = self.bytes(zkey::COEFFICIENTS);
        self.header.check_terms(terms, &self.label(zkey::COEFFICIENTS))
    }
}

/// The circuit's hash and the contributions of a key.
pub fn read_transcript(path: &Path) -> Result<Transcript> {
    Ok(Key::open(path)?.transcript)
}

/// Checks that the contributions of a key follow from each other and prove their secrets, as far as that takes no
/// beacon's seed; it is a matter of milliseconds, a seed may be one of hours.
pub fn check_transcript(path: &Path) -> Result<()> {
    let key = Key::open(path)?;
    let delta = key.transcript.check(&key.label(zkey::CONTRIBUTIONS), None)?;
    key.require_delta(delta)
}

/// Adds a contribution with a fresh secret to the key in `from`, writes the result to `to` and returns the contribution's
/// hash. The secret comes from the operating system's randomness and from `text`.
pub fn contribute(
    from: &Path,
    to: &Path,
    name: &str,
    text: &[u8],
    progress: &mut dyn FnMut(f64) -> Result<()>,
) -> Result<Hash> {
    apply(from, to, name, &Secret::fresh(text)?, None, progress)
}

/// Adds a beacon to the key in `from`: `seed` is what 2^iterations hashes of its value give.
pub fn apply_beacon(
    from: &Path,
    to: &Path,
    name: &str,
    beacon: Beacon,
    seed: &[u8; SEED_BYTES],
    progress: &mut dyn FnMut(f64) -> Result<()>,
) -> Result<Hash> {
    if !(1..=usize::from(u8::MAX)).contains(&beacon.value.len()) || beacon.iterations > 63 {
        return invalid!("beacon: its value has 1 to 255 bytes and its iterations are 2^0 to 2^63");
    }
    apply(from, to, name, &Secret::of_beacon(seed), Some(beacon), progress)
}

fn apply(
    from: &Path,
    to: &Path,
    name: &str,
    secret: &Secret,
    beacon: Option<Beacon>,
    progress: &mut dyn FnMut(f64) -> Result<()>,
) -> Result<Hash> {
    progress(0.0)?;
    if name.len() > MAX_NAME_BYTES {
        return invalid!("contribution: a name has at most {MAX_NAME_BYTES} bytes");
    }
    let Some(inverse) = secret.d.inverse().map(Zeroizing::new) else {
        return invalid!("contribution: its secret is 0");
    };
    let mut key = Key::open(from)?;
    key.check_unchanged()?;
    key.header.delta_g1 = (key.header.delta_g1 * secret.d).into_affine();
    key.header.delta_g2 = (key.header.delta_g2 * secret.d).into_affine();
    let mut out = Writer::create(to, zkey::MAGIC, 1, 10)?;
    write_protocol(&mut out)?;
    key.header.write(&mut out)?;
    for (section, _) in UNCHANGED {
        key.map.require_whole()?;
        out.begin(section)?;
        if section == zkey::COEFFICIENTS {
            out.u32((key.bytes(section).len() / zkey::COEFFICIENT_BYTES) as u32)?;
        }
        out.write(key.bytes(section))?;
        out.end()?;
    }
    let total = (key.bytes(zkey::POINTS_C).len() + key.bytes(zkey::POINTS_H).len()).max(1);
    let mut done = 0;
    for (section, _) in DIVIDED {
        out.begin(section)?;
        for bytes in key.bytes(section).chunks(CHUNK * G1_BYTES) {
            key.map.require_whole()?;
            let points: Vec<G1Affine> = bulk::read(bytes, &key.label(section), true)?;
            out.write(&bulk::montgomery(&bulk::scale::<g1::Config>(&points, &inverse)))?;
            done += bytes.len();
            progress(done as f64 / total as f64)?;
        }
        out.end()?;
    }
    let hash = key
        .transcript
        .add(secret, key.header.delta_g1, name.to_string(), beacon);
    key.transcript.write(&mut out)?;
    out.finish()?;
    Ok(hash)
}

/// Checks that the key in `path` came from the ceremony's first key in `first` by the contributions it names, and by
/// nothing else. `seeds` has for each beacon, in order, the hash that its value and iterations give.
pub fn verify(
    path: &Path,
    first: &Path,
    seeds: &[[u8; SEED_BYTES]],
    progress: &mut dyn FnMut(f64) -> Result<()>,
) -> Result<()> {
    progress(0.0)?;
    let (key, first) = (Key::open(path)?, Key::open(first)?);
    let (ours, theirs) = (&key.header, &first.header);
    if first.header.delta_g1 != G1Affine::generator() || !first.transcript.contributions.is_empty() {
        return invalid!(
            "{}: it is not a first key: somebody contributed to it",
            first.name
        );
    }
    let same = (ours.n_wires, ours.n_public, ours.domain_size)
        == (theirs.n_wires, theirs.n_public, theirs.domain_size)
        && key.transcript.circuit_hash == first.transcript.circuit_hash;
    if !same {
        return invalid!(
            "{}: it was made for another circuit or from other powers of tau",
            key.name
        );
    }
    let fixed = (ours.alpha_g1, ours.beta_g1, ours.beta_g2, ours.gamma_g2)
        == (theirs.alpha_g1, theirs.beta_g1, theirs.beta_g2, theirs.gamma_g2);
    if !fixed {
        return invalid!(
            "{}: section 2 (header): alpha, beta or gamma was changed",
            key.name
        );
    }
    key.map.require_whole()?;
    first.map.require_whole()?;
    for (section, _) in UNCHANGED {
        if key.bytes(section) != first.bytes(section) {
            return invalid!("{} was changed", key.label(section));
        }
    }
    progress(0.2)?;
    let delta = key
        .transcript
        .check(&key.label(zkey::CONTRIBUTIONS), Some(seeds))?;
    key.require_delta(delta)?;
    progress(0.3)?;
    for (section, _) in DIVIDED {
        if !divided(&key, &first, section, &ours.delta_g2)? {
            return invalid!(
                "{} is not that of the first key divided by delta",
                key.label(section)
            );
        }
        progress(if section == zkey::POINTS_C { 0.6 } else { 1.0 })?;
    }
    Ok(())
}

/// Whether a section times delta is that of the first key, by a random combination.
fn divided(key: &Key, first: &Key, section: u32, delta_g2: &G2Affine) -> Result<bool> {
    let (ours, theirs) = (
        key.points::<G1Affine>(section)?,
        first.points::<G1Affine>(section)?,
    );
    if ours.len() != theirs.len() || ours.iter().zip(&theirs).any(|(a, b)| a.is_zero() != b.is_zero()) {
        return Ok(false);
    }
    let factors: Vec<Fr> = bulk::challenges(ours.len())?;
    let pair = [
        bulk::combine::<g1::Config>(&ours, &factors),
        bulk::combine::<g1::Config>(&theirs, &factors),
    ];
    let empty = ours.iter().all(AffineRepr::is_zero);
    Ok(empty || bulk::same_ratio(pair, [G2Affine::generator(), *delta_g2]))
}
