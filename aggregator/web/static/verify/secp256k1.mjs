// Who signed: ECDSA public key recovery on secp256k1 (SEC 1 v2, section 4.1.6) and Ethereum addresses.
// Only public values pass through here, so nothing has to be constant-time.

import { keccak256 } from "./keccak.mjs";

const P = 2n ** 256n - 2n ** 32n - 977n;
const N = 0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141n;
const G = [
  0x79be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798n,
  0x483ada7726a3c4655da4fbfc0e1108a8fd17b448a68554199c47d08ffb10d4b8n,
];

const mod = (a, m) => {
  const r = a % m;
  return r < 0n ? r + m : r;
};

const inverse = (a, m) => {
  let [r0, r1, s0, s1] = [m, mod(a, m), 0n, 1n];
  while (r1 > 0n) {
    const q = r0 / r1;
    [r0, r1, s0, s1] = [r1, r0 - q * r1, s1, s0 - q * s1];
  }
  return mod(s0, m);
};

const power = (base, exponent) => {
  let [result, b] = [1n, base];
  for (let e = exponent; e > 0n; e >>= 1n) {
    if (e & 1n) result = (result * b) % P;
    b = (b * b) % P;
  }
  return result;
};

const add = (a, b) => {
  if (a === null) return b;
  if (b === null) return a;
  let slope;
  if (a[0] === b[0]) {
    if (a[1] !== b[1]) return null;
    slope = mod(3n * a[0] * a[0] * inverse(2n * a[1], P), P);
  } else {
    slope = mod((b[1] - a[1]) * inverse(b[0] - a[0], P), P);
  }
  const x = mod(slope * slope - a[0] - b[0], P);
  return [x, mod(slope * (a[0] - x) - a[1], P)];
};

const multiply = (a, k) => {
  let [result, base] = [null, a];
  for (let e = k; e > 0n; e >>= 1n) {
    if (e & 1n) result = add(result, base);
    base = add(base, base);
  }
  return result;
};

const toNumber = (bytes) => bytes.reduce((n, byte) => (n << 8n) | BigInt(byte), 0n);

/**
 * The lower-case address that signed a 32-byte digest, or null when the signature is not in its one canonical form:
 * 65 bytes r, s, v with v 27 or 28 and s in the lower half (EIP-2).
 */
export const recoverAddress = (digest, signature) => {
  if (signature.length !== 65) return null;
  const [r, s, v] = [toNumber(signature.slice(0, 32)), toNumber(signature.slice(32, 64)), signature[64]];
  if (r === 0n || r >= N || s === 0n || s > N / 2n || (v !== 27 && v !== 28)) return null;
  const square = mod(r * r * r + 7n, P);
  const root = power(square, (P + 1n) / 4n);
  if (mod(root * root, P) !== square) return null;
  const point = [r, Number(root & 1n) === v - 27 ? root : P - root];
  const e = mod(toNumber(digest), N);
  const over = inverse(r, N);
  const key = add(multiply(point, mod(s * over, N)), multiply(G, mod(-e * over, N)));
  if (key === null) return null;
  const bytes = new Uint8Array(64);
  key.forEach((coordinate, i) => {
    for (let [j, rest] = [31, coordinate]; j >= 0; j -= 1, rest >>= 8n) bytes[i * 32 + j] = Number(rest & 255n);
  });
  const hash = keccak256(bytes).slice(12);
  return `0x${[...hash].map((byte) => byte.toString(16).padStart(2, "0")).join("")}`;
};
