"""Topologies: the default one, port allocation, the manifest's round trip."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from localnet.topology import NodePorts, Topology, allocate_ports, make_topology


def ports_of(topology):
    node_ports = [
        getattr(node.ports, name)
        for node in topology.nodes
        for name in NodePorts.__dataclass_fields__
    ]
    return node_ports + [link.port for chain in topology.chains for link in chain.links]


def test_the_default_is_a_hub_of_four_and_two_spokes_of_two():
    topology = make_topology()
    assert [(c.chain_id, c.kind, len(c.nodes)) for c in topology.chains] == [
        ("hub-1", "hub", 4),
        ("alpha-1", "spoke", 2),
        ("beta-1", "spoke", 2),
    ]
    first = topology.get_node("hub-1-v0").ports
    assert (first.p2p, first.rpc, first.abci, first.rest, first.grpc) == (
        26656, 26657, 26658, 1317, 9090,
    )  # fmt: skip
    assert len({node.name for node in topology.nodes}) == 8


def test_links_join_every_pair_once():
    chain = make_topology({"hub-1": 4, "alpha-1": 1}, has_links=True).get_chain("hub-1")
    pairs = {frozenset((link.dialer, link.listener)) for link in chain.links}
    assert len(chain.links) == len(pairs) == 6


@given(
    st.dictionaries(
        st.from_regex(r"[a-z]{1,5}-[0-9]", fullmatch=True), st.integers(1, 5), max_size=4
    ),
    st.booleans(),
    st.sets(st.integers(26_000, 27_000)),
)
def test_allocated_ports_are_distinct_free_and_habitual_where_possible(validators, links, taken):
    wanted = make_topology(validators, has_links=links)
    assert len(set(ports_of(wanted))) == len(ports_of(wanted))
    given_ = allocate_ports(wanted, lambda port: port not in taken, iter(range(30_000, 31_000)))
    found = ports_of(given_)
    assert len(set(found)) == len(found)
    assert not taken & set(found)
    for before, after in zip(ports_of(wanted), found, strict=True):
        assert after == before or before in taken
    assert Topology.from_json(given_.to_json()) == given_


def test_no_port_left_is_an_error():
    with pytest.raises(RuntimeError, match="no free port left"):
        allocate_ports(make_topology(), lambda _: False, iter(range(5)))


def test_unknown_names_list_the_known_ones():
    topology = make_topology({"solo-1": 1})
    with pytest.raises(KeyError, match="solo-1-v0"):
        topology.get_node("hub-1-v0")
    with pytest.raises(KeyError, match="solo-1"):
        topology.get_chain("hub-1")


@pytest.mark.parametrize("text", ["{}", '{"chains":[{}]}', '{"chains":[{"nodes":[{}]}]}', "[]"])
def test_a_file_that_is_no_manifest_is_refused(text):
    with pytest.raises(ValueError, match="not a topology manifest"):
        Topology.from_json(text)
