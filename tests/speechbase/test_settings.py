"""Settings of a wrong name, type or range are refused in a sentence that names key and choices."""

from __future__ import annotations

from typing import Annotated, Literal, NotRequired

import pytest
from pydantic import ConfigDict, Field
from typing_extensions import TypedDict

from speechbase.files import UserError
from speechbase.settings import Settings, checked


class Shade(TypedDict):
    __pydantic_config__ = ConfigDict(extra="forbid")

    width_mm: NotRequired[int]


class Lamp(Settings):
    colour: Literal["red", "green"] = "red"
    shades: list[Shade] | None = None
    watts: Annotated[float, Field(gt=0, le=100)] = 5.0
    height_m: float = 1.0
    bulbs: int | None = None
    on: bool = False


def test_what_fits_is_taken():
    assert checked(Lamp, {"watts": 7, "bulbs": None}, "the lamp").watts == 7


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"color": "red"}, "did you mean 'colour'"),
        ({"shades": [{}, {"widht_mm": 2}]}, r"'shades\.1\.widht_mm' \(did you mean 'width_mm'"),
        ({"colour": "blue"}, "'red' or 'green'"),
        ({"watts": 0}, "watts is 0: input should be greater than 0"),
        ({"watts": float("nan")}, "watts"),
        ({"height_m": float("inf")}, "height_m is inf: input should be a finite number"),
        ({"bulbs": "2"}, "bulbs is '2': input should be a valid integer"),
        ({"bulbs": True}, "bulbs is True"),
        ({"on": "yes"}, "on is 'yes'"),
        ({"on": "x" * 1_000_000}, "on is 'xxxx"),
        (16000, "must be an object"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_what_does_not_fit_is_a_sentence(given, said):
    with pytest.raises(UserError, match=said) as refused:
        checked(Lamp, given, "the lamp")
    assert "the lamp" in str(refused.value) and len(str(refused.value)) < 300
