import hashlib
from decimal import Decimal

from chain.risk import tables
from tests.risk import reference

ONE = Decimal(2) ** tables.BITS
SHA256 = "1b189daf86b0a939ac2a0e92cd1ebe703c93c42787039870bb94a76247925383"


def round_nearest(value: Decimal) -> int:
    return int((value * ONE).to_integral_value())


def test_every_entry_is_the_nearest_number():
    assert round_nearest(Decimal(2).ln()) == tables.LN_2
    assert list(tables.LN_OF_RECIPROCALS) == [
        round_nearest(-(Decimal(r) / 512).ln()) for r in tables.RECIPROCALS
    ]
    nodes = [Decimal(i) / tables.NORMAL_STEPS for i in range(len(tables.NORMAL_CDF))]
    assert list(tables.NORMAL_CDF) == [round_nearest(reference.distribution(x)) for x in nodes]
    assert list(tables.NORMAL_PDF) == [round_nearest(reference.density(x)) for x in nodes]


def test_reciprocals_bring_each_part_next_to_one():
    assert len(tables.RECIPROCALS) == 128
    for index, reciprocal in enumerate(tables.RECIPROCALS):
        for edge in (Decimal(index), Decimal(index + 1)):
            assert abs((1 + edge / 128) * reciprocal / 512 - 1) < Decimal(1) / 128


def test_tables_have_their_recorded_hash():
    numbers = (
        tables.BITS,
        tables.LN_2,
        *tables.RECIPROCALS,
        *tables.LN_OF_RECIPROCALS,
        *tables.NORMAL_CDF,
        *tables.NORMAL_PDF,
    )
    text = ",".join(map(str, numbers))
    assert hashlib.sha256(text.encode()).hexdigest() == SHA256
