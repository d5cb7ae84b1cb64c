"""Settings of a corpus of packaged voices: what is said by whom, noises, rooms, degradations and test sets."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from speechbase.settings import (
    LISTED,
    Count,
    Id,
    Name,
    Natural,
    NotNegative,
    Pair,
    Positive,
    Range,
    Settings,
    Share,
    key,
    needed,
)  # fmt: skip

Split = Annotated[str, Field(pattern="^(train|valid|test)(_[a-z0-9_]+)?$")]


class Eq(Settings):
    """A drawn equaliser."""

    probability: Share
    gain_db: NotNegative


class Compression(Settings):
    """A drawn compressor."""

    probability: Share
    threshold_db: Range = needed("relative to the speech's RMS")
    ratio: Range


class Reverb(Settings):
    """A simulated or recorded room."""

    probability: Share
    max_rt60_s: Positive | None = key(None, "test sets leave longer decays out")
    seconds: Positive | None = key(None, "impulse responses are cut there; 0.6 by default")


class Noise(Settings):
    """Added noise."""

    probability: Share
    snr_db: Range


class Band(Settings):
    """A low-pass."""

    probability: Share
    cutoff_hz: Range


class Clipping(Settings):
    """Clipped peaks."""

    probability: Share
    below_peak_db: Pair


class Coding(Settings):
    """A lossy format."""

    probability: Share
    kinds: Annotated[list[Literal["opus", "mp3", "gsm", "ulaw"]], Field(min_length=1)]


class Babble(Settings):
    """Other talkers."""

    probability: Share
    talkers: Annotated[tuple[Count, Count], LISTED]


class Degradation(Settings):
    """Appendix D: each effect with its probability and the ranges that its settings are drawn from; what is left out
    never happens."""

    eq: Eq | None = None
    compression: Compression | None = None
    reverb: Reverb | None = None
    noise: Noise | None = None
    band: Band | None = None
    clipping: Clipping | None = key(None, "beyond the paper, of the noisy sum")
    coding: Coding | None = key(None, "beyond the paper, a lossy format that the noisy sum has gone through")
    babble: Babble | None = key(
        None, "beyond the paper, in training: other people of the corpus take the noise's place"
    )


class Sentences(Settings):
    """Which sentences are said."""

    source: Literal["matrix", "grid", "open"]
    shares: dict[str, Share] = key(
        {"bible": 0.5, "nonsense": 0.5},
        "of the packages' sentences (speechbase/corpus/open_text.py) in the open source",
    )
    valid_share: Share = needed("of all sentences, decided by the sentence's hash")
    test_share: Share = needed("likewise")
    min_words: Count = key(5, "of a sentence of the open source")
    max_words: Count = key(20, "likewise")


class SeenInValid(Settings):
    """Training speakers among the validation utterances."""

    share: Share
    voices: Annotated[list[str], Field(min_length=1)]


class Speech(Settings):
    """How much is said."""

    utterances: dict[Split, Natural] = needed("sentences by split; test_more: further ones of test's speakers")
    speed: Annotated[tuple[Positive, Positive], LISTED] = needed("1 is the voice's own pace")
    seen_in_valid: SeenInValid | None = key(None, "share of the validation utterances that training speakers say")


class BySplit(Settings):
    """A number a split."""

    train: Natural = 0
    valid: Natural = 0
    test: Natural = 0


class Kinds(Settings):
    """Shares of kinds of noise."""

    babble: NotNegative = 0
    coloured: NotNegative = 0
    speech_shaped: NotNegative = 0
    modulated: NotNegative = 0
    hum: NotNegative = 0
    clicks: NotNegative = 0
    music: NotNegative = 0
    ambience: NotNegative = 0


class Noises(Settings):
    """Simulated noises."""

    clip_seconds: Positive
    clips: BySplit = needed("clips by split")
    kinds: Kinds = needed("relative shares of the kinds of noise")


class Rooms(Settings):
    """Simulated rooms."""

    count: BySplit = needed("simulated rooms by split")
    rt60_s: Pair = needed("reverberation time")


class Languages(Settings):
    """Speech of several languages in the same voices (speechbase/corpus/languages.py), for hubert, lid and gid."""

    spoken: Annotated[tuple[Name, ...], LISTED, Field(min_length=2)] = needed(
        "languages that have a matrix of sentences"
    )
    synthesiser: Literal["heart", "kokoro"] = needed("speaks them all, in its voices of the cast")
    utterances: BySplit = needed("of each language")


class TestSet(Settings):
    """A test set: task, speakers, size and degradation."""

    __test__ = False  # no test, whatever pytest makes of its name

    task: Name = needed("a task of speechbase/items.py")
    split: Annotated[
        str, Field(pattern="^((languages_)?(train|valid|test)(_[a-z0-9_]+)?|real|recorded|debian_[a-z]+)$")
    ] = needed("whose speakers and noises (test_more, real and debian_ have those of test)")
    size: Count
    prompt: bool = key(True, "False: no prompts, for speakers with one utterance")
    sentences: Count = key(1, "of one speaker, joined by pauses")
    pause_s: Pair = (0.15, 0.35)
    seconds: Positive | None = key(None, "of every item: shorter speech stands in silence, longer is not taken")
    crop_s: Positive | None = key(None, "asr, lid and gid hear so much of each, from a random place; else all of it")
    languages: Annotated[tuple[Name, ...], LISTED, Field(min_length=1)] | None = key(
        None, "of the utterances that are taken; else all"
    )
    foreign: bool = key(False, "True: lid of languages that no model here knows; `unknown` is right")
    level_db: Range = key((-5.0, 5.0), "the other talker against the target")
    degradation: Degradation | None = None
    snr_steps_db: Annotated[tuple[float, ...], LISTED, Field(min_length=1)] | None = key(
        None, "of the noise, one after the other, each for a pass through all utterances"
    )

    @property
    def effects(self) -> dict:
        """The degradation as `degrade.draw` takes it."""
        return {} if self.degradation is None else self.degradation.model_dump(exclude_none=True)


class Recording(Settings):
    """A recorded utterance."""

    id: Id
    speaker: Id
    sex: Literal["f", "m"]
    text: str
    path: str = needed("in `package`, where that is given")
    package: str | None = None
    channel: Natural | None = key(None, "which of several; else there must be one")


class RealVoices(Settings):
    """A corpus of recorded voices."""

    list: str = needed("ids, speakers, splits and checksums, a file of speechbase/corpus/lists")
    have: str | None = key(None, "the folder that holds <id>.flac")
    variable: str = needed("the environment variable that names that folder where `have` does not")
    max_seconds: Positive = needed("longer recordings are cut at pauses")
    copies: Count = needed("of each training voice, itself among them")
    formant_ratio: Pair
    f0_ratio: Pair
    speed: Pair


class RealTests(Settings):
    """Recordings for test sets."""

    list: str = needed("ids, licences, sources and checksums, a file of speechbase/corpus/lists")
    have: str | None = key(None, "the folder that holds the files and their words")
    variable: str = needed("the environment variable that names that folder where `have` does not")


class Voice(Settings):
    """A speaker: a voice of a packaged synthesiser and what changes it; left out, the voice's own."""

    id: Id
    sex: Literal["f", "m"]
    split: Literal["train", "valid", "test"]
    share: Positive = needed("relative, of the split's utterances")
    model: Literal["heart", "joe", "kokoro"]
    style: dict[str, float] | None = key(None, "of kokoro: weights of its speakers")
    direction_seed: Natural | None = key(None, "of a random step in the timbre half of the style: a new speaker")
    direction_norm: NotNegative | None = key(None, "the length of that step")
    formant_ratio: Annotated[float, Field(ge=0.5, le=2)] | None = None
    median_f0_hz: Annotated[float, Field(ge=40, le=600)] | None = None
    pitch_range: Annotated[float, Field(ge=0, le=4)] | None = None


class Corpus(Settings):
    """What every corpus says."""

    seed: Natural
    rate_hz: Annotated[int, Field(ge=8000, le=48000)]
    level_dbfs: Annotated[float, Field(le=0)] = needed("RMS of active speech")
    degradation: Degradation = needed("of training pairs, drawn on the fly (Appendix D)")


class PackagedCorpus(Corpus):
    """Speech of packaged voices."""

    text: Sentences
    speech: Speech
    languages: Languages | None = key(None, "speech of several languages in the same voices")
    noise: Noises
    rir: Rooms
    testsets: dict[Name, TestSet]
    voices: Annotated[list[Voice], Field(min_length=1)] = needed("a cast of config/voices.tsv, or a list")
    real: list[Recording] | None = key(None, "recorded speech for the split `real`")
    real_voices: RealVoices | None = key(
        None, "a recorded corpus whose voices join training and validation where it is there"
    )
    real_tests: RealTests | None = key(None, "recorded speech, noises and rooms for test sets of `split: recorded`")
    debian: RealTests | None = key(None, "recorded speech of Debian packages for test sets of `split: debian_...`")
