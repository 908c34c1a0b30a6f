"""The command line in process: what it prints, and that refusals exit above zero."""

import json
import sys

import pytest

from chain.cli import app as cli
from chain.cli.fields import build_message, list_enum_texts
from chain.cli.generic import get_signer_fields
from chain.client.errors import InvalidField
from chain.client.registry import get_transaction_methods
from chain.node.node import CHAINS

WORDS = "abandon " * 11 + "about"


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    """Run marginchaind on a home of its own; (exit code, JSON it printed, standard error)."""

    def call(*arguments, stdin=""):
        monkeypatch.setattr(sys, "argv", ["marginchaind", *arguments, "--home", str(tmp_path)])
        monkeypatch.setattr(sys, "stdin", __import__("io").StringIO(stdin))
        code = 0
        try:
            cli.main()
        except SystemExit as exit_:
            code = exit_.code or 0
        captured = capsys.readouterr()
        try:
            document = json.loads(captured.out)
        except ValueError:
            document = captured.out.strip()
        return code, document, captured.err

    call.home = tmp_path
    return call


@pytest.fixture
def home(run):
    assert run("init", "node0", "--chain-id", "alpha-1", "--type", "spoke")[0] == 0
    return run


def test_global_options_may_stand_anywhere():
    hoisted = cli.hoist_global_options(
        ["tx", "--home", "/h", "send", "--output=json", "--", "--node"]
    )
    assert hoisted == ["--home", "/h", "--output=json", "tx", "send", "--", "--node"]


def test_keys_from_add_to_delete(run):
    code, added, _ = run("keys", "add", "alice")
    assert code == 0
    assert len(added["mnemonic"].split()) == 24
    code, recovered, _ = run("keys", "add", "again", "--recover", stdin=added["mnemonic"] + "\n")
    assert (code, recovered["address"]) == (0, added["address"])
    assert run("keys", "show", "alice", "-a")[1] == added["address"]
    exported = run("keys", "export", "alice", "-y")[1]
    assert (
        run("keys", "import", "third", stdin=exported["private_key"])[1]["address"]
        == (added["address"])
    )
    assert run("keys", "delete", "third", "-y")[0] == 0
    whole = json.dumps(exported, indent=2)
    assert run("keys", "import", "third", stdin=whole)[1]["address"] == added["address"]
    assert [key["name"] for key in run("keys", "list")[1]] == ["again", "alice", "third"]
    assert run("keys", "delete", "third", "-y")[0] == 0
    assert len(run("keys", "list")[1]) == 2


def test_encrypted_keyring_from_the_environment(run, monkeypatch):
    monkeypatch.setenv("MARGINCHAIND_KEYRING_PASSPHRASE", "correct horse")
    option = ("--keyring-backend", "file")
    assert run("keys", "add", "alice", "--recover", *option, stdin=WORDS)[0] == 0
    assert len(run("keys", "export", "alice", "-y", *option)[1]["private_key"]) == 64
    monkeypatch.setenv("MARGINCHAIND_KEYRING_PASSPHRASE", "wrong")
    code, _, error = run("keys", "export", "alice", "-y", *option)
    assert (code, json.loads(error)["codespace"]) == (1, "api")


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("keys", "show", "nobody"), "no key 'nobody'"),
        (("keys", "add", "../x"), "key name"),
        (("keys", "add", "x", "--hd-path", "m/x"), "derivation path"),
        (("start",), "app.toml"),
        (("export",), "app.toml"),
        (("config", "validate"), "marginchaind init"),
        (("comet", "show-node-id"), "marginchaind init"),
        (("status", "--node", "http://127.0.0.1:1"), "check that the node runs"),
        (("query", "node", "config", "--grpc", "grpc+http://127.0.0.1:1"), "is the node running"),
        (("query", "node", "config", "--grpc", "nonsense"), "grpc+http://host:port"),
    ],
)
def test_refusal_names_the_remedy_and_exits_with_one(run, arguments, reason):
    code, _, error = run(*arguments)
    assert code == 1
    assert reason in json.loads(error)["error"]


def test_wrong_use_exits_with_two(run):
    assert run("nothing")[0] == 2
    assert run("tx", "bank", "send", "--colour", "red")[0] == 2


def test_init_writes_a_home_and_keeps_it(home):
    code, _, error = home("init", "node0", "--chain-id", "alpha-1")
    assert code == 1
    assert "--overwrite" in json.loads(error)["error"]
    before = home("comet", "show-node-id")[1]
    arguments = ("init", "node0", "--chain-id", "alpha-1", "--type", "spoke", "--overwrite")
    assert home(*arguments)[0] == 0
    assert home("comet", "show-node-id")[1] == before
    assert home("comet", "show-validator")[1]["@type"] == "/cosmos.crypto.ed25519.PubKey"
    for name in ("node_key.json", "priv_validator_key.json"):
        assert (home.home / "config" / name).stat().st_mode & 0o077 == 0


def test_genesis_from_accounts_to_valid(home):
    address = home("keys", "add", "alice")[1]["address"]
    assert home("genesis", "validate")[0] == 1
    assert home("genesis", "add-genesis-account", "alice", "5umargin,2 ETH")[0] == 0
    coins = home("genesis", "add-genesis-account", address, "1umargin")[1]["coins"]
    assert {c["denom"]: c["amount"] for c in coins} == {"umargin": "6", "aeth": str(2 * 10**18)}
    assert home("genesis", "add-validator", "--power", "7")[0] == 0
    assert home("genesis", "add-validator")[0] != 0
    assert home("genesis", "validate")[1]["valid"] is True


def test_unknown_settings_key_is_named_with_its_line(home):
    path = home.home / "config" / "app.toml"
    lines = path.read_text().splitlines()
    path.write_text("\n".join(["colour = 'red'", *lines]))
    code, _, error = home("config", "validate")
    assert code == 1
    assert f"{path}:1: colour: unknown key" in json.loads(error)["error"]


def test_config_shows_what_is_in_force(home, monkeypatch):
    monkeypatch.setenv("MARGINCHAIND_GRPC__ADDRESS", "127.0.0.1:7")
    assert home("config", "show")[1]["grpc"]["address"] == "127.0.0.1:7"


def test_every_message_has_a_command_with_its_fields(run):
    for module, methods in get_transaction_methods().items():
        for name, info in methods.items():
            code, text, _ = run("tx", module, name, "--help")
            assert code == 0, (module, name)
            assert info.path in text


def test_signers_are_known_for_every_message_of_our_chains():
    fields = get_signer_fields()
    for definition in CHAINS.values():
        for module in definition.modules:
            for route in module.messages:
                name = route.request.DESCRIPTOR.full_name
                assert name in fields or "." in route.signer_field


@pytest.fixture
def place_order():
    return get_transaction_methods()["markets"]["place-order"].request


def test_fields_are_read_as_people_write_them(place_order):
    message = build_message(
        place_order, {"side": "buy", "time_in_force": "post-only", "number": "3", "owner": "x"}
    )
    assert (message.side, message.time_in_force, message.number) == (1, 3, 3)
    assert "good-till-cancel" in list_enum_texts(
        place_order.fields_by_name["time_in_force"].enum_type
    )


@pytest.mark.parametrize(
    "texts", [{"side": "up"}, {"number": "-1"}, {"number": "1.5"}, {"number": str(2**32)}]
)
def test_unreadable_field_is_refused(place_order, texts):
    with pytest.raises(InvalidField):
        build_message(place_order, texts)


def test_amount_with_a_unit_fills_denom_and_amount():
    lock = get_transaction_methods()["vault"]["lock-collateral"].request
    message = build_message(lock, {"amount": "10 ETH"})
    assert (message.denom, message.amount) == ("aeth", str(10**19))
    with pytest.raises(InvalidField):
        build_message(lock, {"amount": "10 DOGE"})


def test_coins_are_sorted_and_money_takes_dollars():
    send = get_transaction_methods()["bank"]["send"].request
    message = build_message(send, {"amount": ["5umargin,1 ETH"]})
    assert [coin.denom for coin in message.amount] == ["aeth", "umargin"]
    deposit = get_transaction_methods()["accounts"]["deposit-cash"].request
    assert build_message(deposit, {"amount_uusd": "1.5 USD"}).amount_uusd == "1500000"
    with pytest.raises(InvalidField, match="uusd"):
        build_message(deposit, {"amount_uusd": "1 ETH"})


def test_bytes_are_read_in_three_forms(tmp_path):
    update = get_transaction_methods()["validators"]["update-validator"].request
    (tmp_path / "key").write_bytes(b"\x01\x02")
    for text in ("0x0102", "AQI=", f"@{tmp_path / 'key'}"):
        assert build_message(update, {"consensus_pubkey": text}).consensus_pubkey == b"\x01\x02"
    with pytest.raises(InvalidField):
        build_message(update, {"consensus_pubkey": "0xzz"})
