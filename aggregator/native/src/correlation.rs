//! M3 for the loops: R from the L_k, the smallest integer with R^2 x 1e6 >= sum rho_kl L_k L_l.

use num_traits::ToPrimitive;

use crate::exact::{radicand, root_up};
use crate::policy::{Header, MAX_CLASSES, RATE_SCALE};

/// Below this every term of the sum fits: rho x L x L < 2^120, and there are at most 64.
const NARROW: u64 = 1 << 50;

/// R in 1e-6 USD; None when it does not fit 64 bits.
pub fn exact(header: &Header, scan: &[u64; MAX_CLASSES]) -> Option<u64> {
    if scan.iter().any(|&l| l >= NARROW) {
        return root_up(&radicand(header, &scan.map(u128::from))).to_u64();
    }
    let mut total = 0u128;
    for (k, &left) in scan.iter().enumerate() {
        if left == 0 {
            continue;
        }
        total += left as u128 * left as u128 * header.rho[k][k] as u128;
        for (l, &right) in scan.iter().enumerate().skip(k + 1) {
            total += 2 * (left as u128 * right as u128 * header.rho[k][l] as u128);
        }
    }
    let mut root = (total as f64).sqrt() as u64 / 1000;
    while root as u128 * root as u128 * (RATE_SCALE as u128) < total {
        root += 1;
    }
    while root > 0 && (root - 1) as u128 * (root - 1) as u128 * RATE_SCALE as u128 >= total {
        root -= 1;
    }
    Some(root)
}

/// How far a float R can be off: 36 terms, none negative, of four roundings each with those of L, added up, and the root
/// (docs/book.md).
pub const SLACK: f64 = 1.0 / (1u64 << 48) as f64;

/// Factors of L_k L_l for k <= l, in 1e-6: rho_kk, or 2 rho_kl for both orders.
pub type Weights = [[f64; MAX_CLASSES]; MAX_CLASSES];

/// The weights of a policy.
pub fn weights(header: &Header) -> Weights {
    let mut result = [[0.0; MAX_CLASSES]; MAX_CLASSES];
    for k in 0..MAX_CLASSES {
        for l in k..MAX_CLASSES {
            let twice = if l > k { 2.0 } else { 1.0 };
            result[k][l] = twice * header.rho[k][l] as f64;
        }
    }
    result
}
