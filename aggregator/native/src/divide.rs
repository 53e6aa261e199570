//! Divisions by 1e14 and 1e20 with stated rounding, by a multiplication where the quotient fits 64 bits.

use crate::policy::{E20_PER_E6, E26_PER_E6};

/// floor(n / (2^SHIFT x ODD)) for n < 2^(SHIFT + DROP + 64).
///
/// With y = n >> SHIFT and t = y >> DROP < 2^64, the estimate is floor(t x magic / 2^(63 + bits - DROP)) with
/// magic = floor(2^(63 + bits) / ODD) < 2^64. It is never too large. It falls short of y / ODD by less than 3, less than
/// one each for the bits of y that are dropped (2^DROP < ODD), the rounding of magic (t < 2^(63 + bits - DROP)) and the
/// floor: so by at most 2 of its floor. The remainder, below 3 ODD < 2^64, is followed mod 2^64.
#[inline(always)]
fn quotient<const SHIFT: u32, const ODD: u64, const DROP: u32>(n: u128) -> u64 {
    let bits = const { 64 - ODD.leading_zeros() };
    const { assert!(ODD > 1 << DROP && ODD < 1 << 62 && 63 + 64 - ODD.leading_zeros() >= 64 + DROP) };
    let magic = const { ((1u128 << (127 - ODD.leading_zeros())) / ODD as u128) as u64 };
    let y = n >> SHIFT;
    let t = (y >> DROP) as u64;
    let mut q = ((t as u128 * magic as u128) >> (63 + bits - DROP)) as u64;
    let mut rest = (y as u64).wrapping_sub(q.wrapping_mul(ODD));
    for _ in 0..2 {
        let short = u64::from(rest >= ODD);
        q += short;
        rest -= ODD & short.wrapping_neg();
    }
    q
}

const FIVE_14: u64 = 6_103_515_625;
pub const FIVE_20: u64 = 95_367_431_640_625;
/// Numerators below these take the short way; both leave room for the addend that rounds up.
const SHORT_E14: u128 = 1 << 109;
const SHORT_E20: u128 = 1 << 125;

/// ceil(n / 1e14) for any n.
#[inline(always)]
pub fn ceil_e14(n: u128) -> u128 {
    if n < SHORT_E14 {
        quotient::<14, FIVE_14, 32>(n + (E20_PER_E6 - 1)) as u128
    } else {
        n.div_ceil(E20_PER_E6)
    }
}

/// floor(n / 1e14) for any n.
#[inline(always)]
pub fn floor_e14(n: u128) -> u128 {
    if n < SHORT_E14 {
        quotient::<14, FIVE_14, 32>(n) as u128
    } else {
        n / E20_PER_E6
    }
}

/// A multiple of 1e14, in units of 1e14, that makes a short numerator positive.
const LIFT: i128 = 1 << 61;

/// floor(n / 1e14), towards minus infinity; n is above -2^126.
#[inline(always)]
pub fn floor_signed_e14(n: i128) -> i128 {
    let lift = const { LIFT * E20_PER_E6 as i128 };
    if n > -lift && n < lift {
        // No branch on the sign, which is anyone's guess: (n + LIFT d) / d = n / d + LIFT.
        quotient::<14, FIVE_14, 32>((n + lift) as u128) as i128 - LIFT
    } else {
        n.div_euclid(E20_PER_E6 as i128)
    }
}

/// ceil(n / 1e20) for n below 2^125.
#[inline(always)]
pub fn ceil_e20_short(n: u128) -> u64 {
    quotient::<20, FIVE_20, 42>(n + (E26_PER_E6 - 1))
}

/// ceil(n / 1e20) for any n.
#[inline(always)]
pub fn ceil_e20(n: u128) -> u128 {
    if n < SHORT_E20 {
        ceil_e20_short(n) as u128
    } else {
        n.div_ceil(E26_PER_E6)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Random;

    fn agree(n: u128) {
        assert_eq!(ceil_e14(n), n.div_ceil(E20_PER_E6), "{n}");
        assert_eq!(floor_e14(n), n / E20_PER_E6, "{n}");
        assert_eq!(ceil_e20(n), n.div_ceil(E26_PER_E6), "{n}");
        if n < 1 << 127 {
            let negative = -(n as i128);
            assert_eq!(floor_signed_e14(negative), negative.div_euclid(E20_PER_E6 as i128), "{n}");
        }
    }

    #[test]
    fn agrees_with_division_at_random_and_around_every_multiple() {
        let mut random = Random::new(7);
        for bits in 1..=128 {
            for _ in 0..2000 {
                let n = random.bits(bits);
                agree(n);
                for divisor in [E20_PER_E6, E26_PER_E6] {
                    let multiple = n / divisor * divisor;
                    agree(multiple);
                    agree(multiple.saturating_add(1));
                    agree(multiple.saturating_sub(1));
                }
            }
        }
        for edge in [0, SHORT_E14 - 1, SHORT_E14, SHORT_E20 - 1, SHORT_E20, u128::MAX] {
            agree(edge);
        }
    }
}
