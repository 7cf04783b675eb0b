"""From pairs to a judged policy: ``madpo train CONFIG.yaml``, and ``madpo frontier RUN...``."""
