"""A build that imports by a computed name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from charhost.loading.module_space import ModuleSpace
from tests.loading.helpers import space_of
from tests.reload.helpers import Write


@pytest.fixture
def imports_by_name(directory: Path, write: Write) -> Callable[[str], ModuleSpace]:
    """Publish a build whose ada.py imports a helper by a computed name, with that text as its Y."""

    def build(text: str) -> ModuleSpace:
        write("resources/x.py", f"Y = {text!r}")
        write(
            "ada.py", "import importlib\ndef value():\n    return importlib.import_module('characters.resources.x').Y"
        )
        space = space_of(directory)
        space.publish()
        return space

    return build
