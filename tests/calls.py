"""Commands called in this process, as a person types them."""

import pytest

from netdsl.cli.main import main


def call(capsys, *words):
    """The exit status of `netdsl WORDS`, and what it prints and tells, without what was printed before."""
    capsys.readouterr()
    with pytest.raises(SystemExit) as ended:
        main([str(word) for word in words])
    out, err = capsys.readouterr()
    return ended.value.code or 0, out, err
