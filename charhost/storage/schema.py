"""The tables of a state file."""

# Raised by every change of the tables, or of the JSON in them.
VERSION = 3
READABLE = (1, 2, VERSION)  # in 1 no item has anything attached, and before 3 there is one set

_SETS = (
    # Each generation of a set, and its characters in their order.
    """CREATE TABLE sets (
        name TEXT NOT NULL, generation INTEGER NOT NULL,
        directory BLOB NOT NULL, revision TEXT NOT NULL, disk TEXT,
        PRIMARY KEY (name, generation)) WITHOUT ROWID""",
    """CREATE TABLE members (
        name TEXT NOT NULL, generation INTEGER NOT NULL,
        position INTEGER NOT NULL,
        snapshot INTEGER NOT NULL REFERENCES snapshots,
        path BLOB NOT NULL, fingerprint TEXT NOT NULL,
        PRIMARY KEY (name, generation, position),
        FOREIGN KEY (name, generation) REFERENCES sets ON DELETE CASCADE) WITHOUT ROWID""",
    "CREATE INDEX members_of_snapshot ON members (snapshot)",
)
# The sets that were added to the running server.
_ADDED = (
    "CREATE TABLE added_sets (name TEXT PRIMARY KEY, directory BLOB NOT NULL, watch INTEGER NOT NULL) WITHOUT ROWID"
)

SCHEMA = (
    # Each attempt to reload, as its report.
    """CREATE TABLE attempts (
        number INTEGER PRIMARY KEY AUTOINCREMENT, reload_id TEXT NOT NULL UNIQUE, report TEXT NOT NULL,
        name TEXT NOT NULL DEFAULT 'default')""",
    # Each content of a file, once.
    "CREATE TABLE contents (id INTEGER PRIMARY KEY, digest BLOB NOT NULL UNIQUE, data BLOB NOT NULL)",
    "CREATE TABLE directories (id INTEGER PRIMARY KEY, path BLOB NOT NULL UNIQUE)",
    # `place` is where the directory led to, by whatever links.
    """CREATE TABLE snapshots (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        directory INTEGER NOT NULL REFERENCES directories, place BLOB NOT NULL, taken INTEGER NOT NULL)""",
    # A file had this content from the snapshot `first` of its directory to `last`; NULL: it has it in the newest, too.
    # So a reload adds as many rows as there are changed files, however large the directory is.
    """CREATE TABLE files (
        directory INTEGER NOT NULL REFERENCES directories,
        path BLOB NOT NULL,
        first INTEGER NOT NULL, last INTEGER,
        content INTEGER NOT NULL REFERENCES contents,
        PRIMARY KEY (directory, path, first)) WITHOUT ROWID""",
    "CREATE INDEX snapshots_of_directory ON snapshots (directory, id)",
    "CREATE INDEX files_of_content ON files (content)",
    *_SETS,
    _ADDED,
    # Each conversation that its client may come back for.
    """CREATE TABLE conversations (
        id TEXT PRIMARY KEY, saved REAL NOT NULL, character TEXT NOT NULL, owner TEXT NOT NULL,
        dialect TEXT, config TEXT, conversation TEXT NOT NULL, set_name TEXT NOT NULL DEFAULT 'default')
        WITHOUT ROWID""",
    """CREATE TABLE items (
        session TEXT NOT NULL REFERENCES conversations ON DELETE CASCADE, position INTEGER NOT NULL, item TEXT NOT NULL,
        PRIMARY KEY (session, position)) WITHOUT ROWID""",
)

# Statements that turn a file of version 1 or 2 into one of this version.
UPGRADE = (
    "ALTER TABLE attempts ADD COLUMN name TEXT NOT NULL DEFAULT 'default'",
    "ALTER TABLE conversations ADD COLUMN set_name TEXT NOT NULL DEFAULT 'default'",
    "DROP INDEX members_of_snapshot",
    "ALTER TABLE members RENAME TO former_members",
    "ALTER TABLE sets RENAME TO former_sets",
    *_SETS,
    "INSERT INTO sets SELECT 'default', generation, directory, revision, disk FROM former_sets",
    "INSERT INTO members SELECT 'default', generation, position, snapshot, path, fingerprint FROM former_members",
    "DROP TABLE former_members",
    "DROP TABLE former_sets",
    _ADDED,
)
