"""The tables' presets: found, read, checked, and chosen by their kind."""

from __future__ import annotations

import re
from pathlib import Path

from speechbase.files import UserError, did_you_mean, read_yaml
from speechbase.settings import checked
from workflow.plan.places import ROOT
from workflow.plan.preset import Preset

PRESETS = ROOT / "workflow" / "presets"
PAPER_KINDS = ("table", "words", "figure")
NEIGHBOURS = "neighbour"  # the kind of tables of other papers' systems


def read_preset(path: Path) -> dict:
    """One table's preset, checked. Raises: UserError: what is wrong with it, and where."""
    preset = read_yaml(path)
    checked(Preset, preset, str(path))
    _check_columns(preset, path)
    _check_ceilings(preset, path)
    return preset


def preset_files(folder: Path = PRESETS) -> dict[str, Path]:
    """Every table's preset by its name: `<name>.yaml` in the folders under `folder`.

    Raises:
        UserError: a name that stands in two folders.
    """
    found: dict[str, Path] = {}
    for path in sorted(folder.glob("*/*.yaml"), key=lambda path: path.stem):
        if path.stem in found:
            raise UserError(f"{path} and {found[path.stem]} would make the same table: rename one.")
        found[path.stem] = path
    return found


def preset_file(name: str) -> str:
    """A table's preset, relative to the root. Raises: UserError: no such table."""
    files = preset_files()
    if name not in files:
        raise UserError(f"workflow/presets/ has no table {name!r}{did_you_mean(name, files)}.")
    return str(files[name].relative_to(ROOT))


def read_presets(folder: Path = PRESETS) -> dict[str, dict]:
    """Every table by its name, checked. Raises: UserError: what is wrong with a preset, and where."""
    return {name: read_preset(path) for name, path in preset_files(folder).items()}


def of_kind(presets: dict[str, dict], *kinds: str) -> dict[str, dict]:
    """The tables of these kinds, in the order of the paper: figures last, numbers in names as numbers."""

    def place(name: str) -> tuple:
        parts = re.split(r"([0-9]+)", name)
        return presets[name]["kind"] == "figure", [int(part) if part.isdigit() else part for part in parts]

    return {name: presets[name] for name in sorted(presets, key=place) if presets[name]["kind"] in kinds}


def frozen(presets: dict[str, dict]) -> str:
    """The table that the regression compares. Raises: UserError: none, or several."""
    found = list(of_kind(presets, "frozen"))
    if len(found) != 1:
        raise UserError(f"One preset must have the kind frozen, and {', '.join(found) or 'none'} has it.")
    return found[0]


def corrupted(presets: dict[str, dict]) -> dict[str, str]:
    """System -> the name of the transcripts with wrong words that it is guided by, where a table asks for that."""
    told = [item for preset in presets.values() for item in preset.get("transcripts", {}).items()]
    return {system: _wrong(entry) for system, entry in told}


def _wrong(entry: dict) -> str:
    source = f"confused_{entry['confusions']}" if "confusions" in entry else "corrupted"
    return f"{source}_{entry['corrupted_percent']}"


def _check_columns(preset: dict, path: Path) -> None:
    if (preset["kind"] == "sweep") != ("sweep" in preset):
        raise UserError(f"{path}: the kind sweep needs the key `sweep`, and no other kind takes it.")
    unheard = set(preset.get("transcripts", {})) - set(preset.get("systems", {}))
    if unheard:
        raise UserError(f"{path}: transcripts names {sorted(unheard)[0]!r}, which is none of the table's own systems.")
    roles = [metric["role"] for metric in preset["metrics"]]
    if preset["kind"] == "frozen" and (neither := [x["role"] for x in preset["metrics"] if x["better"] == "none"]):
        raise UserError(
            f"{path}, column {neither[0]!r}: what moved in a frozen table is judged: `better` must be higher or lower."
        )
    labels = [row["label"] for row in preset["rows"]]
    if len(set(roles)) < len(roles) or len(set(labels)) < len(labels):
        raise UserError(f"{path}: a role or a row's label occurs twice.")
    for row in preset["rows"]:
        unknown = (set(row.get("paper", {})) | set(row.get("roles", []))) - set(roles)
        if unknown:
            name = sorted(unknown)[0]
            raise UserError(
                f"{path}, row {row['label']!r}: no column has the role {name!r}{did_you_mean(name, roles)}."
            )
        if not row.get("system") and not row.get("paper"):
            raise UserError(f"{path}, row {row['label']!r}: a row needs a system to run or the paper's values.")


def _check_ceilings(preset: dict, path: Path) -> None:
    quotients = quotients_of(preset)
    plain = [column["role"] for column in preset["metrics"] if column["role"] not in quotients]
    for role, divided in quotients.items():
        if divided not in plain:
            hint = did_you_mean(divided, plain)
            raise UserError(f"{path}, column {role!r}: `of_ceiling` names {divided!r}, which is no other column{hint}.")
    for row in preset["rows"]:
        asked = [role for role in roles_of(preset, row) if role in quotients] if row.get("system") else []
        where = f"{path}, row {row['label']!r}"
        if asked and "ceiling" not in row:
            raise UserError(f"{where}: {asked[0]!r} is a quotient: name its `ceiling`, or its `roles` without that.")
        if "ceiling" in row and not asked:
            raise UserError(f"{where}: none of its columns divides by its `ceiling`.")
        if asked:
            _check_divided({quotients[role] for role in asked}, row, preset, where)


def _check_divided(roles: set[str], row: dict, preset: dict, where: str) -> None:
    """A row and its ceiling must both be measured in what is divided, or nobody would ever score it."""
    name, ceiling = row.get("set", preset["set"]), row["ceiling"]
    beside = {other.get("system"): other for other in preset["rows"] if other.get("set", preset["set"]) == name}
    others = beside.keys() - {row["system"], None}
    if ceiling not in others:
        hint = did_you_mean(ceiling, others)
        raise UserError(f"{where}: its ceiling {ceiling!r} is no other system of this table on {name!r}{hint}.")
    for one in (row, beside[ceiling]):
        if missing := sorted(roles - set(roles_of(preset, one))):
            raise UserError(f"{where}: the row {one['label']!r} is not measured in {missing[0]!r}, which is divided.")


def roles_of(preset: dict, row: dict) -> list[str]:
    """The roles that a row is measured in."""
    return row.get("roles") or [column["role"] for column in preset["metrics"]]


def names_of(row: dict, preset: dict) -> list[str]:
    """What a claim may call a row of a table: its label, its system, and its system@set."""
    names = [row["label"]]
    if row.get("system"):
        names += [row["system"], f"{row['system']}@{row.get('set') or preset.get('set')}"]
    return names


def quotients_of(preset: dict) -> dict[str, str]:
    """Role of each column that divides by a ceiling -> the role that it divides."""
    return {column["role"]: column["of_ceiling"] for column in preset["metrics"] if "of_ceiling" in column}
