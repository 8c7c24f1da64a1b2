"""The hooks of mkdocs that `mkdocs.yml` names: changes to pages that its plugins do not make."""

import re

LONGEST_WHOLE = 24
"""Characters of code within a sentence that a narrow screen does not break."""
# An element `pre` with all in it, or code that is in none.
_CODE = re.compile(r"<pre\b.*?</pre>|<code>(?P<text>[^<]*)</code>", re.DOTALL)
_ENTITY = re.compile(r"&\w+;")


def on_page_content(html: str, **_: object) -> str:
    """Mark the short names and options among the text: `--task` must not end a line with its dashes."""
    return _CODE.sub(_marked, html)


def _marked(found: re.Match[str]) -> str:
    text = found["text"]
    if text is None or len(_ENTITY.sub("&", text)) > LONGEST_WHOLE:
        return found[0]
    if " " in text and not text.startswith("-"):
        return found[0]
    return f'<code class="whole">{text}</code>'
