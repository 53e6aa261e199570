//! Sums of products in the scalar field with one reduction for the whole sum.

use ark_bn254::{Fr, FrConfig};
use ark_ff::{BigInt, BigInteger, MontConfig, PrimeField};

const ORDER: [u64; 4] = Fr::MODULUS.0;

/// An integer below 2^576.
#[derive(Default)]
pub struct Wide([u64; 9]);

impl Wide {
    /// Adds a b. Up to 2^60 products fit.
    #[inline]
    pub fn add_product(&mut self, a: &BigInt<4>, b: &BigInt<4>) {
        let mut product = [0u64; 8];
        for (i, &x) in a.0.iter().enumerate() {
            let mut carry = 0;
            for (j, &y) in b.0.iter().enumerate() {
                (product[i + j], carry) = multiply_add(product[i + j], x, y, carry);
            }
            product[i + 4] = carry;
        }
        let mut carry = false;
        for (limb, part) in self.0.iter_mut().zip(product) {
            let (first, a) = limb.overflowing_add(part);
            let (second, b) = first.overflowing_add(u64::from(carry));
            (*limb, carry) = (second, a || b);
        }
        self.0[8] += u64::from(carry);
    }

    /// The sum over 2^256, modulo r, as it stands: of products of two Montgomery forms the Montgomery form of the sum of
    /// their products.
    pub fn reduced(self) -> Fr {
        let mut t = self.0;
        for i in 0..4 {
            let m = t[i].wrapping_mul(<FrConfig as MontConfig<4>>::INV);
            let mut carry = 0;
            for (j, &y) in ORDER.iter().enumerate() {
                (t[i + j], carry) = multiply_add(t[i + j], m, y, carry);
            }
            for limb in &mut t[i + 4..] {
                let (sum, overflow) = limb.overflowing_add(carry);
                (*limb, carry) = (sum, u64::from(overflow));
            }
        }
        // What is left is below 2^320; the quotient by r is estimated from the top words, never too high.
        let top = (u128::from(t[8]) << 64) | u128::from(t[7]);
        let quotient = (top / (u128::from(ORDER[3]) + 1)) as u64;
        let mut carry = 0;
        let mut borrow = false;
        for (i, limb) in t[4..8].iter_mut().enumerate() {
            let part;
            (part, carry) = multiply_add(0, quotient, ORDER[i], carry);
            let (first, a) = limb.overflowing_sub(part);
            let (second, b) = first.overflowing_sub(u64::from(borrow));
            (*limb, borrow) = (second, a || b);
        }
        let mut rest = BigInt([t[4], t[5], t[6], t[7]]);
        let mut above = t[8].wrapping_sub(carry).wrapping_sub(u64::from(borrow));
        while above > 0 || rest >= Fr::MODULUS {
            above -= u64::from(rest.sub_with_borrow(&Fr::MODULUS));
        }
        Fr::new_unchecked(rest)
    }
}

/// sum + x y + carry, low and high word.
#[inline]
fn multiply_add(sum: u64, x: u64, y: u64, carry: u64) -> (u64, u64) {
    let all = u128::from(sum) + u128::from(x) * u128::from(y) + u128::from(carry);
    (all as u64, (all >> 64) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ark_ff::{AdditiveGroup, Field, UniformRand};

    #[test]
    fn equals_the_sum_of_products() {
        let mut rng = ark_std::test_rng();
        for count in [0, 1, 2, 7, 63, 1000, 100_000] {
            let mut wide = Wide::default();
            let mut sum = Fr::ZERO;
            for index in 0..count {
                let (a, b) = if index % 3 == 0 {
                    (-Fr::from(1u64), -Fr::from(index as u64))
                } else {
                    (Fr::rand(&mut rng), Fr::rand(&mut rng))
                };
                wide.add_product(&a.0, &b.0);
                sum += a * b;
            }
            assert_eq!(wide.reduced(), sum, "{count} products");
        }
        // The largest summands that a caller can bring: any four words.
        let mut wide = Wide::default();
        let largest = BigInt([u64::MAX; 4]);
        (0..50).for_each(|_| wide.add_product(&largest, &largest));
        let value = Fr::from_le_bytes_mod_order(&[0xff; 32]);
        let inverse = Fr::new_unchecked(BigInt::one());
        assert_eq!(wide.reduced(), value * value * Fr::from(50u64) * inverse.square());
    }
}
