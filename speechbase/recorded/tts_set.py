"""Zero-shot TTS (Table 1): LibriSpeech test-clean of 4 to 10 s, prompts of at most 3 s of another utterance of the
speaker.

The set is that of CLaM-TTS and DiTTo-TTS: 1,237 utterances, 40 speakers, 2.1966 h. Which utterance prompts which is
drawn once (`librispeech_prompts.csv`, made by `choose_prompts`); where it is cut needs the times of its words.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas

from speechbase import audio
from speechbase.files import UserError, seed_of
from speechbase.recorded.manifests import limited, write_set
from speechbase.recorded.words import Word, last_words, of_recording, read_words

PROMPTS = Path(__file__).parent / "librispeech_prompts.csv"
SECONDS = (4.0, 10.0)  # both inclusive
PROMPT_SECONDS = 3.0


def selected(table: pandas.DataFrame) -> pandas.DataFrame:
    """The rows of 4 to 10 s, both inclusive, by id."""
    return table[table["seconds"].between(*SECONDS)].sort_values("id")


def choose_prompts(lengths: dict[str, float], seed: str = "librispeech prompts") -> dict[str, str]:
    """For every utterance of 4 to 10 s another one of the same speaker, of 3 s or more, drawn from (seed, id).

    Args:
        lengths: id ("speaker-chapter-number") -> seconds, of the whole of test-clean.
    """
    by_speaker: dict[str, list[str]] = {}
    for identity in sorted(lengths):
        if lengths[identity] >= PROMPT_SECONDS:
            by_speaker.setdefault(identity.split("-")[0], []).append(identity)
    prompts = {}
    for identity in sorted(i for i, seconds in lengths.items() if SECONDS[0] <= seconds <= SECONDS[1]):
        others = [other for other in by_speaker[identity.split("-")[0]] if other != identity]
        prompts[identity] = others[np.random.default_rng(seed_of(seed, identity)).integers(len(others))]
    return prompts


def read_prompts(path: Path = PROMPTS) -> dict[str, str]:
    """The shipped choice of prompts: id -> id of the utterance whose end prompts it."""
    with open(path, encoding="utf-8", newline="") as stream:
        return {row["id"]: row["prompt"] for row in csv.DictReader(stream)}


def cut_prompt(name: str, wave: np.ndarray, rate_hz: int, spoken: list[Word]) -> tuple[np.ndarray, str]:
    """The last words of the recording `name` that fit into 3 s, cut at their boundaries: (audio, text)."""
    words = last_words(spoken, PROMPT_SECONDS)
    start, end = (round(time * rate_hz) for time in (words[0].start_s, min(words[-1].end_s, len(wave) / rate_hz)))
    if end - start < 0.1 * rate_hz:
        raise UserError(
            f"The last words of {name} would make a prompt of {(end - start) / rate_hz:.2f} s: its times are wrong; "
            "align again."
        )
    return wave[start:end], " ".join(word.text.lower() for word in words)


def build(table: Path, words: Path, folder: Path, name: str = "tts", size: int | None = None) -> str:
    """Make the test set from the speech table of test-clean and a table of words (recordings by utterance id)."""
    rows = pandas.read_csv(table, keep_default_na=False, dtype={"id": str, "speaker": str})
    chosen, prompts, spoken = selected(rows), read_prompts(), read_words(words)
    by_id = {row["id"]: row for row in rows.to_dict("records")}
    if missing := set(chosen["id"]) - set(prompts):
        raise UserError(
            f"{PROMPTS.name} names no prompt for {sorted(missing)[0]} and {len(missing) - 1} more: another corpus?"
        )

    def wave_of(row: dict) -> tuple[np.ndarray, int]:
        return audio.read(table.parent / row["path"])

    def items() -> Iterator[tuple[dict, dict]]:
        for row in limited(chosen.to_dict("records"), size, seed_of(name)):
            reference, rate_hz = wave_of(row)
            prompter = by_id[prompts[row["id"]]]
            prompt, prompt_text = cut_prompt(prompter["id"], *wave_of(prompter), of_recording(spoken, prompter["id"]))
            item = {key: row[key] for key in ("id", "speaker", "sex", "text")}
            item |= {"task": "tts", "rate_hz": rate_hz, "prompt_text": prompt_text}
            yield item, {"reference": reference, "prompt": prompt}

    return write_set(name, items(), folder, None if size else "librispeech_test-clean_4_10s")
