"""The named accounts: the same on every machine, valid BIP-39, told apart."""

from mnemonic import Mnemonic

from chain.client.wallet import Wallet
from localnet.actors import ACTORS, COUNCIL, UNSAFE_ACTOR_TEXT, Actor


def test_the_keys_are_those_of_valid_mnemonics_and_differ():
    for actor in ACTORS.values():
        assert Mnemonic("english").check(actor.mnemonic)
        assert Wallet.from_mnemonic(actor.mnemonic).address == actor.address
    assert len({actor.address for actor in ACTORS.values()}) == len(ACTORS)


def test_a_key_is_a_function_of_its_name_alone():
    assert Actor("alice", "another role").address == ACTORS["alice"].address
    assert ACTORS["alice"].address == "margin1m38vqj8hlqnmp05xaf4dtsfu62fwayam3df73g"
    assert "UNSAFE" in UNSAFE_ACTOR_TEXT


def test_the_council_has_three_members():
    assert [actor.name for actor in COUNCIL] == ["council-1", "council-2", "council-3"]
