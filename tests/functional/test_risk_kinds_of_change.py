"""Twenty kinds of changes of one project, and which are riskier than which."""

import itertools
import random
import subprocess
from datetime import UTC, datetime, timedelta

import pytest
from builders import append_rows, label_row, new_store

from testopt.git.change import find_change
from testopt.mine import mine
from testopt.risk.change_risk import change_risk
from testopt.risk.explanations import explain

pytestmark = pytest.mark.integration

START = 1_704_110_400
DAY = 86_400


def module(seed, functions=12):
    """A C file of some functions with conditions, loops, checks and error paths."""
    rng = random.Random(seed)
    parts = [f"/* Module {seed}. */\n#include <stdio.h>\n"]
    for i in range(functions):
        limit = rng.randrange(3, 90)
        parts.append(
            f"int step_{seed}_{i}(struct state *s, int n) {{\n"
            f"    if (s == NULL) {{\n        return -1;\n    }}\n"
            f"    for (int k = 0; k < n; k++) {{\n        s->total_{i} += k * {limit};\n    }}\n"
            f"    if (s->total_{i} > {limit}) {{\n"
            f'        log_it("too many steps");\n        return -2;\n    }}\n'
            f"    return s->total_{i};\n}}\n"
        )
    return "\n".join(parts)


CORE, QUIET = "core/engine.c", "net/quiet.c"
TEST, LOCK = "tests/test_engine.c", "package-lock.json"
FILES = {
    CORE: module(1),
    QUIET: module(2),
    TEST: module(3),
    LOCK: '{"version": "1.0.0"}\n',
    "docs/guide.md": "A guide.\n" * 40,
    "vendor/zlib.c": module(4),
    "app.toml": 'version = "1.2.3"\n',
    "requirements.txt": "left-pad==1.0.0\n",
    **{f"net/m{i}.c": module(i) for i in range(10, 16)},
}


def swap(path, old, new, files=FILES):
    """Return an edit that replaces the first `old` in a file."""
    assert old in files[path]
    return {path: files[path].replace(old, new, 1)}


def cut(path, start, stop):
    lines = FILES[path].splitlines(keepends=True)
    return {path: "".join(lines[:start] + lines[stop:])}


LIMIT = FILES[QUIET].split("total_0 > ")[1].split(")")[0]
# From harmless to risky; all changes of one row are less risky than all of the next.
ROWS = [
    {
        "re-indented": {CORE: FILES[CORE].replace("    ", "\t")},
        "a comment": swap(CORE, "Module 1.", "The engine, which runs the steps."),
        "licence headers": {
            path: "/* Licence: see the file COPYING. */\n" + FILES[path]
            for path in (CORE, QUIET, *(f"net/m{i}.c" for i in range(10, 16)))
        },
        "blank lines": {CORE: FILES[CORE].replace("\n}\n", "\n}\n\n\n")},
        "a generated file": {"net/wire.pb.c": module(6, 60)},
    },
    {
        "renamed": {QUIET: None, "net/calm.c": FILES[QUIET]},
        "a guide": {"docs/guide.md": "Another guide.\n" * 200},
        "a vendored drop": {"vendor/zlib.c": module(5, 80)},
        "a lock file": {LOCK: '{"version": "1.0.1"}\n' * 900},
        "a dependency": {"requirements.txt": "left-pad==1.0.1\n"},
    },
    {
        "a version": {"app.toml": 'version = "1.2.4"\n'},
        "words of a log": swap(QUIET, "too many steps", "no more steps"),
        "a constant": swap(QUIET, f"k * {LIMIT}", f"k * {LIMIT}1"),
        "a test": swap(TEST, "int step_3_0", "int more(void) { return 3; }\nint step_3_0"),
    },
    {
        "a turned condition": swap(QUIET, "total_0 > ", "total_0 <= "),
        "a turned check": swap(QUIET, "s == NULL", "s != NULL"),
    },
    {
        "a turned condition in the most fixed file": swap(CORE, "total_0 > ", "total_0 <= "),
    },
    {
        "a module": {"net/new.c": module(7, 6)},
        "a rewritten module": {QUIET: module(8)},
        "the most fixed file rewritten": {CORE: module(9)},
    },
]  # fmt: skip


def history(rng):
    """Yield (edits, is a fix, whether a defect came in); most fixes are of one file."""
    files = dict(FILES)
    for i in range(220):
        is_fix = i % 4 == 3
        path = CORE if rng.random() < (0.6 if is_fix else 0.2) else rng.choice(sorted(FILES))
        n = 1 + int(rng.expovariate(1 / 12))
        if path.endswith(".c"):
            at = files[path].rindex("    return s->total_")
            new = "".join(f"    s->extra_{i}_{k} = n + {k};\n" for k in range(n))
            files[path] = files[path][:at] + new + files[path][at:]
        else:
            files[path] += f"line {i}\n" * n
        guilty = path.endswith(".c") and rng.random() < min(0.9, n / 40) * (
            2 if path == CORE else 1
        )
        yield {path: files[path]}, is_fix, guilty


def commit(branch, subject, time, edits, origin=None):
    head = f"commit refs/heads/{branch}\ncommitter A <a@example.org> {time} +0000\n"
    body = head + f"data {len(subject)}\n{subject}\n" + (f"from {origin}\n" if origin else "")
    for path, text in edits.items():
        body += (
            f"D {path}\n" if text is None else f"M 644 inline {path}\ndata {len(text)}\n{text}\n"
        )
    return body


@pytest.fixture(scope="module")
def risks(tmp_path_factory):
    """The risk of each change by its name."""
    repo = tmp_path_factory.mktemp("kinds") / "repo"
    git = ["git", "-C", str(repo)]
    subprocess.run(["git", "init", "-q", "-b", "main", str(repo)], check=True)
    stream, guilty = [commit("main", "first", START, FILES)], []
    for i, (edits, is_fix, brings_defect) in enumerate(history(random.Random(1)), 1):
        stream.append(commit("main", "Fix a crash" if is_fix else "Go on", START + i * DAY, edits))
        guilty += [i] if brings_defect else []
    end = START + 260 * DAY
    kinds = [name for row in ROWS for name in row]
    stream += [commit("base", "base", end, FILES, "refs/heads/main")]
    stream += [
        commit(f"k{kinds.index(name)}", name, end + 60, edits, "refs/heads/base")
        for row in ROWS
        for name, edits in row.items()
    ]
    text = "".join(stream).encode()
    subprocess.run([*git, "fast-import", "--quiet"], input=text, check=True)
    subprocess.run([*git, "symbolic-ref", "HEAD", "refs/heads/base"], check=True)
    shas = subprocess.run(
        [*git, "rev-list", "--reverse", "main"], capture_output=True, text=True, check=True
    ).stdout.split()
    store = new_store(tmp_path_factory.mktemp("kinds"))
    mine(repo=repo, store=store)
    found = [
        label_row(f"{i:040x}", shas[i], datetime.fromtimestamp(START + i * DAY, UTC) + timedelta(3))
        for i in guilty
    ]
    append_rows(store, "labels", found)
    changes = {}
    for i, name in enumerate(kinds):
        change = find_change(repo, head=f"k{i}")
        changes[change.head] = (name, change)
    report = change_risk(store=store, repo=repo, changes={s: c for s, (_, c) in changes.items()})
    return {changes[risk.name][0]: risk for risk in report.risks}


def test_kinds_of_changes_are_in_their_right_order(risks):
    assert len(risks) == 20
    p = {name: risk.probability for name, risk in risks.items()}
    for less, more in itertools.pairwise(ROWS):
        highest, lowest = max(less, key=p.__getitem__), min(more, key=p.__getitem__)
        assert p[highest] < p[lowest], f"{highest} is not below {lowest}: {p}"


def test_raised_versions_are_told_as_what_they_are(risks):
    told = {
        name: [reason.text for reason in explain(risk.parts) if reason.subject == "versions"]
        for name, risk in risks.items()
    }
    raised = {name for name, texts in told.items() if texts}
    assert raised == {"a version", "a dependency", "a lock file"}
    assert told["a version"] == ["nothing but version numbers changes"]
    assert "versions of dependencies" in told["a dependency"][0]
