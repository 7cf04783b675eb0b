"""Problems per second: batched Newton against scipy.optimize and choix, at one gradient norm.

Every problem is a table of K responses whose masses are expected Bradley-Terry labels times MADPO's
weight for a reward model that errs, rewards standard normal. scipy solves them one by one from 0
with analytic derivatives over the K (K - 1)/2 pairs, one response held at 0 for trust-exact. The
clock runs for as many problems as fit a few seconds; ours is timed on the whole batch, certificates
included. Ours uses as many threads as `threads` says; scipy's callbacks use one. A peer's row says
which share of its problems reached the tolerance: L-BFGS-B stops early where its line search sees
no descent in float64, and trust-exact now and then. At equal accuracy the peer is therefore the two
in a row, L-BFGS-B and from where it stops trust-exact, and for what that leaves Newton steps in
numpy: every problem of it reaches the tolerance.

choix fits an unweighted model to drawn labels, so it gets drawn labels, 20 a pair, and so do we:
its solvers have their own stopping rules, `peer_gradient` says what they reach.

Beside the ratios: how far the scores at either gradient norm are from those at 1e-13, and the
memory that a call of the largest batch takes at its peak, input and result left out, measured in a
process of its own.
"""

import argparse
import json
import subprocess
import sys
import warnings
from pathlib import Path

import choix
import numpy as np
import torch
from scipy.optimize import minimize
from scipy.special import expit
from threadpoolctl import threadpool_limits

from madpo_theory import MarginSchedule, weight
from madpo_theory.simulate.solve.newton import minimize_tables

from .record import OUT, Recorder, best_time, device_name, versions

TOLERANCES = (1e-8, 1e-12)
BATCHES = (1, 10, 100, 1000, 5000, 20000)
LARGEST = {4: 20000, 16: 20000, 64: 1000}
LABELS = 20


def weighted_tables(batch, size, seed):
    """Expected labels times MADPO's weight (c_max 4), largest pair mass of each table 1."""
    rng = np.random.default_rng(seed)
    rewards = rng.normal(size=(batch, size))
    gaps = rewards[:, :, None] - rewards[:, None, :]
    error = 0.5 * rng.normal(size=gaps.shape)
    model = torch.tensor(gaps + error - error.transpose(0, 2, 1))
    wins = torch.tensor(expit(gaps)) * weight(model, MarginSchedule.released(4))
    wins.diagonal(dim1=1, dim2=2).zero_()
    return wins / (wins + wins.mT).amax((1, 2), keepdim=True)


def drawn_tables(batch, size, seed):
    """Counts of drawn labels, for tables that have a minimizer."""
    rng = np.random.default_rng(seed)
    rewards = rng.normal(size=(2 * batch, size))
    won = np.triu(rng.binomial(LABELS, expit(rewards[:, :, None] - rewards[:, None, :])), 1)
    wins = torch.tensor((won + np.triu(LABELS - won, 1).transpose(0, 2, 1)).astype(float))
    return wins[minimize_tables(wins).converged][:batch]


class Pairwise:
    """Loss, gradient and Hessian of one table over its pairs; the last response held at 0?"""

    def __init__(self, wins, held=False):
        size = len(wins)
        first, second = np.triu_indices(size, 1)
        rows = np.arange(len(first))
        self.p, self.total = wins[first, second], wins[first, second] + wins[second, first]
        self.differences = np.zeros((len(first), size))
        self.differences[rows, first], self.differences[rows, second] = 1.0, -1.0
        if held:
            self.differences = self.differences[:, :-1].copy()
        self.start = np.zeros(self.differences.shape[1])

    def value_and_gradient(self, s):
        z = self.differences @ s
        value = self.total @ np.logaddexp(0, z) - self.p @ z
        return value, (self.total * expit(z) - self.p) @ self.differences

    def hessian(self, s):
        up = expit(self.differences @ s)
        return (self.differences.T * (self.total * up * (1 - up))) @ self.differences

    def gradient_norm(self, scores):
        scores = scores[: len(self.start)] if len(scores) > len(self.start) else scores
        return float(np.linalg.norm(self.value_and_gradient(scores)[1]))


def lbfgs(table, tolerance):
    options = {"gtol": tolerance, "ftol": 0.0, "maxiter": 10_000, "maxfun": 20_000}
    f = Pairwise(table)
    found = minimize(f.value_and_gradient, f.start, jac=True, method="L-BFGS-B", options=options)
    return f.gradient_norm(found.x)


def trust_exact(table, tolerance):
    f = Pairwise(table, held=True)
    found = minimize(
        f.value_and_gradient, f.start, jac=True, hess=f.hessian, method="trust-exact",
        options={"gtol": tolerance, "maxiter": 1000},
    )  # fmt: skip
    return f.gradient_norm(found.x)


def scipy_in_a_row(table, tolerance):
    """L-BFGS-B; where it misses the tolerance trust-exact from there; then bare Newton steps."""
    free, held = Pairwise(table), Pairwise(table, held=True)
    options = {"gtol": tolerance, "ftol": 0.0, "maxiter": 10_000, "maxfun": 20_000}
    x = minimize(
        free.value_and_gradient, free.start, jac=True, method="L-BFGS-B", options=options
    ).x
    norm, x = free.gradient_norm(x), (x - x[-1])[:-1]
    if norm > tolerance:
        x = minimize(
            held.value_and_gradient, x, jac=True, hess=held.hessian, method="trust-exact",
            options={"gtol": tolerance / len(table), "maxiter": 1000},
        ).x  # fmt: skip
        norm = free.gradient_norm(np.append(x, 0.0))
    for _ in range(20):
        if norm <= tolerance:
            break
        x = x - np.linalg.solve(held.hessian(x), held.value_and_gradient(x)[1])
        norm = free.gradient_norm(np.append(x, 0.0))
    return norm


PEERS = {
    "L-BFGS-B": lbfgs,
    "trust-exact": trust_exact,
    "L-BFGS-B, then trust-exact": scipy_in_a_row,
}


def choix_newton(table, tolerance):
    winner, loser = np.nonzero(table)
    data = [
        (int(i), int(j))
        for i, j in zip(winner, loser, strict=True)
        for _ in range(int(table[i, j]))
    ]
    scores = choix.opt_pairwise(len(table), data, method="Newton-CG", tol=tolerance)
    return Pairwise(table).gradient_norm(scores) / LABELS


def choix_ilsr(table, tolerance):
    scores = choix.ilsr_pairwise_dense(table, max_iter=1000, tol=tolerance)
    return Pairwise(table).gradient_norm(scores) / LABELS


MEMORY = """
import json, resource, sys
import torch
from benchmarks.solvers import weighted_tables
from madpo_theory.simulate.solve import newton
from madpo_theory.simulate.solve.newton import minimize_tables
size, batch = int(sys.argv[1]), int(sys.argv[2])
torch.set_num_threads(1)
if sys.argv[3] == "torch":
    newton._compiled = lambda fits, *rest: torch.arange(len(fits.scores))
tables = weighted_tables(batch, size, 7)
minimize_tables(tables[:64])
def now():
    return int(open("/proc/self/statm").read().split()[1]) * resource.getpagesize()
open("/proc/self/clear_refs", "w").write("5")  # forget the peak so far
before = now()
fits = minimize_tables(tables)
peak = [line for line in open("/proc/self/status") if line.startswith("VmHWM")][0]
result = sum(v.element_size() * v.numel() for v in vars(fits).values())
print(json.dumps((int(peak.split()[1]) * 1024 - before - result) / 2**20))
"""


def peak_memory(size, batch, path):
    """MiB beside input and result of a call; `path` compiled, or torch as on CUDA."""
    done = subprocess.run(
        [sys.executable, "-c", MEMORY, str(size), str(batch), path],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    return json.loads(done.stdout)


def one_by_one(solver, tables, tolerance, seconds=2.5):
    """(problems per second, gradient norms) of a peer, on as many tables as the time allows."""
    rate, norms, count = 0.0, [], 8
    while True:
        time, norms = best_time(
            lambda count=count: [solver(t, tolerance) for t in tables[:count]], repeats=2
        )
        rate = max(rate, min(count, len(tables)) / time)
        if time > seconds / 2 or count >= len(tables):
            return rate, norms
        count *= 4


def solved(tables, **settings):
    """The fits, once a device has computed them."""
    fits = minimize_tables(tables, **settings)
    fits.scores.sum().item()
    return fits


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=[4, 16, 64])
    parser.add_argument("--largest", type=int, default=BATCHES[-1], help="largest batch")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--tolerances", type=float, nargs="+", default=TOLERANCES)
    parser.add_argument("--device", default="cpu", help="where ours runs; the peers have the CPU")
    parser.add_argument("--out", type=Path, default=OUT, help="folder of the results")
    chosen = parser.parse_args(arguments)
    threadpool_limits(1, user_api="blas")  # more would wait for each other at these sizes
    torch.set_num_threads(chosen.threads)
    warnings.simplefilter("ignore")  # peers overflow and warn at their line searches
    out, used = Recorder("solvers", chosen.out), versions("torch", "numpy", "scipy", "choix")
    for size in chosen.sizes:
        batches = [b for b in BATCHES if b <= min(chosen.largest, LARGEST.get(size, 1000))]
        tables, drawn = (make(batches[-1], size, 7) for make in (weighted_tables, drawn_tables))
        here, there = (x.to(chosen.device) for x in (tables, drawn))
        common = {"unit": "problems/s", "K": size, "threads": chosen.threads, "versions": used}
        common["device"] = device_name(chosen.device)
        for tolerance in chosen.tolerances:
            common["tolerance"] = tolerance
            peers = {}
            for name, solver in PEERS.items():
                peers[name] = one_by_one(solver, tables.numpy(), tolerance)
            times = {}
            exact = minimize_tables(here[:1000], tolerance=1e-13, accuracy=1e-3)
            for batch in batches:
                times[batch], fits = best_time(
                    lambda t=here[:batch], tol=tolerance: solved(t, tolerance=tol, accuracy=1.0),
                    repeats=9 if batch <= 1000 else 4,
                )
                fits.require()
                for name, (rate, norms) in peers.items():
                    out.add(
                        name=f"scipy {name}", ours=batch / times[batch], peer=rate, batch=batch,
                        peer_reached=float(np.mean(np.array(norms) <= tolerance)),
                        peer_gradient=float(np.max(norms)),
                        error_bound=float(fits.error_bound.max()), **common,
                    )  # fmt: skip
            apart = (fits.scores[: len(exact.scores)] - exact.scores)[exact.converged]
            out.note(
                name="distance of scores from those at gradient norm 1e-13, nats",
                largest=float(apart.abs().max()), tables=int(exact.converged.sum()), **common,
            )  # fmt: skip
            large = [b for b in batches if b >= 1000]
            if len(large) > 1:
                slope = np.polyfit(np.log(large), np.log([times[b] for b in large]), 1)[0]
                out.note(
                    name="growth", exponent=float(slope), batches=large,
                    seconds=[times[b] for b in large], **common,
                )  # fmt: skip
        for path in ("compiled", "torch") if chosen.device == "cpu" else ():
            out.note(
                name=f"peak memory beside input and result, {path}", batch=batches[-1],
                mebibytes=peak_memory(size, batches[-1], path), **common | {"unit": "MiB"},
            )  # fmt: skip
        common["tolerance"], batch = 1e-8, len(drawn)
        time, fits = best_time(lambda t=there: solved(t, tolerance=1e-8), repeats=5)
        fits.require()
        for name, solver in (("opt_pairwise", choix_newton), ("ilsr_pairwise_dense", choix_ilsr)):
            rate, norms = one_by_one(solver, drawn.numpy(), 1e-8)
            out.add(
                name=f"choix {name} (drawn labels, unweighted)", ours=batch / time, peer=rate,
                batch=batch, peer_reached=float(np.mean(np.array(norms) <= 1e-8)),
                peer_gradient=float(np.max(norms)), **common,
            )  # fmt: skip
        out.save()
    return 0


if __name__ == "__main__":
    sys.exit(main())
