from hypothesis import given
from hypothesis import strategies as st

from chain.risk.waterfall import Layer, compute_allocation, compute_rolling_capacity_uusd


def test_layers_pay_in_order():
    allocation = compute_allocation(
        100, (Layer("account", 30), Layer("insurance", 50), Layer("deleveraging", 10))
    )
    assert [draw.amount_uusd for draw in allocation.draws] == [30, 50, 10]
    assert allocation.uncovered_uusd == 10


def test_a_covered_loss_leaves_later_layers_alone():
    allocation = compute_allocation(20, (Layer("account", 30), Layer("insurance", 50)))
    assert [draw.amount_uusd for draw in allocation.draws] == [20, 0]
    assert allocation.uncovered_uusd == 0


@given(st.integers(0, 10**30), st.lists(st.integers(0, 10**30), max_size=8))
def test_every_unit_is_accounted_for(loss, capacities):
    layers = [Layer(str(index), capacity) for index, capacity in enumerate(capacities)]
    allocation = compute_allocation(loss, layers)
    paid = [draw.amount_uusd for draw in allocation.draws]
    assert sum(paid) + allocation.uncovered_uusd == loss
    assert all(
        0 <= amount <= layer.capacity_uusd for amount, layer in zip(paid, layers, strict=True)
    )
    for index, amount in enumerate(paid[:-1]):
        assert amount == capacities[index] or not any(paid[index + 1 :])


def test_at_most_a_share_leaves_in_a_window():
    def capacity(balance, paid):
        return compute_rolling_capacity_uusd(
            balance_uusd=balance, share_ppm=500_000, paid_in_window_uusd=paid
        )

    assert capacity(1_000, 0) == 500
    assert capacity(600, 400) == 100
    assert capacity(500, 500) == 0
    assert capacity(0, 900) == 0
