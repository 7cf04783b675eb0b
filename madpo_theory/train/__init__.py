"""From pairs to a judged policy: ``madpo train CONFIG.yaml``, and ``madpo frontier RUN...``."""

__all__ = ["EVALUATION"]

EVALUATION = "evaluation.json"
"""What a finished run says of itself, in its folder."""
