"""Well-signed messages that ask for what nobody may have: refused by code; fee and sequence go."""

import pytest

from chain._pb.cosmos.bank.v1beta1 import tx_pb2 as bank_tx
from chain._pb.cosmos.base.v1beta1 import coin_pb2
from chain._pb.margin.accounts.v1 import tx_pb2 as accounts_tx
from chain._pb.margin.collateral.v1 import collateral_pb2
from chain._pb.margin.collateral.v1 import tx_pb2 as collateral_tx
from chain._pb.margin.insurance.v1 import tx_pb2 as insurance_tx
from chain._pb.margin.liquidation.v1 import tx_pb2 as liquidation_tx
from chain._pb.margin.markets.v1 import tx_pb2 as markets_tx
from chain._pb.margin.params.v1 import params_pb2
from chain._pb.margin.validators.v1 import validators_pb2
from chain._pb.margin.vault.v1 import tx_pb2 as vault_tx
from chain._pb.margin.vault.v1 import vault_pb2
from chain.modules.council.types import authority_address
from chain.units import WAD
from tests.adversarial.world import World, assert_alive, assert_refused, judge_message
from tests.modules.economy import BUY, ETHER, POST, SELL, order
from tests.modules.instruments import SPOT
from tests.modules.margin_network import build_asset, build_listing
from tests.support.testchain import DENOM
from tests.twochain.test_margin import ETH

BAD_AMOUNTS = ("", "0", "-1", "-0", "+1", "01", "1e3", "0x10", "1_000", " 1", "1.0", str(2**256))


def send(world: World, amount: str, denom: str = DENOM, sender: str = "alice"):
    return bank_tx.MsgSend(
        from_address=world.address(sender),
        to_address=world.address("bob"),
        amount=[coin_pb2.Coin(denom=denom, amount=amount)],
    )


def withdraw_collateral(world: World, owner: str = "carol", **changes: object):
    fields = {
        "owner": world.address(owner),
        "route_id": "alpha",
        "denom": "aeth",
        "amount": str(ETH // 10),
        "receiver": world.address("bob"),
    }
    return collateral_tx.MsgWithdrawCollateral(**{**fields, **changes})


def bid(world: World, bidder: str = "alice", **changes: object):
    fields = {
        "bidder": world.address(bidder),
        "auction_id": 1,
        "amount": str(ETH),
        "max_price_ray": str(10**40),
        "receiver": world.address(bidder),
    }
    return liquidation_tx.MsgBid(**{**fields, **changes})


def trade(world: World, owner: str = "alice", **changes: object):
    message = order(world.address(owner), SELL, ETHER, 177_500)
    for name, value in changes.items():
        setattr(message, name, value)
    return message


def lock(world: World, **changes: object):
    fields = {
        "depositor": world.address("alice"),
        "owner": world.address("alice"),
        "denom": "aeth",
        "amount": str(ETH),
    }
    return vault_tx.MsgLockCollateral(**{**fields, **changes})


def test_what_is_broken_below_is_good_as_it_is(world: World) -> None:
    for message, signer in (
        (send(world, "1"), "alice"),
        (withdraw_collateral(world), "carol"),
        (bid(world), "alice"),
        (trade(world), "alice"),
    ):
        verdict = judge_message(world.hub, message, signer=signer)
        assert verdict.code == ("", 0), verdict.log
    assert judge_message(world.spoke, lock(world)).code == ("", 0)


@pytest.mark.parametrize("amount", BAD_AMOUNTS)
def test_amounts(world: World, amount: str) -> None:
    alice = world.address("alice")
    hub = [
        accounts_tx.MsgDepositCash(sender=alice, owner=alice, amount_uusd=amount),
        accounts_tx.MsgWithdrawCash(owner=alice, amount_uusd=amount),
        accounts_tx.MsgTransferCash(owner=alice, to_number=1, amount_uusd=amount),
        insurance_tx.MsgFundInsurance(sender=alice, amount_uusd=amount),
        bid(world, amount=amount),
        bid(world, max_price_ray=amount),
        trade(world, size_quantums=amount),
        withdraw_collateral(world, "alice", amount=amount),
    ]
    for message in hub:
        assert_refused(world.hub, message, ("units", 2), "below 2^256")
    if amount:  # A market order leaves its price out.
        assert_refused(world.hub, trade(world, price_wad=amount), ("units", 2), "price_wad")
    assert_refused(world.hub, send(world, amount), ("sdk", 10))
    assert_refused(world.spoke, lock(world, amount=amount), ("units", 2), "below 2^256")
    assert_alive(world.hub)
    assert_alive(world.spoke)


BAD_MESSAGES = {
    "unknown denom": (lambda w: send(w, "1", "gold"), ("sdk", 5), "alice", ["gold"]),
    "more than owned": (lambda w: send(w, str(10**30)), ("sdk", 5), "alice", [str(10**30)]),
    "to a module": (
        lambda w: bank_tx.MsgSend(
            from_address=w.address("alice"),
            to_address=authority_address(),
            amount=[coin_pb2.Coin(denom=DENOM, amount="1")],
        ),
        ("sdk", 4),
        "alice",
        [authority_address()],
    ),
    "unlisted denom": (
        lambda w: withdraw_collateral(w, denom="gold"),
        ("accounts", 7),
        "carol",
        ["gold", "is 0"],
    ),
    "another's collateral": (
        lambda w: withdraw_collateral(w, "bob"),
        ("accounts", 7),
        "bob",
        [str(ETH // 10)],
    ),
    "account not there": (
        lambda w: withdraw_collateral(w, "carol", account=9),
        ("accounts", 2),
        "carol",
        ["account 9"],
    ),
    "account number": (
        lambda w: withdraw_collateral(w, "carol", account=300),
        ("accounts", 3),
        "carol",
        ["300", "[0, 127]"],
    ),
    "unknown route": (
        lambda w: withdraw_collateral(w, route_id="beta"),
        ("collateral", 2),
        "carol",
        ["beta"],
    ),
    "no receiver": (
        lambda w: withdraw_collateral(w, receiver=""),
        ("collateral", 14),
        "carol",
        ["1 to 128"],
    ),
    "long receiver": (
        lambda w: withdraw_collateral(w, receiver="r" * 129),
        ("collateral", 14),
        "carol",
        ["1 to 128"],
    ),
    "more than the lien": (
        lambda w: withdraw_collateral(w, amount=str(10**22)),
        ("accounts", 7),
        "carol",
        [str(10**22)],
    ),
    "withdrawal below the ratio": (
        lambda w: withdraw_collateral(w, amount=str(8 * ETH)),
        ("accounts", 5),
        "carol",
        ["deposit"],
    ),
    "withdrawal under liquidation": (
        lambda w: withdraw_collateral(w, "dave"),
        ("accounts", 4),
        "dave",
        ["liquidation"],
    ),
    "cash above what is there": (
        lambda w: accounts_tx.MsgWithdrawCash(owner=w.address("alice"), amount_uusd=str(10**20)),
        ("accounts", 6),
        "alice",
        [str(10**20)],
    ),
    "cash of nobody": (
        lambda w: accounts_tx.MsgWithdrawCash(owner=w.address("erin"), amount_uusd="1"),
        ("accounts", 2),
        "erin",
        ["deposit opens it"],
    ),
    "deposit for a stranger": (
        lambda w: accounts_tx.MsgDepositCash(
            sender=w.address("alice"), owner=w.address("erin"), amount_uusd="1"
        ),
        ("accounts", 2),
        "alice",
        [],
    ),
    "account twice": (
        lambda w: accounts_tx.MsgCreateAccount(owner=w.address("alice")),
        ("accounts", 9),
        "alice",
        [],
    ),
    "transfer to itself": (
        lambda w: accounts_tx.MsgTransferCash(owner=w.address("alice"), amount_uusd="1"),
        ("accounts", 3),
        "alice",
        ["name two"],
    ),
    "another's order": (
        lambda w: markets_tx.MsgCancelOrder(owner=w.address("alice"), order_id=3),
        ("markets", 8),
        "alice",
        ["3"],
    ),
    "order beyond margin": (
        lambda w: trade(w, "carol", side=BUY, size_quantums=str(500 * ETHER)),
        ("accounts", 5),
        "carol",
        ["deposit"],
    ),
    "order under liquidation": (lambda w: trade(w, "dave"), ("accounts", 4), "dave", []),
    "self-trade": (
        lambda w: trade(w, "bob", price_wad=str(1_770 * WAD)),
        ("markets", 5),
        "bob",
        [],
    ),
    "zero price": (lambda w: trade(w, price_wad="0"), ("units", 2), "alice", ["above zero"]),
    "price near zero": (
        lambda w: trade(w, price_wad=str(WAD // 100)),
        ("markets", 4),
        "alice",
        ["must lie within"],
    ),
    "price off the tick": (
        lambda w: trade(w, price_wad=str(1_775 * WAD + 1)),
        ("markets", 3),
        "alice",
        ["10000000000000000"],
    ),
    "market order that rests": (lambda w: trade(w, price_wad=""), ("markets", 3), "alice", []),
    "size off the step": (lambda w: trade(w, size_quantums="999"), ("markets", 3), "alice", []),
    "unknown market": (lambda w: trade(w, market="BTC-USD"), ("markets", 2), "alice", ["BTC-USD"]),
    "unknown side": (lambda w: trade(w, side=9), ("markets", 3), "alice", []),
    "post-only that trades": (
        lambda w: trade(w, time_in_force=POST, price_wad=str(1_770 * WAD)),
        ("markets", 6),
        "alice",
        [],
    ),
    "reduce-only of nothing": (
        lambda w: trade(w, "erin", reduce_only=True),
        ("accounts", 2),
        "erin",
        [],
    ),
    "bid on nothing": (lambda w: bid(w, auction_id=77), ("liquidation", 2), "alice", ["77"]),
    "bid below the price": (lambda w: bid(w, max_price_ray="1"), ("liquidation", 4), "alice", []),
    "bid of the debtor": (lambda w: bid(w, "dave"), ("liquidation", 7), "dave", ["deposit"]),
    "bid to nowhere": (lambda w: bid(w, receiver="nobody"), ("sdk", 7), "alice", []),
    "early reset": (
        lambda w: liquidation_tx.MsgResetAuction(keeper=w.address("alice"), auction_id=1),
        ("liquidation", 5),
        "alice",
        [],
    ),
}


@pytest.mark.parametrize(
    ("make", "code", "signer", "words"), BAD_MESSAGES.values(), ids=BAD_MESSAGES.keys()
)
def test_hub_refuses(world: World, make, code, signer, words) -> None:
    assert_refused(world.hub, make(world), code, *words, signer=signer)
    assert_alive(world.hub)


BAD_LOCKS = {
    "unknown denom": ({"denom": "gold"}, ("sdk", 5), ["gold"]),
    "more than owned": ({"amount": str(10**30)}, ("sdk", 5), []),
    "account number": ({"account": 128}, ("vault", 11), ["[0, 127]"]),
    "no owner": ({"owner": ""}, ("sdk", 7), ["owner is empty"]),
}


@pytest.mark.parametrize(("changes", "code", "words"), BAD_LOCKS.values(), ids=BAD_LOCKS.keys())
def test_vault_refuses(world: World, changes, code, words) -> None:
    assert_refused(world.spoke, lock(world, **changes), code, *words)
    assert_alive(world.spoke)


def test_what_only_the_council_may_send(world: World) -> None:
    """A user's own address as the authority, and the authority without its signature."""
    alice = world.address("alice")
    hub = [
        lambda who: params_pb2.MsgUpdateParams(authority=who, module="bank"),
        lambda who: collateral_tx.MsgRegisterRoute(authority=who, route=collateral_pb2.Route()),
        lambda who: collateral_tx.MsgUpdateRoute(authority=who, route_id="alpha"),
        lambda who: collateral_tx.MsgUnpauseRoute(authority=who, route_id="alpha"),
        lambda who: collateral_tx.MsgSetAsset(authority=who, asset=build_asset()),
        lambda who: collateral_tx.MsgSetListing(authority=who, listing=build_listing()),
        lambda who: accounts_tx.MsgUpdateParams(authority=who),
        lambda who: markets_tx.MsgUpdateParams(authority=who),
        lambda who: markets_tx.MsgListMarket(authority=who),
        lambda who: markets_tx.MsgUpdateMarket(authority=who),
        lambda who: markets_tx.MsgListOptionSeries(authority=who),
        lambda who: validators_pb2.MsgUpdateValidator(authority=who, power=1),
    ]
    for make in hub:
        assert_refused(world.hub, make(alice), ("council", 2), "council")
        verdict = judge_message(world.hub, make(authority_address()))
        assert verdict.code == ("sdk", 9), "nobody holds the authority's key"
        assert verdict.writes == {}
    pause = collateral_tx.MsgPauseRoute(sender=alice, route_id="alpha")
    assert_refused(world.hub, pause, ("collateral", 9), "guardian")
    register = vault_tx.MsgRegisterHub(authority=alice, hub=vault_pb2.Hub())
    assert_refused(world.spoke, register, ("council", 2))


def test_somebody_elses_everything(world: World) -> None:
    """Mallory signs messages in others' names: the signature is not theirs."""
    for message in (
        send(world, "1"),
        withdraw_collateral(world),
        trade(world),
        accounts_tx.MsgWithdrawCash(owner=world.address("alice"), amount_uusd="1"),
        markets_tx.MsgCancelAll(owner=world.address("alice")),
        markets_tx.MsgDepositBase(owner=world.address("alice"), market=SPOT, amount="1"),
        markets_tx.MsgWithdrawBase(owner=world.address("alice"), market=SPOT, amount="1"),
        bid(world),
    ):
        verdict = judge_message(world.hub, message, signer="erin")
        assert verdict.code == ("sdk", 8), verdict.log
        assert verdict.writes == {}
    assert judge_message(world.spoke, lock(world), signer="erin").code == ("sdk", 8)
