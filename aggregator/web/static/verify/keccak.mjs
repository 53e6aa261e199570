// Keccak-256 as Ethereum uses it (FIPS 202's permutation with the original padding byte 0x01).

const ROUNDS = 24;
const RATE = 136;
const MASK = (1n << 64n) - 1n;

const ROTATIONS = [];
const CONSTANTS = [];
{
  let [x, y] = [1, 0];
  for (let t = 0; t < ROUNDS; t += 1) {
    ROTATIONS.push([x + 5 * y, BigInt((((t + 1) * (t + 2)) / 2) % 64)]);
    [x, y] = [y, (2 * x + 3 * y) % 5];
  }
  // FIPS 202, algorithm 5: a linear feedback shift register over x^8 + x^6 + x^5 + x^4 + 1
  let register = 1;
  for (let round = 0; round < ROUNDS; round += 1) {
    let constant = 0n;
    for (let j = 0; j < 7; j += 1) {
      if (register & 1) constant |= 1n << BigInt(2 ** j - 1);
      register = (register << 1) ^ (register >> 7 ? 0x171 : 0);
    }
    CONSTANTS.push(constant);
  }
}

const rotate = (value, by) => (by === 0n ? value : ((value << by) | (value >> (64n - by))) & MASK);

const permute = (s) => {
  for (let round = 0; round < ROUNDS; round += 1) {
    const c = [0, 1, 2, 3, 4].map((x) => s[x] ^ s[x + 5] ^ s[x + 10] ^ s[x + 15] ^ s[x + 20]);
    for (let x = 0; x < 5; x += 1) {
      const d = c[(x + 4) % 5] ^ rotate(c[(x + 1) % 5], 1n);
      for (let y = 0; y < 25; y += 5) s[x + y] ^= d;
    }
    const moved = new Array(25);
    moved[0] = s[0];
    for (const [from, by] of ROTATIONS) {
      const [x, y] = [from % 5, Math.floor(from / 5)];
      moved[y + 5 * ((2 * x + 3 * y) % 5)] = rotate(s[from], by);
    }
    for (let y = 0; y < 25; y += 5) {
      for (let x = 0; x < 5; x += 1) {
        s[x + y] = moved[x + y] ^ (~moved[((x + 1) % 5) + y] & MASK & moved[((x + 2) % 5) + y]);
      }
    }
    s[0] ^= CONSTANTS[round];
  }
};

/** Keccak-256 of a Uint8Array, as 32 bytes. */
export const keccak256 = (message) => {
  const blocks = Math.floor(message.length / RATE) + 1;
  const padded = new Uint8Array(blocks * RATE);
  padded.set(message);
  padded[message.length] ^= 0x01;
  padded[padded.length - 1] ^= 0x80;
  const state = new Array(25).fill(0n);
  const view = new DataView(padded.buffer);
  for (let block = 0; block < blocks; block += 1) {
    for (let lane = 0; lane < RATE / 8; lane += 1) {
      state[lane] ^= view.getBigUint64(block * RATE + lane * 8, true);
    }
    permute(state);
  }
  const out = new DataView(new ArrayBuffer(32));
  for (let lane = 0; lane < 4; lane += 1) out.setBigUint64(lane * 8, state[lane], true);
  return new Uint8Array(out.buffer);
};
