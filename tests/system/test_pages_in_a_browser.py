"""The embedded server's pages in a real browser: a person walks from the set-up to the chart while a real agent writes."""

import asyncio
import math
import os
import re
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from agent_process import DEADLINE, running

from pyagent.sandbox import Sandbox

pytest.importorskip("playwright", reason="playwright is missing: pip install playwright")
from axe_playwright_python.base import AXE_FILE_PATH
from playwright.async_api import Browser, BrowserContext, Page, async_playwright, expect

PASSWORD = "correct horse"
MARKUP = "<img src=x onerror=alert(1)>"
AXE = Path(AXE_FILE_PATH).read_text()
expect.set_options(timeout=DEADLINE * 1000)
pytestmark = pytest.mark.timeout(600)


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Sandbox]:
    async with Sandbox(agents=tmp_path / "run") as made:
        yield made


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    program = shutil.which("chromium")
    if program is None:
        reason = "Chromium is missing: apt-get install chromium"
        if os.environ.get("PYAGENT_REQUIRE_SERVERS") == "1":
            pytest.fail(reason)
        pytest.skip(reason)
    async with async_playwright() as playwright:
        # As root, as in continuous integration, Chromium has no sandbox of its own.
        sandbox = ["--no-sandbox"] if os.geteuid() == 0 else []
        made = await playwright.chromium.launch(executable_path=program, args=sandbox)
        yield made
        await made.close()


@pytest.fixture
async def context(browser: Browser, server: Sandbox) -> AsyncIterator[BrowserContext]:
    """Fails where a page's code fails, where the policy refuses something, or where another server is asked."""
    made = await browser.new_context(base_url=server.url, viewport={"width": 1200, "height": 900})
    made.set_default_timeout(DEADLINE * 1000)
    wrong: list[str] = []
    made.on("weberror", lambda error: wrong.append(str(error.error)))
    made.on(
        "console",
        lambda message: wrong.append(message.text) if "Content Security Policy" in message.text else None,
    )
    made.on("request", lambda asked: None if asked.url.startswith((server.url, "blob:")) else wrong.append(asked.url))
    yield made
    await made.close()
    assert not wrong


@pytest.fixture
async def page(context: BrowserContext) -> Page:
    return await context.new_page()


async def set_up(page: Page, server: Sandbox) -> None:
    await page.goto("/")
    await page.get_by_label("Username").fill("admin")
    await page.get_by_label("Password").fill(PASSWORD)
    await page.get_by_role("button", name="Set up").click()
    await expect(page.get_by_role("heading", name="Data Explorer")).to_be_visible()


async def sign_in(page: Page) -> None:
    await page.get_by_label("Username").fill("admin")
    await page.get_by_label("Password").fill(PASSWORD)
    await page.get_by_role("button", name="Sign in").click()


async def accessible(page: Page) -> None:
    """axe-core finds nothing, in light and in dark."""
    for scheme in ("light", "dark"):
        await page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
        await page.evaluate(AXE)
        found: Any = await page.evaluate("axe.run({resultTypes: ['violations']})")
        assert not [
            (one["id"], node["html"], node["failureSummary"]) for one in found["violations"] for node in one["nodes"]
        ], scheme


async def holds(page: Page, expression: str, given: object = None) -> None:
    """Returns when it does. It is asked from here: in the page, its policy lets no text be evaluated a second time."""
    async with asyncio.timeout(30):
        while not await page.evaluate(expression, given):
            await asyncio.sleep(0.05)


async def fits_a_phone(page: Page) -> None:
    before = page.viewport_size
    assert before is not None
    await page.set_viewport_size({"width": 360, "height": 740})
    # A chart is drawn anew for its new width a moment later. Raises where it never fits.
    await holds(page, "document.documentElement.scrollWidth <= 360")
    await page.set_viewport_size(before)


async def test_from_the_set_up_to_the_chart_of_a_real_agent(page: Page, server: Sandbox, tmp_path: Path) -> None:
    """The tutorial: set-up, configuration, the two lines, Listen for Data, the chart."""
    await page.goto("/")
    await expect(page.get_by_label("Username")).to_be_focused()
    await accessible(page)
    await fits_a_phone(page)
    await page.get_by_label("Username").fill("admin")
    await page.get_by_label("Password").fill("short")
    await page.keyboard.press("Enter")
    assert not server.is_set_up
    await page.get_by_label("Password").fill(PASSWORD)
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("heading", name="Data Explorer")).to_be_focused()

    # The configuration: bucket, plugin, its options; mistakes are told before anything is stored.
    await page.get_by_role("link", name="Create configuration").click()
    await expect(page.get_by_role("heading", name="Create configuration")).to_be_focused()
    await page.get_by_label("Find a plugin").fill("memory")
    await expect(page.get_by_role("button", name="postgresql")).to_be_hidden()
    await page.get_by_role("button", name=re.compile("^mem ")).click()
    await expect(page.get_by_label("Name", exact=True)).to_have_value("mem")
    await page.get_by_label("collect_extended").select_option("true")
    text = page.get_by_label("Text")
    await expect(text).to_have_value(re.compile(r"\n  collect_extended = true\n"))
    await accessible(page)
    await fits_a_phone(page)
    quick = (await text.input_value()).replace('interval = "10s"', 'interval = "1s"')
    await text.fill(quick.replace("[[inputs.mem]]", "[[inputs.memm]]"))
    await page.get_by_role("button", name="Save and Test").click()
    await expect(page.get_by_role("alert")).to_contain_text("did you mean 'mem'?")
    assert not list(server.state.documents.all("telegrafs"))
    await text.fill(quick)
    await page.get_by_label("Name", exact=True).fill(MARKUP)
    await page.get_by_role("button", name="Save and Test").click()

    # Two lines to paste; then it listens, and says what arrives.
    await expect(page.get_by_role("heading", name=f"Run {MARKUP}")).to_be_focused()
    lines = await page.get_by_label("Lines for the host").inner_text()
    token, url = re.fullmatch(r"export INFLUX_TOKEN=(\S+)\npyagent --config (\S+)", lines).groups()  # type: ignore[union-attr]
    await page.get_by_role("button", name="Listen for Data").click()
    await expect(
        page.get_by_role("status").filter(has_text="Waiting for data in the bucket monitoring-system")
    ).to_be_visible()
    await accessible(page)
    await fits_a_phone(page)
    runtime = tmp_path / "run" / "ram"
    runtime.mkdir(parents=True)
    async with running("--config", url, "--runtime-directory", str(runtime), environ={"INFLUX_TOKEN": token}):
        arrived = page.get_by_role("status").filter(has_text="Data arrives in the bucket monitoring-system")
        await expect(arrived).to_contain_text("mem from")
        await page.get_by_role("link", name="Show it in the Data Explorer").click()
        chart = page.get_by_role("img", name=re.compile(r"mem used host=\S+ [0-9.]+ [GMT]B"))
        await expect(chart).to_be_visible()
        points = int(await chart.get_attribute("data-points") or 0)
        assert points > 0
        # It goes on by itself.
        await holds(page, "points => Number(document.querySelector('.chart').dataset.points) > points", points)
        await page.get_by_role("link", name="Agents").click()
        agent = page.get_by_role("region", name="ram")
        await expect(agent).to_contain_text("All is well.")
        assert await agent.evaluate(
            "section => [...section.childNodes].every(one => one.nodeType === Node.ELEMENT_NODE)"
        )
        metrics = agent.get_by_role("row", name="inputs.mem").get_by_role("cell").first
        assert int(await metrics.inner_text()) > 0
        before = await metrics.inner_text()
        await holds(page, "before => document.querySelector('section td').textContent !== before", before)
        await accessible(page)
        await fits_a_phone(page)
    await expect(agent).to_contain_text("cannot ask the agent: it does not run any more")  # it was killed
    (runtime / "control.sock").unlink()
    await expect(page.get_by_text("No agent runs on this host")).to_be_visible()
    await page.go_back()
    await expect(page.get_by_role("row", name="mem used host=")).to_be_visible()
    await accessible(page)
    await fits_a_phone(page)


async def test_what_is_chosen_is_in_the_address_and_the_flux_text(page: Page, server: Sandbox) -> None:
    await set_up(page, server)
    server._recall()
    now = server.state.clock() // 10**9
    lines = [f"a\\ b,host={host},ro\\om=x f={n},g={n}i {now - n}" for n in range(5) for host in ("one", "two")]
    lines += [f"m{MARKUP.replace(' ', chr(92) + ' ')} f=1 {now}", 'q"${x} f=1 ' + str(now)]
    await server.write("\n".join(lines), "s")
    await page.reload()
    choice = page.get_by_label("Measurement")
    await choice.select_option("a b")
    await expect(page.get_by_role("img", name="a b f")).to_be_visible()
    await page.get_by_label("g", exact=True).check()
    await page.get_by_label("f", exact=True).uncheck()
    await page.get_by_label("tag host").select_option("two")
    await page.get_by_label("Function").select_option("max")
    await page.get_by_label("Range").select_option("1h")
    await expect(page.get_by_role("row", name="a b g host=two")).to_be_visible()
    await expect(page.get_by_role("row", name="host=one")).to_have_count(0)
    await page.get_by_text("Flux", exact=True).click()
    await expect(page.get_by_label("Flux")).to_have_value(
        'from(bucket: "monitoring-system")\n  |> range(start: -1h)\n  |> filter(fn: (r) => r["_measurement"] == "a b")\n'
        '  |> filter(fn: (r) => r["_field"] == "g")\n  |> filter(fn: (r) => r["host"] == "two")\n'
        "  |> aggregateWindow(every: 10s, fn: max, createEmpty: false)"
    )
    await page.get_by_role("button", name="Raw CSV").click()
    await expect(page.get_by_label("Raw CSV")).to_contain_text("#datatype,string,long,")
    async with page.expect_download() as download:
        await page.get_by_role("button", name="Download CSV").click()
    assert "#datatype" in (await (await download.value).path()).read_text()

    # Somebody else opens the link: signs in, and sees the same.
    link = await page.get_by_role("link", name="Link to this view").get_attribute("href")
    assert link is not None
    await page.get_by_role("button", name="Sign out").click()
    await expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    await page.goto("about:blank")
    await page.goto(link)
    await sign_in(page)
    await expect(page.get_by_role("row", name="a b g host=two")).to_be_visible()
    await expect(page.get_by_label("tag host")).to_have_value("two")

    # Names are text, whatever they hold.
    for name in (f"m{MARKUP}", 'q"${x}'):
        await page.get_by_label("Measurement").select_option(name)
        await expect(page.get_by_role("row", name=f"{name} f")).to_be_visible()

    # A script of one's own, and its mistakes.
    await page.get_by_text("Flux", exact=True).click()
    await page.get_by_label("Flux").fill('from(bucket: "nope") |> range(start: -1h)')
    await page.get_by_role("button", name="Run this text").click()
    await expect(page.get_by_role("alert")).to_contain_text('could not find bucket "nope"')
    await page.get_by_label("Flux").fill('import "array" array.from(rows: [{_time: now(), _value: 42.5}])')
    await page.get_by_role("button", name="Run this text").click()
    await expect(page.get_by_role("row", name="42.5")).to_be_visible()
    await expect(page.get_by_role("alert")).to_have_count(0)
    await page.get_by_role("button", name="Back to the choices").click()
    await expect(page.get_by_label("Measurement")).to_be_enabled()


async def test_a_session_that_ended_leads_to_the_form_and_back(page: Page, server: Sandbox) -> None:
    await set_up(page, server)
    server._recall()
    await server.write("m f=1")
    await expect(page.get_by_role("row", name="m f")).to_be_visible()
    server.state.sessions.clear()
    await page.get_by_label("Range").select_option("6h")
    await expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    await page.get_by_label("Username").fill("admin")
    await page.get_by_label("Password").fill("wrong password")
    await page.get_by_role("button", name="Sign in").click()
    await expect(page.get_by_role("alert")).to_contain_text("username or password is wrong")
    await sign_in(page)
    await expect(page.get_by_role("row", name="m f")).to_be_visible()
    await expect(page.get_by_label("Range")).to_have_value("6h")


async def test_buckets_and_files_for_them_by_keyboard_choice_and_drop(page: Page, server: Sandbox) -> None:
    await set_up(page, server)
    await page.get_by_role("link", name="Buckets").focus()
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("heading", name="Buckets")).to_be_focused()
    await accessible(page)
    await fits_a_phone(page)
    await page.get_by_label("Name").fill(MARKUP)
    await page.get_by_label("Keep data").select_option("7 days")
    await page.get_by_label("Keep data").press("Tab")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("row", name=f"{MARKUP} 7 days")).to_be_visible()
    await page.get_by_label("Name").fill("_no")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("alert")).to_contain_text("cannot create the bucket _no: ")

    await page.get_by_label("Into the bucket").select_option("monitoring-system")
    annotated = (
        "#group,false,false,false,false,true,true\n#datatype,string,long,dateTime:RFC3339,double,string,string\n"
    )
    annotated += "#default,_result,,,,,\n,result,table,_time,_value,_field,_measurement\n"
    annotated += ",,0,2026-01-02T00:00:00Z,1.5,f,chosen\n,,0,2026-01-02T00:00:01Z,x,f,chosen\n"
    await page.get_by_label("Files").set_input_files(
        [{"name": "a.csv", "mimeType": "text/csv", "buffer": annotated.encode()}]
    )
    said = page.get_by_role("region", name="Upload").get_by_role("status")
    await expect(said).to_contain_text("a.csv: 1 line written to monitoring-system, 1 refused")
    await expect(said).to_contain_text("line 6: ")
    await page.evaluate(
        """name => {
          const data = new DataTransfer();
          data.items.add(new File(["dropped f=1"], name));
          document.querySelector(".drop").dispatchEvent(new DragEvent("drop", {dataTransfer: data, bubbles: true}));
        }""",
        f"{MARKUP}.lp",
    )
    await expect(said).to_contain_text(f"{MARKUP}.lp: 1 line written")
    server._recall()
    assert (await server.count("chosen"), await server.count("dropped")) == (1, 1)

    # Deleted is only what was asked for, and Escape is no.
    delete = page.get_by_role("button", name=f"Delete {MARKUP}")
    await delete.click()
    await expect(page.get_by_role("button", name="Cancel")).to_be_focused()
    await accessible(page)
    await page.keyboard.press("Escape")
    await expect(page.get_by_role("row", name=MARKUP)).to_be_visible()
    await delete.click()
    await page.get_by_role("button", name="Delete it").click()
    await expect(page.get_by_role("row", name=MARKUP)).to_have_count(0)
    await expect(page.get_by_role("row", name="monitoring-system")).to_be_visible()


async def test_the_pictures_of_the_documentation(page: Page, server: Sandbox, tmp_path: Path) -> None:
    """PYAGENT_PICTURES=docs/images makes them anew."""
    folder = Path(os.environ.get("PYAGENT_PICTURES") or tmp_path)
    await page.set_viewport_size({"width": 1000, "height": 640})
    await set_up(page, server)
    server._recall()
    now = server.state.clock() // 10**9 // 10 * 10
    used = [(now - age, int(4.2e9 + 3e8 * math.sin(age / 90) + 5e5 * (900 - age))) for age in range(900, 0, -10)]
    await server.write("\n".join(f"mem,host=web-1 used={value}i {time}" for time, value in used), "s")
    await expect(page.get_by_role("row", name="mem used host=web-1 4")).to_be_visible()
    await page.screenshot(path=folder / "data-explorer.png")
    await page.get_by_role("link", name="Create configuration").click()
    await page.get_by_role("button", name="postgresql").click()
    await expect(page.get_by_label("address", exact=True)).to_be_visible()
    await page.screenshot(path=folder / "create-configuration.png")
    for name in ("data-explorer", "create-configuration"):
        assert (folder / f"{name}.png").stat().st_size > 10_000


HOSTILE = """
async url => {
  const tried = await Promise.all([
    fetch(url + '/api/v2/setup', {credentials: 'include'}).then(r => r.text()).catch(() => 'refused'),
    fetch(url + '/api/v2/buckets', {credentials: 'include'}).then(r => r.text()).catch(() => 'refused'),
    fetch(url + '/api/v2/write?org=home&bucket=monitoring-system', {
      method: 'POST', body: 'evil f=1', mode: 'no-cors', credentials: 'include'}).then(r => r.type),
  ]);
  const frame = document.createElement('iframe');
  const loaded = new Promise(done => frame.addEventListener('load', done));
  frame.src = url + '/';
  document.body.append(frame);
  await loaded;
  return tried;
}
"""


async def test_another_site_in_the_same_browser_reads_and_writes_nothing(browser: Browser, server: Sandbox) -> None:
    async with Sandbox() as other:  # another port of this machine: the same site to a browser, which so adds the cookie
        context = await browser.new_context(base_url=server.url)
        page = await context.new_page()
        await set_up(page, server)
        server._recall()
        hostile = await context.new_page()
        await hostile.goto(f"{other.url}/health")
        setup, read, _ = await hostile.evaluate(HOSTILE, server.url)
        assert (setup, read) == ("refused", "refused")
        framed = hostile.frames[1]
        assert await framed.locator("header").count() == 0
        assert await server.count() == 0
        await context.close()
