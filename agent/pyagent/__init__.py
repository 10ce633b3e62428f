"""pyagent: a Python-native, Telegraf-compatible collection agent.

Only the version lives here: importing the package must cost nothing (`pyagent --version` has a budget of 60 ms).
"""

__version__ = "0.1.0"
