"""Reads from the feed which trips have departed, and how late they were."""

import json
import sys
import urllib.parse

from . import artifacts, trips

PAGE = 1000


def follow(feed_url, observe, stop, interval_s=0.5):
    """Hands (id, minutes of delay) of each departure to `observe` until `stop` is set.

    It begins with what departs from now on. A feed that is away is asked again, and what departed
    meanwhile is read later.
    """
    cursor, failing = "now", False
    while not stop.is_set():
        try:
            query = urllib.parse.urlencode({"since": cursor, "limit": PAGE})
            answer = json.loads(artifacts.get(f"{feed_url.rstrip('/')}/departed?{query}", 5.0))
            departed = [(entry["id"], float(entry[trips.OUTCOME])) for entry in answer["departed"]]
            cursor, failing = answer["next"], False
        except (artifacts.ArtifactError, ValueError, KeyError, TypeError) as error:
            if not failing:
                print(f"no outcomes: {error}", file=sys.stderr, flush=True)
            departed, failing = [], True
        for identity, delay in departed:
            observe(identity, delay)
        if len(departed) < PAGE:
            stop.wait(interval_s)
