"""Settings of a scale of real corpora (docs/paper_scale.md)."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from speechbase.corpus.settings import Corpus
from speechbase.settings import Count, Name, Pair, Settings, Share, Text, key, needed

Mls = Literal[
    "mls_dutch", "mls_english", "mls_french", "mls_german", "mls_italian", "mls_polish", "mls_portuguese", "mls_spanish"
]
Names = Annotated[list[str], Field(min_length=1)]
Parts = Annotated[dict[Literal["librispeech", "libritts", "libritts_r"] | Mls, Names], Field(min_length=1)]
Languages = Annotated[dict[Mls, Names], Field(min_length=2)]


class RecordedSpeech(Settings):
    """Which parts of which corpora are speech."""

    train: Parts = needed("clean speech of the speech-to-speech tasks, as corpus -> its parts")
    tts: Parts | None = key(None, "speech with transcripts for TTS")
    valid: Parts
    languages_train: Languages | None = key(None, "speech of several languages (MLS), for lid and gid")
    languages_valid: Languages | None = None


class RecordedTestSet(Settings):
    """A test set of the literature."""

    from_: Literal["librispeech", "realedit", "daps", "libri2mix", "wsj0_2mix", "whamr"] = Field(alias="from")
    size: Count | None = key(None, "a seeded choice of so many items, for a look; not the paper's set")
    source_rate_hz: Annotated[int, Field(ge=8000)] = key(16_000, "the rate that noisy recordings of DAPS are heard at")
    noisy: bool = key(False, "Libri2Mix with WHAM! noise")
    words: str | None = key(None, "a table of word times of your own aligner (recording, word, start_s, end_s)")
    dereverberate: bool = key(True, "WHAMR! with anechoic targets")


class Recorded(Settings):
    """Where real corpora lie, which parts are used, which test sets are made of them (docs/paper_scale.md)."""

    folder: Text = needed("archives and what is unpacked of them")
    have: dict[str, str] = key({}, "folders of corpora that the user has already")
    mirror: Annotated[str, Field(pattern="^https?://")] | None = key(
        None, "fetch <mirror>/<corpus>/<file> instead of the published addresses"
    )
    shard_parts: Count = needed("jobs that write the shards of a table")
    speech: RecordedSpeech
    held_out: Parts = needed("parts whose readers are left out of training")
    seconds: dict[str, Pair] = key({}, "lengths of TTS utterances that are kept, by corpus, as [least, below)")
    shares: dict[str, Share] = key(
        {}, "of a corpus's utterances for languages_train, chosen by their ids; 1 by default"
    )
    noise: Annotated[list[Literal["dns5_noise", "sfs_static"]], Field(min_length=1)]
    rir: Annotated[list[Literal["mit_ir", "echothief", "openslr28"]], Field(min_length=1)]
    testsets: dict[Name, RecordedTestSet]


class RecordedCorpus(Corpus):
    """Real corpora instead of packaged voices."""

    recorded: Recorded
