"""Affinity without sources: names and changed files."""

from __future__ import annotations

import numpy as np
from builders import make_query

from testopt.schema import FileChange
from testopt.similarity.affinity import NAMES, affinity_matrix

CASES = (
    "org.apache.commons.codec.net.URLCodecTest",
    "org.apache.commons.codec.digest.DigestUtilsTest",
    "org.apache.commons.codec.binary.Base64Test",
)


def read(*files, cases=CASES):
    return affinity_matrix(make_query(cases, *files))


def test_the_case_named_like_the_changed_file_comes_first():
    x = read(FileChange("src/main/java/org/apache/commons/codec/digest/DigestUtils.java"))
    assert x[:, NAMES.index("prior")].argmax() == 1
    assert x[:, NAMES.index("words_share")].argmax() == 1


def test_identifiers_of_the_changed_lines_count():
    x = read(FileChange("src/main/java/Util.java", tokens="decode base64 table"))
    assert x[:, NAMES.index("line_words_share")].argmax() == 2


def test_what_only_git_knows_stays_unknown():
    x = read(FileChange("src/main/java/Util.java"))
    for name in ("edited", "in_change", "import_hops"):
        assert np.isnan(x[:, NAMES.index(name)]).all()


def test_without_changed_files_nothing_is_known():
    assert np.isnan(read()).all()
    assert read(FileChange("a.py"), cases=()).shape == (0, len(NAMES))


def test_opaque_names_are_alike_in_nothing():
    x = read(FileChange("src/a.cc", tokens="foo bar"), cases=("1", "2", "3"))
    assert (x[:, NAMES.index("words_share")] == 0).all()
