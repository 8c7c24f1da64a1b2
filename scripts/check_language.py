"""Check the language of the repository against the targets of CONTRIBUTING.md.

Measures the prose of README.md and the hand-written pages of docs/ per 1,000 words, the openings of docstrings,
and the subjects of commits. Prints each figure with its target, and exits with 1 if one is missed.

python -m scripts.check_language [--show]
python -m scripts.check_language --commit-message FILE
"""

import argparse
import ast
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent

UNWANTED = (
    "nobody",
    "somebody",
    "anew",
    "besides",
    "for want of",
    "in vain",
    "at the most",
    "all the same",
    "stands in",
    "stands behind",
    "stands twice",
    "is told",
    "tells of",
    "hears",
    "lets go",
    "whoever",
)
"""Words of a private dialect. Source, documents and changelog contain none of them (a test checks this)."""
RARE = ("whatever", "whichever", "are told", "of its own")
"""Words that are fine once. They count toward the figure of unwanted words."""

FEW = 5
"""Places that are shown without --show, if their figure is missed."""
SUBJECT_LENGTH = 72
FIRST_CHECKED = "43cf731"
"""The commit before the rule. Later commits have checked subjects, until a release is tagged."""


class Figure(NamedTuple):
    """One measure, its value, and the range that is allowed."""

    name: str
    value: float
    least: float = 0.0
    most: float = float("inf")
    places: Sequence[tuple[str, str]] = ()
    """The text that counts against the figure, with the name of its file or commit."""

    @property
    def is_met(self) -> bool:
        """True if the value is in the allowed range."""
        return self.least <= self.value <= self.most

    def __str__(self) -> str:
        target = f">= {self.least:g}" if self.least else f"<= {self.most:g}"
        return f"{'ok  ' if self.is_met else 'MISS'}  {self.name:<44} {self.value:>6.2f}  {target}"


# --- prose ---------------------------------------------------------------------------------------

_NOT_PROSE = [
    (re.compile(r"\A---\n.*?\n---\n", re.DOTALL), ""),  # metadata of a page
    (
        re.compile(r"^([ \t]*)(`{3,}|~{3,})[^\n]*\n.*?^\1\2[`~]*[ \t]*$", re.DOTALL | re.MULTILINE),
        "",
    ),
    (re.compile(r"<!--.*?-->", re.DOTALL), ""),
    (re.compile(r"^:::[^\n]*\n(?:(?:[ \t][^\n]*)?\n)*", re.MULTILINE), ""),  # pages of docstrings
    (re.compile(r"^[ \t]*\|[^\n]*$", re.MULTILINE), ""),  # tables
    (re.compile(r"(?<!`)(`+)(?!`).+?(?<!`)\1(?!`)", re.DOTALL), "CODE"),
    (re.compile(r"!?\[([^\]]*)\](?:\([^)]*\)|\[[^\]]*\])"), r"\1"),  # links keep their text
    (re.compile(r"<[^>\n]+>|https?://\S+|&#?\w+;|\{[^}\n]*\}"), " "),
]
_WORD = re.compile(r"[A-Za-z][\w'\u2019-]*")
_YOU = re.compile(r"\b(?:you|your|yours)\b", re.IGNORECASE)
_EXAMPLE = re.compile(r"\bfor example\b|\be\.g\.", re.IGNORECASE)
_SENTENCE_END = re.compile(r"(?<=[.!?:])\s+|\n\s*\n|\n(?=\s*(?:[-*#]|\d+\.)\s)")
# "What" as a noun without a head, "what waits" or "what a task leaves", is followed by a subject or a
# verb. "What happens" and "what kind of" are plain English, and so are questions.
_SUBJECTS = (
    "it they we he she one this that these those the a an each every any another other others CODE "
    "your our its their nobody somebody"
)
_ADVERBS = "else already still only just once now then never always really"
_VERBS = (
    "is are was were has have had can could may might must will would does do did need follow "
    r"\w{2,}s \w{2,}ed"
)
_HEADLESS = re.compile(
    rf"\bwhat\s+(?!happen|kinds?\b|sort\b)(?:(?:{_ADVERBS.replace(' ', '|')})\s+)?"
    rf"(?:{_SUBJECTS.replace(' ', '|')}|{_VERBS.replace(' ', '|')})\b",
    re.IGNORECASE,
)


def phrases(words: Iterable[str]) -> re.Pattern[str]:
    """Return a pattern that finds the words, also across the end of a line or a comment."""
    gap = r"[\s#]+"
    return re.compile(
        rf"\b(?:{'|'.join(gap.join(word.split()) for word in words)})\b", re.IGNORECASE
    )


_COUNTED_WORDS = phrases([*UNWANTED, *RARE])


def prose_of(markdown: str) -> str:
    """Return the sentences of a page: without code, tables, comments, markup and addresses."""
    for pattern, replacement in _NOT_PROSE:
        markdown = pattern.sub(replacement, markdown)
    return markdown


def headless_clauses(prose: str) -> list[str]:
    """Return the clauses such as "what waits" that stand where a noun should, questions excepted."""
    return [
        " ".join(sentence[match.start() :].split())[:60]
        for sentence in _SENTENCE_END.split(prose)
        if not sentence.rstrip().endswith("?")
        for match in _HEADLESS.finditer(sentence)
    ]


def prose_figures(pages: Mapping[str, str]) -> list[Figure]:
    """Measure the prose of pages, given by name, per 1,000 words."""
    prose = "\n\n".join(pages.values())
    words = max(1, len(_WORD.findall(prose)))
    headless = [(name, each) for name, text in pages.items() for each in headless_clauses(text)]
    unwanted = [
        (name, " ".join(each.split()))
        for name, text in pages.items()
        for each in _COUNTED_WORDS.findall(text)
    ]

    def rate(count: int) -> float:
        return 1000 * count / words

    return [
        Figure('clauses such as "what waits"', rate(len(headless)), most=0.7, places=headless),
        Figure("semicolons", rate(prose.count(";")), most=1.1),
        Figure('"you" and "your"', rate(len(_YOU.findall(prose))), least=10),
        Figure('"for example"', rate(len(_EXAMPLE.findall(prose))), least=1),
        Figure("unwanted words", rate(len(unwanted)), most=0.3, places=unwanted),
    ]


def written_pages(root: Path) -> list[Path]:
    """List README.md and the pages of docs/ that no script generates."""
    from scripts.document import PAGES  # imports the package, which pure functions do not need

    pages = sorted((root / "docs").rglob("*.md"))
    return [
        root / "README.md",
        *(page for page in pages if page.relative_to(root / "docs").as_posix() not in PAGES),
    ]


# --- docstrings ----------------------------------------------------------------------------------

_FRAGMENT = re.compile(r"(?:What|Whether|Who|Of|It|Those|The same)\b")


def docstrings_of(source: str) -> Iterator[str]:
    """Yield the docstrings of a module, its classes and functions, and those below assignments."""
    for node in ast.walk(ast.parse(source)):
        body = getattr(node, "body", None)
        if not isinstance(body, list):
            continue
        before: ast.AST | None = None
        for statement in body:
            text = _string(statement)
            if text and isinstance(before or node, _DOCUMENTED if before is None else _ASSIGNED):
                yield text
            before = statement


def _string(statement: ast.AST) -> str:
    """Return the text of a statement that is only a string, and otherwise an empty text."""
    value = statement.value if isinstance(statement, ast.Expr) else None
    is_text = isinstance(value, ast.Constant) and isinstance(value.value, str)
    return ast.literal_eval(value).strip() if value is not None and is_text else ""


_DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
_ASSIGNED = (ast.Assign, ast.AnnAssign)


def docstring_figure(sources: Mapping[str, str]) -> Figure:
    """Return the share of docstrings that begin as a fragment, in percent of those in the modules."""
    every = [(name, text) for name, source in sources.items() for text in docstrings_of(source)]
    fragments = [(name, text.splitlines()[0]) for name, text in every if _FRAGMENT.match(text)]
    share = 100 * len(fragments) / max(1, len(every))
    return Figure("docstrings that begin as a fragment, %", share, most=0.5, places=fragments)


# --- subjects of commits -------------------------------------------------------------------------

_OTHER_FORMS = re.compile(r"\w{2,}(?:ed|ing)|\w+[^s]s", re.IGNORECASE)
_IMPERATIVES = re.compile(
    "bring|bus|canvas|cling|embed|exceed|feed|focus|need|ping|proceed|seed|shed|speed|spring|succeed|"
    "wing|string|bias|alias|discuss",
    re.IGNORECASE,
)
_MADE_BY_GIT = re.compile(r"(?:Merge|Revert|fixup!|squash!|amend!) ")
_AREA = re.compile(r"[A-Z][\w-]*: ")


def subject_faults(subject: str) -> list[str]:
    """Return the faults of the subject of a commit: "Add x" and "Redis: add x" have none."""
    if _MADE_BY_GIT.match(subject):
        return []
    faults: list[str] = []
    if len(subject) > SUBJECT_LENGTH:
        faults.append(f"must have at most {SUBJECT_LENGTH} characters, got {len(subject)}")
    if subject.endswith("."):
        faults.append("must not end with a full stop")
    area = _AREA.match(subject)
    words = subject[area.end() if area else 0 :].split()
    verb = words[0] if words else ""
    if not verb or (area is None and not verb[:1].isupper()):
        faults.append("must begin with a capital letter")
    elif _OTHER_FORMS.fullmatch(verb) and not _IMPERATIVES.fullmatch(verb):
        faults.append(f"must begin with an imperative such as Add, got {verb!r}")
    return faults


def commit_subjects(root: Path) -> list[str]:
    """Return the subjects of the commits since the last release, or since the rule exists.

    In a shallow clone that has neither, these are all of its commits.
    """
    tag = _git(root, "describe", "--tags", "--abbrev=0", "--match", "v[0-9]*")
    if tag is not None:
        since = [f"{tag}..HEAD"]
    elif _git(root, "merge-base", "--is-ancestor", FIRST_CHECKED, "HEAD") is not None:
        since = [f"{FIRST_CHECKED}..HEAD"]
    elif _git(root, "rev-parse", "--is-shallow-repository") == "true":
        since = ["HEAD"]
    else:  # not the history of this project
        return []
    log = _git(root, "log", "--no-merges", "--format=%s", *since)
    return (log or "").splitlines()


def _git(root: Path, *arguments: str) -> str | None:
    """Return the output of a git command, or None if it fails."""
    try:
        done = subprocess.run(
            ["git", *arguments], cwd=root, capture_output=True, text=True, check=False
        )
    except FileNotFoundError:
        return None
    return None if done.returncode else done.stdout.strip()


def subject_figure(subjects: Iterable[str]) -> Figure:
    """Count the subjects of commits that break the rule."""
    every = list(subjects)
    faulty = [
        (subject, " and ".join(faults)) for subject in every if (faults := subject_faults(subject))
    ]
    name = f"faulty commit subjects of {len(every)}"
    return Figure(name, len(faulty), most=0, places=faulty)


# --- command -------------------------------------------------------------------------------------


def repository_figures(root: Path) -> list[Figure]:
    """Measure the repository."""

    def read(paths: Iterable[Path]) -> dict[str, str]:
        return {str(path.relative_to(root)): path.read_text(encoding="utf-8") for path in paths}

    pages = {name: prose_of(text) for name, text in read(written_pages(root)).items()}
    sources = read(sorted(root.glob("asynctasq-*/src/**/*.py")))
    return [
        *prose_figures(pages),
        docstring_figure(sources),
        subject_figure(commit_subjects(root)),
    ]


def main(arguments: list[str]) -> int:
    """Run the command line and return its exit code."""
    parser = argparse.ArgumentParser(description="Check the language of the repository.")
    parser.add_argument(
        "--show", action="store_true", help="print every place that counts against a figure"
    )
    parser.add_argument(
        "--commit-message", metavar="FILE", type=Path, help="check one message instead"
    )
    options = parser.parse_args(arguments)
    if options.commit_message is not None:
        subject, _, _ = options.commit_message.read_text(encoding="utf-8").partition("\n")
        for fault in subject_faults(subject):
            print(f"The subject of the commit {fault}.")
        return bool(subject_faults(subject))
    figures = repository_figures(ROOT)
    for figure in figures:
        print(figure)
        if options.show or (not figure.is_met and len(figure.places) <= FEW):
            for place, text in figure.places:
                print(f"      {place}: {text}")
    if all(figure.is_met for figure in figures):
        return 0
    print(
        "The language misses a target; --show prints the places. See Language in CONTRIBUTING.md."
    )
    return 1


if __name__ == "__main__":
    if not __package__:  # called by its path: `scripts` is not importable then
        sys.path.insert(0, str(ROOT))
    sys.exit(main(sys.argv[1:]))
