"""Results as a table: HTML in a notebook, aligned text elsewhere."""

import re
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ffutils.tables import Table


def test_text_is_aligned_names_to_the_left_and_numbers_to_the_right():
    table = Table(["layer", "error"], [["1", "3.5 %"], ["sum", "12.25 %"]], "10 images")
    assert repr(table).splitlines() == [
        "layer    error",
        "1        3.5 %",
        "sum    12.25 %",
        "10 images",
    ]
    assert str(table) == repr(table)


def test_html_has_every_cell_once():
    table = Table(["layer", "error"], [["1", "3.5 %"], ["sum", "12.25 %"]], "10 images")
    root = ElementTree.fromstring(table._repr_html_())
    assert root.tag == "table"
    assert [cell.text for cell in root.iter("caption")] == ["10 images"]
    head, body = root.find("thead"), root.find("tbody")
    assert [cell.text for cell in head.iter("th")] == ["layer", "error"]
    rows = [[cell.text for cell in row] for row in body.iter("tr")]
    assert rows == [["1", "3.5 %"], ["sum", "12.25 %"]]


def test_no_caption_leaves_no_trace():
    table = Table(["a", "b"], [["1", "2"]])
    assert "caption" not in table._repr_html_()
    assert repr(table) == "a  b\n1  2"


TEXT = st.text(st.characters(categories=["L", "N", "P", "S", "Zs"]))


@given(rows=st.lists(st.lists(TEXT, min_size=3, max_size=3), max_size=4))
def test_any_text_comes_back_from_the_html(rows):
    """Signs such as < and & are no HTML."""
    table = Table(["a", "<b>", "&"], rows)
    root = ElementTree.fromstring(table._repr_html_())
    cells = [[cell.text or "" for cell in row] for row in root.iter("tr")]
    assert cells == [["a", "<b>", "&"], *rows]


def test_cells_need_not_be_text():
    table = Table(["k", 1], [[None, 2.5]])
    assert table.rows == [["None", "2.5"]]


@pytest.mark.parametrize("row", [[], ["1"], ["1", "2", "3"]])
def test_a_row_of_another_length_is_refused(row):
    with pytest.raises(ValueError, match=re.escape(f"expected 2 columns, got {row}")):
        Table(["a", "b"], [["1", "2"], row])


def test_a_table_of_no_rows():
    table = Table(["a", "b"], [])
    assert repr(table) == "a  b"
    assert "<tbody></tbody>" in table._repr_html_()
