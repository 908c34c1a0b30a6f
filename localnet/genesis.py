"""The app_state of a local network's chains: named accounts with coins, a council, demo parameters.

The hub's parameters play one market hour in five seconds (`market_time_scale` 720): volatility,
latency premium and funding see market time, the chain itself runs in block time.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from chain._pb.cosmos.bank.v1beta1 import bank_pb2
from chain._pb.margin.collateral.v1 import collateral_pb2
from chain._pb.margin.council.v1 import council_pb2
from chain._pb.margin.insurance.v1 import insurance_pb2
from chain._pb.margin.liquidation.v1 import liquidation_pb2
from chain._pb.margin.markets.v1 import markets_pb2
from chain._pb.margin.oracle.v1 import oracle_pb2
from chain._pb.margin.scenarios.v1 import scenarios_pb2
from chain._pb.margin.validators.v1 import validators_pb2
from chain.modules.auth import types as auth_types
from chain.modules.bank import types as bank_types
from chain.modules.collateral import types as collateral_types
from chain.modules.insurance import types as insurance_types
from chain.modules.liquidation import types as liquidation_types
from chain.modules.markets import params as markets_params
from chain.modules.oracle import params as oracle_params
from chain.modules.scenarios import types as scenarios_types
from chain.modules.validators import types as validators_types
from chain.runtime.genesis import to_json
from chain.units import PPM
from localnet.actors import ACTORS, COUNCIL
from localnet.homes import derive_validator_key
from localnet.topology import ChainSpec

MARKET_TIME_SCALE: Final = 720
"""Market seconds in one second of block time: an hourly bar lasts five seconds."""
MARKET: Final = "ETH-PERP"
_USD: Final = 10**6
_WAD: Final = 10**18
_ETH: Final = 10**18
_GAS_COINS: Final = 10**12
_HOUR_S: Final = 3_600
_DAY_NS: Final = 86_400 * 10**9

INSURANCE_SEED_UUSD: Final = 500_000 * _USD
"""The insurance fund's coins at genesis."""


@dataclass(frozen=True, slots=True)
class GenesisOptions:
    """What a test may want other than the demo: how fast market time passes."""

    market_time_scale: int = MARKET_TIME_SCALE


def make_app_state(chain: ChainSpec, options: GenesisOptions | None = None) -> dict[str, Any]:
    """The app_state of a chain of the topology; parts left out have their module's defaults."""
    options = options or GenesisOptions()
    balances = make_balances(chain)
    parts: dict[str, Any] = {
        "auth": _make_auth(),
        "bank": _make_bank(balances),
        "council": to_json(make_council()),
        "validators": to_json(_make_validators(chain)),
    }
    if chain.kind == "hub":
        parts |= {
            "oracle": to_json(make_oracle(options)),
            "scenarios": to_json(make_scenarios()),
            "markets": to_json(make_markets()),
            "collateral": to_json(make_collateral()),
            "liquidation": to_json(make_liquidation()),
            "insurance": to_json(_make_insurance()),
        }
    return parts


def make_scenarios() -> scenarios_pb2.GenesisState:
    """ETH by `pmrm21`, quoted in USDC, for accounts that choose portfolio margin."""
    underlying = scenarios_pb2.Underlying(asset="ETH", preset="pmrm21", stable_asset="USDC")
    return scenarios_pb2.GenesisState(
        params=scenarios_types.build_default_params(),
        underlyings=[scenarios_pb2.UnderlyingState(current=underlying)],
    )


def make_balances(chain: ChainSpec) -> dict[str, dict[str, int]]:
    """Coins by address; every named account can pay fees on every chain."""
    balances: dict[str, dict[str, int]] = {
        actor.address: {"umargin": _GAS_COINS} for actor in ACTORS.values()
    }
    if chain.kind == "hub":
        for name, usd in (
            ("alice", 1_000),
            ("bob", 5_000_000),
            ("carol", 1_000),
            ("dave", 5_000_000),
            ("keeper", 200_000),
            ("faucet", 10_000_000),
        ):
            balances[ACTORS[name].address]["uusd"] = usd * _USD
        balances[auth_types.module_address(insurance_types.MODULE_NAME)] = {
            "uusd": INSURANCE_SEED_UUSD
        }
        return balances
    coins = {"aeth": _ETH} if chain.chain_id.startswith("alpha") else {"uusdc": _USD}
    for denom, unit in coins.items():
        for name, whole in (("alice", 25_000), ("carol", 5_000), ("faucet", 10_000_000)):
            balances[ACTORS[name].address][denom] = whole * unit
    return balances


def _make_auth() -> dict[str, Any]:
    """Accounts for the named ones; module accounts are made by the chain."""
    return {
        "params": to_json(auth_types.build_default_params()),
        "accounts": [
            {
                "@type": "/cosmos.auth.v1beta1.BaseAccount",
                "address": actor.address,
                "account_number": str(number),
                "sequence": "0",
            }
            for number, actor in enumerate(ACTORS.values())
        ],
    }


def _make_bank(balances: Mapping[str, Mapping[str, int]]) -> dict[str, Any]:
    metadata = [
        _make_metadata("umargin", "MARGIN", 6),
        _make_metadata("uusd", "USD", 6),
        _make_metadata("aeth", "ETH", 18),
        _make_metadata("uusdc", "USDC", 6),
    ]
    held = {denom for coins in balances.values() for denom in coins}
    return {
        "params": to_json(bank_types.build_default_params()),
        "balances": [
            {
                "address": address,
                "coins": [{"denom": denom, "amount": str(coins[denom])} for denom in sorted(coins)],
            }
            for address, coins in balances.items()
        ],
        "denom_metadata": [to_json(item) for item in metadata if item.base in held],
    }


def _make_metadata(base: str, display: str, decimals: int) -> bank_pb2.Metadata:
    return bank_pb2.Metadata(
        base=base,
        display=display,
        name=display,
        symbol=display,
        denom_units=[
            bank_pb2.DenomUnit(denom=base, exponent=0),
            bank_pb2.DenomUnit(denom=display, exponent=decimals),
        ],
    )


def make_council() -> council_pb2.GenesisState:
    """Two of three members decide; what they decide can be executed at once."""
    return council_pb2.GenesisState(
        params=council_pb2.Params(
            members=[actor.address for actor in COUNCIL],
            threshold=2,
            execution_delay_ns=0,
            voting_period_ns=7 * _DAY_NS,
            guardian=ACTORS["guardian"].address,
        ),
        next_proposal_id=1,
    )


def _make_validators(chain: ChainSpec) -> validators_pb2.GenesisState:
    return validators_pb2.GenesisState(
        params=validators_types.build_default_params(),
        validators=[
            validators_pb2.Validator(
                consensus_pubkey=derive_validator_key(node).public,
                power=node.power,
                moniker=node.name,
            )
            for node in chain.nodes
        ],
    )


def make_oracle(options: GenesisOptions) -> oracle_pb2.GenesisState:
    """ETH and USDC from at least two sources; a published ETH price moves 0.5 % a block at most."""
    params = oracle_params.build_default_params()
    params.market_time_scale = options.market_time_scale
    params.source_age_s_max = 10
    params.volatility_interval_s = _HOUR_S
    params.assets.extend(
        [
            oracle_pb2.AssetParams(
                asset="ETH",
                sources_min=2,
                step_ppm_max=5_000,
                outlier_ppm=100_000,
                confidence_ppm_min=850_000,
                volatility_initial_wad=str(_WAD * 8 // 10),
                volatility_max_wad=str(_WAD * 15 // 10),
                depth_usd_max=20_000_000,
                volume_usd_max=1_000_000_000,
                index_weight_ppm=PPM,
            ),
            oracle_pb2.AssetParams(
                asset="USDC",
                sources_min=2,
                step_ppm_max=10_000,
                outlier_ppm=20_000,
                confidence_ppm_min=950_000,
                volatility_initial_wad=str(_WAD * 2 // 100),
                volatility_max_wad=str(_WAD),
                depth_usd_max=50_000_000,
                volume_usd_max=1_000_000_000,
            ),
        ]
    )
    params.correlation.assets.extend(["ETH", "USDC"])
    params.correlation.prior_ppm.extend([PPM, 0, 0, PPM])
    return oracle_pb2.GenesisState(params=params)


def make_eth_market(**fields: Any) -> markets_pb2.Market:
    """A market of ETH: ticks of a cent, steps of 0.0001 ETH; the fields given replace these."""
    terms: dict[str, Any] = {
        "asset": "ETH",
        "status": markets_pb2.MARKET_STATUS_ACTIVE,
        "quantum_decimals": 6,
        "tick_wad": str(_WAD // 100),
        "step_quantums": "100",
        "initial_ppm": 100_000,
        "maintenance_ppm": 60_000,
        "volatility_floor_wad": str(_WAD * 5 // 10),
        "horizon_s": 10,
        "open_interest_lower_uusd": str(25_000_000 * _USD),
        "open_interest_upper_uusd": str(50_000_000 * _USD),
        "open_interest_max_uusd": str(100_000_000 * _USD),
        "maker_fee_ppm": 100,
        "taker_fee_ppm": 500,
        "price_band_ppm": 200_000,
    }
    return markets_pb2.Market(**{**terms, **fields})


def make_markets() -> markets_pb2.GenesisState:
    """The ETH perpetual, 10 times leverage at most; the council lists what expires."""
    market = make_eth_market(
        id=MARKET, kind=markets_pb2.INSTRUMENT_KIND_PERPETUAL, funding_ppm_max=1_000
    )
    return markets_pb2.GenesisState(
        params=markets_params.build_default_params(),
        markets=[market],
        next_order_id=1,
        next_fill_id=1,
    )


def make_collateral() -> collateral_pb2.GenesisState:
    """How ETH and USDC are valued; routes and listings come by the council once channels exist."""
    params = collateral_types.build_default_params()
    params.latency_prior_ms = 10_000
    params.listing_sources_min = 2  # As many venues as the replayed market has.
    return collateral_pb2.GenesisState(
        params=params,
        assets=[
            collateral_pb2.Asset(
                asset="ETH",
                market_haircut_ppm=150_000,
                market_haircut_min_ppm=100_000,
                market_haircut_max_ppm=500_000,
                volatility_beta_ppm=50_000,
                volatility_reference_wad=str(_WAD),
                size_factor_wad=str(_WAD // 1_000),
                quantity_cap_wad=str(100_000 * _WAD),
                owner_quantity_cap_wad=str(10_000 * _WAD),
                scale_start_wad=str(50_000 * _WAD),
                daily_volume_wad=str(1_000_000 * _WAD),
                slippage_factor_ppm=100_000,
            ),
            collateral_pb2.Asset(
                asset="USDC",
                market_haircut_ppm=20_000,
                market_haircut_min_ppm=10_000,
                market_haircut_max_ppm=200_000,
                volatility_beta_ppm=100_000,
                volatility_reference_wad=str(_WAD // 10),
                size_factor_wad=str(_WAD // 1_000_000),
                quantity_cap_wad=str(100_000_000 * _WAD),
                owner_quantity_cap_wad=str(10_000_000 * _WAD),
                scale_start_wad=str(50_000_000 * _WAD),
                daily_volume_wad=str(1_000_000_000 * _WAD),
                slippage_factor_ppm=100_000,
            ),
        ],
    )


def make_liquidation() -> liquidation_pb2.GenesisState:
    """1.5 % of a position a block; auctions fall 5 % a second and end within seconds."""
    params = liquidation_types.build_default_params()
    params.reduce_share_ppm = 15_000
    params.auction_step_ms = 1_000
    params.auction_cut_ppm = 950_000
    params.auction_tail_ms = 120_000
    return liquidation_pb2.GenesisState(params=params, next_auction_id=1, next_seizure_number=1)


def _make_insurance() -> insurance_pb2.GenesisState:
    entry = insurance_pb2.LedgerEntry(
        number=1,
        kind=insurance_pb2.ENTRY_KIND_FUNDED,
        amount_uusd=str(INSURANCE_SEED_UUSD),
        counterparty=ACTORS["faucet"].address,
        balance_uusd=str(INSURANCE_SEED_UUSD),
    )
    return insurance_pb2.GenesisState(
        params=insurance_types.build_default_params(), entries=[entry], next_entry=2
    )
