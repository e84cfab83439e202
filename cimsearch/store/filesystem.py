"""Which file system a database file lies on: SQLite's locks are not to be trusted on some."""

import re
from pathlib import Path

MOUNTS = Path("/proc/self/mountinfo")
"""Where Linux lists what is mounted; other systems have no such file."""

NETWORK = frozenset(
    (
        "9p",
        "afs",
        "beegfs",
        "ceph",
        "cifs",
        "dvs",
        "fuse.ceph",
        "fuse.ceph-fuse",
        "fuse.glusterfs",
        "fuse.juicefs",
        "fuse.rclone",
        "fuse.sshfs",
        "gfs2",
        "gpfs",
        "lustre",
        "nfs",
        "nfs4",
        "ocfs2",
        "panfs",
        "pvfs2",
        "smb",
        "smb3",
        "smbfs",
        "wekafs",
    )
)
"""File systems whose files several machines may open, as Linux names them."""

_ESCAPED = re.compile(r"\\([0-7]{3})")


def network_type(path: Path) -> str | None:
    """Name the network file system that a file is on or would be on, or None if it is local."""
    # First, as it makes an automounter mount what the path leads to.
    resolved = path.resolve()
    try:
        # Mount points may be named in any encoding.
        mounts = MOUNTS.read_text(encoding="utf-8", errors="surrogateescape")
    except OSError:
        return None
    found = file_system_of(resolved, mounts)
    return found if found in NETWORK else None


def file_system_of(path: Path, mounts: str) -> str | None:
    """Name the type of the file system that has a path, or None if the list does not have it.

    Args:
        path: An absolute path without symbolic links.
        mounts: What is mounted, in the form of `/proc/self/mountinfo`.
    """
    found, depth = None, 0
    for line in mounts.splitlines():
        # Before the separator come the mount point, fifth, and optional fields; after it the type.
        before, separator, after = line.partition(" - ")
        fields = before.split()
        if not separator or len(fields) < 5:
            continue
        point = Path(_ESCAPED.sub(lambda m: chr(int(m[1], 8)), fields[4]))
        # Of two on the same point the later one hides the earlier.
        if path.is_relative_to(point) and len(point.parts) >= depth:
            found, depth = after.split()[0], len(point.parts)
    return found
