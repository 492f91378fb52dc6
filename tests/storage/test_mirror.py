"""What a mirror holds, gets and gives; `faults/test_mirrors.py` lets it fail under a lab."""

import functools
import http.server
import os
import shutil
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch

from selective_amnesia.storage import mirror, place
from selective_amnesia.storage.mirror import Mirror
from selective_amnesia.storage.store import SnapshotStore


def names(url):
    return sorted(Mirror(url).place.names())


def interrupted(store, stage):
    """A stage is begun, and stopped after its first snapshot."""

    def make(snapshots):
        snapshots.save({"step": torch.tensor(3)})
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        store.finish(stage, make)


def never(_snapshots):
    raise AssertionError("it is made again")


def wait_until(is_so, seconds=5.0):
    end = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < end
        time.sleep(0.01)


# --- what works ---------------------------------------------------------------------------------


def test_a_finished_stage_follows_and_is_fetched_elsewhere(runtime, url, stage, recipe, files):
    here = runtime("here", url)
    made = here.finish(stage, recipe)
    assert here.mirror.flush()
    (facts, tensors) = sorted(names(url), key=len)
    assert facts == f"{stage.key}.json"
    assert tensors == f"{stage.key}.{made.facts['sha256'][:16]}.safetensors"
    there = runtime("there", url)
    assert there.finish(stage, never).facts == made.facts
    assert files(there) == files(here)
    assert there.mirror.flush()
    assert runtime("third", url).read(stage).facts == made.facts


def test_a_snapshot_follows_is_resumed_from_elsewhere_and_goes(runtime, url, stage, recipe):
    here = runtime("here", url)
    interrupted(here, stage)
    assert here.mirror.flush()
    assert names(url) == [f"{stage.key}.partial"]
    there = runtime("there", url)
    there.finish(stage, recipe)
    assert int(recipe.resumed[0]["step"]) == 3
    assert there.mirror.flush()
    assert f"{stage.key}.partial" not in names(url)
    here.finish(stage, never)  # begun here, finished there
    assert not SnapshotStore(here, stage.key).path.exists()


def test_snapshots_follow_at_some_distance(runtime, url, stage, monkeypatch):
    store = runtime("here", url)
    snapshots, followed = SnapshotStore(store, stage.key), []
    monkeypatch.setattr(store.mirror, "follow", followed.append)
    for _ in range(3):
        snapshots.save({"step": torch.tensor(1)})
    assert len(followed) == 1
    snapshots.followed -= 61
    snapshots.save({"step": torch.tensor(1)})
    assert len(followed) == 2


def test_what_earlier_processes_could_not_bring_follows(runtime, url, stage, recipe):
    runtime("here").finish(stage, recipe)  # without a mirror
    assert runtime("here", url).mirror.flush()
    assert len(names(url)) == 2
    runtime("there", url).finish(stage, never)


def test_the_first_finished_stage_stays(runtime, url, stage, recipe, other_recipe):
    runtime("here").finish(stage, recipe)
    runtime("there").finish(stage, other_recipe)
    for name in ("here", "there"):
        assert runtime(name, url).mirror.flush()
        assert runtime(f"new beside {name}", url).read(stage).facts["loss"] == 1
    assert runtime("there", url).read(stage).facts["loss"] == 2  # each keeps its own


def test_two_at_the_same_time_leave_a_pair_that_fits(
    runtime, url, stage, recipe, other_recipe, monkeypatch
):
    """The other is finished while this one's tensors are on their way."""
    here, there = runtime("here", url), runtime("there")
    there.finish(stage, other_recipe)
    write = here.mirror.place.write

    def slowly(name, content):
        write(name, content)
        if name.endswith(".safetensors"):
            assert runtime("there", url).mirror.flush()

    monkeypatch.setattr(here.mirror.place, "write", slowly)
    here.finish(stage, recipe)
    assert here.mirror.flush()
    assert runtime("third", url).finish(stage, never).facts["loss"] == 2


@pytest.mark.parametrize("suffix", [".json", ".safetensors"])
@pytest.mark.parametrize("harm", ["emptied", "truncated", "removed"])
def test_what_is_damaged_there_is_made_anew_and_replaced(
    suffix, harm, runtime, tmp_path, stage, recipe, other_recipe, capsys
):
    url = str(tmp_path / "mirror")
    os.mkdir(url)
    here = runtime("here", url)
    here.finish(stage, recipe)
    assert here.mirror.flush()
    (file,) = Path(url, "checkpoints").glob(f"*{suffix}")
    if harm == "removed":
        file.unlink()
    else:
        file.write_bytes(file.read_bytes()[:-9] if harm == "truncated" else b"")
    there = runtime("there", url)
    assert there.finish(stage, other_recipe).facts["loss"] == 2
    assert there.mirror.flush()
    assert runtime("third", url).finish(stage, never).facts["loss"] == 2
    damaged = f"{stage.key} is damaged in the mirror {url}: it is made anew.\n"
    assert capsys.readouterr().out == ("" if (suffix, harm) == (".json", "removed") else damaged)


def test_a_damaged_snapshot_there_is_not_believed(runtime, tmp_path, stage, recipe, capsys):
    url = str(tmp_path / "mirror")
    os.makedirs(f"{url}/checkpoints")
    Path(url, "checkpoints", f"{stage.key}.partial").write_bytes(b"half")
    runtime("here", url).finish(stage, recipe)
    assert recipe.resumed == [None]
    assert "partial is damaged in the mirror" in capsys.readouterr().out


def test_what_lacks_a_field_there_is_made_anew_and_replaced(
    runtime, url, stage, recipe, other_recipe
):
    here, there = runtime("here", url), runtime("there", url)
    here.finish(stage, recipe)
    assert here.mirror.flush()
    there.finish(stage, other_recipe, lambda found: found.facts["loss"] == 2)
    assert there.mirror.flush()
    assert here.finish(stage, never, lambda found: found.facts["loss"] == 2)  # theirs does


def test_what_is_damaged_here_does_not_follow(runtime, url, stage, recipe):
    here = runtime("here")
    here.finish(stage, recipe)
    here.path(stage.key, ".safetensors").write_bytes(b"broken")
    here.path("begun-1", ".partial").write_bytes(b"broken")
    here.path("notes", ".json").write_text("{}")
    assert runtime("here", url).mirror.flush()
    assert names(url) == []


def test_abandoned_uploads_go_and_young_ones_stay(runtime, tmp_path, monkeypatch):
    folder = tmp_path / "mirror" / "checkpoints"
    folder.mkdir(parents=True)
    for name, age in ((".cvae-1.json.1.part", 2 * place.ABANDONED), (".cvae-1.json.2.part", 60)):
        (folder / name).touch()
        os.utime(folder / name, (time.time() - age,) * 2)
    assert runtime("here", str(tmp_path / "mirror")).mirror.flush()
    assert [p.name for p in folder.iterdir()] == [".cvae-1.json.2.part"]


def test_what_a_mirror_cannot_be(runtime, tmp_path):
    for url in ("nowhere://lab", "s4://lab"):
        with pytest.raises(ValueError, match=f"the mirror '{url}' cannot be opened: "):
            Mirror(url)
    (tmp_path / "here").mkdir()
    with pytest.raises(ValueError, match="is the lab's own folder: name another, or none"):
        runtime("here", str(tmp_path / "here"))


# --- what fails ---------------------------------------------------------------------------------


def test_a_folder_that_is_not_there_is_said_once_never_made_and_followed_later(
    runtime, tmp_path, stage, recipe, capsys
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
    runtime, url, stage, recipe, monkeypatch, capsys
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


def test_a_question_that_fails_is_not_asked_again_until_it_answers(
    runtime, url, stage, recipe, monkeypatch, capsys
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


def test_a_mirror_that_stalls_is_waited_for_once(runtime, url, stage, recipe, monkeypatch, capsys):
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
        assert 0.3 <= time.monotonic() - started < 0.6
        assert capsys.readouterr().out.count("fails (it does not answer)") == 1
        started = time.monotonic()
        assert not here.mirror.flush()
        assert 0.3 <= time.monotonic() - started < 0.6
        assert "stages not in the mirror" in capsys.readouterr().out
        over.set()
        wait_until(lambda: not here.mirror.said)
    assert len(names(url)) == 10


def test_an_upload_that_breaks_off_leaves_nothing(runtime, tmp_path, stage, recipe, monkeypatch):
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
    of, runtime, tmp_path, stage, recipe, capsys
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


def test_a_server_in_trouble_is_said_once(runtime, tmp_path, stage, recipe, capsys):
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
        assert 0.3 <= time.monotonic() - started < 1
        over.set()
    assert capsys.readouterr().out.count("fails (it does not answer)") == 1
