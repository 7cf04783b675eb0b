"""Measured comparisons with other software; `make bench` writes benchmarks/out/."""
