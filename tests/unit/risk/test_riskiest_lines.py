"""Which added lines of a change are looked at first."""

import json
from pathlib import Path

from testopt.risk import riskiest_lines as module
from testopt.risk.line_features import FEATURES, MAX_LINES, ChangedText, Hunk, added_lines
from testopt.risk.riskiest_lines import riskiest_lines

EXAM = {
    "jinja", "click", "werkzeug", "marshmallow", "iproute2", "libbpf", "nvme-cli", "linux", "pflag",
    "hashie", "ufo", "cJSON", "retrofit", "deeplearning4j", "druid",
}  # fmt: skip
TEXT = """/* reads
 * a length */
#include <stdio.h>

int read_length(struct reader *r, size_t max)
{
        size_t n = r->buffer[r->at] - r->start + 1;

        if (n >= max && !r->is_open)
                return -1;
        /* all is well */
        return 0;
}
"""


def changed(text=TEXT, path="src/a.c", first=1, old=()):
    new = tuple(text.splitlines())
    return ChangedText(path, text, not old, (Hunk(first, tuple(old), new),))


def test_lines_that_compute_come_before_what_does_nothing():
    found = [(x.line.number, x.line.function) for x in riskiest_lines([changed()])]
    numbers = [number for number, _ in found]
    assert set(numbers[:3]) >= {7, 9}
    assert numbers.index(7) < numbers.index(12)
    assert numbers.index(9) < numbers.index(3)
    assert not {1, 2, 4, 6, 8, 11, 13} & set(numbers)  # comments, brackets, blank lines
    assert dict(found)[9] == "read_length"


def test_scores_compare_the_lines_of_one_change():
    files = [changed(), changed("x = 1\n" * 4, "docs/a.txt"), ChangedText("b.bin", "", True, ())]
    lines = added_lines(files)
    assert len(lines) == TEXT.count("\n") + 4
    assert all(len(line.features) == len(FEATURES) for line in lines)
    assert riskiest_lines([]) == []
    assert [x.line.path for x in riskiest_lines(files)] == ["src/a.c"] * 6
    assert riskiest_lines(files) == riskiest_lines(files)


def test_a_line_like_a_deleted_one_is_told_from_a_new_one():
    at = FEATURES.index("like deleted")
    line = "int total = first + second;\n"
    (edited,) = added_lines([changed(line, old=("int total = first - second;",))])
    (new,) = added_lines([changed(line, old=("return;",))])
    assert edited.features[at] == 1.0
    assert new.features[at] == 0.0


def test_hostile_text_is_bounded():
    vast = changed("a" * 1_000_000 + "(" * 10_000 + "\n" + "x = '\\\n" * (MAX_LINES + 10))
    assert len(added_lines([vast])) == MAX_LINES


def test_no_project_of_the_exam_taught_the_weights():
    document = json.loads(Path(module.__file__).with_name(module.WEIGHTS).read_text("utf-8"))
    assert set(document["weights"]) == set(FEATURES)
    assert len(document["taught_by"]) >= 5
    assert not EXAM & {name.partition("/")[2] for name in document["taught_by"]}
