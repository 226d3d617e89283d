"""docs/training.md and docs/optimizers.md say what is so."""

import dataclasses
import re
from pathlib import Path

import pytest

from netdsl.train.optimizers import OPTIMIZERS
from netdsl.train.schedules import SCHEDULES
from netdsl.train.settings import TrainSettings

ROOT = Path(__file__).parents[2]
PAGE, OF_OPTIMIZERS = (
    (ROOT / "docs" / f"{name}.md").read_text("utf-8") for name in ("training", "optimizers")
)


def row(name, page=PAGE):
    """The cells of the table row that starts with a name."""
    (line,) = re.findall(rf"^\| `{name}` \|(.*)\|$", page, re.M)
    return line


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_optimisers_and_their_defaults(name):
    text = row(name, OF_OPTIMIZERS) + (row("adam", OF_OPTIMIZERS) if name == "adamw" else "")
    for field in dataclasses.fields(OPTIMIZERS[name]):
        default = (
            str(field.default).lower().replace("1e-0", "1e-").removesuffix(".0").replace("1e-4", "0.0001")
        )
        assert f"`{field.name} = {default}`" in text


@pytest.mark.parametrize("name", SCHEDULES)
def test_schedules_and_their_settings(name):
    assert all(f"`{field.name}" in row(name) for field in dataclasses.fields(SCHEDULES[name]))


def test_settings():
    for field in dataclasses.fields(TrainSettings):
        assert f"`{field.name.replace('evaluation_', 'eval.')}`" in PAGE
