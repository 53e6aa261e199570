"""The floors of the house: who may import whom, and what no module does. Held by reading the syntax trees."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = ("aggregator", "chains", "circuits")

FLOORS = {
    "aggregator.model": 0,
    "aggregator.fixed": 0,
    "aggregator.policy": 1,
    "aggregator.pricing": 1,
    "aggregator.margin": 1,
    "aggregator.risk": 1,
    "aggregator.optimise": 1,
    "aggregator.liquidation": 1,
    "aggregator.native": 1,
    "chains": 2,
    "circuits": 2,
    "aggregator.store": 3,
    "aggregator.service": 4,
    "aggregator.web": 4,
    "aggregator.cli": 4,
}
DOORS = {("aggregator.native", "circuits._native.Book")}
"""(module, what it may import from above): there is one extension module, which `circuits` builds, and one way to it
from the engine. `circuits._native` imports nothing of the floors between."""
STRANGERS = (("chains", "circuits"), ("circuits", "chains"))

PURE_FLOOR = 1
IMPURE = {
    "aiohttp",
    "asyncio",
    "eth_account",
    "http",
    "os",
    "pathlib",
    "random",
    "requests",
    "secrets",
    "shutil",
    "socket",
    "sqlalchemy",
    "sqlite3",
    "subprocess",
    "sys",
    "tempfile",
    "threading",
    "time",
    "urllib",
    "web3",
}
FLOAT_FREE = (
    "aggregator.model",
    "aggregator.fixed",
    "aggregator.margin",
    "aggregator.liquidation.auction",
    "aggregator.liquidation.closing",
    "aggregator.liquidation.curve",
    "aggregator.liquidation.losses",
    "aggregator.liquidation.outcome",
    "aggregator.liquidation.running",
    "aggregator.liquidation.steps",
)

MAX_LINES = 500
LONGER_FOR_A_REASON: dict[str, str] = {}
"""Path -> why the module is one concern although it is long."""

HEAVY = {
    "aiohttp",
    "circuits",
    "chains",
    "eth_account",
    "numpy",
    "py_ecc",
    "rich",
    "scipy",
    "sqlalchemy",
    "web3",
}
START_CPU_SECONDS = 0.4
"""Twice the 0.2 s of DESIGN section 1, for slow machines; measured as processor time, not wall time."""


@cache
def _modules() -> dict[str, tuple[Path, ast.Module]]:
    found = {}
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            relative = path.relative_to(ROOT)
            if {"node_modules", "target"} & set(relative.parts):
                continue
            name = ".".join(relative.with_suffix("").parts).removesuffix(".__init__")
            found[name] = (path, ast.parse(path.read_text(encoding="utf-8"), str(relative)))
    return found


def _imports(name: str, path: Path, tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Every (line, imported module) of a module, also inside functions and under TYPE_CHECKING."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                package = name if path.name == "__init__.py" else name.rpartition(".")[0]
                for _ in range(node.level - 1):
                    package = package.rpartition(".")[0]
                base = f"{package}.{base}".rstrip(".")
            for alias in node.names:
                yield node.lineno, f"{base}.{alias.name}"


def _floor_of(module: str) -> int | None:
    matches = [prefix for prefix in FLOORS if module == prefix or module.startswith(prefix + ".")]
    return FLOORS[max(matches, key=len)] if matches else None


def _within(module: str, prefix: str) -> bool:
    return module == prefix or module.startswith(prefix + ".")


def test_every_module_stands_on_a_floor() -> None:
    assert _modules()
    homeless = [name for name in _modules() if _floor_of(name) is None and name != "aggregator"]
    assert homeless == []


def test_no_module_imports_from_above() -> None:
    wrong = []
    for name, (path, tree) in _modules().items():
        floor = _floor_of(name)
        for line, target in _imports(name, path, tree):
            above = _floor_of(target)
            if (name, target) in DOORS:
                continue
            if above is not None and floor is not None and above > floor:
                wrong.append(f"{path.relative_to(ROOT)}:{line} imports {target} from floor {above}")
    assert wrong == []


def test_chains_and_circuits_do_not_know_each_other() -> None:
    wrong = [
        f"{path.relative_to(ROOT)}:{line} imports {target}"
        for name, (path, tree) in _modules().items()
        for line, target in _imports(name, path, tree)
        for here, there in STRANGERS
        if _within(name, here) and _within(target, there)
    ]
    assert wrong == []


def test_the_pure_floors_reach_no_clock_file_or_network() -> None:
    wrong = []
    for name, (path, tree) in _modules().items():
        floor = _floor_of(name)
        if floor is None or floor > PURE_FLOOR:
            continue
        for line, target in _imports(name, path, tree):
            if target.partition(".")[0] in IMPURE:
                wrong.append(f"{path.relative_to(ROOT)}:{line} imports {target}")
        wrong += [
            f"{path.relative_to(ROOT)}:{node.lineno} opens a file"
            for node in ast.walk(tree)
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "open"
        ]
    assert wrong == []


def test_money_is_never_a_float() -> None:
    wrong = []
    for name, (path, tree) in _modules().items():
        if not any(_within(name, prefix) for prefix in FLOAT_FREE):
            continue
        for node in ast.walk(tree):
            literal = isinstance(node, ast.Constant) and isinstance(node.value, float)
            called = (
                isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "float"
            )
            if literal or called or (isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div)):
                wrong.append(f"{path.relative_to(ROOT)}:{getattr(node, 'lineno', 0)}")
    assert wrong == []


def test_no_module_is_long_without_a_reason() -> None:
    long = {
        str(path.relative_to(ROOT))
        for path, _ in _modules().values()
        if len(path.read_text(encoding="utf-8").splitlines()) > MAX_LINES
    }
    assert long == set(LONGER_FOR_A_REASON)


def test_no_assert_guards_anything() -> None:
    wrong = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for path, tree in _modules().values()
        for node in ast.walk(tree)
        if isinstance(node, ast.Assert)
    ]
    assert wrong == []


OUTERMOST = {"aggregator/service/http/edge.py": 1}
"""Path -> how many handlers of everything stand there: a defect is logged whole, and the caller is told of it."""


def test_no_broad_except_swallows_an_error() -> None:
    """A handler of everything may clean up, but it re-raises as its last statement; the service's edge answers."""
    broad = {"Exception", "BaseException"}
    wrong = []
    for path, tree in _modules().values():
        for node in ast.walk(tree):
            if not isinstance(node, ast.ExceptHandler):
                continue
            kinds = node.type.elts if isinstance(node.type, ast.Tuple) else [node.type]
            caught = {kind.id for kind in kinds if isinstance(kind, ast.Name)}
            last = node.body[-1]
            if (node.type is None or caught & broad) and not (isinstance(last, ast.Raise) and not last.exc):
                wrong.append(str(path.relative_to(ROOT)))
    assert Counter(wrong) == OUTERMOST


def _run(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    return done.stdout


def test_help_loads_nothing_heavy() -> None:
    code = (
        "import sys\n"
        "from aggregator.cli.main import main\n"
        "sys.argv = ['counterfoil', '--help']\n"
        "try: main()\n"
        "except SystemExit as end: code = end.code\n"
        "print('\\n'.join(['LOADED', str(code), *sys.modules]))\n"
    )
    shown, _, loaded = _run(code).partition("LOADED\n")
    status, *modules = loaded.split()
    assert "Usage: counterfoil" in shown
    assert status == "0"
    assert {module.partition(".")[0] for module in modules} & HEAVY == set()


def test_help_is_quick() -> None:
    readings = []
    for _ in range(3):
        before = os.times()
        _run("from aggregator.cli.main import main; main(['--help'])")
        after = os.times()
        readings.append(
            after.children_user + after.children_system - before.children_user - before.children_system
        )
    assert min(readings) < START_CPU_SECONDS


@pytest.mark.parametrize(
    ("rule", "name", "source"),
    [
        (test_every_module_stands_on_a_floor, "aggregator.attic", ""),
        (test_no_module_imports_from_above, "aggregator.model.x", "def f():\n    import chains.rpc"),
        (test_no_module_imports_from_above, "aggregator.model.x", "from ..cli import main"),
        (test_no_module_imports_from_above, "chains.x", "from aggregator import store"),
        (test_no_module_imports_from_above, "aggregator.native", "from circuits._native import Circuit"),
        (test_no_module_imports_from_above, "aggregator.margin.x", "from circuits._native import Book"),
        (test_chains_and_circuits_do_not_know_each_other, "chains.x", "import circuits"),
        (test_chains_and_circuits_do_not_know_each_other, "circuits.x", "from chains.rpc import y"),
        (test_the_pure_floors_reach_no_clock_file_or_network, "aggregator.margin.x", "import time"),
        (test_the_pure_floors_reach_no_clock_file_or_network, "aggregator.policy.x", "open('f')"),
        (test_money_is_never_a_float, "aggregator.margin.x", "x = 0.5"),
        (test_money_is_never_a_float, "aggregator.model.x", "x = 1 / 2"),
        (test_money_is_never_a_float, "aggregator.fixed", "x = float(1)"),
        (test_no_assert_guards_anything, "circuits.x", "assert True"),
        (test_no_broad_except_swallows_an_error, "chains.x", "try: f()\nexcept Exception: pass"),
        (test_no_broad_except_swallows_an_error, "chains.x", "try: f()\nexcept: g()"),
        (test_no_broad_except_swallows_an_error, "chains.x", "try: f()\nexcept (A, BaseException): g()"),
    ],
)
def test_each_rule_catches_a_planted_break(
    rule: Callable[[], None], name: str, source: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    planted = {name: (ROOT / "planted.py", ast.parse(source))}
    monkeypatch.setattr(sys.modules[__name__], "_modules", lambda: planted)
    with pytest.raises(AssertionError):
        rule()


def test_the_rule_on_length_catches_a_long_module(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules[__name__], "MAX_LINES", 10)
    with pytest.raises(AssertionError):
        test_no_module_is_long_without_a_reason()
