//! M3, M6 and M7 of a block: from scan risk, contingency and totals to requirement and excess, eight accounts at a time.

use crate::block::{Block, Scratch, Status};
use crate::correlation::{self, SLACK};
use crate::divide::floor_signed_e14;
use crate::policy::{Header, E20_PER_E6, LEVELS, MAX_CLASSES, RATE_SCALE};
use crate::scan::{self, Kernel, FLAG};
use crate::tables::Tables;

/// The float R of eight accounts rounded up, and a mask of those for which that is certain.
#[inline(always)]
fn rounded_up(kernel: Kernel, roots: &[f64; 8], up: &mut [u64; 8]) -> u8 {
    match kernel {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: `Kernel::Ifma` is only made by `Kernel::best`, which has seen its features.
        Kernel::Ifma => unsafe { crate::lanes::rounded_up(roots, up) },
        _ => {
            let mut all = 0;
            for (n, &root) in roots.iter().enumerate() {
                let (least, most) = (root - root * SLACK, root + root * SLACK);
                let floor = least as u64;
                let sure = floor == most as u64 && least > floor as f64 && most < (1u64 << 52) as f64;
                all |= u8::from(sure) << n;
                up[n] = floor.wrapping_add(1);
            }
            all
        }
    }
}

/// floor(n / 1e14) of eight numbers, and a mask of those that came out right.
#[inline(always)]
fn floor_e14(kernel: Kernel, numbers: &[i128; 8], floors: &mut [i64; 8]) -> u8 {
    match kernel {
        #[cfg(target_arch = "x86_64")]
        Kernel::Ifma => {
            let low = numbers.map(|n| n as u64);
            let high = numbers.map(|n| (n >> 64) as u64);
            // SAFETY: as above.
            unsafe { crate::lanes::floor_e14(&low, &high, floors) }
        }
        _ => 0,
    }
}

fn scan_factors(header: &Header) -> [u128; LEVELS] {
    header.factor.map(|factor| factor as u128 * (E20_PER_E6 / RATE_SCALE as u128))
}

impl Block {
    /// M3, M6 and M7 of the accounts in `scratch.locals`. What carries a flag, before or after, has no use for them.
    pub(crate) fn conclude(&mut self, kernel: Kernel, tables: &Tables, scratch: &mut Scratch) {
        let Scratch { roots, weights, locals, flags, .. } = scratch;
        let roots = &mut roots[..locals.len()];
        let classes = usize::from(tables.header().classes);
        if locals.len() == self.len() {
            let columns: [&[u64]; MAX_CLASSES] = std::array::from_fn(|k| &self.scan[k][..]);
            scan::roots(kernel, weights, &columns[..classes], roots);
        } else {
            for (root, &local) in roots.iter_mut().zip(locals.iter()) {
                let own: [u64; MAX_CLASSES] = std::array::from_fn(|k| self.scan[k][usize::from(local)]);
                let columns = own.each_ref().map(std::slice::from_ref);
                scan::roots(Kernel::Portable, weights, &columns[..classes], std::slice::from_mut(root));
            }
        }
        for (locals, roots) in locals.chunks(8).zip(roots.chunks(8)) {
            let failed = self.conclude_eight(kernel, tables, locals, roots);
            if failed != 0 {
                for (n, &local) in locals.iter().enumerate() {
                    flags[usize::from(local)] |= if failed >> n & 1 != 0 { FLAG } else { 0 };
                }
            }
        }
    }

    /// R in 1e-6 USD of up to eight accounts, and a mask of those for which it does not fit.
    #[inline(always)]
    fn correlate(&self, kernel: Kernel, header: &Header, locals: &[u16], roots: &[f64]) -> ([u64; 8], u8) {
        let mut padded = [0.5; 8];
        padded[..roots.len()].copy_from_slice(roots);
        let mut correlated = [0; 8];
        let sure = rounded_up(kernel, &padded, &mut correlated);
        let mut failed = 0;
        if sure != u8::MAX {
            for (n, &local) in locals.iter().enumerate().filter(|(n, _)| sure >> n & 1 == 0) {
                let scan = std::array::from_fn(|k| self.scan[k][usize::from(local)]);
                match correlation::exact(header, &scan) {
                    Some(root) => correlated[n] = root,
                    None => failed |= 1 << n,
                }
            }
        }
        (correlated, failed)
    }

    /// Up to eight accounts; returns a mask of those that need the exact path.
    fn conclude_eight(&mut self, kernel: Kernel, tables: &Tables, locals: &[u16], roots: &[f64]) -> u8 {
        let (correlated, mut failed) = self.correlate(kernel, tables.header(), locals, roots);
        let factors = scan_factors(tables.header());
        let mut surplus = [[0i128; 8]; LEVELS];
        for (n, &local) in locals.iter().enumerate().take(8) {
            let local = usize::from(local);
            let totals = &self.totals[local];
            let charged = &self.contingency[local];
            let required = &mut self.requirement[local];
            for level in 0..LEVELS {
                let scanned = factors[level] * correlated[n] as u128;
                let claims = scanned.wrapping_add(charged[level] as u128 * E20_PER_E6) as i128;
                required[level] = claims.wrapping_add(totals.addon[level]);
                surplus[level][n] = totals.equity.wrapping_sub(required[level]);
            }
            self.status[local] = Status::Valued;
        }
        for level in 0..LEVELS {
            let mut floors = [0; 8];
            let right = floor_e14(kernel, &surplus[level], &mut floors);
            if right != u8::MAX {
                for n in (0..locals.len()).filter(|n| right >> n & 1 == 0) {
                    let excess = floor_signed_e14(surplus[level][n]);
                    floors[n] = excess as i64;
                    failed |= u8::from(i128::from(excess as i64) != excess) << n;
                }
            }
            let column = &mut self.excess[level];
            for (&local, &excess) in locals.iter().zip(&floors) {
                column[usize::from(local)] = excess;
            }
        }
        failed
    }
}
