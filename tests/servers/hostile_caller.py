#!/usr/bin/env python3
"""A caller that shares no code with the gateway and sends it what it should not: requests with wrong values, and bytes that are no
request at all, by Python's grpcio.

  hostile_caller.py HOST:PORT

Prints one JSON line for each case:

{"case", "code", "message", "reason", "fields": [[path, rule]], "facts": {}, "same", "fresh"}

"same" and "fresh" are the codes of a good call afterwards, on the connection of the case and on a new one. The client is made
from proto/ when it runs, by examples/send.py.
"""

import importlib
import json
import math
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
from google.protobuf import struct_pb2, timestamp_pb2
from google.rpc import error_details_pb2
from grpc_status import rpc_status

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "examples"))
import send  # noqa: E402

messages, _ = send.generated_client()
notification = importlib.import_module("tidings.v1.notification_pb2")
SEND = "/tidings.v1.NotificationService/SendNotification"
BATCH = "/tidings.v1.NotificationService/BatchSendNotifications"
MIB = 1024 * 1024
used = 0


def open_channel(address: str) -> grpc.Channel:
    return grpc.insecure_channel(address, options=[
        ("grpc.enable_http_proxy", 0), ("grpc.use_local_subchannel_pool", 1), ("grpc.max_send_message_length", -1)])


def new_id() -> str:
    global used
    used += 1
    return f"hostile-{used}"


def request(change=None, request_id=None):
    wanted = messages.SendNotificationRequest(request_id=new_id() if request_id is None else request_id)
    wanted.intent.template = "order.shipped"
    wanted.intent.inline_recipient.email_address = "ada@example.com"
    wanted.intent.variables.update({"order": {"number": "4711"}})
    if change:
        change(wanted.intent)
    return wanted


def call(channel, data: bytes, method=SEND, **options):
    """The raw answer; the bytes go out as they are."""
    return channel.unary_unary(method, request_serializer=None, response_deserializer=None)(data, timeout=20, **options)


def outcome(channel, data: bytes, method=SEND, **options) -> dict:
    told = {"code": "OK", "message": "", "reason": "", "fields": [], "facts": {}}
    try:
        call(channel, data, method, **options)
    except grpc.RpcError as error:
        told |= {"code": error.code().name, "message": error.details()}
        status = rpc_status.from_call(error)
        for detail in status.details if status else []:
            info, bad = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest()
            if detail.Unpack(info):
                told |= {"reason": info.reason, "facts": dict(info.metadata)}
            elif detail.Unpack(bad):
                told["fields"] += [[v.field, v.description] for v in bad.field_violations]
    return told


def field(number: int, data: bytes) -> bytes:
    """A length-delimited field."""
    return varint(number << 3 | 2) + varint(len(data)) + data


def varint(value: int) -> bytes:
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes(out + bytes([value]))


def number_of(message, name: str) -> int:
    return message.DESCRIPTOR.fields_by_name[name].number


def nested(depth: int) -> bytes:
    """A request with a variable of so many lists in each other."""
    value = b""
    for _ in range(depth):
        value = field(6, field(1, value))
    structure = field(1, field(1, b"extra") + field(2, value))
    wanted = request()
    intent = wanted.intent.SerializeToString() + field(number_of(wanted.intent, "variables"), structure)
    return field(number_of(wanted, "intent"), intent) + field(number_of(wanted, "request_id"), new_id().encode())


def changed(place: str, into: bytes) -> bytes:
    """A request with a text replaced by as many bytes that are no text."""
    def mark(intent):
        if place == "reference":
            intent.reference = "@@@@"
        elif place == "address":
            intent.inline_recipient.email_address = "@@@@"
        else:
            intent.variables.update({"order": {"number": "@@@@"}})
    data = request(mark).SerializeToString()
    assert data.count(b"@@@@") == 1
    return data.replace(b"@@@@", into)


def with_time(name: str, seconds: int, nanos: int = 0):
    def change(intent):
        getattr(intent, name).CopyFrom(timestamp_pb2.Timestamp(seconds=seconds, nanos=nanos))
    return change


def with_number(value) -> bytes:
    def change(intent):
        order = intent.variables.fields["order"].struct_value
        order.fields["number"].CopyFrom(struct_pb2.Value() if value is None else struct_pb2.Value(number_value=value))
    return request(change).SerializeToString()


def set_to(name: str, value):
    return lambda intent: setattr(intent, name, value)


def guest(name: str, value):
    return lambda intent: setattr(intent.inline_recipient, name, value)


def lists(depth: int) -> list:
    inner = []
    for _ in range(depth - 1):
        inner = [inner]
    return inner


def channels(*wire):
    return lambda intent: intent.routing.channels.extend(wire)


def method(wire: int):
    return lambda intent: setattr(intent.routing, "method", wire)


def batch(size: int) -> bytes:
    return messages.BatchSendNotificationsRequest(requests=[request() for _ in range(size)]).SerializeToString()


def raw_cases():
    good = request().SerializeToString()
    yield "over_the_limit", request(set_to("reference", "x" * (5 * MIB))).SerializeToString()
    yield "empty", b""
    yield "cut_short", good[:-3]
    yield "wrong_wire_type", b"\x08\x01"
    yield "group_for_a_message", b"\x0b\x0c"
    yield "group_without_end", b"\x7b"
    yield "group_end_without_begin", b"\x7c"
    yield "length_past_the_end", b"\x0a\xff\xff\xff\xff\x0f"
    yield "endless_number", field(number_of(request(), "request_id"), b"n") + b"\x18" + b"\xff" * 11
    yield "field_zero", b"\x02\x00"
    yield "random_bytes", bytes(range(255, -1, -1)) * 64
    for depth in (101, 5000):
        yield f"nested_{depth}", nested(depth)
    for place in ("reference", "address", "variable"):
        yield f"no_utf8_{place}", changed(place, b"\xff\xfe\xc0\x80")
    yield "lone_surrogate", changed("variable", b"\xed\xa0\x80x")


def value_cases():
    yield "id_empty", request(request_id="")
    yield "id_129", request(request_id="x" * 129)
    yield "id_nul", request(request_id="a\0b")
    yield "id_line_break", request(request_id="a\nb")
    for name, seconds, nanos in (("1970", 1, 0), ("year_9999", 253402300799, 0), ("year_10000", 253402300800, 0),
                                 ("before_year_1", -62135596801, 0), ("far", -(1 << 63), 0), ("nanos", 1800000000, 10**9),
                                 ("negative_nanos", 1800000000, -1)):
        yield f"send_time_{name}", request(with_time("send_time", seconds, nanos))

    def expired(intent):
        soon = int(time.time()) + 3600
        with_time("send_time", soon)(intent)
        with_time("expire_time", soon - 60)(intent)
    yield "expires_before_it_is_sent", request(expired)
    for name, zone in (("mars", "Mars/Phobos"), ("path", "../../etc/passwd"), ("empty", "")):
        yield f"zone_{name}", request(guest("time_zone", zone))
    for name, locale in (("300", "x" * 300), ("underscore", "de_AT"), ("unknown", "xx-ZZ")):
        yield f"locale_{name}", request(set_to("locale", locale))
    yield "number_of_huge_text", request(lambda intent: intent.variables.update({"extra": "x" * 131072}))
    yield "variables_25_levels", request(lambda intent: intent.variables.update({"extra": lists(24)}))
    yield "channel_9999", request(channels(9999))
    yield "channel_unset", request(channels(0))
    yield "method_9999", request(method(9999))


def cases():
    yield from ((name, data, SEND) for name, data in raw_cases())
    yield from ((name, wanted.SerializeToString(), SEND) for name, wanted in value_cases())
    yield "batch_501", batch(501), BATCH
    yield "batch_0", batch(0), BATCH
    yield "number_nan", with_number(math.nan), SEND
    yield "number_infinite", with_number(math.inf), SEND
    yield "value_without_kind", with_number(None), SEND


def one_request_id(address: str) -> dict:
    """A hundred at once with one id, over ten connections."""
    data = request(request_id="one-for-all").SerializeToString()
    opened = [open_channel(address) for _ in range(10)]
    with ThreadPoolExecutor(100) as pool:
        answers = [messages.SendNotificationResponse.FromString(answer)
                   for answer in pool.map(lambda at: call(opened[at % 10], data), range(100))]
    for channel in opened:
        channel.close()
    return {"code": "OK", "message": "", "reason": "", "fields": [],
            "facts": {"names": str(len({answer.notification.name for answer in answers})),
                      "first": str(sum(not answer.replayed for answer in answers))}}


def main() -> None:
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    address = sys.argv[1]
    channel = open_channel(address)

    def tell(case: str, told: dict) -> None:
        fresh = open_channel(address)
        good = [outcome(one, request().SerializeToString())["code"] for one in (channel, fresh)]
        fresh.close()
        print(json.dumps({"case": case, **told, "same": good[0], "fresh": good[1]}), flush=True)

    for case, data, path in cases():
        tell(case, outcome(channel, data, path))
    tell("gzip", outcome(channel, request(set_to("reference", "x" * 200)).SerializeToString(),
                         compression=grpc.Compression.Gzip))
    tell("id_first_use", outcome(channel, request(request_id="reused").SerializeToString()))
    tell("id_reused", outcome(channel, request(set_to("reference", "other"), request_id="reused").SerializeToString()))
    tell("id_of_a_hundred", one_request_id(address))


if __name__ == "__main__":
    main()
