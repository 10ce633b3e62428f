"""Files of CSV and line protocol to line protocol, and that to a server: for the command `pyagent write`.

From the bytes to the server: `sources` (blocks of UTF-8), `cells` (records of CSV), `annotations` (what the columns are),
`columns` and `values` (one row to one line), `csv_lines` and `lp_lines` (blocks to pieces of line protocol), `inference` (what
the columns of a CSV without annotations are), `delivery` (pieces to the server), `resume` and `rejects` (what outlasts a
break).
"""
