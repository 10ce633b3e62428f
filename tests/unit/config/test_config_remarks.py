"""What is allowed and probably not meant is told when the configuration is loaded."""

import pytest
from loading import Load


@pytest.mark.parametrize(
    ("name", "text", "remark"),
    [
        (
            "cpu",
            "percpu = false\n  totalcpu = false",
            "the option 'totalcpu' is false, as percpu is; nothing is gathered",
        ),
        ("http", "urls = []", "the option 'urls' is empty; nothing is gathered"),
        ("nginx", "urls = []", "the option 'urls' is empty; nothing is gathered"),
        ("http", "", "the option 'urls' is empty; nothing is gathered"),
    ],
)
def test_an_input_that_can_gather_nothing(load: Load, name: str, text: str, remark: str) -> None:
    (warning,) = load(f"[[inputs.{name}]]\n  {text}\n").warnings
    assert warning.startswith("a.conf:")
    assert warning.endswith(f"inputs.{name}: {remark}")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("cpu", "percpu = false"),
        ("cpu", "totalcpu = false"),
        ("http", "urls = ['http://127.0.0.1:1/']"),
    ],
)
def test_one_that_gathers_is_not_remarked_on(load: Load, name: str, text: str) -> None:
    assert load(f"[[inputs.{name}]]\n  {text}\n").warnings == ()
