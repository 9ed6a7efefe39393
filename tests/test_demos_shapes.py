"""The demos of the five shapes: what their networks reach on unseen data, and what is shown."""

import asyncio

import numpy as np
import pytest

from streamrnn.bank import Bank
from streamrnn.demos import (
    CARRIED,
    NAMES,
    caption,
    dates,
    digits,
    motion,
    named,
    program,
    shown,
    symbols,
    translate,
    window,
)
from streamrnn.demos.playing import Places, Play, answers, marked
from streamrnn.demos.sliding import Sliding, one_hot, windows
from streamrnn.demos.trained import DATA, MOST_BYTES
from streamrnn.model import RNN
from streamrnn.modes import MODES
from streamrnn.sequences import END, START, WRITE
from streamrnn.streams import Pipeline
from tests.streams.virtual import played, run


@pytest.mark.parametrize("name", CARRIED)
def test_networks_are_better_than_their_baselines_on_data_they_have_not_seen(name):
    demo = named(name)
    for figure in demo.figures(demo.models()):
        assert figure.ours >= figure.theirs + figure.better, figure


@pytest.mark.parametrize("name", CARRIED)
def test_weights_are_small(name):
    for model in named(name).models():
        assert (DATA / f"{model}.safetensors").stat().st_size <= MOST_BYTES


@pytest.mark.parametrize("name", CARRIED)
def test_every_stream_is_played_through_a_pipeline_and_drawn(name):
    rules, sources = shown(name)

    async def main():
        pipeline, results = Pipeline(rules), []
        pipeline.sink(results.append)
        made = [source(asynchronous=True) for source in sources]
        sinks = []
        for source in made:
            source.on_refused(pipeline.refuse)
            sinks.append(source.sink(pipeline.take_batch))
            source.start()
        await asyncio.sleep(60)  # of virtual time
        assert not pipeline.refused
        assert {source.state for source in made} == {"running"}
        for source, sink in zip(made, sinks, strict=True):
            source.stop()
            sink.destroy()
        await asyncio.sleep(1)
        return results

    pictures = {}
    for result in run(main()):
        for key, picture in result.group.rule.picture(result.batch).items():
            pictures.setdefault(key, []).append(picture)
    for rule in rules:
        of = [p for key, own in pictures.items() if key.startswith(rule.match[:-1]) for p in own]
        assert of, f"nothing was drawn of {rule.match}"
        assert any(picture.emits and picture.text == picture.truth for picture in of)
        steps = {picture.step for picture in of}
        assert (steps == {0}) == (rule.mode == "one_to_one")


def test_the_shapes_are_all_there():
    modes = {rule.mode for name in CARRIED for rule in shown(name).rules}
    assert modes == set(MODES)
    assert len({named(name).title for name in NAMES}) == len(NAMES)


def test_an_unknown_demo_is_refused_by_name():
    with pytest.raises(ValueError, match="there is no demo 'digit'; expected one of host, weather"):
        named("digit")


def test_sequences_are_played_in_order_with_pauses_between():
    first, second = marked([[1.0], [2.0]], 1), marked([[3.0]])

    async def main():
        source = Play(["a"], ("x", "m"), [first, second], rate_hz=1, pause=2, asynchronous=True)
        return await played(source, 6)

    found = run(main())
    assert [round(t) for t, _ in found] == [0, 1, 2, 5, 8, 9]
    rows = [[1, START], [2, END], [np.nan, WRITE], [3, START + END], [1, START], [2, END]]
    np.testing.assert_array_equal([batch.x[0] for _, batch in found], rows)


def test_each_stream_can_have_rows_of_its_own():
    rows = np.arange(8.0).reshape(2, 2, 2)

    async def main():
        source = Play(["a", "b"], ("x", "m"), [rows], rate_hz=1, asynchronous=True)
        return await played(source, 2)

    found = run(main())
    np.testing.assert_array_equal([batch.x for _, batch in found], rows)


def test_places_count_sequences_and_their_steps():
    places = Places()
    rows = np.concatenate([marked([[5.0], [6.0]], 1), marked([[7.0]])])
    assert [tuple(places.of(row)) for row in rows] == [
        (0, 0, True),
        (0, 1, True),
        (0, 2, False),
        (1, 0, True),
    ]


# the data, checked against something else


def test_digits_are_those_of_the_data_set():
    images, labels = digits.data()
    assert images.shape == (1797, 8, 8) and images.max() == 1 and images.min() == 0
    # scikit-learn's description: 1797 samples; its tests: 178 zeros, 182 ones
    assert np.bincount(labels).tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]
    np.testing.assert_array_equal(labels[:10], range(10))


def test_shifted_images_move_by_one_pixel():
    image = np.arange(64, dtype=np.float32).reshape(1, 8, 8) + 1
    same, *moved = digits.shifted(image)
    np.testing.assert_array_equal(same, image[0])
    for found, axis, by in zip(moved, (0, 0, 1, 1), (1, -1, 1, -1), strict=True):
        expected = np.roll(image[0], by, axis)
        edge = [slice(None)] * 2
        edge[axis] = 0 if by == 1 else -1
        expected[tuple(edge)] = 0
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (0, "zero"),
        (13, "thirteen"),
        (40, "forty"),
        (99, "ninety nine"),
        (100, "one hundred"),
        (506, "five hundred six"),
        (819, "eight hundred nineteen"),
        (999, "nine hundred ninety nine"),
    ],
)
def test_numbers_have_their_names(number, words):
    assert " ".join(caption.in_words(number)) == words


def test_images_of_numbers_are_made_of_unseen_digits():
    images = digits.data()[0][-digits.UNSEEN :]
    for numeral in caption.numerals(1000, unseen=True)[:50]:
        for part in np.split(numeral.image, 3, axis=1):
            assert not part.any() or (images == part).all(axis=(1, 2)).any()


def test_dates_are_held_out_by_the_day():
    held, others = dates.dates(held=True), dates.dates(held=False)
    assert not set(held) & set(others)
    assert len(held) + len(others) == 36525  # days from 1950 to 2049: 100 years, 25 leap days
    assert 0.09 < len(held) / 36525 < 0.11
    learned = {pair.iso for pair in translate.pairs(translate.EXAMPLES, held=False)}
    assert not learned & {pair.iso for pair in translate.pairs(1000, held=True)}


def test_dates_are_written_in_many_ways():
    texts = {pair.text for pair in translate.pairs(translate.EXAMPLES, held=False)}
    assert {*"".join(texts)} <= {*dates.ALPHABET}
    numbers = {text for text in texts if not any(c.isalpha() for c in text)}
    assert all(sum(text.count(c) for c in "/.-") == 2 for text in numbers)
    words = {word.strip(".,") for text in texts for word in text.split() if word[0].isalpha()}
    every = {w for table in (dates.MONTHS, dates.DAYS) for t in table.values() for w in t.split()}
    assert every <= words


def test_sums_are_those_of_whole_numbers():
    pairs, total = program.sums(20, 40, seed=5)
    for (a, b), s in zip(pairs.astype(int).transpose(0, 2, 1), total, strict=True):
        numbers = [int("".join(map(str, bits[::-1])), 2) for bits in (a, b, s)]
        assert numbers[0] + numbers[1] == numbers[2]


def test_parity_is_exact_for_a_million_steps():
    bits = np.random.default_rng(0).integers(0, 2, (1_000_000, 1))
    found = program.parity().run(bits)[:, 0]
    np.testing.assert_array_equal(found, np.cumsum(bits) % 2)


def test_addition_is_right_on_numbers_much_longer_than_those_it_learned_from():
    step = program.adding(program.models())
    pairs, total = np.random.default_rng(1).integers(0, 2, (1, 2000, 2)), []
    carry = 0
    for a, b in pairs[0]:
        total.append((a + b + carry) & 1)
        carry = (a + b + carry) >> 1
    (y,) = answers(step, [marked(pairs[0])])
    np.testing.assert_array_equal(y.argmax(axis=1), total)


def test_objects_leave_only_at_an_edge_and_stand_where_they_are_still():
    for track in motion.tracks(50, seed=3):
        leaving, still = track.labels == motion.LEAVING, track.labels == motion.STILL
        near = (track.seen[:, :2] < 0.16) | (track.seen[:, :2] > 0.84)
        assert near[leaving].any(axis=1).all()
        # 6 standard deviations of the difference of two places
        assert np.nanmax(np.abs(track.seen[still, 2:]), initial=0) < 6 * 2**0.5 * motion.NOISE
        assert (np.hypot(*track.seen[1:, 2:].T) > 0.007)[~still[1:]].all()


def test_half_of_the_lines_have_the_phrase():
    lines = symbols.lines(200, seed=4)
    texts = ["".join(symbols.SYMBOLS[n] for n in line.ids) for line in lines]
    assert [symbols.PHRASE in text for text in texts] == [False, True] * 100
    assert [line.answers[-1] for line in lines] == [0, 1] * 100


def test_questions_are_about_the_last_cue():
    for line in symbols.cues(20, seed=4):
        text = "".join(symbols.SYMBOLS[n] for n in line.ids)
        for at in np.flatnonzero(line.answers >= 0):
            assert text[at] == "?"
            last = max(text.rfind("A", 0, at), text.rfind("B", 0, at))
            assert symbols.CUES[line.answers[at]] == text[last]


def test_a_window_net_has_at_least_as_many_parameters_as_the_recurrent_one():
    models = window.models()
    for question in window.WIDTHS:
        recurrent, sliding = (
            window.parameters((question, kind), models[window.name_of((question, kind))])
            for kind in window.KINDS
        )
        assert recurrent <= sliding <= 1.2 * recurrent


def test_a_sliding_window_forgets_what_leaves_it():
    model = RNN(3 * 4, 5, 2)
    step = Sliding(model, width=3, size=4)
    bank = Bank(step)
    ids = np.array([1, 3, 0, 2, 2, 1])
    y = bank.step(["a"] * 6, [[n, 0] for n in ids])
    for seen, out in zip(windows(ids, 3), y, strict=True):
        model.reset()
        np.testing.assert_array_equal(out, model.step(one_hot(seen[None], 4)[0]))
    np.testing.assert_array_equal(bank.step(["a"], [[1, START]]), y[:1])
    np.testing.assert_array_equal(
        one_hot(np.array([[0, 2, 4]]), 4), [[*[0] * 4, 0, 1, 0, 0, 0, 0, 0, 1]]
    )
