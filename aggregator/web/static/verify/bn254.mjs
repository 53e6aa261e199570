// BN254 in BigInt arithmetic: points, the optimal ate pairing, and nothing else. No dependency, so a page that was
// saved to a disk checks proofs as well as one that was served.
//
// Parameters: EIP-196, EIP-197; the curve E: y^2 = x^3 + 3 over F_p and its twist E': y^2 = x^3 + 3/xi over
// F_p2 = F_p[i]/(i^2 + 1), xi = 9 + i. F_p12 = F_p2[w]/(w^6 - xi), kept as six coefficients of F_p2.
// Pairing: Vercauteren, "Optimal pairings" (IEEE Trans. Inf. Theory 56, 2010), with 6u + 2 for u = 4965661367192848881.

export const P = 21888242871839275222246405745257275088696311157297823662689037894645226208583n;
export const R = 21888242871839275222246405745257275088548364400416034343698204186575808495617n;

const U = 4965661367192848881n;
const LOOP = (6n * U + 2n).toString(2);
// f^((p^12 - 1)/r) is f^((p^6 - 1) K) with this K; f^(p^6) is the conjugate of f, which only turns the odd powers of w.
const K = (P ** 2n + 1n) * ((P ** 4n - P ** 2n + 1n) / R);

const mod = (a) => {
  const r = a % P;
  return r < 0n ? r + P : r;
};


// Extended Euclid. The inverse of 0 does not exist; no caller asks for it.
const inverse = (a) => {
  let [r0, r1, s0, s1] = [P, mod(a), 0n, 1n];
  while (r1 > 0n) {
    const q = r0 / r1;
    [r0, r1, s0, s1] = [r1, r0 - q * r1, s1, s0 - q * s1];
  }
  if (r0 !== 1n) throw new RangeError("zero has no inverse");
  return mod(s0);
};

// F_p2, as [c0, c1] for c0 + c1 i

const add2 = (a, b) => [mod(a[0] + b[0]), mod(a[1] + b[1])];
const sub2 = (a, b) => [mod(a[0] - b[0]), mod(a[1] - b[1])];
const mul2 = (a, b) => [mod(a[0] * b[0] - a[1] * b[1]), mod(a[0] * b[1] + a[1] * b[0])];
const neg2 = (a) => [mod(-a[0]), mod(-a[1])];
const scale2 = (a, k) => [mod(a[0] * k), mod(a[1] * k)];
const conjugate2 = (a) => [a[0], mod(-a[1])];
const equal2 = (a, b) => a[0] === b[0] && a[1] === b[1];
const isZero2 = (a) => a[0] === 0n && a[1] === 0n;
const inverse2 = (a) => {
  const d = inverse(a[0] * a[0] + a[1] * a[1]);
  return [mod(a[0] * d), mod(-a[1] * d)];
};
const power2 = (base, exponent) => {
  let [result, b] = [[1n, 0n], base];
  for (let e = exponent; e > 0n; e >>= 1n) {
    if (e & 1n) result = mul2(result, b);
    b = mul2(b, b);
  }
  return result;
};

const XI = [9n, 1n];
const B = 3n;
const B_TWIST = mul2([B, 0n], inverse2(XI));
// The p-power map on the twist: (x, y) -> (conj(x) FROBENIUS_X, conj(y) FROBENIUS_Y)
const FROBENIUS_X = power2(XI, (P - 1n) / 3n);
const FROBENIUS_Y = power2(XI, (P - 1n) / 2n);

// F_p12, as six coefficients of w^0 .. w^5

const ZERO2 = [0n, 0n];
const one12 = () => [[1n, 0n], ZERO2, ZERO2, ZERO2, ZERO2, ZERO2];

const mul12 = (a, b) => {
  const real = new Array(11).fill(0n);
  const imaginary = new Array(11).fill(0n);
  for (let i = 0; i < 6; i += 1) {
    const [x0, x1] = a[i];
    if (x0 === 0n && x1 === 0n) continue;
    for (let j = 0; j < 6; j += 1) {
      const [y0, y1] = b[j];
      if (y0 === 0n && y1 === 0n) continue;
      real[i + j] += x0 * y0 - x1 * y1;
      imaginary[i + j] += x0 * y1 + x1 * y0;
    }
  }
  // w^6 = xi = 9 + i
  for (let i = 10; i >= 6; i -= 1) {
    real[i - 6] += 9n * real[i] - imaginary[i];
    imaginary[i - 6] += 9n * imaginary[i] + real[i];
  }
  return [0, 1, 2, 3, 4, 5].map((i) => [mod(real[i]), mod(imaginary[i])]);
};

const power12 = (base, exponent) => {
  let result = one12();
  for (const bit of exponent.toString(2)) {
    result = mul12(result, result);
    if (bit === "1") result = mul12(result, base);
  }
  return result;
};

// G1: [x, y], or null for the point at infinity

export const isOnCurve1 = ([x, y]) =>
  x >= 0n && x < P && y >= 0n && y < P && mod(y * y - x * x * x - B) === 0n;

export const negate1 = (a) => (a === null ? null : [a[0], mod(-a[1])]);

export const add1 = (a, b) => {
  if (a === null) return b;
  if (b === null) return a;
  let slope;
  if (a[0] === b[0]) {
    if (a[1] !== b[1] || a[1] === 0n) return null;
    slope = mod(3n * a[0] * a[0] * inverse(2n * a[1]));
  } else {
    slope = mod((b[1] - a[1]) * inverse(b[0] - a[0]));
  }
  const x = mod(slope * slope - a[0] - b[0]);
  return [x, mod(slope * (a[0] - x) - a[1])];
};

export const multiply1 = (a, k) => {
  let [result, base] = [null, a];
  for (let e = k; e > 0n; e >>= 1n) {
    if (e & 1n) result = add1(result, base);
    base = add1(base, base);
  }
  return result;
};

// G2: [x, y] with x, y in F_p2, or null

const slope2 = (a, b) =>
  equal2(a[0], b[0])
    ? mul2(scale2(mul2(a[0], a[0]), 3n), inverse2(scale2(a[1], 2n)))
    : mul2(sub2(b[1], a[1]), inverse2(sub2(b[0], a[0])));

const follow2 = (a, b, slope) => {
  const x = sub2(sub2(mul2(slope, slope), a[0]), b[0]);
  return [x, sub2(mul2(slope, sub2(a[0], x)), a[1])];
};

const add2nd = (a, b) => {
  if (a === null) return b;
  if (b === null) return a;
  if (equal2(a[0], b[0]) && (!equal2(a[1], b[1]) || isZero2(a[1]))) return null;
  return follow2(a, b, slope2(a, b));
};

/** Whether a point is on the twist and of order r: the twist has other points too, and those prove nothing. */
export const isInGroup2 = (point) => {
  const [x, y] = point;
  if (![x[0], x[1], y[0], y[1]].every((c) => c >= 0n && c < P)) return false;
  if (!equal2(mul2(y, y), add2(mul2(mul2(x, x), x), B_TWIST))) return false;
  let [result, base] = [null, point];
  for (let e = R; e > 0n; e >>= 1n) {
    if (e & 1n) result = add2nd(result, base);
    base = add2nd(base, base);
  }
  return result === null;
};

// The line through a and b (of the twist, carried to the curve by (x w^2, y w^3)), at p of G1:
// p.y - slope p.x w + (slope a.x - a.y) w^3
const line = (a, slope, p) => [
  [p[1], 0n],
  scale2(slope, mod(-p[0])),
  ZERO2,
  sub2(mul2(slope, a[0]), a[1]),
  ZERO2,
  ZERO2,
];

/**
 * Whether the product of the pairings e(p, q) over all [p, q] is one.
 * The points are of G1 and G2, checked by the caller, and none is at infinity.
 */
export const pairingProductIsOne = (pairs) => {
  const running = pairs.map(([, q]) => q);
  let f = one12();
  const step = (index, other) => {
    const [p] = pairs[index];
    const t = running[index];
    const slope = slope2(t, other);
    f = mul12(f, line(t, slope, p));
    running[index] = follow2(t, other, slope);
  };
  for (const bit of LOOP.slice(1)) {
    f = mul12(f, f);
    pairs.forEach((_, i) => step(i, running[i]));
    if (bit === "1") pairs.forEach(([, q], i) => step(i, q));
  }
  const frobenius = ([x, y]) => [mul2(conjugate2(x), FROBENIUS_X), mul2(conjugate2(y), FROBENIUS_Y)];
  pairs.forEach(([, q], i) => {
    const once = frobenius(q);
    const twice = frobenius(once);
    step(i, once);
    step(i, [twice[0], neg2(twice[1])]);
  });
  // The product is one exactly when g = f^K is its own conjugate: g^(p^6 - 1) = conj(g) / g.
  const g = power12(f, K);
  return g.some((c) => !isZero2(c)) && [g[1], g[3], g[5]].every(isZero2);
};
