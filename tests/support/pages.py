"""The code blocks of a Markdown page, run, and what they print beside what the page says of it."""

import contextlib
import io
import re

import torch

from madpo_theory import weight

BLOCK = re.compile(r"```python\n(.*?)```(?:\n\n```text\n(.*?)```)?", re.S)
NUMBER = re.compile(r"-?\d+(?:\.\d*)?(?:[eE][-+]?\d+)?")


def blocks(text):
    """(code, output) of every python block; output is the text block right below it, or ""."""
    return BLOCK.findall(text)


def run(code, namespace, path):
    """What a block prints."""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(code, str(path), "exec"), namespace)
    return printed.getvalue()


def last_place(number):
    """One unit of the last digit shown."""
    mantissa, _, exponent = number.lower().partition("e")
    return 10.0 ** (int(exponent or 0) - len(mantissa.partition(".")[2]))


def agree(printed, shown):
    """Whether two texts are the same, up to space and one unit of any number's last digit.

    Machines round differently, and a number that is shown may lie between two of its digits.
    """
    words = [" ".join(NUMBER.sub("#", text).split()) for text in (printed, shown)]
    if words[0] != words[1]:
        return False
    pairs = zip(NUMBER.findall(printed), NUMBER.findall(shown), strict=True)
    return all(a == b or abs(float(a) - float(b)) <= 1.001 * last_place(b) for a, b in pairs)


def assert_weighted_gradient(namespace, margins, weighting, beta=0.1):
    """That a page's call of the loss has left -+ w(h) beta sigma(-beta m)/pairs in policy.grad."""
    policy, margins = namespace["policy"], torch.as_tensor(margins, dtype=torch.float64)
    reference = torch.stack([namespace["reference_chosen"], namespace["reference_rejected"]])
    chosen, rejected = (policy - reference).double().detach()
    pull = weight(margins, weighting) * beta * torch.sigmoid(-beta * (chosen - rejected))
    expected = torch.stack([-pull, pull]) / len(pull)
    # A dozen roundings of float32.
    torch.testing.assert_close(policy.grad.double(), expected, rtol=2e-6, atol=0)
