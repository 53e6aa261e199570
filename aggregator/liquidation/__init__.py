"""Liquidation as simulation and plan: what is closed at which price, who pays, what follows, and how probable it is.

Nothing here sends anything. Money is exact integers; floats are used for price impact and for probabilities only.
"""
