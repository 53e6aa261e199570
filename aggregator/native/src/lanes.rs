//! AVX-512 for M3, M4 and M7: one number of eight accounts in a vector, divided exactly.
//!
//! A division takes its quotient in floats, off by less than 1 to a known side, and puts it right by the remainder, which is
//! followed mod 2^64.

use std::arch::x86_64::*;

use crate::charge::Eight;
use crate::correlation::SLACK;
use crate::divide::FIVE_20;
use crate::ifma::{load, store};
use crate::policy::{E20_PER_E6, LEVELS};
use crate::tables::{LIMB, LIMB_BITS};

/// ceil(m x slope / 1e20) for m in limbs of 52 bits, slope < 2^52 and m x slope < 2^113.
///
/// With y = ceil(m x slope / 2^20) this is ceil(y / 5^20), below 2^47. The float quotient has only terms that are not
/// negative, each with at most five roundings, and is lowered by 2^-49 of itself: so it is below the true one by less than 1,
/// and the remainder is from 0 to below 2 x 5^20.
#[inline]
#[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
fn ceil_e20(low: __m512i, high: __m512i, slope: __m512i) -> __m512i {
    const PART: f64 = (1.0 - 1.0 / (1u64 << 49) as f64) / FIVE_20 as f64;
    let zero = _mm512_setzero_si512();
    let first = _mm512_madd52lo_epu64(_mm512_set1_epi64((1 << 20) - 1), low, slope);
    let second = _mm512_madd52lo_epu64(_mm512_madd52hi_epu64(zero, low, slope), high, slope);
    let third = _mm512_madd52hi_epu64(zero, high, slope);
    let first = _mm512_srli_epi64::<20>(first);
    let y = _mm512_add_epi64(first, _mm512_slli_epi64::<32>(second));
    let scale = |x, by| _mm512_mul_pd(_mm512_cvtepi64_pd(x), _mm512_set1_pd(by));
    let upper =
        _mm512_add_pd(scale(third, PART * (1u128 << 84) as f64), scale(second, PART * (1u64 << 32) as f64));
    let quotient = _mm512_cvttpd_epi64(_mm512_add_pd(upper, scale(first, PART)));
    let divisor = _mm512_set1_epi64(FIVE_20 as i64);
    let rest = _mm512_sub_epi64(y, _mm512_mullo_epi64(quotient, divisor));
    let one = _mm512_set1_epi64(1);
    let some = _mm512_cmpgt_epi64_mask(rest, zero);
    let up = _mm512_mask_add_epi64(quotient, some, quotient, one);
    _mm512_mask_add_epi64(up, _mm512_cmpgt_epi64_mask(rest, divisor), up, one)
}

/// Adds the charges of one group near the origin to `sums`, by account; accounts with a magnitude of `knee` or more go to
/// `left`. No account is in `eights` twice with a magnitude above 0.
///
/// # Safety
/// The machine has AVX-512F, AVX-512DQ and AVX-512 IFMA.
#[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
pub unsafe fn charge(
    slopes: [u64; LEVELS],
    knee: u128,
    eights: &[Eight],
    sums: &mut [[u64; LEVELS]],
    left: &mut Vec<(u16, u128)>,
) {
    let wide = slopes.iter().any(|&s| s > LIMB);
    let knee = if wide { 0 } else { knee.min((1 << (2 * LIMB_BITS)) - 1) };
    let knee_low = _mm512_set1_epi64((knee as u64 & LIMB) as i64);
    let knee_high = _mm512_set1_epi64((knee >> LIMB_BITS) as i64);
    let slopes = slopes.map(|s| _mm512_set1_epi64((s & LIMB) as i64));
    for eight in eights {
        let (low, high) = (load(&eight.low), load(&eight.high));
        let level = _mm512_cmpeq_epi64_mask(high, knee_high);
        let near =
            _mm512_cmplt_epi64_mask(high, knee_high) | _mm512_mask_cmplt_epi64_mask(level, low, knee_low);
        let mut charges = [[0; 8]; LEVELS];
        for (charge, slope) in charges.iter_mut().zip(slopes) {
            store(charge, _mm512_maskz_mov_epi64(near, ceil_e20(low, high, slope)));
        }
        for (n, &local) in eight.local.iter().enumerate() {
            let sum = &mut sums[usize::from(local)];
            for (total, charge) in sum.iter_mut().zip(&charges) {
                *total = total.wrapping_add(charge[n]);
            }
        }
        if near != u8::MAX {
            let beyond = (0..8).filter(|n| near >> n & 1 == 0);
            left.extend(
                beyond.map(|n| (eight.local[n], eight.low[n] as u128 | (eight.high[n] as u128) << LIMB_BITS)),
            );
        }
    }
}

/// R rounded up where the whole interval around a root is between two integers; returns a mask of those.
///
/// # Safety
/// The machine has AVX-512F, AVX-512DQ and AVX-512 IFMA.
#[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
pub unsafe fn rounded_up(roots: &[f64; 8], up: &mut [u64; 8]) -> u8 {
    // SAFETY: eight numbers.
    let root = unsafe { _mm512_loadu_pd(roots.as_ptr()) };
    let slack = _mm512_mul_pd(root, _mm512_set1_pd(SLACK));
    let (least, most) = (_mm512_sub_pd(root, slack), _mm512_add_pd(root, slack));
    let floor = _mm512_cvttpd_epi64(least);
    store(up, _mm512_add_epi64(floor, _mm512_set1_epi64(1)));
    _mm512_cmpeq_epi64_mask(floor, _mm512_cvttpd_epi64(most))
        & _mm512_cmp_pd_mask::<_CMP_GT_OQ>(least, _mm512_cvtepi64_pd(floor))
        & _mm512_cmp_pd_mask::<_CMP_LT_OQ>(most, _mm512_set1_pd((1u64 << 52) as f64))
}

/// floor(n / 1e14) for n = high x 2^64 + low; right for the returned mask, which has every n with -2^94 <= n < 2^94.
///
/// There the quotient is below 2^48 and the float one, with at most five roundings, is off by less than 1/4. Lowered by 1/4
/// and rounded down it is the floor or one less, and the remainder is from 0 to below 2e14.
///
/// # Safety
/// The machine has AVX-512F, AVX-512DQ and AVX-512 IFMA.
#[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
pub unsafe fn floor_e14(low: &[u64; 8], high: &[u64; 8], floors: &mut [i64; 8]) -> u8 {
    let (low, high) = (load(low), load(high));
    let upper = _mm512_mul_pd(_mm512_cvtepi64_pd(high), _mm512_set1_pd((1u128 << 64) as f64 / 1e14));
    let lower = _mm512_mul_pd(_mm512_cvtepu64_pd(low), _mm512_set1_pd(1e-14));
    let rough = _mm512_sub_pd(_mm512_add_pd(upper, lower), _mm512_set1_pd(0.25));
    let quotient = _mm512_cvt_roundpd_epi64::<{ _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC }>(rough);
    let unit = _mm512_set1_epi64(E20_PER_E6 as i64);
    let rest = _mm512_sub_epi64(low, _mm512_mullo_epi64(quotient, unit));
    let more = _mm512_cmpge_epi64_mask(rest, unit);
    let floor = _mm512_mask_add_epi64(quotient, more, quotient, _mm512_set1_epi64(1));
    // SAFETY: eight words.
    unsafe { _mm512_storeu_si512(floors.as_mut_ptr().cast(), floor) }
    let sign = _mm512_srai_epi64::<63>(high);
    let magnitude = _mm512_xor_si512(high, sign);
    _mm512_cmplt_epi64_mask(magnitude, _mm512_set1_epi64(1 << 30))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contingency::GroupLines;
    use crate::divide::floor_signed_e14;
    use crate::scan::Kernel;
    use crate::testing::{self, Random, ORDINARY};

    #[test]
    fn eight_floors_are_right_or_marked() {
        if Kernel::best() != Kernel::Ifma {
            return;
        }
        let mut random = Random::new(21);
        let mut marked = 0;
        for round in 0..40_000 {
            let numbers: [i128; 8] = std::array::from_fn(|_| {
                let n = random.signed(1 + round % 96);
                let near = n / E20_PER_E6 as i128 * E20_PER_E6 as i128;
                [n, near, near + 1, near - 1][random.below(4) as usize]
            });
            let mut floors = [0; 8];
            let halves = (numbers.map(|n| n as u64), numbers.map(|n| (n >> 64) as u64));
            // SAFETY: the machine has the features.
            let right = unsafe { floor_e14(&halves.0, &halves.1, &mut floors) };
            for (n, &number) in numbers.iter().enumerate() {
                let inside = (-(1 << 94)..1 << 94).contains(&number);
                assert_eq!(right >> n & 1 != 0, inside, "{number}");
                marked += u32::from(inside);
                assert!(!inside || i128::from(floors[n]) == floor_signed_e14(number), "{number}");
            }
        }
        assert!(marked > 300_000, "{marked}");
    }

    #[test]
    fn eight_charges_are_those_of_the_lines() {
        if Kernel::best() != Kernel::Ifma {
            return;
        }
        let mut random = Random::new(22);
        let mut near = 0;
        for round in 0..4_000 {
            let mut group = testing::group(&mut random, 1, ORDINARY);
            for line in group.lines.iter_mut().flatten() {
                line.slope >>= random.below(50);
                line.intercept <<= round % 24;
            }
            let lines = GroupLines::of(&group);
            let short = random.below(2) != 0;
            let (slopes, knee) = lines.near(short);
            let magnitudes: [u128; 8] = std::array::from_fn(|_| {
                let even = random.bits(50) * 100_000_000_000_000_000_000 / u128::from(slopes[1].max(1));
                let bits = random.below(104) as u32;
                let any = random.bits(bits);
                [any, even + 1, even.saturating_sub(1), knee.saturating_sub(1), knee]
                    [random.below(5) as usize]
                    & ((1 << 104) - 1)
            });
            let eight = Eight {
                low: magnitudes.map(|m| m as u64 & LIMB),
                high: magnitudes.map(|m| (m >> LIMB_BITS) as u64),
                local: std::array::from_fn(|n| 7 - n as u16),
            };
            let (mut sums, mut left) = ([[5; LEVELS]; 8], Vec::new());
            // SAFETY: the machine has the features.
            unsafe { charge(slopes, knee, &[eight], &mut sums, &mut left) };
            for (n, &magnitude) in magnitudes.iter().enumerate() {
                let local = 7 - n as u16;
                if left.contains(&(local, magnitude)) {
                    assert_eq!(sums[7 - n], [5; LEVELS]);
                    continue;
                }
                assert!(magnitude < knee);
                near += 1;
                let net = if short { -(magnitude as i128) } else { magnitude as i128 };
                let charges = lines.charges(net).unwrap();
                assert_eq!(sums[7 - n], charges.map(|c| c + 5), "{magnitude} {slopes:?}");
            }
        }
        assert!(near > 5_000, "{near}");
    }
}
