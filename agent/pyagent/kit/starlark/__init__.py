"""Starlark, the language of Telegraf's scripts: a small Python without files, network, classes, exceptions and endless loops.

A script becomes Python code that can call nothing but what is in this package (`compiler`), so that a metric is an object of
the script: nothing is converted on the way in and out. Each call has a bound of time and of memory (`values.Budget`).
"""

__all__: list[str] = []
