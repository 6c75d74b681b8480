#!/usr/bin/env python3
"""A mail server for tests: keeps every accepted mail on disk and says no on request.

It prints one JSON line when it listens, e.g. {"port": 40123, "mode": "starttls", "ca": "DIR/ca.pem", "pid": 17}, and
runs until it is ended or its standard input closes (so it cannot outlive the test that started it).

Every accepted mail becomes DIR/NNNNNN.eml (the bytes after dot-unstuffing) and DIR/NNNNNN.json (envelope, session, sha256),
both on disk before the 250 is sent; the .json comes last, so a mail is whole when its .json is there. Every refusal is a line
of DIR/refused.jsonl. Bytes that a strict server would not take (a bare CR or LF, a NUL) are noted as "faults".

The local part of a recipient, up to a '+', chooses the answer:

  tempfail 450 at RCPT        reject   550 at RCPT        full     552 at RCPT        busy    452 at RCPT
  tempdata 451 after the dot  spam     554 after the dot  toobig   552 after the dot  odd     299 after the dot
  closing  421 at RCPT and the connection ends            lastcall 421 after the dot and the connection ends
  drop     no answer to RCPT, the connection ends         lost     mail is kept, but the connection ends before the 250
  slow     250 after --slow seconds                       hang     mail is kept, and no answer ever comes
  twice    two final answers at once (250, then 550)      endless  a final answer whose line never ends
  flaky    450 the first time for this address, then 250
"""

import argparse
import asyncio
import hashlib
import json
import os
import re
import ssl
import subprocess
import sys
import time
from pathlib import Path

from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword

AT_RCPT = {
    "tempfail": "450 4.2.1 mailbox busy, try later",
    "reject": "550 5.1.1 no such user",
    "full": "552 5.2.2 mailbox full",
    "busy": "452 4.3.1 insufficient system storage",
}
AFTER_DOT = {
    "tempdata": "451 4.3.0 local error in processing",
    "spam": "554 5.7.1 message refused as spam",
    "toobig": "552 5.3.4 message too big",
    "odd": "299 2.9.9 not a reply of the standard",
}
CLOSING = "421 4.3.2 service shutting down"


def local_part(address: str) -> str:
    return address.rsplit("@", 1)[0].split("+", 1)[0].lower()


def write_durably(path: Path, data: bytes) -> None:
    """All or nothing under its final name, and on disk when this returns."""
    temporary = path.with_name(path.name + ".tmp")
    with open(temporary, "wb") as out:
        out.write(data)
        out.flush()
        os.fsync(out.fileno())
    os.replace(temporary, path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def faults(body: bytes) -> list[str]:
    found = []
    if re.search(rb"\r(?!\n)", body):
        found.append("bare CR")
    if re.search(rb"(?<!\r)\n", body):
        found.append("bare LF")
    if b"\0" in body:
        found.append("NUL")
    if any(len(line) > 998 for line in body.split(b"\r\n")):
        found.append("line over 998 octets")
    return found


async def until_gone(server, *, reply: str = "") -> None:
    """Ends the connection, after a reply or at once; aiosmtpd cancels the task that waits here."""
    if reply:
        await server.push(reply)
        server.transport.close()
    else:
        server.transport.abort()
    await asyncio.sleep(3600)


class Box:
    """The folder of mails; also aiosmtpd's handler."""

    def __init__(self, folder: Path, slow: float):
        self.folder = folder
        self.slow = slow
        self.count = len(list(folder.glob("*.json")))
        self.seen: set[str] = set()

    def refused(self, stage: str, address: str, reply: str) -> None:
        with open(self.folder / "refused.jsonl", "a", encoding="utf-8") as out:
            entry = {"time": time.time(), "stage": stage, "recipient": address, "reply": reply}
            out.write(json.dumps(entry) + "\n")
            out.flush()
            os.fsync(out.fileno())

    def keep(self, server, session, envelope) -> None:
        self.count += 1
        stem = self.folder / f"{self.count:06d}"
        body = envelope.original_content or b""
        write_durably(stem.with_suffix(".eml"), body)
        details = {
            "time": time.time(),
            "helo": session.host_name,
            "mail_from": envelope.mail_from,
            "mail_options": envelope.mail_options,
            "rcpt_to": envelope.rcpt_tos,
            "rcpt_options": envelope.rcpt_options,
            "tls": server.transport.get_extra_info("sslcontext") is not None,
            "user": session.auth_data if session.authenticated else None,
            "bytes": len(body),
            "sha256": hashlib.sha256(body).hexdigest(),
            "faults": faults(body),
            "eml": stem.with_suffix(".eml").name,
        }
        write_durably(stem.with_suffix(".json"), json.dumps(details, indent=1).encode())

    async def handle_RCPT(self, server, session, envelope, address, rcpt_options):
        word = local_part(address)
        reply = AT_RCPT.get(word)
        if word == "flaky" and address not in self.seen:
            self.seen.add(address)
            reply = "450 4.2.0 greylisted, try later"
        if word == "closing":
            reply = CLOSING
        if reply:
            self.refused("rcpt", address, reply)
        if word == "closing":
            await until_gone(server, reply=reply)
        if word == "drop":
            self.refused("rcpt", address, "")
            await until_gone(server)
        if reply:
            return reply
        envelope.rcpt_tos.append(address)
        envelope.rcpt_options.append(rcpt_options)
        return "250 2.1.5 ok"

    async def handle_DATA(self, server, session, envelope):
        for address in envelope.rcpt_tos:
            word = local_part(address)
            if word in AFTER_DOT:
                self.refused("data", address, AFTER_DOT[word])
                return AFTER_DOT[word]
            if word == "lastcall":
                self.refused("data", address, CLOSING)
                await until_gone(server, reply=CLOSING)
        self.keep(server, session, envelope)
        words = {local_part(address) for address in envelope.rcpt_tos}
        if "lost" in words:
            await until_gone(server)
        if "hang" in words:
            await asyncio.sleep(3600)
        if "slow" in words:
            await asyncio.sleep(self.slow)
        if "twice" in words:
            return "250 2.0.0 kept\r\n550 5.0.0 and refused"
        if "endless" in words:
            server._writer.write(b"250 ")
            for _ in range(64):  # 64 MiB and no end of line: more than any client should hold
                server._writer.write(b"x" * (1 << 20))
                await server._writer.drain()
            await asyncio.sleep(3600)
        return f"250 2.0.0 kept as {self.count:06d}"


def openssl(*arguments: str) -> None:
    done = subprocess.run(["openssl", *arguments], capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"openssl {arguments[0]}: {done.stderr.strip()}")


def certificates(folder: Path) -> tuple[Path, Path, Path]:
    """(CA, certificate, key) for localhost and 127.0.0.1, made once for a folder."""
    ca, ca_key, cert, key = (folder / n for n in ("ca.pem", "ca.key", "cert.pem", "cert.key"))
    if all(p.exists() for p in (ca, cert, key)):
        return ca, cert, key
    folder.mkdir(parents=True, exist_ok=True)
    curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    openssl("req", "-x509", *curve, "-keyout", str(ca_key), "-out", str(ca), "-days", "30",
            "-subj", "/CN=tidings test CA",
            "-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=critical,keyCertSign")
    request, extensions = folder / "cert.csr", folder / "cert.ext"
    openssl("req", "-new", *curve, "-keyout", str(key), "-out", str(request), "-subj", "/CN=localhost")
    extensions.write_text("basicConstraints=critical,CA:FALSE\nsubjectAltName=DNS:localhost,IP:127.0.0.1\n"
                          "extendedKeyUsage=serverAuth\nkeyUsage=critical,digitalSignature\n")
    openssl("x509", "-req", "-in", str(request), "-CA", str(ca), "-CAkey", str(ca_key), "-CAcreateserial",
            "-out", str(cert), "-days", "30", "-extfile", str(extensions))
    return ca, cert, key


async def stdin_closes() -> None:
    reader = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while await reader.read(4096):
        pass


async def serve(options) -> None:
    folder = Path(options.dump).resolve()
    folder.mkdir(parents=True, exist_ok=True)
    box = Box(folder, options.slow)
    settings = {"hostname": "smtpd.test", "ident": "tidings test server", "enable_SMTPUTF8": options.smtputf8,
                "data_size_limit": options.size_limit, "timeout": 300}
    ready = {"mode": options.mode, "dump": str(folder), "pid": os.getpid()}
    context = None
    if options.mode != "plain":
        ca, cert, key = certificates(folder / "tls")
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.load_cert_chain(cert, key)
        ready["ca"] = str(ca)
    if options.mode in ("starttls", "auth"):
        settings |= {"tls_context": context, "require_starttls": True}
    if options.mode == "auth":

        def check(_server, session, _envelope, _mechanism, data):
            good = (isinstance(data, LoginPassword)
                    and (data.login.decode(), data.password.decode()) == (options.user, options.password))
            # Only the name is kept; the password goes nowhere.
            return AuthResult(success=good, handled=False, auth_data=options.user if good else None)

        settings |= {"authenticator": check, "auth_required": True, "auth_require_tls": True}
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: SMTP(box, loop=loop, **settings), options.host, options.port,
                                      ssl=context if options.mode == "tls" else None)
    ready["port"] = server.sockets[0].getsockname()[1]
    print(json.dumps(ready), flush=True)
    if options.stay:
        await server.serve_forever()
    await stdin_closes()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0: one that is free")
    parser.add_argument("--dump", required=True, metavar="DIR", help="where mails are kept")
    parser.add_argument("--mode", choices=("plain", "starttls", "tls", "auth"), default="plain",
                        help="auth is starttls with a name and a password")
    parser.add_argument("--user", default="tidings")
    parser.add_argument("--password", default="correct horse")
    parser.add_argument("--slow", type=float, default=2.0, metavar="SECONDS")
    parser.add_argument("--size-limit", type=int, default=33554432, metavar="BYTES")
    parser.add_argument("--smtputf8", action="store_true")
    parser.add_argument("--stay", action="store_true", help="go on when standard input closes")
    options = parser.parse_args()
    try:
        asyncio.run(serve(options))
    except KeyboardInterrupt:
        pass


if __name__ == "__main__":
    main()
