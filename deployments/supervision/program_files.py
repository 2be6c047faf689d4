"""The definitions of programs on the disk: two files that supervisord is told of, and a copy of both.

One file that supervisord cannot read would keep it from starting, and from taking any other program; one that was
emptied would be a program less. So each is checked before supervisord reads them, and made anew from its copy.
"""

import configparser
import contextlib
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

from deployments.atomic_files import write_atomically
from deployments.supervision.program import Program, conf_of, script_of

_PRIVATE = 0o600
_OPTIONS = {
    *("command", "environment", "autostart", "autorestart", "startsecs", "startretries", "stopsignal", "stopwaitsecs"),
    *("stopasgroup", "killasgroup", "redirect_stderr"),
    *("stdout_logfile", "stdout_logfile_maxbytes", "stdout_logfile_backups"),
}


@dataclass(frozen=True, slots=True)
class Definitions:
    """The programs below `folder`."""

    folder: Path

    def names(self) -> set[str]:
        """Of all that are defined."""
        return {path.stem for path in self.folder.glob("*.conf")}

    def write(self, program: Program) -> None:
        """Keep a definition; what is there already is not written again."""
        conf, script = self._files(program.name)
        contents = {conf: conf_of(program, script), script: script_of(program)}
        copy = {path.name: content.decode() for path, content in contents.items()}
        self._copy(program.name).parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        # The copy first: a definition that differs from its copy is taken for damaged.
        for path, content in ((self._copy(program.name), json.dumps(copy).encode()), *reversed(contents.items())):
            if not path.is_file() or path.read_bytes() != content:
                write_atomically(path, content, mode=_PRIVATE)

    def forget(self, name: str) -> None:
        """Remove a definition; an unknown one is fine."""
        for path in (self._copy(name), *self._files(name)):
            path.unlink(missing_ok=True)
        with contextlib.suppress(OSError):  # others are in it
            self._copy(name).parent.rmdir()

    def mend(self) -> tuple[str, ...]:
        """Make damaged and lost definitions anew from their copies, and put damaged ones without a copy away.

        Returns what was done, a sentence each. Programs that run go on running meanwhile.
        """
        found = self.names() | {path.stem for path in self._copy("x").parent.glob("*.json")}
        return tuple(done for name in sorted(found) if (done := self._mended(name)))

    def _mended(self, name: str) -> str | None:
        files = conf, _ = self._files(name)
        copy = self._copied(name)
        if copy is not None and any(not _holds(path, copy[path]) for path in files):
            damaged = [str(_put_away(path)) for path in files if path.exists() and not _holds(path, copy[path])]
            for path in reversed(files):
                write_atomically(path, copy[path], mode=_PRIVATE)
            return (
                f"program {name}: its definition was damaged and is made anew (kept: {', '.join(damaged) or 'nothing'})"
            )
        if copy is None and conf.exists() and not _is_sound(name, conf):
            return f"program {name}: its definition is damaged and kept as {_put_away(conf)}; launch it anew"
        return None

    def _files(self, name: str) -> tuple[Path, Path]:
        return self.folder / f"{name}.conf", self.folder / f"{name}.sh"

    def _copy(self, name: str) -> Path:
        return self.folder / "copies" / f"{name}.json"

    def _copied(self, name: str) -> dict[Path, bytes] | None:
        """The copy of a definition, None if there is none, or a damaged one."""
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError, AttributeError):
            copy = json.loads(self._copy(name).read_bytes())
            contents = {path: copy[path.name].encode() for path in self._files(name)}
            conf, script = self._files(name)
            digest = hashlib.sha256(contents[script]).hexdigest()
            if f"[program:{name}]".encode() in contents[conf] and digest.encode() in contents[conf]:
                return contents
        return None


def _holds(path: Path, content: bytes) -> bool:
    try:
        return path.read_bytes() == content
    except OSError:
        return False


def _is_sound(name: str, conf: Path) -> bool:
    """Whether supervisord can read it as the one program that it is to define: with what we write, and nothing else."""
    parser = configparser.RawConfigParser(inline_comment_prefixes=(";", "#"), strict=False)
    try:
        parser.read_string(conf.read_text())
        options = dict(parser.items(f"program:{name}"))
    except (OSError, ValueError, configparser.Error):
        return False
    numbers = (options.get(key, "") for key in ("startsecs", "startretries", "stopwaitsecs"))
    words = (options.get(key, "") for key in ("autostart", "autorestart", "stopasgroup", "killasgroup"))
    alone = parser.sections() == [f"program:{name}"] and options.keys() == _OPTIONS
    return alone and all(map(str.isdigit, numbers)) and all(word in {"true", "false"} for word in words)


def _put_away(path: Path) -> Path:
    place = path.with_name(f"{path.name}.damaged")
    if place.is_dir():
        place = path.with_name(f"{path.name}.damaged-{path.stat().st_ino}")
    path.replace(place)
    return place
