"""Settings of PolySpeech's models: what they learn from, and their sizes where they are not a transformer's."""

from __future__ import annotations

from typing import Literal, get_args

from speechbase.settings import Count, Name, Natural, NotNegative, Pair, Positive, Settings, Share, key, needed
from speechbase.tokens.settings import LMConfig
from speechbase.training.settings import Model

Task = Literal["asr", "tts", "lid", "gid"]


class CropConfig(Settings):
    """Crops of speech in all languages."""

    size: Count = key(24, "crops a micro-batch")
    seconds: Positive = 3.0
    noisy: Share = key(0.0, "share of crops that are heard degraded; none in validation")
    prompt_seconds: Positive = key(2.0, "of the voice that a decoder hears")
    valid_items: Count = key(48, "crops that validation has at least")


class HubertBatches(CropConfig):
    """Crops of which a part is masked."""

    mask: Share = key(0.45, "share of frames that are hidden")
    span: Count = key(10, "frames in a row that are")


class TargetConfig(Settings):
    """Clusters by which masked frames are to be named."""

    of: str = key("latents", "latents without each crop's mean, or the encoder whose chosen layer is clustered")
    clusters: Count = 100
    frames: Count = key(60_000, "that the clusters are fitted to")
    iterations: Count = key(20, "of k-means")


class SsetConfig(Settings):
    """Sizes of tokens of semantic embeddings."""

    dim: Count = 192
    kernel: Count = 5
    layers: Natural = key(3, "convolutions of the encoder, and of the decoder")
    codes: Count = 512
    levels: Count = key(1, "codebooks, each of what those before it leave")
    encoder: bool = key(True, "false: the codebook is k-means of the embeddings themselves")


class SsetFit(Settings):
    """K-means with which the codebook begins, or of which it is made."""

    frames: Count = 60_000
    iterations: Count = 20


class SsetLosses(Settings):
    """Beside the squared error of the embeddings."""

    commitment: NotNegative = key(0.25, "what the distance of the encoder to its codeword costs")


class BatchConfig(Settings):
    """Batches of the language model; a micro-batch has one task."""

    size: Count = key(8, "items a micro-batch")
    naming: Count = key(1, "so many times as many items has one of lid or gid, where an item teaches one label")
    tasks: dict[Task, Positive] = key(dict.fromkeys(get_args(Task), 1.0), "weight of each task")
    draw: Literal["volume", "uniform"] = key("volume", "whether weights count by utterance of a task's data")
    alike: Count = key(500, "among how many utterances next in length to a random one a batch of asr or tts is drawn")
    crop_seconds: Pair = key((0.5, 3.0), "of lid and gid")
    speed: Pair = key((1.0, 1.0), "range of speed perturbation of training items")
    noisy: Share = key(0.5, "share of items of asr, lid and gid that are heard degraded; none in validation")
    unheard: Share = key(
        0.0, "share of items of tts that are told what they have said from a random frame on alone, so that the text "
        "is all they have there (word dropout, Bowman et al. 2016); none in validation"
    )  # fmt: skip
    pace: Pair = key(
        (1.0, 1.0), "range of the factor by which a text of tts is spread over too many or too few frames in training"
    )
    valid_items: Count = key(32, "items that validation has of each task at least")
    workers: Natural = key(0, "processes that draw batches ahead, for a GPU beside many CPU cores")
    replay: Count = key(1, "how often a batch that processes drew is used")


class LossConfig(Settings):
    """Beside the cross-entropy of what is wanted."""

    ctc: NotNegative = key(0.0, "weight of CTC over the positions of speech, of asr; not the paper's")
    ctc_spoken: NotNegative = key(0.0, "the same of tts, over what is said (Liu et al. 2019, arXiv 1909.01145)")


class PolySpeechPart(Model):
    """What all models of PolySpeech say."""

    codec: Name = key("codec", "the folder of its codec")
    speech: Literal["train", "tts"] = key("train", "the table of speech that it learns from")


class HubertModel(PolySpeechPart):
    """A semantic encoder, by masked prediction."""

    network: LMConfig
    batches: HubertBatches = HubertBatches()
    targets: TargetConfig = TargetConfig()


class SsetModel(PolySpeechPart):
    """Tokens of semantic embeddings."""

    network: SsetConfig
    fit: SsetFit = SsetFit()
    batches: CropConfig = CropConfig()
    losses: SsetLosses = SsetLosses()
    semantic: Name = needed("the encoder whose embeddings they are of")


class PolySpeechDecoderModel(PolySpeechPart):
    """From tokens and a voice to the codec's latents."""

    network: LMConfig
    batches: CropConfig = CropConfig()
    semantic: Name = needed("the semantic encoder")
    tokens: Name = needed("the tokens that it decodes")


class PolySpeechModel(PolySpeechPart):
    """PolySpeech's language model."""

    network: LMConfig
    batches: BatchConfig = BatchConfig()
    losses: LossConfig = LossConfig()
    hears: Literal["semantic", "latents"] = key(
        "semantic", "of speech: the encoder's embeddings, or the codec's latents"
    )
    semantic: Name = needed("the semantic encoder")
    tokens: Name = needed("the tokens that it speaks")
