"""What is measured of a route, and the haircut factors that follow from it (systems rows 2, 3, 5).

Nothing here is configured that could be measured: proof age comes from the newest verified header,
relay time from packets that carry their sender's block time and from the hub's own heartbeats.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from chain._pb.ibc.core.channel.v1 import channel_pb2
from chain._pb.margin.collateral.v1 import collateral_pb2 as pb
from chain.ibc.apps.transfer import state as transfer
from chain.ibc.apps.transfer.denoms import parse_hash
from chain.ibc.channel import state as channels
from chain.ibc.client import state as clients
from chain.ibc.height import Height
from chain.modules.accounts import state as accounts
from chain.modules.accounts.types import Account, LienKey
from chain.modules.collateral import state
from chain.modules.collateral.prices import get_asset_price, get_exchange_rate_wad
from chain.modules.collateral.ramps import (
    AssetTerms,
    get_asset_ramps,
    get_maintenance_params,
    get_ramp_duration_ns,
    get_recognition,
    needs_route_value,
)
from chain.modules.collateral.types import get_route_protocol
from chain.modules.oracle import state as oracle
from chain.risk.haircut import (
    HaircutFactors,
    compute_asset_value_uusd,
    compute_latency_premium_ppm,
    compute_path_security_ppm,
    compute_size_weight_ppm,
)
from chain.risk.latency import (
    compute_counts_after,
    compute_delta_t_ms,
    compute_market_seconds,
    compute_percentile_ms,
    compute_proof_age_ms,
    compute_relay_ms,
)
from chain.risk.ramp import compute_reading
from chain.runtime.context import Context
from chain.units import NANOSECONDS, PPM, Address, ceil_div, clamp, floor_div, mul_ppm_floor

if TYPE_CHECKING:
    from chain.modules.accounts.reads import AccountRules, MarketReads
    from chain.modules.accounts.types import UnderlyingTerms, UnitTerms

_DAY_NS: Final = 86_400 * NANOSECONDS
_MS_NS: Final = 1_000_000
RELAYERS_WANTED: Final = 2
VALIDATORS_WANTED: Final = 4
"""Fewer validators than this for a third of the power is a concentration that costs."""


@dataclass(frozen=True, slots=True)
class RouteMeasure:
    """A route as it stands now. Times are block time, but for delta_t_market_s."""

    status: pb.RouteStatus
    client_status: str
    proof_age_ms: int
    relay_p50_ms: int
    relay_p95_ms: int
    samples: int
    heartbeat_age_ms: int
    auction_duration_ms: int
    delta_t_ms: int
    delta_t_market_s: int
    security_ppm: int
    security_initial_ppm: int
    staleness_ppm: int
    unrecognized_ppm: int
    unrecognized_initial_ppm: int
    relayers: int


def record_delivery(ctx: Context, route: pb.Route, delay_ns: int, relayer: str) -> None:
    """Count one delivery of a route: its relayer, and its delay if it is the block's first sample.

    One sample a route a block, so that no traffic can fill the histogram.
    """
    if relayer:
        state.set_relayer_seen(ctx, route.route_id, relayer, ctx.time_ns)
    record_sample(ctx, route, delay_ns)


def record_sample(ctx: Context, route: pb.Route, delay_ns: int) -> None:
    """Add a delay to the route's histogram, unless this block has added one already."""
    measurements = state.get_measurements(ctx, route.route_id)
    if _add_sample(ctx, measurements.histogram, delay_ns):
        state.set_measurements(ctx, measurements)


def record_auction(ctx: Context, route_id: str, duration_ns: int) -> None:
    """Add the time a lot of the route was on sale, unless this block has added one already."""
    measurements = state.get_measurements(ctx, route_id)
    if _add_sample(ctx, measurements.auctions, duration_ns):
        state.set_measurements(ctx, measurements)


def _add_sample(ctx: Context, histogram: pb.LatencyHistogram, delay_ns: int) -> bool:
    if histogram.last_sample_height == ctx.height:
        return False
    counts = compute_counts_after(histogram.counts, ceil_div(max(0, delay_ns), _MS_NS))
    del histogram.counts[:]
    histogram.counts.extend(counts)
    histogram.last_sample_height = ctx.height
    return True


def record_proven_deposit(ctx: Context, route: pb.Route, proof_height: Height | None) -> None:
    """Count a deposit over a voucher route when it shows that the route is slower than measured.

    ICS-20 says nothing of when a packet was sent, but it was sent before the header that proved it:
    its delay is at least that header's age. Such a floor may only raise the percentile, so one at
    or below it says nothing and is left out; round trips alone can lower it.
    """
    if proof_height is None:
        return
    proven_ns = clients.get_consensus_time_ns(ctx, route.client_id, proof_height)
    if proven_ns is None:
        return
    delay_ns = max(0, ctx.time_ns - proven_ns)
    counts = state.get_measurements(ctx, route.route_id).histogram.counts
    p95_ms = _compute_percentile_ms(state.get_params(ctx), list(counts), 95)
    if ceil_div(delay_ns, _MS_NS) > p95_ms:
        record_sample(ctx, route, delay_ns)


def _compute_percentile_ms(params: pb.Params, counts: list[int], percent: int) -> int:
    return compute_percentile_ms(
        counts,
        percent,
        prior_ms=params.latency_prior_ms,
        samples_min=params.latency_samples_min,
    )


def get_heartbeat_age_ms(ctx: Context, route_id: str) -> int:
    """The age of the oldest heartbeat without an answer, 0 when all are answered."""
    oldest = next(state.iterate_heartbeats(ctx, route_id), None)
    if oldest is None:
        return 0
    return ceil_div(max(0, ctx.time_ns - oldest.sent_at_ns), _MS_NS)


def get_route_status(ctx: Context, route: pb.Route) -> pb.RouteStatus:
    """The status that counts: a client that proves nothing, or a closed channel, is frozen."""
    if route.status == pb.ROUTE_STATUS_FROZEN:
        return route.status
    if clients.get_status(ctx, route.client_id) is not clients.Status.ACTIVE:
        return pb.ROUTE_STATUS_FROZEN
    port, _ = get_route_protocol(route)
    channel = channels.get_channel(ctx, port, route.channel_id)
    if channel.state != channel_pb2.STATE_OPEN:
        return pb.ROUTE_STATUS_FROZEN
    return route.status


def get_consensus_age_ns(ctx: Context, route: pb.Route) -> int:
    """Hub time minus that of the newest verified header; the trusting period when none is held."""
    time_ns = clients.get_latest_consensus_time_ns(ctx, route.client_id)
    if time_ns is None:
        return int(route.trust.trusting_period_s * NANOSECONDS)
    return max(0, ctx.time_ns - time_ns)


def get_proof_age_ns(ctx: Context, route: pb.Route) -> int:
    """The age of what the route last proved, with the clock drift that its client allows."""
    consensus_ns = ctx.time_ns - get_consensus_age_ns(ctx, route)
    drift_s = route.trust.max_clock_drift_s
    return compute_proof_age_ms(ctx.time_ns, consensus_ns, drift_s) * _MS_NS


def _compute_auction_ms(params: pb.Params, route: pb.Route, counts: Sequence[int]) -> int:
    """The measured 95th percentile of auctions, never below the governed figure.

    Who is quick to buy from himself cannot shorten it.
    """
    governed_ms = route.auction_duration_s * 1_000
    measured_ms = compute_percentile_ms(
        counts, 95, prior_ms=governed_ms, samples_min=params.latency_samples_min
    )
    return max(governed_ms, measured_ms)


def get_route_measure(
    ctx: Context, route: pb.Route, maintenance_params: pb.Params | None = None
) -> RouteMeasure:
    """Everything measured of a route at this block.

    `maintenance_params` are the parameters as existing collateral sees them, when the caller has
    them.
    """
    params = state.get_params(ctx)
    maintenance_params = maintenance_params or get_maintenance_params(ctx)
    measurements = state.get_measurements(ctx, route.route_id)
    counts = list(measurements.histogram.counts)
    auction_ms = _compute_auction_ms(params, route, list(measurements.auctions.counts))
    value_uusd = get_route_value_uusd(ctx, route) if needs_route_value(ctx, route) else None
    unrecognized = get_recognition(ctx, route, value_uusd).unrecognized
    p50_ms, p95_ms = (_compute_percentile_ms(params, counts, percent) for percent in (50, 95))
    age_ns = get_consensus_age_ns(ctx, route)
    proof_age_ms = floor_div(get_proof_age_ns(ctx, route), _MS_NS)
    heartbeat_age_ms = get_heartbeat_age_ms(ctx, route.route_id)
    delta_t_ms = compute_delta_t_ms(
        proof_age_ms=proof_age_ms,
        finality_ms=route.finality_s * 1_000,
        relay_ms=compute_relay_ms(p95_ms, heartbeat_age_ms),
        auction_duration_ms=auction_ms,
    )
    relayers = sum(
        1
        for seen in state.iterate_relayers(ctx, route.route_id)
        if ctx.time_ns - seen.seen_at_ns < _DAY_NS
    )
    status = get_route_status(ctx, route)
    scale = oracle.get_params(ctx).market_time_scale or 1
    return RouteMeasure(
        status=status,
        client_status=clients.get_status(ctx, route.client_id).value,
        proof_age_ms=proof_age_ms,
        relay_p50_ms=p50_ms,
        relay_p95_ms=p95_ms,
        samples=sum(counts),
        heartbeat_age_ms=heartbeat_age_ms,
        auction_duration_ms=auction_ms,
        delta_t_ms=delta_t_ms,
        delta_t_market_s=compute_market_seconds(delta_t_ms, scale),
        security_ppm=_compute_security_ppm(maintenance_params, route, age_ns, relayers),
        security_initial_ppm=_compute_security_ppm(params, route, age_ns, relayers),
        staleness_ppm=_compute_staleness_ppm(params, route, status, ctx.time_ns),
        unrecognized_ppm=compute_reading(unrecognized, ctx.time_ns, get_ramp_duration_ns(ctx)),
        unrecognized_initial_ppm=unrecognized.target,
        relayers=relayers,
    )


def _compute_security_ppm(params: pb.Params, route: pb.Route, age_ns: int, relayers: int) -> int:
    """The base of the route's class and the steps of its health (row 5)."""
    base = {
        pb.ROUTE_CLASS_LIGHT_CLIENT: params.light_client_haircut_ppm,
        pb.ROUTE_CLASS_OPTIMISTIC: params.optimistic_haircut_ppm,
        pb.ROUTE_CLASS_ATTESTATION: params.attestation_haircut_ppm,
        pb.ROUTE_CLASS_BONDED_RELAYER: params.bonded_relayer_haircut_ppm,
    }[route.route_class]
    trusting_ns = route.trust.trusting_period_s * NANOSECONDS
    total = base
    if age_ns * 4 > trusting_ns * 3:
        total += params.age_three_quarter_step_ppm
    elif age_ns * 2 > trusting_ns:
        total += params.age_half_step_ppm
    if relayers < RELAYERS_WANTED:
        total += params.relayer_step_ppm
    if route.validators_for_third < VALIDATORS_WANTED:
        total += params.concentration_step_ppm
    return min(PPM, int(total))


def _compute_staleness_ppm(
    params: pb.Params, route: pb.Route, status: pb.RouteStatus, now_ns: int
) -> int:
    """0 on a normal route; on a closed one it rises to 100 % over pause_ramp_s (row 44)."""
    if status == pb.ROUTE_STATUS_NORMAL or route.paused_at_ns == 0:
        return 0
    ramp_ns = max(1, params.pause_ramp_s * NANOSECONDS)
    return clamp(ceil_div((now_ns - route.paused_at_ns) * PPM, ramp_ns), 0, PPM)


@dataclass(frozen=True, slots=True)
class AssetReads:
    """An asset as all its liens see it: volatility, the quantity of all liens, terms, in WAD.

    `volatility_wad` is what new risk sees, `volatility_now_wad` what exists sees: less while a
    change of the volatility model ramps in.
    """

    asset: pb.Asset
    volatility_wad: int
    volatility_now_wad: int
    quantity_wad: int
    terms: AssetTerms
    terms_initial: AssetTerms
    exchange_rate_wad: int


def get_asset_reads(
    ctx: Context, asset: pb.Asset, denoms: Sequence[tuple[str, str, int]] | None = None
) -> AssetReads:
    """An asset at this block; `denoms` are those of the asset when the caller has them."""
    priced = asset.base_asset or asset.asset
    volatility_wad = oracle.get_new_risk_volatility_wad(ctx, priced)
    quantity_wad = state.get_asset_quantity_wad(ctx, asset.asset, denoms)
    ramps = get_asset_ramps(ctx, asset, volatility_wad, quantity_wad)
    return AssetReads(
        asset=asset,
        volatility_wad=volatility_wad,
        volatility_now_wad=oracle.get_volatility_wad(ctx, priced),
        quantity_wad=quantity_wad,
        terms=ramps.compute_reading(ctx.time_ns, get_ramp_duration_ns(ctx)),
        terms_initial=ramps.get_target(),
        exchange_rate_wad=get_exchange_rate_wad(ctx, asset),
    )


@dataclass(slots=True)
class SharedReads:
    """What the margins of many accounts have in common, read once: routes, assets and their totals,
    markets, rules.

    For one pass over accounts: a write to a route, client, listing, price, market, lien or rule
    ends its use.
    """

    routes: dict[str, tuple[pb.Route, RouteMeasure] | None] = field(default_factory=dict)
    assets: dict[str, AssetReads | None] = field(default_factory=dict)
    denoms: dict[str, Sequence[tuple[str, str, int]]] = field(default_factory=dict)
    owner_quantities_wad: dict[tuple[str, Address], int] = field(default_factory=dict)
    delta_ts_s: dict[tuple[str, str], int] = field(default_factory=dict)
    maintenance_params: pb.Params | None = None
    markets: dict[str, "MarketReads"] = field(default_factory=dict)
    underlyings: dict[tuple[str, bool], "UnderlyingTerms"] = field(default_factory=dict)
    unit_terms: dict[tuple[str, int], "UnitTerms"] = field(default_factory=dict)
    account_rules: "AccountRules | None" = None

    def get_route(self, ctx: Context, route_id: str) -> tuple[pb.Route, RouteMeasure] | None:
        """A route as it is measured now, or None."""
        if route_id not in self.routes:
            route = state.get_route(ctx, route_id)
            self.routes[route_id] = (
                None
                if route is None
                else (route, get_route_measure(ctx, route, self.get_maintenance_params(ctx)))
            )
        return self.routes[route_id]

    def get_maintenance_params(self, ctx: Context) -> pb.Params:
        """The parameters as existing collateral sees them."""
        if self.maintenance_params is None:
            self.maintenance_params = get_maintenance_params(ctx)
        return self.maintenance_params

    def get_asset(self, ctx: Context, name: str) -> AssetReads | None:
        """An asset with its volatility, its terms and the quantity of all its liens, or None."""
        if name not in self.assets:
            asset = state.get_asset(ctx, name)
            self.denoms[name] = denoms = state.get_denoms_of_asset(ctx, name)
            self.assets[name] = None if asset is None else get_asset_reads(ctx, asset, denoms)
        return self.assets[name]

    def get_owner_quantity_wad(self, ctx: Context, name: str, owner: Address) -> int:
        """The quantity of an owner's liens in an asset that get_asset has read."""
        key = name, owner
        if key not in self.owner_quantities_wad:
            self.owner_quantities_wad[key] = state.get_owner_quantity_wad(
                ctx, name, owner, self.denoms[name]
            )
        return self.owner_quantities_wad[key]

    def get_lien_delta_t_s(self, ctx: Context, lien: LienKey) -> int:
        """Market seconds until what a lien holds is reached: its route's, and unbonding (row 11).

        0 over an unknown route, where a lien counts nothing.
        """
        key = lien.route_id, lien.denom
        if key not in self.delta_ts_s:
            measured = self.get_route(ctx, lien.route_id)
            listing = state.get_listing(ctx, lien.route_id, lien.denom)
            asset = None if listing is None else state.get_asset(ctx, listing.asset)
            unbonding_s = 0 if asset is None else asset.unbonding_s
            self.delta_ts_s[key] = (
                0 if measured is None else measured[1].delta_t_market_s + unbonding_s
            )
        return self.delta_ts_s[key]


def get_account_latency_ppm(
    ctx: Context, account: Account, volatility_wad: int, shared: SharedReads | None = None
) -> int:
    """L of the slowest route that secures an account, at an annual volatility; 0 without liens.

    What the discount of positive option value adds (row 4): L_j is largest where delta_t_j is, so
    the account's slowest lien decides. Liens of nothing are left out.
    """
    shared = shared or SharedReads()
    delta_t_s = max(
        (
            shared.get_lien_delta_t_s(ctx, lien)
            for lien, amount in account.liens.items()
            if amount > 0
        ),
        default=0,
    )
    return compute_latency_premium_ppm(volatility_wad, delta_t_s)


def get_lien_haircut(
    ctx: Context, owner: Address, lien: LienKey, amount: int, shared: SharedReads | None = None
) -> HaircutFactors:
    """Everything that turns a lien into counted value; an unlisted denom counts nothing.

    Its `initial` factors are those of new risk, when they differ: while a change for the worse
    ramps in. Who asks for several liens passes the same `shared` for all.
    """
    shared = shared or SharedReads()
    measured = shared.get_route(ctx, lien.route_id)
    listing = state.get_listing(ctx, lien.route_id, lien.denom)
    valued = shared.get_asset(ctx, listing.asset) if listing is not None else None
    if measured is None or listing is None or valued is None:
        return HaircutFactors("", 0, 0, PPM, 0, 0, 0, 0)
    route, measure = measured
    owner_wad = shared.get_owner_quantity_wad(ctx, valued.asset.asset, owner)
    hops = get_further_hops(ctx, route, lien.denom)
    delta_t_s = measure.delta_t_market_s + valued.asset.unbonding_s

    def build(
        terms: AssetTerms,
        volatility_wad: int,
        security_ppm: int,
        hop_ppm: int,
        unrecognized_ppm: int,
    ) -> HaircutFactors:
        return HaircutFactors(
            asset=valued.asset.asset,
            decimals=listing.decimals,
            recognized_amount=mul_ppm_floor(amount, PPM - unrecognized_ppm),
            market_ppm=terms.market_ppm,
            size_weight_ppm=compute_size_weight_ppm(
                terms.size_factor_wad,
                owner_wad,
                18,
                terms.scale_start_wad,
                valued.quantity_wad,
            ),
            latency_ppm=compute_latency_premium_ppm(volatility_wad, delta_t_s),
            security_ppm=compute_path_security_ppm(security_ppm, hop_ppm, hops),
            staleness_ppm=measure.staleness_ppm,
        )

    factors = build(
        valued.terms,
        valued.volatility_now_wad,
        measure.security_ppm,
        shared.get_maintenance_params(ctx).voucher_hop_haircut_ppm,
        measure.unrecognized_ppm,
    )
    initial = build(
        valued.terms_initial,
        valued.volatility_wad,
        measure.security_initial_ppm,
        state.get_params(ctx).voucher_hop_haircut_ppm,
        measure.unrecognized_initial_ppm,
    )
    return factors if initial == factors else replace(factors, initial=initial)


def get_further_hops(ctx: Context, route: pb.Route, denom: str) -> int:
    """How many crossings a voucher made before the one over its route (row 51)."""
    if route.kind != pb.ROUTE_KIND_VOUCHER:
        return 0
    denom_hash = parse_hash(denom)
    found = None if denom_hash is None else transfer.get_denom(ctx, denom_hash)
    return 0 if found is None else len(found.trace) - 1


def get_route_value_uusd(ctx: Context, route: pb.Route) -> int | None:
    """The value of all liens over a route before haircuts; None when one of them has no price."""
    total = 0
    for listing in state.iterate_listings(ctx, route.route_id):
        amount = accounts.get_route_lien_total(ctx, route.route_id, route.chain_id, listing.denom)
        if amount == 0:
            continue
        price = get_asset_price(ctx, listing.asset)
        if price is None:
            return None
        total += compute_asset_value_uusd(amount, int(price.price_wad), listing.decimals)
    return total
