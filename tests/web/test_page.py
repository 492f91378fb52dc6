"""The explorer page in headless Chromium: everything that a hand, a link or a damaged file can do
to it."""

import re
import runpy
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).parents[2]
WEB = ROOT / "web"
MODELS = ("original", "amnesiac", "control")
Z = [0.5, -1.25, 0.75, 0.0, 2.0, -0.5, 1.0, -2.5]
GOOD = (WEB / "models" / "0" / "amnesiac.safetensors").read_bytes()

pytestmark = pytest.mark.timeout(900)


def pictures(page):
    """The red channel of each model's canvas (3, 784), from 0 to 1."""
    script = """() => Array.from(document.querySelectorAll('#cards canvas'), (canvas) => {
        const { data } = canvas.getContext('2d').getImageData(0, 0, 28, 28);
        return Array.from(data).filter((_, k) => k % 4 === 0);
    })"""
    return torch.tensor(page.evaluate(script)) / 255


def shown(nets, z, c):
    return torch.stack(
        [nets[name].decode(torch.tensor([z]), torch.tensor([c]))[0] for name in MODELS]
    )


def test_a_link_shows_what_it_holds(fresh, address, nets):
    fresh.goto(f"{address}#set=0&from=3&to=8&mix=0.25&z={','.join(map(str, Z))}")
    fresh.locator("#page").wait_for()
    c = [0.75 if k == 3 else 0.25 if k == 8 else 0.0 for k in range(10)]
    torch.testing.assert_close(pictures(fresh), shown(nets, Z, c).detach(), atol=3e-3, rtol=0)
    free = [round(0.1 * k - 0.3, 1) for k in range(10)]
    fresh.evaluate(f"location.hash = 'z={','.join(map(str, Z))}&c={','.join(map(str, free))}'")
    fresh.wait_for_function("document.getElementById('c9').value === '0.6'")
    torch.testing.assert_close(pictures(fresh), shown(nets, Z, free).detach(), atol=3e-3, rtol=0)
    assert fresh.errors == []


def after(page, act):
    """Which of the three pictures change by it, and where the link then leads."""
    before = pictures(page)
    act()
    changed = (pictures(page) != before).any(1).tolist()
    return changed, page.evaluate("location.hash")


def test_each_control_does_what_it_says_by_keyboard_alone(page):
    def press(selector, *keys):
        page.locator(selector).focus()
        for key in keys:
            page.keyboard.press(key)

    every = [True] * 3
    for selector, keys, link in (
        ("#mix", ["Home"], "from=7&to=0&mix=0&"),
        ("#mix", ["ArrowRight"] * 30, "mix=0.3&"),
        ("#from", ["3"], "from=3&"),
        ("#to", ["8"], "to=8&"),
        ("#across", ["ArrowRight"] * 20, "z="),
        ("#up", ["ArrowLeft"] * 20, "z="),
        ("#new", ["Enter"], "z="),
        ("#c5", ["End"], "c=0,0,0,0.7,0,3,0,0,0.3,0"),
        ("#mix", ["End"], "mix=1&"),
    ):
        changed, address = after(page, lambda s=selector, k=keys: press(s, *k))
        assert changed == every, selector
        assert link in address, selector
    assert "c=" not in address  # the mix sets the condition anew
    words = page.locator("#said").inner_text()
    assert re.fullmatch(
        r"original .+ \(\d+ %\), amnesiac .+ \(\d+ %\), control .+ \(\d+ %\)", words
    )
    assert page.errors == []


def test_the_pad_moves_two_axes_of_the_code(page):
    page.locator("#pad").scroll_into_view_if_needed()
    box = page.locator("#pad").bounding_box()

    def drag():
        page.mouse.move(box["x"] + 20, box["y"] + 20)
        page.mouse.down()
        page.mouse.move(box["x"] + 0.75 * box["width"], box["y"] + 0.25 * box["height"], steps=5)
        page.mouse.up()

    changed, _ = after(page, drag)
    assert changed == [True] * 3
    assert [float(page.locator(s).input_value()) for s in ("#across", "#up")] == pytest.approx(
        [1.5, 1.5], abs=0.05
    )


def test_the_film_ends_at_the_other_label_with_another_code(page):
    before = page.evaluate("location.hash")
    page.get_by_role("button", name="Play").click()
    assert page.locator("#play").inner_text() == "Stop"
    page.wait_for_function("document.getElementById('play').textContent === 'Play'")
    assert page.locator("#mix").input_value() == "1"
    link = page.evaluate("location.hash")
    assert "mix=1&" in link
    assert link.partition("&z=")[2] != before.partition("&z=")[2]


def test_the_attack_runs_in_the_page_and_says_what_it_means(page):
    page.get_by_role("button", name="Attack both").click()
    page.locator("#meaning h3").wait_for(timeout=600_000)
    text = page.locator("#results").inner_text()
    own = [float(p) for p in re.findall(r"64 fresh codes: judge's mean P\(0\) ([\d.]+)", text)]
    assert own[0] > 0.5  # the plain label gets about 0.1 from the amnesiac
    assert len(own) == len(re.findall("1000 fresh codes", text)) == 2
    assert "notebook 07" in page.locator("#meaning").inner_text()
    lines = page.locator("#chart .line")
    assert [len(lines.nth(k).get_attribute("points").split()) for k in (0, 1)] == [151, 151]
    taken, link = after(
        page, page.get_by_role("button", name="Put this condition into the sliders").first.click
    )
    assert taken == [True] * 3
    assert "&c=" in link
    assert page.errors == []


def test_nothing_is_asked_of_anybody_else_and_it_is_small(page, address):
    assert page.asked
    assert all(url.startswith((address, "data:")) for url in page.asked)
    files = [WEB / url.removeprefix(address) for url in page.asked if url.startswith(address)]
    size = sum((f / "index.html" if f == WEB else f).stat().st_size for f in files)
    assert size < 4e6
    assert page.errors == []


def test_it_fits_a_phone(page):
    page.set_viewport_size({"width": 390, "height": 844})
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


@pytest.mark.parametrize(
    "link", ["mix=abc", "z=1,2", "to=12", "set=9", "c=1,2,3,4,5,6,7,8,9,x", "%%%"]
)
def test_nonsense_in_a_link_is_one_sentence_and_the_rest_is_shown(fresh, address, link):
    fresh.goto(f"{address}#from=3&{link}")
    fresh.locator("#page").wait_for()
    assert "The link holds what the page cannot use" in fresh.locator("#message").inner_text()
    assert fresh.locator("#from").input_value() == "3"
    fresh.evaluate("location.hash = 'mix=0.1'")
    fresh.wait_for_function("document.getElementById('message').textContent === ''")
    assert fresh.errors == []


@pytest.mark.parametrize(
    ("file", "body", "says"),
    [
        ("0/amnesiac.safetensors", GOOD[:-1000], "it ends before"),
        ("0/amnesiac.safetensors", b"", "its header does not fit"),
        (
            "0/amnesiac.safetensors",
            b"\x10" + bytes(7) + b"no JSON whatever",
            "its header is no JSON",
        ),
        ("0/control.safetensors", GOOD[:-2] + b"\x00\x7c", "is not finite everywhere"),
        ("0/judge.safetensors", GOOD, "holds another network"),
        ("0/about.json", b"{", "is damaged"),
        ("0/about.json", b"{}", "holds no attack on the amnesiac"),
        ("index.json", b"<html>", "is damaged"),
        ("index.json", b"{}", "has to be a list"),
    ],
)
def test_a_damaged_or_foreign_file_is_one_sentence(fresh, address, file, body, says):
    fresh.route(f"**/models/{file}", lambda route: route.fulfill(body=body))
    fresh.goto(address)
    fresh.locator("#message.error").wait_for()
    text = fresh.locator("#message").inner_text()
    assert text.startswith(f"models/{file}")
    assert says in text
    assert not fresh.locator("#page").is_visible()
    assert fresh.errors == []


def test_a_missing_file_is_one_sentence(fresh, address):
    fresh.route("**/quick.safetensors", lambda route: route.fulfill(status=404))
    fresh.goto(address)
    fresh.locator("#message.error").wait_for()
    assert "cannot be fetched (404)" in fresh.locator("#message").inner_text()


def test_a_browser_without_modules_gets_one_sentence(fresh, address):
    """A browser as old as that ignores scripts of type module and runs those marked nomodule."""
    old = (WEB / "index.html").read_text().replace("<script nomodule>", "<script>")
    old = old.replace('type="module"', 'type="unknown"')
    fresh.route(address, lambda route: route.fulfill(body=old, content_type="text/html"))
    fresh.goto(address)
    assert "too old" in fresh.locator("#message").inner_text()


def test_from_disk_the_folder_says_what_to_do_and_the_one_file_works(fresh, nets, tmp_path):
    fresh.goto((WEB / "index.html").as_uri())
    fresh.locator("#message.error").wait_for()
    assert "make page" in fresh.locator("#message").inner_text()
    fresh.errors.clear()
    fresh.asked.clear()
    single = tmp_path / "explorer.html"
    single.write_text(runpy.run_path(str(ROOT / "scripts" / "page.py"))["one_file"](WEB), "utf-8")
    fresh.goto(f"{single.as_uri()}#from=3&to=8&mix=1&z={','.join(map(str, Z))}")
    fresh.locator("#page").wait_for()
    c = torch.eye(10)[8].tolist()
    torch.testing.assert_close(pictures(fresh), shown(nets, Z, c).detach(), atol=3e-3, rtol=0)
    fresh.locator("#mix").press("Home")
    assert "mix=0&" in fresh.evaluate("location.hash")
    assert {url.partition(":")[0] for url in fresh.asked} <= {"file", "data"}
    assert fresh.errors == []
