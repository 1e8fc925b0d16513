"""What docker-compose.yml needs beside the services: keys, the schema, a look at the web server.

Called as `python -m tools.container keys|prepare|healthy` inside the image.
"""

from __future__ import annotations

import http.client
import os
import secrets
import sys
from pathlib import Path

from server import create_app
from server.config import INSTANCE_VARIABLE
from server.launcher.instance import first_password, migrate, write_config

PASSWORD = Path("/keys/mariadb")
"""The database's password: made up once, in a volume that only MariaDB and `keys` see."""
DATABASE = "mysql+pymysql://hypersight:{password}@mariadb/hypersight?charset=utf8mb4"


def keys(instance: Path, password_file: Path) -> None:
    """Write config.py with a random SECRET_KEY and the database's address, unless both are there."""
    if not password_file.exists():
        # MariaDB's own account reads it, and nobody else has the volume.
        password_file.write_text(secrets.token_hex(24))
        password_file.chmod(0o644)
    write_config(instance)
    config = instance / "config.py"
    address = DATABASE.format(password=password_file.read_text())
    if address not in config.read_text():
        with config.open("a") as file:
            file.write(f'\nSQLALCHEMY_DATABASE_URI = "{address}"\n')


def prepare() -> None:
    """Bring the database to this version's schema, and print the first account's password, once."""
    app = create_app()
    migrate(app)
    password = first_password(app)
    if password is not None:
        print(f"Sign in at /admin as admin with the password {password}", flush=True)


def healthy(port: int = 5000) -> bool:
    """Whether the web server answers within four seconds."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=4)
    try:
        connection.request("GET", "/")
        return connection.getresponse().status < 500
    except OSError:
        return False
    finally:
        connection.close()


def main(arguments: list[str]) -> int:
    """One of the three; the exit code says whether it went well."""
    if arguments == ["keys"]:
        keys(Path(os.environ[INSTANCE_VARIABLE]), PASSWORD)
    elif arguments == ["prepare"]:
        prepare()
    elif arguments == ["healthy"]:
        return 0 if healthy() else 1
    else:
        print(__doc__, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
