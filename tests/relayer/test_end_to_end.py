"""The relayer between two real chains of one validator each: crashes, freezes, forks, timeouts."""

import asyncio
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import replace
from functools import partial

import httpx2
import pytest
import tomlkit

from chain._pb.cosmos.bank.v1beta1 import tx_pb2 as bank_tx
from chain._pb.cosmos.base.v1beta1 import coin_pb2
from chain._pb.ibc.core.client.v1 import client_pb2
from chain._pb.ibc.core.client.v1 import tx_pb2 as client_tx
from chain._pb.ibc.lightclients.tendermint.v1 import tendermint_pb2
from chain._pb.margin.params.v1 import params_pb2
from chain._pb.margin.vault.v1 import tx_pb2 as vault_tx
from chain.client.comet import CometClient
from chain.client.transaction import pack_any
from chain.ibc.client.tendermint_wire import (
    signed_header_from_pb,
    signed_header_to_pb,
    validator_set_from_pb,
    validator_set_to_pb,
)
from chain.modules.council.types import authority_address
from chain.modules.vault.types import build_default_params
from localnet.actors import ACTORS
from localnet.clients import open_chains
from localnet.deployment import Localnet, LocalnetOptions
from localnet.governance import decide
from localnet.homes import derive_validator_key
from localnet.network import is_port_free, list_candidate_ports
from localnet.relaying import relayer_program
from relayer.clients import fetch_client
from relayer.config import load_config
from relayer.endpoint import Endpoint
from relayer.events import parse_attributes
from relayer.headers import fetch_header, to_time_ns
from relayer.telemetry import Telemetry
from tests.support.headers import TestValidatorSet

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(180)]

HUB, SPOKE = "hub-1", "alpha-1"
LOCKS = 10
BLOCK_NS = 1_000_000_000
"""The block interval that operators run; the network of this test is faster."""


@pytest.fixture(scope="module")
def net(tmp_path_factory):
    made = Localnet.create(
        tmp_path_factory.mktemp("relay") / "net",
        LocalnetOptions(
            validators={HUB: 1, SPOKE: 1}, timeout_commit_ms=300, has_habitual_ports=False
        ),
    )
    try:
        made.up()
        yield made
    finally:
        made.down()


def rpc_of(net, chain_id):
    return net.network.topology.get_chain(chain_id).nodes[0].rpc_url


def lock(count=1):
    alice = ACTORS["alice"].address
    message = vault_tx.MsgLockCollateral(
        depositor=alice, owner=alice, denom="aeth", amount="1000000"
    )
    return [message] * count


async def send_locks(net, transactions, pause_s=0.0):
    async with open_chains(net.network.topology) as chains:
        for _ in range(transactions):
            await chains[SPOKE].deliver(ACTORS["alice"].wallet, lock(LOCKS))
            await asyncio.sleep(pause_s)


async def read_lives(net, chain_id):
    """How often each packet that a chain sent was sent, acknowledged and timed out there."""
    lives = {kind: Counter() for kind in ("send_packet", "acknowledge_packet", "timeout_packet")}
    async with CometClient(rpc_of(net, chain_id)) as client:
        tip = (await client.abci_info())[0]
        for height in range(1, tip + 1):
            results = await client.block_results(height)
            events = [e for r in results.tx_results if r.code == 0 for e in r.events]
            for event in (*events, *results.events):
                if event.type in lives:
                    lives[event.type][int(parse_attributes(event)["packet_sequence"])] += 1
    return lives


async def wait_until_settled(net, chain_id, timeout_s):
    deadline = time.monotonic() + timeout_s
    while True:
        lives = await read_lives(net, chain_id)
        settled = lives["acknowledge_packet"] + lives["timeout_packet"]
        waiting = sorted(set(lives["send_packet"]) - set(settled))
        # The hub sends a heartbeat every few seconds: its newest is always under way.
        if not waiting[: -1 if chain_id == HUB else None]:
            assert max(settled.values()) == 1, "a packet was settled twice"
            return lives
        assert time.monotonic() < deadline, f"{waiting} wait: {net.relayer.read_log_tail(20)}"
        await asyncio.sleep(1)


def read_metric(net, name, **labels):
    port = load_config(net.relayer_home / "config.toml").telemetry.port
    text = httpx2.get(f"http://127.0.0.1:{port}/metrics", trust_env=False).text
    for line in text.splitlines():
        if line.startswith(name) and all(f'{k}="{v}"' in line for k, v in labels.items()):
            return float(line.rsplit(" ", 1)[1])
    return 0.0


def run_mrelay(home, *words, timeout_s=60):
    done = subprocess.run(
        [relayer_program(), "--home", str(home), "--output", "json", *words],
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
    )
    return done.returncode, json.loads(done.stdout) if done.stdout.strip() else done.stderr


def test_packets_of_both_directions_are_acknowledged_once(net):
    asyncio.run(send_locks(net, 3))
    lives = asyncio.run(wait_until_settled(net, SPOKE, 40))
    assert len(lives["acknowledge_packet"]) >= 3 * LOCKS
    assert asyncio.run(wait_until_settled(net, HUB, 40))["acknowledge_packet"]
    assert read_metric(net, "receive_packets_confirmed_total", src_chain=SPOKE) >= 3 * LOCKS
    assert read_metric(net, "task_failures_total") == 0


def test_commands_answer_in_json(net):
    code, rows = run_mrelay(net.relayer_home, "health-check")
    assert code == 0
    assert all(row["healthy"] for row in rows)
    code, rows = run_mrelay(net.relayer_home, "keys", "balance")
    assert code == 0
    assert {row["chain"] for row in rows} == {HUB, SPOKE}
    code, rows = run_mrelay(net.relayer_home, "query", "clients")
    assert code == 0
    assert {row["status"] for row in rows} == {"active"}
    name = load_config(net.relayer_home / "config.toml").paths[0].name
    words = ("explain", "--path", name, "--chain", SPOKE, "--sequence", "1")
    code, row = run_mrelay(net.relayer_home, *words)
    assert code == 0
    assert (row["sequence"], row["owed"]) == (1, "nothing")
    code, text = run_mrelay(net.relayer_home, "query", "pending", "--path", "nowhere")
    assert code == 1
    assert "no [[paths]] entry" in text


def test_killed_at_random_moments_every_packet_is_settled_once(net):
    draw = random.Random(11)

    async def play():
        load = asyncio.create_task(send_locks(net, 6, pause_s=0.5))
        while not load.done():
            await asyncio.sleep(draw.uniform(0.4, 3.0))
            net.relayer.kill()
            net.relayer.start()
        await load
        return await wait_until_settled(net, SPOKE, 60)

    lives = asyncio.run(play())
    assert len(lives["acknowledge_packet"]) == len(lives["send_packet"])


def test_outside_use_of_the_key_is_survived(net):
    async def play():
        wallet = ACTORS["relayer"].wallet
        load = asyncio.create_task(send_locks(net, 3))
        async with open_chains(net.network.topology) as chains:
            for _ in range(3):
                send = bank_tx.MsgSend(
                    from_address=wallet.address,
                    to_address=ACTORS["carol"].address,
                    amount=[coin_pb2.Coin(denom="umargin", amount="1")],
                )
                await chains[HUB].deliver(wallet, [send])
        await load
        await wait_until_settled(net, SPOKE, 40)

    asyncio.run(play())


def test_a_frozen_node_is_left_for_the_next(net):
    node = net.network.topology.get_chain(HUB).nodes[0]
    port = next(port for port in list_candidate_ports() if is_port_free(port))
    proxy = subprocess.Popen(
        [sys.executable, "-m", "tests.support.tcp_proxy", str(port), str(node.ports.rpc)]
    )
    path = net.relayer_home / "config.toml"
    original = path.read_text()
    document = tomlkit.parse(original)
    document["chains"][0]["rpc_addrs"] = [f"http://127.0.0.1:{port}", node.rpc_url]
    document["chains"][0]["rpc_timeout_s"] = 5
    net.relayer.stop()
    path.write_text(tomlkit.dumps(document))
    net.relayer.start()
    try:
        asyncio.run(send_locks(net, 1))
        asyncio.run(wait_until_settled(net, SPOKE, 40))
        os.kill(proxy.pid, signal.SIGSTOP)
        started_s = time.monotonic()
        asyncio.run(send_locks(net, 1))
        asyncio.run(wait_until_settled(net, SPOKE, 30))
        assert time.monotonic() - started_s < 30
        assert read_metric(net, "endpoint_changes_total", chain=HUB) >= 1
    finally:
        proxy.kill()
        proxy.wait()
        net.relayer.stop()
        path.write_text(original)
        net.relayer.start()


def test_stops_within_five_seconds_and_an_expired_packet_times_out(net):
    async def set_lock_timeout(timeout_s):
        params = build_default_params()
        params.lock_timeout_s = timeout_s
        message = params_pb2.MsgUpdateParams(
            authority=authority_address(), module="vault", params=pack_any(params)
        )
        async with open_chains(net.network.topology) as chains:
            await decide(chains[SPOKE], "lock timeout", [message])

    asyncio.run(set_lock_timeout(3))
    started_s = time.monotonic()
    net.relayer.stop(timeout_s=20)
    assert time.monotonic() - started_s < 5
    asyncio.run(send_locks(net, 1))
    time.sleep(5)
    net.relayer.start()
    try:
        lives = asyncio.run(wait_until_settled(net, SPOKE, 40))
    finally:
        asyncio.run(set_lock_timeout(600))
    assert len(lives["timeout_packet"]) == LOCKS


def test_a_killed_link_goes_on_where_the_chains_stand(net, tmp_path):
    net.relayer.stop()
    home = tmp_path / "second"
    document = tomlkit.parse((net.relayer_home / "config.toml").read_text())
    for key in ("a_client", "b_client", "a_connection", "b_connection", "a_channel", "b_channel"):
        document["paths"][0].pop(key)
    home.mkdir()
    (home / "config.toml").write_text(tomlkit.dumps(document))
    (home / "keyring-test").symlink_to(net.relayer_home / "keyring-test")
    draw = random.Random(5)
    for _ in range(5):
        link = subprocess.Popen(
            [relayer_program(), "--home", str(home), "link"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        time.sleep(draw.uniform(1.5, 4.0))
        link.kill()
        link.wait()
    code, rows = run_mrelay(home, "link", timeout_s=90)
    assert code == 0, rows
    # The first path made number 0 of everything; nothing was made in vain.
    assert rows[0]["a_client"] == rows[0]["b_client"] == "07-tendermint-1"
    assert rows[0]["a_connection"] == rows[0]["b_connection"] == "connection-1"
    assert rows[0]["a_channel"] == rows[0]["b_channel"] == "channel-1"
    net.relayer.start()


async def forge_header(net, hub, spoke, client_id):
    """A header of the collateral chain that its validator signed and the chain does not have."""
    view = await fetch_client(hub, client_id)
    tip = await spoke.latest()
    trusted = view.latest_height
    honest = await fetch_header(spoke, tip.height, trusted)
    key = derive_validator_key(net.network.topology.get_chain(SPOKE).nodes[0])
    signed = signed_header_from_pb(honest.signed_header)
    validators = TestValidatorSet(validator_set_from_pb(honest.validator_set), (key.signing,))
    header = replace(signed.header, app_hash=b"\x66" * 32)
    forged = replace(signed, header=header, commit=validators.sign_commit(header))
    return tendermint_pb2.Header(
        signed_header=signed_header_to_pb(forged),
        validator_set=validator_set_to_pb(validators.validators),
        trusted_height=client_pb2.Height(
            revision_number=trusted.revision_number, revision_height=trusted.revision_height
        ),
        trusted_validators=honest.trusted_validators,
    )


def test_a_fork_freezes_the_client_within_three_blocks_of_a_second(net):
    async def play():
        config = load_config(net.relayer_home / "config.toml")
        client_id = config.paths[0].a_client
        telemetry = Telemetry()
        hub, spoke = (Endpoint(config.get_chain(c), telemetry) for c in (HUB, SPOKE))
        forged = await forge_header(net, hub, spoke, client_id)
        carol = ACTORS["carol"].wallet
        async with open_chains(net.network.topology) as chains:
            update = client_tx.MsgUpdateClient(
                client_id=client_id, client_message=pack_any(forged), signer=carol.address
            )
            accepted = await chains[HUB].deliver(carol, [update])
            deadline = time.monotonic() + 30
            while not (await fetch_client(hub, client_id)).is_frozen:
                assert time.monotonic() < deadline, net.relayer.read_log_tail(20)
                await asyncio.sleep(0.1)
            height = accepted.height
            while "client_misbehaviour" not in dict(await chains[HUB].block_events(height)):
                height += 1
                await hub.wait_for_height(height + 1)
        headers = [
            await hub.ask("header", partial(CometClient.header, height=h))
            for h in (accepted.height, height)
        ]
        await hub.aclose()
        await spoke.aclose()
        return [to_time_ns(header.time) for header in headers]

    accepted_ns, frozen_ns = asyncio.run(play())
    assert frozen_ns - accepted_ns <= 3 * BLOCK_NS
    time.sleep(1)
    assert read_metric(net, "client_misbehaviours_submitted_total", chain=HUB) == 1
    code, rows = run_mrelay(net.relayer_home, "health-check")
    assert code == 1
    assert any("frozen" in row["faults"] for row in rows)
