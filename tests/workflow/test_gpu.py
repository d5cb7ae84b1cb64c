import pytest

from speechbase.files import UserError
from workflow.cluster import gpu
from workflow.plan import configuration, trainings


@pytest.mark.parametrize("model", ["tts", "multitask"])
def test_a_gpu_trains_the_scales_own_model_in_larger_batches_that_end_in_time(model):
    config = configuration.resolve({"scale": "mini"})
    settings, usual = gpu.settings_for(config, model, 500, 14), trainings.training_config(config, model)
    assert settings["network"] == usual["network"] and settings["diffusion"] == usual["diffusion"]
    assert settings["training"]["steps"] == 500 and settings["training"]["lr"] == 2 * usual["training"]["lr"]
    assert settings["batches"]["workers"] == 14 and settings["batches"]["speed"] == usual["batches"]["speed"]


def test_a_model_that_is_trained_in_runs_is_trained_as_in_its_last():
    config = configuration.resolve({"scale": "nano"})
    settings = gpu.settings_for(config, "tts", 500, 2)
    assert "runs" not in settings["training"] and settings["training"]["steps"] == 500


def test_another_kind_of_model_is_refused():
    with pytest.raises(UserError, match="no model 'codec' of the kind"):
        gpu.settings_for(configuration.resolve({"scale": "mini"}), "codec", 500, 2)
