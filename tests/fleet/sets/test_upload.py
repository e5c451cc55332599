"""An uploaded archive has regular `.py` files, or is refused with the name of what else it has."""

from __future__ import annotations

import tarfile
from dataclasses import replace

import pytest

from charhost.fleet.sets.upload import UnusableUpload, files_of, most_bytes, uploaded_set
from charhost.loading.snapshot import Limits
from tests.fleet.archives import ADA, archive, entry, of_files

LIMITS = Limits(files=10, bytes=100_000, file_bytes=50_000, excluded=("draft_*.py",))

REFUSED = {
    "an absolute path": (archive(entry("/etc/ada.py")), "'/etc/ada.py' is no relative path"),
    "a path upwards": (archive(entry("a/../../ada.py")), "is no relative path"),
    "a dot in the path": (archive(entry("./ada.py")), "is no relative path"),
    "an empty part": (archive(entry("a//ada.py")), "is no relative path"),
    "no name": (archive(entry("")), "'' is no relative path"),
    "a data file": (archive(entry("lines.txt")), "'lines.txt' is no .py file"),
    "a hidden file": (archive(entry(".ada.py")), "'.ada.py' is hidden"),
    "a hidden folder": (archive(entry(".git/ada.py")), "is hidden"),
    "bytecode": (archive(entry("__pycache__/ada.py")), "below __pycache__"),
    "an excluded file": (archive(entry("draft_ada.py")), "'draft_ada.py' matches draft_"),
    "packages": (archive(entry("site-packages/x/ada.py")), "matches site-packages/"),
    "a folder": (archive(entry("a.py", b"", type=tarfile.DIRTYPE)), "'a.py' is a folder"),
    "a symbolic link": (archive(entry("a.py", b"", type=tarfile.SYMTYPE, linkname="/etc/x")), "is a symbolic link"),
    "a hard link": (archive(entry("a.py", b"", type=tarfile.LNKTYPE, linkname="b.py")), "is a hard link"),
    "a character device": (archive(entry("a.py", b"", type=tarfile.CHRTYPE)), "is a device"),
    "a block device": (archive(entry("a.py", b"", type=tarfile.BLKTYPE)), "is a device"),
    "a pipe": (archive(entry("a.py", b"", type=tarfile.FIFOTYPE)), "is a pipe"),
    "a sparse file": (archive(entry("a.py", type=tarfile.GNUTYPE_SPARSE)), "is a sparse file"),
    "an unknown type": (archive(entry("a.py", type=b"Z")), "'a.py' is an entry of the type b'Z'"),
    "a contiguous file": (archive(entry("a.py", type=tarfile.CONTTYPE)), "is an entry of the type b'7'"),
    "an extended header": (
        archive(entry("ada.py", pax_headers={"GNU.sparse.size": "9"}), kind=tarfile.PAX_FORMAT),
        "is an extended header",
    ),
    "a global header": (archive(entry("g", b"", type=tarfile.XGLTYPE)), "is an extended header"),
    "a long name of GNU tar": (archive(entry("a" * 200 + ".py"), kind=tarfile.GNU_FORMAT), "--format=ustar"),
    "a file twice": (archive(entry("ada.py"), entry("ada.py")), "has 'ada.py' twice"),
    "a file that is a folder": (archive(entry("a.py"), entry("a.py/b.py")), "'a.py' is a file and a folder"),
    "a large file": (archive(entry("a.py", b"#" * 50_001)), "'a.py' has 50,001 bytes; the limit is 50,000"),
    "a header that was changed": (archive(entry("a.py"))[:124] + b"\x80" + b"\xff" * 387, "no header"),
    "many bytes": (archive(*(entry(f"a{n}.py", b"#" * 40_000) for n in range(3))), "120,000 bytes of source"),
    "many files": (archive(*(entry(f"a{n}.py", b"") for n in range(11))), "more than 10 files"),
    "many folders": (archive(entry("/".join("abcdefghijkl") + "/a.py")), "more than 10 files or folders"),
    "nothing": (b"", "does not end with an empty block"),
    "no archive": (b"PK\x03\x04" + bytes(508), "no tar archive: at byte 0"),
    "a gap within": (archive(entry("a.py"))[:512] + b"x" * 10, "ends within 'a.py'"),
    "no end": (archive(entry("a.py", b"#" * 512))[:1024], "a part of it is missing"),
    "a damaged header within": (
        archive(entry("a.py", b"#" * 512))[:1024] + b"?" * 512 + bytes(1024),
        "at byte 1,024 there is no header",
    ),
    "data behind the end": (archive(entry("a.py")) + archive(entry("b.py")), "data after its end"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_no_archive_of_source_is_refused(case: str) -> None:
    """Nothing of such an archive is taken, and the refusal names the entry, or the place in the archive."""
    sent, why = REFUSED[case]
    with pytest.raises(UnusableUpload, match=why.replace("(", r"\(")):
        files_of(sent, LIMITS)


def test_a_negative_size_is_refused() -> None:
    """A size in base 256 may be negative: the archive would be read backwards."""
    header, _ = entry("a.py")
    header.size = -512
    with pytest.raises(UnusableUpload, match=r"'a\.py' has a negative size"):
        files_of(header.tobuf(tarfile.GNU_FORMAT) + bytes(1024), LIMITS)


def test_files_have_their_paths_and_bytes() -> None:
    """Regular files, in folders and with long or foreign names too, are taken as they are."""
    long = "/".join(["folder" * 10] * 3) + "/ada.py"
    sent = {"ada.py": ADA, "häuser/bob.py": b"# \xff", long: b"", "_tools.py": b"x = 1\n"}
    assert files_of(archive(*(entry(path, data) for path, data in sent.items())), LIMITS) == sent


@pytest.mark.parametrize("cut", range(0, 10_240, 512))
def test_a_part_of_an_archive_is_never_taken_for_the_whole(cut: int) -> None:
    """An archive that was cut is refused, wherever that was, unless only the filling behind its end is missing."""
    whole = of_files(ada="x = 1\n", bob="y = 2\n")
    end = 4 * 512
    if cut > end:
        assert len(files_of(whole[:cut], LIMITS)) == 2
    else:
        with pytest.raises(UnusableUpload):
            files_of(whole[:cut], LIMITS)


def test_the_largest_set_fits() -> None:
    """The limit of the body leaves room for the headers of as many files as a set may have."""
    limits = replace(LIMITS, bytes=1000)
    assert len(archive(*(entry(f"a{n}.py", b"#" * 100) for n in range(10)))[: 10 * 1024 + 512]) <= most_bytes(limits)


def test_a_set_without_a_character_is_refused() -> None:
    """Helpers and folders alone make no set."""
    with pytest.raises(UnusableUpload, match="has no character"):
        uploaded_set(of_files(_tools="x = 1\n"), LIMITS, "/srv/characters")


def test_a_set_has_its_characters_and_their_helpers() -> None:
    """The characters are those of a directory with the same files."""
    stored = uploaded_set(of_files(ada=ADA.decode(), _tools="x = 1\n"), LIMITS, "/srv/characters")
    assert [member.path for member in stored.members] == ["ada.py"]
    assert sorted(stored.members[0].snapshot.files) == ["_tools.py", "ada.py"]
