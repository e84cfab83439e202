"""What of an environment workers get."""

import pytest

from cimsearch.workers.environment import worker_environment


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("CIMSEARCH_STORAGE", "sqlite:///x.db"),
        ("PGPASSWORD", "x"),
        ("PGPASSFILE", "/home/me/.pgpass"),
        ("PGHOST", "db"),
        ("MYSQL_PASSWORD", "x"),
        ("my_passwd", "x"),
        ("AWS_SECRET_ACCESS_KEY", "x"),
        ("GITHUB_TOKEN", "x"),
        ("APP_CREDENTIALS", "x"),
        ("DATABASE_URL", "postgresql+psycopg://me:word@db:5432/studies"),
        ("BROKER", "amqp://:word@broker"),
        ("DATABASE_URL", "postgresql+psycopg://me:a/word@db:5432/studies"),
        ("DATABASE_URL", "postgresql+psycopg://db/studies?user=me&password=word"),
        ("SETTINGS", "a=1 url=https://me:word@host/x"),
    ],
)
def test_secrets_are_left_out(name: str, value: str) -> None:
    assert name not in worker_environment({name: value, "PATH": "/bin"})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PATH", "/bin"),
        ("CIMSEARCH_DATA", "/data"),
        ("CIMSEARCH_CACHE", "s3://bucket/cache"),
        ("HTTP_PROXY", "http://proxy:3128"),
        ("HOME", "/home/me"),
        ("DOCUMENTATION", "https://host:443/page?search=password"),
        ("MAIL", "mailto:me@host"),
        ("SPACE", "a page"),
    ],
)
def test_the_rest_is_kept(name: str, value: str) -> None:
    assert worker_environment({name: value})[name] == value


def test_numerical_libraries_get_one_thread() -> None:
    environment = worker_environment({"OMP_NUM_THREADS": "8"})
    assert environment["OMP_NUM_THREADS"] == "1"
    assert environment["MKL_NUM_THREADS"] == "1"
    assert environment["OPENBLAS_NUM_THREADS"] == "1"


def test_the_given_environment_is_left_alone() -> None:
    given = {"PGPASSWORD": "x"}
    worker_environment(given)
    assert given == {"PGPASSWORD": "x"}
