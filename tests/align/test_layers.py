"""The fast layers against those of transformers and peft: values, gradients, what falls back."""

from copy import deepcopy

import pytest
import torch

from madpo_theory.align.config import ModelConfig
from madpo_theory.align.layers import adapter, norm, product, project
from madpo_theory.align.logprobs import Layout, continuation_logps, hidden_states, stem
from madpo_theory.align.policy import TARGETS, adapter_parameters, add_adapter, foreseen
from madpo_theory.align.randomness import seeded_globally

EOS = 1
EXACT = dict(rtol=1e-10, atol=1e-11)
SETTINGS = ModelConfig(rank=4, alpha=8, first_adapted_layer=1)


@pytest.fixture(params=[1, 2], ids=["one key head", "two key heads"])
def double(request, monkeypatch):
    """A random model in float64, the norms of transformers too (they round to float32 there)."""
    transformers = pytest.importorskip("transformers")
    from transformers.models.gemma3.modeling_gemma3 import Gemma3RMSNorm

    monkeypatch.setattr(Gemma3RMSNorm, "forward", lambda self, x: self._norm(x) * (1 + self.weight))
    config = transformers.Gemma3TextConfig(
        vocab_size=150, hidden_size=32, intermediate_size=64, num_hidden_layers=2, head_dim=16,
        num_attention_heads=4, num_key_value_heads=request.param, query_pre_attn_scalar=9,
        sliding_window=64, layer_types=["sliding_attention", "full_attention"],
        initializer_range=0.2,
    )  # fmt: skip
    generator = torch.Generator().manual_seed(0)
    causal_lm = transformers.Gemma3ForCausalLM(config).double().eval().requires_grad_(False)
    for name, parameter in causal_lm.named_parameters():
        spread = 0.5 if "norm" in name else 0.2
        parameter.normal_(0, spread, generator=generator)
    causal_lm.tie_weights()
    return causal_lm


def randomize(parameters):
    generator = torch.Generator().manual_seed(1)
    for parameter in parameters.values():
        parameter.data = parameter.data.double().normal_(0, 0.2, generator=generator)
    return parameters


def texts(batch=3, prompt=5, new=7):
    generator = torch.Generator().manual_seed(2)
    layout = Layout(prompt, new, branches=2)
    return layout, torch.randint(4, 150, (batch, prompt + 2 * new), generator=generator)


def separate(causal_lm, tokens, layout):
    """Summed log-probabilities (B, 2) by the library's forward of every text alone."""
    prompt, *responses = tokens.split([layout.prompt, layout.new, layout.new], dim=1)
    sums = []
    for response in responses:
        ids = torch.cat([prompt, response], dim=1)
        logits = causal_lm(input_ids=ids).logits[:, layout.prompt - 1 : -1]
        log_p = logits.double().log_softmax(-1)
        sums.append(log_p.gather(2, response[..., None]).sum((1, 2)))
    return torch.stack(sums, dim=1)


def ours(causal_lm, tokens, layout, layers=0):
    lower = stem(causal_lm, tokens, layout, layers)
    return continuation_logps(causal_lm, lower, tokens, layout, layers, -1)


@pytest.mark.parametrize("layers", [0, 1])
def test_values_and_gradients_of_adapters_are_the_librarys(double, layers):
    settings = ModelConfig(rank=4, alpha=8, first_adapted_layer=layers)
    parameters = randomize(adapter_parameters(add_adapter(double, settings, 0)))
    layout, tokens = texts()
    coefficients = torch.tensor([[1.0, -2.0], [0.5, 1.0], [-1.0, 3.0]])
    found = []
    for logps in (ours(double, tokens, layout, layers), separate(double, tokens, layout)):
        gradients = torch.autograd.grad((logps * coefficients).sum(), parameters.values())
        found.append((logps.detach(), *gradients))
    assert len(parameters) == 8 * (2 - layers)
    assert min(gradient.abs().max() for gradient in found[0][1:]) > 1e-3
    for mine, theirs in zip(*found, strict=True):
        torch.testing.assert_close(mine, theirs, **EXACT)


@pytest.mark.slow
def test_hidden_states_pass_on_their_own_gradient(double):
    layout, tokens = texts()
    add_adapter(double, SETTINGS, 0)
    lower = double.model.embed_tokens(tokens)[:1, : layout.prompt].requires_grad_(True)
    alone = Layout(layout.prompt, 0, 1)

    def value(hidden):
        return hidden_states(double, hidden, alone, 0)

    assert torch.autograd.gradcheck(value, lower)


def test_an_adapter_switched_off_or_merged_is_not_there(double):
    layout, tokens = texts()
    plain = ours(double, tokens, layout)
    peft_model = add_adapter(double, SETTINGS, 0)
    randomize(adapter_parameters(peft_model))
    adapted = ours(double, tokens, layout)
    assert (adapted - plain).abs().min() > 1e-3
    with peft_model.disable_adapter():
        assert torch.equal(ours(double, tokens, layout), plain)
    peft_model.merge_adapter()
    torch.testing.assert_close(ours(double, tokens, layout), adapted, **EXACT)
    peft_model.unmerge_adapter()


@pytest.mark.parametrize(
    "change", [{"use_dora": True}, {"lora_dropout": 0.5}, {"bias": "lora_only"}], ids=str
)
def test_other_kinds_of_adapters_are_computed_by_their_own_code(double, change):
    peft = pytest.importorskip("peft")
    config = peft.LoraConfig(r=2, target_modules=["q_proj"], **change)
    with seeded_globally(0, "layer"):
        holder = torch.nn.ModuleDict({"q_proj": torch.nn.Linear(32, 8, bias="bias" in change)})
        peft.inject_adapter_in_model(config, holder.double())
    wrapped = holder["q_proj"].double().train()
    randomize(dict(wrapped.lora_B.named_parameters()))
    assert adapter(wrapped) is None
    x = torch.randn(3, 5, 32, dtype=torch.double, generator=torch.Generator().manual_seed(3))
    values = []
    for call in (lambda: project(x, wrapped)[0], lambda: wrapped(x)):
        with seeded_globally(0, "dropout"):
            values.append(call())
    assert torch.equal(*values)


def test_bfloat16_rounds_like_the_librarys_layers(tiny, fresh_tiny):
    """Both round to 8 bits between operations, at other places: neither is nearer to float64."""
    exact = deepcopy(fresh_tiny).double()
    for parameter in fresh_tiny.parameters():
        parameter.data = parameter.data.bfloat16()
    layout, tokens = texts(batch=64)
    truth = separate(exact, tokens, layout)
    mine, theirs = (
        (logps - truth).square().mean().sqrt()
        for logps in (ours(fresh_tiny, tokens, layout), separate(fresh_tiny, tokens, layout))
    )
    assert theirs > 1e-3
    assert mine < 1.25 * theirs  # 128 sums each: the ratio's standard error is 9 %


def test_few_rows_and_many_give_the_same_product(monkeypatch):
    from madpo_theory.align import layers

    generator = torch.Generator().manual_seed(0)
    hidden, weight = (
        torch.randn(rows, 16, dtype=torch.double, generator=generator) for rows in (9, 5)
    )
    few = product(hidden, weight)
    monkeypatch.setattr(layers, "FEW", 8)
    torch.testing.assert_close(product(hidden, weight), few, **EXACT)


def test_a_trained_norm_or_weight_is_refused(double):
    layer = double.model.layers[1]
    x = torch.zeros(1, 32, dtype=torch.double)
    layer.input_layernorm.weight.requires_grad_(True)
    with pytest.raises(ValueError, match="the weight of a norm must be frozen"):
        norm(layer.input_layernorm, x)
    add_adapter(double, SETTINGS, 0)
    wrapped = [getattr(layer.self_attn, name) for name in TARGETS[:3]]
    wrapped[1].base_layer.weight.requires_grad_(True)
    with pytest.raises(ValueError, match="an adapted weight must be frozen"):
        project(x, *wrapped)


@pytest.mark.parametrize(
    "change", [{"attn_logit_softcapping": 50.0}, {"hidden_activation": "silu"}], ids=str
)
def test_a_model_that_is_not_computed_here_is_refused(tiny, change):
    config = deepcopy(tiny[0].config)
    foreseen(config, "tiny")
    for name, value in change.items():
        setattr(config, name, value)
        with pytest.raises(ValueError, match=f"has {name} .* Gemma 3 text models"):
            foreseen(config, "elsewhere")
