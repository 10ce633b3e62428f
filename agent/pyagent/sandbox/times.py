"""The calendar for any 64-bit number of nanoseconds; datetime starts at the year 1 and counts microseconds."""

DAY = 86400 * 10**9


def go_duration(ns: int) -> str:
    """A duration of whole seconds as Go prints it: 1h0m0s."""
    seconds = ns // 10**9
    hours, minutes = seconds // 3600, seconds // 60 % 60
    return (f"{hours}h" if hours else "") + (f"{minutes}m" if hours or minutes else "") + f"{seconds % 60}s"


def rfc3339(ns: int) -> str:
    """A time (ns since the epoch) in UTC, the fraction without trailing zeros."""
    seconds, fraction = divmod(ns, 10**9)
    days, second = divmod(seconds, 86400)
    year, month, day = date_of(days)
    text = f"{year:04d}-{month:02d}-{day:02d}T{second // 3600:02d}:{second // 60 % 60:02d}:{second % 60:02d}"
    return text + (f".{fraction:09d}".rstrip("0") if fraction else "") + "Z"


def date_of(days: int) -> tuple[int, int, int]:
    """Year, month and day of a number of days since the epoch, for any year; datetime ends at 9999 and starts at 1."""
    days += 719468
    era, of_era = divmod(days, 146097)
    year_of_era = (of_era - of_era // 1460 + of_era // 36524 - of_era // 146096) // 365
    of_year = of_era - (365 * year_of_era + year_of_era // 4 - year_of_era // 100)
    shifted = (5 * of_year + 2) // 153
    month = shifted + 3 if shifted < 10 else shifted - 9
    return era * 400 + year_of_era + (month <= 2), month, of_year - (153 * shifted + 2) // 5 + 1


def days_in_month(year: int, month: int) -> int:
    leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
    return (31, 29 if leap else 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)[month - 1]


def days_of(year: int, month: int, day: int) -> int:
    """Days since the epoch."""
    year -= month <= 2
    era, of_era = divmod(year, 400)
    of_year = (153 * (month + (-3 if month > 2 else 9)) + 2) // 5 + day - 1
    return era * 146097 + of_era * 365 + of_era // 4 - of_era // 100 + of_year - 719468


def civil(time: int) -> tuple[int, int, int, int]:
    """Year, month, day and the ns within the day."""
    days, rest = divmod(time, DAY)
    return (*date_of(days), rest)
