"""The words for true and false that Go's `strconv.ParseBool` reads: in options, flags and expressions."""

__all__ = ["BOOLEANS"]

BOOLEANS = dict.fromkeys(("1", "t", "T", "TRUE", "true", "True"), True)
BOOLEANS |= dict.fromkeys(("0", "f", "F", "FALSE", "false", "False"), False)
