import pytest
from hypothesis import given
from hypothesis import strategies as st

from netdsl.schedule import Lifetime, MemoryPlan, check_plan, plan_memory

lifetimes = st.lists(
    st.builds(
        lambda size, first, length: Lifetime(size, first, first + length),
        st.integers(0, 5000),
        st.integers(0, 30),
        st.integers(0, 10),
    ),
    max_size=40,
)


@given(lifetimes)
def test_no_two_live_buffers_overlap(lives):
    plan = plan_memory(lives)
    check_plan(lives, plan)
    assert plan.size <= sum(-(-life.size // 64) * 64 for life in lives)


def test_memory_of_the_dead_is_used_again():
    lives = [Lifetime(1024, k, k + 1) for k in range(10)]
    assert plan_memory(lives).size == 2048


@given(lifetimes.filter(lambda lives: len(lives) > 1))
def test_the_checker_sees_an_overlap(lives):
    both = [Lifetime(64, 3, 5), Lifetime(128, 5, 9), *lives]
    plan = plan_memory(both)
    broken = MemoryPlan((plan.offsets[1], *plan.offsets[1:]), plan.size)
    with pytest.raises(ValueError, match="share memory"):
        check_plan(both, broken)


def test_the_checker_sees_a_buffer_outside():
    with pytest.raises(ValueError, match="lies at"):
        check_plan([Lifetime(64, 0, 0)], MemoryPlan((64,), 64))


@pytest.mark.parametrize(
    ("a", "b", "meet"),
    [((0, 3), (3, 5), True), ((0, 3), (4, 5), False), ((2, 2), (2, 2), True), ((1, 9), (4, 5), True)],
)
def test_lifetimes_meet_where_they_share_a_step(a, b, meet):
    one, two = Lifetime(8, *a), Lifetime(8, *b)
    assert one.meets(two) == two.meets(one) == meet
