//! Eight elements of a 254-bit field side by side: five 52-bit limbs each, in Montgomery form with factor 2^260, on the
//! 52-bit multipliers of AVX-512 (IFMA).
//!
//! With p the field's order, p / 2^260 < 0.012. A product of elements below 8p is therefore below 1.8p without any
//! subtraction, one of elements below 4p is below 1.2p, and a sum of two such products is below 1.4p. Differences add a
//! multiple of p, so that no value is negative. `settled` brings values of (p, 7p) back to [0, 1.0001p).

use std::arch::x86_64::*;

use ark_bn254::{Fq, Fr};
use ark_ff::{BigInt, BigInteger, PrimeField};

pub const LANES: usize = 8;
const LIMBS: usize = 5;
const MASK: u64 = (1 << 52) - 1;
/// Extra bits of the quotient's reciprocal.
const SHIFT: u32 = 40;

/// Whether this processor has the instructions.
pub fn available() -> bool {
    is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512ifma")
        && is_x86_feature_detected!("avx512vbmi2")
}

/// What the arithmetic needs to know of a field.
pub trait LaneField: PrimeField<BigInt = BigInt<4>> {
    const ORDER: [u64; 4];
    /// Multiples 0..8 of the order, by limb.
    const MULTIPLES: [[u64; 8]; LIMBS] = multiples(Self::ORDER);
    /// -1/order mod 2^52.
    const NEGATED_INVERSE: u64 = negated_inverse(Self::ORDER[0]);
    /// floor(2^(260 + SHIFT) / order), nearly: from the order's top 64 bits, rounded down.
    const RECIPROCAL: u64 = ((1u128 << (260 + SHIFT - 192)) / (Self::ORDER[3] as u128 + 1)) as u64;
    /// 2^260 as an element: what multiplies a value into the form of the lanes.
    fn factor() -> Self {
        Self::from(2u64).pow([260])
    }
}

impl LaneField for Fq {
    const ORDER: [u64; 4] = Fq::MODULUS.0;
}

impl LaneField for Fr {
    const ORDER: [u64; 4] = Fr::MODULUS.0;
}

pub const fn split(limbs: [u64; 4]) -> [u64; LIMBS] {
    [
        limbs[0] & MASK,
        ((limbs[0] >> 52) | (limbs[1] << 12)) & MASK,
        ((limbs[1] >> 40) | (limbs[2] << 24)) & MASK,
        ((limbs[2] >> 28) | (limbs[3] << 36)) & MASK,
        limbs[3] >> 16,
    ]
}

const fn multiples(order: [u64; 4]) -> [[u64; 8]; LIMBS] {
    let limbs = split(order);
    let mut out = [[0; 8]; LIMBS];
    let mut k = 0;
    while k < 8 {
        let mut carry = 0;
        let mut i = 0;
        while i < LIMBS {
            let sum = limbs[i] * k as u64 + carry;
            out[i][k] = if i < LIMBS - 1 { sum & MASK } else { sum };
            carry = sum >> 52;
            i += 1;
        }
        k += 1;
    }
    out
}

const fn negated_inverse(low: u64) -> u64 {
    // Newton: each step doubles the number of right bits.
    let mut inverse = 1u64;
    let mut step = 0;
    while step < 6 {
        inverse = inverse.wrapping_mul(2u64.wrapping_sub(low.wrapping_mul(inverse)));
        step += 1;
    }
    inverse.wrapping_neg() & MASK
}

/// Eight elements by limb.
#[derive(Clone, Copy)]
pub struct Lanes(pub [__m512i; LIMBS]);

#[inline]
#[target_feature(enable = "avx512f,avx512ifma,avx512vbmi2")]
pub fn word(value: u64) -> __m512i {
    _mm512_set1_epi64(value as i64)
}

/// The same element in every lane, from 52-bit limbs.
#[inline]
#[target_feature(enable = "avx512f,avx512ifma,avx512vbmi2")]
pub fn broadcast(limbs: &[u64; LIMBS]) -> Lanes {
    Lanes(limbs.map(|limb| word(limb)))
}

#[inline]
#[target_feature(enable = "avx512f,avx512ifma,avx512vbmi2")]
pub fn zero() -> Lanes {
    Lanes([_mm512_setzero_si512(); LIMBS])
}

/// The limbs of value times 2^260, for `broadcast`.
pub fn constant<F: LaneField>(value: F) -> [u64; LIMBS] {
    split((value * F::factor()).into_bigint().0)
}

/// Takes eight elements of four 64-bit limbs apart.
#[inline]
#[target_feature(enable = "avx512f,avx512ifma,avx512vbmi2")]
pub fn unpack(w: &[__m512i; 4]) -> Lanes {
    let mask = word(MASK);
    Lanes([
        _mm512_and_si512(w[0], mask),
        _mm512_and_si512(_mm512_shrdi_epi64::<52>(w[0], w[1]), mask),
        _mm512_and_si512(_mm512_shrdi_epi64::<40>(w[1], w[2]), mask),
        _mm512_and_si512(_mm512_shrdi_epi64::<28>(w[2], w[3]), mask),
        _mm512_srli_epi64::<16>(w[3]),
    ])
}

/// The reverse, for values below 2^256.
#[inline]
#[target_feature(enable = "avx512f,avx512ifma,avx512vbmi2")]
pub fn pack(x: &Lanes) -> [__m512i; 4] {
    let l = &x.0;
    [
        _mm512_or_si512(l[0], _mm512_slli_epi64::<52>(l[1])),
        _mm512_or_si512(_mm512_srli_epi64::<12>(l[1]), _mm512_slli_epi64::<40>(l[2])),
        _mm512_or_si512(_mm512_srli_epi64::<24>(l[2]), _mm512_slli_epi64::<28>(l[3])),
        _mm512_or_si512(_mm512_srli_epi64::<36>(l[3]), _mm512_slli_epi64::<16>(l[4])),
    ]
}

/// Eight rows of four words, by word.
#[inline]
#[target_feature(enable = "avx512f,avx512ifma,avx512vbmi2")]
pub fn load(rows: [&[u64; 4]; LANES]) -> [__m512i; 4] {
    let pair = |low: &[u64; 4], high: &[u64; 4]| {
        // SAFETY: each reference is to 32 readable bytes; the loads need no alignment.
        let (low, high) = unsafe {
            (
                _mm256_loadu_si256(low.as_ptr().cast()),
                _mm256_loadu_si256(high.as_ptr().cast()),
            )
        };
        _mm512_inserti64x4::<1>(_mm512_castsi256_si512(low), high)
    };
    let r = [
        pair(rows[0], rows[4]),
        pair(rows[1], rows[5]),
        pair(rows[2], rows[6]),
        pair(rows[3], rows[7]),
    ];
    transpose(r)
}

/// Writes eight rows of four words.
#[inline]
#[target_feature(enable = "avx512f,avx512ifma,avx512vbmi2")]
pub fn rows(words: [__m512i; 4]) -> [[u64; 4]; LANES] {
    let r = transpose(words);
    let mut out = [[0u64; 4]; LANES];
    for (row, pair) in r.into_iter().enumerate() {
        // SAFETY: each destination is 32 writable bytes; the stores need no alignment.
        unsafe {
            _mm256_storeu_si256(out[row].as_mut_ptr().cast(), _mm512_castsi512_si256(pair));
            _mm256_storeu_si256(
                out[row + 4].as_mut_ptr().cast(),
                _mm512_extracti64x4_epi64::<1>(pair),
            );
        }
    }
    out
}

/// The 4x4 transposes of the lower and the upper half.
#[inline]
#[target_feature(enable = "avx512f,avx512ifma,avx512vbmi2")]
fn transpose(r: [__m512i; 4]) -> [__m512i; 4] {
    let (a, b) = (
        _mm512_unpacklo_epi64(r[0], r[1]),
        _mm512_unpackhi_epi64(r[0], r[1]),
    );
    let (c, d) = (
        _mm512_unpacklo_epi64(r[2], r[3]),
        _mm512_unpackhi_epi64(r[2], r[3]),
    );
    let low = _mm512_setr_epi64(0, 1, 8, 9, 4, 5, 12, 13);
    let high = _mm512_setr_epi64(2, 3, 10, 11, 6, 7, 14, 15);
    [
        _mm512_permutex2var_epi64(a, low, c),
        _mm512_permutex2var_epi64(b, low, d),
        _mm512_permutex2var_epi64(a, high, c),
        _mm512_permutex2var_epi64(b, high, d),
    ]
}

/// Brings limbs with signs and carries back to 52 bits; the value is not negative and below 2^264.
#[inline]
#[target_feature(enable = "avx512f,avx512ifma,avx512vbmi2")]
pub fn carried(mut l: [__m512i; LIMBS]) -> Lanes {
    for i in 0..LIMBS - 1 {
        l[i + 1] = _mm512_add_epi64(l[i + 1], _mm512_srai_epi64::<52>(l[i]));
        l[i] = _mm512_and_si512(l[i], word(MASK));
    }
    Lanes(l)
}

/// a + b by limb, without carries.
#[inline]
#[target_feature(enable = "avx512f,avx512ifma,avx512vbmi2")]
pub fn raw_sum(a: &[__m512i; LIMBS], b: &[__m512i; LIMBS]) -> [__m512i; LIMBS] {
    let mut out = *a;
    for (out, b) in out.iter_mut().zip(b) {
        *out = _mm512_add_epi64(*out, *b);
    }
    out
}

/// a - b + K p by limb, without carries.
#[inline]
#[target_feature(enable = "avx512f,avx512ifma,avx512vbmi2")]
pub fn raw_difference<F: LaneField, const K: usize>(
    a: &[__m512i; LIMBS],
    b: &[__m512i; LIMBS],
) -> [__m512i; LIMBS] {
    let mut out = *a;
    for (i, (out, b)) in out.iter_mut().zip(b).enumerate() {
        *out = _mm512_add_epi64(_mm512_sub_epi64(*out, *b), word(F::MULTIPLES[i][K]));
    }
    out
}

/// a - b + K p.
#[inline]
#[target_feature(enable = "avx512f,avx512ifma,avx512vbmi2")]
pub fn difference<F: LaneField, const K: usize>(a: &Lanes, b: &Lanes) -> Lanes {
    carried(raw_difference::<F, K>(&a.0, &b.0))
}

/// The same element in [0, 1.0001p), from limbs without carries of a value in (p, 7p).
///
/// The quotient is estimated from the top limb, less 4 for the carries that are missing in it.
#[inline]
#[target_feature(enable = "avx512f,avx512ifma,avx512vbmi2")]
pub fn settled<F: LaneField>(mut l: [__m512i; LIMBS]) -> Lanes {
    let top = _mm512_sub_epi64(l[LIMBS - 1], word(4));
    let quotient = _mm512_madd52hi_epu64(_mm512_setzero_si512(), top, word(F::RECIPROCAL));
    let quotient = _mm512_srli_epi64::<SHIFT>(quotient);
    for (l, multiples) in l.iter_mut().zip(&F::MULTIPLES) {
        // SAFETY: 64 readable bytes; the load needs no alignment.
        let table = unsafe { _mm512_loadu_si512(multiples.as_ptr().cast()) };
        *l = _mm512_sub_epi64(*l, _mm512_permutexvar_epi64(quotient, table));
    }
    carried(l)
}

/// t + a b in ten columns.
#[inline]
#[target_feature(enable = "avx512f,avx512ifma,avx512vbmi2")]
pub fn accumulate(mut t: [__m512i; 2 * LIMBS], a: &Lanes, b: &Lanes) -> [__m512i; 2 * LIMBS] {
    for i in 0..LIMBS {
        for j in 0..LIMBS {
            t[i + j] = _mm512_madd52lo_epu64(t[i + j], a.0[i], b.0[j]);
            t[i + j + 1] = _mm512_madd52hi_epu64(t[i + j + 1], a.0[i], b.0[j]);
        }
    }
    t
}

/// As `accumulate`, where b is the same in every lane.
#[inline]
#[target_feature(enable = "avx512f,avx512ifma,avx512vbmi2")]
pub fn accumulate_same(mut t: [__m512i; 2 * LIMBS], a: &Lanes, b: &[u64; LIMBS]) -> [__m512i; 2 * LIMBS] {
    for j in 0..LIMBS {
        let limb = word(b[j]);
        for i in 0..LIMBS {
            t[i + j] = _mm512_madd52lo_epu64(t[i + j], a.0[i], limb);
            t[i + j + 1] = _mm512_madd52hi_epu64(t[i + j + 1], a.0[i], limb);
        }
    }
    t
}

/// t / 2^260.
#[inline]
#[target_feature(enable = "avx512f,avx512ifma,avx512vbmi2")]
pub fn reduced<F: LaneField>(mut t: [__m512i; 2 * LIMBS]) -> Lanes {
    let zero = _mm512_setzero_si512();
    for i in 0..LIMBS {
        let m = _mm512_madd52lo_epu64(zero, t[i], word(F::NEGATED_INVERSE));
        let order = |j: usize| word(F::MULTIPLES[j][1]);
        t[i] = _mm512_madd52lo_epu64(t[i], m, order(0));
        t[i + 1] = _mm512_madd52hi_epu64(t[i + 1], m, order(0));
        for j in 1..LIMBS {
            t[i + j] = _mm512_madd52lo_epu64(t[i + j], m, order(j));
            t[i + j + 1] = _mm512_madd52hi_epu64(t[i + j + 1], m, order(j));
        }
        t[i + 1] = _mm512_add_epi64(t[i + 1], _mm512_srli_epi64::<52>(t[i]));
    }
    carried([t[5], t[6], t[7], t[8], t[9]])
}

/// a b.
#[inline]
#[target_feature(enable = "avx512f,avx512ifma,avx512vbmi2")]
pub fn product<F: LaneField>(a: &Lanes, b: &Lanes) -> Lanes {
    reduced::<F>(accumulate([_mm512_setzero_si512(); 2 * LIMBS], a, b))
}

/// The lanes of `otherwise` where `mask` is 0 and of `chosen` where it is 1.
#[inline]
#[target_feature(enable = "avx512f,avx512ifma,avx512vbmi2")]
pub fn select(mask: u8, otherwise: &Lanes, chosen: &Lanes) -> Lanes {
    let mut out = *otherwise;
    for (out, chosen) in out.0.iter_mut().zip(&chosen.0) {
        *out = _mm512_mask_mov_epi64(*out, mask, *chosen);
    }
    out
}

/// The integer below p, of one below 2p.
#[inline]
#[target_feature(enable = "avx512f,avx512ifma,avx512vbmi2")]
pub fn below_order<F: LaneField>(x: &Lanes) -> Lanes {
    let mut less = x.0;
    for (less, multiples) in less.iter_mut().zip(&F::MULTIPLES) {
        *less = _mm512_sub_epi64(*less, word(multiples[1]));
    }
    let less = carried(less);
    select(
        _mm512_cmplt_epi64_mask(less.0[LIMBS - 1], _mm512_setzero_si512()),
        &less,
        x,
    )
}

/// The integer below p in four limbs, of one below 8p.
pub fn canonical<F: LaneField>(limbs: &[u64; 4]) -> BigInt<4> {
    let mut value = BigInt(*limbs);
    while value >= F::MODULUS {
        value.sub_with_borrow(&F::MODULUS);
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    fn in_lanes<F: LaneField>(values: &[F; LANES]) -> [[u64; 4]; LANES] {
        values.map(|value| (value * F::factor()).into_bigint().0)
    }

    fn out_of_lanes<F: LaneField>(rows: &[[u64; 4]; LANES]) -> [F; LANES] {
        let inverse = F::factor().inverse().unwrap();
        rows.map(|row| F::from_bigint(canonical::<F>(&row)).unwrap() * inverse)
    }

    /// a b, a - b, a b + b a and the settled forms of them.
    #[target_feature(enable = "avx512f,avx512ifma,avx512vbmi2")]
    fn work<F: LaneField>(a: &[[u64; 4]; LANES], b: &[[u64; 4]; LANES]) -> [[[u64; 4]; LANES]; 5] {
        let (a, b) = (unpack(&load(a.each_ref())), unpack(&load(b.each_ref())));
        let apart = difference::<F, 2>(&a, &b);
        let zero = [_mm512_setzero_si512(); 2 * LIMBS];
        let both = reduced::<F>(accumulate(accumulate(zero, &a, &b), &b, &a));
        let sum = settled::<F>(raw_sum(
            &raw_sum(&a.0, &b.0),
            &broadcast(&F::MULTIPLES.map(|limb| limb[5])).0,
        ));
        let large = difference::<F, 7>(&a, &b);
        [
            product::<F>(&a, &b),
            apart,
            both,
            sum,
            product::<F>(&large, &large),
        ]
        .map(|lanes| rows(pack(&lanes)))
    }

    fn agrees<F: LaneField>() {
        let mut rng = ark_std::test_rng();
        let edges = [
            F::ZERO,
            F::ONE,
            -F::ONE,
            F::from(1u64 << 52),
            -F::from(1u64 << 52),
        ];
        for round in 0..200 {
            let mut pick = |index: usize| {
                if round < 25 {
                    edges[(round / 5 * index + round % 5) % 5]
                } else {
                    F::rand(&mut rng)
                }
            };
            let a: [F; LANES] = std::array::from_fn(&mut pick);
            let b: [F; LANES] = std::array::from_fn(|index| pick(index + 1));
            let (in_a, in_b) = (in_lanes(&a), in_lanes(&b));
            // SAFETY: the caller has checked the processor.
            let out = unsafe { work::<F>(&in_a, &in_b) };
            let all = |f: &dyn Fn(F, F) -> F| -> [F; LANES] { std::array::from_fn(|i| f(a[i], b[i])) };
            assert_eq!(out_of_lanes::<F>(&out[0]), all(&|a, b| a * b));
            assert_eq!(out_of_lanes::<F>(&out[1]), all(&|a, b| a - b));
            assert_eq!(out_of_lanes::<F>(&out[2]), all(&|a, b| (a * b).double()));
            assert_eq!(out_of_lanes::<F>(&out[3]), all(&|a, b| a + b));
            assert_eq!(out_of_lanes::<F>(&out[4]), all(&|a, b| (a - b).square()));
            // Bounds that the other modules rely on.
            let order = F::MODULUS.0[3];
            assert!(out[0].iter().all(|row| row[3] <= order + order / 16));
            assert!(out[3].iter().all(|row| row[3] <= order + order / 10_000));
            assert!(out[4].iter().all(|row| row[3] <= 2 * order));
        }
    }

    #[test]
    fn equals_the_scalar_fields() {
        if available() {
            agrees::<Fq>();
            agrees::<Fr>();
        }
    }

    #[test]
    fn integers_below_twice_the_order_are_brought_below_it() {
        if available() {
            #[target_feature(enable = "avx512f,avx512ifma,avx512vbmi2")]
            fn brought(input: &[[u64; 4]; LANES]) -> [[u64; 4]; LANES] {
                rows(pack(&below_order::<Fr>(&unpack(&load(input.each_ref())))))
            }
            let (zero, one) = (BigInt::zero(), BigInt::one());
            let (mut less, mut more, mut twice) = (Fr::MODULUS, Fr::MODULUS, Fr::MODULUS);
            less.sub_with_borrow(&one);
            more.add_with_carry(&one);
            twice.add_with_carry(&less);
            let given = [zero, one, less, Fr::MODULUS, more, twice, less, more];
            let expected = [zero, one, less, zero, one, less, less, one];
            // SAFETY: the processor is checked above.
            let found = unsafe { brought(&given.map(|value| value.0)) };
            assert_eq!(found, expected.map(|value| value.0));
        }
    }

    #[test]
    fn rows_come_back() {
        if available() {
            #[target_feature(enable = "avx512f,avx512ifma,avx512vbmi2")]
            fn round(input: &[[u64; 4]; LANES]) -> [[u64; 4]; LANES] {
                rows(pack(&unpack(&load(input.each_ref()))))
            }
            let input: [[u64; 4]; LANES] =
                std::array::from_fn(|i| std::array::from_fn(|j| u64::MAX / (7 * i + j + 1) as u64));
            // SAFETY: the processor is checked above.
            assert_eq!(unsafe { round(&input) }, input);
        }
    }
}
