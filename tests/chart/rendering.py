"""What the tests of the chart share: the chart rendered by a real helm, and its objects by kind and name."""

import functools
import json
import os
import subprocess
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]
CHART = ROOT / "charts" / "tidings"
SCENARIOS = sorted((CHART / "ci").glob("*-values.yaml"))
HELMS = {version: ROOT / ".tools" / "helm" / version / "helm" for version in ("4", "3")}
# What most tests render for: new enough for every scenario.
KUBERNETES = "1.34"

# The same as yaml.safe_load, in C where it is there.
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

SPLIT = {
    "mode": "split",
    "auth": {"mode": "callers", "callers": {"orders": {"scopes": ["read"], "apiKeyHashes": ["sha256:" + "0" * 64]}}},
    "tls": {"existingSecret": "gateway-tls"},
    "postgres": {"host": "db", "existingSecret": "pg"},
    "rabbitmq": {"hosts": ["mq:5671"], "existingSecret": "mq"},
}


def merged(*layers):
    """Later layers over earlier ones; lists are replaced, as helm does it."""
    result = {}
    for layer in layers:
        for key, value in layer.items():
            both = isinstance(value, dict) and isinstance(result.get(key), dict)
            result[key] = merged(result[key], value) if both else value
    return result


def split(*layers):
    return merged(SPLIT, *layers)


def helm(values, *options, version="4", kubernetes=KUBERNETES, release="shop", command="template"):
    """The ended process of `helm template`, values on its standard input."""
    where = [str(CHART)] if command == "lint" else [release, str(CHART)]
    # An installation that is only thought asks nobody either, and takes helm's own idea of Kubernetes.
    pretend = [] if command == "install" else ["--kube-version", kubernetes + ".0"]
    line = [str(HELMS[version]), command, *where, "--namespace", "orders", *pretend, "--values", "-", *options]
    # Helm looks for plugins and repositories in the home of whoever calls; none of that is ours.
    env = {"PATH": os.environ["PATH"], "HOME": "/nonexistent"}
    return subprocess.run(
        line, input=json.dumps(values), env=env, capture_output=True, text=True, timeout=600, check=False
    )


@functools.cache
def _rendered(values, options, version, kubernetes, release):
    ended = helm(json.loads(values), *options, version=version, kubernetes=kubernetes, release=release)
    if ended.returncode != 0:
        raise AssertionError(f"helm {version} refused what should be taken:\n{ended.stderr}")
    return ended.stdout


def text(values, *options, version="4", kubernetes=KUBERNETES, release="shop"):
    return _rendered(json.dumps(values), options, version, kubernetes, release)


def objects(values=None, **how):
    """Every object that the chart makes of these values."""
    return [one for one in yaml.load_all(text(values or {}, **how), Loader=LOADER) if one]


def refusal(values, *options):
    """What helm says; the chart must not be rendered."""
    ended = helm(values, *options)
    assert ended.returncode != 0, "the chart was rendered"
    return " ".join(ended.stderr.split())


def kind(all_objects, wanted):
    """The objects of a kind by name."""
    return {one["metadata"]["name"]: one for one in all_objects if one["kind"] == wanted}


def component(all_objects, name, wanted="Deployment"):
    """The one object of a kind that belongs to a component."""
    found = [
        one
        for one in all_objects
        if one["kind"] == wanted and one["metadata"]["labels"]["app.kubernetes.io/component"] == name
    ]
    assert len(found) == 1, f"{len(found)} of {wanted} for {name}"
    return found[0]


def pod(all_objects, name):
    return component(all_objects, name)["spec"]["template"]["spec"]


def container(all_objects, name):
    return next(one for one in pod(all_objects, name)["containers"] if one["name"] == "tidings")


def pods(all_objects):
    """Every Pod that the chart starts: (what starts it, its specification)."""
    for one in all_objects:
        where = f"{one['kind']}/{one['metadata']['name']}"
        if one["kind"] == "Pod":
            yield where, one["spec"]
        elif one["kind"] in ("Deployment", "Job"):
            yield where, one["spec"]["template"]["spec"]


def scenario(path):
    """The values of a file in charts/tidings/ci."""
    return yaml.safe_load(path.read_text(encoding="utf-8")) or {}


def settings(all_objects):
    """The settings files that the chart makes: (name of the ConfigMap, name of the file, text)."""
    for one in all_objects:
        if one["kind"] != "ConfigMap":
            continue
        for name, content in one.get("data", {}).items():
            if name.endswith(".toml"):
                yield one["metadata"]["name"], name, content
