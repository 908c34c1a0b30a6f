import pytest

from chain._pb.margin.accounts.v1 import accounts_pb2, query_pb2
from chain._pb.margin.accounts.v1 import tx_pb2 as pb
from chain.errors import ChainError
from chain.modules.accounts import genesis, handlers, queries, state
from chain.modules.accounts.errors import (
    AccountExists,
    AccountLocked,
    AccountNotFound,
    CashNotSettled,
    InsufficientCash,
    InvalidAccount,
)
from chain.modules.accounts.params import build_default_params
from chain.modules.accounts.types import AccountId
from chain.modules.bank import state as bank
from chain.modules.bank.errors import InsufficientFunds
from chain.modules.council import state as council
from chain.units import InvalidAmount
from tests.modules.economy import (
    ALICE,
    BOB,
    BUY,
    ETH_LIEN,
    ETHER,
    NOW,
    SELL,
    USD,
    advance,
    assert_identities,
    build_economy,
    deliver,
    deposit,
    fix_haircuts,
    get_account,
    place,
    withdraw,
)


@pytest.fixture
def ctx():
    return build_economy()


def test_cash_comes_and_goes_to_the_unit(ctx):
    deposit(ctx, ALICE, 1_000)
    assert bank.get_balance(ctx, state.MODULE_ADDRESS, "uusd") == 1_000 * USD
    withdraw(ctx, ALICE, 1_000 * USD)
    assert bank.get_balance(ctx, ALICE, "uusd") == 1_000_000 * USD
    assert_identities(ctx)


def test_transfer_between_own_accounts(ctx):
    deposit(ctx, ALICE, 1_000)
    msg = pb.MsgTransferCash(owner=ALICE, from_number=0, to_number=127, amount_uusd="5")
    deliver(ctx, handlers.handle_transfer_cash, msg)
    assert get_account(ctx, ALICE, 127).cash_uusd == 5
    listed = queries.query_accounts(ctx, query_pb2.QueryAccountsRequest(owner=ALICE)).accounts
    assert [account.number for account in listed] == [0, 127]


DEPOSIT = {"sender": ALICE, "owner": ALICE, "number": 0, "amount_uusd": "1"}
WITHDRAW = {"owner": ALICE, "number": 0, "amount_uusd": "1"}
TRANSFER = {"owner": ALICE, "from_number": 0, "to_number": 1, "amount_uusd": "1"}


@pytest.mark.parametrize(
    ("handler", "message", "valid", "changes", "error"),
    [
        (handlers.handle_deposit_cash, pb.MsgDepositCash, DEPOSIT, changes, error)
        for changes, error in [
            ({"amount_uusd": "0"}, InvalidAmount),
            ({"amount_uusd": "-1"}, InvalidAmount),
            ({"amount_uusd": "01"}, InvalidAmount),
            ({"amount_uusd": ""}, ChainError),
            ({"amount_uusd": str(2**256)}, InvalidAmount),
            ({"amount_uusd": str(2**256 - 1)}, ChainError),
            ({"amount_uusd": str(10**13)}, InsufficientFunds),
            ({"number": 128}, InvalidAccount),
            ({"number": 2**32 - 1}, InvalidAccount),
            ({"owner": "margin1nonsense"}, ChainError),
            ({"owner": BOB}, AccountNotFound),
        ]
    ]
    + [
        (handlers.handle_withdraw_cash, pb.MsgWithdrawCash, WITHDRAW, changes, error)
        for changes, error in [
            ({"amount_uusd": str(1_000 * USD + 1)}, InsufficientCash),
            ({"number": 1}, AccountNotFound),
            ({"owner": BOB}, AccountNotFound),
            ({"receiver": "cosmos1xyz"}, ChainError),
            ({"amount_uusd": "1.5"}, InvalidAmount),
        ]
    ]
    + [
        (handlers.handle_transfer_cash, pb.MsgTransferCash, TRANSFER, changes, error)
        for changes, error in [
            ({"to_number": 0}, InvalidAccount),
            ({"to_number": 128}, InvalidAccount),
            ({"from_number": 3}, AccountNotFound),
            ({"amount_uusd": str(10**10)}, InsufficientCash),
        ]
    ],
)
def test_bad_message_is_refused_and_leaves_nothing(ctx, handler, message, valid, changes, error):
    deposit(ctx, ALICE, 1_000)
    before = {store: dict(writes) for store, writes in ctx.store.net_writes().items()}
    with pytest.raises(error) as caught:
        deliver(ctx, handler, message(**{**valid, **changes}))
    assert caught.value.detail
    assert ctx.store.net_writes() == before
    deliver(ctx, handler, message(**valid))


def test_account_opens_once(ctx):
    msg = pb.MsgCreateAccount(owner=ALICE, number=3)
    deliver(ctx, handlers.handle_create_account, msg)
    with pytest.raises(AccountExists):
        deliver(ctx, handlers.handle_create_account, msg)


def test_stranger_may_help_a_locked_account_but_its_owner_cannot_withdraw(ctx):
    deposit(ctx, ALICE, 10)
    state.lock_account(ctx, AccountId(ALICE, 0))
    msg = pb.MsgDepositCash(sender=BOB, owner=ALICE, amount_uusd="5")
    deliver(ctx, handlers.handle_deposit_cash, msg)
    with pytest.raises(AccountLocked):
        withdraw(ctx, ALICE, 1)
    state.unlock_account(ctx, AccountId(ALICE, 0))
    withdraw(ctx, ALICE, 1)


def test_profit_that_nobody_paid_in_stays(ctx, monkeypatch):
    fix_haircuts(monkeypatch)
    state.credit_lien(ctx, AccountId(BOB, 0), ETH_LIEN, 100 * 10**18)
    deposit(ctx, ALICE, 10_000)
    place(ctx, ALICE, SELL, 20 * ETHER, 200_000)
    place(ctx, BOB, BUY, 20 * ETHER, tif=NOW)
    advance(ctx, 1, ETH=1_900, USDC=1)
    place(ctx, ALICE, BUY, 20 * ETHER, 190_000)
    place(ctx, BOB, SELL, 20 * ETHER, tif=NOW)
    assert get_account(ctx, BOB).cash_uusd < 0
    cash = get_account(ctx, ALICE).cash_uusd
    assert cash > 10_000 * USD
    with pytest.raises(CashNotSettled):
        withdraw(ctx, ALICE, cash)
    assert_identities(ctx)
    deposit(ctx, BOB, 3_000)
    withdraw(ctx, ALICE, cash)


def test_parameters_change_through_the_council_only(ctx):
    params = build_default_params()
    params.liens_max = 5
    with pytest.raises(ChainError):
        deliver(
            ctx, handlers.handle_update_params, pb.MsgUpdateParams(authority=ALICE, params=params)
        )
    authority = council.get_authority(ctx)
    msg = pb.MsgUpdateParams(authority=authority, params=params)
    deliver(ctx, handlers.handle_update_params, msg)
    assert state.get_params(ctx).liens_max == 5
    msg.params.liens_max = 129
    with pytest.raises(InvalidAccount):
        deliver(ctx, handlers.handle_update_params, msg)


def test_genesis_round_trip(ctx):
    deposit(ctx, ALICE, 1_000)
    deposit(ctx, BOB, 1_000)
    place(ctx, ALICE, SELL, ETHER, 200_000)
    place(ctx, BOB, BUY, ETHER, 200_000)
    exported = genesis.export_genesis(ctx)
    fresh = build_economy()
    bank.move(fresh, ALICE, state.MODULE_ADDRESS, "uusd", 2_000 * USD)
    genesis.init_genesis(fresh, exported)
    assert genesis.export_genesis(fresh).SerializeToString(
        deterministic=True
    ) == exported.SerializeToString(deterministic=True)


@pytest.mark.parametrize("break_one", ["cash", "status", "twice", "size", "owner"])
def test_genesis_with_a_wrong_value_is_refused(ctx, break_one):
    deposit(ctx, ALICE, 1_000)
    deposit(ctx, BOB, 1_000)
    place(ctx, ALICE, SELL, ETHER, 200_000)
    place(ctx, BOB, BUY, ETHER, 200_000)
    exported = accounts_pb2.GenesisState()
    exported.CopyFrom(genesis.export_genesis(ctx))
    match break_one:
        case "cash":
            exported.accounts[0].cash_uusd = str(int(exported.accounts[0].cash_uusd) + 1)
        case "status":
            exported.accounts[0].status = 0
        case "twice":
            exported.accounts.append(exported.accounts[0])
        case "size":
            exported.accounts[0].positions[0].size_quantums = "0"
        case "owner":
            exported.accounts[0].owner = "nobody"
    fresh = build_economy()
    bank.move(fresh, ALICE, state.MODULE_ADDRESS, "uusd", 2_000 * USD)
    with pytest.raises(ChainError):
        genesis.init_genesis(fresh, exported)
