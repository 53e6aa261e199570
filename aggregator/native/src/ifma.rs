//! The AVX-512 IFMA loop: 52 x 52 -> 104 bits for eight scenarios in two instructions.
//!
//! A risk entry r is stored raised by B = 2^51 (one limb) or 2^103 (two limbs), so that its limbs are unsigned. For a
//! short position every bit is flipped, which gives B - 1 - r. So for a class
//!     T[s] = sum abs(q) (r raised or flipped) = sum q r[s] + B sum abs(q) - sum over shorts abs(q),
//! and the bias is the same in every scenario: the least T is the least P&L. An account has no quantity of 52 bits or more
//! here, and at most `Tables::max_run` positions in the class: so no accumulator leaves 64 bits (4,095 or 2 x 2,047 products
//! below 2^52), and abs(P&L) stays below 2^113, so that all of it above 2^52 fits a signed word.

use std::arch::x86_64::*;

use crate::block::Segment;
use crate::exact::NO_SCENARIO;
use crate::policy::E20_PER_E6;
use crate::scan::{account, Out, Sums, SLOW};
use crate::tables::{Tables, LIMB, LIMB_BITS};

#[inline]
#[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
pub(crate) fn load(words: &[u64; 8]) -> __m512i {
    // SAFETY: eight words.
    unsafe { _mm512_loadu_si512(words.as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
pub(crate) fn store(words: &mut [u64; 8], value: __m512i) {
    // SAFETY: eight words.
    unsafe { _mm512_storeu_si512(words.as_mut_ptr().cast(), value) }
}

/// The smaller of two vectors of pairs (key, low).
#[inline]
#[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
fn lesser(a: Pairs, b: Pairs) -> Pairs {
    let equal = _mm512_cmpeq_epi64_mask(a.key, b.key);
    let less = _mm512_cmplt_epi64_mask(b.key, a.key) | _mm512_mask_cmplt_epi64_mask(equal, b.low, a.low);
    Pairs { key: _mm512_min_epi64(a.key, b.key), low: _mm512_mask_mov_epi64(a.low, less, b.low) }
}

/// Eight totals x 2^52 + (low >> 5), each with its scenario in the last five bits of `low`: of equal totals the first
/// scenario is the lesser.
#[derive(Clone, Copy)]
struct Pairs {
    key: __m512i,
    low: __m512i,
}

/// Adds a run's positions to the sums; returns eight pairs of which the least is the worst P&L, and sum abs(q) and
/// sum q in every lane.
#[inline]
#[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
fn run<const LIMBS: usize, const N: usize>(
    tables: &Tables,
    ids: &[u16],
    quantities: &[i64],
    sums: &mut Sums,
) -> (Pairs, __m512i, __m512i) {
    let zero = _mm512_setzero_si512();
    let mut acc = [[zero; 4]; N];
    let (mut low, mut high) = (load(&sums.low), load(&sums.high));
    let (mut gross, mut net) = (zero, zero);
    for (&id, &quantity) in ids.iter().zip(quantities) {
        let n = usize::from(id) & 4095;
        let q = _mm512_set1_epi64(quantity);
        let size = _mm512_abs_epi64(q);
        if LIMBS > 0 {
            let flip = _mm512_srai_epi64::<63>(q);
            gross = _mm512_add_epi64(gross, size);
            net = _mm512_add_epi64(net, q);
            let first = tables.low[n].0.as_chunks::<8>().0;
            for p in 0..4 {
                let risk = _mm512_xor_si512(load(&first[p]), flip);
                acc[0][p] = _mm512_madd52lo_epu64(acc[0][p], size, risk);
                acc[1][p] = _mm512_madd52hi_epu64(acc[1][p], size, risk);
            }
            if LIMBS > 1 {
                let second = tables.high[n].0.as_chunks::<8>().0;
                for p in 0..4 {
                    let risk = _mm512_xor_si512(load(&second[p]), flip);
                    acc[1][p] = _mm512_madd52lo_epu64(acc[1][p], size, risk);
                    acc[2][p] = _mm512_madd52hi_epu64(acc[2][p], size, risk);
                }
            }
        }
        let row = load(&tables.sums[n][usize::from(quantity < 0)].0);
        low = _mm512_madd52lo_epu64(low, size, row);
        high = _mm512_madd52hi_epu64(high, size, row);
    }
    store(&mut sums.low, low);
    store(&mut sums.high, high);
    let mut least = Pairs { key: zero, low: zero };
    if LIMBS == 0 {
        return (least, gross, net);
    }
    let kept = _mm512_set1_epi64((LIMB << 5) as i64);
    for p in 0..4 {
        let first = 8 * p as i64;
        let lanes = _mm512_add_epi64(_mm512_set_epi64(7, 6, 5, 4, 3, 2, 1, 0), _mm512_set1_epi64(first));
        let low = _mm512_and_si512(_mm512_slli_epi64::<5>(acc[0][p]), kept);
        let mut key = _mm512_add_epi64(acc[1][p], _mm512_srli_epi64::<LIMB_BITS>(acc[0][p]));
        if LIMBS > 1 {
            // The bias is gross x 2^103. Its part above 2^104 goes here, so that the key fits.
            let above = _mm512_sub_epi64(acc[2][p], _mm512_srli_epi64::<1>(gross));
            key = _mm512_add_epi64(key, _mm512_slli_epi64::<LIMB_BITS>(above));
        }
        let these = Pairs { key, low: _mm512_or_si512(low, lanes) };
        least = if p == 0 { these } else { lesser(least, these) };
    }
    (least, gross, net)
}

/// Runs whose worst scenario is still to be found, eight at a time.
#[repr(align(64))]
struct Waiting {
    key: [[u64; 8]; 8],
    low: [[u64; 8]; 8],
    gross: [u64; 8],
    net: [u64; 8],
    local: [u16; 8],
    count: usize,
}

/// Halves the lanes that belong to one run: the lesser of its neighbours, for the runs of `a` and of `b`.
#[inline]
#[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
fn neighbours(a: Pairs, b: Pairs) -> Pairs {
    let even = |x, y| _mm512_unpacklo_epi64(x, y);
    let odd = |x, y| _mm512_unpackhi_epi64(x, y);
    let left = Pairs { key: even(a.key, b.key), low: even(a.low, b.low) };
    lesser(left, Pairs { key: odd(a.key, b.key), low: odd(a.low, b.low) })
}

/// As `neighbours`, for quarters of a vector.
#[inline]
#[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
fn quarters(a: Pairs, b: Pairs) -> Pairs {
    let even = |x, y| _mm512_shuffle_i64x2::<0x88>(x, y);
    let odd = |x, y| _mm512_shuffle_i64x2::<0xdd>(x, y);
    let left = Pairs { key: even(a.key, b.key), low: even(a.low, b.low) };
    lesser(left, Pairs { key: odd(a.key, b.key), low: odd(a.low, b.low) })
}

impl Waiting {
    /// L and scenario of the waiting runs, run n in lane n.
    #[inline]
    #[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
    fn finish<const LIMBS: usize>(&mut self, out: &mut Out<'_>) {
        let at = |n: usize| Pairs { key: load(&self.key[n]), low: load(&self.low[n]) };
        let first = quarters(neighbours(at(0), at(1)), neighbours(at(2), at(3)));
        let least = quarters(first, quarters(neighbours(at(4), at(5)), neighbours(at(6), at(7))));
        let one = _mm512_set1_epi64(1);
        let mask = _mm512_set1_epi64(LIMB as i64);
        let (gross, net) = (load(&self.gross), load(&self.net));
        // gross - net = 2 x the sum over shorts. The rest of the bias is gross x 2^51, or (gross mod 2) x 2^103.
        let shorts = _mm512_srli_epi64::<1>(_mm512_sub_epi64(gross, net));
        let odd = _mm512_slli_epi64::<51>(_mm512_and_si512(gross, one));
        let mut key = least.key;
        let mut low = _mm512_add_epi64(_mm512_srli_epi64::<5>(least.low), shorts);
        if LIMBS > 1 {
            key = _mm512_sub_epi64(key, odd);
        } else {
            key = _mm512_sub_epi64(key, _mm512_srli_epi64::<1>(gross));
            low = _mm512_sub_epi64(low, odd);
        }
        // The loss, high x 2^52 + low with 0 <= low < 2^52.
        let zero = _mm512_setzero_si512();
        let down = _mm512_sub_epi64(zero, low);
        let high = _mm512_add_epi64(_mm512_sub_epi64(zero, key), _mm512_srai_epi64::<LIMB_BITS>(down));
        let low = _mm512_and_si512(down, mask);
        let some = _mm512_cmpgt_epi64_mask(_mm512_or_si512(high, low), zero);
        let loses = some & _mm512_cmpge_epi64_mask(high, zero);
        let large = loses & _mm512_cmpge_epi64_mask(high, _mm512_set1_epi64(1 << 44));

        // ceil(loss / 1e14): an estimate below 2^51 that is off by less than one, and its remainder mod 2^64.
        let unit = _mm512_set1_epi64(E20_PER_E6 as i64);
        let scale = |x, by| _mm512_mul_pd(_mm512_cvtepi64_pd(x), _mm512_set1_pd(by));
        let rough = _mm512_add_pd(scale(high, (1u64 << LIMB_BITS) as f64 / 1e14), scale(low, 1e-14));
        let mut risk = _mm512_cvttpd_epi64(rough);
        let loss = _mm512_add_epi64(_mm512_slli_epi64::<LIMB_BITS>(high), low);
        let mut rest = _mm512_sub_epi64(loss, _mm512_mullo_epi64(risk, unit));
        let below = _mm512_cmplt_epi64_mask(rest, zero);
        risk = _mm512_mask_sub_epi64(risk, below, risk, one);
        rest = _mm512_mask_add_epi64(rest, below, rest, unit);
        let above = _mm512_cmpge_epi64_mask(rest, unit);
        risk = _mm512_mask_add_epi64(risk, above, risk, one);
        rest = _mm512_mask_sub_epi64(rest, above, rest, unit);
        let more = _mm512_cmpgt_epi64_mask(rest, zero);
        risk = _mm512_mask_add_epi64(risk, more, risk, one);

        let (mut risks, mut lanes, mut highs, mut lows) = ([0; 8], [0; 8], [0; 8], [0; 8]);
        store(&mut risks, _mm512_maskz_mov_epi64(loses, risk));
        let none = _mm512_set1_epi64(NO_SCENARIO.into());
        let lane = _mm512_and_si512(least.low, _mm512_set1_epi64(31));
        store(&mut lanes, _mm512_mask_mov_epi64(none, loses, lane));
        for n in 0..self.count {
            let local = usize::from(self.local[n]);
            out.scan[local] = risks[n];
            out.worst[local] = lanes[n] as u8;
        }
        if large != 0 {
            store(&mut highs, high);
            store(&mut lows, low);
            for n in (0..self.count).filter(|n| large >> n & 1 != 0) {
                let loss = ((highs[n] as i128) << LIMB_BITS) + lows[n] as i128;
                out.put(usize::from(self.local[n]), -loss, lanes[n] as u8);
            }
        }
        self.count = 0;
    }
}

#[inline]
#[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
fn runs<const LIMBS: usize, const N: usize>(
    tables: &Tables,
    class: usize,
    segment: &Segment,
    locals: &[u16],
    out: &mut Out<'_>,
) {
    let none = [0; 8];
    let mut waiting =
        Waiting { key: [none; 8], low: [none; 8], gross: none, net: none, local: [0; 8], count: 0 };
    for &local in locals {
        let place = usize::from(local);
        let (ids, quantities) = segment.run(place);
        if ids.is_empty() {
            out.put(place, 0, 0);
            continue;
        }
        if out.flags[place] & SLOW != 0 || ids.len() > tables.max_run {
            let (worst, lane) = account(tables, class, ids, quantities, &mut out.totals[place]);
            out.put(place, worst, lane);
            continue;
        }
        let (least, gross, net) = run::<LIMBS, N>(tables, ids, quantities, &mut out.sums[place]);
        if LIMBS == 0 {
            continue;
        }
        let n = waiting.count & 7;
        store(&mut waiting.key[n], least.key);
        store(&mut waiting.low[n], least.low);
        waiting.gross[n] = _mm_cvtsi128_si64(_mm512_castsi512_si128(gross)) as u64;
        waiting.net[n] = _mm_cvtsi128_si64(_mm512_castsi512_si128(net)) as u64;
        waiting.local[n] = local;
        waiting.count = n + 1;
        if waiting.count == 8 {
            waiting.finish::<LIMBS>(out);
        }
    }
    waiting.finish::<LIMBS>(out);
}

/// One class over the given accounts of a block.
///
/// # Safety
/// The machine has AVX-512F, AVX-512DQ and AVX-512 IFMA.
#[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
pub unsafe fn class(tables: &Tables, class: usize, segment: &Segment, locals: &[u16], out: &mut Out<'_>) {
    match if class == 0 { 0 } else { tables.limbs[class] } {
        0 => runs::<0, 1>(tables, class, segment, locals, out),
        1 => runs::<1, 2>(tables, class, segment, locals, out),
        _ => runs::<2, 3>(tables, class, segment, locals, out),
    }
}
