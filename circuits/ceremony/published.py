"""Phase 1 files whose making is public, by the BLAKE2b-512 of the whole file.

Source: the table in snarkjs 0.7's README: 54 contributions and a beacon of the Perpetual Powers of Tau, prepared for
phase 2. One honest contributor among them is enough.
"""

from __future__ import annotations

from typing import Final

UNKNOWN: Final = "unknown"
PUBLISHED: Final = {
    "982372c867d229c236091f767e703253249a9b432c1710b4f326306bfa2428a1"
    "7b06240359606cfe4d580b10a5a1f63fbed499527069c18ae17060472969ae6e": "powersOfTau28_hez_final_15",
    "6a6277a2f74e1073601b4f9fed6e1e55226917efb0f0db8a07d98ab01df1ccf4"
    "3eb0e8c3159432acd4960e2f29fe84a4198501fa54c8dad9e43297453efec125": "powersOfTau28_hez_final_16",
    "6247a3433948b35fbfae414fa5a9355bfb45f56efa7ab4929e669264a0258976"
    "741dfbe3288bfb49828e5df02c2e633df38d2245e30162ae7e3bcca5b8b49345": "powersOfTau28_hez_final_17",
    "7e6a9c2e5f05179ddfc923f38f917c9e6831d16922a902b0b4758b8e79c2ab8a"
    "81bb5f29952e16ee6c5067ed044d7857b5de120a90704c1d3b637fd94b95b13e": "powersOfTau28_hez_final_18",
    "bca9d8b04242f175189872c42ceaa21e2951e0f0f272a0cc54fc37193ff66486"
    "00eaf1c555c70cdedfaf9fb74927de7aa1d33dc1e2a7f1a50619484989da0887": "powersOfTau28_hez_final_19",
    "89a66eb5590a1c94e3f1ee0e72acf49b1669e050bb5f93c73b066b564dca4e0c"
    "7556a52b323178269d64af325d8fdddb33da3a27c34409b821de82aa2bf1a27b": "powersOfTau28_hez_final_20",
    "9aef0573cef4ded9c4a75f148709056bf989f80dad96876aadeb6f1c6d062391"
    "f07a394a9e756d16f7eb233198d5b69407cca44594c763ab4a5b67ae73254678": "powersOfTau28_hez_final_21",
}


def origin(blake2b: str) -> str:
    """The published name of a file, or "unknown"."""
    return PUBLISHED.get(blake2b, UNKNOWN)
