//! BLAKE2b with 64 bytes of output and no key, as the iden3 ceremonies use it. Its state can be written out, because a
//! `.ptau` file holds the state of a hash that is not finished.
//!
//! Source: RFC 7693; the layout of `state` is that of snarkjs `misc.js` (`toPartialHash`).

use zeroize::Zeroize;

const IV: [u64; 8] = [
    0x6a09_e667_f3bc_c908,
    0xbb67_ae85_84ca_a73b,
    0x3c6e_f372_fe94_f82b,
    0xa54f_f53a_5f1d_36f1,
    0x510e_527f_ade6_82d1,
    0x9b05_688c_2b3e_6c1f,
    0x1f83_d9ab_fb41_bd6b,
    0x5be0_cd19_137e_2179,
];
const SIGMA: [[usize; 16]; 10] = [
    [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15],
    [14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3],
    [11, 8, 12, 0, 5, 2, 15, 13, 10, 14, 3, 6, 7, 1, 9, 4],
    [7, 9, 3, 1, 13, 12, 11, 14, 2, 6, 5, 10, 4, 0, 15, 8],
    [9, 0, 5, 7, 2, 4, 10, 15, 14, 1, 11, 12, 6, 8, 3, 13],
    [2, 12, 6, 10, 0, 11, 8, 3, 4, 13, 7, 5, 15, 14, 1, 9],
    [12, 5, 1, 15, 14, 13, 4, 10, 0, 7, 6, 3, 9, 2, 8, 11],
    [13, 11, 7, 14, 12, 1, 3, 9, 5, 0, 15, 4, 8, 6, 2, 10],
    [6, 15, 14, 9, 11, 3, 0, 8, 12, 2, 13, 7, 1, 4, 10, 5],
    [10, 2, 8, 4, 7, 6, 1, 5, 15, 11, 9, 14, 3, 12, 13, 0],
];
const ROUNDS: usize = 12;
const BLOCK: usize = 128;
/// 64 bytes of output, no key, sequential mode.
const PARAMETERS: u64 = 0x0101_0040;

pub const HASH_BYTES: usize = 64;
pub const STATE_BYTES: usize = 216;
pub type Hash = [u8; HASH_BYTES];

#[derive(Clone)]
pub struct Blake2b {
    chain: [u64; 8],
    block: [u8; BLOCK],
    filled: usize,
    /// Bytes that are in `chain`.
    done: u128,
}

impl Default for Blake2b {
    fn default() -> Self {
        let mut chain = IV;
        chain[0] ^= PARAMETERS;
        Blake2b {
            chain,
            block: [0; BLOCK],
            filled: 0,
            done: 0,
        }
    }
}

impl Drop for Blake2b {
    /// It may have hashed a secret.
    fn drop(&mut self) {
        self.block.zeroize();
        self.chain.zeroize();
    }
}

impl Blake2b {
    pub fn update(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            if self.filled == BLOCK {
                self.done += BLOCK as u128;
                self.compress(false);
                self.filled = 0;
            }
            let count = bytes.len().min(BLOCK - self.filled);
            self.block[self.filled..self.filled + count].copy_from_slice(&bytes[..count]);
            self.filled += count;
            bytes = &bytes[count..];
        }
    }

    /// The hash of all bytes so far.
    pub fn digest(&self) -> Hash {
        let mut last = self.clone();
        last.block[last.filled..].fill(0);
        last.done += last.filled as u128;
        last.compress(true);
        let mut out = [0; HASH_BYTES];
        for (bytes, word) in out.chunks_exact_mut(8).zip(last.chain) {
            bytes.copy_from_slice(&word.to_le_bytes());
        }
        out
    }

    /// The unfinished hash: the block, the chain, the bytes that are in it, and those in the block.
    pub fn state(&self) -> [u8; STATE_BYTES] {
        let mut out = [0; STATE_BYTES];
        out[..BLOCK].copy_from_slice(&self.block);
        let words = self
            .chain
            .iter()
            .copied()
            .chain([self.done as u64, self.filled as u64]);
        for (bytes, word) in out[BLOCK..].chunks_exact_mut(8).zip(words) {
            bytes.copy_from_slice(&word.to_le_bytes());
        }
        out
    }

    /// The inverse of `state`; `None` when the block could not hold so many bytes.
    pub fn resume(state: &[u8; STATE_BYTES]) -> Option<Self> {
        let word = |index: usize| {
            let at = BLOCK + 8 * index;
            let mut bytes = [0; 8];
            bytes.copy_from_slice(&state[at..at + 8]);
            u64::from_le_bytes(bytes)
        };
        let mut block = [0; BLOCK];
        block.copy_from_slice(&state[..BLOCK]);
        let filled = usize::try_from(word(9)).ok().filter(|&filled| filled <= BLOCK)?;
        Some(Blake2b {
            chain: std::array::from_fn(word),
            block,
            filled,
            done: u128::from(word(8)),
        })
    }

    fn compress(&mut self, last: bool) {
        let mut message = [0u64; 16];
        for (word, bytes) in message.iter_mut().zip(self.block.as_chunks::<8>().0) {
            *word = u64::from_le_bytes(*bytes);
        }
        let mut v = [0u64; 16];
        v[..8].copy_from_slice(&self.chain);
        v[8..].copy_from_slice(&IV);
        v[12] ^= self.done as u64;
        v[13] ^= (self.done >> 64) as u64;
        if last {
            v[14] = !v[14];
        }
        for round in 0..ROUNDS {
            let s = &SIGMA[round % SIGMA.len()];
            for (index, [a, b, c, d]) in [
                [0, 4, 8, 12],
                [1, 5, 9, 13],
                [2, 6, 10, 14],
                [3, 7, 11, 15],
                [0, 5, 10, 15],
                [1, 6, 11, 12],
                [2, 7, 8, 13],
                [3, 4, 9, 14],
            ]
            .into_iter()
            .enumerate()
            {
                for (word, (first, second)) in [
                    (message[s[2 * index]], (32, 24)),
                    (message[s[2 * index + 1]], (16, 63)),
                ] {
                    v[a] = v[a].wrapping_add(v[b]).wrapping_add(word);
                    v[d] = (v[d] ^ v[a]).rotate_right(first);
                    v[c] = v[c].wrapping_add(v[d]);
                    v[b] = (v[b] ^ v[c]).rotate_right(second);
                }
            }
        }
        for (index, word) in self.chain.iter_mut().enumerate() {
            *word ^= v[index] ^ v[index + 8];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash(bytes: &[u8]) -> Hash {
        let mut hasher = Blake2b::default();
        hasher.update(bytes);
        hasher.digest()
    }

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// RFC 7693 appendix A, and values of Python's hashlib.
    #[test]
    fn known_values() {
        assert_eq!(
            hex(&hash(b"abc")),
            "ba80a53f981c4d0d6a2797b69f12f6e94c212f14685ac4b74b12bb6fdbffa2d1\
             7d87c5392aab792dc252d5de4533cc9518d38aa8dbf1925ab92386edd4009923"
        );
        assert!(hex(&hash(b"")).starts_with("786a02f742015903c6c6fd852552d272"));
        assert!(hex(&hash(&[7; 128])).starts_with("39b104de137ad9ae3f093c0a8d5b9941"));
        assert!(hex(&hash(&[7; 1000])).starts_with("4cfe78bf1c6ba36f0d7f06e010253cf4"));
    }

    #[test]
    fn pieces_and_a_resumed_state_give_the_same_hash() {
        let bytes: Vec<u8> = (0..1000u32).map(|i| (i * 7) as u8).collect();
        for cut in [0, 1, 127, 128, 129, 256, 999] {
            let mut hasher = Blake2b::default();
            hasher.update(&bytes[..cut]);
            let mut resumed = Blake2b::resume(&hasher.state()).unwrap();
            resumed.update(&bytes[cut..]);
            assert_eq!(resumed.digest(), hash(&bytes));
        }
        let mut state = Blake2b::default().state();
        state[BLOCK + 72] = 129;
        assert!(Blake2b::resume(&state).is_none());
    }
}
