"""Coins on the wire: denom and decimal amount, ascending by denom, each denom once."""

import re
from collections.abc import Iterable
from typing import Any, Final

from chain._pb.cosmos.base.v1beta1 import coin_pb2
from chain.runtime.errors import InvalidCoins
from chain.units import InvalidAmount, parse_amount

DENOM_SIZE_MAX: Final = 128
COINS_MAX: Final = 64
"""Most denoms in one list of coins."""
_DENOM: Final = re.compile(r"[a-zA-Z][a-zA-Z0-9/:._-]{2,127}", re.ASCII)


def is_denom(text: str) -> bool:
    """Whether the text may name a denom: 3 to 128 of the SDK's characters, a letter first."""
    return _DENOM.fullmatch(text) is not None


def parse_coins(coins: Iterable[Any], field: str = "amount") -> list[tuple[str, int]]:
    """(denom, amount) pairs; raises InvalidCoins unless positive, valid, ascending and unique."""
    parsed: list[tuple[str, int]] = []
    previous = ""
    for coin in coins:
        denom = coin.denom
        if not _DENOM.fullmatch(denom):
            raise InvalidCoins(f"{field}: denom {denom[:DENOM_SIZE_MAX]!r} is not a valid denom")
        if denom <= previous:
            raise InvalidCoins(
                f"{field}: denoms must ascend, each once; {denom} follows {previous}"
            )
        previous = denom
        try:
            parsed.append((denom, parse_amount(coin.amount, f"{field} of {denom}")))
        except InvalidAmount as error:
            raise InvalidCoins(error.detail) from None
    if len(parsed) > COINS_MAX:
        raise InvalidCoins(f"{field}: {len(parsed)} denoms are above {COINS_MAX}")
    return parsed


def format_coins(coins: Iterable[tuple[str, int]]) -> str:
    """The SDK's text form: "12stake,3uatom"; "" for none."""
    return ",".join(f"{amount}{denom}" for denom, amount in coins)


def build_coin(denom: str, amount: int) -> coin_pb2.Coin:
    """A coin for the wire."""
    return coin_pb2.Coin(denom=denom, amount=str(amount))
