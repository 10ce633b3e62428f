import "date"

// The last day of that number (Sunday: 0) before today, moved by an offset; today itself counts as a week ago.
_day = (number, offset=0h) => {
    from = if int(v: offset) != 0 then date.add(d: offset, to: today()) else today()
    current = date.weekDay(t: from)
    back =
        if current == date.Sunday then 7 - number
        else if number >= current then 7 - (number - current)
        else current - number
    distance = if current == number then date.scale(d: 1w, n: 1) else date.scale(d: 1d, n: back)
    return date.truncate(t: date.sub(d: distance, from: from), unit: 1d)
}
_of = (number) => {
    start = _day(number: number)
    return {start: start, stop: date.add(d: 1d, to: start)}
}
yesterday = () => ({start: date.sub(d: 1d, from: today()), stop: today()})
monday = () => _of(number: 1)
tuesday = () => _of(number: 2)
wednesday = () => _of(number: 3)
thursday = () => _of(number: 4)
friday = () => _of(number: 5)
saturday = () => _of(number: 6)
sunday = () => _of(number: 0)
month = (month_offset=0) => {
    start = date.add(d: date.scale(d: 1mo, n: month_offset), to: date.truncate(t: today(), unit: 1mo))
    return {start: start, stop: date.add(d: 1mo, to: start)}
}
week = (week_offset=0, start_sunday=false) => {
    number = if start_sunday then 0 else 1
    found = _day(number: number, offset: date.scale(d: 1w, n: week_offset))
    start = if date.weekDay(t: today()) == date.weekDay(t: found) then date.add(d: 1w, to: found) else found
    return {start: start, stop: date.add(d: 1w, to: start)}
}
