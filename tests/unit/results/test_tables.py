from datetime import UTC, datetime, timedelta, timezone

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from testopt.errors import InputFileError
from testopt.results.tables import read_changes, read_result_blocks, read_results

HEAD = "run_id,time,case_id,outcome,duration_s"


def csv(tmp_path, *lines, head=HEAD):
    path = tmp_path / "t.csv"
    path.write_text("\n".join([head, *lines, ""]), encoding="utf-8")
    return path


def test_csv_keeps_text_byte_for_byte(tmp_path):
    table = read_results(
        csv(
            tmp_path,
            '007,2026-01-02 03:04:05,"a ""b"", c\nd",passed,1e-1',
            "NULL,2026-01-02T03:04:05+02:00,NaN,failed,",
        )
    )
    rows = table.rows.to_pylist()
    assert [(r["run_id"], r["case_id"]) for r in rows] == [("007", 'a "b", c\nd'), ("NULL", "NaN")]
    assert rows[0]["time"] == datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    assert rows[1]["time"] == datetime(2026, 1, 2, 1, 4, 5, tzinfo=UTC)
    assert [r["duration_s"] for r in rows] == [pytest.approx(0.1), None]
    assert (table.bad_rows, rows[0]["commit"]) == (0, None)


def test_bad_rows_are_left_out_one_by_one(tmp_path):
    good = "r,2026-01-01,c,passed,1"
    table = read_results(
        csv(
            tmp_path,
            good,
            "r,2026-01-01,c,flaky,1",
            "r,yesterday,c,passed,1",
            ",2026-01-01,c,passed,1",
            "r,2026-01-01,,passed,1",
            "r,2026-01-01,c,passed,soon",
            good,
        )
    )
    assert table.rows.num_rows == 3
    assert table.bad_rows == 4
    assert [bad.row for bad in table.bad] == [2, 3, 4, 5]
    assert "flaky" in table.bad[0].why


def test_parquet_in_other_types(tmp_path):
    path = tmp_path / "t.parquet"
    naive = [datetime(2026, 1, 2, 3), datetime(2026, 1, 2, 3)]  # noqa: DTZ001 - the point here
    pq.write_table(
        pa.table(
            {
                "run_id": pa.array(["r", "r"]).dictionary_encode(),
                "time": pa.array(naive, pa.timestamp("ns")),
                "case_id": pa.array(["c", "d"], pa.large_string()),
                "outcome": ["passed", "skipped"],
                "duration_s": pa.array([1, None], pa.int64()),
                "attempt": pa.array([2, None], pa.int64()),
                "__index_level_0__": [0, 1],
            }
        ),
        path,
    )
    rows = read_results(path).rows.to_pylist()
    assert rows[0]["time"] == datetime(2026, 1, 2, 3, tzinfo=UTC)
    assert [r["duration_s"] for r in rows] == [1.0, None]
    assert [r["attempt"] for r in rows] == [2, None]


def test_parquet_times_with_a_zone(tmp_path):
    path = tmp_path / "t.parquet"
    moment = datetime(2026, 1, 2, 3, tzinfo=timezone(timedelta(hours=2)))
    row = {"run_id": "r", "case_id": "c", "outcome": "passed", "duration_s": 0.0}
    # in numbers: once pandera is imported, pyarrow takes a time of any zone for one of UTC
    times = pa.array([int(moment.timestamp() * 1e6)], pa.timestamp("us", tz="+02:00"))
    pq.write_table(pa.Table.from_pylist([row]).append_column("time", times), path)
    assert read_results(path).rows["time"][0].as_py() == moment


@pytest.mark.parametrize(
    "content", [b"", b"PAR1 but no more", b"run_id,time\n1,2\n", b"a,b\n1\n1,2,3\n"]
)
def test_files_that_are_no_such_table(tmp_path, content):
    path = tmp_path / "t"
    path.write_bytes(content)
    with pytest.raises(InputFileError, match="t "):
        read_results(path)


def test_changes(tmp_path):
    table = read_changes(csv(tmp_path, "r,a.py,3,", "r,b.py,x,1", head="run_id,path,added,deleted"))
    assert table.rows.to_pylist() == [{"run_id": "r", "path": "a.py", "added": 3, "deleted": None}]
    assert table.bad[0].row == 2


def parquet(tmp_path, **columns):
    path = tmp_path / "t.parquet"
    rows = len(next(iter(columns.values())))
    usual = {
        "run_id": ["r"] * rows,
        "time": pa.array([datetime(2026, 1, 2, tzinfo=UTC)] * rows),
        "case_id": [f"c{n}" for n in range(rows)],
        "outcome": ["passed"] * rows,
        "duration_s": [1.0] * rows,
    }
    pq.write_table(pa.table(usual | columns), path)
    return read_results(path)


@pytest.mark.parametrize(
    "durations",
    [
        pa.array([1500, 0, None], pa.time32("ms")),
        pa.array([1_500_000, 0, None], pa.time64("us")),
        pa.array([1_500_000_000, 0, None], pa.duration("ns")),
        pa.array([timedelta(seconds=1.5), timedelta(0), None]),
        pa.array(["0 days 00:00:01.500000", "0:00:00", ""]),
        pa.array(["1,5", "0s", "soon"]),
        pa.array(["1.50", "0.00", None]).cast(pa.decimal128(6, 2)),
    ],
)
def test_durations_of_any_type_are_seconds(tmp_path, durations):
    table = parquet(tmp_path, duration_s=durations)
    assert [r["duration_s"] for r in table.rows.to_pylist()] == [1.5, 0.0, None]
    assert table.bad_rows == 0


@pytest.mark.parametrize(
    "durations",
    [
        pa.array([-1, 2], pa.int64()),
        pa.array([-1.5, 2.0]),
        pa.array([-1500, 2000], pa.duration("ms")),
        pa.array(["-1", "2"]),
        pa.array(["-1 days +23:59:59", "2"]),
    ],
)
def test_a_negative_duration_is_named_and_the_rest_is_kept(tmp_path, durations):
    table = parquet(tmp_path, duration_s=durations)
    assert [r["duration_s"] for r in table.rows.to_pylist()] == [2.0]
    assert [(bad.row, bad.why.split(" (")[0]) for bad in table.bad] == [
        (1, "duration_s is negative")
    ]


@pytest.mark.parametrize(
    "times",
    [
        pa.array([0, 1_767_312_000, 99_999_999_999, None], pa.timestamp("s")),
        pa.array([0, 1_767_312_000, 999_999_999_999_999, None], pa.timestamp("s", tz="UTC")),
        pa.array([0, 1_767_312_000 * 10**9, 9 * 10**18, None], pa.timestamp("ns")),
        pa.array(["1970-01-01", "2026-01-02", "2999-01-01", "soon"]),
        pa.array([0, 1_767_312_000 * 10**9, 9 * 10**18, None], pa.int64()),
        pa.array([0, 1_767_312_000 * 10**6, 32472144000, None], pa.int64()),
        pa.array([0, 20_455, 400_000, None], pa.int32()).cast(pa.date32()),
    ],
)
def test_times_far_from_now_are_named(tmp_path, times):
    table = parquet(tmp_path, time=times)
    assert [r["time"] for r in table.rows.to_pylist()] == [datetime(2026, 1, 2, tzinfo=UTC)]
    assert [bad.why.split(" (")[0] for bad in table.bad] == [
        "time is before the year 2000",
        "time lies in the future",
        "no time",
    ]


def test_a_column_of_another_kind_is_named(tmp_path):
    with pytest.raises(InputFileError, match="duration_s cannot be list"):
        parquet(tmp_path, duration_s=pa.array([[1.0]]))


def test_row_groups_of_any_size_are_read_in_their_order(tmp_path, monkeypatch):
    monkeypatch.setattr("testopt.results.tables._ROWS_OF_BLOCK", 3)
    path, cases = tmp_path / "r.parquet", list("abcdefghij")
    same = {"run_id": "r", "time": "2025-01-01T00:00:00Z", "outcome": "passed", "duration_s": 1.0}
    rows = pa.Table.from_pylist([same | {"case_id": case} for case in cases])
    with pq.ParquetWriter(path, rows.schema) as writer:
        for start, size in ((0, 1), (1, 1), (2, 7), (9, 1)):
            writer.write_table(rows.slice(start, size))
    blocks = [block.rows["case_id"].to_pylist() for block in read_result_blocks(path)]
    assert [case for block in blocks for case in block] == cases
    assert max(map(len, blocks)) <= 3
