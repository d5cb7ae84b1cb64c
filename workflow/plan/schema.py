"""Every key of a scale's resolved configuration and of SpeechOp's entries in workflow/systems.yaml: type, range,
meaning.

What a key that is left out means, the code says that reads it; `workflow.plan.manual` writes both down.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field

from metrics.scorer import check_settings
from speechbase.files import UserError
from speechbase.settings import Settings, checked
from speechbase.training import kinds

Name = Annotated[str, Field(pattern="^[a-z0-9_]+$")]
Id = Annotated[str, Field(pattern="^[a-z0-9-]+$")]
Text = Annotated[str, Field(min_length=1)]
Natural = Annotated[int, Field(ge=0)]
Count = Annotated[int, Field(ge=1)]
Positive = Annotated[float, Field(gt=0)]
NotNegative = Annotated[float, Field(ge=0)]
Share = Annotated[float, Field(ge=0, le=1)]
Range = Annotated[list[float], Field(min_length=2, max_length=2)]
Pair = Annotated[list[NotNegative], Field(min_length=2, max_length=2)]
Counts = Annotated[list[Count], Field(min_length=1)]
Split = Annotated[str, Field(pattern="^(train|valid|test)(_[a-z0-9_]+)?$")]


def key(meaning: str, default: Any = None) -> Any:
    """A key that may be left out, with what it means."""
    return Field(default, description=meaning)


def needed(meaning: str) -> Any:
    """A key that must be there."""
    return Field(description=meaning)


class Eq(Settings):
    """A drawn equaliser."""

    probability: Share
    gain_db: NotNegative


class Compression(Settings):
    """A drawn compressor."""

    probability: Share
    threshold_db: Range
    ratio: Range


class Reverb(Settings):
    """A simulated or recorded room."""

    probability: Share
    max_rt60_s: Positive | None = key("test sets leave longer decays out")


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
    talkers: Counts


class Degradation(Settings):
    """Appendix D: each effect with its probability and the ranges that its settings are drawn from."""

    eq: Eq | None = None
    compression: Compression | None = None
    reverb: Reverb | None = None
    noise: Noise | None = None
    band: Band | None = None
    clipping: Clipping | None = key("beyond the paper, of the noisy sum")
    coding: Coding | None = key("beyond the paper, a lossy format that the noisy sum has gone through")
    babble: Babble | None = key("beyond the paper, in training: other people of the corpus take the noise's place")


class Training(Settings):
    """One run of the training loop."""

    steps: Count | None = None
    lr: Positive | None = None
    warmup: Natural | None = key("steps over which the learning rate grows")
    weight_decay: NotNegative | None = None
    betas: Pair | None = None
    clip: Positive | None = key("largest norm of a gradient")
    ema: Share | None = key("what the averaged weights keep of themselves a step")
    accumulate: Count | None = key("micro-batches a step")
    precision: Literal["bf16", "fp32"] | None = None
    validate_every: Count | None = key("steps")
    samples_every: Natural | None = key("steps between samples to listen to, in the report too (0 is none)")
    save_minutes: NotNegative | None = key("minutes between resume states")
    cooldown: Share | None = key("the last share of the steps, over which the learning rate falls to zero")


class Batches(Settings):
    """What a batch of SpeechOp is drawn from."""

    tts_batch: Count | None = None
    s2s_batch: Count | None = None
    crop_seconds: Positive | None = None
    valid_items: Count | None = key("items that validation has of each kind of batch at least")
    prompt_seconds: Pair | None = None
    sentences: Counts | None = key("how many sentences are joined into an item: drawn from this list")
    pause_seconds: Pair | None = None
    drop: Share | None = key("how often the conditioning is left out, for classifier-free guidance")
    speed: Pair | None = key("range of speed perturbation of training items: more voices than a small corpus has")
    recorded: Share | None = key("share of items whose voice is a real one, where there are any")
    tts_seconds: Positive | None = key("speech of a TTS batch, whatever its number of items, of about one length")
    alike: Count | None = key("how many utterances next in length they are drawn among")
    workers: Natural | None = key("processes that draw batches ahead, for a GPU beside many CPU cores")
    tasks: list[Name] | None = None


class Transformer(Settings):
    """Sizes of a transformer."""

    dim: Count
    ff_dim: Count
    layers: Count
    heads: Count | None = None
    registers: Natural | None = None
    dropout: Share | None = None


class TextEncoder(Settings):
    """What reads transcripts."""

    kind: Literal["bytes", "phonemes", "byt5"]
    dim: Count
    layers: Count | None = None
    alphabet: Text | None = key("of phonemes (speechbase/corpus/phones.py); it travels with the weights")
    lengths: Annotated[list[list[Count]], Field(min_length=2, max_length=2)] | None = key(
        "ms of each phoneme of the alphabet without and with stress (`phones.sound_lengths`): where it lies in time"
    )
    folder: str | None = key("of ByT5's weights")


class Network(Settings):
    """SpeechOp's network (section 5, Appendix E.1)."""

    latent_dim: Count | None = None
    dit: Transformer
    encoder: Transformer
    text: TextEncoder
    cross_rotary: bool | None = None
    encoder_time: bool | None = key(
        "the audio encoder hears the noise level (Table 8); else its output serves all steps"
    )
    source_mixing: Literal["framewise", "cross_attention"] | None = key("section 5, or Appendix F")


class Diffusion(Settings):
    """The noise schedule and the weight of its losses (section 3)."""

    bias: float | None = key("of the sigmoid loss weight")
    elbo_jacobian: bool | None = None
    schedule_scale: Positive | None = key("the shift of the cosine schedule")


class DiffusionLosses(Settings):
    """Losses beside that of diffusion."""

    si_sdr: NotNegative | None = key("what a decibel of the decoded estimate's SI-SDR is worth in squared error (E6)")


class CodecNetwork(Settings):
    """Sizes of an audio codec."""

    kind: Literal["mel", "dac"]
    rate_hz: Count | None = None
    hop: Count | None = None
    latent_dim: Count | None = None
    frames_per_latent: Count | None = None
    n_fft: Count | None = None
    n_mels: Count | None = None
    floor: Positive | None = None
    spectrum_power: NotNegative | None = None
    posterior_std: NotNegative | None = None
    decoder_dim: Count | None = None
    decoder_layers: Count | None = None
    encoder_dim: Count | None = None
    strides: Counts | None = None


class CodecLosses(Settings):
    """What a codec is trained with."""

    seconds: Positive | None = None
    batch: Count | None = None
    mel_windows: Counts | None = None
    mel_bands: Counts | None = None
    disc_windows: list[Count] | None = None
    disc_channels: Count | None = None
    waveform: NotNegative | None = None
    mel: NotNegative | None = None
    adversarial: NotNegative | None = None
    matching: NotNegative | None = None
    kl: NotNegative | None = None
    adversarial_from: Natural | None = key("the step from which discriminators take part")
    recorded: Share | None = key("share of crops of real voices")


class Fit(Settings):
    """Speech that a closed-form encoder is fitted to."""

    recorded: Share | None = key("share of real voices")
    noisy: Share | None = key("share of utterances in noise")
    count: Count | None = None


class MatchedBatches(Settings):
    """Pairs of a compared system."""

    size: Count
    seconds: Positive


class QuantiserNetwork(Settings):
    """Sizes of a residual quantiser."""

    levels: Count
    codes: Count


class QuantiserFit(Settings):
    """What the codebooks are fitted to."""

    frames: Count | None = key("latent frames that the codebooks are fitted to")
    iterations: Count | None = key("of k-means, a level")
    parts: dict[Literal["clean", "noisy", "noise"], NotNegative] | None = key("proportions of the frames")


class TokenNetwork(Settings):
    """Sizes of a token model's transformer."""

    dim: Count | None = None
    ff_dim: Count | None = None
    layers: Count | None = None
    heads: Count | None = None
    window: Count | None = key("positions that are taken at once")


class SpeechXNetwork(TokenNetwork):
    """Sizes of SpeechX's transformers."""

    prompt_layers: Count | None = key("levels of prompt and source that the autoregressive model hears; all by default")


class SpeechXBatches(Settings):
    """Batches of SpeechX's tasks."""

    size: Count | None = key("sentences a micro-batch: items of two sentences are half as many")
    tasks: dict[Literal["ns", "sr", "tse", "tts", "edit", "edit_noisy"], Positive] | None = key("weight of each task")
    sentences: Counts | None = key("how many sentences are joined into an item: drawn from this list")
    pause_seconds: Pair | None = None
    prompt_seconds: Pair | None = None
    alike: Count | None = key("among how many utterances next in length to a random one a batch is drawn")
    speed: Pair | None = key("range of speed perturbation of training items")
    recorded: Share | None = key("share of items whose voice is a real one, where there are any")
    text_dropped: Share | None = key("how often the text is left out, of ns, sr and tse")
    snr_db: Range | None = key("of ns, sr and edit_noisy")
    sir_db: Range | None = key("of mixtures: the target against the other talker")
    full_degradation: Share | None = key("how often ns and sr have all of corpus.degradation in place of noise alone")
    mask_share: Pair | None = key("of an edit's frames, those that are made anew")
    token_noise: Share | None = key("of the codes that speechx_nar hears of its own output, how many become a near one")
    valid_items: Count | None = key("items that validation has of each task at least")
    workers: Natural | None = key("processes that draw batches ahead, for a GPU beside many CPU cores")


class CodecRun(Training):
    """What one of several runs changes."""

    losses: CodecLosses | None = None


class DiffusionRun(Training):
    """What one of several runs changes."""

    batches: Batches | None = None
    losses: DiffusionLosses | None = None


class MatchedRun(Training):
    """What one of several runs changes."""

    batches: MatchedBatches | None = None


class SpeechXRun(Training):
    """One of several runs."""

    batches: SpeechXBatches | None = None


class SpeechXTraining(Training):
    """How SpeechX's transformers are trained."""

    runs: Annotated[list[SpeechXRun], Field(min_length=1)] | None = key("training in several runs")


class CodecTraining(Training):
    """A codec's training."""

    runs: Annotated[list[CodecRun], Field(min_length=1)] | None = key("training in several runs")


class DiffusionTraining(Training):
    """SpeechOp's training."""

    runs: Annotated[list[DiffusionRun], Field(min_length=1)] | None = key("training in several runs")


class MatchedTraining(Training):
    """A compared system's training."""

    runs: Annotated[list[MatchedRun], Field(min_length=1)] | None = key("training in several runs")


class Model(Settings):
    """What every trained model says."""

    kind: str = needed("what trains it (speechbase/training/kinds.py)")
    after: list[Name] = needed("models that must be there first")
    init: Annotated[str, Field(pattern="^[a-z0-9_]+(@[0-9]+)?$")] | None = key(
        "the model whose weights this one starts from; name@1: after its first run"
    )
    store: Literal["fp16", "fp32"] | None = key("precision of the released weights")


class CodecModel(Model):
    """An audio codec."""

    network: CodecNetwork
    losses: CodecLosses | None = None
    training: CodecTraining
    adopt: Annotated[str, Field(pattern="^[a-z0-9_]+/[a-z0-9_]+$")] | None = key(
        "scale/model: the shipped codec whose decoder a fitted codec starts from"
    )
    fit: Fit | None = key("what its closed-form encoder is fitted to")


class DiffusionModel(Model):
    """SpeechOp: stage 1 (tts), stage 2 (multitask), or one speech-to-speech task (s2s)."""

    network: Network
    diffusion: Diffusion | None = None
    batches: Batches | None = None
    losses: DiffusionLosses | None = None
    training: DiffusionTraining
    codec: Name | None = key("the folder of its codec")


class MatchedModel(Model):
    """A compared system that is trained on the same data; its method knows its sizes."""

    network: dict[str, Any] | None = None
    batches: MatchedBatches
    training: MatchedTraining


class QuantiserModel(Model):
    """Residual codes over the latents of the codec `init`; of the codec, the decoder is trained on."""

    network: QuantiserNetwork
    fit: QuantiserFit | None = None
    losses: CodecLosses | None = None
    training: CodecTraining


class SpeechXModel(Model):
    """SpeechX: the output's first level of codes (speechx_ar), or its further ones (speechx_nar)."""

    network: SpeechXNetwork
    batches: SpeechXBatches | None = None
    training: SpeechXTraining
    codec: Name | None = key("the folder of its token codec")


MODELS: dict[str, type[Model]] = {
    "codec": CodecModel,
    "quantiser": QuantiserModel,
    "predictive": MatchedModel,
    "sepformer": MatchedModel,
    "speechx_ar": SpeechXModel,
    "speechx_nar": SpeechXModel,
}


class Sampling(Settings):
    """What a system leaves open; what neither says has the paper's value (Appendix E.3)."""

    gamma: NotNegative | None = key("strength of the transcript's guidance (Eq. 3 and 4)")
    alpha: Share | None = key("weight of the text score in the average (Eq. 1)")
    guide_from: float | None = key("text guides above this logSNR")
    guide_to: float | None = key("text guides below this logSNR")
    s2s_scale: NotNegative | None = key("classifier-free guidance of speech-to-speech tasks (1 is off)")
    tts_scale: NotNegative | None = key("classifier-free guidance of TTS")
    edit_scale: NotNegative | None = key("classifier-free guidance of editing")
    prompt_pause_s: NotNegative | None = key("silence after a prompt")
    voice_in: list[Literal["tts", "source"]] | None = key("the terms that hear the voice prompt")
    steps: Count | None = key("sampling steps")
    solver: str | None = None
    logsnr_min: float | None = key("where sampling starts (the paper: -15, for 256 steps)")
    logsnr_max: float | None = key("where it ends (the paper: 15)")
    precision: Literal["bf16", "fp32"] | None = None
    batch: Count | None = None
    seed: Natural | None = None
    chunk_seconds: Positive | Literal["crop"] | None = key(
        "long sources go in chunks of this length; crop: of the length that the model was trained on"
    )


class System(Sampling):
    """A composition of SpeechOp, in workflow/systems.yaml or among a preset's own systems."""

    base: str | None = key("the entry that this one starts from")
    model: Name | None = key("the model's folder")
    transcript: Literal["none", "asr", "gold"] | None = None
    composition: Literal["none", "tc_cfg", "tc_avg"] | None = key("Eq. 4, Eq. 1 or neither")
    voice: bool | None = key("hears a clean prompt of the target speaker as well")
    codec_only: bool | None = key("the clean reference through the model's codec and back: a ceiling")


class Recogniser(Settings):
    """A recogniser and how it is asked."""

    model: str | None = key("its own name by default; one that no package carries needs engine and path")
    engine: Literal["whisper", "ctc"] | None = None
    path: str | None = key("folder of the weights")
    compute_type: str | None = None
    beam_size: Count | None = None
    context_s: Annotated[float, Field(ge=5, le=30)] | None = None
    vad: bool | None = None
    language: str | None = None
    initial_prompt: str | None = None
    device: str | None = None
    threads: Count | None = None


class Overrides(Settings):
    """Changed settings of compared systems."""

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, dict[str, Any]]

    weights_dir: str | None = key("where downloaded weights lie")


class Evaluation(Settings):
    """How answers are judged."""

    metrics: dict[Name, Name | None] = needed("which metric fills a column (a role) of the tables; null: none does")
    asr: Annotated[dict[Name, Recogniser], Field(min_length=1)] = needed(
        "recognisers by name; a metric's name ends in that of its recogniser"
    )
    guide: Name = needed("the recogniser whose transcript of the noisy input guides ITC")
    settings: dict[str, Any] = needed("of scoring and of single metrics (docs/metrics.md)")
    baselines: Overrides = needed("changed settings of baselines/*/card.yaml, by system")
    bootstrap_draws: Annotated[int, Field(ge=100)] = needed("resamples behind every interval")
    min_scored: Share = needed("a cell with a smaller share of scored utterances has no value")


class Sentences(Settings):
    """Which sentences are said."""

    source: Literal["matrix", "grid", "open"]
    shares: dict[str, Share] | None = key("of the packages' sentences in the open source")
    valid_share: Share | None = None
    test_share: Share | None = None
    min_words: Count | None = None
    max_words: Count | None = None


class SeenInValid(Settings):
    """Training speakers among the validation utterances."""

    share: Share | None = None
    voices: list[str] | None = None


class Speech(Settings):
    """How much is said."""

    utterances: dict[Split, Natural] = needed("sentences by split; test_more: further ones of test's speakers")
    speed: Annotated[list[Positive], Field(min_length=2, max_length=2)] | None = key("1 is the voice's own pace")
    seen_in_valid: SeenInValid | None = key("share of the validation utterances that training speakers say")


class BySplit(Settings):
    """A number a split."""

    train: Natural | None = None
    valid: Natural | None = None
    test: Natural | None = None


class Kinds(Settings):
    """Shares of kinds of noise."""

    babble: NotNegative | None = None
    coloured: NotNegative | None = None
    speech_shaped: NotNegative | None = None
    modulated: NotNegative | None = None
    hum: NotNegative | None = None
    clicks: NotNegative | None = None
    music: NotNegative | None = None
    ambience: NotNegative | None = None


class Noises(Settings):
    """Simulated noises."""

    clip_seconds: Positive
    clips: BySplit = needed("clips by split")
    kinds: Kinds = needed("relative shares of the kinds of noise")


class Rooms(Settings):
    """Simulated rooms."""

    count: BySplit = needed("simulated rooms by split")
    rt60_s: Pair = needed("reverberation time")


class TestSet(Settings):
    """A test set: task, speakers, size and degradation."""

    task: Name = needed("a task of speechbase/items.py")
    split: Annotated[str, Field(pattern="^((train|valid|test)(_[a-z0-9_]+)?|real|recorded)$")] = needed(
        "whose speakers and noises (test_more and real have those of test)"
    )
    size: Count
    prompt: bool | None = key("false: no prompts, for speakers with one utterance")
    sentences: Count | None = key("of one speaker, joined by pauses")
    pause_s: Pair | None = None
    level_db: Range | None = key("the other talker against the target")
    degradation: Degradation | None = None
    snr_steps_db: Annotated[list[float], Field(min_length=1)] | None = key(
        "of the noise, one after the other, each for a pass through all utterances"
    )


class Recording(Settings):
    """A recorded utterance."""

    id: Id
    speaker: Id
    sex: Literal["f", "m"]
    text: str
    path: str = needed("in `package`, where that is given")
    package: str | None = None
    channel: Natural | None = None


class RealVoices(Settings):
    """A corpus of recorded voices."""

    list: str = needed("ids, speakers, splits and checksums, a file of speechbase/corpus/lists")
    have: str | None = key("the folder that holds <id>.flac")
    variable: str = needed("the environment variable that names that folder where `have` does not")
    max_seconds: Positive = needed("longer recordings are cut at pauses")
    copies: Count = needed("of each training voice, itself among them")
    formant_ratio: Pair
    f0_ratio: Pair
    speed: Pair


class RealTests(Settings):
    """Recordings for test sets."""

    list: str = needed("kinds, ids, licences, sources and checksums, a file of speechbase/corpus/lists")
    have: str | None = key("the folder that holds the files and their words")
    variable: str = needed("the environment variable that names that folder where `have` does not")


class Voice(Settings):
    """A speaker: a voice of a packaged synthesiser and what changes it."""

    id: Id
    sex: Literal["f", "m"]
    split: Literal["train", "valid", "test"]
    share: Positive
    model: Literal["heart", "joe", "kokoro"]
    style: dict[str, float] | None = None
    direction_seed: Natural | None = None
    direction_norm: NotNegative | None = None
    formant_ratio: Annotated[float, Field(ge=0.5, le=2)] | None = None
    median_f0_hz: Annotated[float, Field(ge=40, le=600)] | None = None
    pitch_range: Annotated[float, Field(ge=0, le=4)] | None = None


class Corpus(Settings):
    """What every corpus says."""

    seed: Natural
    rate_hz: Annotated[int, Field(ge=8000, le=48000)]
    level_dbfs: Annotated[float, Field(le=0)] = needed("RMS of active speech")
    degradation: Degradation = needed("of training pairs, drawn on the fly (Appendix D)")


Parts = Annotated[
    dict[Literal["librispeech", "libritts", "libritts_r", "mls_english"], Annotated[list[str], Field(min_length=1)]],
    Field(min_length=1),
]


class RecordedSpeech(Settings):
    """Which parts of which corpora are speech."""

    train: Parts = needed("clean speech of the speech-to-speech tasks, as corpus -> its parts")
    tts: Parts | None = key("speech with transcripts for TTS")
    valid: Parts


class RecordedTestSet(Settings):
    """A test set of the literature."""

    from_: Literal["librispeech", "realedit", "daps", "libri2mix", "wsj0_2mix", "whamr"] = Field(alias="from")
    size: Count | None = key("a seeded choice of so many items, for a look; not the paper's set")
    source_rate_hz: Annotated[int, Field(ge=8000)] | None = key("the rate that noisy recordings of DAPS are heard at")
    noisy: bool | None = key("Libri2Mix with WHAM! noise")
    words: str | None = key("a table of word times of your own aligner (recording, word, start_s, end_s)")
    dereverberate: bool | None = key("WHAMR! with anechoic targets")


class Recorded(Settings):
    """Where real corpora lie, which parts are used, which test sets are made of them (docs/paper_scale.md)."""

    folder: Text = needed("archives and what is unpacked of them")
    have: dict[str, str] | None = key("folders of corpora that the user has already")
    mirror: Annotated[str, Field(pattern="^https?://")] | None = key(
        "fetch <mirror>/<corpus>/<file> instead of the published addresses"
    )
    shard_parts: Count | None = key("jobs that write the shards of a table")
    speech: RecordedSpeech
    held_out: Parts = needed("parts whose readers are left out of training")
    seconds: dict[str, Pair] | None = key("lengths of TTS utterances that are kept, by corpus, as [least, below)")
    noise: Annotated[list[Literal["dns5_noise", "sfs_static"]], Field(min_length=1)]
    rir: Annotated[list[Literal["mit_ir", "echothief", "openslr28"]], Field(min_length=1)]
    testsets: dict[Name, RecordedTestSet]


class RecordedCorpus(Corpus):
    """Real corpora instead of packaged voices."""

    recorded: Recorded


class PackagedCorpus(Corpus):
    """Speech of packaged voices."""

    text: Sentences
    speech: Speech
    noise: Noises
    rir: Rooms
    testsets: dict[Name, TestSet]
    voices: Annotated[list[Voice], Field(min_length=1)] = needed("a cast of config/voices.tsv, or a list")
    real: list[Recording] | None = key("recorded speech for the split `real`")
    real_voices: RealVoices | None = key(
        "a recorded corpus whose voices join training and validation where it is there"
    )
    real_tests: RealTests | None = key("recorded speech, noises and rooms for test sets of `split: recorded`")


class Resources(Settings):
    """What a job asks the machine for."""

    gpu: Natural = needed("GPUs that a model's job asks for")


class Config(Settings):
    """A resolved configuration."""

    scale: Name = needed("names data/<scale>, models/<scale> and results/<scale>")
    about: Text = needed("what was measured on what, in a sentence that stands under every table")
    seed: Natural = needed("of training, sampling and the bootstrap; every utterance draws from (seed, its id)")
    retrain: bool = needed("True trains models even where shipped weights exist")
    respeak: bool = needed("True speaks the test speech here; False copies what ships, where the corpus is the same")
    resources: Resources
    evaluation: Evaluation
    models: dict[Name, dict[str, Any]] = needed("every model by its folder's name: below")
    corpus: dict[str, Any] = needed("seed and rate of the speech, sentences, voices, noises, rooms, test sets: below")
    sampling: Sampling


def check_config(config: dict, where: str) -> None:
    """A resolved configuration has known keys and fitting values. Raises: UserError: names file, key and the nearest
    one."""
    checked(Config, config, where)
    corpus = RecordedCorpus if "recorded" in config["corpus"] else PackagedCorpus
    checked(corpus, config["corpus"], f"{where}: corpus")
    for name, entry in config["models"].items():
        _check_model(entry, f"{where}: models.{name}")
    try:
        check_settings(config["evaluation"]["settings"])
    except UserError as error:
        raise UserError(f"{where}: evaluation.settings: {error}") from None


def _check_model(entry: dict, where: str) -> None:
    kind = str(entry.get("kind", "tts"))
    try:
        kinds.module_of(kind)
    except UserError as error:
        raise UserError(f"{where}: {error}") from None
    checked(MODELS.get(kind, DiffusionModel), entry, where)


def check_systems(entries: dict[str, dict], where: str) -> None:
    """SpeechOp's entries of workflow/systems.yaml. Raises: UserError: as `check_config`."""
    for name, entry in entries.items():
        checked(System, entry, f"{where}: {name}")
