"""Mirrors that are not there, refuse, stall or can only be read."""

import functools
import http.server
import os
import shutil
import threading
import time
from contextlib import contextmanager

import pytest

from selective_amnesia.storage import mirror


def test_a_folder_that_is_not_there_is_said_once_never_made_and_followed_later(
    runtime, tmp_path, stage, recipe, capsys, names, wait_until
):
    url = str(tmp_path / "drive" / "lab")
    here = runtime("here", url)
    here.finish(stage, recipe)
    wait_until(lambda: here.mirror.failing)
    assert not here.mirror.flush()
    said = capsys.readouterr().out.splitlines()
    assert said[0] == (
        f"the mirror {url} fails (the folder {url} is not there: mount or make it): work goes on "
        f"in {here.mirror.folder}, and what is missing there follows when it answers again."
    )
    assert len(said) == 2
    assert said[1].startswith(f"stages not in the mirror {url} yet: 1; they are kept in ")
    assert not (tmp_path / "drive").exists()
    os.makedirs(url)
    wait_until(here.mirror._done)
    wait_until(lambda: not here.mirror.said)
    assert len(names(url)) == 2
    assert capsys.readouterr().out == f"the mirror {url} answers again.\n"


def test_a_mirror_that_refuses_is_said_once_and_still_read(
    runtime, url, stage, recipe, monkeypatch, capsys, never, names, wait_until
):
    """As one that is full: what it has is still fetched."""
    first = runtime("first", url)
    first.finish(stage, recipe)
    assert first.mirror.flush()
    here = runtime("here", url)
    assert here.mirror.flush()
    refused = []

    def refuse(name, _content):
        refused.append(name)
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as context:
        context.setattr(here.mirror.place, "write", refuse)
        for number in range(3):
            here.finish(type(stage)(f"fisher-{number}", 1, {}), recipe)
        wait_until(lambda: len(set(refused)) >= 3)
        here.finish(stage, never)
        assert capsys.readouterr().out.count("\n") == 1
    wait_until(lambda: not here.mirror.said)
    assert len(names(url)) == 8
    assert "answers again" in capsys.readouterr().out


def test_one_that_is_refused_again_and_again_starves_no_other(
    runtime, url, stage, recipe, monkeypatch, names, wait_until
):
    here = runtime("here", url)
    write = here.mirror.place.write

    def too_large(name, content):
        if name.startswith("a-"):
            raise OSError(27, "File too large")
        write(name, content)

    with monkeypatch.context() as context:
        context.setattr(here.mirror.place, "write", too_large)
        for name in ("a", "b", "c"):
            here.finish(type(stage)(name, 1, {}), recipe)
        wait_until(lambda: [key[0] for key in here.mirror.pending] == ["a"])
        assert len(names(url)) == 4
    wait_until(lambda: len(names(url)) == 6)


def test_a_question_that_fails_is_not_asked_again_until_it_answers(
    runtime, url, stage, recipe, monkeypatch, capsys, names, wait_until
):
    here, asked = runtime("here", url), []
    assert here.mirror.flush()

    def fail(*_):
        asked.append(1)
        raise OSError("the line is cut")

    with monkeypatch.context() as context:
        context.setattr(mirror, "AGAIN", 60.0)
        context.setattr(here.mirror.place, "read", fail)
        context.setattr(here.mirror.place, "names", fail)
        here.finish(stage, recipe)
        wait_until(lambda: here.mirror.failing)
        assert len(asked) == 2  # by the stage, and whether it answers again
    assert capsys.readouterr().out.count("the line is cut") == 1


def test_a_mirror_that_stalls_is_waited_for_once(
    runtime, url, stage, recipe, monkeypatch, capsys, names, wait_until
):
    here, over = runtime("here", url), threading.Event()
    assert here.mirror.flush()
    monkeypatch.setattr(mirror, "PATIENCE", 0.3)
    with monkeypatch.context() as context:
        for name in ("read", "write", "names"):
            inner = getattr(here.mirror.place, name)
            context.setattr(
                here.mirror.place, name, lambda *a, inner=inner: (over.wait(), inner(*a))[1]
            )
        started = time.monotonic()
        for number in range(5):
            here.finish(type(stage)(f"fisher-{number}", 1, {}), recipe)
        assert 0.3 <= time.monotonic() - started < 1.5
        assert capsys.readouterr().out.count("fails (it does not answer)") == 1
        started = time.monotonic()
        assert not here.mirror.flush()
        assert 0.3 <= time.monotonic() - started < 1.5
        assert "stages not in the mirror" in capsys.readouterr().out
        over.set()
        wait_until(lambda: not here.mirror.said)
    assert len(names(url)) == 10


def test_an_upload_that_breaks_off_leaves_nothing(
    runtime, tmp_path, stage, recipe, monkeypatch, names, wait_until
):
    url = str(tmp_path / "mirror")
    os.mkdir(url)
    here = runtime("here", url)
    move = here.mirror.place._fs.mv
    broken = []

    def break_off(*_):
        broken.append(sorted(os.listdir(f"{url}/checkpoints")))
        raise OSError("broken off")

    with monkeypatch.context() as context:
        context.setattr(here.mirror.place._fs, "mv", break_off)
        here.finish(stage, recipe)
        wait_until(lambda: broken)
        assert broken[0][0].endswith(".part")
        wait_until(lambda: here.mirror.failing)
    assert here.mirror.place._fs.mv == move
    wait_until(here.mirror._done)
    assert len(names(url)) == 2


def test_an_unreadable_file_here_is_not_the_mirrors_failure(runtime, url, capsys):
    runtime("here").path("cvae-1", ".json").mkdir()
    assert runtime("here", url).mirror.flush()
    assert not capsys.readouterr().out


# --- behind HTTP --------------------------------------------------------------------------------


@contextmanager
def serving(folder, handler=http.server.SimpleHTTPRequestHandler):
    class Quiet(handler):
        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), functools.partial(Quiet, directory=str(folder))
    )
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize("of", ["a mirror", "a lab's own folder"])
def test_behind_http_it_is_fetched_from_and_takes_nothing(
    of, runtime, tmp_path, stage, recipe, capsys, never, interrupted, wait_until
):
    pytest.importorskip("aiohttp")
    first = runtime("first")
    first.finish(stage, recipe)
    fisher = type(stage)("fisher", 1, {})
    interrupted(first, fisher)
    folder = tmp_path / "mirror"
    if of == "a mirror":
        folder.mkdir()
        assert runtime("first", str(folder)).mirror.flush()
    else:
        shutil.copytree(first.folder, folder)
    before = sorted(p.name for p in folder.rglob("*"))
    with serving(folder) as url:
        here = runtime("here", url)
        assert here.finish(stage, never).facts["loss"] == 1
        here.finish(fisher, recipe)
        here.finish(type(stage)("control", 1, {}), recipe)
        assert [state and int(state["step"]) for state in recipe.resumed] == [None, 3, None]
        assert here.mirror.flush()
        said = f"the mirror {url} takes nothing: work is fetched from it and stays here.\n"
        assert capsys.readouterr().out == said
        wait_until(here.mirror._done)
    assert sorted(p.name for p in folder.rglob("*")) == before


def test_a_server_in_trouble_is_said_once(runtime, tmp_path, stage, recipe, capsys, wait_until):
    pytest.importorskip("aiohttp")

    class Trouble(http.server.SimpleHTTPRequestHandler):
        answers: list[int] = []  # noqa: RUF012

        def do_GET(self):
            self.answers.append(503)
            self.send_error(503) if len(self.answers) < 5 else super().do_GET()

    with serving(tmp_path, Trouble) as url:
        here = runtime("here", url)
        for number in range(3):
            here.finish(type(stage)(f"fisher-{number}", 1, {}), recipe)
        wait_until(lambda: len(Trouble.answers) >= 5)
        wait_until(lambda: not here.mirror.said)
    said = capsys.readouterr().out
    assert said.count("fails (503") == 1
    assert said.count("takes nothing") == 1
    assert said.count("answers again") == 1


def test_a_server_that_never_answers_is_waited_for_once(
    runtime, tmp_path, stage, recipe, monkeypatch, capsys
):
    pytest.importorskip("aiohttp")
    monkeypatch.setattr(mirror, "PATIENCE", 0.3)
    over = threading.Event()

    class Silent(http.server.SimpleHTTPRequestHandler):
        def do_GET(self):
            over.wait()

    with serving(tmp_path, Silent) as url:
        started = time.monotonic()
        store = runtime("here", url)
        for number in range(3):
            store.finish(type(stage)(f"fisher-{number}", 1, {}), recipe)
        assert 0.3 <= time.monotonic() - started < 1.5
        over.set()
    assert capsys.readouterr().out.count("fails (it does not answer)") == 1
