"""The page "Which loss?" says what its tables say."""

import json

import numpy as np
import pytest

from madpo_theory import cli
from madpo_theory.show.which import which_page, write_which

CONDITIONS = ("all exact", "labels: a", "labels: b", "model: c", "16 a pair, additive error")
METHODS = {  # gap by condition, of a best reward of 2 nats
    "dpo": (0.0, 0.08, 0.04, 0.0, 0.08),
    "madpo": (0.0, 0.02, 0.02, 0.1, 0.2),
    "odpo": (0.0, 0.03, 0.02, 0.2, 0.4),
    "ipo": (0.01, 0.06, 0.05, 0.01, 0.06),
}


def field():
    rows = [
        (c, m, gaps[k], gaps[k] - 0.001, gaps[k] + 0.001, 2.0)
        for k, c in enumerate(CONDITIONS)
        for m, gaps in METHODS.items()
        if (c, m) != ("model: c", "ipo")
    ]
    names = ("condition", "method", "gap", "low", "high", "best")
    return {
        name: np.array(column) for name, column in zip(names, zip(*rows, strict=True), strict=True)
    }


DISPLACEMENT = {
    "policy": np.array(["uniform"] * 3 + ["other"]),
    "method": np.array(["dpo", "madpo", "ipo", "dpo"]),
    "optimum": np.array([0.5, 0.6, 0.2, 0.9]),
    "both": np.zeros(4),
    "step": np.zeros(4),
}


def sheet(method, verdict):
    ids = ("target_unique", "order", "saturates", "influence")
    return {"method": method, "rows": [{"id": i, "verdict": verdict} for i in ids]}


SHEETS = {
    "dpo": sheet("dpo", "no"),
    "ipo": sheet("ipo", "yes"),
    "madpo": sheet("madpo", "undecided"),
}


def test_the_page_is_made_of_its_numbers():
    page = which_page(SHEETS, field(), DISPLACEMENT, worlds=7)
    assert "7 worlds" in page
    # within each other's interval, or not
    assert "| labels: b | MADPO; ODPO: 1 % | 2 % | 1 % | IPO: 2.5 % |" in page
    assert "| labels: a | MADPO: 1 % | 4 % | 1 % | DPO: 4 % |" in page
    assert "| model: c | DPO: 0 % | 0 % | 5 % | ODPO: 10 % |" in page
    # IPO is not solved everywhere, so that it is not advised
    assert "labels DPO loses least of those that ask for none, 3 % on average." in page
    assert "MADPO makes the most of it: 1 % lost on the same labels" in page
    assert "they give away 10 % and 10 %, DPO 4 %" in page
    assert "at the optimum it does so for 50 % of dpo's labels" in page.lower()
    assert "Targets stay finite for IPO." in page
    assert "| IPO | | 3 %, none in 1 of 5 rows | 20 % | yes | yes | yes | yes |" in page
    row = "| MADPO | 0 (1) | 1.000 ± 0.050 (1) | 1.000 ± 0.050 (1) | 5.000 ± 0.050 (2) |"
    assert f"{row} 10.000 ± 0.050 (3) |" in page
    assert "| DPO | | 4 % | 50 % | **no** | **no** | **no** | **no** |" in page


def test_what_is_missing_is_named(tmp_path, capsys):
    with pytest.raises(ValueError, match=r"there is no file .*; madpo audit --all --json makes it"):
        write_which(tmp_path / "p.md", sheets=tmp_path / "none.json", studies=tmp_path)
    file = tmp_path / "sheets.json"
    file.write_text(json.dumps(list(SHEETS.values())))
    with pytest.raises(ValueError, match="holds no field; madpo simulate field makes it"):
        write_which(tmp_path / "p.md", sheets=file, studies=tmp_path)
    done = cli.main(["which", "--sheets", str(file), "--studies", str(tmp_path)])
    assert done == 2 and "holds no field" in capsys.readouterr().err
