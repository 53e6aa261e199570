"""A document that nests too deep is refused before the parser recurses, whatever the recursion limit is."""

from __future__ import annotations

import subprocess
import sys

import pytest

from aggregator.model.errors import FormatError
from aggregator.model.nesting import MAX_DEPTH
from aggregator.model.strictjson import load_json


@pytest.mark.parametrize("opening", ["[", '{"a":', '["[", '])
def test_deep_nesting_is_refused(opening: str) -> None:
    with pytest.raises(FormatError, match="nests deeper"):
        load_json(opening * (MAX_DEPTH + 1))


def test_brackets_inside_texts_do_not_count() -> None:
    text = '["' + "[" * 1000 + '\\"[", "' + "{" * 1000 + '"]'
    assert load_json(text) == ["[" * 1000 + '"[', "{" * 1000]
    assert load_json("[" * MAX_DEPTH + "]" * MAX_DEPTH) is not None


def test_a_raised_recursion_limit_does_not_end_the_process() -> None:
    program = (
        "import py_ecc.optimized_bn128\n"
        "from aggregator.model.errors import FormatError\n"
        "from aggregator.model.strictjson import load_json\n"
        "try:\n    load_json('[' * 200000)\nexcept FormatError:\n    print('refused')\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.strip()) == (0, "refused")
