"""Where a program finds its workspace, and what of the world outside it sees: all of it, but no publish of
its own ref (G1). PLEACH is the command.
"""

import os
import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent))

from workplace import Workplace, get, needs_command, put  # noqa: E402
from workplace import fixture_place  # noqa: E402,F401

pytestmark = needs_command
LIMIT = 120  # seconds for any one command
ODD = ["plain", "with blank", "new\nline", "-e", "\udcff\udcfe bytes", "back\\slash", "quo'te\"s", "$HOME *"]


class Talk:
    """A shell in a transaction, that is told line by line what to do; it answers each."""

    LOOP = 'while read -r line; do eval "$line"; echo; echo "<done>"; done'

    def __init__(self, place: Workplace, *options, cwd=None):
        self.process = place.start("run", *options, "site", "--", "sh", "-c", self.LOOP, stdin=-1,
                                   cwd=cwd or place.public())

    def ask(self, line: str) -> str:
        self.process.stdin.write(os.fsencode(line) + b"\n")
        self.process.stdin.flush()
        said = []
        while (text := self.process.stdout.readline().decode()) != "<done>\n":
            assert text, (line, said, self.process.stderr.read())
            said.append(text)
        return "".join(said)[:-1].rstrip("\n")

    def end(self) -> int:
        self.process.communicate(timeout=LIMIT)
        return self.process.returncode


def begin(place: Workplace) -> None:
    place.pleach("init", "-q")
    put(place.source + b"/generation", b"1\n")
    put(place.source + b"/a/b/c", b"c\n")
    place.pleach("publish", "-q", "site", place.source)


@pytest.mark.parametrize("way", ["public", "attached", "attached below", "real"])
def test_a_working_directory_inside_leads_to_the_same_place_in_the_workspace(place, way):
    begin(place)
    place.pleach("attach", "site", place.at("there"))
    start = {"public": place.public() + b"/a", "attached": place.at("there"),
             "attached below": place.at("there", "a", "b"),
             "real": os.path.realpath(place.public() + b"/a")}[way]
    place.pleach("run", "site", "--", "sh", "-c", 'echo made >here; test "$(pwd -P)" -ef "$PWD"', cwd=start,
                 timeout=LIMIT)
    assert place.heads() == [2, 1]
    below = {"public": b"/a", "attached": b"", "attached below": b"/a/b", "real": b"/a"}[way]
    assert get(place.public() + below + b"/here") == b"made\n"
    assert place.pleach("diff", "site").out == f"A {os.fsdecode((below + b'/here')[1:])}\n"
    place.assert_sound()


@pytest.mark.parametrize("name", ODD)
def test_odd_names_of_working_directories_lead_there_too(place, name):
    begin(place)
    put(place.source + b"/" + os.fsencode(name) + b"/file", b"f\n")
    place.pleach("publish", "-q", "site", place.source)
    place.pleach("attach", "site", place.at(name))
    for where in (place.public() + b"/" + os.fsencode(name), place.at(name, name)):
        place.pleach("run", "site", "--", "sh", "-c", 'cat file >>copy; cp copy "./$1 of it"', "sh", name,
                     cwd=where, timeout=LIMIT)
    assert get(place.at(name, name, name + " of it")) == b"f\nf\n"
    place.assert_sound()


def test_G1_what_is_published_meanwhile_is_never_seen_inside_and_all_else_is(place):
    begin(place)
    place.pleach("attach", "site", place.at("there"))
    talk = Talk(place, "--optimistic")
    for generation in range(2, 7):
        put(place.source + b"/generation", b"%d\n" % generation)
        put(place.source + b"/new%d" % generation, b"new\n")
        place.pleach("publish", "-q", "site", place.source)
        place.pleach("publish", "-q", "other", place.source)
        assert get(place.public() + b"/generation") == b"%d\n" % generation
        assert talk.ask('cat generation; ls') == "1\na\ngeneration"
        assert talk.ask('cat "$PLEACH_PATH/generation"') == "1"
        assert talk.ask(f"cat '{os.fsdecode(place.at('there'))}/generation'") == "1"
        assert talk.ask('cat "${PLEACH_PATH%/*}/other/generation"') == str(generation)
    assert talk.ask("echo mine >mine; echo of the run >a/b/c") == ""
    assert not os.path.exists(place.public() + b"/mine")
    assert talk.end() == 0
    assert get(place.public() + b"/mine") == b"mine\n"
    assert get(place.at("there", "a", "b", "c")) == b"of the run\n"
    assert get(place.public() + b"/generation") == b"6\n"
    place.assert_nothing_unfinished()
    place.assert_sound()


def test_other_names_beside_the_ref_live_in_both_directions(place):
    begin(place)
    talk = Talk(place)
    put(place.store + b"/outside", b"from outside\n")
    assert talk.ask('cat "${PLEACH_PATH%/*}/outside"') == "from outside"
    talk.ask('echo from inside >"${PLEACH_PATH%/*}/inside"; mkdir "${PLEACH_PATH%/*}/made"')
    assert get(place.store + b"/inside") == b"from inside\n"
    put(place.store + b"/made/file", b"beside\n")
    assert talk.ask('cat "${PLEACH_PATH%/*}/made/file"') == "beside"
    os.unlink(place.store + b"/outside")
    assert talk.ask('test -e "${PLEACH_PATH%/*}/outside" || echo gone') == "gone"
    talk.ask('rm -r "${PLEACH_PATH%/*}/made"')
    assert not os.path.exists(place.store + b"/made")
    assert talk.ask('rm "$PLEACH_PATH" 2>/dev/null || test -L "$PLEACH_PATH" && echo there') == "there"
    assert talk.ask('mv "$PLEACH_PATH" "${PLEACH_PATH%/*}/moved" 2>/dev/null || echo refused') == "refused"
    assert talk.end() == 0
    assert place.heads() == [1]
    assert get(place.public() + b"/generation") == b"1\n"
