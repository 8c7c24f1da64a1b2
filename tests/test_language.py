"""The measures of `scripts/check_language.py`."""

import subprocess
from pathlib import Path

import pytest

from scripts import check_language
from scripts.check_language import (
    docstring_figure,
    docstrings_of,
    headless_clauses,
    prose_figures,
    prose_of,
    subject_faults,
)

PAGE = """---
title: nobody
---
# A page

Run `nobody; whoever` with [the options](https://example.com/hears;x), for example:

```python
what_waits = "nobody; somebody"
```

<!-- nobody -->
::: asynctasq.Nobody
    options: {hears: 1}

| a | b; c |
|---|---|

You see &amp; keep <b>text</b>.
"""


def test_prose_is_without_code_tables_comments_and_markup() -> None:
    words = prose_of(PAGE).split()
    assert " ".join(words) == "# A page Run CODE with the options, for example: You see keep text ."


@pytest.mark.parametrize(
    ("sentence", "found"),
    [
        ("A driver says what waits.", 1),
        ("It shows what a task leaves behind.", 1),
        ("See what is stored, and what CODE does.", 2),
        ("Remember what already\nruns.", 1),
        ("What happens when a worker dies", 0),
        ("Say what kind of store you use.", 0),
        ("You decide what to do.", 0),
        ("What is a lease?", 0),
        ("Messages that wait are listed.", 0),
    ],
)
def test_clauses_without_a_head_are_counted(sentence: str, found: int) -> None:
    assert len(headless_clauses(sentence)) == found


def test_figures_are_per_thousand_words_of_all_pages() -> None:
    pages = {"a.md": "You " * 10 + "word " * 489 + "for example; ", "b.md": "word " * 499}
    figures = {figure.name: figure for figure in prose_figures(pages)}
    assert {name: figure.value for name, figure in figures.items()} == {
        'clauses such as "what waits"': 0,
        "semicolons": 1,
        '"you" and "your"': 10,
        '"for example"': 1,
        "unwanted words": 0,
    }
    assert all(figure.is_met for figure in figures.values())


def test_a_missed_figure_names_the_pages() -> None:
    figures = prose_figures({"a.md": "Nobody sees it.", "b.md": "It lists what\nwaits there."})
    missed = {figure.name: figure.places for figure in figures if figure.places}
    assert missed == {
        'clauses such as "what waits"': [("b.md", "what waits there.")],
        "unwanted words": [("a.md", "Nobody")],
    }


SOURCE = '''
"""What a module holds."""

LIMIT = 5
"""Of tasks."""
"not a docstring"


class Queue:
    """A queue."""

    name: str
    """The name."""

    def size(self):
        """Whether it is empty."""
        return "x"


def close():
    "Close the queue."
    LIMIT
    """no docstring"""
'''


def test_docstrings_are_those_of_definitions_and_assignments() -> None:
    assert sorted(docstrings_of(SOURCE)) == [
        "A queue.",
        "Close the queue.",
        "Of tasks.",
        "The name.",
        "What a module holds.",
        "Whether it is empty.",
    ]
    figure = docstring_figure({"queue.py": SOURCE})
    assert figure.value == 50
    assert not figure.is_met
    assert ("queue.py", "Of tasks.") in figure.places


@pytest.mark.parametrize(
    "subject",
    [
        "Add a driver",
        "Redis: keep the outcome",
        "Process results in batches",
        "Feed the watchdog",
        "Embed the logo",
        'Revert "' + "x" * 90 + '"',
        "Merge branch 'main'",
        "A" + "b" * 71,
    ],
)
def test_an_imperative_subject_is_accepted(subject: str) -> None:
    assert subject_faults(subject) == []


@pytest.mark.parametrize(
    ("subject", "fault"),
    [
        ("Added a driver", "imperative such as Add, got 'Added'"),
        ("Adding a driver", "imperative such as Add, got 'Adding'"),
        ("Adds a driver", "imperative such as Add, got 'Adds'"),
        ("Redis: fixes the outcome", "imperative such as Add, got 'fixes'"),
        ("add a driver", "capital letter"),
        ("feat: add a driver", "capital letter"),
        ("Add a driver.", "full stop"),
        ("A" + "b" * 72, "at most 72 characters, got 73"),
        ("", "capital letter"),
    ],
)
def test_faults_of_subjects_are_named(subject: str, fault: str) -> None:
    assert fault in " ".join(subject_faults(subject))


def test_a_commit_message_is_judged_by_its_subject(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "message"
    file.write_text("Add a driver\n\nIt was missing.\n")
    assert check_language.main(["--commit-message", str(file)]) == 0
    file.write_text("Added a driver\n")
    assert check_language.main(["--commit-message", str(file)]) == 1
    assert "must begin with an imperative" in capsys.readouterr().out


def git(folder: Path, *arguments: str) -> None:
    identity = ("-c", "user.name=Ada", "-c", "user.email=ada@example.com")
    subprocess.run(["git", *identity, *arguments], cwd=folder, check=True, capture_output=True)


def commit(folder: Path, *subjects: str) -> None:
    for subject in subjects:
        git(folder, "commit", "--allow-empty", "-m", subject)


@pytest.fixture
def history(tmp_path: Path) -> Path:
    """Create a repository with two commits."""
    (folder := tmp_path / "history").mkdir()
    git(folder, "init", "--initial-branch", "main")
    commit(folder, "Begin", "Add one")
    return folder


def test_subjects_count_since_the_last_release(history: Path) -> None:
    git(history, "tag", "v1.0.0")
    assert check_language.commit_subjects(history) == []
    commit(history, "Add two", "Add three")
    git(history, "tag", "not-a-release")
    assert check_language.commit_subjects(history) == ["Add three", "Add two"]


def test_subjects_count_since_the_first_checked_commit(
    history: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(check_language, "FIRST_CHECKED", "HEAD~1")
    assert check_language.commit_subjects(history) == ["Add one"]


def test_a_shallow_clone_has_all_its_commits_checked(history: Path, tmp_path: Path) -> None:
    commit(history, "Add two")
    git(tmp_path, "clone", "--depth", "2", history.as_uri(), "shallow")
    assert check_language.commit_subjects(tmp_path / "shallow") == ["Add two", "Add one"]


def test_another_history_and_no_history_have_no_subjects(history: Path, tmp_path: Path) -> None:
    assert check_language.commit_subjects(history) == []
    assert check_language.commit_subjects(tmp_path) == []
