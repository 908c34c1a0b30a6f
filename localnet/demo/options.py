"""The story's options: listed for today, held under portfolio margin, settled during the crash."""

from dataclasses import dataclass, field
from typing import Any, Final

from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message
from rich.table import Table

from chain._pb.margin.accounts.v1 import accounts_pb2
from chain._pb.margin.accounts.v1 import query_pb2 as accounts_query
from chain._pb.margin.accounts.v1 import tx_pb2 as accounts_tx
from chain._pb.margin.desk.v1 import query_pb2 as desk_query
from chain._pb.margin.markets.v1 import markets_pb2
from chain._pb.margin.markets.v1 import query_pb2 as markets_query
from chain._pb.margin.markets.v1 import tx_pb2 as markets_tx
from chain._pb.margin.scenarios.v1 import scenarios_pb2
from chain.modules.accounts.recompute import recompute_explanation
from chain.units import PPM, WAD
from localnet.actors import Actor
from localnet.block_history import BlockHistory
from localnet.clients import Chain, wait_for
from localnet.demo import hub_queries
from localnet.demo.narration import Narrator
from localnet.demo.participants import QUANTUMS, TICK_WAD
from localnet.governance import decide
from localnet.instruments import (
    STRIKES,
    compute_expiry_time_s,
    get_markets,
    make_option_series,
)
from localnet.report import EVENT_KINDS, Check
from localnet.settlement_report import (
    SETTLED_IN_CASH,
    PriceSample,
    compute_average_wad,
    find_window,
    judge_settlement,
)

AHEAD_S: Final = 20
"""The series of today expires at the first whole minute so many block seconds ahead."""
_NS_PER_S: Final = 10**9
_LOOKED_BACK: Final = 30
"""Blocks in which a settlement that was just noticed, and its window, must lie."""


@dataclass(slots=True)
class OptionFindings:
    """What the chapter saw, for the report."""

    expiry_time_s: int = 0
    margins: dict[str, dict[str, Any]] = field(default_factory=dict)
    differences: list[str] = field(default_factory=list)
    recomputed: int = 0
    settlement: Check | None = None


class Options:
    """The trader's options: `put` expires today, `call` is that of the long series, sold."""

    def __init__(self, hub: Chain, trader: Actor, narrator: Narrator) -> None:
        self._hub = hub
        self._trader = trader
        self._say = narrator.say
        self._show = narrator.show
        self._window_start_ns = 0
        self._markets: dict[str, markets_pb2.Market] = {}
        self.put = self.call = ""
        self.found = OptionFindings()

    async def list_series(self) -> None:
        """Let the council list the series that expires during the story."""
        expiry_time_s = compute_expiry_time_s(await self._hub.time_s(), AHEAD_S)
        await decide(self._hub, "ETH options of today", [make_option_series(expiry_time_s)])
        self.found.expiry_time_s = expiry_time_s
        answer = await get_markets(self._hub, markets_pb2.INSTRUMENT_KIND_OPTION)
        self._markets = {market.id: market for market in answer.markets}
        self._window_start_ns = await self._get_window_start_ns()
        strike = str(STRIKES[-1] * WAD)
        for market in answer.markets:
            is_today = market.expiry_time_s == expiry_time_s
            is_put = market.option_kind == markets_pb2.OPTION_KIND_PUT
            if market.strike_wad == strike and is_put is is_today:
                if is_today:
                    self.put = market.id
                else:
                    self.call = market.id
        self._say(f"the council listed options; {self.put} expires in block time")

    async def _get_window_start_ns(self) -> int:
        answer = await self._hub.query(
            "/margin.markets.v1.Query/Settlements",
            markets_query.QuerySettlementsRequest(asset="ETH"),
            markets_query.QuerySettlementsResponse,
        )
        return next(
            row.window_start_time_ns
            for row in answer.settlements
            if row.expiry_time_s == self.found.expiry_time_s
        )

    async def choose_margin(self, mode: accounts_pb2.MarginMode) -> None:
        """Put the account under standard or portfolio margin."""
        message = accounts_tx.MsgSetMarginMode(owner=self._trader.address, margin_mode=mode)
        await self._hub.deliver(self._trader.wallet, [message])
        self._say(f"{self._trader.name}'s account is under {_name_mode(mode)} margin from now on")

    async def trade(self, put_eth: int, call_eth: int, timeout_s: float) -> None:
        """Buy protective puts of today and sell calls of the long series, at the maker's quotes."""
        ask_wad = await wait_for(
            lambda: self._get_quote(self.put, is_ask=True), timeout_s, "an ask"
        )
        bid_wad = await wait_for(
            lambda: self._get_quote(self.call, is_ask=False), timeout_s, "a bid"
        )
        orders: list[Message] = [
            self._make_order(self.put, markets_pb2.SIDE_BUY, put_eth, ask_wad * 3 // 2),
            self._make_order(self.call, markets_pb2.SIDE_SELL, call_eth, bid_wad * 2 // 3),
        ]
        outcome = await self._hub.deliver(self._trader.wallet, orders)
        words = (f"bought {self.put}", f"sold {self.call}")
        for word, response in zip(words, outcome.responses, strict=True):
            assert isinstance(response, markets_tx.MsgPlaceOrderResponse)
            self._say(
                f"{word}: {int(response.filled_quantums) / QUANTUMS:g} ETH at "
                f"{int(response.average_price_wad or 0) / WAD:.2f}"
            )

    async def _get_quote(self, market: str, *, is_ask: bool) -> int | None:
        answer = await get_markets(self._hub, markets_pb2.INSTRUMENT_KIND_OPTION)
        for state in answer.states:
            if state.market == market:
                return int((state.best_ask_wad if is_ask else state.best_bid_wad) or 0) or None
        return None

    def _make_order(
        self, market: str, side: markets_pb2.Side, size_eth: int, price_wad: int
    ) -> markets_tx.MsgPlaceOrder:
        return markets_tx.MsgPlaceOrder(
            owner=self._trader.address,
            market=market,
            side=side,
            size_quantums=str(size_eth * QUANTUMS),
            price_wad=str(price_wad // TICK_WAD * TICK_WAD),
            time_in_force=markets_pb2.TIME_IN_FORCE_IMMEDIATE_OR_CANCEL,
        )

    # The explanation.

    async def explain(self) -> None:
        """Print the margin of the account with its options, and keep it for the report."""
        margin = (await hub_queries.get_margin(self._hub, self._trader.address)).margin
        greeks = await hub_queries.get_greeks(self._hub, self._trader.address)
        differences = self.recompute(margin)
        mode = _name_mode(margin.margin_mode)
        self.found.margins[mode] = describe_margin(margin, greeks)
        self._show(make_margin_table(f"{self._trader.name}'s {mode} margin", margin, greeks))
        self._say(
            f"computed again from what is printed: {'; '.join(differences) or 'no difference'}"
        )

    def recompute(self, margin: accounts_query.MarginExplanation) -> list[str]:
        """Compute an explanation again from its own inputs; differences are kept and returned."""
        differences = recompute_explanation(margin)
        self.found.recomputed += 1
        self.found.differences += differences
        return differences

    # The expiry.

    async def observe(self) -> None:
        """Judge the settlement of today's series once it is over."""
        if self.found.settlement is not None or not self.put:
            return
        if await self._hub.time_s() < self.found.expiry_time_s:
            return
        account = await hub_queries.get_account(self._hub, self._trader.address)
        if any(position.market == self.put for position in account.positions):
            return
        self.found.settlement = await self._judge()
        for row in self.found.settlement.figures["positions"]:
            self._say(
                f"{row['market']} settled at {int(row['settlement_price_wad']) / WAD:.4f}: "
                f"{int(row['size_quantums']) / QUANTUMS:g} ETH pay {row['paid_uusd']} uusd"
            )

    async def _judge(self) -> Check:
        last = await self._hub.height()
        first = max(1, last - _LOOKED_BACK)
        history = await BlockHistory.read(self._hub, first, last, EVENT_KINDS)
        payments = [
            event
            for event in history.find("position_settled", owner=self._trader.address)
            if self._markets[event.values["market"]].expiry_time_s == self.found.expiry_time_s
        ]
        if not payments:
            return Check(SETTLED_IN_CASH, holds=False)
        height = payments[0].height
        owner = self._trader.address
        return judge_settlement(
            self._markets,
            await hub_queries.get_account(self._hub, owner, height=height - 1),
            await hub_queries.get_account(self._hub, owner, height=height),
            payments,
            await self._read_average_wad(history),
        )

    async def _read_average_wad(self, history: BlockHistory) -> int:
        """The settlement price as the published prices of the window give it."""
        end_ns = self.found.expiry_time_s * _NS_PER_S
        start_ns = self._window_start_ns
        samples = []
        for height in find_window(history.times_ns, start_ns, end_ns):
            answer = await hub_queries.get_price(self._hub, height=height)
            is_good = not answer.refusals.liquidate
            price_wad = int(answer.price.price_wad) if is_good else 0
            samples.append(PriceSample(history.times_ns[height], price_wad))
        return compute_average_wad(samples, start_ns, end_ns)

    # The report.

    def list_checks(self) -> list[Check]:
        """What must hold of the options."""
        found = self.found
        return [
            Check(
                "every margin that was printed is what its own inputs give",
                found.recomputed > 0 and not found.differences,
                {"recomputed": found.recomputed, "differences": found.differences},
            ),
            found.settlement or Check(SETTLED_IN_CASH, holds=False),
        ]

    def describe(self) -> dict[str, Any]:
        """The chapter for the report."""
        settlement = self.found.settlement
        return {
            "expiry_time_s": self.found.expiry_time_s,
            "bought": self.put,
            "sold": self.call,
            "margin": self.found.margins,
            "settlement": dict(settlement.figures) if settlement else {},
        }


def describe_margin(
    margin: accounts_query.MarginExplanation, greeks: list[desk_query.UnderlyingGreeks]
) -> dict[str, Any]:
    """An explanation for the report: its totals, the worst scenarios, the Greeks, and it whole."""
    return {
        "equity_uusd": margin.equity_uusd,
        "maintenance_uusd": margin.maintenance_uusd,
        "initial_uusd": margin.initial_uusd,
        "gmr_ppm": margin.gmr_ppm,
        "worst_scenarios": [
            {
                "asset": line.asset,
                "spot_wad": line.scenarios[line.worst].spot_wad,
                "volatility": _name_shock(line.scenarios[line.worst].volatility),
                "profit_wad": line.scenarios[line.worst].profit_wad,
            }
            for line in margin.underlyings
        ],
        "greeks": [MessageToDict(row, preserving_proto_field_name=True) for row in greeks],
        "explanation": MessageToDict(margin, preserving_proto_field_name=True),
    }


def _name_mode(mode: accounts_pb2.MarginMode) -> str:
    name: str = accounts_pb2.MarginMode.Name(mode)
    return name.removeprefix("MARGIN_MODE_").lower()


def _name_shock(shock: scenarios_pb2.VolatilityShock) -> str:
    name: str = scenarios_pb2.VolatilityShock.Name(shock)
    return name.removeprefix("VOLATILITY_SHOCK_").lower()


def make_margin_table(
    title: str,
    margin: accounts_query.MarginExplanation,
    greeks: list[desk_query.UnderlyingGreeks],
) -> Table:
    """E, MMR, IMR and GMR, each position with its mark, the worst scenario and the Greeks."""
    table = Table("figure", "value", title=title, title_justify="left")
    for label, uusd in (
        ("E", margin.equity_uusd),
        ("MMR", margin.maintenance_uusd),
        ("IMR", margin.initial_uusd),
    ):
        table.add_row(label, f"{int(uusd or 0) / 10**6:,.2f} USD")
    table.add_row("GMR", f"{int(margin.gmr_ppm or 0) / PPM:.3f}")
    for line in margin.positions:
        size = int(line.position.size_quantums) / 10**line.quantum_decimals
        table.add_row(line.position.market, f"{size:+g} at {int(line.price_wad) / WAD:.2f}")
    for row in margin.underlyings:
        worst = row.scenarios[row.worst]
        table.add_row(
            f"worst of {len(row.scenarios)} ({row.preset})",
            f"spot x {int(worst.spot_wad) / WAD:.2f}, volatility {_name_shock(worst.volatility)}: "
            f"{int(worst.profit_wad) / WAD:,.2f} USD",
        )
    for each in greeks:
        for greek in ("delta", "gamma", "vega", "theta", "rho"):
            value = int(getattr(each, f"{greek}_wad") or 0) / WAD
            if value:
                table.add_row(f"{greek} ({each.asset})", f"{value:,.4f}")
    return table
