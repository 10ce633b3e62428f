"""Which lines belong together, as Telegraf's processLine has it."""

import re

from hypothesis import given
from hypothesis import strategies as st

from pyagent.kit.regex import compile_regex
from pyagent_plugins.inputs.tail.multiline import Multiline, MultilineOptions


def reference(lines: list[str], *, following: bool, inverted: bool, joint: str, quote: str) -> list[str]:
    """Events; what waits in the end is the last one."""
    events, buffer, in_quote = [], "", False
    for text in lines:
        odd = quote and len(re.findall(re.escape(quote), re.sub(r"\\.", "", text))) % 2 == 1
        in_quote ^= bool(odd)
        if in_quote or (re.search("^-", text) is not None) != inverted:
            buffer += (joint if buffer else "") + text
        elif not following:
            events.append(buffer)
            buffer = text
        elif buffer:
            events.append(buffer + joint + text)
            buffer = ""
        else:
            events.append(text)
    return [event for event in (*events, buffer) if event]


# No empty ones: Telegraf does not tell an empty line that waits from none. No backslash in the end, before no character.
LINES = st.lists(
    st.text(alphabet='-a"', min_size=1, max_size=4) | st.sampled_from(['\\"x', '\\\\"', "- b"]), max_size=8
)


@given(LINES, st.booleans(), st.booleans(), st.booleans(), st.booleans())
def test_any_lines(lines: list[str], following: bool, inverted: bool, newlines: bool, quoted: bool) -> None:
    options = MultilineOptions(
        pattern="^-",
        match_which_line="NEXT" if following else "Previous",
        invert_match=inverted,
        preserve_newline=newlines,
        quotation="double-quotes" if quoted else "ignore",
    )
    multiline = Multiline(options, compile_regex("^-"))
    found = []
    for number, line in enumerate(lines):
        event = multiline.add(line, number)
        if event is not None:
            found.append(event)
        if multiline.waits:
            assert 0 <= multiline.begin <= number
    if (rest := multiline.flush()) is not None:
        found.append(rest)
    wanted = reference(
        lines, following=following, inverted=inverted, joint="\n" if newlines else "", quote='"' if quoted else ""
    )
    assert found == wanted
