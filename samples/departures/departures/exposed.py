"""The metrics that the serving pods expose, and their bucket bounds.

Training builds its profile with these very bounds, so that what a monitor scrapes can be compared
with what the model was trained on, bucket by bucket. Bounds are upper and inclusive, as
Prometheus' `le`; +Inf is implied.
"""

DISTANCE = "feature_distance_km"
DISTANCE_BOUNDS = (1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 10.0, 12.0, 15.0, 20.0)

PREDICTED = "predicted_minutes"
PREDICTED_BOUNDS = (0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 3.5, 4.0, 5.0, 6.0, 8.0, 12.0)

# Absolute error in minutes, observed when the outcome is known.
ERROR = "prediction_error"
ERROR_BOUNDS = (0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 7.5, 10.0, 15.0)
ERROR_SQUARES = "prediction_error_squares_total"

WEATHER = "feature_weather_total"
WEATHER_LABEL = "value"
# Weathers that the sample does not know share one label value: a client can't add series at will.
WEATHER_OTHER = "other"

# Every request for a prediction, answered or not; and those of them that got no prediction.
PREDICTIONS = "predictions_total"
FAILURES = "prediction_failures_total"
