"""Operations of venues: verify a bundle, the venues and keys there are, policies."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from aiohttp import web

from aggregator.fixed import format_decimal
from aggregator.model.anchors import Trust, parse_chain_id
from aggregator.model.errors import InputError
from aggregator.model.policy import Level, Policy
from aggregator.model.strictjson import JsonObject, canonical_json
from aggregator.policy import policy_json
from aggregator.service import provenance
from aggregator.service.http.requests import (
    DOCUMENT_ID,
    WORD,
    cursor_number,
    json_answer,
    optional_text,
    page_of,
    page_size,
    parse_object,
    path_text,
    read_object,
)
from aggregator.service.http.service import Service
from aggregator.service.linking import parse_address
from aggregator.service.market import read_inputs
from aggregator.service.standing import check_pledges, standing_json
from aggregator.service.venue import Check, VenueRules, check_bundle
from aggregator.service.venue_file import parse_usd
from aggregator.store.everything import AllRecords
from aggregator.store.listing import StoredPolicy
from circuits.bundle import Bundle, PolicyHeader, parse_bundle
from circuits.formats.snarkjs import encode_verification_key

_RULES: Final = (
    "venue",
    "chainId",
    "registry",
    "amountUsd",
    "level",
    "attestors",
    "threshold",
    "maxAgeSeconds",
    "coverages",
    "policies",
)
_MORE_RULES: Final = ("chains", "leastTrust", "acceptDevKeys", "verificationKeys")
MAX_AGE_S: Final = 30 * 86_400
MOST_LISTED: Final = 64


async def verify_bundle(service: Service, request: web.Request) -> web.Response:
    """Every check of a bundle against a venue's rules."""
    body = await read_object(request, ("bundle",), ("venue", "rules", "amountUsd", "registry"))
    if ("venue" in body.value) == ("rules" in body.value):
        raise InputError("the body has neither or both of venue and rules; give one of them")
    bundle = parse_bundle(canonical_json(body.value["bundle"]))
    name = optional_text(body, "venue")
    rules = service.venue(name) if name is not None else await _rules(service, body.value["rules"])
    if "amountUsd" in body.value:
        rules = replace(rules, amount_e6=parse_usd(body.text("amountUsd")))
    now = service.now()
    checks = await service.compute(lambda: check_bundle(bundle, rules, now))
    asked = "registry" in body.value and body.boolean("registry")
    standing = None
    if asked:
        pledges, standing = await check_pledges(service.networks, rules, bundle.account_id)
        checks = (*checks, pledges)
    good = all(check.passed for check in checks)
    service.metrics.verdicts.labels(str(good).lower()).inc()
    return json_answer(
        {
            "good": good,
            "pledgesAsked": asked,
            "checks": [check_json(check) for check in checks],
            "statement": statement_json(bundle),
            "standing": None if standing is None else standing_json(standing),
            **provenance.of_blocks(bundle.anchors, bundle.context.cut_time),
        }
    )


def check_json(check: Check) -> dict[str, object]:
    """One condition as JSON."""
    return {
        "name": check.name,
        "passed": check.passed,
        "detail": check.detail,
        "problem": None if check.error is None else check.error.type_uri,
    }


def statement_json(bundle: Bundle) -> dict[str, object]:
    """What a bundle says."""
    context = bundle.context
    return {
        "accountId": f"0x{bundle.account_id:064x}",
        "amountUsd": format_decimal(bundle.amount_e6, 6),
        "level": bundle.level.name,
        "venue": context.venue,
        "registry": f"eip155:{context.chain_id}:{context.registry}",
        "expiry": context.expiry,
        "policy": f"{bundle.policy.name}, epoch {bundle.policy.epoch}",
        "keyKind": bundle.key_kind.value,
    }


async def _rules(service: Service, value: object) -> VenueRules:
    """Rules given in a request: policies are those stored here, keys those accepted here."""
    fields = parse_object(value, "rules", _RULES, _MORE_RULES)
    attestors = tuple(parse_address(text) for text in fields.texts("attestors"))
    if not attestors or len(set(attestors)) != len(attestors) or len(attestors) > MOST_LISTED:
        fields.fail(
            "attestors",
            f"does not name 1 to {MOST_LISTED} different ones; a proof nobody attested says nothing",
        )
    known = service.accepted_keys()
    keys = known
    if "verificationKeys" in fields.value:
        wanted = _words(fields, "verificationKeys")
        if unknown := [key for key in wanted if key not in known]:
            fields.fail(
                "verificationKeys", f"names {unknown[0]}, which is not known here; see /v1/verification-keys"
            )
        keys = {key: known[key] for key in wanted}
    names = fields.texts("policies")
    if len(names) > MOST_LISTED:
        fields.fail("policies", f"names more than {MOST_LISTED}; name fewer")

    def policies(records: AllRecords) -> dict[int, PolicyHeader]:
        found = (service.library.find_policy(records, name) for name in names)
        return {int(stored.root, 16): _header(policy) for stored, policy in found}

    return VenueRules(
        venue=parse_address(fields.text("venue")),
        chain_id=fields.number("chainId", 1),
        registry=parse_address(fields.text("registry")),
        amount_e6=parse_usd(fields.text("amountUsd")),
        level=level_of(fields, "level"),
        attestors=attestors,
        threshold=fields.number("threshold", 1, len(attestors)),
        coverages=_words(fields, "coverages"),
        policies=await service.store.read(policies),
        verification_keys=keys,
        max_age_s=fields.number("maxAgeSeconds", 1, MAX_AGE_S),
        chains=tuple(parse_chain_id(text) for text in fields.texts("chains"))
        if "chains" in fields.value
        else (),
        least_trust=_trust(fields) if "leastTrust" in fields.value else Trust.SINGLE_RPC,
        accept_dev_keys=fields.boolean("acceptDevKeys") if "acceptDevKeys" in fields.value else False,
    )


def level_of(fields: JsonObject, name: str) -> Level:
    """A margin level."""
    text = fields.text(name)
    if text not in Level.__members__:
        fields.fail(name, f"is {text!r}; use IM or MM")
    return Level[text]


def _trust(fields: JsonObject) -> Trust:
    text = fields.text("leastTrust")
    if text not in set(Trust):
        fields.fail("leastTrust", f"is {text[:40]!r}; use one of {', '.join(Trust)}")
    return Trust(text)


def _words(fields: JsonObject, name: str) -> tuple[str, ...]:
    words = fields.texts(name)
    if len(words) > MOST_LISTED or any(WORD.fullmatch(word) is None for word in words):
        fields.fail(name, f"is not at most {MOST_LISTED} times 32 bytes as lower-case 0x hex; correct it")
    return words


def _header(policy: Policy) -> PolicyHeader:
    return PolicyHeader(policy.name, policy.publisher, policy.epoch, policy.as_of, policy.expires)


async def list_venues(service: Service, request: web.Request) -> web.Response:
    """The configured venues."""
    names = sorted(service.venues)
    start, limit = cursor_number(request) or 0, page_size(request)
    shown, last = page_of(names[start : start + limit + 1], limit)
    return json_answer(
        {
            "items": [venue_json(name, service.venues[name]) for name in shown],
            "next": None if last is None else str(start + limit),
        }
    )


def venue_json(name: str, rules: VenueRules) -> dict[str, object]:
    """A venue's rules as JSON."""
    return {
        "id": name,
        "venue": rules.venue,
        "registry": f"eip155:{rules.chain_id}:{rules.registry}",
        "amountUsd": format_decimal(rules.amount_e6, 6),
        "level": rules.level.name,
        "attestors": list(rules.attestors),
        "threshold": rules.threshold,
        "coverages": list(rules.coverages),
        "maxAgeSeconds": rules.max_age_s,
        "chains": list(rules.chains),
        "leastTrust": rules.least_trust.value,
        "acceptDevKeys": rules.accept_dev_keys,
        "policies": [
            {"root": f"0x{root:064x}", "name": h.name, "epoch": h.epoch, "expires": h.expires}
            for root, h in rules.policies.items()
        ],
        "verificationKeys": sorted(rules.verification_keys),
    }


async def list_keys(service: Service, request: web.Request) -> web.Response:
    """The verification keys accepted here."""
    known = service.accepted_keys()
    start, limit = cursor_number(request) or 0, page_size(request)
    shown, last = page_of(sorted(known)[start : start + limit + 1], limit)
    items = [
        {
            "id": key,
            "kind": known[key].kind.value,
            "circuit": known[key].circuit,
            "circuitDigest": known[key].circuit_digest,
            "verificationKey": encode_verification_key(known[key].key),
        }
        for key in shown
    ]
    return json_answer({"items": items, "next": None if last is None else str(start + limit)})


async def list_policies(service: Service, request: web.Request) -> web.Response:
    """Stored policies, newest first."""
    before, limit = cursor_number(request), page_size(request)

    def read(records: AllRecords) -> tuple[list[StoredPolicy], set[str]]:
        found = records.policy_page(before=before, limit=limit + 1)
        return found, records.has_inputs([one.id for one in found])

    found, movable = await service.store.read(read)
    shown, last = page_of(found, limit)
    now = service.now()
    items = await service.compute(
        lambda: [_policy_entry(service, one, one.id in movable, now) for one in shown]
    )
    return json_answer({"items": items, "next": None if last is None else str(last.number)})


def _policy_entry(service: Service, stored: StoredPolicy, movable: bool, now: int) -> dict[str, object]:
    policy = service.library.policy(stored)
    return {
        "id": stored.id,
        "name": stored.name,
        "root": stored.root,
        "epoch": policy.epoch,
        "asOf": policy.as_of,
        "expires": policy.expires,
        "expired": policy.expires < now,
        "storedAt": stored.stored_at,
        "canMove": movable,
    }


async def get_policy(service: Service, request: web.Request) -> web.Response:
    """One policy."""
    key = path_text(request, "id", DOCUMENT_ID)

    stored = await service.store.read(lambda records: records.find_policy(key))
    inputs = await read_inputs(service.store, stored.id)
    prices = {} if inputs is None else inputs.prices
    return json_answer(
        {
            "id": stored.id,
            "root": stored.root,
            "policy": policy_json(service.library.policy(stored)),
            "prices": {name: format_decimal(quote.price_e12, 12) for name, quote in prices.items()},
            "canMove": inputs is not None,
        }
    )
