"""Values in the query of a request."""

from __future__ import annotations

import pytest
from aiohttp.test_utils import make_mocked_request

from charhost.web.http.problems import Problem
from charhost.web.http.query import number_in_query


@pytest.mark.parametrize(("query", "number"), [("", None), ("?n=1", 1), ("?n=007", 7), ("?n=999999999", 999_999_999)])
def test_number_is_read(query: str, number: int | None) -> None:
    """A number has up to nine digits, besides zeros in front."""
    assert number_in_query(make_mocked_request("GET", f"/{query}"), "n") == number


@pytest.mark.parametrize("text", ["", "0", "-1", "1.5", "x", "١", "1000000000", "1 "])
def test_other_text_is_refused(text: str) -> None:
    """Text that is no such number is refused with what was found."""
    with pytest.raises(Problem, match="n: expected a number from 1 to 999999999, found"):
        number_in_query(make_mocked_request("GET", "/").clone(rel_url=f"/?n={text}"), "n")


def test_number_is_bounded() -> None:
    """A number over the bound is refused with the bound."""
    request = make_mocked_request("GET", "/?n=101")
    with pytest.raises(Problem, match="n: expected a number from 1 to 100, found '101'"):
        number_in_query(request, "n", 100)
