"""Settings of SpeechX: sizes of its transformers, and what it learns from."""

from __future__ import annotations

from typing import Literal, get_args

from speechbase.settings import Count, Counts, Name, Natural, NotNegative, Pair, Positive, Range, Settings, Share, key
from speechbase.tokens.settings import LMConfig
from speechbase.training.settings import Model

Task = Literal["ns", "sr", "tse", "tts", "edit", "edit_noisy"]


class NetworkConfig(LMConfig):
    """Sizes of SpeechX's transformers."""

    prompt_layers: Natural = key(0, "levels of prompt and source that the autoregressive model hears; 0: all")
    said_levels: Count = key(
        1, "levels of the output that the autoregressive model says frame by frame; the other makes those above"
    )
    frames_a_byte: NotNegative = key(
        0.0, "how far apart a text's bytes stand where the output's length is not known; 0: as in the training speech"
    )


class BatchConfig(Settings):
    """Batches of SpeechX's tasks; a micro-batch has one task, as in the paper."""

    size: Count = key(8, "sentences a micro-batch: items of two sentences are half as many")
    tasks: dict[Task, Positive] = key(dict.fromkeys(get_args(Task), 1.0), "weight of each task")
    sentences: Counts = key((1,), "how many sentences are joined into an item: drawn from this list")
    pause_seconds: Pair = (0.15, 0.35)
    prompt_seconds: Pair = (1.5, 3.0)
    alike: Count = key(500, "among how many utterances next in length to a random one a batch is drawn")
    speed: Pair = key((1.0, 1.0), "range of speed perturbation of training items")
    recorded: Share | None = key(
        None, "share of items whose voice is a real one; without it every utterance is equally likely"
    )
    even_voices: bool = key(False, "whether every speaker is equally likely, not every utterance")
    text_dropped: Share = key(0.5, "how often the text is left out, of ns, sr and tse")
    snr_db: Range = key((-5.0, 20.0), "of ns, sr and edit_noisy")
    sir_db: Range = key((-5.0, 20.0), "of mixtures: the target against the other talker")
    full_degradation: Share = key(0.0, "how often ns and sr have all of corpus.degradation in place of noise alone")
    mask_share: Pair = key((0.1, 0.7), "of an edit's frames, those that are made anew")
    token_noise: Share = key(
        0.0, "of the codes that speechx_nar hears of its own output, how many become a near one; not in validation"
    )
    unheard: Share = key(
        0.0,
        "share of items whose speechx_ar is told what it has said from a random frame on alone, so that text and "
        "source are all it has there; not in validation",
    )
    pace: Pair = key(
        (1.0, 1.0), "range of the factor by which a text of tts is spread over too many or too few frames in training"
    )
    valid_items: Count = key(32, "items that validation has of each task at least")
    workers: Natural = key(0, "processes that draw batches ahead, for a GPU beside many CPU cores")
    replay: Count = key(1, "how often a batch that processes drew is used")


class SpeechXModel(Model):
    """SpeechX: the output's first level of codes (speechx_ar), or its further ones (speechx_nar)."""

    network: NetworkConfig
    batches: BatchConfig = BatchConfig()
    codec: Name = key("codec_tokens", "the folder of its token codec")
    speech: Literal["train", "tts"] = key("train", "the table of speech that it learns from")
