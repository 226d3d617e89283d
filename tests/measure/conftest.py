from tests.terminal.conftest import folder

__all__ = ["folder"]
