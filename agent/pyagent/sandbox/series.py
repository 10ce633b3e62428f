"""Series and their columns, as they are in memory."""

Tags = tuple[tuple[bytes, bytes], ...]


class Series:
    __slots__ = ("checked", "columns", "id", "measurement", "order", "tags")

    def __init__(self, number: int, measurement: bytes, tags: Tags) -> None:
        self.id = number
        self.measurement = measurement
        self.tags = tags
        self.order = (measurement, tags)
        self.columns: dict[tuple[bytes, str], int] = {}
        self.checked: dict[tuple[int, bytes, str], int] = {}


class Column:
    """One field of one series with one type: what a read names."""

    __slots__ = ("field", "id", "series", "type")

    def __init__(self, number: int, series: Series, field: bytes, kind: str) -> None:
        self.id = number
        self.series = series
        self.field = field
        self.type = kind
