"""What several plugins share and is no contract: each is a module of its own, imported only by plugins that need it.

    from pyagent.kit.globpath import match_files

`docs/writing-plugins.md` names them all, with an example of each. A plugin imports `pyagent.api`, the contract, and
`pyagent.kit`; both follow semantic versioning.
"""
