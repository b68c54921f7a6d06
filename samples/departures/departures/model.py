"""The model: a sum of learnt weights, readable as JSON and cheap enough to serve without numpy.

A model has terms. A term looks at some of the trip's factors, finds the weight of their values
and, if it has a numeric part, multiplies by it. {"factors": ["weather"], "numeric": "distance_km"}
therefore learns the minutes that a kilometre costs in each weather.
"""

import json
import math

from . import trips

FORMAT = "departures-additive/1"

# (factors, numeric): the terms that training fits.
TERMS = (
    ((), None),
    ((), "distance_km"),
    (("route",), None),
    (("stop",), None),
    (("weather",), None),
    (("weekday",), None),
    (("day", "hour"), None),
    (("route",), "distance_km"),
    (("weather",), "distance_km"),
    (("day", "hour"), "distance_km"),
)


class InvalidModel(ValueError):
    """The bytes are not a model of this format."""


def factor(trip, name):
    """Returns the text of one of a trip's factors; "day" is derived."""
    if name == "day":
        return "weekend" if trips.is_weekend(trip["weekday"]) else "weekday"
    return str(trip[name])


def key(values):
    """Joins the values of a term's factors into the key of its weight."""
    return "|".join(values)


class Model:
    """A loaded model. Immutable, so any number of threads may predict with it."""

    def __init__(self, terms):
        self._terms = terms

    def predict(self, trip):
        """Returns the minutes of delay expected for a parsed trip; never negative.

        A value that training has not seen has no weight.
        """
        day = factor(trip, "day")
        total = 0.0
        for factors, numeric, weights in self._terms:
            name = key([day if f == "day" else str(trip[f]) for f in factors])
            weight = weights.get(name)
            if weight is not None:
                total += weight if numeric is None else weight * trip[numeric]
        return total if total > 0.0 else 0.0


def encode(terms):
    """Returns the artifact: the bytes of a model whose terms are (factors, numeric, weights)."""
    document = {
        "format": FORMAT,
        "terms": [
            {"factors": list(factors), "numeric": numeric, "weights": weights}
            for factors, numeric, weights in terms
        ],
    }
    return json.dumps(document, sort_keys=True, separators=(",", ":")).encode() + b"\n"


def decode(artifact):
    """Returns the Model in the bytes of an artifact; raises InvalidModel when there is none."""
    try:
        document = json.loads(artifact)
        if document["format"] != FORMAT:
            raise InvalidModel(f"format {document['format']!r} is not {FORMAT!r}")
        return Model([_term(entry) for entry in document["terms"]])
    except InvalidModel:
        raise
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise InvalidModel(f"not a {FORMAT} document: {error!r}") from None


def _term(entry):
    factors, numeric = tuple(entry["factors"]), entry["numeric"]
    known = set(trips.FEATURES) | {"day"}
    if not set(factors) <= known or numeric not in (None, "distance_km"):
        raise InvalidModel(f"unknown term {factors} * {numeric}")
    weights = {str(name): float(weight) for name, weight in entry["weights"].items()}
    if not all(map(math.isfinite, weights.values())):
        raise InvalidModel(f"the term {factors} * {numeric} has a weight that is not finite")
    return factors, numeric, weights
