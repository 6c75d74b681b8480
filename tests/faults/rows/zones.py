"""The end of quiet hours as Python's zoneinfo has it, for the days around every change of a zone's clock from 2026 to 2030.

Arguments: minutes from one look to the next, then zones; without zones all of them. A line for each day and window:
zone, from, until, first instant, and how often in a row each answer came ("-" where it is not quiet).
"""

import sys
from datetime import datetime, time, timedelta, timezone
from zoneinfo import ZoneInfo, available_timezones

WINDOWS = [("21:00", "08:00"), ("22:00", "02:30"), ("00:30", "01:15"), ("23:30", "00:00")]
FIRST, LAST = datetime(2026, 1, 1, tzinfo=timezone.utc), datetime(2031, 1, 1, tzinfo=timezone.utc)
DAY = timedelta(days=1)


def days(zone):
    """The days on which the clock changes, with those before and after, and a leap day."""
    found = {datetime(2028, 2, 29, tzinfo=timezone.utc)}
    day = FIRST
    offset = day.astimezone(zone).utcoffset()
    while day < LAST:
        following = (day + DAY).astimezone(zone).utcoffset()
        if following != offset:
            found |= {day - DAY, day, day + DAY}
        day, offset = day + DAY, following
    return sorted(found)


def quiet_until(instant, local, start, end, zone):
    """A local time that is skipped means the offset before the change, one that comes twice the first: fold=0 is both."""
    clock = local.time()
    inside = start <= clock < end if start < end else clock >= start or clock < end
    if not inside:
        return "-"
    date = local.date() + DAY if start > end and clock >= start else local.date()
    moment = int(datetime.combine(date, end, tzinfo=zone).timestamp())
    return str(moment) if moment > instant else "-"


def main():
    step = int(sys.argv[1])
    for name in sys.argv[2:] or sorted(available_timezones()):
        zone = ZoneInfo(name)
        for day in days(zone):
            first = int(day.timestamp())
            instants = range(first, first + 86_400, step * 60)
            looks = [(at, datetime.fromtimestamp(at, zone)) for at in instants]
            for window in WINDOWS:
                start, end = (time.fromisoformat(text) for text in window)
                runs = []
                for at, local in looks:
                    answer = quiet_until(at, local, start, end, zone)
                    if runs and runs[-1][1] == answer:
                        runs[-1][0] += 1
                    else:
                        runs.append([1, answer])
                print(name, *window, first, *(f"{count}:{answer}" for count, answer in runs))


main()
