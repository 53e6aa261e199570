// Groth16 verification over BN254 (Groth, "On the Size of Pairing-based Non-interactive Arguments", EUROCRYPT 2016,
// section 3.2): e(A, B) = e(alpha, beta) e(IC_0 + sum_i x_i IC_i, gamma) e(C, delta).
// Reads snarkjs's proof.json and verification_key.json; everything is checked before it is used.

import { P, R, add1, isInGroup2, isOnCurve1, multiply1, negate1, pairingProductIsOne } from "./bn254.mjs";

const DECIMAL = /^(0|[1-9][0-9]{0,77})$/;

/** Something that a file says is not as it has to be. */
export class FormatError extends Error {}
/** The proof does not prove the statement. */
export class RefusedError extends Error {}

/** A decimal string without sign and leading zeros, below `bound`, as a BigInt. */
export const parseNumber = (value, bound, what) => {
  if (typeof value !== "string" || !DECIMAL.test(value)) {
    throw new FormatError(`${what} is not a decimal string without sign and leading zeros`);
  }
  const number = BigInt(value);
  if (number >= bound) throw new FormatError(`${what} is too large; the only spelling is the canonical one`);
  return number;
};

const header = (value, name) => {
  if (value === null || typeof value !== "object" || Array.isArray(value)) throw new FormatError(`${name} is not an object`);
  if (value.protocol !== "groth16" || value.curve !== "bn128") throw new FormatError(`${name} is not of groth16 over bn128`);
  return value;
};

const parse1 = (value, what) => {
  if (!Array.isArray(value) || value.length !== 3 || value[2] !== "1") throw new FormatError(`${what} is not an affine point [x, y, "1"]`);
  const point = [parseNumber(value[0], P, `${what}.x`), parseNumber(value[1], P, `${what}.y`)];
  if (!isOnCurve1(point)) throw new FormatError(`${what} is not on the curve`);
  return point;
};

const parse2 = (value, what) => {
  const pair = (c) => Array.isArray(c) && c.length === 2;
  const affine = Array.isArray(value) && value.length === 3 && value.every(pair) && value[2][0] === "1" && value[2][1] === "0";
  if (!affine) throw new FormatError(`${what} is not an affine point over the quadratic field`);
  const point = [0, 1].map((i) => [0, 1].map((j) => parseNumber(value[i][j], P, `${what}.${"xy"[i]}.c${j}`)));
  if (!isInGroup2(point)) throw new FormatError(`${what} is not in the group of order r`);
  return point;
};

/** A verification_key.json, with every point checked. */
export const parseVerificationKey = (value) => {
  const key = header(value, "the verification key");
  if (!Array.isArray(key.IC) || key.IC.length < 1 || key.nPublic !== key.IC.length - 1) {
    throw new FormatError("the verification key's nPublic is not the number of its IC points less one");
  }
  return {
    alpha: parse1(key.vk_alpha_1, "vk_alpha_1"),
    beta: parse2(key.vk_beta_2, "vk_beta_2"),
    gamma: parse2(key.vk_gamma_2, "vk_gamma_2"),
    delta: parse2(key.vk_delta_2, "vk_delta_2"),
    ic: key.IC.map((point, i) => parse1(point, `IC[${i}]`)),
  };
};

/** The key's bytes as counterfoil hashes them: 32-byte little-endian coordinates, alpha, beta, gamma, delta, IC. */
export const keyBytes = (key) => {
  const coordinates = [...key.alpha, ...[key.beta, key.gamma, key.delta].flat(2), ...key.ic.flat()];
  const bytes = new Uint8Array(coordinates.length * 32);
  coordinates.forEach((coordinate, i) => {
    for (let [j, rest] = [0, coordinate]; j < 32; j += 1, rest >>= 8n) bytes[i * 32 + j] = Number(rest & 255n);
  });
  return bytes;
};

/** Returns when the proof (proof.json) holds for the public inputs (BigInts); throws FormatError or RefusedError. */
export const verify = (key, inputs, proof) => {
  const { pi_a: a, pi_b: b, pi_c: c } = header(proof, "the proof");
  const [A, B, C] = [parse1(a, "pi_a"), parse2(b, "pi_b"), parse1(c, "pi_c")];
  if (inputs.length !== key.ic.length - 1) {
    throw new RefusedError(`the key takes ${key.ic.length - 1} public inputs, not ${inputs.length}`);
  }
  let sum = key.ic[0];
  inputs.forEach((input, i) => {
    if (typeof input !== "bigint" || input < 0n || input >= R) {
      throw new RefusedError(`public input ${i} is not in 0..r-1; the only spelling of one is the canonical one`);
    }
    sum = add1(sum, multiply1(key.ic[i + 1], input));
  });
  // A pairing with the point at infinity is one, so that pair is left out.
  const pairs = [
    [negate1(A), B],
    [key.alpha, key.beta],
    [sum, key.gamma],
    [C, key.delta],
  ].filter(([p]) => p !== null);
  if (!pairingProductIsOne(pairs)) throw new RefusedError("the proof does not hold for these public inputs");
};
