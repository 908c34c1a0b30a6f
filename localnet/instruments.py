"""What the council of a local network lists beside the perpetual: a future, options, spot.

Expiries are block time, so they are chosen when the council decides, not in the genesis.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

from google.protobuf.message import Message

from chain._pb.margin.markets.v1 import markets_pb2, query_pb2
from chain._pb.margin.markets.v1 import tx_pb2 as markets_tx
from chain.modules.council.types import authority_address
from chain.units import WAD
from localnet.clients import Chain
from localnet.genesis import make_eth_market

STRIKES: Final = (180, 200)
"""USD; the crash begins at 193 and passes the lower one within hours."""
TERM_S: Final = 7_200
"""Block seconds to the expiry of what is listed at the start: 60 days of market time."""
SETTLEMENT_WINDOW_S: Final = 3_600
"""Market seconds that a settlement averages: the last five seconds of block time."""
_MINUTE_S: Final = 60
_KINDS: Final = (markets_pb2.OPTION_KIND_CALL, markets_pb2.OPTION_KIND_PUT)


def compute_expiry_time_s(now_s: int, ahead_s: int) -> int:
    """The first whole minute at least so many seconds ahead."""
    return -(-(now_s + ahead_s) // _MINUTE_S) * _MINUTE_S


def make_future(expiry_time_s: int) -> markets_pb2.Market:
    """A dated ETH future."""
    return make_eth_market(
        id=f"ETH-{datetime.fromtimestamp(expiry_time_s, UTC):%Y%m%d%H%M}",
        kind=markets_pb2.INSTRUMENT_KIND_FUTURE,
        expiry_time_s=expiry_time_s,
        settlement_window_s=SETTLEMENT_WINDOW_S,
    )


def make_spot(denom: str) -> markets_pb2.Market:
    """ETH itself against cash: a denomination of the hub's bank whose atomic unit is 1e-18 ETH."""
    return make_eth_market(
        id="ETH-SPOT",
        kind=markets_pb2.INSTRUMENT_KIND_SPOT,
        denom=denom,
        quantum_decimals=18,
        step_quantums=str(WAD // 10_000),
    )


def make_option_series(
    expiry_time_s: int, strikes: Sequence[int] = STRIKES
) -> markets_tx.MsgListOptionSeries:
    """ETH calls and puts of one expiry; strikes are whole USD, ascending."""
    return markets_tx.MsgListOptionSeries(
        authority=authority_address(),
        template=make_eth_market(
            kind=markets_pb2.INSTRUMENT_KIND_OPTION,
            expiry_time_s=expiry_time_s,
            settlement_window_s=SETTLEMENT_WINDOW_S,
        ),
        strikes_wad=[str(strike * WAD) for strike in strikes],
        kinds=_KINDS,
    )


def make_listings(expiry_time_s: int) -> list[Message]:
    """What the council decides for an expiry: the future, and calls and puts at every strike."""
    future = markets_tx.MsgListMarket(
        authority=authority_address(), market=make_future(expiry_time_s)
    )
    return [future, make_option_series(expiry_time_s)]


async def get_markets(
    hub: Chain, kind: markets_pb2.InstrumentKind = markets_pb2.INSTRUMENT_KIND_UNSPECIFIED
) -> query_pb2.QueryMarketsResponse:
    """The ETH markets of a kind, or of all, with their states and marks."""
    return await hub.query(
        "/margin.markets.v1.Query/Markets",
        query_pb2.QueryMarketsRequest(asset="ETH", kind=kind),
        query_pb2.QueryMarketsResponse,
    )
