"""Build the speech tables: plan every utterance from the configuration, speak what is missing, write the table."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import soundfile
from tqdm import tqdm

from speechbase import audio
from speechbase.corpus import jobs, languages, speech, text
from speechbase.corpus.settings import Languages
from speechbase.files import UserError, atomic, seed_of, sha256
from speechbase.settings import checked

# Raised when a change of this code changes the audio, so that files of an older version are made again.
VERSION = 1
EDGE_SECONDS = 0.05
SECONDS_A_PHONE = (0.045, 0.2)
ATTEMPTS = 4
SPOKEN = Path(__file__).resolve().parents[1] / "spoken"  # speech that ships with the sources, laid out as it is built
FAILURES = 0.005  # the share of a split's sentences that may be left out because their voice cannot say them
SILENCE_POWER = 1e-7
_VOICE_KEYS = ("model", "style", "direction_seed", "direction_norm", "formant_ratio", "median_f0_hz", "pitch_range")


def plan(config: dict, split: str) -> list[dict]:
    """Every utterance of a split, drawn from the configuration alone.

    Splits `test_more` or `train_2` have the speakers of `test` or `train`, and sentences that come after those of the
    splits of that kind that stand before them in the configuration.

    Args:
        config: the `corpus` sub-tree.

    Returns:
        One dict an utterance: id, voice, text, seed, speed, key (a digest of everything that decides the audio).
    """
    base = speech.base_split(split)
    sizes = config["speech"]["utterances"]
    shares = _shares(config, base)
    counts = jobs.apportion(sizes[split], [share for _, share in shares])
    before = list(sizes)[: list(sizes).index(split)]
    said = sum(sizes[name] for name in before if speech.base_split(name) == base)
    texts = iter(text.sentences(config["text"], base, said + sum(counts), config["seed"])[said:])
    items = []
    for (voice, _), count in zip(shares, counts, strict=True):
        for number in range(count):
            identity = f"{split}-{voice['id']}-{number:04d}"
            item = {"id": identity, "voice": voice, "text": next(texts)} | _drawn(config, identity)
            items.append(item | {"key": _key(config, item)})
    return items


def build(config: dict, split: str, folder: Path, workers: int = 1, spoken: Path | None = None) -> Path:
    """Make `folder/<split>.csv` and its audio; utterances that are there already, and unchanged, are kept.

    Args:
        spoken: a folder of speech that was built before: an utterance whose plan is the same is copied from there.

    Raises:
        UserError: an unknown split or voice, too few sentences, or a voice that cannot say a sentence sensibly.
    """
    if split in language_splits(config):
        return _said(config, plan_languages(config, speech.base_split(split)), split, folder, workers, spoken)
    if split not in config["speech"]["utterances"]:
        raise UserError(
            f"corpus.speech.utterances has no split {split!r}; it has {', '.join(config['speech']['utterances'])} "
            "(and corpus.languages.utterances its own)."
        )
    return _said(config, plan(config, split), split, folder, workers, spoken)


def language_splits(config: dict) -> list[str]:
    """The splits of several languages that the `corpus` sub-tree asks for; none where it has no `languages`."""
    return [f"{languages.PREFIX}{base}" for base in config.get("languages", {}).get("utterances", {})]


def plan_languages(config: dict, base: str) -> list[dict]:
    """Every utterance of `languages_<base>`: each language in the same voices of that split, equally often.

    Args:
        config: the `corpus` sub-tree; `languages` as in `speechbase.corpus.settings.Languages`.

    Raises:
        UserError: a language without a matrix here, or a split without a voice of that synthesiser.
    """
    how = checked(Languages, config["languages"], "corpus.languages")
    languages.check(how.spoken)
    cast = [voice for voice in config["voices"] if (voice["split"], voice["model"]) == (base, how.synthesiser)]
    if not cast:
        raise UserError(f"corpus.voices has no voice of {how.synthesiser} whose split is {base!r}.")
    items = []
    count = getattr(how.utterances, base)
    for language in how.spoken:
        texts = languages.sentences(language, config["text"], base, count, config["seed"])
        for number, said in enumerate(texts):
            voice = cast[number % len(cast)]
            identity = f"{base}-{language}-{voice['id']}-{number:04d}"
            item = {"id": identity, "voice": voice, "text": said, "language": language} | _drawn(config, identity)
            items.append(item | {"key": _key(config, item, language)})
    return items


def _drawn(config: dict, identity: str) -> dict:
    """An utterance's seed and pace."""
    seed = seed_of(config["seed"], identity)
    return {"seed": seed, "speed": round(float(np.random.default_rng(seed).uniform(*config["speech"]["speed"])), 3)}


def _key(config: dict, item: dict, *further) -> str:
    """A digest of everything that decides an utterance's audio."""
    spec = [item["voice"].get(name) for name in _VOICE_KEYS]
    own = (item["text"], item["seed"], item["speed"], config["rate_hz"], config["level_dbfs"], *further)
    return f"{seed_of(VERSION, spec, *own):016x}"


def _said(config: dict, items: list[dict], split: str, folder: Path, workers: int, spoken: Path | None) -> Path:
    """Speak what is missing of a plan, and write its table."""
    folder = Path(folder)
    missing = [item for item in items if not jobs.is_made(folder / _path_of(item, split), item["key"])]
    if spoken is not None:
        missing = [item for item in missing if not _copied(item, split, spoken, folder)]
    work = [(item, folder / _path_of(item, split), config["rate_hz"], config["level_dbfs"]) for item in missing]
    bar = tqdm(
        jobs.mapped(_make, work, workers),
        total=len(items),
        initial=len(items) - len(work),
        desc=f"speech {split}",
        unit="utt",
    )
    failed = dict(filter(None, bar))
    if len(failed) > FAILURES * len(items):
        raise UserError(next(iter(failed.values())))
    items = [item for item in items if item["id"] not in failed]
    jobs.drop_strays(folder / "audio" / split, {folder / _path_of(item, split) for item in items})
    table = folder / f"{split}.csv"
    columns = speech.COLUMNS + (["language"] if split.startswith(languages.PREFIX) else [])
    speech.write_table(table, [_row(item, split, folder, config["rate_hz"]) for item in items], columns)
    return table


def normalise_level(wave: np.ndarray, rate_hz: int, level_dbfs: float) -> np.ndarray:
    """Scale so that the RMS over the active 20-ms frames (above -35 dB of the loudest) is `level_dbfs`.

    Raises:
        ValueError: silence, or a peak that would clip at that level.
    """
    powers = _frame_powers(wave, rate_hz)
    if not powers.max() > SILENCE_POWER:
        raise ValueError("silence")
    active_rms = np.sqrt(powers[powers > powers.max() * 10**-3.5].mean())
    scaled = wave * (10 ** (level_dbfs / 20) / active_rms)
    if np.abs(scaled).max() > 0.999:
        raise ValueError(f"a peak of {np.abs(scaled).max():.2f} at {level_dbfs} dBFS")
    return scaled.astype(np.float32)


def levelled(wave: np.ndarray, rate_hz: int, level_dbfs: float) -> np.ndarray:
    """As `normalise_level`; of a loud breath or click beside quiet speech the peak decides."""
    try:
        return normalise_level(wave, rate_hz, level_dbfs)
    except ValueError:
        return (wave * (0.99 / np.abs(wave).max())).astype(np.float32)


def trim(wave: np.ndarray, rate_hz: int, edge_seconds: float = EDGE_SECONDS) -> np.ndarray:
    """Leave exactly `edge_seconds` before the first and after the last frame within 40 dB of the loudest.

    Raises:
        ValueError: silence.
    """
    powers = _frame_powers(wave, rate_hz)
    if not powers.max() > SILENCE_POWER:
        raise ValueError("silence")
    frame, edge = int(0.02 * rate_hz), int(edge_seconds * rate_hz)
    active = np.flatnonzero(powers > powers.max() * 1e-4)
    padded = np.pad(wave, edge)
    return padded[active[0] * frame : min((active[-1] + 1) * frame, len(wave)) + 2 * edge]


def _frame_powers(wave: np.ndarray, rate_hz: int) -> np.ndarray:
    frame = int(0.02 * rate_hz)
    padded = np.pad(wave.astype(np.float64), (0, -len(wave) % frame))
    return (padded.reshape(-1, frame) ** 2).mean(1)


def _shares(config: dict, split: str) -> list[tuple[dict, float]]:
    """(voice, share of the split's utterances); valid also takes a share of its utterances from training speakers."""
    own = [(voice, voice["share"]) for voice in config["voices"] if voice["split"] == split]
    seen = config["speech"].get("seen_in_valid") if split == "valid" else None
    if not own:
        raise UserError(f"corpus.voices has no voice whose split is {split!r}.")
    total = sum(share for _, share in own)
    if not seen:
        return [(voice, share / total) for voice, share in own]
    known = {voice["id"]: voice for voice in config["voices"]}
    unknown = set(seen["voices"]) - set(known)
    if unknown:
        raise UserError(f"corpus.speech.seen_in_valid names unknown voices: {', '.join(sorted(unknown))}.")
    rest = 1 - seen["share"]
    each = seen["share"] / len(seen["voices"])
    return [(voice, rest * share / total) for voice, share in own] + [(known[name], each) for name in seen["voices"]]


def _path_of(item: dict, split: str) -> str:
    return f"audio/{split}/{item['voice']['id']}/{item['id']}.flac"


def _copied(item: dict, split: str, spoken: Path, folder: Path) -> bool:
    """Copy an utterance that was spoken before from the same plan; whether there was one."""
    path = _path_of(item, split)
    if not jobs.is_made(spoken / path, item["key"]):
        return False
    with atomic(folder / path) as unfinished:
        shutil.copyfile(spoken / path, unfinished)
    return True


def _make(job: tuple[dict, Path, int, float]) -> tuple[str, str] | None:
    """Speak one utterance, trim it, bring it to the common level and write it; another seed if it is absurd.

    Returns:
        None, or the id of an utterance that cannot be had, with the reason.
    """
    from speechbase.corpus import phones as g2p
    from speechbase.corpus import voices

    item, path, rate_hz, level_dbfs = job
    signs = languages.phonemes(item["text"], item["language"]) if "language" in item else ""
    phones = languages.sounds(signs) if signs else g2p.phone_count(item["text"])
    reasons = []
    for attempt in range(ATTEMPTS):
        seed = item["seed"] if attempt == 0 else seed_of(item["seed"], attempt)
        try:
            wave = voices.speak(item["voice"], item["text"], seed, rate_hz, item["speed"], *filter(None, [signs]))
            wave = normalise_level(trim(wave, rate_hz), rate_hz, level_dbfs)
            pace = (len(wave) / rate_hz - 2 * EDGE_SECONDS) / phones * item["speed"]
            if not SECONDS_A_PHONE[0] < pace < SECONDS_A_PHONE[1]:
                raise ValueError(f"{pace:.3f} s a phoneme")
        except ValueError as reason:
            reasons.append(str(reason))
            continue
        audio.write(
            path,
            wave,
            rate_hz,
            comment=f"synthetic speech; voice={item['voice']['id']}; key={item['key']}; phones={phones}",
        )
        return None
    return item["id"], (
        f"The voice {item['voice']['id']!r} could not say {item['text']!r} ({'; '.join(reasons)}): "
        "take the voice out of corpus.voices or change it."
    )


def _row(item: dict, split: str, folder: Path, rate_hz: int) -> dict:
    from speechbase.corpus.voices import base_of

    path = _path_of(item, split)
    with soundfile.SoundFile(folder / path) as stream:
        seconds, phones = stream.frames / rate_hz, int(stream.comment.rsplit("phones=", 1)[1])
    voice = item["voice"]
    return {
        "id": item["id"], "speaker": voice["id"], "base": base_of(voice), "sex": voice["sex"], "split": split,
        "text": item["text"], "path": path, "rate_hz": rate_hz, "seconds": round(seconds, 4), "phones": phones,
        "sha256": sha256(folder / path), "language": item.get("language", "en"),
    }  # fmt: skip
