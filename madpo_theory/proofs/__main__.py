"""Write ``proofs/Generated.v`` from the formulas as they stand."""

from ..files import replacing
from .check import PROOFS
from .generated import generated

with replacing(PROOFS / "Generated.v") as path:
    path.write_text(generated())
print(PROOFS / "Generated.v")
