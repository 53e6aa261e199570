"""Gets calls onto a chain: signed once, journalled before they are sent, followed until final."""

from __future__ import annotations

from chains.relayer.call import Call, Outcome, Plan, submission_call
from chains.relayer.fees import FeeLimits, Fees
from chains.relayer.intents import Attempt, Intent, Kind, State
from chains.relayer.journal import Journal
from chains.relayer.manage import IntentStatus, cancel, full_key, metrics, retry, status, status_of
from chains.relayer.relayer import Relayer
from chains.relayer.remote_signer import RemoteSigner
from chains.relayer.settings import Finality, RelayerSettings
from chains.relayer.signer import LocalSigner, SignedTransaction, Signer, load_signer

__all__ = [
    "Attempt",
    "Call",
    "FeeLimits",
    "Fees",
    "Finality",
    "Intent",
    "IntentStatus",
    "Journal",
    "Kind",
    "LocalSigner",
    "Outcome",
    "Plan",
    "Relayer",
    "RelayerSettings",
    "RemoteSigner",
    "SignedTransaction",
    "Signer",
    "State",
    "cancel",
    "full_key",
    "load_signer",
    "metrics",
    "retry",
    "status",
    "status_of",
    "submission_call",
]
