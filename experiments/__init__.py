"""One file per study: a frozen config and the order of its stages."""
