import shutil

import pytest

from .room import ROOT

BROKEN = """net Small {
  input image: [28, 28, 3]
  output logits = image -> Inception(16, 32) -> flatten -> dense(10)
}

block Inception(c1, c3) {
  in -> concat {
    | conv(c1, 1) -> relu
    | max_pool(3, stride = 2) -> conv(c3, 1)
  }
}
"""


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    """A folder with the examples and a broken network, in which commands may write."""
    made = tmp_path_factory.mktemp("terminal")
    shutil.copytree(ROOT / "examples", made / "examples")
    (made / "broken.net").write_text(BROKEN)
    (made / "ugly.net").write_text("net N{input x:[4]\noutput y=x->dense(3)}\n")
    return made
