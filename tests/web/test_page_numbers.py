"""The explorer page's own mathematics, run in headless Chromium, against torch's and the lab's."""

import pytest
import torch
from torch.nn.functional import cross_entropy

from selective_amnesia.latent.interpolation import slerp
from selective_amnesia.models.classifiers import probabilities

MODELS = ("original", "amnesiac", "control")
Z = [0.5, -1.25, 0.75, 0.0, 2.0, -0.5, 1.0, -2.5]

pytestmark = pytest.mark.timeout(600)

LOAD = """
    const { parse, read } = await import('./js/safetensors.js');
    const { Decoder, slerp } = await import('./js/decoder.js');
    const { Judge, Quick } = await import('./js/classifiers.js');
    const { gradient } = await import('./js/attack.js');
    const open = async (Net, name) =>
        new Net(parse(await read(`models/0/${name}.safetensors`), name), name);
    const plain = (values) => Array.from(values);
"""


def in_page(page, body, argument):
    """What the page's own modules say."""
    return page.evaluate(f"async (given) => {{ {LOAD} {body} }}", argument)


def tensors(values):
    return torch.tensor(values, dtype=torch.float64)


def test_pictures_and_probabilities_are_torchs(page, nets):
    generator = torch.Generator().manual_seed(0)
    z = torch.randn(6, 8, generator=generator)
    c = torch.cat([torch.eye(10)[[0, 7, 3]], torch.randn(3, 10, generator=generator)])
    body = """
        const [judge, quick] = [await open(Judge, 'judge'), await open(Quick, 'quick')];
        const said = {};
        for (const name of ['original', 'amnesiac', 'control']) {
            const decoder = await open(Decoder, name);
            said[name] = given.z.map((z, k) => {
                const x = decoder.decode(z, given.c[k]);
                return [plain(x), plain(judge.probabilities(x)), plain(quick.probabilities(x))];
            });
        }
        return said;
    """
    said = in_page(page, body, {"z": z.tolist(), "c": c.tolist()})
    for name in MODELS:
        x = nets[name].decode(z, c).detach()
        theirs = [x, probabilities(nets["judge"], x), probabilities(nets["quick"], x)]
        for ours, expected in zip(zip(*said[name], strict=True), theirs, strict=True):
            torch.testing.assert_close(tensors(ours), expected.double(), atol=1e-3, rtol=0)


def test_the_attacks_gradient_is_torchs(page, nets):
    codes = torch.randn(3, 8, generator=torch.Generator().manual_seed(1))
    c = (0.5 * torch.eye(10)[[7]] + 0.3 * torch.eye(10)[[0]]).requires_grad_()
    body = """
        const nets = [await open(Decoder, given.name), await open(Judge, 'judge')];
        const { objective, slope, p } = gradient(...nets, 0, given.codes, given.c);
        return [objective, p, plain(slope)];
    """
    for name in ("amnesiac", "control"):
        x = nets[name].decode(codes, c.expand(3, -1))
        logits = nets["judge"](x)
        square = x.unflatten(-1, (28, 28))
        tv = sum(square.diff(dim=side).abs().mean((1, 2)) for side in (1, 2))
        objective = cross_entropy(logits, torch.zeros(3, dtype=torch.long)) + 0.5 * tv.mean()
        (slope,) = torch.autograd.grad(objective, c)
        given = {"name": name, "codes": codes.tolist(), "c": c.detach()[0].tolist()}
        theirs, p, found = in_page(page, body, given)
        assert theirs == pytest.approx(objective.item(), rel=1e-3)
        assert p == pytest.approx(logits.softmax(-1)[:, 0].mean().item(), rel=1e-3)
        torch.testing.assert_close(tensors(found), slope[0].double(), rtol=2e-3, atol=2e-4)


def test_the_films_way_between_codes_is_the_labs(page):
    other = [1.0, 0.5, -0.25, 2.0, 0.0, -1.0, 0.5, 0.75]
    found = in_page(
        page, "return given.map((t) => plain(slerp(...t)))", [[Z, other, t / 4] for t in range(5)]
    )
    expected = slerp(torch.tensor(Z), torch.tensor(other), [t / 4 for t in range(5)])
    torch.testing.assert_close(tensors(found), expected.double(), atol=1e-5, rtol=1e-5)
