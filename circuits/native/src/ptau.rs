//! Reading a `.ptau`: the powers of tau that a phase 1 made, checked before anything is built on them.
//!
//! Source: snarkjs `powersoftau_new.js`, `powersoftau_preparephase2.js`. 1 header, 2 tau^i in G1 (2^(p+1) - 1), 3 tau^i in
//! G2, 4 alpha tau^i, 5 beta tau^i (2^p each), 6 beta in G2, 7 contributions; a prepared file also has, for each domain of
//! 1, 2, 4, .. rows, the Lagrange values of section 2 (12, one domain more), 3 (13), 4 (14) and 5 (15).

use std::path::Path;

use ark_bn254::{g1, g2, Fq, Fr, G1Affine, G1Projective, G2Affine};
use ark_ec::short_weierstrass::{Affine, Projective, SWCurveConfig};
use ark_ec::{AffineRepr, CurveGroup};
use ark_ff::Field;
use rayon::prelude::*;

use crate::binfile::Sections;
use crate::bulk;
use crate::error::Result;
use crate::group_fft;
use crate::invalid;
use crate::mapped::Mapped;
use crate::points::{Point, G1_BYTES, G2_BYTES};

pub const MAGIC: &[u8; 4] = b"ptau";
pub const HEADER: u32 = 1;
pub const TAU_G1: u32 = 2;
pub const TAU_G2: u32 = 3;
pub const ALPHA_G1: u32 = 4;
pub const BETA_G1: u32 = 5;
pub const BETA_G2: u32 = 6;
pub const CONTRIBUTIONS: u32 = 7;
pub const LAGRANGE_TAU_G1: u32 = 12;
pub const LAGRANGE_TAU_G2: u32 = 13;
pub const LAGRANGE_ALPHA_G1: u32 = 14;
pub const LAGRANGE_BETA_G1: u32 = 15;
pub const MAX_POWER: u32 = 28;

/// A mapped file whose sections have the sizes that its header asks for.
pub struct Ptau {
    map: Mapped,
    name: String,
    pub power: u32,
    pub ceremony_power: u32,
    pub prepared: bool,
    pub contributions: u32,
    spans: [(usize, usize); 16],
}

/// The first powers of a file, checked: `n` of each, and up to 2 n of tau in G1.
pub struct Powers {
    pub tau_g1: Vec<G1Affine>,
    pub tau_g2: Vec<G2Affine>,
    pub alpha_g1: Vec<G1Affine>,
    pub beta_g1: Vec<G1Affine>,
    pub beta_g2: G2Affine,
}

/// Lagrange values at tau of a domain of n rows.
pub struct Lagrange {
    pub tau_g1: Vec<G1Affine>,
    pub tau_g2: Vec<G2Affine>,
    pub alpha_g1: Vec<G1Affine>,
    pub beta_g1: Vec<G1Affine>,
    /// The odd ones of the doubled domain.
    pub odd_g1: Vec<G1Affine>,
}

impl Ptau {
    /// Maps the file and checks its structure; its points are checked by `powers` and `lagrange`.
    pub fn open(path: &Path) -> Result<Self> {
        let map = Mapped::open(path)?;
        let sections = Sections::parse(path, &map, MAGIC, 1)?;
        let mut header = sections.section(HEADER, "header")?;
        header.prime::<Fq>("the base field")?;
        let (power, ceremony_power) = (header.u32()?, header.u32()?);
        if !(1..=MAX_POWER).contains(&power) || !(power..=MAX_POWER).contains(&ceremony_power) {
            return invalid!(
                "{}: 2^{power} powers out of a ceremony of 2^{ceremony_power} are not between 2 and 2^{MAX_POWER}",
                header.label()
            );
        }
        header.end()?;
        let rows = 1usize << power;
        let mut spans = [(0, 0); 16];
        let prepared = sections.has(LAGRANGE_TAU_G1);
        for (id, what, size) in [
            (TAU_G1, "tau in G1", (2 * rows - 1) * G1_BYTES),
            (TAU_G2, "tau in G2", rows * G2_BYTES),
            (ALPHA_G1, "alpha tau in G1", rows * G1_BYTES),
            (BETA_G1, "beta tau in G1", rows * G1_BYTES),
            (BETA_G2, "beta in G2", G2_BYTES),
            (LAGRANGE_TAU_G1, "Lagrange tau in G1", (4 * rows - 1) * G1_BYTES),
            (LAGRANGE_TAU_G2, "Lagrange tau in G2", (2 * rows - 1) * G2_BYTES),
            (
                LAGRANGE_ALPHA_G1,
                "Lagrange alpha in G1",
                (2 * rows - 1) * G1_BYTES,
            ),
            (LAGRANGE_BETA_G1, "Lagrange beta in G1", (2 * rows - 1) * G1_BYTES),
        ] {
            if id >= LAGRANGE_TAU_G1 && !prepared {
                continue;
            }
            let section = sections.section(id, what)?;
            if section.left() != size {
                return invalid!(
                    "{} should have {size} bytes for 2^{power} powers, it has {}",
                    section.label(),
                    section.left()
                );
            }
            spans[id as usize] = sections.span(id).unwrap_or_default();
        }
        let contributions = sections.section(CONTRIBUTIONS, "contributions")?.u32()?;
        Ok(Ptau {
            name: sections.name().to_string(),
            power,
            ceremony_power,
            prepared,
            contributions,
            spans,
            map,
        })
    }

    fn label(&self, section: u32) -> String {
        let what = match section {
            TAU_G1 => "tau in G1",
            TAU_G2 => "tau in G2",
            ALPHA_G1 => "alpha tau in G1",
            BETA_G1 => "beta tau in G1",
            BETA_G2 => "beta in G2",
            LAGRANGE_TAU_G2 => "Lagrange tau in G2",
            LAGRANGE_ALPHA_G1 => "Lagrange alpha in G1",
            LAGRANGE_BETA_G1 => "Lagrange beta in G1",
            _ => "Lagrange tau in G1",
        };
        format!("{}: section {section} ({what})", self.name)
    }

    fn bytes(&self, section: u32, first: usize, count: usize, width: usize) -> &[u8] {
        let start = self.spans[section as usize].0 + first * width;
        &self.map[start..start + count * width]
    }

    fn points<G: Point>(&self, section: u32, first: usize, count: usize) -> Result<Vec<G>> {
        bulk::read(
            self.bytes(section, first, count, G::BYTES),
            &self.label(section),
            false,
        )
    }

    /// Refuses a file that was cut off since it was opened.
    fn require_whole(&self) -> Result<()> {
        self.map.require_whole()
    }

    /// Reads the powers that a domain of `rows` rows needs and checks that they are powers of one tau, with one alpha
    /// and one beta.
    pub fn powers(&self, rows: usize, step: &mut dyn FnMut(f64) -> Result<()>) -> Result<Powers> {
        self.require_whole()?;
        let available = 1usize << self.power;
        if rows > available {
            return invalid!(
                "{}: the circuit needs 2^{} powers, the file has 2^{}",
                self.name,
                rows.ilog2(),
                self.power
            );
        }
        let powers = Powers {
            tau_g1: self.points(TAU_G1, 0, (2 * rows).min(2 * available - 1))?,
            tau_g2: self.points(TAU_G2, 0, rows.max(2))?,
            alpha_g1: self.points(ALPHA_G1, 0, rows)?,
            beta_g1: self.points(BETA_G1, 0, rows)?,
            beta_g2: self.points::<G2Affine>(BETA_G2, 0, 1)?[0],
        };
        step(0.3)?;
        let (g, h) = (G1Affine::generator(), G2Affine::generator());
        if powers.tau_g1[0] != g {
            return invalid!("{}: its first point is not the generator", self.label(TAU_G1));
        }
        if powers.tau_g2[0] != h {
            return invalid!("{}: its first point is not the generator", self.label(TAU_G2));
        }
        let (tau_g1, tau_g2) = (powers.tau_g1[1], powers.tau_g2[1]);
        for (section, is_trivial) in [
            (TAU_G1, tau_g1 == g),
            (ALPHA_G1, powers.alpha_g1[0] == g),
            (BETA_G1, powers.beta_g1[0] == g),
        ] {
            if is_trivial {
                return invalid!(
                    "{}: its secret is 1: nobody contributed to this file",
                    self.label(section)
                );
            }
        }
        for (section, points) in [
            (TAU_G1, &powers.tau_g1),
            (ALPHA_G1, &powers.alpha_g1),
            (BETA_G1, &powers.beta_g1),
        ] {
            if !bulk::same_ratio(shifted::<g1::Config>(points)?, [h, tau_g2]) && points.len() > 1 {
                return invalid!(
                    "{}: its points are not consecutive powers of one tau",
                    self.label(section)
                );
            }
            step(0.1)?;
        }
        if !bulk::same_ratio([g, tau_g1], shifted::<g2::Config>(&powers.tau_g2)?) {
            return invalid!(
                "{}: its points are not consecutive powers of the tau of section 2",
                self.label(TAU_G2)
            );
        }
        if !bulk::same_ratio([g, powers.beta_g1[0]], [h, powers.beta_g2]) {
            return invalid!("{}: its beta is not that of section 5", self.label(BETA_G2));
        }
        step(0.4)?;
        Ok(powers)
    }

    /// The Lagrange values of a domain: those of a prepared file, checked against the powers, or computed from them.
    pub fn lagrange(
        &self,
        rows: usize,
        powers: &Powers,
        step: &mut dyn FnMut(f64) -> Result<()>,
    ) -> Result<Lagrange> {
        self.require_whole()?;
        let differences = differences(powers, rows);
        let inverse_root = group_fft::root(2 * rows)?.inverse().unwrap_or(Fr::ONE);
        let half = Fr::from(2 * rows as u64).inverse().unwrap_or_default();
        // H_i = sum_j (-1/2n) w^(-(2i+1)j) (tau^(j+n) - tau^j) for the root w of the doubled domain.
        let twist = group_fft::powers(-half, inverse_root, rows);
        let whole = vec![half + half; rows];
        if !self.prepared {
            return Ok(Lagrange {
                tau_g1: transform::<g1::Config>(&powers.tau_g1[..rows], &whole, 0.13, step)?,
                tau_g2: transform::<g2::Config>(&powers.tau_g2[..rows], &whole, 0.48, step)?,
                alpha_g1: transform::<g1::Config>(&powers.alpha_g1, &whole, 0.13, step)?,
                beta_g1: transform::<g1::Config>(&powers.beta_g1, &whole, 0.13, step)?,
                odd_g1: transform::<g1::Config>(&differences, &twist, 0.13, step)?,
            });
        }
        let doubled = self.bytes(LAGRANGE_TAU_G1, 2 * rows - 1, 2 * rows, G1_BYTES);
        let odd: Vec<u8> = doubled
            .chunks_exact(2 * G1_BYTES)
            .flat_map(|pair| &pair[G1_BYTES..])
            .copied()
            .collect();
        let lagrange = Lagrange {
            tau_g1: self.points(LAGRANGE_TAU_G1, rows - 1, rows)?,
            tau_g2: self.points(LAGRANGE_TAU_G2, rows - 1, rows)?,
            alpha_g1: self.points(LAGRANGE_ALPHA_G1, rows - 1, rows)?,
            beta_g1: self.points(LAGRANGE_BETA_G1, rows - 1, rows)?,
            odd_g1: bulk::read(&odd, &self.label(LAGRANGE_TAU_G1), false)?,
        };
        step(0.2)?;
        let good = [
            (
                LAGRANGE_TAU_G1,
                agree::<g1::Config>(&lagrange.tau_g1, &powers.tau_g1[..rows], &whole)?
                    && agree::<g1::Config>(&lagrange.odd_g1, &differences, &twist)?,
            ),
            (
                LAGRANGE_ALPHA_G1,
                agree::<g1::Config>(&lagrange.alpha_g1, &powers.alpha_g1, &whole)?,
            ),
            (
                LAGRANGE_BETA_G1,
                agree::<g1::Config>(&lagrange.beta_g1, &powers.beta_g1, &whole)?,
            ),
            (
                LAGRANGE_TAU_G2,
                agree::<g2::Config>(&lagrange.tau_g2, &powers.tau_g2[..rows], &whole)?,
            ),
        ];
        step(0.8)?;
        match good.iter().find(|(_, good)| !good) {
            Some((section, _)) => invalid!(
                "{}: the domain of {rows} rows does not follow from the powers",
                self.label(*section)
            ),
            None => Ok(lagrange),
        }
    }
}

/// tau^(j+n) - tau^j for j < n, where a file without tau^(2n-1) counts it as nothing.
pub fn differences(powers: &Powers, rows: usize) -> Vec<G1Affine> {
    let all: Vec<G1Projective> = (0..rows)
        .map(|j| match powers.tau_g1.get(j + rows) {
            Some(high) => high.into_group() - powers.tau_g1[j],
            None => -powers.tau_g1[j].into_group(),
        })
        .collect();
    Projective::normalize_batch(&all)
}

/// A random combination of all points but the last, and the same one of all but the first.
fn shifted<P: SWCurveConfig<ScalarField = Fr>>(points: &[Affine<P>]) -> Result<[Affine<P>; 2]> {
    let factors = bulk::challenges(points.len().saturating_sub(1))?;
    let last = points.len().saturating_sub(1);
    Ok([
        bulk::combine(&points[..last], &factors),
        bulk::combine(&points[points.len() - last..], &factors),
    ])
}

/// sum_j w^(-ij) factors_j points_j for the root w of the domain.
fn transform<P: SWCurveConfig<ScalarField = Fr>>(
    points: &[Affine<P>],
    factors: &[Fr],
    weight: f64,
    step: &mut dyn FnMut(f64) -> Result<()>,
) -> Result<Vec<Affine<P>>> {
    let mut values: Vec<Projective<P>> = (points.par_iter().zip(factors))
        .map(|(point, factor)| *point * factor)
        .collect();
    let layers = points.len().ilog2().max(1) as f64;
    group_fft::inverse(&mut values, &mut |_| step(weight / layers))?;
    Ok(Projective::normalize_batch(&values))
}

/// Whether `values` are `transform` of the points, by a random combination.
fn agree<P: SWCurveConfig<ScalarField = Fr>>(
    values: &[Affine<P>],
    points: &[Affine<P>],
    factors: &[Fr],
) -> Result<bool> {
    let mut challenges = bulk::challenges(values.len())?;
    let left = bulk::combine(values, &challenges);
    group_fft::inverse(&mut challenges, &mut |_| Ok(()))?;
    challenges
        .iter_mut()
        .zip(factors)
        .for_each(|(value, factor)| *value *= factor);
    Ok(left == bulk::combine(points, &challenges))
}
