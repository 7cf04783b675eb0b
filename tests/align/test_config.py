"""Settings: what is refused, and that reading them stays light."""

import subprocess
import sys

import pytest

from madpo_theory import EfficientWeight, MarginSchedule
from madpo_theory.align.config import (
    AlignConfig,
    DataConfig,
    EvaluateConfig,
    GenerateConfig,
    ModelConfig,
    PrecisionConfig,
    TrainConfig,
)
from madpo_theory.align.methods import methods_of
from madpo_theory.methods.dpo import Dpo
from madpo_theory.methods.dpo_matched import DpoMatched


@pytest.mark.parametrize(
    ("make", "name"),
    [
        (lambda: TrainConfig(lr=0.0), "lr"),
        (lambda: TrainConfig(lr=float("nan")), "lr"),
        (lambda: TrainConfig(batch_size=0), "batch_size"),
        (lambda: TrainConfig(decay="step"), "decay"),
        (lambda: TrainConfig(warmup=1.0), "warmup"),
        (lambda: PrecisionConfig(dtype="float16"), "dtype"),
        (lambda: GenerateConfig(prompt_tokens=1), "prompt_tokens"),
        (lambda: GenerateConfig(pairs=0), "pairs"),
        (lambda: ModelConfig(rank=0), "rank"),
        (lambda: AlignConfig(methods=("dpo", "ppo")), "methods"),
        (lambda: AlignConfig(methods=("dpo",), settings=(("gamma", 1.0),)), "settings"),
        (lambda: AlignConfig(weight="fame"), "weight"),
        (lambda: AlignConfig(beta=-0.1), "beta"),
        (lambda: AlignConfig(c_max=1.0), "c_max"),
        (lambda: DataConfig(min_words=0), "min_words"),
        (lambda: EvaluateConfig(kl_dtype="bfloat16"), "kl_dtype"),
    ],
)
def test_a_bad_setting_names_itself_the_rule_and_the_fix(make, name):
    with pytest.raises(ValueError, match=rf"^{name} = .* breaks the rule that .*; "):
        make()


def test_methods_carry_only_the_settings_that_they_use():
    methods = {row.name: row.method for row in methods_of(AlignConfig(beta=0.2, c_max=4.0))}
    assert methods["dpo"] == methods_of(AlignConfig(beta=0.2, c_max=3.0))[0].method
    assert methods["dpo_matched"] == DpoMatched(beta=0.05)
    schedule = methods["madpo"].slot_weighting.schedule
    assert (schedule.c_max, schedule.c_min) == (4.0, 0.25)
    assert {row.name for row in methods_of(AlignConfig()) if row.margins} == {"madpo"}


def test_other_settings_and_weights_reach_the_methods_that_have_them():
    config = AlignConfig(
        methods=("simpo", "madpo", "dpo"), weight="efficient", settings=(("gamma", 1.6),)
    )
    simpo, madpo, dpo = (row.method for row in methods_of(config))
    assert simpo.gamma == 1.6 and dpo == Dpo()
    assert isinstance(madpo.weighting, EfficientWeight)
    assert madpo.weighting.base == MarginSchedule(4.0, 0.25, 1.0, config.tau)


def test_settings_and_store_import_no_model_library():
    code = (
        "import sys, madpo_theory.experiments.sentiment, madpo_theory.align.store;"
        "heavy = {'transformers', 'peft', 'pandas', 'sklearn', 'tokenizers'} & set(sys.modules);"
        "sys.exit(', '.join(heavy) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
