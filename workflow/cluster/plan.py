"""Which corpora, parts and files each product of the paper's scale needs: pure functions that the rules and the doctor
call."""

from __future__ import annotations

from pathlib import Path

from speechbase.recorded.corpora import Archive, check_licence, own_folder, read_corpora

NEEDS = {
    "librispeech": ["librispeech"],
    "realedit": ["realedit", "libritts"],
    "daps": ["daps", "daps_segmented"],
    "libri2mix": ["libri2mix", "librispeech"],
    "wsj0_2mix": ["wsj0_2mix"],
    "whamr": ["whamr"],
}
ALIGNED = ("librispeech", "daps")
FAILED_LIST = "failed"


def corpora_of_set(settings: dict) -> list[str]:
    """The corpora that a test set is made from."""
    return NEEDS[settings["from"]] + (["wham_noise"] if settings.get("noisy") else [])


def archives_needed(name: str, recorded: dict) -> list[Archive]:
    """The archives of a corpus that the configuration's parts ask for; all of them where it names none.

    Raises:
        UserError: a licence-bound corpus that is not held.
    """
    archives = read_corpora()[name]
    if own_folder(name, recorded):
        return []
    check_licence(archives, recorded)
    wanted = {part.replace("_", "-") for chosen in _choices(recorded) for part in chosen.get(name, [])}
    if name == "libritts" and any(settings["from"] == "realedit" for settings in recorded["testsets"].values()):
        wanted |= {"dev-clean", "dev-other"}
    if not wanted or len(archives) == 1:
        return archives
    return [archive for archive in archives if archive.part.replace("_", "-") in wanted or archive.part == FAILED_LIST]


def _choices(recorded: dict) -> list[dict]:
    return [*recorded["speech"].values(), recorded["held_out"]]


def corpora_used(recorded: dict) -> list[str]:
    """Every corpus that the configuration uses, sorted."""
    names = {name for chosen in _choices(recorded) for name in chosen} | {*recorded["noise"], *recorded["rir"]}
    for settings in recorded["testsets"].values():
        names.update(corpora_of_set(settings))
    return sorted(names)


def parts_of(recorded: dict, table: str) -> list[tuple[str, str]]:
    """(corpus, part) pairs whose tables a speech table is joined from, with those of the held-out readers."""
    chosen = [(corpus, part) for corpus, parts in recorded["speech"][table].items() for part in parts]
    if table.endswith("valid"):
        return chosen
    return list(dict.fromkeys(chosen + [(c, part) for c, parts in recorded["held_out"].items() for part in parts]))


def training_shards(model: dict, recorded: dict) -> list[str]:
    """The marks of the shards that a model's training streams: clean speech, for TTS its own speech as latents, and
    for PolySpeech several languages'.

    Args:
        model: its entry in the configuration.
    """
    written = ["valid"] if model["kind"] == "tts" else [model.get("speech", "train"), "valid"]
    written += ["languages_train", "languages_valid"] if model["kind"] == "polyspeech" else []
    encoded = ["tts"] if model["kind"] in ("tts", "multitask") else []
    marks = [(table, ".written") for table in written] + [(table, ".encoded") for table in encoded]
    numbers = range(recorded["shard_parts"])
    return [f"<data>/shards/{table}/{mark}/{number}.done" for table, mark in marks for number in numbers]


def unpacked(names: list[str], recorded: dict) -> list[Path]:
    """The records of unpacked corpora that a job waits for; a corpus of the user's own needs none."""
    folder = Path(recorded["folder"])
    return [folder / f"{name}.json" for name in dict.fromkeys(names) if own_folder(name, recorded) is None]


def part_of(corpus: str, file: str) -> str:
    """The part of a corpus that an archive's file name belongs to."""
    return next(archive.part for archive in read_corpora()[corpus] if archive.file == file)


def words_of(settings: dict, made_here: str) -> str | list:
    """The table of word times that a test set needs: the user's own, the one that is made here, or none."""
    if settings["from"] not in ALIGNED:
        return []
    return settings.get("words", made_here)
