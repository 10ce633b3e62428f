import pytest

from pyagent.cli.doctor.findings import parted


@pytest.mark.parametrize(
    ("cause", "remedy"),
    [
        ("cannot run sensors: there is no such program", "apt install lm-sensors"),
        ("cannot read /proc/x: Permission denied", "it needs root, or CAP_SYS_ADMIN"),
        ("cannot write: 403", "the token may not do this: use another one"),
        ("cannot read bond9: No such file or directory; there is no such bond", ""),
        ("cannot read /proc/net/wireless: the kernel has none; it is left out", "remove [[inputs.wireless]]"),
        ("cannot run `bad`: exit status 3; cannot run `hangs`: it took longer than 6 s", ""),
        ("cannot run `bad`: exit status 3; apt install bad; cannot run `hangs`: it took longer than 6 s", ""),
        ("https://a/: 404; https://b/: 500", ""),
        ("cannot read it", ""),
    ],
)
def test_what_follows_a_semicolon_is_a_remedy_where_it_is_something_to_do(cause: str, remedy: str) -> None:
    assert parted(f"{cause}; {remedy}" if remedy else cause) == (cause, remedy)
