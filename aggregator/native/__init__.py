"""The engine's door to the extension module: the book kernel of `aggregator/native`.

There is one extension module, built from `circuits/native`; this is the only module below `circuits` that imports
it, and it imports nothing else. `aggregator.margin.book` is the interface.
"""

from circuits._native import Book as BookKernel

__all__ = ["BookKernel"]
