"""Write ``proofs/Generated.v`` from the formulas as they stand, if it is not that already."""

from ..clone import needed
from ..files import replacing
from .definitions import generated

target = needed("python -m madpo_theory.coq") / "proofs" / "Generated.v"
text = generated()
if not target.is_file() or target.read_text() != text:
    with replacing(target) as path:
        path.write_text(text)
print(target)
