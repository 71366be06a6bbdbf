import pytest
from hypothesis import given
from hypothesis import strategies as st

from cargo_source.errors import IncompleteRead
from cargo_source.pull.evidence import Evidence
from cargo_source.pull.pages import Page, read_list


def key(row):
    return row["uuid"]


def rows_of(n):
    return [{"uuid": i} for i in range(n)]


def read(fetch, size=100):
    return [row for page in read_list(fetch, size, key, map, what="things") for row in page]


@given(st.integers(0, 350), st.integers(1, 100), st.booleans(), st.lists(st.integers(1, 100), max_size=20))
def test_every_row_comes_once_whatever_size_of_page_the_server_keeps_to(total, cap, counted, sizes):
    """Short pages, capped pages, with and without a count: each row once."""
    rows, caps = rows_of(total), iter(sizes)

    def fetch(offset, limit):
        some = rows[offset : offset + min(limit, next(caps, cap))]
        return Page(some, total if counted else None)

    assert sorted(row["uuid"] for row in read(fetch)) == list(range(total))


def test_a_row_that_slipped_between_pages_is_found_by_the_count():
    """When a row moves to an earlier page while later ones are read, the count tells, and the list is read again."""
    calls = []

    def fetch(offset, limit):
        calls.append(offset)
        rows = rows_of(250)
        if len(calls) == 2:
            # Between the first two pages a row of the first page moved to the end.
            rows = rows[1:] + rows[:1]
        return Page(rows[offset : offset + limit], 250)

    assert len(read(fetch)) == 250


def test_a_count_that_is_never_reached_stops_the_read_with_both_numbers():
    """A server that counts more than it gives is not taken at half its word."""
    with pytest.raises(IncompleteRead, match=r"250.*200") as caught:
        read(lambda offset, limit: Page(rows_of(200)[offset : offset + limit], 250))
    assert (caught.value.expected, caught.value.got) == (250, 200)


def test_an_empty_list_costs_one_request():
    """Nothing there is known from one answer."""
    calls = []

    def fetch(offset, _limit):
        calls.append(offset)
        return Page([], None)

    assert read(fetch) == []
    assert calls == [0]


def test_rows_that_leave_while_others_slip_are_noticed():
    """Five rows leave the list after the first page; five others slip over its edge: a shrunken count tells."""
    calls = []

    def fetch(offset, limit):
        calls.append(offset)
        rows = rows_of(250) if len(calls) == 1 else rows_of(250)[5:]
        return Page(rows[offset : offset + limit], len(rows))

    assert len(read(fetch)) == 250


def test_a_repeated_page_of_an_uncounted_list_is_noticed():
    """A page that comes twice in place of the next one makes another pass."""
    calls = []

    def fetch(offset, limit):
        calls.append(offset)
        start = 0 if len(calls) == 2 else offset
        return Page(rows_of(250)[start : start + limit])

    assert len(read(fetch)) == 250


@given(st.integers(0, 3))
def test_an_empty_page_is_confirmed_where_nothing_else_tells(page):
    """One empty answer in the middle of an uncounted list does not end it."""
    calls = []

    def fetch(offset, limit):
        calls.append(offset)
        return Page([]) if len(calls) == page + 1 else Page(rows_of(250)[offset : offset + limit])

    assert len([row for rows in read_list(fetch, 100, key, map, what="things", confirm=True) for row in rows]) == 250


def test_a_server_that_knows_no_offset_is_told_of():
    """The same page again and again ends in an error and not in an endless read."""
    with pytest.raises(IncompleteRead, match="again and again"):
        read(lambda _offset, limit: Page(rows_of(150)[:limit]))


@pytest.mark.parametrize(("lost", "asked"), [(None, [0, 30]), (99, [0, 99, 100, 130, 0, 99, 130])])
def test_an_empty_page_after_a_full_one_is_not_the_end_at_its_first_word(lost, asked):
    """A short page and an empty one end a list; after a full one, a page may have been lost, and another pass tells."""
    evidence = Evidence()
    assert evidence.may_be_full(100)
    calls = []

    def fetch(offset, limit):
        calls.append(offset)
        rows = rows_of(130 if lost else 30)[offset : offset + limit]
        return Page([] if offset == lost and calls.count(offset) == 1 else rows)

    pages = read_list(fetch, 100, key, map, what="things", evidence=evidence)
    assert len([row for rows in pages for row in rows]) == (130 if lost else 30)
    assert calls == asked


def test_a_parent_that_does_not_say_that_it_has_none_is_asked_twice():
    """An empty first page is not believed either, unless somebody says that there may be nothing."""
    calls = []

    def fetch(offset, limit):
        calls.append(offset)
        return Page([] if len(calls) == 1 else rows_of(3)[offset : offset + limit])

    found = [row for rows in read_list(fetch, 100, key, map, what="things", maybe_none=False) for row in rows]
    assert len(found) == 3


def test_a_list_that_never_holds_still_is_doubted():
    """Rows that come and go in every reading load, and nothing says that they are all."""
    passes = []

    def fetch(offset, limit):
        if not offset:
            passes.append(1)
        count = 10 + len(passes) * 2 + bool(offset)
        return Page(rows_of(count)[offset : offset + limit], count)

    def kept():
        proofs.append((yield from read_list(fetch, 10, key, map, what="things")))

    proofs = []
    assert list(kept())
    assert (proofs[0].ground, bool(proofs[0].doubt)) == ("", True)


@given(st.integers(2, 40), st.integers(2, 12), st.integers(0, 39), st.integers(1, 8))
def test_no_row_slips_through_when_another_one_goes_between_pages(total, size, gone, turn):
    """Nobody counts the list, and one row leaves it before some page is read: all others come."""
    calls = []

    def fetch(offset, limit):
        calls.append(offset)
        rows = [row for row in rows_of(total) if len(calls) <= turn or row["uuid"] != gone]
        return Page(rows[offset : offset + limit])

    assert {row["uuid"] for row in read(fetch, size)} >= set(range(total)) - {gone}


def test_a_server_that_gives_one_row_at_a_time_gives_them_all():
    """Pages of one row have none to begin with again."""
    assert len(read(lambda offset, _limit: Page(rows_of(5)[offset : offset + 1]))) == 5
