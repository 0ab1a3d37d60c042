import pytest

from wherewhen.core.errors import DataError
from wherewhen.core.values import Prediction, Truth
from wherewhen.metrics._pairs import paired, where_defined


def test_many_missing_ids_are_counted():
    truths = {f"v{n}": Truth([0, 1]) for n in range(8)}
    with pytest.raises(DataError, match="no prediction for 'v0', 'v1', 'v2', 'v3', 'v4' and 3 more"):
        paired({}, truths)


def test_pairs_come_by_id():
    truths = {"b": Truth([0, 1]), "a": Truth([0, 2])}
    told = {"a": Prediction(), "b": Prediction()}
    assert [(key, p is told[key], t is truths[key]) for key, p, t in paired(told, truths)] == [
        ("a", True, True),
        ("b", True, True),
    ]


def test_only_data_errors_make_a_number_absent():
    def undefined():
        raise DataError("nothing there")

    def broken():
        raise ValueError("a mistake")

    assert where_defined({"good": lambda: 0.5, "none": undefined}) == {"good": 0.5}
    with pytest.raises(ValueError, match="a mistake"):
        where_defined({"bad": broken})
