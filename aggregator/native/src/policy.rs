//! A policy's numbers as the kernel takes them, with the bounds of W1-W5 that its fast paths rely on.

use num_bigint::BigInt;
use num_traits::{One, Signed};

use crate::error::Result;
use crate::refuse;

pub const SCENARIOS: usize = 32;
pub const MAX_CLASSES: usize = 8;
pub const LINES: usize = 6;
/// Instrument and group ids are 1..4095; a table has a row for each id.
pub const IDS: usize = 4096;
/// Index of a margin level, as `Level` in Python: MM 0, IM 1.
pub const LEVELS: usize = 2;

pub const RATE_SCALE: u64 = 1_000_000;
pub const E20_PER_E6: u128 = 100_000_000_000_000;
pub const E26_PER_E6: u128 = 100_000_000_000_000_000_000;
pub const PRICE_BITS: u32 = 80;
pub const QUANTITY_BITS: u32 = 80;
pub const VALUE_BITS: u32 = 118;
pub const CLAIM_BITS: u32 = 76;
pub const TOTAL_BITS: u32 = 80;
pub const INTERCEPT_BITS: u32 = 142;
pub const UNIT_BITS: u32 = 40;

/// One instrument; units as in `aggregator.model.policy.Instrument`. `addon` is [level][long, short].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instrument {
    pub id: u16,
    pub class: u8,
    pub group: u16,
    pub mark: i128,
    pub unit: u64,
    pub max_quantity: u128,
    pub addon: [[u128; 2]; LEVELS],
    pub risk: [i128; SCENARIOS],
}

/// One line of a contingency. Its intercept needs up to 142 bits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    pub slope: i128,
    pub intercept: BigInt,
}

/// A netting group; `lines` is [level][line].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    pub id: u16,
    pub lines: [[Line; LINES]; LEVELS],
}

/// What belongs to the policy as a whole. `rho` is in 1e-6, row by row, zero beyond `classes`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    pub classes: u8,
    pub factor: [u64; LEVELS],
    pub rho: [[u64; MAX_CLASSES]; MAX_CLASSES],
}

impl Instrument {
    /// The largest number that a quantity is multiplied by to give a value.
    pub fn factor(&self) -> u128 {
        let risk = self.risk.iter().map(|r| r.unsigned_abs());
        let addons = self.addon.iter().flatten().copied();
        risk.chain(addons).fold(self.mark.unsigned_abs(), u128::max)
    }

    /// The largest value of a position, below 2^118.
    pub fn reach(&self) -> u128 {
        self.max_quantity * self.factor()
    }

    /// W1-W3 for one instrument, apart from its group.
    pub fn check(&self, classes: u8) -> Result<()> {
        let id = self.id;
        if id == 0 || usize::from(id) >= IDS {
            return refuse!("instrument id {id} is outside 1..4095; correct it");
        }
        if self.class > classes {
            return refuse!(
                "instrument {id} is in class {}, but the policy has {classes} classes",
                self.class
            );
        }
        if self.factor() >> PRICE_BITS != 0 {
            return refuse!(
                "instrument {id} has a mark, risk entry or add-on of 2^80e-12 USD or more; lower it"
            );
        }
        if self.max_quantity >> QUANTITY_BITS != 0 || self.unit >> UNIT_BITS != 0 {
            return refuse!(
                "instrument {id} has a quantity limit of 2^80 or a unit of 2^40 or more; lower it"
            );
        }
        // Both factors are below 2^80, so the product is only safe to form by a check.
        match self.max_quantity.checked_mul(self.factor()) {
            Some(reach) if reach >> VALUE_BITS == 0 => {}
            _ => {
                return refuse!("instrument {id} allows a position of 2^118e-20 USD or more; lower its limit")
            }
        }
        if self.class == 0 && self.risk.iter().any(|&r| r != 0) {
            return refuse!("instrument {id} has risk entries but no class; set a class");
        }
        Ok(())
    }
}

impl Group {
    /// W3 and W4 for one group.
    pub fn check(&self) -> Result<()> {
        let id = self.id;
        if id == 0 || usize::from(id) >= IDS {
            return refuse!("group id {id} is outside 1..4095; correct it");
        }
        let floor = BigInt::one() << INTERCEPT_BITS;
        for line in self.lines.iter().flatten() {
            if line.slope.unsigned_abs() >> PRICE_BITS != 0 {
                return refuse!("group {id} has a slope of 2^80e-12 or more; lower it");
            }
            if line.intercept.is_positive() || -&line.intercept >= floor {
                return refuse!("group {id} has an intercept outside -2^142+1..0; correct it");
            }
        }
        Ok(())
    }
}

impl Header {
    /// W5.
    pub fn check(&self) -> Result<()> {
        let classes = usize::from(self.classes);
        if classes > MAX_CLASSES {
            return refuse!("the policy has {classes} classes; at most {MAX_CLASSES} exist");
        }
        if self.factor.iter().any(|&f| f > 10 * RATE_SCALE) {
            return refuse!("a scan factor is above 10; lower it");
        }
        for (k, row) in self.rho.iter().enumerate() {
            for (l, &rho) in row.iter().enumerate() {
                let inside = k < classes && l < classes;
                let own = if k == l && inside { RATE_SCALE } else { rho };
                if rho != own || rho != self.rho[l][k] || rho > RATE_SCALE || (!inside && rho != 0) {
                    return refuse!(
                        "correlation {k},{l} is {rho}e-6; it is symmetric, 0..1, and 1 on the diagonal"
                    );
                }
            }
        }
        Ok(())
    }
}
