"""Settings that a user gives, checked by a model of types and ranges before any work is done."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Annotated, Any, Literal, TypeVar, get_args, get_origin

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, WrapValidator

from speechbase.files import UserError, did_you_mean

SHOWN = 60  # characters of a wrong value that a message repeats


def _as_tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _as_written(value: Any, check: Callable[[Any], float]) -> float:
    checked_value = check(value)
    return value if type(value) is int else checked_value


LISTED = BeforeValidator(_as_tuple)  # configuration has lists where settings, read-only, have tuples
Name = Annotated[str, Field(pattern="^[a-z0-9_]+$")]
Id = Annotated[str, Field(pattern="^[a-z0-9-]+$")]
Text = Annotated[str, Field(min_length=1)]
Natural = Annotated[int, Field(ge=0)]
Count = Annotated[int, Field(ge=1)]
Positive = Annotated[float, Field(gt=0)]
NotNegative = Annotated[float, Field(ge=0)]
Share = Annotated[float, Field(ge=0, le=1)]
Range = Annotated[tuple[float, float], LISTED]
Pair = Annotated[tuple[NotNegative, NotNegative], LISTED]
Counts = Annotated[tuple[Count, ...], LISTED, Field(min_length=1)]
WRITTEN = WrapValidator(_as_written)  # a whole number stays one, where its form is part of a system's identity


def key(default: Any, meaning: str) -> Any:
    """A setting that may be left out: its default, and what it means."""
    return Field(default, description=meaning)


def needed(meaning: str) -> Any:
    """A setting that must be given, and what it means."""
    return Field(description=meaning)


class Settings(BaseModel):
    """A group of settings: no other keys, no conversion of types (but whole numbers are numbers), finite, read-only."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


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


def value_of(model: type[Settings], values: Mapping[str, Any], name: str) -> Any:
    """One setting of `values`, or the model's default for it."""
    return values.get(name, model.model_fields[name].default)


def refuse_unknown(values: Iterable[str], known: Iterable[str], where: str) -> None:
    """Raises: UserError: a key that is not known, with the nearest that is."""
    for key in values:
        if key not in known:
            raise UserError(f"{where}: unknown key {key!r}{did_you_mean(str(key), known)}.")


def _sentence(error: Mapping[str, Any], model: type[Settings], where: str) -> str:
    path, known = _place(model, error["loc"])
    key = ".".join(path) or "it"
    if error["type"] == "extra_forbidden":
        return f"{where} has no setting {key!r}{did_you_mean(path[-1], known)}"
    if error["type"] == "missing":
        return f"{where} lacks the setting {key!r}"
    hint = ", True or False" if error["type"] == "bool_type" else ""
    return f"{where}: {key} is {_short(error['input'])}: {_lower(error['msg'])}{hint}"


def _place(model: type[Settings], steps: Sequence[Any]) -> tuple[list[str], list[str]]:
    """Where an error's steps lead: the keys on the way, and those that are known where the last one stands."""
    path, kinds, known = [], [model], {}
    for step in steps:
        known = {name: inner for kind in kinds for name, inner in _fields(kind).items()}
        if step in known:
            kinds = models_in(known[step])
        elif _is_branch(step, kinds):
            continue
        path.append(str(step))
    return path, sorted(known)


def _fields(kind: Any) -> dict[str, Any]:
    """The keys of a model or a typed dictionary, with what each takes."""
    if not isinstance(kind, type):
        return {}
    fields = {field.alias or name: field.annotation for name, field in getattr(kind, "model_fields", {}).items()}
    return fields or getattr(kind, "__annotations__", {})


def models_in(kind: Any) -> list[Any]:
    """The models and typed dictionaries among what a key takes, in lists, mappings and unions too."""
    return [kind] if _fields(kind) else [one for argument in get_args(kind) for one in models_in(argument)]


def _is_branch(step: Any, kinds: Sequence[Any]) -> bool:
    """Whether a step of an error's place names pydantic's own branch of a union instead of a key."""
    choices = [one for kind in kinds for one in _fields(kind).values() if get_origin(one) is Literal]
    tags = [tag for choice in choices for tag in get_args(choice)]
    return step in ("int", "float", "bool", "str", "none") or (len(kinds) > 1 and step in tags)


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}..."


def _lower(message: str) -> str:
    message = message.removeprefix("Value error, ")
    return message[:1].lower() + message[1:]
