from typing import get_args

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from speechbase import precision
from speechbase.files import UserError
from speechop.guidance import LOGSNR, ClosedForm, Interval, cfg, tc_avg, tc_cfg
from speechop.model.evaluator import NetworkEvaluator
from speechop.sampler import Noise, sample
from speechop.settings import Sampling, Solver

numbers = st.floats(-3, 3)


class Counting(ClosedForm):
    def __init__(self):
        self.asked = []

    def evaluate(self, leaves, z, logsnr):
        self.asked.append(len(leaves))
        return super().evaluate(leaves, z, logsnr)


@given(numbers, numbers, numbers, numbers)
def test_expressions_obey_algebra(a, b, x, level):
    form = ClosedForm()
    f, g = form.term(lambda z, s: z * 2), form.term(lambda z, s: z + s)
    z = torch.tensor([x], dtype=torch.float64)
    if a == 0 and b == 0:
        return
    torch.testing.assert_close((a * f + b * g)(z, level), a * 2 * z + b * (z + level))
    torch.testing.assert_close((f - 3 * (g - f) / 2)(z, level), 2 * z - 1.5 * (z + level - 2 * z))


def test_a_term_outside_its_interval_is_not_asked():
    form = Counting()
    base, text = form.term(lambda z, s: z), form.term(lambda z, s: 0 * z + 1)
    guided = base + 2 * text.where(LOGSNR > -1.0)
    z = torch.zeros(3)
    assert guided(z, -2.0).tolist() == [0, 0, 0] and guided(z, 0.0).tolist() == [2, 2, 2]
    assert form.asked == [1, 2]
    assert -1.0 not in (LOGSNR > -1.0) and ((LOGSNR > -1.0) & (LOGSNR < 4.0)) == Interval(-1.0, 4.0)


def test_no_term_on_is_an_error_that_says_what_to_do():
    form = ClosedForm()
    with pytest.raises(ValueError, match="interval"):
        form.term(lambda z, s: z).where(LOGSNR > 5)(torch.zeros(1), 0.0)


@pytest.fixture
def batch():
    generator = torch.Generator().manual_seed(4)
    frames = [20, 31, 12]
    return {
        "frames": frames,
        "source": [torch.randn(n, 16, generator=generator) for n in frames],
        "prompt": [torch.randn(n, 16, generator=generator) for n in (6, 9, 3)],
        "text": ["three small boxes", "ten", "peter found many yellow windows"],
    }


def guided(network, batch, index, *, fused=True, gamma=1.5):
    """The paper's composition with a voice prompt on the text term, for some of the batch's utterances."""
    pick = lambda name: [batch[name][i] for i in index]  # noqa: E731
    model = NetworkEvaluator(network, pick("frames"), precision="fp32", fused=fused)
    enhance = model.term("enhancement", source=pick("source"))
    text = model.term("tts", transcript=pick("text"), left=pick("prompt"))
    return model, tc_cfg(cfg(enhance, 1.5), text, gamma, LOGSNR > -1.0)


def draw(network, batch, index, **how):
    model, composed = guided(network, batch, index, **how)
    noise = Noise([50 + i for i in index], [batch["frames"][i] for i in index], 16)
    return model, sample(composed, noise, Sampling(steps=6))


def test_fused_evaluation_equals_the_naive_one(network, batch):
    fused, together = draw(network, batch, [0, 1, 2])
    naive, apart = draw(network, batch, [0, 1, 2], fused=False)
    torch.testing.assert_close(together, apart, atol=2e-5, rtol=1e-4)
    assert fused.calls == 6 and naive.calls == 3 * 2 + 3 * 4  # 3 of 6 steps lie above logSNR -1


def test_an_utterance_does_not_depend_on_its_batch(network, batch):
    _, together = draw(network, batch, [0, 1, 2])
    for i in range(3):
        _, alone = draw(network, batch, [i])
        torch.testing.assert_close(together[i, : batch["frames"][i]], alone[0], atol=2e-5, rtol=1e-4)


def test_null_text_gives_exactly_zero_guidance(network, batch):
    model = NetworkEvaluator(network, batch["frames"], precision="fp32")
    base = model.term("enhancement", source=batch["source"])
    nothing = model.term("tts")
    assert tc_cfg(base, nothing, 3.0).parts() == base.parts()
    z = torch.randn(3, 31, 16, generator=torch.Generator().manual_seed(0))
    assert torch.equal(tc_cfg(base, nothing, 3.0)(z, 0.5), base(z, 0.5))


def test_composition_is_equation_4_and_equation_1(network, batch):
    model = NetworkEvaluator(network, batch["frames"], precision="fp32")
    y, w = model.term("enhancement", source=batch["source"]), model.term("tts", transcript=batch["text"])
    z = torch.randn(3, 31, 16, generator=torch.Generator().manual_seed(0))
    at = {leaf: leaf(z, 0.5) for leaf in (y, w, w.null())}
    torch.testing.assert_close(tc_cfg(y, w, 1.5)(z, 0.5), at[y] + 1.5 * (at[w] - at[w.null()]), atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(tc_avg(y, w, 0.3)(z, 0.5), 0.7 * at[y] + 0.3 * at[w], atol=1e-5, rtol=1e-4)
    assert not torch.allclose(at[w], at[w.null()], atol=1e-3), (
        "the transcript must have an effect for this to mean anything"
    )


@pytest.mark.parametrize("solver", get_args(Solver))
def test_every_composition_runs_under_every_sampler(network, batch, solver):
    model = NetworkEvaluator(network, batch["frames"], precision="fp32")
    prompt, source, text = batch["prompt"], batch["source"], batch["text"]
    separate = cfg(model.term("separation", source=source, left=prompt), 1.5)
    words = model.term("tts", transcript=text)
    edit = cfg(model.term("tts", transcript=text, left=prompt, right=prompt), 2.0)
    isolate = tc_cfg(cfg(model.term("speech_isolation", source=source), 1.5), words, 1.5)
    for composed in (separate, tc_cfg(separate, words, 1.5), tc_avg(separate, words, 0.5), edit, isolate):
        out = sample(composed, Noise([1, 2, 3], batch["frames"], 16), Sampling(steps=3, solver=solver))
        assert out.shape == (3, 31, 16) and out.isfinite().all()


def test_unknown_tasks_and_ragged_conditions_are_refused(network, batch):
    model = NetworkEvaluator(network, batch["frames"])
    with pytest.raises(UserError, match="not trained for the task"):
        model.term("denoising")
    with pytest.raises(ValueError, match="2 entries for 3"):
        model.term("tts", transcript=["a", "b"])


def test_without_units_for_bfloat16_sampling_is_in_float32(network, batch, monkeypatch):
    monkeypatch.setattr(precision, "processor_has_bf16", lambda: False)
    z = torch.randn(3, 31, 16, generator=torch.Generator().manual_seed(0))
    full, asked = (
        NetworkEvaluator(network, batch["frames"], precision=how).term("enhancement", source=batch["source"])(z, 0.5)
        for how in ("fp32", "bf16")
    )
    assert torch.equal(full, asked)
