"""What a caller may rely on, of every module that mutation testing covers: names and defaults."""

import dataclasses
import importlib
import inspect
import pkgutil

import pytest

import madpo_theory

PACKAGES = ("certify", "methods", "ops", "weights")
ALONE = (
    "audit.checker",
    "claims.evidence",
    "claims.ledger",
    "losses",
    "risk",
    "schedule",
    "targets",
)


def modules_of(package):
    path = importlib.import_module(f"madpo_theory.{package}").__path__
    return [package, *(f"{package}.{module.name}" for module in pkgutil.iter_modules(path))]


MODULES = [*ALONE, *(name for package in PACKAGES for name in modules_of(package))]


def defined_in(name):
    """{name: object} of the functions and classes that a module defines."""
    module = importlib.import_module(f"{madpo_theory.__name__}.{name}")
    return {
        key: value
        for key, value in vars(module).items()
        if (inspect.isfunction(value) or inspect.isclass(value))
        and value.__module__ == module.__name__
    }


@pytest.mark.parametrize("name", MODULES)
def test_every_parameter_can_be_given_by_its_name(name):
    for value in defined_in(name).values():
        functions = [value, *filter(inspect.isfunction, vars(value).values())]
        for function in filter(inspect.isfunction, functions):
            kinds = {p.kind for p in inspect.signature(function).parameters.values()}
            assert inspect.Parameter.POSITIONAL_ONLY not in kinds, function.__qualname__


@pytest.mark.parametrize("name", MODULES)
def test_a_value_once_made_stays_as_it_is(name):
    for value in defined_in(name).values():
        if dataclasses.is_dataclass(value):
            assert value.__dataclass_params__.frozen, value.__qualname__


DEFAULTS = {
    "certify.boxes.box_supremum": {
        "kind": "published", "bound": None, "tolerance": 1e-3, "within": None, "limit": 100_000,
    },
    "certify.certificate.certify": {"tolerance": 1e-6},
    "certify.certificate.certify_box": {
        "kind": "published", "bound": None, "tolerance": 1e-3, "within": None, "limit": 100_000,
    },
    "certify.certificate.write_certificate": {"key": None},
    "certify.enclosure.precision": {"bits": 128},
    "certify.grid.Cell": {"certificate": None, "at": None},
    "certify.grid.monotone_cells": {"kind": "published", "within": None, "limit": 300},
    "certify.jets.Jet": {"f_h": 0, "f_hh": 0, "f_p": None, "inside": None},
    "certify.optimize.supremum": {"tolerance": 1e-6, "bits": 128, "limit": 100_000, "reach": 60.0},
    "claims.evidence.certified": {"below": None, "above": None, "digits": 6},
    "claims.evidence.certified_box": {
        "kind": "published", "below": None, "above": None, "tolerance": None, "within": None,
        "digits": 4,
    },
    "claims.evidence.property_test": {"examples": 200},
    "claims.evidence.simulated": {"sigmas": 5.0, "of": "sampled Bradley-Terry labels"},
}  # fmt: skip


@pytest.mark.parametrize("name", DEFAULTS)
def test_the_defaults_are_those_of_the_documentation(name):
    module, _, function = name.rpartition(".")
    parameters = inspect.signature(defined_in(module)[function]).parameters.values()
    found = {p.name: p.default for p in parameters if p.default is not p.empty}
    assert found == DEFAULTS[name]
