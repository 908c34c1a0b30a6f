"""The story itself: seven steps on a running network, each made of real transactions.

Whatever a step claims is read back from the chains; the report's checks decide whether it was so.
"""

import asyncio
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from typing import Any, Final

from chain._pb.margin.accounts.v1 import accounts_pb2
from chain._pb.margin.accounts.v1 import query_pb2 as accounts_query
from chain._pb.margin.accounts.v1 import tx_pb2 as accounts_tx
from chain._pb.margin.collateral.v1 import tx_pb2 as collateral_tx
from chain._pb.margin.insurance.v1 import insurance_pb2
from chain._pb.margin.insurance.v1 import query_pb2 as insurance_query
from chain._pb.margin.liquidation.v1 import liquidation_pb2
from chain._pb.margin.markets.v1 import markets_pb2
from chain._pb.margin.markets.v1 import query_pb2 as markets_query
from chain._pb.margin.markets.v1 import tx_pb2 as markets_tx
from chain._pb.margin.vault.v1 import tx_pb2 as vault_tx
from chain.client.errors import TxRefused
from chain.modules.accounts.errors import InsufficientMargin
from chain.modules.vault.types import MODULE_ADDRESS as VAULT_ADDRESS
from localnet.actors import ACTORS, Actor
from localnet.clients import Chain, wait_for
from localnet.demo import hub_queries
from localnet.demo.narration import Narrator
from localnet.demo.options import Options
from localnet.demo.participants import QUANTUMS, Keeper, MarketMaker, OptionMaker
from localnet.deployment import Localnet
from localnet.feeds.control import BAR_MS, FeedControl
from localnet.genesis import MARKET
from localnet.governance import LISTINGS, get_route_id
from localnet.identities import CollateralReading, read_collateral, read_supplies
from localnet.report import (
    Check,
    check_app_hashes,
    check_supplies,
    describe_credits,
    describe_deliveries,
    describe_route,
    describe_states,
    read_histories,
)

ETH: Final = 10**18
USD: Final = 10**6
WAD: Final = 10**18
BARS: Final = 48
TRADER_LOCKS: Final = {"alpha-1": 65 * ETH, "beta-1": 10_000 * USD}
HEALTHY_LOCK: Final = 3_000 * USD
MAKER_CASH: Final = 2_000_000 * USD
REFUSED_WITHDRAWAL: Final = 8_000 * USD
EXPECTED_STATES: Final = ("margin_call", "reduce_only", "liquidate")
_LIMIT_SHARE: Final = 4
_OVERSIZED: Final = 20
_POLL_S: Final = 0.4
INSUFFICIENT_MARGIN: Final = (InsufficientMargin.codespace, InsufficientMargin.code)


@dataclass(frozen=True, slots=True)
class StorySettings:
    """What may differ from the demo: a test plays faster. Times are seconds, a bar milliseconds.

    While the hub stands still the price falls on, and its next block may pass a state over.
    """

    bar_ms: int = BAR_MS
    position_eth: int = 460
    put_eth: int = 50
    call_eth: int = 40
    expiry_lead_s: float = 25.0
    credit_timeout_s: float = 90.0
    settle_timeout_s: float = 240.0
    expected_states: Sequence[str] = EXPECTED_STATES


@dataclass(slots=True)
class Refusal:
    """A withdrawal that the hub refused, and the vault before and after."""

    state: str
    codespace: str
    code: int
    text: str
    height: int
    vault_before: int
    vault_after: int

    @property
    def rule(self) -> tuple[str, int]:
        """Codespace and code."""
        return self.codespace, self.code


@dataclass(slots=True)
class Findings:
    """What the story saw on its way, for the report."""

    first_heights: dict[str, int] = field(default_factory=dict)
    supplies_before: dict[str, dict[str, int]] = field(default_factory=dict)
    refusals: list[Refusal] = field(default_factory=list)
    readings: list[CollateralReading] = field(default_factory=list)
    oversized: str = ""
    healthy: dict[str, int] = field(default_factory=dict)
    keeper_before: dict[str, int] = field(default_factory=dict)
    crash_started_ns: int = 0


class Story:
    """One play on a network that is up; `play` returns the report."""

    def __init__(
        self,
        localnet: Localnet,
        chains: Mapping[str, Chain],
        narrator: Narrator,
        settings: StorySettings | None = None,
    ) -> None:
        self.localnet = localnet
        self.chains = chains
        self.narrator = narrator
        self.settings = settings or StorySettings()
        kinds = {chain.chain_id: chain.kind for chain in localnet.network.topology.chains}
        self.hub = next(chains[chain_id] for chain_id, kind in kinds.items() if kind == "hub")
        self.spokes = {c: chain for c, chain in chains.items() if kinds[c] == "spoke"}
        self.trader, self.healthy = ACTORS["alice"], ACTORS["carol"]
        self.found = Findings()
        self.maker = MarketMaker(self.hub)
        self.option_maker = OptionMaker(self.hub)
        self.options = Options(self.hub, self.trader, narrator)
        self.keeper = Keeper(self.hub, narrator.say)

    async def play(self) -> dict[str, Any]:
        """All seven steps; the report, whose key `holds` says whether every check does."""
        await self._introduce()
        await self._lock()
        async with asyncio.TaskGroup() as background:
            tasks = [
                background.create_task(self.maker.run()),
                background.create_task(self.option_maker.run()),
                background.create_task(self.keeper.run()),
            ]
            await self._open_position()
            await self._start_crash()
            await self._live_through_crash()
            await self._settle()
            for task in tasks:
                task.cancel()
        await self._withdraw_healthy()
        return await self._report()

    # 1

    async def _introduce(self) -> None:
        say = self.narrator.say
        self.narrator.step(1, "Three chains, one relayer")
        for chain in self.localnet.network.topology.chains:
            self.found.first_heights[chain.chain_id] = await self.chains[chain.chain_id].height()
            height = self.found.first_heights[chain.chain_id]
            say(f"{chain.chain_id}: {len(chain.nodes)} validators, height {height}")
        for view in await hub_queries.get_routes(self.hub):
            route = view.route
            say(
                f"route {route.route_id}: {route.channel_id} over {route.connection_id}, light "
                f"client {route.client_id} of {route.chain_id} is {view.client_status.lower()}"
            )
        self.found.supplies_before = await read_supplies(self.chains)
        for chain_id, spoke in self.spokes.items():
            denom = LISTINGS[chain_id][1]
            keeper = ACTORS["keeper"].address
            self.found.keeper_before[denom] = await spoke.balance(keeper, denom)
        denom = LISTINGS["beta-1"][1]
        before = await self.spokes["beta-1"].balance(self.healthy.address, denom)
        self.found.healthy = {"before": before}

    # 2

    async def _lock(self) -> None:
        self.narrator.step(2, "Collateral is locked where it is; the hub credits liens")
        await asyncio.gather(
            *(
                self._lock_one(self.trader, chain_id, amount)
                for chain_id, amount in TRADER_LOCKS.items()
            ),
            self._lock_one(self.healthy, "beta-1", HEALTHY_LOCK),
        )
        margin = (await hub_queries.get_margin(self.hub, self.trader.address)).margin
        for lien in margin.liens:
            self.narrator.say(
                f"lien {lien.lien.amount} {lien.lien.denom}: {_usd(lien.value_uusd)}, haircut "
                f"{int(lien.haircut_ppm) / 10_000:.2f} % (latency "
                f"{int(lien.latency_ppm) / 10_000:.2f} %), counts {_usd(lien.counted_uusd)}"
            )
        self.narrator.say(f"one account, equity {_usd(margin.equity_uusd)}")
        await self._read_identities()

    async def _lock_one(self, actor: Actor, chain_id: str, amount: int) -> None:
        denom = LISTINGS[chain_id][1]
        message = vault_tx.MsgLockCollateral(
            depositor=actor.address, owner=actor.address, denom=denom, amount=str(amount)
        )
        outcome = await self.chains[chain_id].deliver(actor.wallet, [message])
        self.narrator.say(
            f"{actor.name} locked {amount} {denom} on {chain_id} at height {outcome.height}"
        )

        async def is_credited() -> bool:
            liens = await hub_queries.get_liens(self.hub, actor.address)
            return liens.get(denom, 0) == amount

        await wait_for(is_credited, self.settings.credit_timeout_s, f"credit for {actor.name}")
        self.narrator.say(f"{actor.name}'s {denom} is proven and credited on {self.hub.chain_id}")

    # 3

    async def _open_position(self) -> None:
        self.narrator.step(3, "A position with options under portfolio margin, then leverage")
        await asyncio.gather(*(self._fund(ACTORS[name]) for name in ("bob", "dave")))
        await self.options.list_series()
        await self.options.choose_margin(accounts_pb2.MARGIN_MODE_PORTFOLIO)

        async def get_ask() -> int | None:
            answer = await self.hub.query(
                "/margin.markets.v1.Query/OrderBook",
                markets_query.QueryOrderBookRequest(market=MARKET, depth=1),
                markets_query.QueryOrderBookResponse,
            )
            return int(answer.asks[0].price_wad) if answer.asks else None

        ask_wad = await wait_for(get_ask, self.settings.credit_timeout_s, "the maker's quote")
        self.narrator.say(f"the maker asks {ask_wad / WAD:.2f}")
        size = self.settings.position_eth * QUANTUMS
        first = size // _LIMIT_SHARE
        await self._buy(first, ask_wad * 101 // 100)
        await self.options.trade(
            self.settings.put_eth, self.settings.call_eth, self.settings.credit_timeout_s
        )
        await self._try_oversized(size * _OVERSIZED, ask_wad * 95 // 100)
        await self.options.explain()
        await self.options.choose_margin(accounts_pb2.MARGIN_MODE_STANDARD)
        await self._buy(size - first, None)
        stop = self._make_order(
            markets_pb2.SIDE_SELL, QUANTUMS, ask_wad * 11 // 10, reduce_only=True
        )
        await self.hub.deliver(self.trader.wallet, [stop])
        held = await hub_queries.get_position_quantums(self.hub, self.trader.address)
        answer = await hub_queries.get_margin(self.hub, self.trader.address)
        self.narrator.say(
            f"{self.trader.name} is long {held / QUANTUMS:g} ETH; a reduce-only order rests; ratio "
            f"{_ratio(answer.margin)}"
        )
        await self.options.explain()

    async def _fund(self, maker: Actor) -> None:
        deposit = accounts_tx.MsgDepositCash(
            sender=maker.address, owner=maker.address, amount_uusd=str(MAKER_CASH)
        )
        await self.hub.deliver(maker.wallet, [deposit])

    async def _try_oversized(self, size: int, price_wad: int) -> None:
        """An order that would breach initial margin is refused before anything fills."""
        order = self._make_order(markets_pb2.SIDE_BUY, size, price_wad)
        try:
            await self.hub.deliver(self.trader.wallet, [order])
        except TxRefused as error:
            self.found.oversized = _plain(error)
            self.narrator.say(f"an order of {size // QUANTUMS} ETH is refused: {_plain(error)}")

    async def _buy(self, size: int, price_wad: int | None) -> None:
        order = self._make_order(markets_pb2.SIDE_BUY, size, price_wad)
        outcome = await self.hub.deliver(self.trader.wallet, [order])
        response = outcome.responses[0]
        assert isinstance(response, markets_tx.MsgPlaceOrderResponse)
        kind = "market" if price_wad is None else "limit"
        self.narrator.say(
            f"{kind} order: {int(response.filled_quantums) / QUANTUMS:g} ETH filled at "
            f"{int(response.average_price_wad or 0) / WAD:.2f}, fee {_usd(response.fee_uusd)}"
        )

    def _make_order(
        self,
        side: markets_pb2.Side,
        size: int,
        price_wad: int | None,
        *,
        reduce_only: bool = False,
    ) -> markets_tx.MsgPlaceOrder:
        tick = WAD // 100
        return markets_tx.MsgPlaceOrder(
            owner=self.trader.address,
            market=MARKET,
            side=side,
            size_quantums=str(size),
            price_wad="" if price_wad is None else str(price_wad // tick * tick),
            time_in_force=(
                markets_pb2.TIME_IN_FORCE_IMMEDIATE_OR_CANCEL
                if price_wad is None
                else markets_pb2.TIME_IN_FORCE_GOOD_TILL_CANCEL
            ),
            reduce_only=reduce_only,
        )

    # 4

    async def _start_crash(self) -> None:
        self.narrator.step(4, "12 March 2020: the hourly closes of two venues")
        lead_s = self.options.found.expiry_time_s - time.time() - self.settings.expiry_lead_s
        await asyncio.sleep(max(0.0, lead_s))  # So that today's options settle in the crash.
        self.found.crash_started_ns = time.time_ns()
        self.localnet.control_feed(
            FeedControl(
                script="black-thursday",
                started_at_ns=self.found.crash_started_ns,
                bar_ms=self.settings.bar_ms,
            )
        )
        seconds = self.settings.bar_ms / 1_000
        self.narrator.say(f"an hour lasts {seconds:g} s; every validator reads its own feed")

    # 5

    async def _live_through_crash(self) -> None:
        """Follow the account down to its liquidation, trying to withdraw while it is too low."""
        self.narrator.step(5, "The ratio falls: margin call, reduce, liquidation")
        deadline = time.monotonic() + BARS * self.settings.bar_ms / 1_000
        deadline += self.settings.settle_timeout_s
        last_state, last_price = 0, 0
        while time.monotonic() < deadline:
            answer = await hub_queries.get_margin(self.hub, self.trader.address)
            self.options.recompute(answer.margin)
            await self.options.observe()
            price = int((await hub_queries.get_price(self.hub)).price.price_wad)
            if answer.recorded_state != last_state or abs(price - last_price) * 40 > price:
                last_state, last_price = answer.recorded_state, price
                self.narrator.say(
                    f"ETH {price / WAD:7.2f}  equity {_usd(answer.margin.equity_uusd)}  ratio "
                    f"{_ratio(answer.margin)}  {hub_queries.get_state_name(last_state)}"
                )
            account = await hub_queries.get_account(self.hub, self.trader.address)
            if account.status == accounts_pb2.ACCOUNT_STATUS_LOCKED:
                self.narrator.warn("the account is locked: liquidation")
                await self._try_withdrawal(hub_queries.get_state_name(answer.recorded_state))
                return
            if answer.recorded_state >= accounts_pb2.MARGIN_STATE_MARGIN_CALL:
                state = hub_queries.get_state_name(answer.recorded_state)
                if not self._is_refused_by_rule(state):
                    await self._try_withdrawal(state)
            await asyncio.sleep(_POLL_S)
        raise TimeoutError(
            f"the crash did not liquidate the account; the maker's last refusal: "
            f"{self.maker.last_refusal or 'none'}"
        )

    def _is_refused_by_rule(self, state: str) -> bool:
        """Whether the margin rule has refused a withdrawal in this state before."""
        known = self.found.refusals
        return any(r.state == state and r.rule == INSUFFICIENT_MARGIN for r in known)

    async def _try_withdrawal(self, state: str) -> None:
        """Ask beta's collateral back; the vault must not change by one unit."""
        beta = self.spokes["beta-1"]
        denom = LISTINGS["beta-1"][1]
        before = await beta.balance(VAULT_ADDRESS, denom)
        message = collateral_tx.MsgWithdrawCollateral(
            owner=self.trader.address,
            route_id=get_route_id("beta-1"),
            denom=denom,
            amount=str(REFUSED_WITHDRAWAL),
            receiver=self.trader.address,
        )
        try:
            outcome = await self.hub.deliver(self.trader.wallet, [message])
        except TxRefused as error:
            after = await beta.balance(VAULT_ADDRESS, denom)
            refusal = Refusal(
                state=state,
                codespace=str(error.fields["tx_codespace"]),
                code=_number(error, "tx_code"),
                text=_plain(error),
                height=_number(error, "height"),
                vault_before=before,
                vault_after=after,
            )
            if not any(known.rule == refusal.rule for known in self.found.refusals):
                self.narrator.warn(f"withdrawal refused: {refusal.text}")
            self.found.refusals.append(refusal)
            return
        raise RuntimeError(f"a withdrawal in state {state} passed at height {outcome.height}")

    # 6

    async def _settle(self) -> None:
        """Until the liquidation is over and nothing is in flight."""
        self.narrator.step(6, "Positions closed, collateral auctioned and delivered")
        told: set[tuple[str, ...]] = set()
        timeout_s = self.settings.settle_timeout_s
        deadline = time.monotonic() + timeout_s
        while True:
            rows = await hub_queries.get_history(self.hub, self.trader.address)
            for row in rows:
                tier = liquidation_pb2.Tier.Name(row.tier).removeprefix("TIER_").lower()
                if (words := (tier, *_get_words(row.reason))) not in told:
                    told.add(words)
                    self.narrator.say(f"height {row.height}  {tier}: {row.reason}")
            is_over = not await hub_queries.has_case(self.hub, self.trader.address)
            if is_over and not await hub_queries.get_flights(self.hub):
                break
            if time.monotonic() > deadline:
                raise TimeoutError(
                    f"the liquidation did not end in {timeout_s:g} s; the keeper's last refusal: "
                    f"{self.keeper.last_refusal or 'none'}"
                )
            await asyncio.sleep(_POLL_S)
        await self._read_identities()

    async def _read_identities(self) -> None:
        for spoke in self.spokes.values():

            async def get_reading(spoke: Chain = spoke) -> CollateralReading | None:
                reading = await read_collateral(self.hub, spoke)
                return reading if reading.holds else None

            reading: CollateralReading | None = None
            with suppress(TimeoutError):
                reading = await wait_for(get_reading, 30, "the identity of liens and locks")
            reading = reading or await read_collateral(self.hub, spoke)
            self.found.readings.append(reading)
            figures = reading.identity
            self.narrator.say(
                f"{spoke.chain_id}: {figures.locked} locked = {figures.liens} liens + "
                f"{figures.inbound} inbound + {figures.outbound} outbound {reading.denom}"
                f"{'' if reading.holds else '  DOES NOT HOLD'}"
            )

    # 7

    async def _withdraw_healthy(self) -> None:
        self.narrator.step(7, "A healthy account takes back what it locked; the report")
        beta = self.spokes["beta-1"]
        denom = LISTINGS["beta-1"][1]
        locked = await beta.balance(self.healthy.address, denom)
        message = collateral_tx.MsgWithdrawCollateral(
            owner=self.healthy.address,
            route_id=get_route_id("beta-1"),
            denom=denom,
            amount=str(HEALTHY_LOCK),
            receiver=self.healthy.address,
        )
        await self.hub.deliver(self.healthy.wallet, [message])

        async def is_back() -> bool:
            return await beta.balance(self.healthy.address, denom) != locked

        await wait_for(is_back, self.settings.credit_timeout_s, "the healthy account's collateral")

        async def is_settled() -> bool:
            return not await hub_queries.get_flights(self.hub)

        await wait_for(is_settled, self.settings.settle_timeout_s, "the release's acknowledgement")
        after = await beta.balance(self.healthy.address, denom)
        self.found.healthy |= {"locked": HEALTHY_LOCK, "received": after - locked, "after": after}
        self.narrator.say(
            f"{self.healthy.name} locked {HEALTHY_LOCK} {denom}, got {after - locked}"
        )
        await self._read_identities()

    async def _report(self) -> dict[str, Any]:
        say = self.narrator.say
        supplies_after = await read_supplies(self.chains)
        histories = await read_histories(self.chains, self.found.first_heights)
        hub = histories[self.hub.chain_id]
        spokes = [histories[chain_id] for chain_id in self.spokes]
        states = describe_states(hub, self.trader.address)
        routes = [describe_route(view) for view in await hub_queries.get_routes(self.hub)]
        credited = describe_credits(hub, spokes)
        deliveries = describe_deliveries(hub, spokes, self.trader.address)
        checks = [
            check_supplies(self.found.supplies_before, supplies_after),
            self._check_collateral(),
            self._check_refusals(),
            self._check_healthy(),
            self._check_states([state["to"] for state in states]),
            await self._check_keeper(),
            self._check_settlement(hub, spokes),
            await self._check_ledger(),
            Check("an order beyond initial margin is refused", bool(self.found.oversized)),
            *self.options.list_checks(),
            await asyncio.to_thread(check_app_hashes, self.localnet.network),
        ]
        for check in checks:
            say(f"{'[green]holds[/]' if check.holds else '[bold red]FAILS[/]'}  {check.name}")
        for route in routes:
            say(
                f"route {route['route']}: proof age {route['proof_age_ms']} ms, delivery p50 "
                f"{route['delivery_p50_ms']} ms, p95 {route['delivery_p95_ms']} ms"
            )
        for span in (*credited, *deliveries):
            say(
                f"{span['from']['event']} → {span['to']['event']} ({span['amount']}): "
                f"{span['seconds']:.1f} s, {span['blocks']} blocks"
            )
        return {
            "holds": all(check.holds for check in checks),
            "checks": [asdict(check) for check in checks],
            "supplies": _describe_supplies(self.found.supplies_before, supplies_after),
            "collateral": [reading.describe() for reading in self.found.readings],
            "states": states,
            "options": self.options.describe(),
            "liquidation": await self._describe_liquidation(),
            "insurance": await self._describe_insurance(),
            "refused_withdrawals": [asdict(refusal) for refusal in self.found.refusals],
            "routes": routes,
            "lock_to_credit": credited,
            "liquidation_to_delivery": deliveries,
            "duration_s": round(self.narrator.elapsed_s, 1),
            "narration": self.narrator.lines,
        }

    def _check_collateral(self) -> Check:
        last = {reading.denom: reading for reading in self.found.readings}
        return Check(
            "collateral locked on each chain = liens on the hub ± in flight",
            all(reading.holds for reading in self.found.readings),
            {denom: reading.describe() for denom, reading in last.items()},
        )

    def _check_refusals(self) -> Check:
        refusals = self.found.refusals
        by_rule = [r for r in refusals if r.rule == INSUFFICIENT_MARGIN]
        return Check(
            "a withdrawal at too low a ratio is refused by rule; the vault keeps every unit",
            bool(by_rule) and all(r.vault_before == r.vault_after for r in refusals),
            {"refused": len(refusals), "by_margin_rule": len(by_rule)},
        )

    def _check_healthy(self) -> Check:
        healthy = self.found.healthy
        is_exact = (
            healthy["received"] == healthy["locked"] and healthy["after"] == healthy["before"]
        )
        figures = {name: str(value) for name, value in healthy.items()}
        return Check("the healthy account received exactly what it locked", is_exact, figures)

    def _check_states(self, seen: list[str]) -> Check:
        return Check(
            f"the account went through {', '.join(self.settings.expected_states)}",
            all(state in seen for state in self.settings.expected_states),
            {"states": seen},
        )

    async def _check_keeper(self) -> Check:
        """What the keeper holds on the collateral chains is what the vaults' orders gave it."""
        figures: dict[str, Any] = {}
        is_equal = True
        bought: dict[str, int] = {}
        for view in await hub_queries.get_all_auctions(self.hub):
            for seizure in view.seizures:
                if seizure.status == liquidation_pb2.SEIZURE_STATUS_SEIZED:
                    denom = view.auction.denom
                    bought[denom] = bought.get(denom, 0) + int(seizure.amount)
        for chain_id, spoke in self.spokes.items():
            denom = LISTINGS[chain_id][1]
            now = await spoke.balance(ACTORS["keeper"].address, denom)
            received = now - self.found.keeper_before[denom]
            is_equal &= received == bought.get(denom, 0)
            figures[denom] = {"bought": str(bought.get(denom, 0)), "received": str(received)}
        is_equal &= bought.get(LISTINGS["alpha-1"][1], 0) > 0
        return Check(
            "the keeper received on each chain what it bought on the hub", is_equal, figures
        )

    @staticmethod
    def _check_settlement(hub: Any, spokes: list[Any]) -> Check:
        """Every debt was settled after the vault had delivered, none before."""
        rows = []
        for spoke in spokes:
            for seized in spoke.find("collateral_seized"):
                order_id = seized.values["order_id"]
                settled = hub.find("seizure_settled", seize_id=order_id)
                rows.append(
                    {
                        "order": order_id,
                        "delivered": {"chain": spoke.chain_id, "height": seized.height},
                        "settled_height": settled[0].height if settled else None,
                        "in_order": bool(settled) and settled[0].time_ns > seized.time_ns,
                    }
                )
        settled_count = len(hub.find("seizure_settled"))
        is_ordered = bool(rows) and all(row["in_order"] for row in rows)
        return Check(
            "debts were settled on the acknowledgement of the delivery, each once",
            is_ordered and settled_count == len(rows),
            {"seizures": rows},
        )

    async def _check_ledger(self) -> Check:
        answer = await self.hub.query(
            "/margin.accounts.v1.Query/Ledger",
            accounts_query.QueryLedgerRequest(),
            accounts_query.QueryLedgerResponse,
        )
        expected = (
            int(answer.cash_total_uusd)
            - int(answer.cost_total_uusd)
            + int(answer.funding_total_uusd)
            + int(answer.accrued_fees_uusd)
        )
        return Check(
            "the margin accounts' coins are what the accounts say",
            int(answer.bank_balance_uusd) == expected,
            {"bank": answer.bank_balance_uusd, "accounts": str(expected)},
        )

    async def _describe_liquidation(self) -> dict[str, Any]:
        rows = await hub_queries.get_history(self.hub, self.trader.address)
        auctions = await hub_queries.get_all_auctions(self.hub)
        return {
            "history": [
                {
                    "height": row.height,
                    "tier": liquidation_pb2.Tier.Name(row.tier).removeprefix("TIER_").lower(),
                    "reason": row.reason,
                    "equity_uusd": row.equity_uusd,
                    "requirement_uusd": row.requirement_uusd,
                    "amount": row.amount,
                }
                for row in rows
            ],
            "auctions": [
                {
                    "auction_id": view.auction.auction_id,
                    "route": view.auction.route_id,
                    "denom": view.auction.denom,
                    "opened_height": view.auction.opened_height,
                    "resets": view.auction.resets,
                    "seizures": [
                        {
                            "order": seizure.seize_id,
                            "amount": seizure.amount,
                            "paid_uusd": seizure.owed_uusd,
                            "attempts": seizure.attempts,
                            "opened_height": seizure.opened_height,
                            "settled_height": seizure.settled_height,
                        }
                        for seizure in view.seizures
                    ],
                }
                for view in auctions
            ],
            "bids": self.keeper.bids,
        }

    async def _describe_insurance(self) -> list[dict[str, str]]:
        answer = await self.hub.query(
            "/margin.insurance.v1.Query/Ledger",
            insurance_query.QueryLedgerRequest(limit=hub_queries.PAGE_ROWS),
            insurance_query.QueryLedgerResponse,
        )
        return [
            {
                "height": str(entry.height),
                "kind": insurance_pb2.EntryKind.Name(entry.kind)
                .removeprefix("ENTRY_KIND_")
                .lower(),
                "amount_uusd": entry.amount_uusd,
                "balance_uusd": entry.balance_uusd,
            }
            for entry in answer.entries
        ]


def _describe_supplies(
    before: Mapping[str, Mapping[str, int]], after: Mapping[str, Mapping[str, int]]
) -> dict[str, Any]:
    return {
        denom: {
            "before": {chain: str(amount) for chain, amount in before.get(denom, {}).items()},
            "after": {chain: str(amount) for chain, amount in after.get(denom, {}).items()},
        }
        for denom in sorted({*before, *after})
    }


def _get_words(text: str) -> list[str]:
    """What a reason says, figures apart: the same is told once, the report has every row."""
    return [word for word in text.split() if not word.isdecimal()]


def _usd(uusd: str) -> str:
    return f"{int(uusd or 0) / USD:,.2f} USD"


def _ratio(margin: accounts_query.MarginExplanation) -> str:
    return f"{int(margin.gmr_ppm) / 1_000_000:.3f}" if margin.gmr_ppm else "-"


def _plain(error: TxRefused) -> str:
    return str(error.fields["raw_log"])


def _number(error: TxRefused, name: str) -> int:
    return int(str(error.fields[name]))
