"""config/README.md and workflow/schemas: `python -m workflow.plan.manual` writes them from the pydantic models."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic.fields import FieldInfo

from metrics.judges.recognisers import Asked, WhisperSettings
from speechbase.corpus.settings import PackagedCorpus
from speechbase.files import write_json, write_text
from speechbase.recorded.settings import RecordedCorpus
from speechbase.settings import Settings, models_in
from speechbase.training.settings import Model
from workflow.claims.stated import StatedClaims
from workflow.plan.places import ROOT
from workflow.plan.preset import Preset
from workflow.plan.schema import MODELS, Config, SystemEntry

SECTIONS: tuple[tuple[str, type[Settings]], ...] = (
    ("", Config),
    ("evaluation.asr.<name>", Asked),
    ("evaluation.asr.<name>", WhisperSettings),
    ("models.<name>", Model),
    *(("models.<name>", model) for model in dict.fromkeys(MODELS.values())),
    ("corpus", PackagedCorpus),
    ("corpus", RecordedCorpus),
    ("systems.<name>", SystemEntry),
)
Row = tuple[str, str, str, str]
PAGE = "config/README.md"
SCHEMAS: dict[str, type[Settings]] = {
    "preset": Preset,
    "claims": StatedClaims,
    "system": SystemEntry,
    "config": Config,
    "packaged_corpus": PackagedCorpus,
    "recorded_corpus": RecordedCorpus,
}
HEAD = """\
# Configuration

`config/base.yaml` holds what all scales share, `config/<scale>.yaml` a scale's differences, and
`--configfile mine.yaml` and `--config key=value` lie over both (`scale` in your file says which one; `nano` is the
default, `--config scale=smoke` takes `config/smoke.yaml`). A mapping is merged key by key, anything else replaced, and
`null` takes away what lies beneath it (under `evaluation.metrics` it stays: nothing measures that role). A scale of
your own is one file; it reads and writes `data/<scale>`, `models/<scale>` and `results/<scale>`. An unknown key is an
error that names it.

- A scale has the models that it names. `base: other` in a model's entry lays it over that model's.
- `training: {..., runs: [{...}, {...}]}` trains one model in several runs, each from the averaged weights of the one
  before, with its own optimiser and schedule; a run may change any key of `training`, and `batches` and `losses` key by
  key.
- `init: other` starts from another model's weights, `init: other@1` from those after its first run.
- `corpus.voices` names a cast of `config/voices.tsv` (or lists voices). A scale with `corpus.recorded` takes nothing of
  the packaged speech but seed, level and degradation.
"""
TAIL = """
Systems (which model, transcript and composition) are not configuration but data: `workflow/systems.yaml`. Tables are
too: `workflow/presets/*/*.yaml`.
"""


def render() -> str:
    """config/README.md: how layers are laid over each other, then every key."""
    seen: dict[type, str] = {}
    return HEAD + "".join(_section(place, model, seen) for place, model in SECTIONS) + TAIL


def _section(place: str, model: type[Settings], seen: dict[type, str]) -> str:
    """A heading and the table of a model's keys."""
    lines = [f"| {' | '.join(row)} |" for row in _rows(model, place, "", seen)]
    title = f"`{place}`: {_about(model)}" if place else "The configuration"
    return "\n".join(
        [f"\n## {title}\n", "| key | takes | left out | meaning |", "| --- | --- | --- | --- |", *lines, ""]
    )


def _rows(model: type[Settings], place: str, at: str, seen: dict[type, str]) -> Iterator[Row]:
    """(key, what it takes, what leaving it out means, meaning) of each key; keys that stand elsewhere are told so once.

    Args:
        place: the section of the document.
        at: where in that section the keys stand: "" or ending in a dot.
        seen: model -> where its keys stand; those met here are added.
    """
    base = next((base for base in model.__mro__[1:] if base in seen), None)
    told = () if base is None else base.model_fields  # type: ignore[attr-defined]
    if base is not None:
        yield f"`{at}*`", f"the keys of `{seen[base]}`", "", ""
    if place:
        above = [base for base in model.__mro__ if base not in Settings.__mro__]
        seen |= {base: f"{place}.{at}".strip(".") for base in above if base not in seen}
    takes = model.model_json_schema()["properties"]
    for name, field in model.model_fields.items():
        if name not in told:
            yield from _key(field, takes[field.alias or name], place, f"{at}{field.alias or name}", seen)


def _key(field: FieldInfo, takes: dict, place: str, path: str, seen: dict[type, str]) -> Iterator[Row]:
    """The rows of one key: itself, then the keys in it."""
    kinds, left_out, meaning = models_in(field.annotation), _left_out(field), field.description or ""
    if not kinds:
        yield f"`{path}`", _takes(_without_null(takes)), left_out, meaning
        return
    path += _entry(_without_null(takes))
    for kind in kinds:
        if kind in seen:
            yield f"`{path}`", f"as `{seen[kind]}`", left_out, meaning or _about(kind)
            continue
        yield f"`{path}`", "keys", left_out, meaning or _about(kind)
        yield from _rows(kind, place, f"{path}.", seen)


def _about(model: type[Settings]) -> str:
    return " ".join((model.__doc__ or "").split()).rstrip(".")


def _left_out(field: FieldInfo) -> str:
    """What a key that is left out means."""
    default = field.default
    if field.is_required():
        return "needed"
    if isinstance(default, Settings):
        default = default.model_dump(exclude_unset=True)
    return "" if default in (None, {}) else _plain(default)


def _plain(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name}: {_plain(inner)}" for name, inner in value.items())
    return f"{list(value)}".replace("'", "") if isinstance(value, tuple) else f"{value}"


def _without_null(value: dict) -> dict:
    kinds = [kind for kind in value.get("anyOf", ()) if kind != {"type": "null"}]
    return kinds[0] if len(kinds) == 1 else {"anyOf": kinds} if kinds else value


def _entry(value: dict) -> str:
    """How the keys in a list's elements, or in a mapping's values, are reached."""
    return "" if "$ref" in value or "oneOf" in value else "[]" if "items" in value else ".<name>"


def _takes(value: dict) -> str:
    """What a key takes, in words."""
    if kinds := value.get("anyOf"):
        return " or ".join(_takes(kind) for kind in kinds)
    if "enum" in value or "const" in value:
        return ", ".join(f"`{choice}`" for choice in value.get("enum", [value.get("const")]))
    kind = value.get("type")
    if kind == "array":
        element = _takes(value["items"] if "items" in value else value["prefixItems"][0])
        return f"[{element}, {element}]" if value.get("maxItems") == 2 else f"list of {element}"
    words = {"integer": "whole", "number": "number", "boolean": "True, False", "string": "text", "object": "mapping"}
    limits = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤"}
    return " ".join([words[str(kind)], *(f"{sign} {value[key]:g}" for key, sign in limits.items() if key in value)])


def write(root: Path = ROOT) -> None:
    """Write the page and the JSON schemas that editors read, from the models."""
    write_text(root / PAGE, render())
    for name, model in SCHEMAS.items():
        write_json(root / "workflow" / "schemas" / f"{name}.schema.json", model.model_json_schema())


if __name__ == "__main__":
    write()
