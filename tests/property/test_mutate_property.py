"""Whatever lines changed in whatever file of this project: faults compile and are alike again."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

import testopt
from testopt.backfill.mutate import choose_faults, find_faults, parse_source, same_code

FILES = sorted(
    path
    for path in Path(testopt.__file__).parent.rglob("*.py")
    if 500 < path.stat().st_size < 9_000
)


@settings(max_examples=30, deadline=None)
@given(st.data())
def test_faults_compile_and_differ(data: st.DataObject) -> None:
    source = data.draw(st.sampled_from(FILES)).read_bytes()
    lines = data.draw(st.sets(st.integers(1, source.count(b"\n")), min_size=1, max_size=5))
    seed = data.draw(st.text(max_size=3))
    found = find_faults("a.py", source, lines)
    chosen = choose_faults(found, 3, seed=seed, sources={"a.py": source})
    again = choose_faults(reversed(found), 3, seed=seed, sources={"a.py": source})
    assert chosen == again
    assert len(chosen) == len(set(chosen))
    for fault in chosen:
        faulty = fault.apply(source)
        assert parse_source(faulty) is not None
        assert not same_code(source, faulty)
