"""PostgreSQL through psycopg 3, every transaction serializable."""

from __future__ import annotations

import sqlalchemy

from adapters import missing

CONNECT_SECONDS = 5
IDLE_CONNECTIONS, MOST_CONNECTIONS = 5, 15
WAIT_SECONDS = 30.0


def engine(url: sqlalchemy.URL) -> sqlalchemy.Engine:
    """An engine with up to 15 pooled connections, each tried before it is used again. TLS is the URL's: `?sslmode=`."""
    try:
        import psycopg  # noqa: F401  # SQLAlchemy's own error would not name the extra
    except ImportError as error:
        raise missing("psycopg", extra="runtime") from error
    options = {} if "options" in url.query else {"options": "-c timezone=UTC"}
    return sqlalchemy.create_engine(
        url.set(drivername="postgresql+psycopg"),
        hide_parameters=True,
        isolation_level="SERIALIZABLE",
        pool_pre_ping=True,
        pool_size=IDLE_CONNECTIONS,
        max_overflow=MOST_CONNECTIONS - IDLE_CONNECTIONS,
        pool_timeout=WAIT_SECONDS,
        connect_args={"connect_timeout": CONNECT_SECONDS, **options},
    )
