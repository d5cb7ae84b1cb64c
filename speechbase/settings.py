"""Settings that a user gives, checked by a model of types and ranges before any work is done."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeVar, get_args, get_origin

from pydantic import BaseModel, ConfigDict, ValidationError

from speechbase.files import UserError, did_you_mean

SHOWN = 60  # characters of a wrong value that a message repeats


class Settings(BaseModel):
    """A group of settings: no other keys, no conversion of types (but whole numbers are numbers), read-only."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


AnySettings = TypeVar("AnySettings", bound=Settings)


def checked(model: type[AnySettings], values: Mapping[str, Any], where: str) -> AnySettings:
    """The settings of `model` with the values given.

    Args:
        where: what has these settings, as the message's subject: "recogniser whisper_base".

    Raises:
        UserError: an unknown key, a wrong type or a value out of range; names the key and what it may be.
    """
    if not isinstance(values, Mapping):
        raise UserError(f"The settings of {where} must be an object of keys and values, not {_short(values)}.")
    try:
        return model.model_validate(dict(values))
    except ValidationError as error:
        raise UserError("; ".join(_sentence(one, model, where) for one in error.errors()) + ".") from None


def refuse_unknown(values: Iterable[str], known: Iterable[str], where: str) -> None:
    """Raises: UserError: a key that is not known, with the nearest that is."""
    for key in values:
        if key not in known:
            raise UserError(f"{where}: unknown key {key!r}{did_you_mean(str(key), known)}.")


def _sentence(error: Mapping[str, Any], model: type[Settings], where: str) -> str:
    key = ".".join(str(part) for part in error["loc"] if part in model.model_fields or not _is_branch(part)) or "it"
    if error["type"] == "extra_forbidden":
        return f"{where} has no setting {key!r}{did_you_mean(str(error['loc'][-1]), _known(model, error['loc'][:-1]))}"
    if error["type"] == "missing":
        return f"{where} lacks the setting {key!r}"
    hint = ", True or False" if error["type"] == "bool_type" else ""
    return f"{where}: {key} is {_short(error['input'])}: {_lower(error['msg'])}{hint}"


def _known(kind: Any, place: Sequence[Any]) -> list[str]:
    """The keys that may stand at a place in a model, in its nested models and typed dictionaries too."""
    fields = {field.alias or name: field.annotation for name, field in getattr(kind, "model_fields", {}).items()}
    fields = fields or getattr(kind, "__annotations__", {})
    if not fields:
        rest = place[1:] if get_origin(kind) is dict else place  # the name of the entry
        return sorted({key for argument in get_args(kind) for key in _known(argument, rest)})
    inner = [step for step in place if isinstance(step, str)]
    return _known(fields[inner[0]], inner[1:]) if inner and inner[0] in fields else sorted(fields)


def _is_branch(part: Any) -> bool:
    """Whether a part of an error's place names pydantic's own branch of a union instead of a key."""
    return isinstance(part, str) and part in ("int", "float", "bool", "str", "none")


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}..."


def _lower(message: str) -> str:
    message = message.removeprefix("Value error, ")
    return message[:1].lower() + message[1:]
