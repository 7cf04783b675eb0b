"""Placeholder of this commit: the independent checker is written next to it."""


def check(certificate):
    """Refuse what is no certificate of a bound."""
    if certificate.get("format") != "madpo audit bound 1":
        raise ValueError(f"format = {certificate.get('format')!r} is not known")
