//! Random policies and accounts for the unit tests.

use num_bigint::BigInt;

use crate::policy::{Group, Header, Instrument, Line, LINES, MAX_CLASSES, RATE_SCALE};

/// A small generator (xorshift64*), so that the tests repeat.
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Random {
        Random(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    pub fn word(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    /// Uniform below 2^bits; bits 0..128.
    pub fn bits(&mut self, bits: u32) -> u128 {
        let word = (u128::from(self.word()) << 64) | u128::from(self.word());
        if bits == 0 {
            0
        } else {
            word >> (128 - bits)
        }
    }

    pub fn below(&mut self, n: u64) -> u64 {
        self.word() % n
    }

    pub fn signed(&mut self, bits: u32) -> i128 {
        let magnitude = self.bits(bits) as i128;
        if self.below(2) == 0 {
            magnitude
        } else {
            -magnitude
        }
    }
}

/// How large the numbers of a random policy are, in bits: prices and risk, quantities.
#[derive(Clone, Copy)]
pub struct Sizes {
    pub price: u32,
    pub quantity: u32,
}

pub const ORDINARY: Sizes = Sizes { price: 50, quantity: 48 };
pub const LIMBS: Sizes = Sizes { price: 58, quantity: 51 };
pub const EXTREME: Sizes = Sizes { price: 80, quantity: 80 };

pub fn header(random: &mut Random, classes: u8) -> Header {
    let mut rho = [[0; MAX_CLASSES]; MAX_CLASSES];
    for k in 0..usize::from(classes) {
        for l in 0..k {
            rho[k][l] = random.below(RATE_SCALE + 1);
            rho[l][k] = rho[k][l];
        }
        rho[k][k] = RATE_SCALE;
    }
    Header { classes, factor: [random.below(RATE_SCALE), RATE_SCALE + random.below(9 * RATE_SCALE)], rho }
}

pub fn group(random: &mut Random, id: u16, sizes: Sizes) -> Group {
    let lines = |random: &mut Random| {
        std::array::from_fn::<Line, LINES, _>(|n| Line {
            slope: random.signed(sizes.price.min(62)),
            intercept: if n == 0 {
                BigInt::from(0)
            } else {
                let bits = random.below(127) as u32;
                -(BigInt::from(random.bits(bits)) << if sizes.price > 60 { random.below(16) } else { 0 })
            },
        })
    };
    Group { id, lines: [lines(random), lines(random)] }
}

pub fn instrument(random: &mut Random, id: u16, classes: u8, groups: u16, sizes: Sizes) -> Instrument {
    let class = random.below(u64::from(classes) + 1) as u8;
    let bits = random.below(u64::from(sizes.price) + 1) as u32;
    let mut one = Instrument {
        id,
        class,
        group: random.below(u64::from(groups) + 1) as u16,
        mark: random.signed(bits),
        unit: random.below(2 * RATE_SCALE),
        max_quantity: 0,
        addon: [[random.bits(bits), random.bits(bits)], [random.bits(bits), random.bits(bits)]],
        risk: std::array::from_fn(|_| if class == 0 { 0 } else { random.signed(bits) }),
    };
    let largest = ((1u128 << 118) - 1) / one.factor().max(1);
    one.max_quantity = largest.min((1 << sizes.quantity) - 1);
    one
}

/// A policy of `count` instruments with ids spread over 1..4095.
pub fn policy(random: &mut Random, count: u16, sizes: Sizes) -> (Header, Vec<Group>, Vec<Instrument>) {
    let classes = random.below(MAX_CLASSES as u64 + 1) as u8;
    let groups = random.below(4) as u16;
    let header = header(random, classes);
    let stride = 4095 / count;
    (
        header,
        (1..=groups).map(|id| group(random, id, sizes)).collect(),
        (1..=count).map(|n| instrument(random, n * stride, classes, groups, sizes)).collect(),
    )
}

/// Positions within the limits; now and then one at its limit.
pub fn positions(random: &mut Random, instruments: &[Instrument], most: u64) -> Vec<(u16, i128)> {
    let wanted = random.below(most + 1);
    let mut held = std::collections::BTreeMap::new();
    for _ in 0..wanted {
        let one = &instruments[random.below(instruments.len() as u64) as usize];
        let bits = 128 - one.max_quantity.leading_zeros();
        let quantity = match random.below(8) {
            0 => one.max_quantity as i128,
            1 => -(one.max_quantity as i128),
            _ => random.signed(bits) % (one.max_quantity as i128 + 1),
        };
        held.insert(one.id, quantity);
    }
    held.into_iter().collect()
}
