"""What real runners ran, beside what was planned: hostile names, new files, nothing, 20,000 cases.

    .venv/bin/python scripts/bench/runners.py [--many] [RUNNER...]

Runs the installed runners (`scripts/install_runners`) on the projects of `tests/real_projects.py`.
``--many`` adds a project of 20,000 cases for those that start fast, of which 100 are planned.
``missed`` must be 0; ``more`` counts the cases that an argument cannot tell from planned ones.
"""

from __future__ import annotations

import argparse
import random
import re
import resource
import sys
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests"))

from real_runners import REAL, RealRunner

from testopt.runners.arguments import arguments_for
from testopt.runners.protocol import Request
from testopt.runners.registry import RUNNERS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

FILES, PER_FILE, PLANNED = 200, 100, 100


@dataclass(frozen=True)
class Many:
    """How a file of many cases looks: its path, what is around the tests, a test, the id of one.

    ``{f}`` stands for the number of the file, ``{n}`` for that of the test.
    """

    path: str
    head: str
    test: str
    foot: str
    case: str

    def files(self) -> dict[str, str]:
        """Return path and text of each file."""
        found = {}
        for f in range(FILES):
            tests = (self._filled(self.test, f, n) for n in range(PER_FILE))
            text = "".join([self._filled(self.head, f), *tests, self.foot])
            found[self._filled(self.path, f)] = text
        return found

    def cases(self) -> list[str]:
        """Return the ids, file by file."""
        return [self._filled(self.case, f, n) for f in range(FILES) for n in range(PER_FILE)]

    @staticmethod
    def _filled(text: str, f: int, n: int = 0) -> str:
        return text.replace("{f}", str(f)).replace("{n}", str(n))


MANY = {
    "rspec": Many(
        "spec/part{f}_spec.rb", 'RSpec.describe "Part {f}" do\n',
        '  it "does a thing of kind {n}" do end\n', "end\n",
        "spec.part{f}_spec::Part {f} does a thing of kind {n}",
    ),
    "phpunit": Many(
        "tests/Part{f}Test.php",
        "<?php\nnamespace App;\nclass Part{f}Test extends \\PHPUnit\\Framework\\TestCase\n{\n",
        "    public function testKind{n}(): void { $this->assertTrue(true); }\n", "}\n",
        "App.Part{f}Test::testKind{n}",
    ),
    "minitest": Many(
        "test/part{f}_test.rb", "class Part{f}Test < Minitest::Test\n",
        "  def test_kind_{n}; end\n", "end\n", "Part{f}Test::test_kind_{n}",
    ),
    "robot": Many(
        "tests/part{f}.robot", "*** Test Cases ***\n",
        "Does A Thing Of Kind {n}\n    No Operation\n", "",
        "Tests.Part{f}::Does A Thing Of Kind {n}",
    ),
    "mocha": Many(
        "src/part{f}.test.js", "describe('part {f}', () => {\n",
        "  it('does a thing of kind {n}', () => {});\n", "});\n",
        "does a thing of kind {n}::part {f} does a thing of kind {n}",
    ),
}  # fmt: skip
OLDER = {"jest", "vitest", "surefire"}
_HOLDS_TESTS = re.compile(r"est\.j|_spec\.rb|Test\.php|_test\.rb|\.robot")
COLUMNS = "{:<18} {:<22} {:>7} {:>7} {:>7} {:>7} {:>6} {:>9} {:>7}"


def many_files(form: str) -> Mapping[str, str]:
    """Return the test files of a project of 20,000 cases."""
    if form in MANY:
        return MANY[form].files()
    if form == "surefire":
        body = "\n".join(f"  @Test void does_a_thing_of_kind_{n}() {{}}" for n in range(PER_FILE))
        head = "package org.m;\n\nimport org.junit.jupiter.api.*;\n\n"
        return {
            f"src/test/java/org/m/Part{n}Test.java": f"{head}class Part{n}Test {{\n{body}\n}}\n"
            for n in range(FILES)
        }
    tests = "\n".join(f"  test('does a thing of kind {n}', () => {{}});" for n in range(PER_FILE))
    return {
        f"src/part{n}.test.js": f"describe('part {n} of a suite', () => {{\n{tests}\n}});\n"
        for n in range(FILES)
    }


def many_ids(real: RealRunner) -> list[str]:
    """Return the ids of the cases of a project of 20,000."""
    if real.form in MANY:
        return MANY[real.form].cases()
    every = [(n // PER_FILE, n % PER_FILE) for n in range(FILES * PER_FILE)]
    if real.form == "surefire":
        return [f"org.m.Part{file}Test::does_a_thing_of_kind_{n}" for file, n in every]
    joint = " > " if real.form == "vitest" else " "
    names = [f"part {file} of a suite{joint}does a thing of kind {n}" for file, n in every]
    if real.title == "jest":
        return [f"{name}::{name}" for name in names]
    return [f"src/part{file}.test.js::{name}" for (file, _), name in zip(every, names, strict=True)]


class Table:
    """Prints a row for each plan that a runner carried out."""

    def __init__(self) -> None:
        names = ("runner", "plan", "planned", "ran", "missed", "more", "exit", "bytes", "CPU s")
        print(COLUMNS.format(*names))

    def row(self, real: RealRunner, root: Path, plan: str, request: Request) -> Sequence[str]:
        """Run what a request asks for, and return the cases that ran."""
        form = RUNNERS[real.form]
        lines = arguments_for(form, request).text.decode("utf-8", "surrogateescape").split("\n")
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        ran = real.run(root, lines[:-1])
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        planned = ran.cases if request.everything else request.cases
        missed, more = set(planned) - set(ran.cases), set(ran.cases) - set(planned)
        size = sum(len(line.encode()) for line in lines)
        print(
            COLUMNS.format(
                real.title, plan, "all" if request.everything else len(planned), len(ran.cases),
                len(missed), len(more), ran.code, size, f"{cpu:.1f}",
            ),
            flush=True,
        )  # fmt: skip
        return ran.cases


def hostile(table: Table, real: RealRunner, root: Path) -> None:
    """Run the plans of a small project with hostile names."""
    real.make(root)
    known = table.row(real, root, "everything", Request(cases=[], everything=True, root=root))
    some = random.Random(7).sample(list(known), len(known) // 2)
    request = Request(cases=some, known=known, root=root)
    table.row(real, root, "half, the rest left out", request)
    table.row(real, root, "half, by name", replace(request, exact=True))
    real.write(root, real.new)
    whole = [RUNNERS[real.form].group_of_file(path, root) for path in real.new]
    table.row(real, root, "half, and a new file", replace(request, whole=[*filter(None, whole)]))
    table.row(real, root, "nothing", replace(request, cases=[]))


def many(table: Table, real: RealRunner, root: Path) -> None:
    """Run plans of a project of 20,000 cases."""
    files = {name: text for name, text in real.files.items() if not _HOLDS_TESTS.search(name)}
    replace(real, files={**files, **many_files(real.form)}).make(root)
    known = many_ids(real)
    request = Request(cases=random.Random(7).sample(known, PLANNED), known=known, root=root)
    table.row(real, root, "20,000: one file", replace(request, cases=known[:PLANNED]))
    table.row(real, root, f"20,000: {PLANNED} spread", request)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--many", action="store_true", help="also projects of 20,000 cases")
    parser.add_argument(
        "runners", nargs="*", help="forms or names, such as jest or 'vitest 5' (default: all)"
    )
    options = parser.parse_args()
    table = Table()
    for real in REAL:
        if options.runners and not {real.form, real.title} & {*options.runners}:
            continue
        if not real.is_there:
            print(f"{real.title}: not installed, see scripts/install_runners")
            continue
        with tempfile.TemporaryDirectory() as folder:
            hostile(table, real, Path(folder) / "hostile")
            if options.many and (real.form in OLDER or real.title in MANY):
                many(table, real, Path(folder) / "many")


if __name__ == "__main__":
    main()
