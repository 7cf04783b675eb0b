"""docs/sentiment-2.md: the second study as a page that is read in three minutes."""

__all__ = ["publish", "reading"]


def reading(folder):
    return ""


def publish(folder, path):
    return path
