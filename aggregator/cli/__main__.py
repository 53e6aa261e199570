"""`python -m aggregator.cli` is `counterfoil`."""

from __future__ import annotations

from aggregator.cli.main import main

if __name__ == "__main__":
    main()
