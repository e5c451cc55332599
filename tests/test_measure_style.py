"""The figures of scripts/measure_style, on checkouts of a few lines."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from scripts.style.figures import Figure, main, measure

SCRIPT = Path(__file__).parent.parent / "scripts" / "measure_style"
SMALLEST = {
    "charhost/__init__.py": "def _f() -> None: ...\n",
    "tests/test_house.py": 'ORDER = ("web", "reload")\n',
}

Checkout = Callable[..., dict[str, Figure]]


@pytest.fixture
def measured(tmp_path: Path) -> Checkout:
    """Return a function that writes files and returns the figures of the checkout by their names."""

    def write(**files: str) -> dict[str, Figure]:
        for name, text in (SMALLEST | files).items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return {figure.name: figure for figure in measure(tmp_path)}

    return write


def offenders(figure: Figure) -> list[str]:
    """Return where the offenders of a figure are."""
    return [offender.partition(": ")[0] for offender in figure.offenders]


def test_files_and_lines_are_counted(measured: Checkout) -> None:
    """The lines of charhost/ count for its files, those of scripts/ only for the sum."""
    figures = measured(**{"charhost/web/a.py": "x = 1\n" * 301, "scripts/b.py": "x = 1\n"})
    assert (figures["files"].value, figures["lines"].value) == (2, 302)
    assert figures["lines of charhost/ and scripts/"].value == 303
    assert offenders(figures["longest file"]) == ["charhost/web/a.py:1"]
    assert not figures["longest file"].is_kept


def test_a_script_without_a_suffix_counts(measured: Checkout) -> None:
    """A Python script is known by its first line; a shell script is left out."""
    files = {"scripts/a": "#!/usr/bin/env python3\nx = 1\n", "scripts/b": "#!/bin/sh\n"}
    assert measured(**files)["lines of charhost/ and scripts/"].value == 3


@pytest.mark.parametrize(("count", "kept"), [(9, True), (10, False)])
def test_flat_files_have_a_bound(measured: Checkout, count: int, kept: bool) -> None:
    """Nine files may lie beside the packages."""
    figures = measured(**{f"charhost/m{number}.py": "" for number in range(count - 1)})
    assert (figures["files flat in charhost/"].value, figures["files flat in charhost/"].is_kept) == (count, kept)


def test_a_body_is_measured_without_its_docstring(measured: Checkout) -> None:
    """A docstring is no part of the longest body."""
    code = 'def f() -> None:\n    """One.\n\n    Two.\n    """\n    x = 1\n    y = 2\n'
    assert measured(**{"charhost/a.py": code})["longest body"].value == 2


def test_a_body_over_the_bound_is_an_offender(measured: Checkout) -> None:
    """A body of 41 lines is listed where its function begins."""
    figures = measured(**{"charhost/a.py": "\ndef f():\n" + "    x = 1\n" * 41})
    assert offenders(figures["longest body"]) == ["charhost/a.py:2"]


def test_signatures_and_docstrings_are_shares(measured: Checkout) -> None:
    """Of two functions one has six arguments besides self, a typed return and a docstring."""
    code = 'class _A:\n    def f(self, a, b, c, d, e, f) -> None: ...\ndef g():\n    "Do."\ndef h(): ...\n# why\n'
    figures = measured(**{"charhost/__init__.py": code})
    names = ("functions of more than 5 arguments", "functions with a typed return", "public names with a docstring")
    assert [round(figures[name].value) for name in names] == [33, 33, 50]
    assert figures["comments per 100 lines"].value == pytest.approx(100 / 6)


def test_tests_are_counted(measured: Checkout) -> None:
    """A function counts as a test by its name."""
    figures = measured(
        **{"tests/test_a.py": 'def test_a():\n    "Show it."\n    x = 1\ndef test_b(): ...\ndef c(): ...\n'}
    )
    assert (figures["tests"].value, figures["tests with a docstring"].value) == (2, 50)


def test_an_import_that_runs_up_is_an_offender(measured: Checkout) -> None:
    """A package imports those below it and the files beside the packages, not the other way round."""
    figures = measured(
        **{
            "charhost/web/a.py": "import charhost.reload.b\nimport charhost.text\n",
            "charhost/reload/b.py": "from charhost.web import a\n",
            "charhost/text.py": "import os\nimport charhost.web.a\n",
        }
    )
    assert offenders(figures["imports up"]) == ["charhost/reload/b.py:1", "charhost/text.py:2"]


def test_a_circle_under_type_checking_counts(measured: Checkout) -> None:
    """Imports for type checkers are imports."""
    guarded = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from charhost.web.a import A\n"
    figures = measured(**{"charhost/web/a.py": "import charhost.web.b\n", "charhost/web/b.py": guarded})
    assert offenders(figures["imports in a circle"]) == ["charhost/web/a.py:1", "charhost/web/b.py:3"]


def test_packages_that_import_each_other_have_an_import_up(measured: Checkout) -> None:
    """One of two packages that import each other lies below, so a circle of packages needs no figure of its own."""
    figures = measured(
        **{
            "charhost/web/a.py": "import charhost.reload.b\n",
            "charhost/web/c.py": "",
            "charhost/reload/b.py": "import charhost.web.c\n",
        }
    )
    assert offenders(figures["imports up"]) == ["charhost/reload/b.py:1"]


@pytest.mark.parametrize(
    ("name", "prose", "count"),
    [
        ("whoever, whom, nobody, somebody, anybody", "Nobody knows whom.", 2),
        ("Answer(s) for return(s)", "Answer whether it is. Answers none; answers it. The answer counts not.", 3),
        ("say, says, said, tell, tells, told", "What says Tell was told.", 3),
        ("what", "What is whatever and what?", 2),
        ("return, returns", "Return what returns.", 2),
    ],
)
def test_words_are_counted_per_thousand(measured: Checkout, name: str, prose: str, count: int) -> None:
    """Docstrings and comments are prose; names and strings are not."""
    figures = measured(**{"charhost/a.py": f'"""{prose}"""\nwhat = "nobody told"  # {prose}\n'})
    total = figures["words of docstrings and comments"].value
    assert figures[name].value == pytest.approx(1000 * 2 * count / total)


def test_words_are_found_on_their_own_line(measured: Checkout) -> None:
    """The line of a word is that of the file, also deep in a docstring."""
    figures = measured(**{"scripts/a.py": 'x = 1\n\n\ndef f():\n    """Do it.\n\n    Nobody does.\n    """\n'})
    found = figures["whoever, whom, nobody, somebody, anybody"].offenders
    assert found == ["scripts/a.py:7: Nobody does."]


def test_check_fails_and_names_the_offenders(
    measured: Checkout, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`--check` ends with status 1 for a missed bound, and with 0 when all are kept."""
    measured()
    assert main([str(tmp_path), "--check"]) == 0
    measured(
        **{"charhost/a.py": "# nobody\n", "charhost/reload/b.py": "import charhost.web.c\n", "charhost/web/c.py": ""}
    )
    assert main([str(tmp_path)]) == 0
    capsys.readouterr()
    assert main([str(tmp_path), "--check"]) == 1
    printed = capsys.readouterr().out
    assert "charhost/reload/b.py:1: imports charhost.web.c" in printed
    assert "charhost/a.py:1: nobody" in printed


def test_it_runs_without_any_dependency(measured: Checkout, tmp_path: Path) -> None:
    """The launcher needs nothing but Python."""
    measured()
    command = [sys.executable, "-I", "-S", str(SCRIPT), str(tmp_path)]
    result = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert "files flat in charhost/" in result.stdout
