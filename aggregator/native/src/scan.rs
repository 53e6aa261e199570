//! M1, M2 and M5 of one class over a block of accounts: the portable loop, and the choice of kernel.

use crate::block::Segment;
use crate::correlation::Weights;
use crate::divide::ceil_e14;
use crate::exact::NO_SCENARIO;
use crate::policy::{LEVELS, SCENARIOS};
use crate::tables::{Tables, LIMB_BITS};

/// Which loops run. Both give the same integers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kernel {
    /// Integers of 128 bits, on any machine.
    Portable,
    /// AVX-512 IFMA: 52 x 52 bits multiplied and added, eight at a time.
    Ifma,
}

impl Kernel {
    /// The fastest kernel of this machine.
    pub fn best() -> Kernel {
        #[cfg(target_arch = "x86_64")]
        if is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512dq")
            && is_x86_feature_detected!("avx512ifma")
        {
            return Kernel::Ifma;
        }
        Kernel::Portable
    }
}

/// An account needs the exact path.
pub const FLAG: u8 = 1;
/// An account has a quantity of 52 bits or more: its classes are scanned the portable way.
pub const SLOW: u8 = 2;

/// Sums of magnitude x `SumRow` over an account's positions, low and high halves of the products apart.
#[derive(Debug, Clone, Copy)]
#[repr(align(64))]
pub struct Sums {
    pub low: [u64; 8],
    pub high: [u64; 8],
}

/// Equity and add-ons in 1e-20 USD, mod 2^128: exact once complete, because the totals stay below 2^127.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Totals {
    pub equity: i128,
    pub addon: [i128; LEVELS],
}

impl Sums {
    pub const ZERO: Sums = Sums { low: [0; 8], high: [0; 8] };

    #[inline(always)]
    fn part(&self, n: usize) -> i128 {
        let limb = |n: usize| (self.low[n] as u128).wrapping_add((self.high[n] as u128) << LIMB_BITS);
        limb(2 * n).wrapping_add(limb(2 * n + 1) << LIMB_BITS) as i128
    }

    #[inline(always)]
    pub fn fold(&self, totals: &mut Totals) {
        let equity = self.part(0).wrapping_sub(self.part(1));
        totals.equity = totals.equity.wrapping_add(equity);
        totals.addon[0] = totals.addon[0].wrapping_add(self.part(2));
        totals.addon[1] = totals.addon[1].wrapping_add(self.part(3));
    }
}

/// Where one class's results go, each indexed by the account's place in its block.
pub struct Out<'a> {
    pub scan: &'a mut [u64],
    pub worst: &'a mut [u8],
    pub flags: &'a mut [u8],
    pub sums: &'a mut [Sums],
    pub totals: &'a mut [Totals],
}

impl Out<'_> {
    /// Stores L and its scenario from the worst P&L in 1e-20 USD.
    #[inline(always)]
    pub fn put(&mut self, local: usize, worst: i128, lane: u8) {
        if worst >= 0 {
            self.scan[local] = 0;
            self.worst[local] = NO_SCENARIO;
            return;
        }
        let risk = ceil_e14(worst.unsigned_abs());
        self.scan[local] = risk as u64;
        self.worst[local] = lane;
        if risk >> 64 != 0 {
            self.flags[local] |= FLAG;
        }
    }
}

/// Adds one account's positions of a class to `totals` and returns its worst P&L and scenario. Every product is taken
/// mod 2^128; the totals are exact by the bound on positions per account (`Tables::max_positions`).
#[inline(never)]
pub fn account(
    tables: &Tables,
    class: usize,
    ids: &[u16],
    quantities: &[i64],
    totals: &mut Totals,
) -> (i128, u8) {
    let mut pnl = [0i128; SCENARIOS];
    for (&id, &quantity) in ids.iter().zip(quantities) {
        let n = usize::from(id) & 4095;
        let sums = &tables.sums[n][usize::from(quantity < 0)].0;
        let magnitude = quantity.unsigned_abs() as u128;
        let times = |at: usize| {
            magnitude.wrapping_mul(sums[at] as u128 | (sums[at + 1] as u128) << LIMB_BITS) as i128
        };
        totals.equity = totals.equity.wrapping_add(times(0)).wrapping_sub(times(2));
        totals.addon[0] = totals.addon[0].wrapping_add(times(4));
        totals.addon[1] = totals.addon[1].wrapping_add(times(6));
        if class == 0 {
            continue;
        }
        if tables.limbs[class] == 1 {
            let bias = 1i64 << (LIMB_BITS - 1);
            for (sum, &risk) in pnl.iter_mut().zip(&tables.low[n].0) {
                *sum = sum.wrapping_add(quantity as i128 * (risk as i64 - bias) as i128);
            }
        } else {
            let bias = 1i128 << (2 * LIMB_BITS - 1);
            for (sum, (&low, &high)) in pnl.iter_mut().zip(tables.low[n].0.iter().zip(&tables.high[n].0)) {
                let risk = (low as u128 | (high as u128) << LIMB_BITS) as i128 - bias;
                *sum = sum.wrapping_add((quantity as i128).wrapping_mul(risk));
            }
        }
    }
    let mut lane = 0;
    for s in 1..SCENARIOS {
        if pnl[s] < pnl[lane] {
            lane = s;
        }
    }
    (pnl[lane], lane as u8)
}

fn portable(tables: &Tables, class: usize, segment: &Segment, locals: &[u16], out: &mut Out<'_>) {
    for &local in locals {
        let local = usize::from(local);
        let (ids, quantities) = segment.run(local);
        let (worst, lane) = account(tables, class, ids, quantities, &mut out.totals[local]);
        out.put(local, worst, lane);
    }
}

/// Runs one class over the given accounts of a block.
pub fn class(
    kernel: Kernel,
    tables: &Tables,
    class: usize,
    segment: &Segment,
    locals: &[u16],
    out: &mut Out<'_>,
) {
    match kernel {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: `Kernel::Ifma` is only made by `Kernel::best`, which has seen its features.
        Kernel::Ifma => unsafe { crate::ifma::class(tables, class, segment, locals, out) },
        _ => portable(tables, class, segment, locals, out),
    }
}

#[inline(always)]
fn roots_of(weights: &Weights, columns: &[&[u64]], roots: &mut [f64]) {
    roots.fill(0.0);
    for k in 0..columns.len() {
        for l in k..columns.len() {
            let weight = weights[k][l];
            for (root, (&left, &right)) in roots.iter_mut().zip(columns[k].iter().zip(columns[l])) {
                *root += weight * left as f64 * right as f64;
            }
        }
    }
    for root in roots {
        *root = root.sqrt() * 1e-3;
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512dq")]
fn roots_avx512(weights: &Weights, columns: &[&[u64]], roots: &mut [f64]) {
    roots_of(weights, columns, roots);
}

/// M3 in floats: R of accounts from the columns of L, class by class, within a factor of 1 +- `correlation::SLACK`.
pub fn roots(kernel: Kernel, weights: &Weights, columns: &[&[u64]], roots: &mut [f64]) {
    match kernel {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: `Kernel::Ifma` is only made by `Kernel::best`, which has seen its features.
        Kernel::Ifma => unsafe { roots_avx512(weights, columns, roots) },
        _ => roots_of(weights, columns, roots),
    }
}
