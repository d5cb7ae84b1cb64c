"""Enhancement (Tables 3, 6, 10): DAPS, speakers f10 and m10, script 5, twelve devices and rooms, in windows of 8 s.

The paper gives no list; its demonstration's files are named by speaker, script, environment and window, which is
followed.
Windows start at 0, the short tail is dropped, and the text of a window is what is heard in it for at least half its
length.
The device recordings run some milliseconds behind the studio's; nothing is shifted, as in the demonstration.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas

from speechbase import audio
from speechbase.files import UserError, atomic, seed_of
from speechbase.recorded.corpora import Location
from speechbase.recorded.manifests import limited, write_set
from speechbase.recorded.words import inside, of_recording, read_words

SPEAKERS, SCRIPT, RATE_HZ, WINDOW_SECONDS = ("f10", "m10"), 5, 44100, 8.0
PROMPT_SCRIPT, PROMPT_SECONDS = 1, 3.0
ENVIRONMENTS = (
    "ipad_balcony1",
    "ipad_bedroom1",
    "ipad_confroom1",
    "ipad_confroom2",
    "ipad_livingroom1",
    "ipad_office1",
    "ipad_office2",
    "ipadflat_confroom1",
    "ipadflat_office1",
    "iphone_balcony1",
    "iphone_bedroom1",
    "iphone_livingroom1",
)


def recording(location: Location, environment: str, speaker: str, script: int = SCRIPT) -> Path:
    """daps/<environment>/<speaker>_script<k>_<environment>.wav. Raises: UserError: it is missing."""
    path = location.find(f"daps/{environment}") / f"{speaker}_script{script}_{environment}.wav"
    if not path.is_file():
        raise UserError(f"{path} is missing: DAPS was not unpacked whole; delete the folder and run again.")
    return path


def sentences(location: Location, speaker: str, script: int = SCRIPT) -> str:
    """The words of a script as daps-segmented has them: the .txt beside each sentence, in their order."""
    root = location.find("daps-segmented")
    pattern = re.compile(rf"{speaker}_script{script}(?!\d)")
    found = sorted(p for p in root.rglob("*.txt") if pattern.match(p.name) and not p.name.startswith("._"))
    if not found:
        raise UserError(f"{root} has no sentence of {speaker}, script {script}: unpack daps-segmented again.")
    return " ".join(path.read_text(encoding="utf-8").strip() for path in found)


def alignment_table(daps: Location, segmented: Location, out: Path) -> None:
    """Write what is to be aligned, as `speechbase.recorded.words` reads it: the clean recordings with their texts."""
    rows = []
    for speaker in SPEAKERS:
        path, text = recording(daps, "clean", speaker), sentences(segmented, speaker)
        rows.append({"recording": f"{speaker}_script{SCRIPT}", "path": path, "text": text})
    with atomic(out) as temporary:
        pandas.DataFrame(rows).to_csv(temporary, index=False)


@functools.lru_cache(maxsize=4)
def _wave(path: Path) -> np.ndarray:
    return audio.read(path, RATE_HZ)[0]


def windows(samples: int) -> list[tuple[int, int]]:
    """Whole windows of 8 s from the start, as (first sample, end)."""
    length = round(WINDOW_SECONDS * RATE_HZ)
    return [(start, start + length) for start in range(0, samples - length + 1, length)]


def narrow(wave: np.ndarray, rate_hz: int) -> np.ndarray:
    """What passes a rate of `rate_hz`, at DAPS's own rate: the paper's demonstration heard its inputs at 16 kHz."""
    if rate_hz >= RATE_HZ:
        return wave
    return audio.resample(audio.resample(wave, RATE_HZ, rate_hz), rate_hz, RATE_HZ)[: len(wave)]


def build(
    daps: Location,
    words: Path,
    folder: Path,
    name: str = "se",
    source_rate_hz: int = 16000,
    size: int | None = None,
) -> str:
    """Make the test set from DAPS and a table of words (recordings f10_script5 and m10_script5)."""
    spoken = read_words(words)
    places = []
    for speaker in SPEAKERS:
        clean = _wave(recording(daps, "clean", speaker))
        for environment in ENVIRONMENTS:
            count = len(_wave(recording(daps, environment, speaker)))
            places += [(speaker, environment, n, *w) for n, w in enumerate(windows(min(count, len(clean))))]

    def items() -> Iterator[tuple[dict, dict]]:
        for speaker, environment, number, start, end in limited(places, size, seed_of(name)):
            clean, noisy = (_wave(recording(daps, place, speaker)) for place in ("clean", environment))
            said = inside(of_recording(spoken, f"{speaker}_script{SCRIPT}"), start / RATE_HZ, end / RATE_HZ)
            prompt = _wave(recording(daps, "clean", speaker, PROMPT_SCRIPT))
            identity = f"{speaker}-script{SCRIPT}-{environment}-{number:05d}"
            row = {"id": identity, "task": "enhancement", "speaker": speaker, "sex": speaker[0], "rate_hz": RATE_HZ}
            row |= {"text": " ".join(word.text.lower() for word in said), "noise_kind": environment}
            yield (
                row,
                {
                    "source": narrow(noisy[start:end], source_rate_hz),
                    "reference": clean[start:end],
                    "prompt": prompt[: round(PROMPT_SECONDS * RATE_HZ)],
                },
            )

    return write_set(name, items(), folder, None)
