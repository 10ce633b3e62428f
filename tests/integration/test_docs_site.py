"""docs/ as a site: built with every warning an error, complete, and asking no other host for anything."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

MKDOCS = [sys.executable, "-m", "mkdocs", "build", "--strict"]  # with --quiet it does not count warnings
ENVIRON = os.environ | {"NO_MKDOCS_2_WARNING": "1"}


def build(config: Path, site: Path) -> subprocess.CompletedProcess[str]:
    command = [*MKDOCS, "--config-file", str(config), "--site-dir", str(site)]
    return subprocess.run(command, env=ENVIRON, capture_output=True, text=True, timeout=120)


@pytest.fixture(scope="module")
def site(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    done = build(root / "mkdocs.yml", folder)
    assert done.returncode == 0, done.stderr
    return folder


def test_every_page_is_in_the_navigation(site: Path, root: Path) -> None:
    start = (site / "index.html").read_text()
    navigation = set(re.findall(r'href="?([^" >#]+\.html)"?[^>]*class="?md-nav__link', start))
    pages = {str(page.relative_to(root / "docs").with_suffix(".html")) for page in (root / "docs").rglob("*.md")}
    assert pages - {"index.html"} <= navigation | {"index.html"}


def test_no_page_is_in_the_navigation_twice(root: Path) -> None:
    named = re.findall(r"^ +- .*?([\w/.-]+\.md)$", (root / "mkdocs.yml").read_text(), re.MULTILINE)
    assert len(named) > 15
    assert sorted(named) == sorted(set(named))


def test_no_page_loads_anything_from_elsewhere(site: Path) -> None:
    loads = re.compile(
        r"<(?:script|img|iframe|link|source|video|audio|object|embed)\b[^>]*?(?:src|href|data)=\"?(?:https?:)?//[^>]*>"
    )
    assert not [(page.name, found) for page in site.rglob("*.html") for found in loads.findall(page.read_text())]
    outside = re.compile(r"(?:url\(|@import)\s*[\"']?(?:https?:)?//[^)\s]*")
    assert not [(style.name, found) for style in site.rglob("*.css") for found in outside.findall(style.read_text())]


def test_broken_links_and_forgotten_pages_fail_the_build(root: Path, tmp_path: Path) -> None:
    shutil.copy(root / "mkdocs.yml", tmp_path)
    shutil.copytree(root / "scripts", tmp_path / "scripts")
    shutil.copytree(root / "docs", tmp_path / "docs")
    page = tmp_path / "docs/index.md"
    links = ("nowhere.md", "query.md#no-such-part", "#no-such-part-here", "../README.md")
    page.write_text(page.read_text() + "".join(f"\n[x]({link})\n" for link in links))
    (tmp_path / "docs/forgotten.md").write_text("# Forgotten\n")
    done = build(tmp_path / "mkdocs.yml", tmp_path / "site")
    assert done.returncode != 0
    warned = [line for line in done.stderr.splitlines() if "WARNING" in line]
    assert all(any(link in line for line in warned) for link in links), warned
    assert "forgotten.md" in done.stderr


@pytest.fixture
def built(site: Path) -> list[str]:
    """The addresses of the pages; 404.html is for servers."""
    return sorted(page.as_uri() for page in site.glob("[a-z]*.html"))


async def test_a_browser_asks_for_files_of_the_site_alone(site: Path, built: list[str]) -> None:
    pytest.importorskip("playwright", reason="playwright is missing: pip install playwright")
    from playwright.async_api import async_playwright

    program = shutil.which("chromium")
    if program is None:
        reason = "Chromium is missing: apt-get install chromium"
        if os.environ.get("PYAGENT_REQUIRE_SERVERS") == "1":
            pytest.fail(reason)
        pytest.skip(reason)
    asked: list[str] = []
    async with async_playwright() as playwright:
        sandbox = ["--no-sandbox"] if os.geteuid() == 0 else []
        browser = await playwright.chromium.launch(executable_path=program, args=sandbox)
        page = await browser.new_page(offline=True)
        page.on("request", lambda request: asked.append(request.url))
        for uri in built:
            await page.goto(uri, wait_until="load")
        await browser.close()
    assert asked
    assert not [url for url in asked if not url.startswith((site.as_uri(), "data:", "blob:"))]
