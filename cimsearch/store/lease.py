"""The lease on a study: who runs it, and until when it counts as alive.

The one who takes a lease signs it with the token of its session, and renews it before it expires.
One that died does not, so another may take over then. Should the first live after all, each of its
transactions finds another's token and writes nothing.
"""

from datetime import UTC, datetime, timedelta

from sqlalchemy import Connection, bindparam, delete, func, insert, select, update

from cimsearch.errors import StudyError
from cimsearch.store.rows import Lease, LeaseRow
from cimsearch.store.schema import UtcTime, study, study_lease
from cimsearch.store.session import lease_lost
from cimsearch.store.storage import CimStorage

_OF_STUDY = study_lease.c.study_id == bindparam("id_")
# Like every writer, one who takes a lease locks the study's row first.
_LOCKED_NAME = select(study.c.name).where(study.c.id == bindparam("id_")).with_for_update()
_LEASE = select(study_lease).where(_OF_STUDY)
_DELETE = delete(study_lease).where(_OF_STUDY)
_OURS = study_lease.c.token == bindparam("token_")
_RENEW = update(study_lease).where(_OF_STUDY, _OURS)


def take_lease(
    storage: CimStorage, study_id: int, *, owner: str, seconds: float, dead: str | None = None
) -> Lease:
    """Become the one who runs a study, for some time.

    From now on this storage writes to the study only as long as nobody else has taken the lease.

    Args:
        storage: The storage; if it has the lease already, the lease begins anew.
        study_id: The study; KeyError if there is none.
        owner: Who takes it, such as "host:pid", for people to read.
        seconds: How long the lease holds if it is not renewed.
        dead: An owner of whom the caller knows that it has died: its lease holds no more.

    Raises:
        StudyError: If another's lease is alive; says whose and until when.
    """
    token = storage.session.token
    with storage.session.writing() as conn:
        name = _locked_name(conn, study_id)
        now = database_time(conn)
        row = conn.execute(_LEASE, {"id_": study_id}).one_or_none()
        if row is not None and row.token != token and row.expires > now and row.owner != dead:
            raise StudyError(
                f"the study {name!r} is being run by {row.owner}, "
                f"whose lease holds until {row.expires:%Y-%m-%d %H:%M:%S} UTC",
                "wait for its end, or stop it; if it has died, try again after that time",
            )
        expires = now + timedelta(seconds=seconds)
        lease = {"owner": owner, "token": token, "taken": now, "renewed": now, "expires": expires}
        conn.execute(_DELETE, {"id_": study_id})
        conn.execute(insert(study_lease), {"study_id": study_id, **lease})
    storage.session.leased.add(study_id)
    return Lease(study_id, owner, token, expires)


def renew_lease(storage: CimStorage, study_id: int, *, seconds: float) -> None:
    """Extend the lease that this storage has taken: it holds for so long from now.

    Raises:
        KeyError: If there is no such study any more.
        LeaseLostError: If another has taken it over since.
    """
    with storage.session.writing() as conn:
        name = _locked_name(conn, study_id)
        now = database_time(conn)
        times = {"renewed": now, "expires": now + timedelta(seconds=seconds)}
        ours = {"id_": study_id, "token_": storage.session.token}
        if conn.execute(_RENEW, {**times, **ours}).rowcount == 0:
            taken = conn.execute(_LEASE, {"id_": study_id}).one_or_none()
            raise lease_lost(name, None if taken is None else taken.owner)


def release_lease(storage: CimStorage, study_id: int) -> None:
    """Give the lease back, if this storage still has it: another may take it at once."""
    with storage.session.writing() as conn:
        ours = {"id_": study_id, "token_": storage.session.token}
        conn.execute(_DELETE.where(_OURS), ours)
    storage.session.leased.discard(study_id)


def lease_of(storage: CimStorage, study_id: int) -> LeaseRow | None:
    """Return the lease on a study, alive or expired, or None if nobody has one."""
    with storage.session.reading() as conn:
        row = conn.execute(_LEASE, {"id_": study_id}).one_or_none()
        if row is None:
            return None
        alive = row.expires > database_time(conn)
    return LeaseRow(row.owner, row.taken, row.renewed, row.expires, alive)


def _locked_name(conn: Connection, study_id: int) -> str:
    name = conn.scalar(_LOCKED_NAME, {"id_": study_id})
    if name is None:
        raise KeyError(f"there is no study {study_id}")
    return str(name)


def database_time(conn: Connection) -> datetime:
    """Tell the time by one clock for all machines: the server's, or that of the file's machine."""
    if conn.dialect.name == "sqlite":
        return datetime.now(UTC)
    # Not `now()`, which is the transaction's beginning: it may have waited for a lock since.
    now: datetime = conn.execute(select(func.clock_timestamp(type_=UtcTime))).scalar_one()
    return now
