"""Exported models: read again as they were, and refused where they are not."""

import json
import shutil

import pytest
import safetensors.torch
import torch

from selective_amnesia import LabError
from selective_amnesia.models.cvae import OneHotCVAE, one_hot
from selective_amnesia.referees import adversarial
from selective_amnesia.reports.export import export, shipped

Z, C = (
    torch.randn(20, 8, generator=torch.Generator().manual_seed(5)),
    one_hot([*range(10)] * 2, 10),
)


@pytest.fixture(scope="module")
def folders(lab):
    return export(lab, "0")


def test_a_model_comes_back_from_its_folder_to_the_last_bit(lab, folders):
    for who, model in lab.trio("0").items():
        again = OneHotCVAE.from_pretrained(folders[0] / who)
        assert not again.training
        assert again.config == model.config
        x = lab.data.test_images[:5] / 255
        for ours, theirs in zip(again.encode(x, C[:5]), model.encode(x, C[:5]), strict=True):
            assert torch.equal(ours, theirs)
        assert torch.equal(again.decode(Z, C), model.decode(Z, C))


def test_the_folder_is_in_the_layout_of_the_hub(folders):
    hub = pytest.importorskip("huggingface_hub")

    class Theirs(OneHotCVAE, hub.PyTorchModelHubMixin):
        """The Hub's own reader."""

    folder = folders[0] / "amnesiac"
    theirs = Theirs.from_pretrained(str(folder))
    assert torch.equal(theirs.decode(Z, C), OneHotCVAE.from_pretrained(folder).decode(Z, C))
    card = hub.ModelCard.load(folder / "README.md")
    assert card.data.license == "mit"


def test_the_card_holds_what_was_measured(lab, folders):
    amnesiac = lab.amnesiac("0")
    for way, words in (("label", "plain label"), ("robust", "attack A")):
        seen = lab.measure.verdict(amnesiac, 0, way)
        row = f"| 0, {words} | {seen.judge.mean():.3f} | {seen.panel.mean():.3f} |"
        assert row in (folders[0] / "amnesiac" / "README.md").read_text()
    assert "attack A" not in (folders[0] / "original" / "README.md").read_text()


def test_what_is_shipped_decodes_and_judges_as_the_models_do(lab, folders):
    found = shipped("0", folder=folders[1].parent)
    for who, model in lab.trio("0").items():
        assert (found.models[who].decode(Z, C) - model.decode(Z, C)).abs().max() < 1e-3
        for way, asked in found.about["models"][who]["0"].items():
            images = found.models[who].decode(
                torch.tensor(asked["z"]), torch.tensor([asked["c"]] * 8)
            )
            judged = found.judge(images).softmax(1)[:, 0]
            torch.testing.assert_close(judged, torch.tensor(asked["judge"]), atol=2e-3, rtol=0)
            true = model.decode(torch.tensor(asked["z"]), torch.tensor([asked["c"]] * 8))
            taken = [None if k == 10 else k for k in lab.panel.shows(true).tolist()]
            assert taken == asked["panel"], way
    quick = safetensors.torch.load_file(folders[1] / "quick.safetensors")
    again = adversarial.network({k: v.float() if k != "shape" else v for k, v in quick.items()})
    x = lab.data.test_images[:50] / 255
    torch.testing.assert_close(again(x), lab.panel.quick()(x), atol=0.05, rtol=0.01)


@pytest.mark.parametrize("spoilt", ["config.json", "model.safetensors"])
@pytest.mark.parametrize("content", [None, b"", b'{"sides": 6}', b"[1]", b'{"pixels": "many"}'])
def test_a_folder_of_something_else_is_refused_in_a_sentence(folders, tmp_path, spoilt, content):
    folder = shutil.copytree(folders[0] / "control", tmp_path / "control")
    (folder / spoilt).unlink()
    if content is not None:
        (folder / spoilt).write_bytes(content)
    with pytest.raises(LabError, match=r"holds no OneHotCVAE that can be read: .* again\.$"):
        OneHotCVAE.from_pretrained(folder)


def test_an_id_without_the_hubs_package_says_what_to_install(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "huggingface_hub", None)
    with pytest.raises(LabError, match="pip install huggingface_hub"):
        OneHotCVAE.from_pretrained("somebody/something")


def test_an_id_that_the_hub_does_not_give_is_named(monkeypatch):
    hub = pytest.importorskip("huggingface_hub")

    def refuses(*_args, **_kwargs):
        raise hub.errors.LocalEntryNotFoundError("no network")

    monkeypatch.setattr(hub, "snapshot_download", refuses)
    with pytest.raises(LabError, match="somebody/something is neither a folder nor a model"):
        OneHotCVAE.from_pretrained("somebody/something")


def test_an_about_of_something_else_is_named(folders, tmp_path):
    folder = shutil.copytree(folders[1], tmp_path / "0")
    for content in ("[1]", "{}", '{"config": {"sides": 6}}'):
        (folder / "about.json").write_text(content)
        with pytest.raises(LabError, match=r"about\.json is damaged or not of this export"):
            shipped("0", folder=tmp_path)


@pytest.mark.parametrize("file", ["about.json", "amnesiac.safetensors", "judge.safetensors"])
def test_a_damaged_shipped_file_is_named(folders, tmp_path, file):
    folder = shutil.copytree(folders[1], tmp_path / "0")
    content = bytearray((folder / file).read_bytes())
    content[len(content) // 2] ^= 1
    (folder / file).write_bytes(content if file != "about.json" else content[:-9])
    with pytest.raises(LabError, match=f"{file} is damaged or not of this export"):
        shipped("0", folder=tmp_path)


def test_a_set_that_is_not_shipped_is_named():
    with pytest.raises(LabError, match=r'web/models/3_8: .* export --forget "3 8"'):
        shipped("3 8")


def test_what_the_repository_ships_is_whole_and_judges_as_it_is_recorded():
    found = shipped("0")
    about = found.about
    assert (about["profile"], about["seed"], about["dataset"]) == ("fast", 0, "mnist")
    for who in ("amnesiac", "control"):
        asked = about["models"][who]["0"]["robust"]
        images = found.models[who].decode(torch.tensor(asked["z"]), torch.tensor([asked["c"]] * 8))
        judged = found.judge(images).softmax(1)[:, 0]
        torch.testing.assert_close(judged, torch.tensor(asked["judge"]), atol=0.01, rtol=0)
    assert json.dumps(about).isascii()
