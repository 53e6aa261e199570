//! The deterministic generator of the iden3 ceremonies: ChaCha20 words turned into field elements and points.
//!
//! Source: ffjavascript `chacha.js`, `wasm_field1.js` and `wasm_curve.js` (`fromRng`). A drawn integer is taken as the
//! Montgomery form of an element; a drawn G2 point is moved into the subgroup by the cofactor.

use ark_bn254::{g1, g2, Fq, Fq2, Fr, G1Affine, G2Affine};
use ark_ec::short_weierstrass::SWCurveConfig;
use ark_ec::AffineRepr;
use ark_ff::{BigInt, Field, PrimeField, Zero};

const CONSTANTS: [u32; 4] = [0x6170_7865, 0x3320_646e, 0x7962_2d32, 0x6b20_6574];
const COUNTER: usize = 12;
/// Bits of both moduli.
const FIELD_BITS: usize = 254;

/// It only ever sees public seeds.
pub struct ChaCha {
    state: [u32; 16],
    block: [u32; 16],
    next: usize,
}

impl ChaCha {
    /// A seed of 32 bytes is eight big-endian words.
    pub fn new(seed: &[u8; 32]) -> Self {
        let mut state = [0; 16];
        state[..4].copy_from_slice(&CONSTANTS);
        for (word, bytes) in state[4..COUNTER].iter_mut().zip(seed.as_chunks::<4>().0) {
            *word = u32::from_be_bytes(*bytes);
        }
        ChaCha {
            state,
            block: [0; 16],
            next: 16,
        }
    }

    fn word(&mut self) -> u32 {
        if self.next == 16 {
            self.refill();
        }
        self.next += 1;
        self.block[self.next - 1]
    }

    fn refill(&mut self) {
        let mut v = self.state;
        for _ in 0..10 {
            for [a, b, c, d] in [
                [0, 4, 8, 12],
                [1, 5, 9, 13],
                [2, 6, 10, 14],
                [3, 7, 11, 15],
                [0, 5, 10, 15],
                [1, 6, 11, 12],
                [2, 7, 8, 13],
                [3, 4, 9, 14],
            ] {
                for (first, second) in [(16, 12), (8, 7)] {
                    v[a] = v[a].wrapping_add(v[b]);
                    v[d] = (v[d] ^ v[a]).rotate_left(first);
                    v[c] = v[c].wrapping_add(v[d]);
                    v[b] = (v[b] ^ v[c]).rotate_left(second);
                }
            }
        }
        for (out, (mixed, start)) in self.block.iter_mut().zip(v.iter().zip(&self.state)) {
            *out = mixed.wrapping_add(*start);
        }
        self.next = 0;
        for word in &mut self.state[COUNTER..] {
            *word = word.wrapping_add(1);
            if *word != 0 {
                break;
            }
        }
    }

    fn integer(&mut self, modulus: &BigInt<4>) -> BigInt<4> {
        loop {
            let mut limbs = [0u64; 4];
            for limb in &mut limbs {
                let high = u64::from(self.word());
                *limb = high << 32 | u64::from(self.word());
            }
            limbs[3] &= (1 << (FIELD_BITS - 192)) - 1;
            let drawn = BigInt(limbs);
            if drawn < *modulus {
                return drawn;
            }
        }
    }

    pub fn scalar(&mut self) -> Fr {
        Fr::new_unchecked(self.integer(&Fr::MODULUS))
    }

    fn coordinate(&mut self) -> Fq {
        Fq::new_unchecked(self.integer(&Fq::MODULUS))
    }

    pub fn g1(&mut self) -> G1Affine {
        loop {
            let x = self.coordinate();
            let upper = self.word() & 1 == 1;
            if let Some(y) = (x.square() * x + g1::Config::COEFF_B).sqrt() {
                return G1Affine::new_unchecked(x, if is_upper(&y) == upper { y } else { -y });
            }
        }
    }

    pub fn g2(&mut self) -> G2Affine {
        loop {
            let c0 = self.coordinate();
            let x = Fq2::new(c0, self.coordinate());
            let upper = self.word() & 1 == 1;
            if let Some(y) = (x.square() * x + g2::Config::COEFF_B).sqrt() {
                let deciding = if y.c1.is_zero() { &y.c0 } else { &y.c1 };
                let y = if is_upper(deciding) == upper { y } else { -y };
                return G2Affine::new_unchecked(x, y).mul_by_cofactor();
            }
        }
    }
}

/// Whether an element is above (q - 1) / 2.
fn is_upper(value: &Fq) -> bool {
    value.into_bigint() > Fq::MODULUS_MINUS_ONE_DIV_TWO
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 8439 section 2.3.2 has another counter and nonce; these are of a zero key, counter and nonce.
    #[test]
    fn the_first_words_of_a_zero_key() {
        let mut rng = ChaCha::new(&[0; 32]);
        assert_eq!([rng.word(), rng.word()], [0xade0_b876, 0x903d_f1a0]);
    }

    #[test]
    fn points_are_in_their_groups() {
        let mut rng = ChaCha::new(&[9; 32]);
        for _ in 0..10 {
            let (in_g1, in_g2) = (rng.g1(), rng.g2());
            assert!(in_g1.is_on_curve() && !in_g1.is_zero());
            assert!(in_g2.is_on_curve() && in_g2.is_in_correct_subgroup_assuming_on_curve());
        }
    }
}
