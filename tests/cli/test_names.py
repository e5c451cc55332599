"""Names of characters, as file names and as a user types them."""

from __future__ import annotations

import pytest

from charhost.cli.names import stem_of, unknown_name


@pytest.mark.parametrize(
    ("name", "stem"),
    [
        ("Ada", "ada"),
        ("Professor Quill", "professor_quill"),
        ("Zoë O'Hara", "zoe_o_hara"),
        ("Ærø", "ærø"),
        ("北京", "北京"),
        ("../../etc/passwd", "etc_passwd"),
        ("__init__", "init"),
        ("!?", "character"),
        ("x" * 200, "x" * 60),
        ("北" * 200, "北" * 20),
    ],
)
def test_file_is_named_after_the_character(name: str, stem: str) -> None:
    """The file name is in lower case, in ASCII where possible, and never a path or a helper's name."""
    assert stem_of(name) == stem


@pytest.mark.parametrize(
    ("name", "known", "text"),
    [
        ("Zoe", ["Ada", "Zoë O'Hara"], "there is no Zoe in x; did you mean Zoë O'Hara?"),
        ("Xylophon", ["Bob", "Ada"], "there is no Xylophon in x; there are Ada, Bob"),
        ("Ada", [], "there is no character in x"),
    ],
)
def test_unknown_name_lists_similar_names(name: str, known: list[str], text: str) -> None:
    """The error of an unknown name lists similar names, else all of them."""
    assert unknown_name(name, known, "in x") == text
