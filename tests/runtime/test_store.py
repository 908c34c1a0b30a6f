import pytest
from hypothesis import given
from hypothesis import strategies as st

from chain.runtime import store as store_module
from chain.runtime.store import Branch, EmptyState

KEYS = st.binary(min_size=1, max_size=2)
STEPS = st.lists(
    st.tuples(st.sampled_from(["set", "delete", "branch", "keep", "drop", "look"]), KEYS, KEYS),
    max_size=60,
)


@pytest.mark.parametrize("indexed", [0, 3, 1_000])
@given(steps=STEPS)
def test_nested_branches_read_as_one_sorted_map(indexed, steps):
    original = store_module.INDEXED_WRITES
    store_module.INDEXED_WRITES = indexed
    try:
        stack, models = [Branch(EmptyState())], [{}]
        for step, key, other in steps:
            branch, model = stack[-1], models[-1]
            if step == "set":
                branch.set("s", key, other)
                model[key] = other
            elif step == "delete":
                branch.delete("s", key)
                model.pop(key, None)
            elif step == "branch":
                stack.append(branch.branch())
                models.append(dict(model))
            elif step in ("keep", "drop") and len(stack) > 1:
                stack.pop()
                changed = models.pop()
                if step == "keep":
                    branch.commit()
                    models[-1] = changed
            low, high = sorted((key, other))
            for end in (high, None):
                expected = [
                    (k, v)
                    for k, v in sorted(models[-1].items())
                    if k >= low and (not end or k < end)
                ]
                assert list(stack[-1].iterate("s", low, end)) == expected
                assert list(stack[-1].iterate("s", low, end, reverse=True)) == expected[::-1]
            assert stack[-1].get("s", key) == models[-1].get(key)
    finally:
        store_module.INDEXED_WRITES = original
