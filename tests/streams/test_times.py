"""Files whose first rows are odd: which column holds the times is not decided wrongly for good."""

import pytest

from streamrnn.streams.lines import Lines
from streamrnn.streams.times import PATIENCE

T0 = 1357020000.0  # 2013-01-01T06:00:00Z


def read(*lines, **kwargs):
    """(t, x) of the rows, and what was said of the others."""
    refused = []
    rows = Lines("f", "key", refuse=refused.append, **kwargs).rows(line.encode() for line in lines)
    return [(row.t, list(row.x)) for row in rows], [str(error) for error in refused]


@pytest.mark.parametrize("empty", ["", "NA", " "])
@pytest.mark.parametrize("time", [f"{T0:.0f}", "2013-01-01T06:00:00Z"])
def test_a_csv_may_begin_before_its_clock_was_set(empty, time):
    rows, refused = read("valid_time,temp", f"{empty},1", f"{empty},2", f"{time},3", f"{time},4")
    assert rows == [(T0, [3.0]), (T0, [4.0])]
    assert refused == [
        f"f:{n}: expected a time in valid_time, which is called like one, got nothing; if it "
        'holds the times, say time = "valid_time", or name all channels'
        for n in (2, 3)
    ]


@pytest.mark.parametrize("time", [T0, '"2013-01-01T06:00:00Z"'])
def test_records_may_begin_before_their_clock_was_set(time):
    rows, refused = read(
        '{"valid_time": null, "temp": 1}', f'{{"valid_time": {time}, "temp": 2}}', '{"temp": 3}'
    )
    assert rows == [(T0, [2.0]), (None, [3.0])] and len(refused) == 1
    rows, refused = read('{"temp": 1}', f'{{"temp": 2, "valid_time": {time}}}')
    assert rows == [(None, [1.0]), (T0, [2.0])] and not refused


def test_what_is_called_like_a_time_and_turns_out_to_be_none_is_a_channel():
    rows, refused = read("uptime,temp", ",1", "60,2", ",3")
    assert len(refused) == 1
    assert str(rows) == "[(None, [60.0, 2.0]), (None, [nan, 3.0])]"


def test_what_is_called_like_a_time_and_stays_empty_is_no_time_either():
    rows, refused = read("update_note,temp", *[f",{n}" for n in range(PATIENCE + 3)])
    assert len(refused) == PATIENCE
    assert [x[1] for _, x in rows] == [PATIENCE, PATIENCE + 1, PATIENCE + 2]


@pytest.mark.parametrize(
    ("lines", "error"),
    [
        (
            ["valid_time,temp", "0,1", f"{T0:.0f},2"],
            "valid_time holds a time, '1357020000', but its first value was none; "
            'if it holds the times, say time = "valid_time"',
        ),
        (
            ['{"valid_time": 0, "temp": 1}', '{"valid_time": 1357020000, "temp": 1}'],
            "valid_time holds a time, 1357020000, but its first value was none; "
            'if it holds the times, say time = "valid_time"',
        ),
        (
            ["when,temp", ",1", "2013-01-01,2"],
            "channel when: expected a number or nothing where missing, got '2013-01-01'; "
            'if it holds the times, say time = "when"',
        ),
        (
            ['{"when": null, "temp": 1}', '{"when": "2013-01-01", "temp": 1}'],
            "channel when: expected a number or null where missing, got '2013-01-01'; "
            'if it holds the times, say time = "when"',
        ),
        (
            ["note,temp", "2012-12-31,1", "serviced,2"],
            "expected seconds since 1970 or an ISO 8601 time, got 'serviced'; note is taken for "
            'the time, as its first value was one: time = "..." names another',
        ),
        (
            ['{"note": "2012-12-31", "temp": 1}', '{"note": "serviced", "temp": 1}'],
            "expected seconds since 1970 or an ISO 8601 time, got 'serviced'; note is taken for "
            'the time, as its first value was one: time = "..." names another',
        ),
    ],
)
def test_where_the_first_row_misled_the_error_says_what_to_write(lines, error):
    rows, (refused,) = read(*lines)
    assert len(rows) == 1
    assert refused == f"f:{len(lines)}: {error}"


def test_a_channel_that_is_named_is_no_time():
    record = f'{{"valid_time": {T0}, "temp": 1}}'
    assert read(record, channels=["valid_time", "temp"]) == ([(None, [T0, 1.0])], [])
    lines = ["valid_time,temp", ",1", f"{T0:.0f},2"]
    rows, refused = read(*lines, channels=["valid_time", "temp"])
    assert [t for t, _ in rows] == [None, None] and not refused


def test_a_file_of_times_alone_has_them_as_values():
    for lines in ([",valid_time", f"0,{T0:.0f}"], [f'{{"valid_time": {T0}}}']):
        assert read(*lines) == ([(None, [T0])], [])
