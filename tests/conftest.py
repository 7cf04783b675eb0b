"""Hypothesis runs the same examples everywhere; a failure is reproducible from the log alone."""

import gc

import pytest
from card import pretended
from hypothesis import HealthCheck, Phase, settings

settings.register_profile(
    "madpo",
    derandomize=True,
    deadline=None,
    max_examples=100,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("madpo")


def pytest_collection_finish():
    """What imports made stays to the end: the collector, which training calls, passes it over."""
    gc.freeze()


@pytest.fixture(scope="session")
def one_thread():
    """Tiny models gain nothing from threads, and lose much where other work shares the cores."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def no_shrinking(monkeypatch):
    """A property that is meant to fail does so at the first counterexample, not the simplest."""
    monkeypatch.setattr("madpo_theory.claims.evidence.PHASES", (Phase.generate,))


@pytest.fixture(params=["pretended", pytest.param("cuda", marks=pytest.mark.cuda)])
def card(request):
    """A device that is no CPU: CUDA's where it is, else a pretended one (tests/support/card.py)."""
    import torch

    if torch.cuda.is_available() != (request.param == "cuda"):
        pytest.skip("needs a CUDA device" if request.param == "cuda" else "there is a real one")
    if request.param == "cuda":
        yield torch.device("cuda")
    else:
        with pretended() as device:
            yield device
