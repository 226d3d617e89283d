"""The pages on training, optimisers and schedules say what is so."""

import dataclasses
import re
from pathlib import Path

import pytest

from netdsl.train.optimizers import OPTIMIZERS
from netdsl.train.schedules import SCHEDULES
from netdsl.train.settings import TrainSettings

ROOT = Path(__file__).parents[2]
PAGE, OF_OPTIMIZERS, OF_SCHEDULES = (
    (ROOT / "docs" / f"{name}.md").read_text("utf-8") for name in ("training", "optimizers", "schedules")
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
    own = [f.name for f in dataclasses.fields(SCHEDULES[name]) if not f.kw_only]
    assert all(f"`{field}" in row(name, OF_SCHEDULES) for field in own)
    assert all(f"`{f.name}" in OF_SCHEDULES for f in dataclasses.fields(SCHEDULES[name]))


def test_settings():
    for field in dataclasses.fields(TrainSettings):
        assert f"`{field.name.replace('evaluation_', 'eval.')}`" in PAGE
