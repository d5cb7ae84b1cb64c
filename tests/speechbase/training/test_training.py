"""The training loop on a tiny corpus made here: resume, equality, bad input."""

import copy
import errno
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from accelerate import Accelerator
from safetensors import SafetensorError

from speechbase import audio
from speechbase.corpus.speech import COLUMNS
from speechbase.files import UserError, read_jsonl
from speechbase.training import __main__ as train
from speechbase.training import checkpoint, kinds
from speechbase.training.loop import Loop, compile_blocks
from speechbase.training.settings import TrainingConfig
from speechop.settings import BatchConfig
from speechop.stages.diffusion import _without_condition
from tests.speechop.conftest import TINY

CODEC = {
    "seed": 1,
    "network": {"kind": "mel", "latent_dim": 16, "decoder_dim": 16, "decoder_layers": 2},
    "training": {"steps": 3, "lr": 1e-3, "warmup": 1, "precision": "fp32", "accumulate": 1, "validate_every": 3},
    "losses": {"seconds": 0.2, "batch": 2, "mel_windows": [128], "mel_bands": [10], "disc_windows": [128],
               "disc_channels": 2, "adversarial_from": 1},
}  # fmt: skip
DIFFUSION = {
    "seed": 1,
    "network": {key: value for key, value in TINY.as_dict().items() if key != "tasks"},  # as configurations say it
    "batches": {
        "tts_batch": 2,
        "s2s_batch": 2,
        "crop_seconds": 0.5,
        "prompt_seconds": [0.2, 0.3],
        "sentences": [1, 2],
        "valid_items": 4,
    },
    "training": {
        "steps": 6,
        "lr": 1e-3,
        "warmup": 1,
        "precision": "fp32",
        "accumulate": 2,
        "validate_every": 3,
        "save_minutes": 0.0,
    },
    "degradation": {"noise": {"probability": 1, "snr_db": [0, 10]}, "reverb": {"probability": 0.5}},
    "store": "fp32",
    "sampling": {},
}


@pytest.fixture(scope="module")
def models(data, tmp_path_factory):
    root = tmp_path_factory.mktemp("models")
    assert train.train("codec", "codec", CODEC, data, root, root / "state", None, False)
    assert train.train("tts", "tts", DIFFUSION, data, root, root / "state", None, False)
    return root


def weights(folder):
    return checkpoint.read_model(folder)[0]


def test_released_folders_hold_weights_configuration_and_curves(models):
    tensors, config = checkpoint.read_model(models / "tts")
    assert config["kind"] == "tts" and config["record"]["steps"] == 6
    assert not any(name.startswith("encoder.") for name in tensors), "stage 1 has no audio encoder"
    curves = read_jsonl(models / "tts" / "curves.jsonl")
    assert curves[-1]["step"] == 6 and {"loss", "valid_tts", "valid_text_gap"} <= set(curves[-1])


def test_a_trained_model_is_loaded_as_it_was_released(models):
    from speechop.model.loading import load_network

    network, config = load_network(models / "tts")
    assert config["network"]["tasks"] == list(network.config.tasks) and network.config.latent_dim == 16


def test_the_fitted_encoder_survives_training_unchanged(data, models):
    """The mel encoder is fitted once: what stage 1 hears is what stage 2 hears, however long the decoder trains."""
    trainee = kinds.builder("codec")(CODEC, kinds.Context("codec", data, models, None, Accelerator(cpu=True)))
    released = weights(models / "codec")
    torch.testing.assert_close(trainee.network.basis, released["basis"], atol=1e-3, rtol=1e-3)


def test_a_codec_trained_on_keeps_its_encoder_to_the_bit(data, models, tmp_path):
    """Diffusion models hold on to the latents they were trained on, while the decoder learns from where it stood."""
    (tmp_path / "codec").symlink_to(models / "codec")
    assert train.train("codec", "further", CODEC | {"init": "codec"}, data, tmp_path, tmp_path / "state", None, False)
    before, after = weights(models / "codec"), weights(tmp_path / "further")
    assert torch.equal(before["basis"], after["basis"]) and torch.equal(before["centre"], after["centre"])
    moved = (before["decoder.leave.weight"] - after["decoder.leave.weight"]).abs().max()
    assert 0 < moved < 0.05, "it goes on from the weights given, not from new ones"


def test_a_single_task_model_is_trained_on_with_si_sdr_in_its_loss(data, models, tmp_path):
    """Such a model was stored without a text encoder (E6 starts from one)."""
    (tmp_path / "codec").symlink_to(models / "codec")
    assert train.train("s2s", "first", DIFFUSION, data, tmp_path, tmp_path / "state", None, False)
    for name, losses in {"plain": {}, "heard": {"losses": {"si_sdr": 0.01}}}.items():
        config = DIFFUSION | {"init": "first"} | losses
        assert train.train("s2s", name, config, data, tmp_path, tmp_path / "state", None, False)
    first, plain, heard = (weights(tmp_path / name) for name in ("first", "plain", "heard"))
    assert first.keys() == plain.keys() == heard.keys() and not any(name.startswith("text_encoder.") for name in first)
    assert any(not torch.equal(plain[name], heard[name]) for name in plain)


def test_samples_to_listen_to_are_written_now_and_then_and_come_with_the_weights(data, models, tmp_path):
    for name in ("codec", "tts"):
        (tmp_path / name).symlink_to(models / name)
    codec = CODEC | {"training": CODEC["training"] | {"samples_every": 2}}
    both = DIFFUSION | {"init": "tts", "training": DIFFUSION["training"] | {"samples_every": 4}}
    assert train.train("codec", "a", codec, data, tmp_path, tmp_path / "state", None, False)
    assert train.train("multitask", "b", both, data, tmp_path, tmp_path / "state", None, False)
    names = {path.name: audio.read(path, 16_000)[0] for path in tmp_path.glob("[ab]/samples/*.flac")}
    assert {f"000000{step}-{what}.flac" for step in (2, 3) for what in ("original", "reconstruction")} <= set(names)
    spoken = sorted(name for name in names if name.startswith(("0000004", "0000006")))
    assert [name for name in spoken if name.endswith("-tts.flac")] == ["0000004-tts.flac", "0000006-tts.flac"]
    assert len([name for name in spoken if name.endswith("-source.flac")]) == 2
    assert all(len(wave) > 400 and np.abs(wave).max() > 0 for wave in names.values())


def test_samples_leave_the_training_as_it_is(data, models, tmp_path):
    (tmp_path / "codec").symlink_to(models / "codec")
    config = DIFFUSION | {"training": DIFFUSION["training"] | {"samples_every": 2}}
    assert train.train("tts", "tts", config, data, tmp_path, tmp_path / "state", None, False)
    plain, heard = weights(models / "tts"), weights(tmp_path / "tts")
    assert all(torch.equal(tensor, heard[name]) for name, tensor in plain.items())


def test_killed_and_resumed_equals_undisturbed(data, models, tmp_path):
    """Stopped after every step (the state is saved each time), stage 2 ends with the very same weights."""
    config = DIFFUSION | {"init": "tts"}
    for name in ("codec", "tts"):
        (tmp_path / name).symlink_to(models / name)
    assert train.train("multitask", "whole", config, data, tmp_path, tmp_path / "state", None, False)
    rounds = 0
    while not train.train("multitask", "pieces", config, data, tmp_path, tmp_path / "state", 0.0, False):
        rounds += 1
        assert rounds < 20
    assert rounds >= 4
    whole, pieces = weights(tmp_path / "whole"), weights(tmp_path / "pieces")
    for name, tensor in whole.items():
        assert torch.equal(tensor, pieces[name]), name
    a, b = (read_jsonl(tmp_path / name / "curves.jsonl") for name in ("whole", "pieces"))
    assert a == b


def test_resumed_on_other_numbers_of_threads_equals_undisturbed_but_for_rounding(data, models, tmp_path):
    (tmp_path / "codec").symlink_to(models / "codec")
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        assert train.train("tts", "whole", DIFFUSION, data, tmp_path, tmp_path / "state", None, False)
        for threads in range(2, 20):
            torch.set_num_threads(1 + threads % 3)
            if train.train("tts", "pieces", DIFFUSION, data, tmp_path, tmp_path / "state", 0.0, False):
                break
    finally:
        torch.set_num_threads(before)
    assert threads > 5
    for a, b in zip(*(read_jsonl(tmp_path / name / "curves.jsonl") for name in ("whole", "pieces")), strict=True):
        assert a.keys() == b.keys() and a["step"] == b["step"]
        assert a["loss"] == pytest.approx(b["loss"], rel=1e-3), "the same batches and noise"
    whole, pieces = weights(tmp_path / "whole"), weights(tmp_path / "pieces")
    for name, tensor in whole.items():
        torch.testing.assert_close(pieces[name], tensor, atol=1e-4, rtol=1e-2, msg=lambda m, name=name: f"{name}: {m}")


def test_other_settings_do_not_resume_a_state(data, models, tmp_path):
    (tmp_path / "codec").symlink_to(models / "codec")
    train.train("tts", "x", DIFFUSION, data, tmp_path, tmp_path / "state", 0.0, False)
    with pytest.raises(UserError, match="other settings"):
        train.train("tts", "x", DIFFUSION | {"seed": 2}, data, tmp_path, tmp_path / "state", 0.0, False)


def test_a_loss_that_is_not_finite_stops_with_the_last_good_state(data, models, tmp_path, monkeypatch):
    (tmp_path / "codec").symlink_to(models / "codec")
    train.train("tts", "x", DIFFUSION, data, tmp_path, tmp_path / "state", 0.0, False)
    before = (tmp_path / "state" / "x" / "state.safetensors").read_bytes()
    monkeypatch.setattr(Loop, "_micro_step", lambda self, micro: {"loss": float("nan")})
    with pytest.raises(UserError, match="not finite at step 1"):
        train.train("tts", "x", DIFFUSION, data, tmp_path, tmp_path / "state", None, False)
    assert (tmp_path / "state" / "x" / "state.safetensors").read_bytes() == before


def test_a_full_disk_stops_with_the_last_good_state(data, models, tmp_path, monkeypatch):
    (tmp_path / "codec").symlink_to(models / "codec")
    train.train("tts", "x", DIFFUSION, data, tmp_path, tmp_path / "state", 0.0, False)
    before = (tmp_path / "state" / "x" / "state.safetensors").read_bytes()

    def refuse(tensors, path):  # what safetensors says on a full file system
        raise SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)")

    with monkeypatch.context() as full:
        full.setattr(checkpoint, "save_file", refuse)
        with pytest.raises(OSError, match="No space left") as stopped:
            train.train("tts", "x", DIFFUSION, data, tmp_path, tmp_path / "state", None, False)
    assert stopped.value.errno == errno.ENOSPC and stopped.value.filename.endswith("state.safetensors")
    assert (tmp_path / "state" / "x" / "state.safetensors").read_bytes() == before
    assert train.train("tts", "x", DIFFUSION, data, tmp_path, tmp_path / "state", None, False)


def test_half_a_state_is_never_taken_for_a_whole_one(data, models, tmp_path):
    (tmp_path / "codec").symlink_to(models / "codec")
    train.train("tts", "x", DIFFUSION, data, tmp_path, tmp_path / "state", 0.0, False)
    path = tmp_path / "state" / "x" / "state.safetensors"
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(UserError, match=r"state\.safetensors is truncated"):
        train.train("tts", "x", DIFFUSION, data, tmp_path, tmp_path / "state", 0.0, False)


def test_an_empty_corpus_and_unknown_keys_are_named(data, models, tmp_path):
    (tmp_path / "codec").symlink_to(models / "codec")
    with pytest.raises(UserError, match="learning_rate"):
        config = DIFFUSION | {"training": DIFFUSION["training"] | {"learning_rate": 1}}
        train.train("tts", "x", config, data, tmp_path, tmp_path / "state", None, False)
    empty = tmp_path / "empty" / "speech"
    empty.mkdir(parents=True)
    (empty / "train.csv").write_text(",".join(COLUMNS) + "\n")
    with pytest.raises(UserError, match="no rows"):
        train.train("tts", "y", DIFFUSION, empty.parent, tmp_path, tmp_path / "state", None, False)


def command(data, root, settings, name, processes=1):
    """What `subprocess` needs to train the TTS stage with so many processes: the command, and its environment and
    folder."""
    (root / f"{name}.json").write_text(json.dumps(settings))
    launch = [sys.executable]
    if processes > 1:
        launch += ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
    arguments = ["tts", "--name", name, "--config", root / f"{name}.json", "--data", data, "--models", root]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    return [*launch, "-m", "speechbase.training", *arguments, "--state", root / "state"], {
        "env": environment,
        "cwd": Path(__file__).parents[3],
    }


def test_killed_by_force_and_resumed_equals_undisturbed(data, models, tmp_path):
    """SIGKILL, wherever it meets the second run: it goes on from its last whole state to the same weights, bit by
    bit."""
    (tmp_path / "codec").symlink_to(models / "codec")
    whole, how = command(data, tmp_path, DIFFUSION, "whole")
    subprocess.run(whole, check=True, timeout=300, **how)
    killed, how = command(data, tmp_path, DIFFUSION, "killed")
    state = tmp_path / "state" / "killed" / "state.safetensors"
    with subprocess.Popen(killed, **how) as process:
        while not state.is_file():
            assert process.poll() is None
            time.sleep(0.002)
        process.kill()
    assert not (tmp_path / "killed").exists()
    subprocess.run(killed, check=True, timeout=300, **how)
    one, two = (weights(tmp_path / name) for name in ("whole", "killed"))
    assert one.keys() == two.keys() and all(torch.equal(tensor, two[name]) for name, tensor in one.items())


CODEC_RANK = """
import json, os, sys
from pathlib import Path
from speechbase.training import __main__ as train
from speechbase.training.loop import Loop, compile_blocks

data, root, limit = Path(sys.argv[1]), Path(sys.argv[2]), json.loads(sys.argv[3])
save, rank = Loop.save, os.environ["RANK"]

def saving(self):
    save(self)
    sums = [float(parameter.double().sum()) for parameter in self.trainee.rivals.parameters()]
    (root / f"{rank}.json").write_text(json.dumps([self.step, sums]))

Loop.save = saving
config = json.loads((root / "codec.json").read_text())
train.train("codec", "codec", config, data, root, root / "state", limit[int(rank)], False)
"""


def test_processes_stop_at_one_step_and_keep_one_discriminator(data, tmp_path):
    """Only the first process runs out of time; the discriminators' gradients are shared though no wrapper sees them."""
    (tmp_path / "rank.py").write_text(CODEC_RANK)
    (tmp_path / "codec.json").write_text(json.dumps(CODEC | {"training": CODEC["training"] | {"save_minutes": 9.0}}))
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", tmp_path / "rank.py"]
    for limit, step in (([0.0, None], 1), ([None, None], 3)):
        subprocess.run(
            [*launch, data, tmp_path, json.dumps(limit)], check=True, timeout=300, cwd=Path(__file__).parents[3],
            env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).parents[3])},
        )  # fmt: skip
        first, second = (json.loads((tmp_path / f"{rank}.json").read_text()) for rank in (0, 1))
        assert first[0] == second[0] == step
        assert first[1] == pytest.approx(second[1], rel=1e-6, abs=1e-7)


def test_two_processes_equal_one_of_twice_the_batch(data, models, tmp_path):
    """Data-parallel training over gloo: the same loss curve and weights as one process with the global batch."""
    curves = []
    (tmp_path / "codec").symlink_to(models / "codec")
    for name, processes, batch in (("one", 1, 4), ("two", 2, 2)):
        config = DIFFUSION | {"batches": DIFFUSION["batches"] | {"tts_batch": batch, "sentences": [1]}}
        launch, how = command(data, tmp_path, config, name, processes)
        subprocess.run(launch, check=True, timeout=300, **how)
        curves.append(read_jsonl(tmp_path / name / "curves.jsonl"))
    for a, b in zip(*curves, strict=True):
        assert a.keys() == b.keys()
        for key in ("step", "lr", "loss", "grad_norm"):
            assert a[key] == pytest.approx(b[key], rel=2e-3), key
    one, two = (weights(tmp_path / name) for name in ("one", "two"))
    for name, tensor in one.items():
        torch.testing.assert_close(two[name], tensor, atol=2e-4, rtol=2e-2, msg=lambda m, name=name: f"{name}: {m}")


def test_learning_rate_warms_up_and_cools_down():
    config = TrainingConfig(steps=100, lr=1.0, warmup=10, cooldown=0.5)
    assert config.lr_at(0) == pytest.approx(0.1) and config.lr_at(9) == 1.0 and config.lr_at(50) == 1.0
    assert config.lr_at(75) == pytest.approx(0.5) and config.lr_at(99) < 0.01


def test_truncated_and_foreign_checkpoints_are_refused(models, tmp_path):
    folder = tmp_path / "tts"
    folder.mkdir()
    for name in ("config.json", "model.safetensors"):
        (folder / name).write_bytes((models / "tts" / name).read_bytes())
    (folder / "model.safetensors").write_bytes((folder / "model.safetensors").read_bytes()[:-50])
    with pytest.raises(UserError, match="checksum"):
        checkpoint.read_model(folder)
    other = TINY.as_dict() | {"latent_dim": 8}
    with pytest.raises(UserError, match="another model or scale"):
        from speechop.model.network import SpeechOpNetwork
        from speechop.settings import NetworkConfig

        tensors, _ = checkpoint.read_model(models / "tts")
        checkpoint.load_into(
            SpeechOpNetwork(NetworkConfig(**other)), tensors, models / "tts", may_lack=("encoder.", "source")
        )


def test_several_runs_are_one_model(data, models, tmp_path):
    """Each run begins from the averaged weights of the one before, with its own length; killed between two, it goes
    on."""
    (tmp_path / "codec").symlink_to(models / "codec")
    runs = [{"steps": 2}, {"steps": 3, "lr": 5e-4, "batches": {"tts_batch": 3}}]
    config = DIFFUSION | {"training": DIFFUSION["training"] | {"runs": runs}}
    assert train.train("tts", "whole", config, data, tmp_path, tmp_path / "state", None, False)
    first, _ = checkpoint.read_model(tmp_path / "whole" / "runs" / "1")
    assert checkpoint.read_model(tmp_path / "whole")[1]["record"]["steps"] == 3
    while not train.train("tts", "pieces", config, data, tmp_path, tmp_path / "state", 0.0, False):
        pass
    one, two = (weights(tmp_path / name) for name in ("whole", "pieces"))
    assert all(torch.equal(tensor, two[name]) for name, tensor in one.items())
    alone = DIFFUSION | {"training": DIFFUSION["training"] | {"steps": 2}}
    assert train.train("tts", "alone", alone, data, tmp_path, tmp_path / "state", None, False)
    assert all(torch.equal(tensor, first[name]) for name, tensor in weights(tmp_path / "alone").items())
    further = DIFFUSION | {"init": "whole@1", "training": DIFFUSION["training"] | {"steps": 1}}
    assert train.train("multitask", "further", further, data, tmp_path, tmp_path / "state", None, False)


def test_a_run_changes_training_batches_and_losses():
    runs = [{"steps": 2, "losses": {"late": 9}}, {"steps": 3, "batches": {"size": 4}}]
    config = {"seed": 0, "losses": {"mel": 1}, "training": {"lr": 1, "runs": runs}}
    first, second = train.runs_of(config)
    assert first == config | {"training": {"lr": 1, "steps": 2}, "losses": {"mel": 1, "late": 9}}
    assert second["training"] == {"lr": 1, "steps": 3} and second["losses"] == {"mel": 1}
    assert second["batches"] == {"size": 4} and second["seed"] != first["seed"]


def test_an_unknown_kind_or_key_is_a_sentence(data, tmp_path):
    with pytest.raises(UserError, match=r"no kind of model 'multitsk' .did you mean 'multitask'"):
        train.train("multitsk", "x", DIFFUSION, data, tmp_path, tmp_path / "state", None, False)
    wrong = DIFFUSION | {"training": DIFFUSION["training"] | {"runs": [{"stepz": 1}]}}
    with pytest.raises(UserError, match=r"training has no setting 'stepz' .did you mean 'steps'"):
        train.train("tts", "x", wrong, data, tmp_path, tmp_path / "state", None, False)


def test_validation_drops_nothing_and_shows_what_the_source_is_worth(data, models, tmp_path):
    """512 items or as many as asked for, every condition given; the loss without it is a figure of its own."""
    (tmp_path / "codec").symlink_to(models / "codec")
    context = kinds.Context("multitask", data, tmp_path, None, Accelerator(cpu=True))
    config = DIFFUSION | {"batches": DIFFUSION["batches"] | {"valid_items": 5}}
    trainee = kinds.builder("multitask")(config, context)
    assert BatchConfig().valid_items >= 512
    for kind, batches in trainee.held_out.items():
        assert sum(len(batch.keep) for batch in batches) >= 5 and all(batch.keep.all() for batch in batches), kind
    prepended = next(batch for batch in trainee.held_out["s2s"] if batch.prompt)
    bare = _without_condition(prepended)
    assert not bare.clean.any() and not bare.keep.any() and not bare.mask[:, : bare.prompt].any()
    figures = trainee.validate(trainee.network.eval())
    assert {"tts", "s2s", "text_gap", "tts_unconditional", "s2s_unconditional"} <= set(figures)


class Line:
    """The smallest trainee: a line through the origin, whose weight is noted before every step."""

    rivals = None

    def __init__(self):
        self.network, self.seen = torch.nn.Linear(1, 1, bias=False), []
        torch.nn.init.ones_(self.network.weight)

    def losses(self, network, step, micro):
        self.seen.append(network.weight.detach().clone())
        return {"loss": (network(torch.ones(1, 1)) - 3).square().mean()}

    def validate(self, network):
        return {}


def test_the_average_begins_with_the_first_weights_and_slows_down(tmp_path):
    trainee = Line()
    config = TrainingConfig(steps=12, lr=0.1, warmup=1, weight_decay=0.0, ema=0.5, accumulate=1, precision="fp32")
    loop = Loop(trainee, config, tmp_path, Accelerator(cpu=True))
    assert loop.run()
    average = trainee.seen[0]
    for step, weight in enumerate([*trainee.seen[1:], loop.network.weight.detach()]):
        average = average.lerp(weight, 1 - min(0.5, (1 + step) / (10 + step)))
    assert torch.equal(loop.ema.weight, average) and not torch.equal(average, loop.network.weight)
    again = Loop(Line(), config, tmp_path, Accelerator(cpu=True))
    again.load()
    assert torch.equal(again.ema.weight, average) and again.step == 12


@pytest.mark.slow
def test_compiled_blocks_learn_the_same_and_release_the_same_names():
    block = torch.nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0, batch_first=True)
    plain = torch.nn.ModuleDict({"stack": torch.nn.ModuleList([block, copy.deepcopy(block)])})
    fused = compile_blocks(copy.deepcopy(plain))
    assert list(fused.state_dict()) == list(plain.state_dict())
    for length in (5, 7):
        x = torch.randn(3, length, 8)
        for network in (plain, fused):
            network.zero_grad()
            network["stack"][1](network["stack"][0](x)).square().mean().backward()
        for one, other in zip(plain.parameters(), fused.parameters()):
            torch.testing.assert_close(one.grad, other.grad, rtol=1e-4, atol=1e-6)
    assert fused["stack"][0]._compiled_call_impl is not None
    assert copy.deepcopy(fused)["stack"][0]._compiled_call_impl is None  # the averages validate as they are
