from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from zlib import crc32

import pytest
from hypothesis import settings

# A machine that is busy with other work fails no test.
settings.register_profile("unhurried", deadline=None)
settings.load_profile("unhurried")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-golden", action="store_true", help="write golden files instead of comparing")
    parser.addoption(
        "--emulated-part",
        metavar="K/N",
        default="1/1",
        help="run the K-th of N parts of the tests marked emulated",
    )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out other parts; a test is always in the same one, by the hash of its name."""
    part, parts = map(int, config.getoption("--emulated-part").split("/"))
    out = [
        item
        for item in items
        if item.get_closest_marker("emulated") and crc32(item.nodeid.encode()) % parts != part - 1
    ]
    config.hook.pytest_deselected(items=out)
    left_out = set(out)
    items[:] = [item for item in items if item not in left_out]


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Callable[[Path, str], None]:
    """`golden(path, text)`: the file must hold the text; with `--update-golden` it will."""

    def compare(path: Path, text: str) -> None:
        if request.config.getoption("--update-golden"):
            path.write_text(text, encoding="utf-8")
            return
        assert path.exists(), (
            f"{path.name} is missing; run pytest with --update-golden and read what it wrote"
        )
        assert text == path.read_text(encoding="utf-8"), f"{path.name} differs; see --update-golden"

    return compare
