"""SpeechOp's settings: the network, its training, and how it is sampled; the defaults are the paper's."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from speechbase.files import did_you_mean
from speechbase.settings import (
    LISTED,
    WRITTEN,
    Count,
    Counts,
    Name,
    Natural,
    NotNegative,
    Pair,
    Positive,
    Settings,
    Share,
    Text,
    key,
    needed,
)  # fmt: skip
from speechbase.training.settings import Model
from speechop.tasks import ROWS, TABLE9
from speechop.transcripts import Trust


def _task(name: str) -> str:
    if name not in TABLE9:
        raise ValueError(f"SpeechOp is not trained for such a task{did_you_mean(name, TABLE9)}")
    return name


Trained = Annotated[str, AfterValidator(_task)]
Whole = Annotated[float, WRITTEN]  # a number whose form is part of a system's identity

Solver = Literal["sde-2m", "ode-2m", "sde-1", "ode-1"]


class TransformerConfig(Settings):
    """Sizes of a transformer."""

    dim: Count
    ff_dim: Count
    layers: Count
    heads: Count = 8
    registers: Natural = 8
    dropout: Share = 0.1

    @model_validator(mode="after")
    def _heads_fit(self) -> TransformerConfig:
        if self.dim % self.heads or (self.dim // self.heads) % 2:
            raise ValueError(f"dim {self.dim} must be an even multiple of heads {self.heads}")
        return self


class TextConfig(Settings):
    """What reads transcripts."""

    kind: Literal["bytes", "phonemes", "byt5"]
    dim: Count
    layers: Count = key(2, "of an encoder that is trained here")
    alphabet: Text | None = key(None, "of phonemes (speechbase/corpus/phones.py); it travels with the weights")
    lengths: Annotated[list[list[Count]], Field(min_length=2, max_length=2)] | None = key(
        None,
        "ms of each phoneme of the alphabet without and with stress (`phones.sound_lengths`): where it lies in time",
    )
    folder: str | None = key(None, "of ByT5's weights")

    @model_validator(mode="after")
    def _kind_has_its_own(self) -> TextConfig:
        for kind, own in (("phonemes", "alphabet"), ("byt5", "folder")):
            if (self.kind == kind) != (getattr(self, own) is not None):
                raise ValueError(f"the kind {kind} needs the key {own!r}, and no other takes it")
        return self


class NetworkConfig(Settings):
    """SpeechOp's network (section 5, Appendix E.1)."""

    latent_dim: Count = 64
    dit: TransformerConfig = TransformerConfig(dim=1024, ff_dim=3072, layers=20)
    encoder: TransformerConfig = TransformerConfig(dim=768, ff_dim=2304, layers=8)
    text: TextConfig = TextConfig(kind="byt5", dim=1536, folder="byt5-base")
    cross_rotary: bool = key(False, "text and sound find each other by rotary positions as well")
    encoder_time: bool = key(True, "the audio encoder hears the noise level (Table 8); else it runs once for all steps")
    source_mixing: Literal["framewise", "cross_attention"] = key("framewise", "section 5, or Appendix F")
    tasks: Annotated[tuple[Text, ...], LISTED] = key(
        ROWS, "the rows of the task embedding; stored with the weights, which so know what they were trained for"
    )

    def as_dict(self) -> dict:
        """Plain values, for JSON."""
        return self.model_dump(exclude_none=True)


class DiffusionConfig(Settings):
    """The noise schedule and the weight of its losses (section 3; speechop/schedule.py)."""

    bias: float = key(-2.5, "of the sigmoid loss weight")
    elbo_jacobian: bool = key(True, "the weight is over logSNR, not over time")
    schedule_scale: Positive = key(0.5, "the shift of the cosine schedule")


class DiffusionLossConfig(Settings):
    """Losses beside that of diffusion."""

    si_sdr: NotNegative = key(
        0.0, "what a decibel of the decoded estimate's SI-SDR is worth in squared error (E6; the paper: 0)"
    )


class BatchConfig(Settings):
    """What a batch of SpeechOp is drawn from; TTS and speech-to-speech micro-batches alternate in stage 2."""

    tts_batch: Count = 4
    s2s_batch: Count = 8
    crop_seconds: Positive = 5.0
    prompt_seconds: Pair = (1.5, 3.0)
    sentences: Counts = key((1,), "how many sentences are joined into an item: drawn from this list")
    pause_seconds: Pair = (0.15, 0.35)
    drop: Share = key(0.1, "how often the conditioning is left out, for classifier-free guidance; not in validation")
    valid_items: Count = key(512, "items that validation has of each kind of batch at least")
    speed: Pair = key((1.0, 1.0), "range of speed perturbation of training items: more voices than a small corpus has")
    recorded: Share | None = key(
        None, "share of items whose voice is a real one; without it every utterance is equally likely"
    )
    tts_seconds: Positive | None = key(
        None, "speech of a TTS batch, whatever its number of items, of about one length: little is padded"
    )
    alike: Count = key(1000, "how many utterances next in length they are drawn among")
    s2s_voices: Share | None = key(
        None,
        "share of the training voices that speech-to-speech tasks hear (less than TTS, as in the paper); else all",
    )
    workers: Natural = key(0, "processes that draw batches ahead, for a GPU beside many CPU cores")
    replay: Count = key(1, "how often a batch that processes drew is used, its noise and levels drawn anew")
    tasks: Annotated[tuple[Trained, ...], LISTED, Field(min_length=1)] = tuple(name for name in TABLE9 if name != "tts")

    @property
    def pair_seconds(self) -> float:
        """Mean length of a speech-to-speech item: a crop, with a prompt before it as often as Table 9 says."""
        tasks = [TABLE9[name] for name in self.tasks]
        prompted = sum(t.weight * t.prompt_probability for t in tasks) / sum(t.weight for t in tasks)
        return self.crop_seconds + prompted * sum(self.prompt_seconds) / 2


class DiffusionModel(Model):
    """SpeechOp: stage 1 (tts), stage 2 (multitask), or one speech-to-speech task (s2s)."""

    network: NetworkConfig
    diffusion: DiffusionConfig = DiffusionConfig()
    batches: BatchConfig = BatchConfig()
    losses: DiffusionLossConfig = DiffusionLossConfig()
    codec: Name = key("codec", "the folder of its codec")


class Sampling(Settings):
    """How the sampler goes from noise to data (Appendix E.3; speechop/sampler.py)."""

    steps: Count = key(256, "sampling steps")
    solver: Solver = "sde-2m"
    logsnr_min: Whole = key(-15.0, "where sampling starts")
    logsnr_max: Whole = key(15.0, "where it ends")


class Answering(Sampling):
    """How a request is answered; what a system leaves open comes with the weights, and else is Appendix E.3's."""

    gamma: Annotated[NotNegative, WRITTEN] = key(1.5, "strength of the transcript's guidance (Eq. 3 and 4)")
    alpha: Annotated[Share, WRITTEN] = key(0.5, "weight of the text score in the average (Eq. 1)")
    guide_from: Whole = key(-1.0, "text guides above this logSNR")
    guide_to: Whole = key(1e9, "text guides below this logSNR")
    s2s_scale: Annotated[NotNegative, WRITTEN] = key(
        1.5, "classifier-free guidance of speech-to-speech tasks (1 is off)"
    )
    tts_scale: Annotated[NotNegative, WRITTEN] = key(3.0, "classifier-free guidance of TTS")
    edit_scale: Annotated[NotNegative, WRITTEN] = key(2.0, "classifier-free guidance of editing")
    voice_in: Annotated[tuple[Literal["tts", "source"], ...], LISTED] = key(
        ("tts", "source"), "the terms that hear the voice prompt"
    )
    prompt_pause_s: Annotated[NotNegative, WRITTEN] = key(
        0.0, "silence after a prompt that its own speaker's speech follows, where training joined sentences with pauses"
    )
    voice_snr_db: Annotated[float, WRITTEN] | None = key(
        None, "noise like the source's over its copy of the voice prompt, dB; none by default"
    )
    observation: Annotated[Share, WRITTEN] = key(
        0.0, "enhancement: the recording's share of the output's log spectrum, with its phase (0: as generated)"
    )
    observation_unsure: Annotated[NotNegative, WRITTEN] | None = key(
        None,
        "where `observation` is not 0: three samples are drawn, two with a transcript, and the share is at least so "
        "much for each decibel by which they differ",
    )
    trust: Trust | None = key(None, "how a recogniser's confidence decides how far its transcript guides")
    precision: Literal["bf16", "fp32"] = key("bf16", "bf16: where the processor has units for it, else fp32")
    batch: Count = 8
    seed: Natural = 0


class Composed(Answering):
    """A request's settings with its composition."""

    composition: Literal["none", "tc_cfg", "tc_avg"] = key("none", "Eq. 4, Eq. 1 or neither")


class System(Composed):
    """A composition of SpeechOp, in workflow/systems.yaml or among a preset's own systems."""

    model: Name = needed("the model's folder")
    transcript: Literal["none", "asr", "gold"] = "none"
    snap: bool = key(False, "its transcripts are those of the corpus's grammar nearest to what was heard")
    voice: bool = key(False, "hears a clean prompt of the target speaker as well")
    denoised: bool = key(False, "an edit's recording is enhanced first, without a transcript")
    codec_only: bool = key(False, "the clean reference through the model's codec and back: a ceiling")
    chunk_seconds: Positive | Literal["crop"] | None = key(
        None, "long sources go in chunks of this length; crop: of the length that the model was trained on"
    )
