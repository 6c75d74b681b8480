#!/usr/bin/env python3
"""Reads a mail with Python's own parser and prints it as JSON: what another program makes of the bytes we sent.

  parse_mail.py FILE.eml        (or - for standard input)
  parse_mail.py --batch         (many: each four bytes of length and the mail; a line of JSON for each, until the input ends)

{"headers": [[name, value]], "subject", "from", "to", "date", "message_id", "faults": [...],
 "parts": [{"path": "1.2", "type", "charset", "disposition", "filename", "content_id", "size", "text"?}],
 "attachments": [{"path", "filename", "type", "size", "sha256"}]}

Headers are decoded and unfolded, in order, repeats included. "faults" holds everything the parser found wrong; an empty list
is what a test asks for.
"""

import email
import email.policy
import hashlib
import json
import struct
import sys
from pathlib import Path


def addresses(message, name):
    header = message[name]
    return [] if header is None else [{"name": a.display_name, "address": a.addr_spec} for a in header.addresses]


def describe(part, path, parsed):
    parsed["faults"] += [f"part {path or '0'}: {type(d).__name__}: {d}" for d in part.defects]
    for name, value in part.items():
        parsed["faults"] += [f"part {path or '0'}: {name}: {type(d).__name__}: {d}"
                             for d in getattr(value, "defects", ())]
    entry = {"path": path or "0", "type": part.get_content_type(), "charset": part.get_content_charset(),
             "disposition": part.get_content_disposition(), "filename": part.get_filename(),
             "content_id": part["content-id"]}
    if part.is_multipart():
        parsed["parts"].append(entry)
        for number, child in enumerate(part.iter_parts(), 1):
            describe(child, f"{path}.{number}" if path else str(number), parsed)
        return
    body = part.get_payload(decode=True) or b""
    entry["size"] = len(body)
    if part.get_content_maintype() == "text":
        charset = part.get_content_charset() or "us-ascii"
        try:
            entry["text"] = body.decode(charset).replace("\r\n", "\n")
        except (UnicodeDecodeError, LookupError) as fault:
            parsed["faults"].append(f"part {path or '0'}: {fault}")
    parsed["parts"].append(entry)
    if entry["disposition"] == "attachment":
        parsed["attachments"].append({"path": entry["path"], "filename": entry["filename"], "type": entry["type"],
                                      "size": len(body), "sha256": hashlib.sha256(body).hexdigest()})


def parse(data: bytes) -> dict:
    # The default policy is the strict reading of today's RFCs: headers come out decoded, and faults are recorded.
    message = email.message_from_bytes(data, policy=email.policy.default)
    parsed = {
        "headers": [[name, str(value)] for name, value in message.items()],
        "subject": None if message["subject"] is None else str(message["subject"]),
        "from": addresses(message, "from"),
        "to": addresses(message, "to"),
        "date": message["date"].datetime.isoformat() if message["date"] and message["date"].datetime else None,
        "message_id": None if message["message-id"] is None else str(message["message-id"]).strip(),
        "faults": [], "parts": [], "attachments": [],
    }
    describe(message, "", parsed)
    return parsed


def batch() -> None:
    while length := sys.stdin.buffer.read(4):
        data = sys.stdin.buffer.read(struct.unpack(">I", length)[0])
        try:
            parsed = parse(data)
        except Exception as fault:  # what the parser itself cannot take is the finding
            parsed = {"faults": [f"the parser failed: {fault!r}"]}
        # Bytes beyond ASCII in a header (SMTPUTF8) come back as the text that they are.
        line = json.dumps(parsed, ensure_ascii=False).encode("utf-8", "surrogateescape")
        sys.stdout.buffer.write(line.decode("utf-8", "replace").encode() + b"\n")
        sys.stdout.buffer.flush()


def main() -> None:
    if sys.argv[1:] == ["--batch"]:
        return batch()
    if len(sys.argv) != 2 or sys.argv[1] in ("-h", "--help"):
        sys.exit(__doc__)
    data = sys.stdin.buffer.read() if sys.argv[1] == "-" else Path(sys.argv[1]).read_bytes()
    json.dump(parse(data), sys.stdout, ensure_ascii=False, indent=1)
    print()


if __name__ == "__main__":
    main()
