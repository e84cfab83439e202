"""What is gathered of a history: always that of the trials at hand, whatever was asked before."""

from collections.abc import Sequence
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from cimsearch.search import history as module
from cimsearch.search.history import Seen, State, complete_of, hashes_of, visible

STATES: tuple[State, ...] = ("complete", "failed", "running")
HASHES = "abcdefgh"


@st.composite
def trials(draw: st.DrawFn, least: int = 0) -> list[Seen]:
    """Return trials of one of few studies: many begin alike, and some differ late."""
    study, n = draw(st.integers(0, 2)), draw(st.integers(least, 12))
    found = []
    for number in range(n):
        state = draw(st.sampled_from(STATES if number > 3 else STATES[:2]))
        value = float(study if number > 1 else 0)
        found.append(
            Seen(
                number=number,
                genes=(value,),
                candidate_hash=HASHES[draw(st.integers(0, 7))] if number > 3 else HASHES[number],
                trained=draw(st.booleans()) if number > 1 else True,
                state=state,
                values=(value,) if state == "complete" else None,
                constraints=(),
                attrs={},
            )
        )
    return found


def seen_at_once(known: Sequence[Seen], lag: int) -> tuple[Seen, ...] | None:
    """Return what ``visible`` is to return, by its definition."""
    trained = [place for place, trial in enumerate(known) if trial.trained]
    hidden = set(trained[max(0, len(trained) - lag) :])
    if any(known[i].state == "running" for i in trained if i not in hidden):
        return None
    return tuple(
        replace(t, state="running", values=None, constraints=()) if i in hidden else t
        for i, t in enumerate(known)
    )


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(trials(), st.integers(0, 5), st.booleans()), min_size=1, max_size=6))
def test_what_was_asked_before_changes_no_answer(
    asked: list[tuple[list[Seen], int, bool]],
) -> None:
    for known, lag, as_tuple in asked:
        for n in (len(known), len(known) // 2, len(known)):
            history = tuple(known[:n]) if as_tuple else known[:n]
            assert visible(history, lag) == seen_at_once(history, lag)
            for _ in range(2):  # The second time it is the same object.
                assert complete_of(history) == [t for t in history if t.state == "complete"]
                hashes = hashes_of(history)
                wanted = {t.candidate_hash for t in history}
                assert {name for name in HASHES if name in hashes} == wanted


@settings(max_examples=50, deadline=None)
@given(trials(6), st.integers(1, 5))
def test_hashes_stay_those_of_their_history_while_it_grows(known: list[Seen], n: int) -> None:
    before = hashes_of(known[:n])
    hashes_of(known)
    assert {h for h in HASHES if h in before} == {t.candidate_hash for t in known[:n]}


def test_of_no_history_nothing_is_known() -> None:
    full = Seen(0, (0.0,), "a", True, "complete", (1.0,), (), {})
    running = replace(full, state="running", values=None)
    for _ in range(2):
        assert complete_of([full]) == [full]
        assert complete_of(()) == complete_of([running]) == []
        assert "a" not in hashes_of(())
        assert "a" in hashes_of((running,))


def test_a_result_that_changes_is_looked_at_again() -> None:
    history = [Seen(n, (0.0,), str(n), True, "complete", (1.0,), (), {}) for n in range(9)]
    complete_of(history)
    history[4] = replace(history[4], state="failed", values=None)
    assert complete_of(history) == [*history[:4], *history[5:]]
    history[4] = replace(history[4], values=(2.0,), state="complete")
    assert complete_of(history)[4].values == (2.0,)


def test_a_study_that_grows_is_one_that_is_remembered() -> None:
    trial = Seen(0, (-7.0,), "only", True, "complete", (1.0,), (), {})
    history: list[Seen] = []
    for n in range(300):
        history.append(replace(trial, number=n))
        known = visible(history, 8)
        assert known is not None
        complete_of(known)
        hashes_of(known)
    mine = [past for past in module._pasts if past.trials[0].genes == (-7.0,)]
    assert [len(past.trials) for past in mine] == [292]
    for n in range(100):
        complete_of([replace(trial, genes=(float(-n),))])
    assert len(module._pasts) == module._REMEMBERED
