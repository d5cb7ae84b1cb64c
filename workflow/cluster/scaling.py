"""What the paper's scale costs: bytes, GPU-hours, input per node, money; computed from the configuration and the networks' code.

python -m workflow.cluster.scaling --config config/paper.yaml --out docs/scaling.md
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

from speechbase.files import plain_errors, write_text
from speechbase.recorded.corpora import read_corpora
from speechop.stages.batches import BatchConfig
from workflow.cluster import flops
from workflow.plan import configuration

# Corpora by hours and utterances: MLS and LibriTTS as published; the share of LibriTTS below 10 s is estimated.
HOURS = {"mls_english": 44660.0, "libritts": 480.0, "libritts_r": 555.0}
UTTERANCES = {"mls_english": 10_808_037, "libritts": 330_000, "libritts_r": 354_780}
RATES_HZ = {"mls_english": 16000, "libritts": 24000, "libritts_r": 24000}
LETTERS_PER_SECOND = 14.5  # read English, with spaces
FRAME_RATE = 40  # latent frames a second
FLAC_SHARE = 0.55  # of 16-bit PCM, for speech
PEAK = {
    "A100": {"bf16": 312e12, "fp32": 156e12},
    "H100": {"bf16": 989e12, "fp32": 494e12},
}  # operations a second; fp32: TF32
UTILISATION = {"well": 0.45, "poorly": 0.25}  # of the peak that large products reach in training
LAUNCH_S = 0.06  # a micro-step's kernels cannot be launched faster, however small the batch
NETWORK = 20e9  # bytes a second that a GPU's share of the all-reduce moves between nodes
HIDDEN = {"well": 1.0, "poorly": 0.0}  # share of the all-reduce that computation hides
DOLLARS_PER_HOUR = {"A100": (1.3, 2.5), "H100": (2.0, 4.0)}
GPUS, GPUS_PER_NODE, CODEC_GPUS = 32, 8, 8
CODEC_OVERHEAD = 2.0  # discriminators and losses cost about as much as the codec
SAMPLING_UTILISATION = 0.15  # small batches
CLIPS = {"se": (480, 8.0), "tts": (1237, 6.4), "edit": (100, 6.0), "sep_clean": (6000, 5.0), "sep_noisy": (6000, 5.0)}
SYSTEMS = {"se": (5, 3.0), "tts": (2, 2.0), "edit": (2, 2.0), "sep_clean": (2, 3.0), "sep_noisy": (2, 3.0)}
TTS = ("mls_english", "libritts")
TTS_HOURS = sum(HOURS[corpus] for corpus in TTS)
TTS_SECONDS = 3600 * TTS_HOURS / sum(UTTERANCES[corpus] for corpus in TTS)  # of a mean utterance


@dataclass(frozen=True)
class Stage:
    """A training stage: operations a GPU and micro-step, micro-steps a step, steps, GPUs, trained parameters."""

    name: str
    operations: float
    micro_steps: int
    steps: int
    gpus: int
    parameters: int
    precision: str

    def step_s(self, gpu: str, how: str) -> float:
        """Seconds of a step where training runs `how` ("well" or "poorly"): computation, launches, the all-reduce."""
        computing = self.operations / (PEAK[gpu][self.precision] * UTILISATION[how])
        moving = 2 * 4 * self.parameters / NETWORK
        return self.micro_steps * max(computing, LAUNCH_S) + (1 - HIDDEN[how]) * moving

    def gpu_hours(self, gpu: str, how: str) -> float:
        """GPU-hours of all its GPUs together."""
        return self.step_s(gpu, how) * self.steps * self.gpus / 3600


NAMES = {"tts": "stage 1 (TTS)", "multitask": "stage 2 (multi-task)"}


def stages(config: dict) -> list[Stage]:
    """Every model that a configuration trains: codec, stage 1, stage 2, then the smaller ones of Figure 2 and Table 10."""
    codec = config["models"]["codec"]
    encoder, whole = flops.codec_per_second(dict(codec["network"]))
    codec_s = codec["losses"]["batch"] * codec["losses"]["seconds"]
    whole_codec = 3 * whole * codec_s * CODEC_OVERHEAD
    found = [Stage("codec", whole_codec, 1, codec["training"]["steps"], CODEC_GPUS, 104_000_000, "fp32")]
    order = [name for name in config["models"] if name not in ("codec", *NAMES)]
    return found + [_stage(name, config["models"][name], encoder) for name in (*NAMES, *order)]


def _stage(name: str, model: dict, encoder: float) -> Stage:
    """A training stage of the network; `encoder` is what the codec's encoder costs for a second of audio."""
    counter = flops.Counter(dict(model["network"]))
    sizes, batches, training = counter.parameters(), model["batches"], model["training"]
    spoken = pair = 0.0
    if model["kind"] != "s2s":
        text = round(TTS_SECONDS * LETTERS_PER_SECOND)
        frozen = 2.0 * flops.BYT5_PARAMETERS * text
        spoken = 3 * (counter.forward(round(TTS_SECONDS * FRAME_RATE), text) - frozen) + frozen
    if model["kind"] != "tts":
        pair_s = BatchConfig(**batches).pair_seconds
        pair = 3 * counter.forward(round(pair_s * FRAME_RATE), 0, source=True) + encoder * 2 * pair_s
    operations = spoken * batches.get("tts_batch", 0) + pair * batches.get("s2s_batch", 0)
    if model["kind"] == "multitask":
        operations /= 2  # the two kinds alternate
    parameters = sizes["transformer"] if model["kind"] == "tts" else sum(sizes.values())
    precision = training["precision"]
    label = NAMES.get(name, name)
    return Stage(label, operations, training["accumulate"], training["steps"], GPUS, parameters, precision)


def disk() -> list[tuple[str, float, str]]:
    """(what, bytes, how it is reckoned)."""
    archives = {name: sum(archive.bytes for archive in rows) for name, rows in read_corpora().items()}
    free = sum(size for name, size in archives.items() if not read_corpora()[name][0].needs_licence)
    pcm = {name: HOURS[name] * 3600 * RATES_HZ[name] * 2 for name in HOURS}
    latents = sum(HOURS[name] for name in TTS) * 3600 * 40 * 64 * 2
    return [
        ("archives", free, "corpora.tsv; they may be deleted once unpacked"),
        ("unpacked MLS (FLAC)", archives["mls_english"], "as its archive: FLAC does not shrink again"),
        ("unpacked LibriTTS and LibriTTS-R (WAV)", pcm["libritts"] + pcm["libritts_r"], "16-bit PCM at 24 kHz"),
        (
            "shards of TTS speech (FLAC)",
            sum(pcm[name] for name in TTS) * FLAC_SHARE,
            f"{FLAC_SHARE:.0%} of PCM at the corpus's rate",
        ),
        ("latents of TTS speech", latents, "40 Hz x 64 channels x float16"),
        ("noise and impulse responses", 59e9 + 6e9, "DNS-5 58 GB unpacked; the rest below 6 GB"),
        (
            "resume states and models",
            12 * (3 * 0.5e9 + 6 * 0.31e9) + 4e9,
            "weights, averages and two moments in float32",
        ),
    ]


def render(config: dict) -> str:
    """docs/scaling.md."""
    counter = flops.Counter(dict(config["models"]["tts"]["network"]))
    sizes = {name: f"{count / 1e6:.0f} M" for name, count in counter.parameters().items()}
    found = stages(config)
    rows = disk()
    parts = [
        HEAD.format(
            **sizes,
            **{how: f"{share:.0%}" for how, share in UTILISATION.items()},
            launch=1000 * LAUNCH_S,
            network=NETWORK / 1e9,
        ),
        "## Disk",
        _table("what|TB|reckoned from", [(what, f"{size / 1e12:.2f}", how) for what, size, how in rows]),
        f"Together {sum(size for _, size, _ in rows) / 1e12:.1f} TB.",
        "## Training",
        *_training(found),
        "## Input of a node",
        _input(found[1]),
        "## Sampling the test sets",
        *_sampling(counter),
        "## 740 M parameters, 100,000 hours",
        _larger(found, counter.parameters()["transformer"]),
    ]
    return "\n\n".join(parts) + "\n"


HEAD = """# What the paper's scale costs

Generated by `python -m workflow.cluster.scaling`; do not edit. Nothing here was run. Operations are counted on the networks' own
code; hours lie between a run that goes well ({well} of the peak, gradients exchanged behind the computation) and one that goes
poorly ({poorly}, nothing hidden), with at least {launch:.0f} ms a micro-step and {network:.0f} GB/s between nodes.

The diffusion transformer has {transformer} parameters and the audio encoder {encoder} (the paper: 419 M and 71 M), without the
frozen ByT5-base."""


SMALL = """The smaller models (12 and 6 layers) are those of Figure 2 and Table 10 alone. The paper does not say how long it
trained them; they are given the steps of the stages that they stand for."""


def _table(header: str, rows: list[tuple]) -> str:
    columns = header.split("|")
    lines = ["| " + " | ".join(columns) + " |", "| --- " + "| --: " * (len(columns) - 1) + "|"]
    return "\n".join(lines + ["| " + " | ".join(map(str, row)) + " |" for row in rows])


def _span(values: tuple[float, float], form: str = ",.0f") -> str:
    return f"{values[0]:{form}} to {values[1]:{form}}"


def _hours(found: list[Stage], gpu: str) -> tuple[float, float]:
    well, poorly = (sum(stage.gpu_hours(gpu, how) for stage in found) for how in UTILISATION)
    return well, poorly


def _training(found: list[Stage]) -> list[str]:
    rows = []
    for stage in found:
        a100, h100 = _hours([stage], "A100"), _hours([stage], "H100")
        days = (a100[0] / stage.gpus / 24, a100[1] / stage.gpus / 24)
        operations = f"{stage.operations * stage.micro_steps / 1e12:.1f}"
        rows.append(
            (stage.name, stage.gpus, f"{stage.steps:,}", operations, _span(a100), _span(h100), _span(days, ".1f"))
        )
    for label, part in (("the models of the main tables", found[:3]), ("all", found)):
        rows.append((label, "", "", "", _span(_hours(part, "A100")), _span(_hours(part, "H100")), ""))
    money = {}
    for gpu, (least, most) in DOLLARS_PER_HOUR.items():
        well, poorly = _hours(found, gpu)
        money[gpu] = (well * least, poorly * most)
    utterances = found[1].steps * found[1].micro_steps * GPUS * 4
    seen = utterances * TTS_SECONDS / 3600
    return [
        SMALL,
        _table("stage|GPUs|steps|TFLOP a GPU and step|A100 hours|H100 hours|days on its A100s", rows),
        f"Rented at {_span(DOLLARS_PER_HOUR['A100'], '')} dollars an A100 hour all cost {_span(money['A100'])} dollars, at "
        f"{_span(DOLLARS_PER_HOUR['H100'], '')} an H100 hour {_span(money['H100'])}.\nStage 1 hears {utterances / 1e6:.0f} M "
        f"utterances or {seen:,.0f} hours: {seen / TTS_HOURS:.1f} times its corpora.",
    ]


def _input(stage: Stage) -> str:
    step_s = stage.step_s("A100", "well")
    reads = GPUS_PER_NODE * 4 * stage.micro_steps / step_s
    audio, latent = TTS_SECONDS * 16000 * 2 * FLAC_SHARE, TTS_SECONDS * FRAME_RATE * 64 * 2
    return (
        f"A node of {GPUS_PER_NODE} A100s takes {step_s:.2f} s a step of stage 1 at best and asks for {reads:.0f} "
        "utterances a second:\n"
        f"{reads * audio / 1e6:.0f} MB/s of FLAC, or {reads * latent / 1e6:.0f} MB/s of latents, each one read at a known place. "
        f"Four nodes stay below\n{4 * reads * audio / 1e9:.1f} GB/s and {4 * reads:,.0f} reads a second, which a parallel "
        "file system serves; nothing need be staged on local disks."
    )


def _sampling(counter: flops.Counter) -> list[str]:
    rows, total = [], 0.0
    for name, (clips, seconds) in CLIPS.items():
        systems, evaluations = SYSTEMS[name]
        operations = counter.forward(round(seconds * FRAME_RATE)) * 256 * evaluations * clips * systems
        hours = operations / (PEAK["A100"]["bf16"] * SAMPLING_UTILISATION) / 3600
        total += hours
        rows.append((name, clips, seconds, systems, evaluations, f"{hours:.1f}"))
    return [
        _table("test set|clips|seconds|SpeechOp systems|evaluations a step|A100 hours", rows),
        f"256 steps at {SAMPLING_UTILISATION:.0%} of the peak: {total:.0f} A100 hours. Scoring is small beside it.",
    ]


def _larger(found: list[Stage], parameters: int) -> str:
    wider, longer = 740e6 / parameters, 100_000 / TTS_HOURS
    base = sum(stage.gpu_hours("A100", "well") for stage in found[1:3])
    latents, flac = (100_000 * 3600 * rate / 1e12 for rate in (FRAME_RATE * 64 * 2, 32000 * FLAC_SHARE))
    return LARGER.format(
        wider=wider,
        base=base,
        wide=base * wider,
        longer=longer,
        long=base * wider * longer,
        days=base * wider * longer / GPUS / 24,
        gpus=GPUS,
        latents=latents,
        flac=flac,
    )


LARGER = """The paper leaves open what its recipe gives at the size of DiTTo-TTS and with more speech. At the same steps a
transformer of 740 M parameters takes {wider:.2f} times the operations: {wide:,.0f} A100 hours where 419 M takes
{base:,.0f}, if all goes well. With 100,000 hours and as many passes over them, steps grow {longer:.2f} times as well:
{long:,.0f} A100 hours, {days:.0f} days on {gpus}. Latents then take {latents:.1f} TB and FLAC at 16 kHz
{flac:.1f} TB. Public English of that
size (Emilia, Libri-Light, People's Speech) has machine transcripts or none, so the question is one of data more than
of machines."""


@plain_errors
def main(arguments: list[str] | None = None) -> int:
    """The command line: write the document."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config", type=Path, default=Path("config/paper.yaml"))
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args(arguments)
    write_text(options.out, render(configuration.of_file(options.config)))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
