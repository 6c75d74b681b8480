#!/usr/bin/env python3
"""Sends one notification over gRPC from Python, and prints the answer as JSON.

  send.py TEMPLATE --to CUSTOMER|MAIL|+PHONE [--var KEY=TEXT | --var KEY:=JSON]... [--data FILE.json] [--address HOST:PORT]

A gateway that knows its callers is told who calls by files that the environment names: TIDINGS_API_KEY_FILE with an API key, or
TIDINGS_CERTIFICATE_FILE and TIDINGS_KEY_FILE; TIDINGS_CA_FILE is the authority of the gateway's own certificate. With an address that starts
with https://, or any of the certificate files, the connection is TLS. A key is not sent without it but to this machine.

The client is made from the project's .proto files when it runs, by grpcio-tools, so there is nothing generated to keep. Calls are
repeated when the server is away, by proto/tidings/service_config.json. Needs scripts/requirements.txt.

Exit codes: 0 accepted, 1 refused (the JSON says why), 2 usage, 5 not reachable.
"""

import argparse
import importlib
import json
import os
import sys
import tempfile
import uuid
from pathlib import Path

import grpc
import grpc_tools
from google.protobuf import json_format
from google.rpc import error_details_pb2  # noqa: F401  so that error details can be read
from grpc_status import rpc_status
from grpc_tools import protoc

PROTO = Path(__file__).resolve().parents[1] / "proto"


def generated_client():
    """(messages, stubs) of the notification service."""
    with tempfile.TemporaryDirectory(prefix="tidings-proto-") as folder:
        files = [str(p.relative_to(PROTO)) for p in sorted((PROTO / "tidings" / "v1").glob("*.proto"))]
        builtin = str(Path(grpc_tools.__file__).parent / "_proto")
        code = protoc.main(["protoc", f"-I{PROTO}", f"-I{PROTO / 'third_party'}", f"-I{builtin}",
                            f"--python_out={folder}", f"--grpc_python_out={folder}", *files])
        if code != 0:
            sys.exit(f"protoc failed with {code}")
        sys.path.insert(0, folder)
        try:
            return (importlib.import_module("tidings.v1.notification_service_pb2"),
                    importlib.import_module("tidings.v1.notification_service_pb2_grpc"))
        finally:
            sys.path.remove(folder)


def variables(options) -> dict:
    values = json.loads(Path(options.data).read_text(encoding="utf-8")) if options.data else {}
    for pair in options.var:
        key, equals, value = pair.partition("=")
        if not equals:
            raise ValueError(f"--var {pair}: KEY=TEXT or KEY:=JSON is wanted")
        if key.endswith(":"):
            key, value = key[:-1], json.loads(value)
        *outer, last = key.split(".")
        inner = values
        for name in outer:
            inner = inner.setdefault(name, {})
            if not isinstance(inner, dict):
                raise ValueError(f"--var {pair}: {name} was given before as something else")
        inner[last] = value
    return values


def intent(options) -> dict:
    """In proto3 JSON."""
    wanted = {"template": options.template, "variables": variables(options)}
    if options.locale:
        wanted["locale"] = options.locale
    if "@" in options.to:
        wanted["inlineRecipient"] = {"emailAddress": options.to}
    elif options.to.startswith("+"):
        wanted["inlineRecipient"] = {"phoneNumber": options.to}
    else:
        wanted["customerId"] = options.to
    return wanted


def named_file(variable: str) -> bytes | None:
    """What is in the file that a variable names."""
    name = os.environ.get(variable, "")
    return Path(name).read_bytes() if name else None


class Key(grpc.AuthMetadataPlugin):
    """Shows an API key with every call."""

    def __init__(self, key: str):
        self._metadata = (("authorization", f"Bearer {key}"),)

    def __call__(self, context, callback):
        callback(self._metadata, None)


def connected(address: str, options: list) -> grpc.Channel:
    """A channel as the environment says."""
    authority, certificate, private = map(named_file, (
        "TIDINGS_CA_FILE", "TIDINGS_CERTIFICATE_FILE", "TIDINGS_KEY_FILE"))
    key = (named_file("TIDINGS_API_KEY_FILE") or b"").decode("ascii").strip()
    target = address.removeprefix("http://").removeprefix("https://")
    if address.startswith("https://") or authority or certificate:
        secrets = grpc.ssl_channel_credentials(authority, private, certificate)
    elif not key:
        return grpc.insecure_channel(target, options=options)
    else:
        # Refuses any other machine by itself.
        secrets = grpc.local_channel_credentials()
    if key:
        secrets = grpc.composite_channel_credentials(secrets, grpc.metadata_call_credentials(Key(key)))
    return grpc.secure_channel(target, secrets, options=options)


def refusal(error: grpc.RpcError) -> dict:
    answer = {"code": error.code().name, "message": error.details()}
    status = rpc_status.from_call(error)
    if status is not None:
        answer["details"] = json_format.MessageToDict(status).get("details", [])
    return {"error": answer}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("template", help='for example "order.confirmation"')
    parser.add_argument("--to", required=True, help="customer id, mail address or phone number with +")
    parser.add_argument("--var", action="append", default=[], metavar="KEY=VALUE",
                        help="text, or JSON after :=; order.number=4711 nests")
    parser.add_argument("--data", metavar="FILE", help="a JSON object of variables")
    parser.add_argument("--locale", default="")
    parser.add_argument("--request-id", default="", help="empty: a new one")
    parser.add_argument("--dry-run", action="store_true", help="all checks, nothing stored")
    parser.add_argument("--address", default=os.environ.get("TIDINGS_ADDRESS", "127.0.0.1:50051"))
    parser.add_argument("--timeout", type=float, default=10.0, metavar="SECONDS")
    options = parser.parse_args()
    try:
        wanted = intent(options)
    except (OSError, ValueError) as fault:
        parser.error(str(fault))

    messages, stubs = generated_client()
    request = json_format.ParseDict({"intent": wanted, "requestId": options.request_id or str(uuid.uuid4()),
                                     "validateOnly": options.dry_run}, messages.SendNotificationRequest())
    retries = (PROTO / "tidings" / "service_config.json").read_text(encoding="utf-8")
    try:
        channel = connected(options.address, [("grpc.service_config", retries), ("grpc.enable_http_proxy", 0)])
    except (OSError, ValueError) as fault:
        parser.error(str(fault))
    with channel:
        try:
            reply = stubs.NotificationServiceStub(channel).SendNotification(request, timeout=options.timeout)
        except grpc.RpcError as error:
            print(json.dumps(refusal(error), ensure_ascii=False, indent=1))
            return 5 if error.code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED) else 1
    print(json_format.MessageToJson(reply, ensure_ascii=False, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
