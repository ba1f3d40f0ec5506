"""What the benchmarks say of a function that runs in a process of its own."""

from __future__ import annotations

import os
import sys
import time

import pytest

from benchmarks.measure import measure, number, seeds, stopwatch

pytestmark = pytest.mark.slow


def half_a_second_of_work(mib: int) -> tuple[int, bool]:
    held = bytearray(mib << 20)
    end = time.process_time() + 0.5
    while time.process_time() < end:
        held[0] += 0
    return os.getpid(), "wave" in sys.modules


def broken() -> None:
    raise ValueError("no good")


def dying() -> None:
    os._exit(3)


def sleeping() -> None:
    time.sleep(60)


def test_numbers_and_seeds_are_read_as_people_type_them() -> None:
    assert [number(text) for text in ("50k", "0.5M", "7043")] == [50_000, 500_000, 7043]
    assert [*seeds("3-5"), *seeds("9")] == [3, 4, 5, 9]


def test_a_stopwatch_counts_work_and_waiting_apart() -> None:
    with stopwatch() as spent:
        time.sleep(0.2)
    assert spent.seconds >= 0.2
    assert spent.cpu_seconds < 0.1


def test_time_memory_and_result_are_those_of_the_call() -> None:
    ballast = bytearray(300 << 20)  # the parent's memory is not the child's
    measured = measure(half_a_second_of_work, 100, imports=("wave",))
    process, imported = measured.value
    assert process != os.getpid()
    assert imported
    assert 0.5 <= measured.cpu_seconds < 2.0  # the imports and the interpreter are not the call's
    assert measured.seconds >= 0.45
    assert 100 < measured.peak_rss_mib < len(ballast) >> 20


@pytest.mark.parametrize(
    ("function", "match"), [(broken, "no good"), (dying, "its process died"), (sleeping, "no result within 1 s")]
)
def test_a_call_that_does_not_return_says_why(function: object, match: str) -> None:
    with pytest.raises(RuntimeError, match=match):
        measure(function, timeout=1 if function is sleeping else 60)  # type: ignore[arg-type]
