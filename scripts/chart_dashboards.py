#!/usr/bin/env python3
"""Makes the chart's dashboards, charts/tidings/dashboards/*.json, from the list below.

    scripts/chart_dashboards.py            writes them
    scripts/chart_dashboards.py --check    exit code 1 when they are not those of this list

That each query asks for metrics and labels that the product has is tests/chart/test_monitoring.py's business. Needs nothing but Python's standard library.
"""

import json
import sys
from pathlib import Path

FOLDER = Path(__file__).resolve().parents[1] / "charts" / "tidings" / "dashboards"
OURS = 'reason=~"STORE_FULL|STORE_UNAVAILABLE|OVERLOADED|INTERNAL"'
# What every query is narrowed to: the namespace chosen above the panels.
HERE = 'namespace=~"$namespace"'


def rate(metric, by="", *matchers):
    inside = ",".join([HERE, *matchers])
    return (
        f"sum by ({by}) (rate({metric}{{{inside}}}[$__rate_interval]))"
        if by
        else f"sum (rate({metric}{{{inside}}}[$__rate_interval]))"
    )


def gauge(metric, by, *matchers):
    return f"max by ({by}) ({metric}{{{','.join([HERE, *matchers])}}})"


def quantile(share, metric, by):
    return f"histogram_quantile({share}, {rate(metric + '_bucket', by + ', le')})"


def share(metric, by, matcher):
    return f"{rate(metric, by, matcher)} / {rate(metric, by)}"


# (title, what it tells, unit, [(query, legend)…]); a title alone begins a row.
BOARDS = {
    "overview": (
        "tidings / overview",
        [
            "Intake",
            (
                "Refused for our own reasons",
                "The objective is 0.1 % in 30 days.",
                "percentunit",
                [(share("tidings_intents_total", "", OURS), "share")],
            ),
            (
                "Intents",
                "What services ask for, and what became of the question.",
                "reqps",
                [(rate("tidings_intents_total", "outcome"), "{{outcome}}")],
            ),
            (
                "Refused, by reason",
                "The reasons that callers see.",
                "reqps",
                [(rate("tidings_intents_total", "reason", 'outcome="rejected"'), "{{reason}}")],
            ),
            (
                "Calls without a right to call",
                "No credential, or not the scope.",
                "reqps",
                [(rate("tidings_calls_refused_total", "reason"), "{{reason}}")],
            ),
            "Delivery",
            (
                "Handed over",
                "Messages that a provider has taken.",
                "reqps",
                [(rate("tidings_delivery_attempts_total", "channel", 'result="ok"'), "{{channel}}")],
            ),
            (
                "Waiting to be handed over",
                "Sendable now; what is held back is not in it.",
                "short",
                [(gauge("tidings_queue_messages", "queue"), "{{queue}}")],
            ),
            (
                "Providers left alone",
                "1: the breaker is open.",
                "short",
                [
                    (
                        gauge("tidings_circuit_breaker_state", "channel, provider", 'state="open"'),
                        "{{channel}} by {{provider}}",
                    )
                ],
            ),
            "Health",
            (
                "Store errors",
                "By what asked the store.",
                "cps",
                [(rate("tidings_store_errors_total", "flow"), "{{flow}}")],
            ),
            (
                "Held after a restore",
                "1: nothing is taken or sent until an operator speaks.",
                "short",
                [(gauge("tidings_store_paused", "namespace"), "{{namespace}}")],
            ),
            ("Panics", "Each is a bug.", "cps", [(rate("tidings_task_panics_total", "task"), "{{task}}")]),
            (
                "Connections to the broker",
                "0: a process has none.",
                "short",
                [(f"min by (link) (tidings_broker_connected{{{HERE}}})", "{{link}}")],
            ),
        ],
    ),
    "delivery": (
        "tidings / delivery",
        [
            "Tries",
            (
                "Tries, by result",
                "unknown: the provider's answer was lost.",
                "reqps",
                [
                    (
                        rate("tidings_delivery_attempts_total", "channel, provider, result"),
                        "{{channel}} by {{provider}}: {{result}}",
                    )
                ],
            ),
            (
                "Tries that fail",
                "Of all tries of a provider.",
                "percentunit",
                [
                    (
                        share(
                            "tidings_delivery_attempts_total",
                            "channel, provider",
                            'result=~"transient|permanent|unknown"',
                        ),
                        "{{channel}} by {{provider}}",
                    )
                ],
            ),
            (
                "How long a provider takes",
                "From the first byte to its answer.",
                "s",
                [
                    (quantile(0.5, "tidings_delivery_attempt_duration_seconds", "channel"), "{{channel}} p50"),
                    (quantile(0.99, "tidings_delivery_attempt_duration_seconds", "channel"), "{{channel}} p99"),
                ],
            ),
            (
                "Breakers",
                "The state that each is in.",
                "short",
                [
                    (
                        gauge("tidings_circuit_breaker_state", "channel, provider, state", 'state!="closed"'),
                        "{{channel}} by {{provider}}: {{state}}",
                    )
                ],
            ),
            "Waiting",
            (
                "Waiting to be handed over",
                "By channel and lane.",
                "short",
                [(gauge("tidings_queue_messages", "queue"), "{{queue}}")],
            ),
            (
                "Waiting for a turn",
                "Where a provider has a limit.",
                "s",
                [
                    (
                        quantile(0.9, "tidings_rate_limit_wait_seconds", "channel, provider"),
                        "{{channel}} by {{provider}} p90",
                    )
                ],
            ),
            "Filling",
            (
                "How long a template takes to fill",
                "",
                "s",
                [(quantile(0.99, "tidings_render_duration_seconds", "template"), "{{template}} p99")],
            ),
            (
                "Templates that cannot be filled",
                "",
                "cps",
                [(rate("tidings_render_errors_total", "template, channel"), "{{template}} for {{channel}}")],
            ),
            ("Changes of the templates", "", "cps", [(rate("tidings_template_reloads_total", "result"), "{{result}}")]),
            "Broker",
            (
                "How long the broker takes to confirm",
                "",
                "s",
                [("histogram_quantile(0.99, " + rate("tidings_broker_confirm_seconds_bucket", "le") + ")", "p99")],
            ),
            (
                "What the broker lost",
                "Given to it again; bodies that are no job; jobs without a queue.",
                "cps",
                [
                    (rate("tidings_published_again_total", "channel"), "{{channel}} published again"),
                    (rate("tidings_broker_unreadable_total", "channel"), "{{channel}} unreadable"),
                    (rate("tidings_broker_unroutable_total", "channel"), "{{channel}} unroutable"),
                ],
            ),
            ("Reconnects", "", "cps", [(rate("tidings_broker_reconnects_total", "link"), "{{link}}")]),
        ],
    ),
    "fatigue": (
        "tidings / customer fatigue",
        [
            "What customers are spared",
            (
                "Decisions",
                "READY goes out; everything else waits or is dropped, for this reason.",
                "reqps",
                [(rate("tidings_decisions_total", "reason"), "{{reason}}")],
            ),
            (
                "Held or skipped for having heard enough",
                "Of all decisions of a category.",
                "percentunit",
                [
                    (
                        share("tidings_decisions_total", "category", 'reason=~"BUDGET_EXCEEDED|BUDGET_SKIPPED"'),
                        "{{category}}",
                    )
                ],
            ),
            (
                "Held for quiet hours",
                "",
                "reqps",
                [(rate("tidings_decisions_total", "category", 'reason="QUIET_HOURS"'), "{{category}}")],
            ),
            (
                "Turned off by customers",
                "Topics, channels, pauses, missing consent.",
                "reqps",
                [
                    (
                        rate(
                            "tidings_decisions_total",
                            "reason",
                            'reason=~"TOPIC_OPTED_OUT|CHANNEL_DISABLED_BY_CUSTOMER|CUSTOMER_PAUSED|CONSENT_MISSING"',
                        ),
                        "{{reason}}",
                    )
                ],
            ),
            (
                "Nowhere to send",
                "No address, a suppressed one, or no content for the channel.",
                "reqps",
                [
                    (
                        rate(
                            "tidings_decisions_total",
                            "reason",
                            'reason=~"NO_CONTACT_POINT|ADDRESS_SUPPRESSED|NO_CONTENT_FOR_CHANNEL"',
                        ),
                        "{{reason}}",
                    )
                ],
            ),
            "What they are sent",
            (
                "Intents, by category",
                "",
                "reqps",
                [(rate("tidings_intents_total", "category", 'outcome="accepted"'), "{{category}}")],
            ),
            (
                "Asked for twice",
                "The same request again: it changed nothing.",
                "reqps",
                [(rate("tidings_intents_total", "category", 'outcome="replayed"'), "{{category}}")],
            ),
            (
                "Nobody knows",
                "Messages whose provider's answer was lost, and what operators said of them.",
                "cps",
                [
                    (rate("tidings_delivery_attempts_total", "channel", 'result="unknown"'), "{{channel}} unknown"),
                    (rate("tidings_unknown_resolved_total", "resolution"), "{{resolution}}"),
                ],
            ),
        ],
    ),
}


def board(name, title, parts):
    panels, x, y = [], 0, 0
    for part in parts:
        if isinstance(part, str):
            y, x = y + (8 if x else 0), 0
            panels.append(
                {
                    "id": len(panels) + 1,
                    "type": "row",
                    "title": part,
                    "collapsed": False,
                    "panels": [],
                    "gridPos": {"x": 0, "y": y, "w": 24, "h": 1},
                }
            )
            y += 1
            continue
        heading, about, unit, targets = part
        panels.append(
            {
                "id": len(panels) + 1,
                "type": "timeseries",
                "title": heading,
                "description": about,
                "datasource": {"type": "prometheus", "uid": "${datasource}"},
                "gridPos": {"x": x, "y": y, "w": 8, "h": 8},
                "fieldConfig": {
                    "defaults": {"unit": unit, "min": 0, "custom": {"fillOpacity": 8, "showPoints": "never"}},
                    "overrides": [],
                },
                "options": {
                    "legend": {"displayMode": "list", "placement": "bottom"},
                    "tooltip": {"mode": "multi", "sort": "desc"},
                },
                "targets": [
                    {"refId": chr(ord("A") + index), "expr": query, "legendFormat": legend}
                    for index, (query, legend) in enumerate(targets)
                ],
            }
        )
        x, y = (0, y + 8) if x == 16 else (x + 8, y)
    return {
        "uid": f"tidings-{name}",
        "title": title,
        "tags": ["tidings"],
        "schemaVersion": 39,
        "version": 1,
        "editable": False,
        "refresh": "1m",
        "time": {"from": "now-6h", "to": "now"},
        "templating": {
            "list": [
                {"name": "datasource", "type": "datasource", "query": "prometheus", "label": "Data source"},
                {
                    "name": "namespace",
                    "type": "query",
                    "label": "Namespace",
                    "datasource": {"type": "prometheus", "uid": "${datasource}"},
                    "query": "label_values(tidings_queue_messages, namespace)",
                    "refresh": 2,
                    "includeAll": True,
                    "multi": True,
                    "allValue": ".*",
                },
            ]
        },
        "panels": panels,
    }


def main():
    check = sys.argv[1:] == ["--check"]
    wanted = {
        f"{name}.json": json.dumps(board(name, title, parts), indent=1, ensure_ascii=False) + "\n"
        for name, (title, parts) in BOARDS.items()
    }
    there = {file.name: file.read_text(encoding="utf-8") for file in FOLDER.glob("*.json")}
    if check:
        wrong = sorted(name for name in wanted.keys() | there.keys() if wanted.get(name) != there.get(name))
        print(
            "\n".join(
                f"charts/tidings/dashboards/{name}: not what scripts/chart_dashboards.py makes; run it"
                for name in wrong
            )
            or "dashboards ok"
        )
        return 1 if wrong else 0
    FOLDER.mkdir(exist_ok=True)
    for name, text in wanted.items():
        (FOLDER / name).write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
