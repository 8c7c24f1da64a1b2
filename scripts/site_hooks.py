"""The hooks of mkdocs that `mkdocs.yml` names: changes to pages that its plugins do not make."""

import re

LONGEST_WHOLE = 24
"""Characters of code within a sentence that a narrow screen does not break."""
SHORTEST_MESSAGE = 40
"""Characters of code with spaces that may break in any table: it is a sentence rather than a name."""
# An element `pre` with all in it, or code that is in none.
_CODE = re.compile(r"<pre\b.*?</pre>|<code>(?P<text>[^<]*)</code>", re.DOTALL)
_ENTITY = re.compile(r"&\w+;")


def on_page_content(html: str, **_: object) -> str:
    """Mark short names and options (`--task` must not end a line with its dashes), and messages."""
    return _CODE.sub(_marked, html)


def _marked(found: re.Match[str]) -> str:
    text = found["text"]
    if text is None:
        return found[0]
    length = len(_ENTITY.sub("&", text))
    if " " in text and length >= SHORTEST_MESSAGE:
        return f'<code class="message">{text}</code>'
    if length > LONGEST_WHOLE or (" " in text and not text.startswith("-")):
        return found[0]
    return f'<code class="whole">{text}</code>'
