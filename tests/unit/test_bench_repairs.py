"""What the bench of repairs counts."""

import argparse

from cli import bench_repairs


def test_machines_that_were_repaired_are_confirmed_and_those_that_were_not_are_opened_again() -> None:
    found = bench_repairs.figures(argparse.Namespace(machines=2))

    assert found["repaired_1_times_confirmed"] == 6
    assert [found[f"all_of_{fault}_reopened"] for fault in ("2.5", "4", "8")] == [2, 2, 2]
    assert not any(name.endswith("waits") for name in found)
