"""The committed table of rows is that of the circuits: a change of cost shows in a diff."""

from __future__ import annotations

import json

from bench.constraints import TABLE, count


def test_the_committed_table_is_the_circuits() -> None:
    assert json.loads(TABLE.read_text()) == json.loads(json.dumps(count())), (
        "run: python -m bench.constraints"
    )
