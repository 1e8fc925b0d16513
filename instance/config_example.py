"""Copy to config.py and fill in. ./start does that by itself.

Every setting, its unit and its default stands in docs/configuration.md. The environment variable of
the same name wins over this file.
"""

# Signs cookies; at least 16 random characters.
SECRET_KEY = "{secret_key}"

# MariaDB or MySQL:  mysql+pymysql://user:password@host/hypersight?charset=utf8mb4
# PostgreSQL:        postgresql+psycopg://user:password@host/hypersight
# SQLALCHEMY_DATABASE_URI = ""

# A Redis of your own instead of the embedded one.
# REDIS_URL = "redis://127.0.0.1:6379/0"

# Times without an offset are in this zone.
# TIMEZONE = "Europe/Berlin"

# Detect on another Hypersight server instead of this machine's CPU.
# OBJECT_DETECTOR_URL = "http://192.0.2.10:5000/detect"
# OBJECT_DETECTOR_TOKEN = ""

# Whether the metrics API answers without a token. Left out: ./start lets it as long as only programs on
# this machine can connect (--host 127.0.0.1, no TRUSTED_PROXIES), and everything else asks for one.
# API_ANONYMOUS = False
