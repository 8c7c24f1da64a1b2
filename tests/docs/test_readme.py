"""The README is read on the package index, too: where no file of the repository is beside it."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text()
PLACES = re.compile(r"https://(?:github|raw\.githubusercontent)\.com/[\w-]+/[\w-]+/(?:blob/)?main/")


def addresses() -> list[str]:
    """Return the targets of links and images."""
    return [*re.findall(r"\]\(([^)\s]+)\)", README), *re.findall(r'src="([^"]+)"', README)]


def test_the_package_index_shows_the_readme_of_the_repository() -> None:
    assert (ROOT / "asynctasq-core" / "README.md").read_text() == README


def test_links_and_images_are_absolute() -> None:
    assert not [each for each in addresses() if not each.startswith(("https://", "#"))]


def test_links_into_the_repository_lead_somewhere() -> None:
    inside = [PLACES.sub("", each) for each in addresses() if PLACES.match(each)]
    assert inside
    assert not [each for each in inside if not (ROOT / each.partition("#")[0]).is_file()]
