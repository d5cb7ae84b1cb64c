"""The configuration's models: the keys that the code reads, values that fit, a page that is current, faults in a
sentence."""

import copy
from dataclasses import MISSING, fields

import pytest

from speechbase.files import UserError
from speechbase.settings import checked
from speechbase.training import kinds
from workflow.plan import configuration, manual, planning, schema

# Keys that a section has and what reads it does not (planning takes them), and what is read but set elsewhere.
MORE = {schema.Sampling: {"chunk_seconds"}}
LESS = {schema.Sampling: {"composition"}, schema.Network: {"tasks"}, schema.Transformer: {"cross_dim", "cross_rotary"}}


@pytest.mark.parametrize("section", manual.READERS, ids=lambda section: section.__name__)
def test_a_section_has_the_settings_of_what_reads_it_and_takes_their_defaults(section):
    read = [one for one in fields(manual.READERS[section]) if one.name not in LESS.get(section, ())]
    assert set(section.model_fields) == {one.name for one in read} | MORE.get(section, set())
    given = {one.name: one.default for one in read if one.default not in (MISSING, None)}
    needed = {
        name: value for name, value in {"dim": 8, "ff_dim": 8, "layers": 1}.items() if name in section.model_fields
    }
    if section is not schema.Network:  # its defaults are the paper's, made by factories
        checked(section, needed | {k: list(v) if isinstance(v, tuple) else v for k, v in given.items()}, "the defaults")


def test_every_kind_has_a_model():
    assert set(schema.MODELS) | {"tts", "multitask", "s2s"} == set(kinds.KINDS)


def test_the_page_of_keys_and_the_schemas_are_current(tmp_path):
    manual.write(tmp_path)
    written = [path.relative_to(tmp_path) for path in tmp_path.rglob("*") if path.is_file()]
    assert len(written) == 1 + len(manual.SCHEMAS) == 1 + len([*(planning.ROOT / "workflow" / "schemas").iterdir()])
    stale = [path for path in written if (planning.ROOT / path).read_bytes() != (tmp_path / path).read_bytes()]
    assert not stale, "run python -m workflow.plan.manual"


@pytest.mark.parametrize(
    "place, key, value, message",
    [
        (("corpus", "testsets", "se"), "sise", 3, "my.yaml: corpus has no setting 'testsets.se.sise' (did you "
                                                  "mean 'size'?)"),
        (("corpus", "degradation", "noise"), "snr", 3, "no setting 'degradation.noise.snr' (did you mean 'snr_db'?)"),
        (("corpus", "voices", 0), "shares", 3, "no setting 'voices.0.shares' (did you mean 'share'?)"),
        (("models", "tts", "network", "dit"), "dimm", 3, "models.tts has no setting 'network.dit.dimm' (did you "
                                                         "mean 'dim'?)"),
        (("models", "tts"), "kind", "ttss", "models.tts: There is no kind of model 'ttss' (did you mean 'tts'?)"),
        (("models", "tts"), "kind", ["tts"], "models.tts: There is no kind of model"),
        (("models", "codec", "training", "runs", 0), "step", 3, "'training.runs.0.step' (did you mean 'steps'?)"),
        (("models", "codec", "training", "runs", 1), "losses", {"kll": 1}, "'training.runs.1.losses.kll' (did you "
                                                                           "mean 'kl'?)"),
        (("models", "tts", "training", "runs", 0), "lr", -1, "training.runs.0.lr is -1: input should be "
                                                             "greater than 0"),
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
