"""Seconds and memory of an alignment step against TRL's, and tokens per second of generation.

One step is forward, loss, backward and AdamW on one batch of preference pairs, DPO's loss, LoRA of
rank 16 on the attention projections from layer `first` on. The contenders:

- ours: prompt shared by both responses, logits in chunks and at response tokens alone, stored
  reference log-probabilities and, for first > 0, stored output of the layers below;
- TRL: ``DPOTrainer.training_step`` with precomputed reference log-probabilities, with and without
  its default gradient checkpointing;
- prefix sharing (arXiv 2410.20305): prompt and both responses as one sequence through transformers'
  own layers, under a mask in which a response does not see the other, and stored reference
  log-probabilities;
- separate forwards: the structure of the MADPO author's loop: chosen and rejected forwarded apart,
  float32 logits of every token, the reference recomputed at every step.

Each runs in a process of its own; the processes take turns step by step, so that what else the
machine does falls on all of them, and the shortest step of each counts. Beside it stands the median
over turns of the ratio. Memory is the peak of the process's resident memory during the steps and,
`extra`, that less what was resident before the first (on a GPU: allocated memory).

Before anything is reported the losses and the gradients of one step must agree with ours to 1e-5.
That step runs in float64, the norms of transformers included, which round to float32 if left alone:
the rounding of float32 moves these gradients by 2e-5.

Generation draws `--new` tokens for `--prompts` prompts of 16 tokens, none of which ends early: one
continuation each, as in the evaluation, and two, as pairs need them. The model's matrix products
alone take their turns too: they bound what a loop over these kernels can gain.
"""

import argparse
import ctypes
import gc
import json
import os
import subprocess
import sys
import tempfile
import time
import warnings
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import torch

from madpo_theory.align.batch import PairData
from madpo_theory.align.config import ModelConfig
from madpo_theory.align.data import block, data
from madpo_theory.align.generate import generate
from madpo_theory.align.layers import product
from madpo_theory.align.logprobs import Layout, continuation_logps, stem
from madpo_theory.align.policy import (
    TARGETS,
    Vocabulary,
    adapter_parameters,
    add_adapter,
    load_model,
    model,
)
from madpo_theory.align.precision import precision
from madpo_theory.align.store import Run
from madpo_theory.losses import dpo

from .record import OUT, Recorder, device_name, versions

BETA, RANK, ALPHA, SEED = 0.1, 16, 32, 7
SHAPES = ((16, 32), (16, 48), (64, 68), (16, 64), (20, 176))
AGREEMENT = 1e-5
"""Largest relative difference of losses and of gradients, as a norm over all adapters."""
CHECKED = 8
"""Pairs of a batch on which that is checked: a card holds their logits in float64 five times."""
NO_END = -1
# A waiting thread sleeps: where other work shares the cores, spinning ones would hold it up.
QUIET = os.environ | {"OMP_WAIT_POLICY": "PASSIVE", "TQDM_DISABLE": "1"}


@dataclass(frozen=True)
class Setting:
    """One batch and one way to compute on it; goes to a child process as JSON."""

    contender: str
    folder: str
    model: str
    precision: str
    threads: int
    device: str = "cpu"
    prompt: int = 16
    new: int = 32
    pairs: int = 8
    first: int = 0
    samples: int = 1
    check: bool = False
    """One step in float64, whose gradients are kept, and no clock."""

    @property
    def layout(self):
        return Layout(self.prompt, self.new, 2)

    @property
    def batch(self):
        return Path(self.folder) / f"batch-{self.prompt}-{self.new}.pt"

    def tokens(self, device):
        """The batch, (pairs, tokens), where it is computed on."""
        return torch.load(self.batch, weights_only=True).to(device)

    @property
    def gradients(self):
        return Path(self.folder) / f"gradients-{self.contender}.pt"


def write_batch(setting, reviews, vocabulary):
    """Real text: prompt and first response of one review, the second response of the next."""
    length = setting.prompt + setting.new
    rows = [row[:length] for row in vocabulary.encode(reviews) if len(row) >= length]
    rows = torch.from_numpy(np.stack(rows[: 2 * setting.pairs]))
    first, second = rows[0::2], rows[1::2]
    torch.save(torch.cat([first, second[:, setting.prompt :]], dim=1), setting.batch)


def resident():
    """(resident, peak resident) memory of this process, MiB."""
    status = Path("/proc/self/status").read_text().split("\n")
    sizes = {line.split(":")[0]: line.split()[1] for line in status if line.startswith("Vm")}
    return int(sizes["VmRSS"]) / 1024, int(sizes["VmHWM"]) / 1024


class Memory:
    """Peak memory of a block of code, MiB, on the GPU if the model is there."""

    def __init__(self, device):
        self.cuda = device.type == "cuda"

    def __enter__(self):
        gc.collect()
        if self.cuda:
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()
            self.before = torch.cuda.memory_allocated() / 2**20
        else:
            ctypes.CDLL("libc.so.6").malloc_trim(0)
            Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew
            self.before = resident()[0]
        return self

    def __exit__(self, *error):
        self.peak = torch.cuda.max_memory_allocated() / 2**20 if self.cuda else resident()[1]


def perturb(parameters):
    """Adapters away from zero, where the first loss would be log 2 whatever the code."""
    generator = torch.Generator().manual_seed(SEED)
    with torch.no_grad():
        for name in sorted(parameters):
            value = parameters[name]
            value.copy_(0.02 * torch.randn(value.shape, generator=generator))
    return parameters


def policy(setting, causal_lm):
    settings = ModelConfig(rank=RANK, alpha=ALPHA, first_adapted_layer=setting.first)
    return add_adapter(causal_lm, settings, SEED)


def ours(setting, causal_lm, tokens):
    layout, layers = setting.layout, setting.first
    with torch.no_grad():
        lower = stem(causal_lm, tokens, layout, layers)
        fixed = continuation_logps(causal_lm, lower, tokens, layout, layers, NO_END)
    peft_model = policy(setting, causal_lm)
    pairs = PairData(
        tokens=tokens.cpu(),
        reference=fixed.cpu(),
        stem=lower.cpu() if layers else None,
        first_chosen=torch.ones(len(tokens), dtype=torch.bool),
        layout=layout,
        layers=layers,
        eos=NO_END,
        train=len(tokens),
    )
    everything = torch.arange(len(tokens))

    def step():
        batch, lower, layout = pairs.inputs(causal_lm, everything)
        logps = continuation_logps(causal_lm, lower, batch, layout, layers, NO_END)
        stored = pairs.reference.to(logps.device)
        both = (pairs.chosen_first(x, everything) for x in (logps, stored))
        loss = dpo(*next(both), *next(both), beta=BETA)[0].mean()
        loss.backward()
        return loss.item()

    return perturb(adapter_parameters(peft_model)), step


def separate_forwards(setting, causal_lm, tokens):
    peft_model = policy(setting, causal_lm)
    prompt, *responses = tokens.split([setting.prompt, setting.new, setting.new], dim=1)
    texts = [torch.cat([prompt, response], dim=1) for response in responses]

    def logps(ids):
        logits = causal_lm(input_ids=ids, use_cache=False).logits[:, :-1]
        log_p = logits.to(torch.promote_types(logits.dtype, torch.float32)).log_softmax(-1)
        return log_p.gather(2, ids[:, 1:, None])[:, setting.prompt - 1 :, 0].sum(1)

    def step():
        chosen, rejected = (logps(ids) for ids in texts)
        with torch.no_grad(), peft_model.disable_adapter():
            fixed = [logps(ids) for ids in texts]
        loss = dpo(chosen, rejected, *fixed, beta=BETA)[0].mean()
        loss.backward()
        return loss.item()

    return perturb(adapter_parameters(peft_model)), step


def prefix_sharing(setting, causal_lm, tokens):
    layout, peft_model = setting.layout, policy(setting, causal_lm)
    place = torch.arange(tokens.shape[1], device=tokens.device)
    branch = (place - setting.prompt).div(setting.new, rounding_mode="floor")
    seen = (branch[None] < 0) | (branch[:, None] == branch[None])
    seen = (seen & (place[:, None] >= place[None]))[None, None].expand(len(tokens), 1, -1, -1)
    within = place[setting.prompt :].view(2, setting.new)
    predicting = torch.cat([torch.full_like(within[:, :1], setting.prompt - 1), within[:, :-1]], 1)
    responses = tokens[:, setting.prompt :]

    def logps():
        logits = causal_lm(
            input_ids=tokens, position_ids=layout.positions(tokens.device), use_cache=False,
            attention_mask=dict.fromkeys(("full_attention", "sliding_attention"), seen),
        ).logits[:, predicting.flatten()]  # fmt: skip
        log_p = logits.to(torch.promote_types(logits.dtype, torch.float32)).log_softmax(-1)
        return log_p.gather(2, responses[..., None])[..., 0].view(len(tokens), 2, -1).sum(-1).T

    with torch.no_grad(), peft_model.disable_adapter():
        fixed = logps()

    def step():
        loss = dpo(*logps(), *fixed, beta=BETA)[0].mean()
        loss.backward()
        return loss.item()

    return perturb(adapter_parameters(peft_model)), step


def trl(setting, causal_lm, tokens, checkpointing=False):
    from datasets import Dataset
    from peft import LoraConfig
    from transformers import PreTrainedTokenizerFast
    from trl import DPOConfig, DPOTrainer

    class Tokenized(DPOTrainer):
        def _prepare_dataset(self, dataset, *args):
            return dataset

    prompt, chosen, rejected = tokens.split([setting.prompt, setting.new, setting.new], dim=1)
    columns = {"prompt_ids": prompt, "chosen_ids": chosen, "rejected_ids": rejected}
    bf16 = causal_lm.dtype == torch.bfloat16
    trainer = Tokenized(
        causal_lm,
        args=DPOConfig(
            output_dir=setting.folder,
            per_device_train_batch_size=len(tokens),
            beta=BETA,
            precompute_ref_log_probs=True,
            gradient_checkpointing=checkpointing,
            use_cpu=tokens.device.type == "cpu",
            bf16=bf16,
            report_to=[],
            disable_tqdm=True,
        ),
        train_dataset=Dataset.from_dict({k: v.tolist() for k, v in columns.items()}),
        processing_class=PreTrainedTokenizerFast(
            tokenizer_file=str(Path(setting.model) / "tokenizer.json"), pad_token="<pad>"
        ),
        peft_config=LoraConfig(
            r=RANK,
            lora_alpha=ALPHA,
            target_modules=TARGETS,
            layers_to_transform=list(range(setting.first, causal_lm.config.num_hidden_layers)),
        ),
    )
    parameters = perturb(adapter_parameters(trainer.model))
    wrapped = trainer.accelerator.prepare_model(trainer.model)
    batch = next(iter(trainer.get_train_dataloader()))
    trainer.current_gradient_accumulation_steps = 1  # what its loop sets

    def step():
        return trainer.training_step(wrapped, dict(batch)).item()

    return parameters, step


STEPS = {
    "ours": ours,
    "TRL": trl,
    "TRL, checkpointing": partial(trl, checkpointing=True),
    "prefix sharing": prefix_sharing,
    "separate forwards": separate_forwards,
}
MODELS = {"gemma": "cpu", "gemma-full": "card", "tiny": "smoke"}
"""Preset whose model it is."""


PRODUCTS = "generate, matrix products alone"


def synchronize(device):
    if device.type == "cuda":
        torch.cuda.synchronize()


def clocked(call, device):
    synchronize(device)
    start = time.perf_counter()
    result = call()
    synchronize(device)
    return time.perf_counter() - start, result


def stepper(setting, causal_lm):
    """A call that does one update."""
    tokens = setting.tokens(causal_lm.device)
    parameters, step = STEPS[setting.contender](setting, causal_lm, tokens)
    optimizer = torch.optim.AdamW(parameters.values(), lr=1e-4)

    def update():
        optimizer.zero_grad()
        step()
        optimizer.step()

    return update


def norms_in_full():
    """Make transformers' norms compute in the precision of their input."""
    from transformers.models.gemma3.modeling_gemma3 import Gemma3RMSNorm

    Gemma3RMSNorm.forward = lambda self, x: self._norm(x) * (1 + self.weight)


def first_step(setting, causal_lm):
    norms_in_full()
    tokens = setting.tokens(causal_lm.device)[:CHECKED]
    parameters, step = STEPS[setting.contender](setting, causal_lm.double(), tokens)
    for parameter in parameters.values():
        parameter.data = parameter.data.double()
    loss = step()
    torch.save({k: p.grad.cpu() for k, p in parameters.items()}, setting.gradients)
    return {"loss": loss}


def generator(setting, causal_lm):
    """A call that draws continuations of every prompt."""
    prompts = setting.tokens(causal_lm.device)[:, : setting.prompt]
    common = {"new_tokens": setting.new, "samples": setting.samples}
    causal_lm.generation_config.eos_token_id = None  # nothing ends early in the peer's either

    def ours():
        seeded = torch.Generator().manual_seed(SEED)
        return generate(causal_lm, prompts, eos=NO_END, generator=seeded, **common)

    def theirs():
        return causal_lm.generate(
            prompts, attention_mask=torch.ones_like(prompts), do_sample=True, top_k=0,
            max_new_tokens=setting.new, num_return_sequences=setting.samples,
        )[:, setting.prompt :]  # fmt: skip

    def products():
        """The matrix products alone, by the kernels that our loop uses."""
        weights = [w for w in causal_lm.model.layers.parameters() if w.dim() == 2]
        texts = len(prompts) * setting.samples
        with torch.no_grad():
            for rows in (prompts.numel(), *[texts] * (setting.new - 1)):
                for weight in weights:
                    product(weight.new_ones(rows, weight.shape[1]), weight)
                head = causal_lm.lm_head.weight
                product(head.new_ones(texts, head.shape[1]), head)
        return torch.empty(texts, setting.new, device="meta")

    call = {"generate ours": ours, "generate transformers": theirs, PRODUCTS: products}[
        setting.contender
    ]

    def counted():
        drawn = call().numel()
        if drawn != len(prompts) * setting.samples * setting.new:
            raise AssertionError(f"{setting.contender} drew {drawn} tokens")

    return counted


def child(setting):
    """One contender in this process: a turn for every line that comes in, its seconds come out."""
    warnings.simplefilter("ignore")
    out, sys.stdout = sys.stdout, sys.stderr  # other packages print too
    causal_lm = load_model(Run(Path(setting.model)), Run(Path(setting.precision)))
    torch.set_num_threads(setting.threads)
    if setting.check:
        print(json.dumps(first_step(setting, causal_lm)), file=out, flush=True)
        return
    prepare = generator if setting.contender.startswith("generate") else stepper
    call = prepare(setting, causal_lm)
    with Memory(causal_lm.device) as memory:
        for _ in sys.stdin:
            print(clocked(call, causal_lm.device)[0], file=out, flush=True)
    print(json.dumps({"before": memory.before, "peak": memory.peak}), file=out, flush=True)


class Contender:
    """A child process and its answers."""

    def __init__(self, setting):
        self.name, self.errors = setting.contender, tempfile.TemporaryFile("w+")
        command = [sys.executable, "-m", "benchmarks.training"]
        self.process = subprocess.Popen(
            [*command, "--child", json.dumps(asdict(setting))], text=True, env=QUIET,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.errors,
        )  # fmt: skip

    def answer(self):
        line = self.process.stdout.readline()
        if not line:
            self.errors.seek(0)
            raise RuntimeError(f"{self.name} failed:\n{self.errors.read()[-3000:]}")
        return json.loads(line)

    def turn(self):
        """Seconds of one call."""
        with suppress(BrokenPipeError):  # the answer that does not come says why
            self.process.stdin.write("\n")
            self.process.stdin.flush()
        return self.answer()

    def finish(self):
        """What it says at its end."""
        self.process.stdin.close()
        return self.answer()

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.process.kill()
        self.process.wait()
        with suppress(BrokenPipeError):
            self.process.stdin.close()
        self.process.stdout.close()
        self.errors.close()


def take_turns(settings, rounds):
    """Measurements by contender; the first turn of each pays for what is set up once."""
    with ExitStack() as stack:
        contenders = [stack.enter_context(Contender(setting)) for setting in settings]
        turns = [[one.turn() for one in contenders] for _ in range(rounds + 1)][1:]
        found = {}
        for one, seconds in zip(contenders, zip(*turns, strict=True), strict=True):
            memory = one.finish()
            found[one.name] = memory | {
                "extra": memory["peak"] - memory["before"],
                "seconds": min(seconds),
                "turns": seconds,
            }
    return found


def paired(mine, peer):
    """Median over turns of the ratio of seconds."""
    return float(np.median(np.divide(mine["turns"], peer["turns"])))


def first_loss(setting):
    with Contender(replace(setting, check=True)) as one:
        return one.answer()["loss"]


def disagreement(settings):
    """Relative differences of losses and of gradients from ours, the largest of all contenders."""
    together = 1 if settings[0].device == "cpu" else len(settings)
    with ThreadPoolExecutor(together) as pool:  # on a CPU they would want its memory twice
        losses = list(pool.map(first_loss, settings))
    mine, *others = (torch.load(setting.gradients, weights_only=True) for setting in settings)
    norm = torch.cat([g.flatten() for g in mine.values()]).norm()
    apart = []
    for setting, theirs in zip(settings[1:], others, strict=True):
        if theirs.keys() != mine.keys():
            raise AssertionError(f"{setting.contender} adapts other parameters than ours")
        difference = torch.cat([(theirs[k] - g).flatten() for k, g in mine.items()])
        apart.append((difference.norm() / norm).item())
    return {
        "loss_difference": max(abs(loss - losses[0]) for loss in losses) / abs(losses[0]),
        "gradient_difference": max(apart),
    }


def compare_steps(out, base, contenders, rounds, **common):
    settings = [replace(base, contender=name) for name in contenders]
    apart = disagreement(settings)
    if not max(apart.values()) <= AGREEMENT:
        raise AssertionError(f"the contenders do not compute the same step: {apart}")
    found = take_turns(settings, rounds)
    mine = found.pop("ours")
    common |= apart | {
        "pairs": base.pairs,
        "prompt": base.prompt,
        "new": base.new,
        "first_adapted_layer": base.first,
        "stored_lower_layers": base.first > 0,
    }
    for name, peer in found.items():
        out.add(
            name=f"step {name}", ours=mine["seconds"], peer=peer["seconds"], unit="s",
            median_ratio=paired(mine, peer), **common,
        )  # fmt: skip
        for kind in ("extra", "peak"):
            out.add(
                name=f"memory {name}, {kind}", ours=mine[kind], peer=peer[kind], unit="MiB",
                **common,
            )  # fmt: skip


def compare_generation(out, base, rounds, **common):
    names = ("generate ours", "generate transformers", PRODUCTS)
    found = take_turns([replace(base, contender=name) for name in names], rounds)
    mine, peer, products = (found[name] for name in names)
    tokens = base.pairs * base.samples * base.new
    common |= {"prompts": base.pairs, "prompt": base.prompt, "new": base.new}
    common |= {"samples": base.samples}
    for name, other in (("generation", peer), ("generation, its matrix products alone", products)):
        out.add(
            name=name, ours=tokens / mine["seconds"], peer=tokens / other["seconds"],
            unit="tokens/s", median_ratio=paired(other, mine), **common,
        )  # fmt: skip
    for kind in ("extra", "peak"):
        out.add(
            name=f"generation memory, {kind}", ours=mine[kind], peer=peer[kind], unit="MiB",
            **common,
        )  # fmt: skip


def random_weights(folder, into):
    """A model stage of the configuration and tokenizer in `folder`, with random weights.

    They take the time that trained ones do, and are there at once.
    """
    from tokenizers import Tokenizer
    from transformers import Gemma3ForCausalLM, Gemma3TextConfig

    run = Run(Path(into))
    run.path.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(SEED)
    Gemma3ForCausalLM(Gemma3TextConfig.from_pretrained(folder)).save_pretrained(run.path / "model")
    tokenizer = Tokenizer.from_file(str(Path(folder) / "tokenizer.json"))
    tokenizer.save(str(run.path / "tokenizer.json"))
    run.write_tensors("kept.safetensors", {"kept": torch.arange(tokenizer.get_vocab_size())})
    return run


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", choices=MODELS, default="gemma")
    parser.add_argument(
        "--random", type=Path, help="folder: random weights, of its config.json and tokenizer.json"
    )
    parser.add_argument("--dtype", choices=("float32", "bfloat16"), default="float32")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--shapes", type=int, nargs="*", default=range(3), help=f"of {SHAPES}")
    parser.add_argument("--pairs", type=int, default=8)
    parser.add_argument("--first", type=int, nargs="+", help="first adapted layers; 0 and preset's")
    parser.add_argument("--contenders", nargs="+", choices=list(STEPS)[1:], default=list(STEPS)[1:])
    parser.add_argument("--prompts", type=int, default=128, help="of generation; 0: leave it out")
    parser.add_argument("--new", type=int, default=32, help="tokens to generate")
    parser.add_argument("--samples", type=int, nargs="+", default=[1, 2], help="of each prompt")
    parser.add_argument("--rounds", type=int, default=4, help="turns of every contender")
    parser.add_argument("--root", default="runs", help="where the experiment keeps its model")
    parser.add_argument("--out", type=Path, default=OUT, help="folder of the results")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    chosen = parser.parse_args(arguments)
    if chosen.child:
        return child(Setting(**json.loads(chosen.child)))

    from madpo_theory.align.config import PrecisionConfig
    from madpo_theory.experiments.sentiment import PRESETS

    preset = PRESETS[MODELS[chosen.model]]
    reviews = data(chosen.root, preset.data)
    if chosen.random:
        base_model = random_weights(chosen.random, Path(chosen.root) / "random")
    else:
        base_model = model(chosen.root, {"model": preset.model}, reviews)
    vocabulary = Vocabulary.load(base_model)
    texts = block(reviews, "prompts")["text"].tolist()
    out = Recorder("training", chosen.out)
    used = versions("torch", "transformers", "trl", "peft")
    common = {k: getattr(chosen, k) for k in ("model", "dtype", "threads")}
    common["device"] = device_name(chosen.device)
    if chosen.random:
        common["model"] += ", random weights"
    common["versions"] = used
    with tempfile.TemporaryDirectory() as folder:
        number = precision(folder, PrecisionConfig(device=chosen.device, dtype=chosen.dtype))
        base = Setting(
            contender="ours", folder=folder, model=str(base_model.path),
            precision=str(number.path), threads=chosen.threads, device=chosen.device,
            pairs=chosen.pairs,
        )  # fmt: skip
        for prompt, new in (SHAPES[i] for i in chosen.shapes):
            for first in chosen.first or sorted({0, preset.model.first_adapted_layer}):
                setting = replace(base, prompt=prompt, new=new, first=first)
                write_batch(setting, texts, vocabulary)
                compare_steps(
                    out, setting, ["ours", *chosen.contenders], chosen.rounds,
                    **common,
                )  # fmt: skip
                out.save()
        for samples in chosen.samples if chosen.prompts else ():
            setting = replace(base, new=chosen.new, pairs=chosen.prompts, samples=samples)
            write_batch(setting, texts, vocabulary)
            compare_generation(out, setting, chosen.rounds, **common)
            out.save()
    return 0


if __name__ == "__main__":
    sys.exit(main())
