"""Word times of a known text in speech, by dynamic time warping over Whisper's cross-attention (as WhisperX's ancestor
does).

A forced aligner needs no agreement between what is heard and what is said: every word of the text gets a place.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from tqdm import tqdm

from metrics.judges import whisper
from speechbase import audio
from speechbase.commands import command_line
from speechbase.files import UserError, read_jsonl, write_jsonl
from speechbase.texts import read_table

RATE_HZ = whisper.RATE_HZ
FRAME_S = 0.02


def align(
    wave: np.ndarray, text: str, model: str = "whisper_base", path: str | None = None, *, confidence: bool = False
) -> list[dict]:
    """Place the words of `text` in float32 audio [n] at 16 kHz of at most 28 s.

    Args:
        confidence: also say of each word how probable the model finds it: the mean over its tokens, given the words
            before.

    Returns:
        [{"word", "start", "end"}] in seconds, as many as `text.split()` has words.

    Raises:
        UserError: too long audio, or a text without words.
    """
    from faster_whisper.tokenizer import Tokenizer

    words = text.split()
    seconds = len(wave) / RATE_HZ
    if not words or seconds > whisper.WINDOW_S - whisper.TAIL_S:
        raise UserError(
            f"Cannot align {len(words)} words with {seconds:.1f} s of audio: words and at most 28 s are needed."
        )
    loaded = whisper.load(model, path)
    tokenizer = Tokenizer(
        loaded.model.hf_tokenizer, loaded.model.model.is_multilingual, task="transcribe", language="en"
    )
    pieces = [tokenizer.encode(" " + word) for word in words]
    tokens = [token for piece in pieces for token in piece]
    frames = round(seconds / FRAME_S)
    result = loaded.model.model.align(
        loaded.encode(wave, whisper.context_for(seconds, 10.0)), tokenizer.sot_sequence, [tokens], [2 * frames]
    )[0]
    first = _first_frames(result.alignments, len(tokens) + 1)
    edges = np.cumsum([0, *map(len, pieces)])
    starts = np.minimum(first[edges], frames) * FRAME_S
    placed = [
        {"word": word, "start": float(starts[i]), "end": float(min(seconds, starts[i + 1]))}
        for i, word in enumerate(words)
    ]
    if confidence:
        for i, word in enumerate(placed):
            word["confidence"] = round(float(np.mean(result.text_token_probs[edges[i] : edges[i + 1]])), 3)
    return placed


def _first_frames(alignments: list[tuple[int, int]], tokens: int) -> np.ndarray:
    """The first frame [tokens] of each token on the warping path; the last entry is the end of the text."""
    first = np.full(tokens, -1)
    last = 0
    for token, frame in alignments:
        if token < tokens and first[token] < 0:
            first[token] = frame
        last = max(last, frame)
    first[first < 0] = last
    return np.maximum.accumulate(first)


def align_manifest(manifest: Path, out: Path, transcripts: Path | None = None) -> None:
    """Word times in every `source` of a test set, as transcript rows (JSONL): of `orig_text`, or of what transcripts
    say, and then with the confidence that the recogniser has in each word."""
    rows = read_table(manifest, ("id", "source") if transcripts else ("id", "source", "orig_text"))
    told = {row["id"]: row for row in read_jsonl(transcripts)} if transcripts else {}
    done = []
    for row in tqdm(rows, desc="aligning", unit="utt", mininterval=2):
        entry = {"id": row["id"], "words": [], "status": "ok", "asr": "whisper_base align"}
        entry |= told.get(row["id"], {"status": "not transcribed"}) if transcripts else {}
        text = entry.setdefault("text", row.get("orig_text", ""))
        done.append(entry)
        if entry["status"] != "ok" or (transcripts and not text.split()):
            continue  # nothing was heard: there is nothing to be sure of
        try:
            wave, _ = audio.read(manifest.parent / row["source"], RATE_HZ, resampled=True)
            entry["words"] = align(wave, text, confidence=transcripts is not None)
        except UserError as error:
            entry["status"] = str(error)
    write_jsonl(out, done)


def write(
    manifest: Annotated[Path, typer.Option(help="test set with columns id, source, orig_text")],
    out: Annotated[Path, typer.Option(help="JSON lines")],
    transcripts: Annotated[
        Path | None, typer.Option(help="JSON lines of the sources' transcripts, whose words get confidences")
    ] = None,
) -> None:
    """Place the words of every original of an editing test set, or of every transcript."""
    align_manifest(manifest, out, transcripts)


main = command_line(write)


if __name__ == "__main__":
    raise SystemExit(main())
