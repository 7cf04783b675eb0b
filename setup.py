"""Two folders of the repository are packages of the library: a wheel adds one top-level name."""

from setuptools import find_packages, setup

ROOMS = ("experiments", "paper_figures")
setup(
    packages=[
        *find_packages(include=["madpo_theory*"]),
        *(f"madpo_theory.{name}" for name in find_packages(include=[f"{room}*" for room in ROOMS])),
    ],
    package_dir={f"madpo_theory.{room}": room for room in ROOMS},
)
