"""The line on the terminal."""

import io
import signal
import threading

import pytest

from streamrnn.training.progress import Bar, Interrupt, Report, line

HALF = Report(0, 2, 10, 20, 1.25, float("nan"), 1234.5, 3725.0, {})


def test_the_line_tells_share_losses_rate_and_time_left():
    expected = " 50% ██▌   1:02:05 left, epoch 1/2, loss 1.2500, 1,234 samples/s"
    assert line(HALF) == expected
    assert "validation 0.5000" in line(HALF._replace(validation_loss=0.5))


def test_the_bar_writes_over_its_line_and_shows_the_end():
    out = io.StringIO()
    bar = Bar(out, shown=True)
    for update in range(1, 21):
        bar.show(HALF._replace(update=update))
    bar.close()
    lines = out.getvalue().split("\r")
    assert lines[0] == "" and "100%" in lines[-1] and lines[-1].endswith("\n")
    assert len({len(text) for text in lines[1:-1]}) <= 1  # each covers the one before


def test_nothing_is_written_where_there_is_no_terminal():
    out = io.StringIO()
    bar = Bar(out)
    bar.show(HALF)
    bar.close()
    assert out.getvalue() == ""


def test_the_second_ctrl_c_is_not_held_back():
    with pytest.raises(KeyboardInterrupt), Interrupt() as interrupt:
        signal.raise_signal(signal.SIGINT)
        assert interrupt.asked
        signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_what_runs_in_the_background_goes_on_ignoring_ctrl_c():
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with Interrupt() as interrupt:
            signal.raise_signal(signal.SIGINT)
            assert not interrupt.asked
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)


def test_training_in_a_thread_leaves_signals_alone():
    asked = []

    def work():
        with Interrupt() as interrupt:
            asked.append(interrupt.asked)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert asked == [False]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
