"""The configuration's models: the keys that the code reads, values that fit, a page that is current, faults in a
sentence."""

import copy

import pytest

from speechbase.files import UserError
from speechbase.training import kinds
from workflow.plan import configuration, manual, places, schema


def test_every_kind_has_a_model():
    assert set(schema.MODELS) == set(kinds.KINDS)


def test_the_page_of_keys_and_the_schemas_are_current(tmp_path):
    manual.write(tmp_path)
    written = [path.relative_to(tmp_path) for path in tmp_path.rglob("*") if path.is_file()]
    assert len(written) == 1 + len(manual.SCHEMAS) == 1 + len([*(places.ROOT / "workflow" / "schemas").iterdir()])
    stale = [path for path in written if (places.ROOT / path).read_bytes() != (tmp_path / path).read_bytes()]
    assert not stale, "run python -m workflow.plan.manual"


@pytest.mark.parametrize(
    "place, key, value, message",
    [
        (("corpus", "testsets", "se"), "sise", 3, "my.yaml: corpus has no setting 'testsets.se.sise' (did you "
                                                  "mean 'size'?)"),
        (("corpus", "degradation", "noise"), "snr", 3, "no setting 'degradation.noise.snr' (did you mean 'snr_db'?)"),
        (("corpus", "voices", 0), "shares", 3, "no setting 'voices.0.shares' (did you mean 'share'?)"),
        (("models", "tts", "network", "dit"), "dimm", 3, "models.tts, run 1 has no setting 'network.dit.dimm' "
                                                         "(did you mean 'dim'?)"),
        (("models", "tts"), "kind", "ttss", "models.tts: There is no kind of model 'ttss' (did you mean 'tts'?)"),
        (("models", "tts"), "kind", ["tts"], "models.tts: kind is ['tts']: input should be a valid string"),
        (("models", "codec", "training", "runs", 0), "step", 3, "models.codec, run 1 has no setting 'training.step' "
                                                                "(did you mean 'steps'?)"),
        (("models", "codec", "training", "runs", 1), "losses", {"kll": 1}, "models.codec, run 2 has no setting "
                                                                           "'losses.kll' (did you mean 'kl'?)"),
        (("models", "tts", "training", "runs", 0), "lr", -1, "models.tts, run 1: training.lr is -1: input "
                                                             "should be greater than 0"),
        (("models", "codec", "network"), "hopp", 3, "models.codec, run 1 has no setting 'network.hopp' (did you "
                                                    "mean 'hop'?)"),
        (("models", "codec", "training", "runs", 1), "losses", 3, "models.codec: training.runs.1.losses is 3"),
        (("models", "codec", "network"), "kind", "mell", "network is {'kind': 'mell'"),
        (("models", "multitask", "batches"), "tasks", ["tss"], "batches.tasks.0 is 'tss'"),
        (("models", "predictive", "batches"), "sizes", 3, "no setting 'batches.sizes' (did you mean 'size'?)"),
        (("evaluation", "settings"), "mcdd", {}, "evaluation.settings: There is no metric 'mcdd'"),
        (("evaluation", "asr", "whisper_base"), "beam", 3, "(did you mean 'beam_size'?)"),
        (("evaluation", "baselines"), "sgmse", 3, "evaluation.baselines.sgmse is 3"),
        (("sampling",), "gama", 3, "no setting 'sampling.gama' (did you mean 'gamma'?)"),
    ],
)  # fmt: skip
def test_a_wrong_key_is_a_sentence_with_file_word_and_nearest(place, key, value, message):
    config = copy.deepcopy(configuration.resolve({}))
    inner = config
    for part in place:
        inner = inner[part]
    inner[key] = value
    with pytest.raises(UserError) as refused:
        schema.check_config(config, "my.yaml")
    assert message in str(refused.value) and str(refused.value).startswith("my.yaml")


def test_a_wrong_key_of_a_system_is_a_sentence():
    with pytest.raises(UserError, match=r"systems\.yaml: mine has no setting 'composed' .did you mean 'composition'"):
        schema.check_systems({"mine": {"model": "multitask", "composed": "tc_cfg"}}, "systems.yaml")
