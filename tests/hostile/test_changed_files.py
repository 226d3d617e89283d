"""A share of the changed files of `changed_files.py`: each reads as the same thing or ends in a diagnostic."""

import time

from tests.hostile.changed_files import SECONDS, corpus, read_changed


def test_changed_files_end_in_a_diagnostic(tmp_path):
    files, found = corpus(), set()
    for number in range(1500):
        start = time.process_time()
        how, what = read_changed(files, number, tmp_path / "m.safetensors")
        assert time.process_time() - start < SECONDS, number
        found.add(what)
        assert how not in ("flip", "cut") or what != "another network", number
    assert found == {"same", "another network", "refused: artifact", "refused: checkpoint", "refused: graph"}
