"""Gets calls onto a chain: signed once, journalled before they are sent, followed until final."""

from __future__ import annotations

from chains.relayer.call import Call, Outcome, Plan, submission_call
from chains.relayer.fees import FeeLimits, Fees
from chains.relayer.journal import Intent, Journal, State
from chains.relayer.relayer import Relayer
from chains.relayer.settings import Finality, RelayerSettings
from chains.relayer.signer import LocalSigner, SignedTransaction, Signer, load_signer

__all__ = [
    "Call",
    "FeeLimits",
    "Fees",
    "Finality",
    "Intent",
    "Journal",
    "LocalSigner",
    "Outcome",
    "Plan",
    "Relayer",
    "RelayerSettings",
    "SignedTransaction",
    "Signer",
    "State",
    "load_signer",
    "submission_call",
]
