"""The checker of histories accepts what fits one order, and finds each way in which one does not."""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parent))

from history import Read, Ref, Write  # noqa: E402


def ref(writes: list, made: dict) -> Ref:
    """`made`: generation -> (name of its write, stamp); generation 1 was there."""
    found = Ref("site")
    found.made = {1: ("first", "0"), **made}
    for write in writes:
        found.add(write)
    return found


def faults(writes: list, made: dict, reads: list = ()) -> str:
    found = ref(writes, made)
    found.check_writes()
    found.check_reads(list(reads))
    return "\n".join(found.faults)


A, B = Write("a", 10, 20, 0), Write("b", 15, 30, 0)
BOTH = {2: ("a", "A"), 3: ("b", "B")}


def test_writes_side_by_side_may_come_in_either_order():
    assert not faults([A, B], BOTH)
    assert not faults([A, B], {2: ("b", "B"), 3: ("a", "A")})


def test_a_write_that_had_ended_comes_before_one_that_begins_later():
    late = Write("late", 40, 50, 0)
    assert not faults([A, late], {2: ("a", "A"), 3: ("late", "L")})
    assert "had ended before" in faults([A, late], {2: ("late", "L"), 3: ("a", "A")})


def test_an_acknowledged_write_must_be_there():
    assert "acknowledged" in faults([A, B], {2: ("a", "A")})
    assert not faults([A, B._replace(is_unchanged=True)], {2: ("a", "A")})


def test_a_killed_write_may_be_there_or_not_but_not_once_it_is_dead():
    killed = Write("k", 10, 20, None)
    assert not faults([killed], {2: ("k", "K")})
    assert not faults([killed], {})
    late = Write("late", 40, 50, 0)
    assert "had ended before" in faults([killed, late], {2: ("late", "L"), 3: ("k", "K")})


def test_of_a_refused_write_nothing_remains():
    assert "made none" in faults([Write("c", 10, 20, 12)], {2: ("c", "C")})
    assert "made none" in faults([A._replace(is_unchanged=True)], {2: ("a", "A")})


def test_no_write_makes_two_generations_and_none_is_nobodys():
    assert "made generations" in faults([A], {2: ("a", "A"), 3: ("a", "A")})
    assert "nobody knows" in faults([A], {2: ("a", "A"), 3: ("x", "X")})
    assert "without a hole" in faults([A], {3: ("a", "A")})


def test_of_a_killed_write_and_its_second_try_one_lands():
    killed, again = Write("k", 10, 20, None), Write("again", 30, 40, 0, twin="k")
    assert not faults([killed, again], {2: ("k", "K")})
    assert not faults([killed, again], {2: ("again", "K")})
    assert "acknowledged" in faults([killed, again], {})
    assert "made generations" in faults([killed, again], {2: ("k", "K"), 3: ("again", "K")})


def test_a_read_sees_what_is_there_at_some_moment_of_it():
    assert not faults([A], {2: ("a", "A")}, [Read(1, 12, "0"), Read(11, 13, "A"), Read(25, 26, "A")])
    assert "nobody made it" in faults([A], {2: ("a", "A")}, [Read(11, 13, "X")])
    assert "can be it" in faults([A], {2: ("a", "A")}, [Read(1, 9, "A")])  # before it was begun


def test_a_read_that_begins_after_an_acknowledgement_sees_it():
    assert not faults([A], {2: ("a", "A")}, [Read(19, 25, "0")])
    assert "acknowledged" in faults([A], {2: ("a", "A")}, [Read(21, 25, "0")])


def test_a_read_does_not_go_back_behind_what_another_has_seen():
    reads = [Read(11, 12, "A", "one"), Read(13, 14, "0", "other")]
    assert "seen by one" in faults([A], {2: ("a", "A")}, reads)
    assert not faults([A], {2: ("a", "A")}, [reads[0], Read(11, 14, "0")])


def test_a_stamp_that_comes_back_is_the_generation_that_fits():
    back = Write("back", 40, 50, 0)
    made = {2: ("a", "A"), 3: ("back", "0")}
    assert not faults([A, back], made, [Read(1, 2, "0"), Read(25, 30, "A"), Read(45, 46, "0")])
    assert "can be it" in faults([A, back], made, [Read(25, 30, "0")])
    assert "can be it" in faults([A, back], made, [Read(45, 46, "0"), Read(47, 48, "A")])


def test_a_read_that_was_told_its_generation_is_that_one():
    made = {2: ("a", "A"), 3: ("b", "0")}
    assert not faults([A, B], made, [Read(16, 40, "0", generation=3)])
    assert "can be it" in faults([A, B], made, [Read(35, 40, "0", generation=1)])
