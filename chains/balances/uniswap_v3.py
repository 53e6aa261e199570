"""Kind `uniswap-v3`: the positions that an owner has in a Uniswap v3 position manager.

Each token of the manager is one reading of quantity 1, with the pool, ticks, liquidity and fees owed beside it. How
many there are is the owner's `balanceOf`: an answer that leaves one out contradicts the proven length of the list.
`chains.balances.concentrated.fair_value_e12` values a position at outside prices.

Proven from words of the manager (length and entry of the owner's list, the position, the pool's id) and of the pool
(price, fee growth, both ticks, the manager's share). That the pool is the one of these tokens and this fee follows
from its address.

Source: Uniswap/v3-periphery, `NonfungiblePositionManager`, `PoolAddress`; Uniswap/v3-core, `UniswapV3Pool`;
OpenZeppelin 3.4 `ERC721`, `EnumerableSet`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from eth_utils.crypto import keccak

from aggregator.model.errors import ChainError, StateProofError
from chains.balances.asset import Amount, Asset, side_detail
from chains.balances.concentrated import MAX_TICK, Growth, Share, whole_number
from chains.balances.forms import Form, Stated, Word, contract_of
from chains.multicall import Call, Outcome
from chains.networks import Network, PositionManager
from chains.rpc.abi import encode_call

PROTOCOL: Final = "uniswap-v3"
POOL_CODE_HASH: Final = bytes.fromhex("e34f199b19b2b4f47f68442619d555527d244f78a3297ea89325f843f87b8b54")
"""Hash of the creation code of a pool (v3-periphery `POOL_INIT_CODE_HASH`)."""
MAX_POSITIONS: Final = 256
"""Positions of one owner that are read; more make them missing, not fewer."""
_OWNED, _POOL_IDS, _POSITIONS = 1, 10, 12
"""Slots of the manager's mappings."""
_SLOT0, _GROWTH0, _GROWTH1, _TICKS, _SHARES = 0, 1, 2, 5, 7
"""Slots of a pool."""
_POSITION_TYPES: Final = [
    *("uint96", "address", "address", "address", "uint24", "int24", "int24", "uint128"),
    *("uint256", "uint256", "uint128", "uint128"),
]
_SLOT0_TYPES: Final = ["uint160", "int24", "uint16", "uint16", "uint16", "uint8", "bool"]
_TICK_TYPES: Final = ["uint128", "int128", "uint256", "uint256", "int56", "uint160", "uint32", "bool"]
_SHARE_TYPES: Final = ["uint128", "uint256", "uint256", "uint128", "uint128"]
_POOL_CALLS: Final = 6


class _Key(NamedTuple):
    """The two tokens (lower-case addresses) and the fee (1e-6) that name a pool."""

    token0: str
    token1: str
    fee: int

    def pool(self, factory: bytes) -> bytes:
        """The pool's address: CREATE2 of the factory with the hash of these three."""
        words = bytes.fromhex(self.token0[2:]), bytes.fromhex(self.token1[2:]), self.fee.to_bytes(3, "big")
        salt = keccak(b"".join(word.rjust(32, b"\x00") for word in words))
        return keccak(b"\xff" + factory + salt + POOL_CODE_HASH)[12:]


class _Held(NamedTuple):
    """One position as the manager describes it."""

    key: _Key
    tick_lower: int
    tick_upper: int
    share: Share

    def paid(self, whole: Share, growths: Sequence[Growth], tick: int) -> tuple[int, int]:
        """The fees that collecting pays while the pool is at `tick`.

        `whole` is what the manager has at these ticks for everyone. The pool rounds its fees down at every touch and
        pays no more than it counted, which can be some base units less than the manager counts.
        """
        if not self.share.liquidity:
            owed, most = self.share.stored, whole.stored
        else:
            inside = [growth.inside(tick, self.tick_lower, self.tick_upper) for growth in growths]
            owed, most = self.share.owed(inside), whole.owed(inside)
        return min(owed[0], most[0]), min(owed[1], most[1])


class PositionBook(Asset):
    """Every position of an owner in one manager. Reads in four rounds, one when there is none."""

    def __init__(self, network: Network, manager: PositionManager) -> None:
        self.label = f"positions in {manager.name}"
        self._network = network
        self._manager = manager
        self._address = bytes.fromhex(manager.address[2:])
        self._factory = bytes.fromhex(manager.factory[2:])

    def shared_calls(self) -> tuple[Call, ...]:
        """The factory of the pools."""
        return (Call(self._address, encode_call("factory()")),)

    def holder_calls(self, holder: bytes) -> tuple[Call, ...]:
        """How many positions there are."""
        return (Call(self._address, encode_call("balanceOf(address)", holder)),)

    def further_calls(self, holder: bytes, own: Sequence[Outcome]) -> tuple[Call, ...]:
        """The token ids, then the positions, then the state of their pools at their ticks."""
        count = self._count(own)
        if len(own) == 1:
            question = "tokenOfOwnerByIndex(address,uint256)"
            return tuple(Call(self._address, encode_call(question, holder, n)) for n in range(count))
        if len(own) == 1 + count:
            data = (encode_call("positions(uint256)", number) for number in self._ids(own))
            return tuple(Call(self._address, call) for call in data)
        if len(own) == 1 + 2 * count:
            return tuple(
                call for held in self._held(own) for call in _pool_calls(held, self._address, self._factory)
            )
        return ()

    def amounts(self, shared: Sequence[Outcome], own: Sequence[Outcome]) -> list[Amount]:
        """One amount of 1 per position."""
        (factory,) = shared[0].decode(["address"], f"the factory of {self._manager.name}")
        if int(str(factory), 16) != int(self._manager.factory, 16):
            raise ChainError(
                f"{self._manager.name} names the factory {factory} and the network file {self._manager.factory}; "
                "correct the file"
            )
        count = self._count(own)
        ids, held = self._ids(own), self._held(own)
        if len(set(ids)) != count:
            raise ChainError(f"{self._manager.name} lists a position twice; check the endpoint")
        states = own[1 + 2 * count :]
        return [
            self._amount(n, count, ids[n], held[n], states[n * _POOL_CALLS : (n + 1) * _POOL_CALLS])
            for n in range(count)
        ]

    def _count(self, own: Sequence[Outcome]) -> int:
        count = own[0].unsigned(f"the number of {self.label}")
        if count > MAX_POSITIONS:
            raise ChainError(
                f"there are {count} {self.label}, more than {MAX_POSITIONS}; move some to another address"
            )
        return count

    def _ids(self, own: Sequence[Outcome]) -> list[int]:
        count = self._count(own)
        return [own[1 + n].unsigned(f"the id of position {n} in {self._manager.name}") for n in range(count)]

    def _held(self, own: Sequence[Outcome]) -> list[_Held]:
        count = self._count(own)
        return [_parse_position(outcome, self._manager.name) for outcome in own[1 + count : 1 + 2 * count]]

    def _amount(self, index: int, count: int, number: int, held: _Held, pool: Sequence[Outcome]) -> Amount:
        detail = {
            "manager": self._manager.name,
            "factory": "0x" + self._factory.hex(),
            "pool": "0x" + held.key.pool(self._factory).hex(),
            "index": str(index),
            **side_detail(self._network, (held.key.token0, held.key.token1)),
            **_remarks(count, number, held, *_parse_pool(pool, held, self._manager.name)),
        }
        instrument = self._network.instrument(f"{self._manager.name}-{number}")
        return Amount(instrument, PROTOCOL, "0x" + self._address.hex(), 1, 0, detail, FORM)


def _parse_position(outcome: Outcome, manager: str) -> _Held:
    values = outcome.decode(_POSITION_TYPES, f"a position in {manager}")
    token0, token1 = (str(value).lower() for value in values[2:4])
    fee, lower, upper, liquidity, last0, last1, owed0, owed1 = (int(str(value)) for value in values[4:])
    share = Share(liquidity, (last0, last1), (owed0, owed1))
    return _Held(_Key(token0, token1, fee), lower, upper, share)


def _whole(manager: bytes, tick_lower: int, tick_upper: int) -> bytes:
    """The key in the pool of what the manager has between the ticks."""
    return keccak(
        manager + b"".join(tick.to_bytes(3, "big", signed=True) for tick in (tick_lower, tick_upper))
    )


def _pool_calls(held: _Held, manager: bytes, factory: bytes) -> tuple[Call, ...]:
    pool = held.key.pool(factory)
    names = ("slot0()", "feeGrowthGlobal0X128()", "feeGrowthGlobal1X128()")
    ticks = (encode_call("ticks(int24)", tick) for tick in (held.tick_lower, held.tick_upper))
    whole = encode_call("positions(bytes32)", _whole(manager, held.tick_lower, held.tick_upper))
    return tuple(Call(pool, data) for data in (*(encode_call(name) for name in names), *ticks, whole))


def _parse_pool(outcomes: Sequence[Outcome], held: _Held, manager: str) -> tuple[int, tuple[int, int]]:
    """The root of the price, and the fees that collecting pays."""
    what = f"the pool of a position in {manager}"

    def integers(place: int, types: Sequence[str], start: int, stop: int) -> list[int]:
        return [int(str(value)) for value in outcomes[place].decode(types, what)[start:stop]]

    price, tick = integers(0, _SLOT0_TYPES, 0, 2)
    everywhere = [outcome.unsigned(what) for outcome in outcomes[1:3]]
    lower, upper = (integers(place, _TICK_TYPES, 2, 4) for place in (3, 4))
    liquidity, last0, last1, owed0, owed1 = integers(5, _SHARE_TYPES, 0, 5)
    whole = Share(liquidity, (last0, last1), (owed0, owed1))
    growths = [Growth(*three) for three in zip(everywhere, lower, upper, strict=True)]
    return price, held.paid(whole, growths, tick)


def _remarks(count: int, number: int, held: _Held, price: int, owed: tuple[int, int]) -> dict[str, str]:
    return {
        "positions": str(count),
        "tokenId": str(number),
        "token0": held.key.token0,
        "token1": held.key.token1,
        "fee": str(held.key.fee),
        "tickLower": str(held.tick_lower),
        "tickUpper": str(held.tick_upper),
        "liquidity": str(held.share.liquidity),
        "owed0": str(owed[0]),
        "owed1": str(owed[1]),
        "sqrtPriceX96": str(price),
    }


class _PositionForm:
    """One entry of the owner's list, its position, and its pool."""

    def words(self, stated: Stated) -> tuple[Word, ...]:
        """Seven of the manager: length and entry of the list, the position, the pool's id. Eleven of the pool."""
        manager, pool = contract_of(stated.token), contract_of(stated.detail.get("pool", ""))
        numbers = ("index", "tokenId", "tickLower", "tickUpper")
        index, number, lower, upper = (_number(stated, key) for key in numbers)
        if max(abs(lower), abs(upper)) > MAX_TICK:
            raise StateProofError(
                f"a stated tick is beyond {MAX_TICK}, which no pool has; the reading is malformed"
            )
        owned = _mapped(stated.holder, _OWNED)
        position = _mapped(_word(number), _POSITIONS)
        ticks = [_mapped(_word(tick), _TICKS) for tick in (lower, upper)]
        whole = _mapped(_whole(manager, lower, upper), _SHARES)
        return (
            (manager, owned),
            (manager, _plus(keccak(owned), index)),
            *((manager, _plus(position, n)) for n in range(1, 5)),
            (manager, _mapped(pool, _POOL_IDS)),
            *((pool, _word(slot)) for slot in (_SLOT0, _GROWTH0, _GROWTH1)),
            *((pool, _plus(tick, n)) for tick in ticks for n in (1, 2)),
            *((pool, _plus(whole, n)) for n in range(4)),
        )

    def raw(self, stated: Stated, words: Sequence[int]) -> frozenset[int]:
        """One, when the list is longer than the index; nothing otherwise."""
        return frozenset({int(0 <= _number(stated, "index") < words[0])})

    def remarks(self, stated: Stated, words: Sequence[int]) -> Mapping[str, str]:
        """The position and the fees owed; raises StateProofError when the pool is another one."""
        count, number, packed, last0, last1, stored, pool_id, slot0, *rest = words
        key = _Key(stated.detail.get("token0", ""), stated.detail.get("token1", ""), _number(stated, "fee"))
        factory = contract_of(stated.detail.get("factory", ""))
        contract_of(key.token0), contract_of(key.token1)
        if not 0 <= key.fee < 1 << 24 or "0x" + key.pool(factory).hex() != stated.detail.get("pool"):
            raise StateProofError(
                "the stated pool is not the factory's for these tokens and this fee; it is refused"
            )
        if packed & (1 << 80) - 1 != pool_id or pool_id == 0:
            raise StateProofError("the position is in another pool than the stated one; it is refused")
        everywhere, lower, upper, (liquidity, *whole) = rest[:2], rest[2:4], rest[4:6], rest[6:]
        share = _stored_share(packed >> 128, last0, last1, stored)
        held = _Held(key, _signed(packed >> 80, 24), _signed(packed >> 104, 24), share)
        growths = [Growth(*three) for three in zip(everywhere, lower, upper, strict=True)]
        owed = held.paid(_stored_share(liquidity, *whole), growths, _signed(slot0 >> 160, 24))
        return _remarks(count, number, held, slot0 & (1 << 160) - 1, owed)


FORM: Final = "uniswap-v3"
UNISWAP_V3_FORMS: Final[dict[str, Form]] = {FORM: _PositionForm()}


def _stored_share(liquidity: int, last0: int, last1: int, stored: int) -> Share:
    """From words: both amounts owed lie in one."""
    return Share(liquidity, (last0, last1), (stored & (1 << 128) - 1, stored >> 128))


def _number(stated: Stated, key: str) -> int:
    try:
        return whole_number(stated.detail, key)
    except ChainError as error:
        raise StateProofError(str(error)) from error


def _word(number: int) -> bytes:
    return (number % (1 << 256)).to_bytes(32, "big")


def _mapped(key: bytes, mapping: int) -> bytes:
    return keccak(key.rjust(32, b"\x00") + mapping.to_bytes(32, "big"))


def _plus(slot: bytes, words: int) -> bytes:
    return _word(int.from_bytes(slot, "big") + words)


def _signed(number: int, bits: int) -> int:
    low = number & (1 << bits) - 1
    return low - (low >> bits - 1 << bits)
