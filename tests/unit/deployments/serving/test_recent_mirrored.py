from deployments.serving.recent_mirrored import RecentAnswers


def filled(answers: int, capacity: int) -> RecentAnswers:
    recent = RecentAnswers(capacity)
    for number in range(1, answers + 1):
        recent.keep(f"id-{number}", mirrored=False, predicted=(float(number),))
    return recent


def numbers(recent: RecentAnswers, after: int, limit: int = 100) -> list[int]:
    return [answer.number for answer in recent.after(after, limit)[0]]


def test_answers_are_read_once_by_whoever_goes_on_from_the_last_number() -> None:
    recent = filled(10, capacity=100)
    assert numbers(recent, after=0, limit=4) == [1, 2, 3, 4]
    assert numbers(recent, after=4, limit=4) == [5, 6, 7, 8]
    assert numbers(recent, after=8) == [9, 10]
    assert numbers(recent, after=10) == []
    assert numbers(recent, after=99) == []


def test_the_oldest_answers_make_room_and_the_reader_learns_how_many_it_missed() -> None:
    recent = filled(10, capacity=3)
    answers, dropped = recent.after(2, 100)
    assert [answer.number for answer in answers] == [8, 9, 10]
    assert dropped == 5
    assert recent.after(7, 100)[1] == 0


def test_memory_is_bounded_and_so_is_one_look() -> None:
    recent = filled(50_000, capacity=20_000)
    seen, after = 0, 0
    while answers := recent.after(after, 10**9)[0]:
        assert len(answers) <= 2_000
        seen, after = seen + len(answers), answers[-1].number
    assert (seen, after, recent.last) == (20_000, 50_000, 50_000)


def test_limit_nothing_gives_nothing() -> None:
    assert RecentAnswers().after(0, 0) == ((), 0)
    assert numbers(filled(3, 3), after=0, limit=0) == []
