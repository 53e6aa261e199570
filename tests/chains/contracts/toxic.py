"""Groth16 keys and proofs from known exponents: real points and a real pairing equation, no circuit needed.

With every discrete logarithm known, C is solved from the verification equation, so proof and key are as good as
those of a prover to any verifier.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any

from py_ecc.optimized_bn128 import (
    FQ2,
    G1,
    G2,
    b2,
    curve_order,
    field_modulus,
    is_on_curve,
    multiply,
    normalize,
)

Point = tuple[Any, Any, Any]


@dataclass(frozen=True)
class Toxic:
    """A verifying key with its trapdoor. `ic` are exponents of IC_0..IC_5."""

    alpha: int
    beta: int
    gamma: int
    delta: int
    ic: tuple[int, ...]

    @classmethod
    def make(cls, seed: int = 1) -> Toxic:
        """A key from a fixed seed."""
        rng = random.Random(seed)
        alpha, beta, gamma, delta, *ic = (rng.randrange(1, curve_order) for _ in range(10))
        return cls(alpha, beta, gamma, delta, tuple(ic))

    def key_words(self) -> tuple[Any, ...]:
        """The constructor argument of Groth16Verifier."""
        return (
            g1(self.alpha),
            g2(self.beta),
            g2(self.gamma),
            g2(self.delta),
            tuple(g1(exponent) for exponent in self.ic),
        )

    def key_json(self) -> dict[str, Any]:
        """The same key as an iden3 verification_key.json."""

        def one(exponent: int) -> list[str]:
            return [*map(str, g1(exponent)), "1"]

        def two(exponent: int) -> list[list[str]]:
            x1, x0, y1, y0 = map(str, g2(exponent))
            return [[x0, x1], [y0, y1], ["1", "0"]]

        return {
            "protocol": "groth16",
            "curve": "bn128",
            "nPublic": len(self.ic) - 1,
            "vk_alpha_1": one(self.alpha),
            "vk_beta_2": two(self.beta),
            "vk_gamma_2": two(self.gamma),
            "vk_delta_2": two(self.delta),
            "IC": [one(exponent) for exponent in self.ic],
        }

    def prove(self, inputs: tuple[int, ...], seed: int = 2) -> list[int]:
        """A proof of `inputs` in EVM order."""
        rng = random.Random(seed)
        a, b = rng.randrange(1, curve_order), rng.randrange(1, curve_order)
        x = self.ic[0] + sum(i * e for i, e in zip(inputs, self.ic[1:], strict=True))
        c = (a * b - self.alpha * self.beta - x * self.gamma) * pow(self.delta, -1, curve_order) % curve_order
        return [*g1(a), *g2(b), *g1(c)]


def g1(exponent: int) -> tuple[int, int]:
    """exponent * G1 as (x, y)."""
    x, y = normalize(multiply(G1, exponent))
    return int(x), int(y)


def g2(exponent: int) -> tuple[int, int, int, int]:
    """exponent * G2 in EVM order, imaginary parts first."""
    x, y = normalize(multiply(G2, exponent))
    return int(x.coeffs[1]), int(x.coeffs[0]), int(y.coeffs[1]), int(y.coeffs[0])


def twist_point() -> tuple[int, int, int, int]:
    """A point on the twist y^2 = x^3 + 3/(9+u) that is not in the subgroup, in EVM order (found by trying x)."""
    for x0 in range(1, 100):
        x = FQ2([x0, 0])
        y = sqrt_fq2(x * x * x + b2)
        if y is not None:
            point = (x, y, FQ2.one())
            assert is_on_curve(point, b2)
            assert multiply(point, curve_order)[2] != FQ2.zero()
            return 0, x0, int(y.coeffs[1]), int(y.coeffs[0])
    raise AssertionError("no point found")


def sqrt_fq2(square: Any) -> Any:
    """A square root in F_q2 by norms (q = 3 mod 4), or None."""
    a, b = int(square.coeffs[0]), int(square.coeffs[1])
    norm = pow(a * a + b * b, (field_modulus + 1) // 4, field_modulus)
    half = pow(2, -1, field_modulus)
    for sign in (norm, -norm):
        c2 = (a + sign) * half % field_modulus
        c = pow(c2, (field_modulus + 1) // 4, field_modulus)
        if c and c * c % field_modulus == c2:
            root = FQ2([c, b * pow(2 * c, -1, field_modulus) % field_modulus])
            if root * root == square:
                return root
    return None
