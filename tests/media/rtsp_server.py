"""GStreamer's RTSP server as a process: run by the system's Python, which has its bindings.

The first argument is JSON: {"port": 0, "mounts": {"/path": launch line}, "user": …, "password": …,
"auth": "basic" or "digest"}. Prints the port it listens on. Lines on standard input command it:
`stall` and `resume` hold the video of all mounts back; the end of input ends the process.
"""

from __future__ import annotations

import json
import sys
import threading

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtsp", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtsp, GstRtspServer  # noqa: E402

Gst.init(None)
config = json.loads(sys.argv[1])
server = GstRtspServer.RTSPServer()
server.set_address("127.0.0.1")
server.set_service(str(config["port"]))
loop = GLib.MainLoop()
medias = []

if config.get("user"):
    auth = GstRtspServer.RTSPAuth()
    token = GstRtspServer.RTSPToken()
    token.set_string("media.factory.role", "viewer")
    if config["auth"] == "digest":
        auth.set_supported_methods(GstRtsp.RTSPAuthMethod.DIGEST)
        auth.add_digest(config["user"], config["password"], token)
    else:
        auth.add_basic(GstRtspServer.RTSPAuth.make_basic(config["user"], config["password"]), token)
    server.set_auth(auth)


def configured(_factory: object, media: object) -> None:
    medias.append(media)


for path, launch in config["mounts"].items():
    factory = GstRtspServer.RTSPMediaFactory()
    factory.set_launch(launch)
    factory.set_shared(True)
    factory.connect("media-configure", configured)
    if config.get("user"):
        permissions = GstRtspServer.RTSPPermissions()
        permissions.add_permission_for_role("viewer", "media.factory.access", True)
        permissions.add_permission_for_role("viewer", "media.factory.construct", True)
        factory.set_permissions(permissions)
    server.get_mount_points().add_factory(path, factory)


def command(line: str) -> bool:
    for media in medias:
        valve = media.get_element().get_by_name("valve")
        if valve is not None:
            valve.set_property("drop", line == "stall")
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()
    return False


def listen() -> None:
    for line in sys.stdin:
        GLib.idle_add(command, line.strip())
    GLib.idle_add(loop.quit)


if server.attach(None) == 0:
    sys.exit(f"port {config['port']} is taken")
sys.stdout.write(f"{server.get_bound_port()}\n")
sys.stdout.flush()
threading.Thread(target=listen, daemon=True).start()
loop.run()
