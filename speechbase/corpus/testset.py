"""Test sets: every choice drawn once from a seed, the audio written beside the manifest, checksums in every row."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from speechbase import audio
from speechbase.corpus import degrade, edit, jobs, speech
from speechbase.corpus.settings import Degradation, Noise, TestSet
from speechbase.files import UserError, did_you_mean, seed_of, sha256
from speechbase.items import UNKNOWN
from speechbase.settings import checked

COLUMNS = [
    "id", "set", "task", "speaker", "sex", "text", "rate_hz", "seconds", "source", "reference", "prompt", "prompt_text",
    "interferer", "orig_text", "orig_span", "new_span", "edit_type", "snr_db", "noise", "noise_kind", "rir",
    "degradation", "seed", "sha256_source", "sha256_reference",
]  # fmt: skip
PROMPT_SECONDS = 3.0
MOST_SECONDS = 600  # of a crop: everything
FITTING = 100  # items that are drawn to find one that is short enough


@dataclass
class Materials:
    """What a split's test sets are made from: its speech, noises and impulse responses (audio read on demand).

    Attributes:
        split: whose noises and rooms these are, and to which the sentences belong.
    """

    table: speech.SpeechTable
    folder: Path
    split: str
    noises: dict[str, dict]
    rirs: dict[str, dict]

    @classmethod
    def load(cls, folder: Path, split: str, config: dict, languages: Sequence[str] | None = None) -> Materials:
        """Read the tables under `folder` that a test set of `split` needs; `config` is the `corpus` sub-tree.

        Of the speech, the utterances of the split's own speakers only (`valid` has others as well); `real` and
        `debian_...` take all of their own (or those of some `languages`), and the noises and rooms of `test`;
        `recorded` has recorded ones, in tables of their own. Of noises and rooms the split's own table, or where there
        is none that of all splits.
        """
        base = speech.base_split(split)
        voices = {voice["id"] for voice in config["voices"] if voice["split"] == base}
        table = speech.SpeechTable.load(folder / "speech" / f"{split}.csv", eager=False)
        own = table.rows["speaker"].isin(voices) | (split.partition("_")[0] in ("real", speech.RECORDED, speech.DEBIAN))
        if languages is not None:
            if "language" not in table.rows:
                raise UserError(f"{folder / 'speech' / split}.csv says no languages: leave out `languages`.")
            own &= table.rows["language"].isin(languages)
        rows = table.rows[own].reset_index(drop=True)
        if rows.empty:
            raise UserError(
                f"{folder / 'speech' / split}.csv has no utterance of {', '.join(languages or sorted(voices))}."
            )
        sounds = []
        for name, columns in (("noise", ["id", "split", "kind", "path"]), ("rir", ["id", "split", "rt60_s", "path"])):
            own_table, all_tables = (folder / jobs.table_name(name, part) for part in (base, None))
            found = speech.read_table(own_table if own_table.is_file() else all_tables, columns)
            sounds.append({row["id"]: row for row in found[found["split"] == base].to_dict("records")})
        return cls(speech.SpeechTable(rows, table.folder, table.rate_hz), folder, base, *sounds)

    def draw(self, rng: np.random.Generator, config: dict) -> dict:
        """`degrade.draw` from the split's noises and rooms; `reverb.max_rt60_s` leaves longer decays out."""
        limit = config.get("reverb", {}).get("max_rt60_s", np.inf)
        rooms = [identity for identity, row in self.rirs.items() if row["rt60_s"] <= limit]
        return degrade.draw(rng, config, list(self.noises), rooms)

    def degraded(self, clean: np.ndarray, params: dict) -> degrade.Degraded:
        """One waveform [n] through the acoustic simulation with the drawn `params`; outcome [1, n]."""
        rate_hz = self.table.rate_hz
        noise = np.zeros_like(clean)
        if params["noise"]:
            clip, _ = audio.read(self.folder / self.noises[params["noise"]]["path"], rate_hz)
            noise = np.resize(np.roll(clip, -int(params["noise_start"] * len(clip))), len(clean))
        rir = None
        if params["rir"]:
            rir = torch.from_numpy(audio.read(self.folder / self.rirs[params["rir"]]["path"], rate_hz)[0])
        heard, disturbing = (torch.from_numpy(np.ascontiguousarray(wave, np.float32))[None] for wave in (clean, noise))
        return degrade.apply(heard, disturbing, [rir], [params], rate_hz)


def build(config: dict, name: str, folder: Path) -> Path:
    """Make `folder/testsets/<name>.csv` and its audio under `folder/testsets/<name>/`.

    Args:
        config: the `corpus` sub-tree; `testsets[name]` as in `speechbase.corpus.settings.TestSet`.

    Raises:
        UserError: an unknown set or task, or speech, noise or rooms that are not built yet.
    """
    if name not in config.get("testsets", {}):
        raise UserError(f"corpus.testsets has no {name!r}{did_you_mean(name, config.get('testsets', {}))}.")
    settings = checked(TestSet, config["testsets"][name], f"corpus.testsets.{name}")
    if settings.task not in MAKERS:
        raise UserError(f"corpus.testsets.{name}.task is {settings.task!r}{did_you_mean(settings.task, MAKERS)}.")
    folder = Path(folder)
    materials = Materials.load(folder, settings.split, config, settings.languages)
    deal = Deal(materials.table, seed_of(config["seed"], name))
    rows = []
    for number in tqdm(range(settings.size), desc=f"test set {name}", unit="item"):
        identity = f"{name}-{number:04d}"
        seed = seed_of(config["seed"], identity)
        row, waves = MAKERS[settings.task](
            np.random.default_rng(seed), deal, materials, at_step(settings, number, len(materials.table)), config
        )
        row |= {"id": identity, "set": name, "task": settings.task, "seed": seed, "rate_hz": materials.table.rate_hz}
        rows.append(_write(row, waves, folder / "testsets", materials))
    written = {
        folder / "testsets" / row[part]
        for row in rows
        for part in ("source", "reference", "prompt", "interferer")
        if row.get(part)
    }
    jobs.drop_strays(folder / "testsets" / name, written)
    columns = COLUMNS + list(LABELS.get(settings.task, {}))
    speech.write_table(folder / "testsets" / f"{name}.csv", rows, columns)
    return folder / "testsets" / f"{name}.csv"


def lacks_recordings(settings: dict, folder: Path) -> bool:
    """Whether a test set is of recorded speech that was not made: its recordings are the user's own."""
    own = settings["split"].partition("_")[0] in (speech.RECORDED, speech.DEBIAN)
    return own and not (Path(folder) / "speech" / f"{settings['split']}.csv").is_file()


def at_step(settings: TestSet, number: int, utterances: int) -> TestSet:
    """A set's settings for one item: with `snr_steps_db` each pass through the utterances has the next of these
    SNRs."""
    if settings.snr_steps_db is None:
        return settings
    snr = settings.snr_steps_db[number // utterances % len(settings.snr_steps_db)]
    noise = Noise(probability=1, snr_db=(snr, snr))
    changed = (settings.degradation or Degradation()).model_copy(update={"noise": noise})
    return settings.model_copy(update={"degradation": changed})


class Deal:
    """Deals utterances: speakers in turn, each one's utterances in a shuffled order, again when all are dealt."""

    def __init__(self, table: speech.SpeechTable, seed: int):
        self.table, self.rng = table, np.random.default_rng(seed)
        self.turns = 0
        self.stacks: dict[str, list[int]] = {name: [] for name in table.by_speaker}

    def next(self, count: int, prompted: bool = True) -> list[int]:
        """`count` different utterances of the speaker whose turn it is; where prompted, one more is left over."""
        speaker = list(self.stacks)[self.turns % len(self.stacks)]
        self.turns += 1
        places = self.table.by_speaker[speaker]
        if len(places) < count + prompted:
            raise UserError(
                f"{speaker} has {len(places)} utterances where {count}{' and a prompt' * prompted} are needed; "
                "raise corpus.speech.utterances."
            )
        taken: list[int] = []
        while len(taken) < count:
            if not self.stacks[speaker]:
                self.stacks[speaker] = [int(place) for place in self.rng.permutation(places) if place not in taken]
            taken.append(self.stacks[speaker].pop())
        return taken

    def prompt(self, places: list[int], rng: np.random.Generator) -> int:
        """Another utterance of the speaker: among the longest third of those of at most 3 s (else the shortest)."""
        rows = self.table.rows
        others = [place for place in self.table.by_speaker[rows["speaker"].iat[places[0]]] if place not in places]
        seconds = {place: rows["seconds"].iat[place] for place in others}
        short = sorted((p for p in others if seconds[p] <= PROMPT_SECONDS), key=lambda p: (-seconds[p], p))
        if not short:
            return int(min(others, key=lambda p: seconds[p]))
        return int(short[rng.integers(max(1, len(short) // 3))])


def _content(rng, deal: Deal, settings: TestSet) -> tuple[dict, np.ndarray, dict]:
    """The speech of an item: sentences of one speaker joined by pauses; its row so far and the places used."""
    table = deal.table
    for _ in range(FITTING):
        places = deal.next(settings.sentences, settings.prompt)
        gaps = [round(rng.uniform(*settings.pause_s), 3) for _ in places[1:]]
        parts = [table.wave(places[0])]
        for place, gap in zip(places[1:], gaps, strict=True):
            parts += [np.zeros(int(gap * table.rate_hz), np.float32), table.wave(place)]
        lacking = round((settings.seconds or 0) * table.rate_hz) - sum(map(len, parts))
        if lacking >= 0 or settings.seconds is None:
            break
    else:
        raise UserError(
            f"{FITTING} items in turn are longer than the test set's {settings.seconds} s: raise `seconds`."
        )
    if settings.seconds is not None:
        before = int(rng.integers(lacking + 1))
        parts = [np.zeros(before, np.float32), *parts, np.zeros(lacking - before, np.float32)]
    prompted = settings.prompt
    prompt = deal.prompt(places, rng) if prompted else -1
    rows = table.rows
    row = {
        "speaker": rows["speaker"].iat[places[0]],
        "sex": rows["sex"].iat[places[0]],
        "text": " ".join(rows["text"].iat[place] for place in places),
        "prompt_text": rows["text"].iat[prompt] if prompted else None,
    }
    drawn = {
        "utterances": [rows["id"].iat[place] for place in places],
        "pauses_s": gaps,
        "prompt_utterance": rows["id"].iat[prompt] if prompted else None,
    }
    return row, np.concatenate(parts), drawn | {"_places": places, "_prompt": table.wave(prompt) if prompted else None}


def _finish(row: dict, drawn: dict, params: dict | None = None) -> dict:
    """Put the drawn parameters into the row, and the ones that tables are split by into columns of their own."""
    record = {name: value for name, value in drawn.items() if not name.startswith("_")} | (params or {})
    row["degradation"] = json.dumps(record, sort_keys=True)
    for name in ("snr_db", "noise", "rir"):
        row[name] = record.get(name)
    return row


def _enhancement(rng, deal, materials, settings, config):
    row, clean, drawn = _content(rng, deal, settings)
    params = materials.draw(rng, settings.effects)
    out = materials.degraded(clean, params)
    target = {"noise_isolation": out.noise[0].numpy(), "speech_isolation": out.speech[0].numpy()}.get(
        settings.task, clean
    )
    return _finish(row, drawn, params), {
        "source": out.source[0].numpy(),
        "reference": target,
        "prompt": drawn["_prompt"],
    }


def _matching(rng, deal, materials, settings, config):
    """Clean speech to be brought into the prompt's acoustics: reference and prompt share the drawn degradation."""
    row, clean, drawn = _content(rng, deal, settings)
    params = materials.draw(rng, settings.effects) | {
        "noise": None,
        "snr_db": None,
    }
    waves = {"source": clean, "reference": materials.degraded(clean, params).speech[0].numpy()}
    return _finish(row, drawn, params), waves | {
        "prompt": materials.degraded(drawn["_prompt"], params).speech[0].numpy()
    }


def _separation(rng, deal, materials, settings, config):
    """Two speakers in LibriMix's min mode; the target is the shorter one, so that its words are whole."""
    row, clean, drawn = _content(rng, deal, settings)
    rows, n = deal.table.rows, len(clean)
    others = [name for name in deal.table.by_speaker if name != row["speaker"]]
    if not others:
        raise UserError(f"A separation set needs two speakers, and {deal.table.folder} has {row['speaker']} only.")
    other = others[rng.integers(len(others))]
    said = {rows["text"].iat[place] for place in drawn["_places"]}
    free = [
        int(place) for place in rng.permutation(deal.table.by_speaker[other]) if rows["text"].iat[place] not in said
    ]
    chosen, parts = [], []
    while sum(map(len, parts)) < n:
        if not free:
            raise UserError(
                f"{other} has too little speech to mix with {row['speaker']}; raise corpus.speech.utterances."
            )
        longest = next((p for p in free if len(deal.table.wave(p)) + sum(map(len, parts)) >= n), free[0])
        free.remove(longest)
        chosen.append(longest)
        parts.append(deal.table.wave(longest))
    level_db = round(float(rng.uniform(*settings.level_db)), 3)
    pair = (torch.from_numpy(wave[None]) for wave in (clean, np.concatenate(parts)[:n]))
    mixture, target = degrade.mix(*pair, torch.tensor([level_db]))
    params = materials.draw(rng, settings.effects)
    out = materials.degraded(mixture[0].numpy(), params)
    # The parts were scaled down together where the noise made the sum clip: the reference follows.
    target = target * (out.speech.abs().max() / mixture.abs().max())
    drawn |= {
        "interferer_speaker": other,
        "interferer_utterances": [rows["id"].iat[p] for p in chosen],
        "level_db": level_db,
    }
    waves = {"source": out.source[0].numpy(), "reference": target[0].numpy(), "prompt": drawn["_prompt"]}
    return _finish(row, drawn, params), waves | {"interferer": (out.speech - target)[0].numpy()}


def _tts(rng, deal, materials, settings, config):
    row, clean, drawn = _content(rng, deal, settings)
    return _finish(row, drawn), {"reference": clean, "prompt": drawn["_prompt"]}


def _edit(rng, deal, materials, settings, config):
    """RealEdit's form (Peng et al. 2024): inclusive word indices; the flanks where there is no word.

    With a degradation the recording to be edited is noisy.
    """
    row, clean, drawn = _content(rng, deal, settings)
    change = edit.draw(rng, row["text"], config["text"], materials.split)
    row |= {"orig_text": row["text"], "text": change.text, "edit_type": change.kind}
    row |= {"orig_span": change.orig_span, "new_span": change.new_span}
    params = None if settings.degradation is None else materials.draw(rng, settings.effects)
    heard = clean if params is None else materials.degraded(clean, params).source[0].numpy()
    return _finish(row, drawn, params), {"source": heard, "reference": heard, "prompt": drawn["_prompt"]}


def _recognition(rng, deal, materials, settings, config):
    """Speech to be written down or named: whole, or a random crop of it (`crop_s`), in noise where there is any."""
    row, clean, drawn = _content(rng, deal, settings.model_copy(update={"prompt": False}))
    count = min(len(clean), round((settings.crop_s or MOST_SECONDS) * deal.table.rate_hz))
    start = int(rng.integers(len(clean) - count + 1))
    crop = clean[start : start + count]
    params = None if settings.degradation is None else materials.draw(rng, settings.effects)
    heard = crop if params is None else materials.degraded(crop, params).source[0].numpy()
    place = drawn["_places"][0]
    row |= {name: deal.table.rows[column].iat[place] for name, column in LABELS.get(settings.task, {}).items()}
    row |= {"label": UNKNOWN} if settings.foreign else {}
    drawn["crop_start_s"] = start / deal.table.rate_hz
    return _finish(row, drawn, params), {"source": heard, "reference": crop}


LABELS = {"lid": {"label": "language"}, "gid": {"label": "sex"}}  # of the answers, by task: a column of the speech
MAKERS = {
    "asr": _recognition,
    "lid": _recognition,
    "gid": _recognition,
    "enhancement": _enhancement,
    "noise_isolation": _enhancement,
    "speech_isolation": _enhancement,
    "acoustic_matching": _matching,
    "separation": _separation,
    "tts": _tts,
    "edit": _edit,
}


def _write(row: dict, waves: dict[str, np.ndarray], folder: Path, materials: Materials) -> dict:
    rate_hz = materials.table.rate_hz
    waves = {part: wave for part, wave in waves.items() if wave is not None}
    for part, wave in waves.items():
        row[part] = f"{row['set']}/{row['id']}.{part}.flac"
        audio.write(folder / row[part], wave, rate_hz, comment="synthetic speech")
    for part in ("source", "reference"):
        row[f"sha256_{part}"] = sha256(folder / row[part]) if part in waves else None
    row["seconds"] = round(len(waves["reference"]) / rate_hz, 4)
    row["noise_kind"] = materials.noises[row["noise"]]["kind"] if row.get("noise") else None
    return row
