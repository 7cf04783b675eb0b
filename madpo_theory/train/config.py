"""A run's settings: a YAML file of TRL's own option names, and of a few more."""

import json
import sys
from dataclasses import dataclass, field, fields

from ..files import first_line

__all__ = ["Training", "read"]


@dataclass
class Training:
    """What TRL has no option for."""

    pairs: str = field(metadata={"help": "file of pairs that madpo weights or score wrote"})
    eval_pairs: str | None = field(default=None, metadata={"help": "file of held-out pairs"})
    held_out: float = field(
        default=0.1, metadata={"help": "share of the prompts held out, without eval_pairs"}
    )
    method: str | None = field(
        default=None,
        metadata={"help": "name of a method, or path/to/file.py:Class; none: DPO with weights"},
    )
    settings: list[str] | None = field(
        default=None, metadata={"help": "settings of the method, name=value"}
    )
    column: str | None = field(
        default=None, metadata={"help": "column of the weights, or of the method's margins"}
    )
    baseline: bool = field(
        default=False, metadata={"help": "also train DPO at the matched beta, into OUTPUT_DIR-dpo"}
    )
    kl_prompts: int = field(
        default=64, metadata={"help": "held-out prompts that KL and reward are measured on"}
    )
    kl_tokens: int = field(default=64, metadata={"help": "longest response to them"})
    reward_model: str | None = field(
        default=None, metadata={"help": "judge of these responses, as in madpo score"}
    )

    def __post_init__(self):
        for name, good, rule in (
            ("held_out", 0 < self.held_out < 1, "0 < held_out < 1"),
            ("kl_prompts", self.kl_prompts >= 2, "kl_prompts >= 2"),
            ("kl_tokens", self.kl_tokens >= 1, "kl_tokens >= 1"),
        ):
            if not good:
                raise ValueError(
                    f"{name} = {getattr(self, name)} breaks the rule {rule}; change it"
                )


def read(path, overrides=()):
    """(Training, DPOConfig, ModelConfig, names given) of a YAML file and of options after it.

    ValueError, in one line, for what no option is called, or takes for a value.
    """
    from transformers import HfArgumentParser
    from trl import DPOConfig, ModelConfig

    class Parser(HfArgumentParser):
        def error(self, message):
            raise ValueError(message)

    given = [*_options(path), *overrides]
    try:
        parser = Parser((Training, DPOConfig, ModelConfig), allow_abbrev=False, add_help=False)
        names = {option.partition("=")[0].removeprefix("--").replace("-", "_") for option in given
                 if option.startswith("--")}  # fmt: skip
        settings = (*given, *_defaults(names))
        return *parser.parse_args_into_dataclasses(list(settings), look_for_args_file=False), names
    except (ValueError, TypeError, ImportError) as error:
        raise ValueError(f"{path}: {first_line(error)[:300]}; correct it") from None


def _defaults(names):
    """Options that nobody gave, for a machine without a GPU and an output that is no terminal."""
    import torch

    found = {}
    if not torch.cuda.is_available():
        found |= {"use_cpu": "true", "bf16": "false"}
    if not sys.stderr.isatty():
        found["disable_tqdm"] = "true"
    return [f"--{name}={value}" for name, value in found.items() if name not in names]


def _options(path):
    """The lines of the file as options of a command line."""
    import yaml

    try:
        with open(path, encoding="utf-8") as file:
            found = yaml.safe_load(file)
    except FileNotFoundError:
        raise ValueError(
            f"{path}: there is no such file; write one, with lines such as model_name_or_path: "
            "NAME, output_dir: out and TRL's own options"
        ) from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        why = " ".join(str(error).split())
        raise ValueError(f"{path}: is not YAML ({why[:200]}); correct it") from None
    if not isinstance(found, dict) or not all(isinstance(name, str) for name in found):
        known = ", ".join(setting.name for setting in fields(Training))
        raise ValueError(
            f"{path}: must hold lines name: value, such as {known}, and TRL's own options"
        )
    for name, value in found.items():
        if name == "settings" and isinstance(value, dict):
            value = [f"{key}={setting}" for key, setting in value.items()]
        if isinstance(value, list):
            yield from (f"--{name}", *map(str, value))
        elif isinstance(value, (dict, bool)):
            yield f"--{name}={json.dumps(value)}"
        elif value is not None:
            yield f"--{name}={value}"
