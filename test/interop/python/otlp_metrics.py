"""Reads an export request for metrics in OTLP's JSON from standard input; tells what is in it."""

import json
import sys

from google.protobuf.json_format import Parse
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)


def attributes(pairs):
    return {pair.key: pair.value.string_value for pair in pairs}


def point(kind, data):
    is_histogram = kind == "histogram"
    value = data.count if is_histogram else getattr(data, data.WhichOneof("value"))
    buckets = list(data.bucket_counts) if is_histogram else []
    if is_histogram and len(buckets) != len(data.explicit_bounds) + 1:
        raise ValueError("one bucket more than bounds is expected")
    if not 0 < data.start_time_unix_nano <= data.time_unix_nano:
        raise ValueError("a time is wrong")
    return {"attributes": attributes(data.attributes), "value": value, "buckets": buckets}


# Refuses what the messages do not have, and values of another type.
request = Parse(sys.stdin.read(), ExportMetricsServiceRequest())
metrics = {}
for resource in request.resource_metrics:
    for scope in resource.scope_metrics:
        for metric in scope.metrics:
            kind = metric.WhichOneof("data")
            data = getattr(metric, kind)
            metrics[metric.name] = {
                "kind": kind,
                "unit": metric.unit,
                "monotonic": kind == "sum" and data.is_monotonic,
                "temporality": 0 if kind == "gauge" else data.aggregation_temporality,
                "points": [point(kind, one) for one in data.data_points],
            }
json.dump(
    {"resource": attributes(request.resource_metrics[0].resource.attributes), "metrics": metrics},
    sys.stdout,
)
