"""Rules of the templates that no formatter keeps."""

from __future__ import annotations

from pathlib import Path

import bootstrap


def test_a_line_over_the_width_is_found_with_its_place(tmp_path: Path):
    folder = tmp_path / "templates"
    folder.mkdir()
    (folder / "page.html").write_text("<p>\n" + "x" * (bootstrap.TEMPLATE_WIDTH + 1) + "\n</p>\n")
    assert bootstrap.find_long_lines(folder) == ["templates/page.html:2: 121 characters"]


def test_no_template_has_a_line_over_the_width():
    assert bootstrap.find_long_lines(bootstrap.PROJECT / "templates") == []
