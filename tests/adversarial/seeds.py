"""One good message of every kind that a council or a user could send to the world as it stands."""

from google.protobuf.message import Message

from chain._pb.cosmos.bank.v1beta1 import bank_pb2
from chain._pb.cosmos.bank.v1beta1 import tx_pb2 as bank_tx
from chain._pb.cosmos.base.v1beta1 import coin_pb2
from chain._pb.margin.accounts.v1 import tx_pb2 as accounts_tx
from chain._pb.margin.collateral.v1 import collateral_pb2
from chain._pb.margin.collateral.v1 import tx_pb2 as collateral_tx
from chain._pb.margin.council.v1 import council_pb2
from chain._pb.margin.insurance.v1 import tx_pb2 as insurance_tx
from chain._pb.margin.liquidation.v1 import tx_pb2 as liquidation_tx
from chain._pb.margin.markets.v1 import markets_pb2
from chain._pb.margin.markets.v1 import tx_pb2 as markets_tx
from chain._pb.margin.oracle.v1 import tx_pb2 as oracle_tx
from chain._pb.margin.params.v1 import params_pb2
from chain._pb.margin.validators.v1 import validators_pb2
from chain._pb.margin.vault.v1 import tx_pb2 as vault_tx
from chain.modules.accounts import state as accounts
from chain.modules.collateral import state as collateral
from chain.modules.council.types import authority_address
from chain.modules.markets import state as markets
from chain.modules.oracle import state as oracle
from chain.modules.params import state as params
from chain.runtime.router import pack
from chain.units import WAD
from tests.adversarial.world import World
from tests.modules.economy import BUY, ETHER, GOOD, POST, SELL, USD, build_market, order
from tests.modules.instruments import CALL, SPOT, build_option
from tests.modules.margin_network import build_asset, build_listing
from tests.support.testchain import DENOM, TestChain
from tests.twochain.test_margin import ETH

AUTHORITY = authority_address()


def build_seeds(world: World, chain: TestChain) -> list[Message]:
    """Messages to spoil, of the kinds the chain handles."""
    found = [*_build_base(world, chain)]
    found += _build_hub(world) if chain is world.hub else _build_spoke(world)
    routes = chain.app.router.messages
    return [m for m in found if "/" + m.DESCRIPTOR.full_name in routes]


def _build_base(world: World, chain: TestChain) -> list[Message]:
    alice, bob = world.address("alice"), world.address("bob")
    coins = [coin_pb2.Coin(denom=DENOM, amount="7")]
    ctx = chain.read_context()
    updates = [
        params_pb2.MsgUpdateParams(authority=AUTHORITY, module=name, params=pack(declared.get(ctx)))
        for name, declared in sorted(params.get_declarations().items())
        if name in chain.definition.store_names
    ]
    return [
        bank_tx.MsgSend(from_address=alice, to_address=bob, amount=coins),
        bank_tx.MsgMultiSend(
            inputs=[bank_pb2.Input(address=alice, coins=coins)],
            outputs=[bank_pb2.Output(address=bob, coins=coins)],
        ),
        *updates,
        *[council_pb2.MsgSubmitProposal(proposer=alice, messages=[pack(m)]) for m in updates],
        council_pb2.MsgApprove(member=alice, proposal_id=2),
        council_pb2.MsgReject(member=alice, proposal_id=2),
        council_pb2.MsgExecute(executor=alice, proposal_id=2),
        validators_pb2.MsgUpdateValidator(
            authority=AUTHORITY, consensus_pubkey=b"\x07" * 32, power=3, moniker="new"
        ),
    ]


def _build_series() -> Message:
    template = build_option()
    template.id = template.strike_wad = ""
    template.option_kind = markets_pb2.OPTION_KIND_UNSPECIFIED
    return markets_tx.MsgListOptionSeries(
        authority=AUTHORITY,
        template=template,
        strikes_wad=[str(1_900 * WAD), str(2_100 * WAD)],
        kinds=[markets_pb2.OPTION_KIND_CALL, markets_pb2.OPTION_KIND_PUT],
    )


def _build_hub(world: World) -> list[Message]:
    alice, bob, carol = (world.address(name) for name in ("alice", "bob", "carol"))
    ctx = world.hub.read_context()
    route = collateral.require_route(ctx, "alpha")
    new_route = collateral_pb2.Route()
    new_route.CopyFrom(route)
    new_route.route_id, new_route.status = "beta", collateral_pb2.ROUTE_STATUS_UNSPECIFIED
    return [
        oracle_tx.MsgUpdateParams(authority=AUTHORITY, params=oracle.get_params(ctx)),
        accounts_tx.MsgUpdateParams(authority=AUTHORITY, params=accounts.get_params(ctx)),
        markets_tx.MsgUpdateParams(authority=AUTHORITY, params=markets.get_params(ctx)),
        accounts_tx.MsgCreateAccount(owner=bob, number=3),
        accounts_tx.MsgDepositCash(sender=alice, owner=bob, amount_uusd="9"),
        accounts_tx.MsgWithdrawCash(owner=alice, amount_uusd="9", receiver=bob),
        accounts_tx.MsgTransferCash(owner=alice, to_number=1, amount_uusd="9"),
        order(alice, SELL, ETHER, 177_500),
        order(alice, SELL, ETHER, 176_000),
        order(bob, BUY, ETHER, 180_000),
        order(carol, SELL, ETHER, 177_000, reduce_only=True),
        order(alice, SELL, ETHER, 190_000, tif=POST),
        markets_tx.MsgCancelOrder(owner=carol, order_id=4),
        markets_tx.MsgCancelAll(owner=carol),
        markets_tx.MsgListMarket(authority=AUTHORITY, market=build_market(id="ETH-PERP")),
        markets_tx.MsgUpdateMarket(authority=AUTHORITY, market=build_market()),
        _build_series(),
        markets_tx.MsgDepositBase(owner=carol, market=SPOT, amount=str(ETH)),
        markets_tx.MsgWithdrawBase(owner=alice, market=SPOT, amount=str(ETH // 2)),
        markets_tx.MsgPlaceOrder(
            owner=bob,
            market=CALL,
            side=BUY,
            size_quantums=str(ETHER),
            price_wad=str(50 * WAD),
            time_in_force=GOOD,
        ),
        collateral_tx.MsgRegisterRoute(authority=AUTHORITY, route=new_route),
        collateral_tx.MsgUpdateRoute(
            authority=AUTHORITY,
            route_id="alpha",
            finality_s=1,
            auction_duration_s=60,
            heartbeat_interval_s=600,
            value_cap_uusd=str(10**15),
            stake_uusd=str(10**16),
            validators_for_third=4,
        ),
        collateral_tx.MsgPauseRoute(sender=AUTHORITY, route_id="alpha"),
        collateral_tx.MsgUnpauseRoute(authority=AUTHORITY, route_id="alpha"),
        collateral_tx.MsgSetAsset(authority=AUTHORITY, asset=build_asset()),
        collateral_tx.MsgSetListing(authority=AUTHORITY, listing=build_listing()),
        collateral_tx.MsgWithdrawCollateral(
            owner=carol, route_id="alpha", denom="aeth", amount=str(ETH // 10), receiver=bob
        ),
        insurance_tx.MsgFundInsurance(sender=alice, amount_uusd=str(5 * USD)),
        liquidation_tx.MsgBid(
            bidder=alice,
            auction_id=1,
            amount=str(ETH),
            max_price_ray=str(10**40),
            receiver=alice,
        ),
        liquidation_tx.MsgResetAuction(keeper=alice, auction_id=1),
    ]


def _build_spoke(world: World) -> list[Message]:
    alice = world.address("alice")
    return [
        vault_tx.MsgLockCollateral(depositor=alice, owner=alice, denom="aeth", amount=str(ETH)),
        vault_tx.MsgRegisterHub(authority=AUTHORITY),
    ]
