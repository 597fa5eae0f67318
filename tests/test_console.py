"""What is printed, and where it goes."""

import json

import pytest

from impasto.console import download_bar, reporter, training_bar
from impasto.training.loop import Progress

ESTIMATE = {
    "event": "estimate",
    "method": "gatys",
    "size": [40, 30],
    "seconds": 2.0,
    "peak_mb": 400,
}
STEP = {"event": "step", "done": 1, "total": 2}
DONE = {
    "event": "done",
    "output": "x.png",
    "seconds": 1.5,
    "load_seconds": 0.5,
    "peak_mb": 410,
    "style_error": 0.01,
    "content_error": 0.2,
    "interrupted": False,
}


def test_words(capsys: pytest.CaptureFixture[str]) -> None:
    with reporter(as_json=False) as on_event:
        for event in (ESTIMATE, {"event": "notice", "text": "Smaller."}, STEP, DONE):
            on_event(event)
    out, err = capsys.readouterr()
    assert "gatys, 40 x 30 px: about 2.0 s and 400 MB" in out
    assert "Smaller." in out and "x.png: 1.5 s" in out and "stopped early" not in out
    assert err == ""


def test_an_interruption_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    with reporter(as_json=False) as on_event:
        on_event({**DONE, "interrupted": True})
    assert "stopped early" in capsys.readouterr().out


def test_words_make_way_for_the_picture(capsys: pytest.CaptureFixture[str]) -> None:
    with reporter(as_json=False, stdout_taken=True) as on_event:
        on_event(DONE)
    out, err = capsys.readouterr()
    assert out == "" and "x.png" in err


def test_json_lines(capsys: pytest.CaptureFixture[str]) -> None:
    with reporter(as_json=True) as on_event:
        on_event(STEP)
        on_event(DONE)
    lines = capsys.readouterr().out.splitlines()
    assert [json.loads(line) for line in lines] == [STEP, DONE]


def test_bars_are_silent_where_there_is_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    with download_bar("vgg19") as progress:
        progress(10, 0)
        progress(20, 100)
    assert capsys.readouterr() == ("", "")


def test_losses_of_a_training(capsys: pytest.CaptureFixture[str]) -> None:
    with training_bar() as show:
        show(Progress(step=50, steps=100, seconds=3.2, losses={"slim/relu1_1": 0.5}))
    assert "step 50 of 100, 3 s, about 3 s to go: slim/relu1_1 0.500" in capsys.readouterr().out
