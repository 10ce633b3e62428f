fill = _fillTable
