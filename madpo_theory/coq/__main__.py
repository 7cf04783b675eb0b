"""Write ``proofs/Generated.v`` from the formulas as they stand, if it is not that already."""

from ..files import replacing
from .coqc import PROOFS
from .definitions import generated

target, text = PROOFS / "Generated.v", generated()
if not target.is_file() or target.read_text() != text:
    with replacing(target) as path:
        path.write_text(text)
print(target)
