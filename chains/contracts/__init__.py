"""The Solidity contracts: sources, compiled artifacts, and the typed calls of `SolvencyRegistry`."""

from __future__ import annotations

from chains.contracts.compiled import Artifact, artifact

__all__ = ["Artifact", "artifact"]
