"""Who is at work in the stress test: workers that publish, change, read and drop, collectors, and those
who keep the readers without pins going. Each is a thread with a generator of random numbers of its own.
"""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import threading
import time

import alike
import trees

READER = os.path.join(os.environ.get("PLEACH_BUILD_ROOT", ""), "tests", "stress-reader")
GRACE_MS = {"site": 1000, "cycle": 1000, "counts": 2000}
READERS = ("site", "site", "cycle", "counts")
CYCLE = 6  # trees that come back


class Worker(threading.Thread):
    """Does one thing after the other, at random."""

    def __init__(self, stress, who: int):
        super().__init__(name=f"worker {who}")
        self.stress = stress
        self.place = stress.place
        self.rng = random.Random(f"{stress.seed}/{who}")
        self.source = self.place.at(f"source{who}")
        self.out = self.place.at(f"out{who}")

    def things(self) -> dict:
        found = {self.publish: 8, self.publish_cycle: 8, self.rollback: 8, self.pin: 5, self.drop: 5,
                 self.tag: 2, self.checkout: 1, self.path: 2, self.cat: 2, self.side: 1,
                 self.check: 1, self.status: 1, self.step_in_a_directory: 1}
        if self.stress.has_runs:
            found.update({self.transaction: 2, self.bump: 8, self.step: 3})
        return found

    def run(self) -> None:
        things = self.things()
        while not self.stress.stop.is_set():
            (thing,) = self.rng.choices(list(things), list(things.values()))
            try:
                thing()
            except Exception as error:  # pylint: disable=broad-except
                self.stress.fault(f"{thing.__name__}: {error!r}")
                raise

    def command(self, *words, **options) :
        return self.stress.run(self.rng, *words, **options)

    def name(self, what: str) -> str:
        return f"{what} {self.stress.number()}"

    # Generations

    def publish(self) -> None:
        ref = self.rng.choice(("site", "site", "edit"))
        name = self.name("publish")
        stamp = name.replace(" ", ".")
        shutil.rmtree(self.source, ignore_errors=True)
        trees.make(self.source, stamp)
        self.stress.stamps[name] = stamp
        self.stress.pictures[name] = alike.Picture(self.source)
        condition = []
        if self.rng.random() < 0.2:
            heads = self.command("--json", "log", "-n", "1", ref, kills=0)
            condition = ["--if-head", str(heads.json()["generation"])]
        ended = self.command("--json", "publish", "-m", name, *condition, ref, self.source,
                             allowed=(0, 12) if condition else (0,))
        self.stress.write(ref, name, ended)
        if ended.status == 0 and condition and ended.json()["generation"] != int(condition[1]) + 1:
            self.stress.fault(f"{name}: published upon another head than {condition[1]}")

    def publish_cycle(self) -> None:
        name, which = self.name("publish"), self.rng.randrange(CYCLE)
        self.stress.stamps[name] = f"cycle.{which}"
        ended = self.command("--json", "publish", "-m", name, "cycle",
                             self.place.at(f"cycle{which}"), name="publish again")
        self.stress.write("cycle", name, ended)

    def rollback(self) -> None:
        """Mostly to the generation before, which is placed: the quickest flip that there is."""
        ref, name = self.rng.choice(("site", "site", "cycle", "edit")), self.name("rollback")
        back = self.rng.choice((1, 1, 1, 2, 3, 8))
        ended = self.command("--json", "rollback", "-m", name, ref, f"@-{back}", allowed=(0, 10))
        self.stress.write(ref, name, ended)

    def transaction(self) -> None:
        name = self.name("run")
        ref, stamp = self.rng.choice(("site", "edit")), name.replace(" ", ".")
        how = self.rng.choice(([], ["--optimistic"], ["--optimistic", "--retry", "3"]))
        self.stress.stamps[name] = stamp
        ended = self.command("--json", "run", *how, "-m", name, ref, "--", "sh", "-c",
                             trees.RESTAMP, "sh", stamp, allowed=(0, 12), name="run")
        self.stress.write(ref, name, ended)

    def bump(self) -> None:
        which = self.rng.randrange(trees.COUNTERS)
        name = self.name(f"bump {which} by run")
        how = self.rng.choice(([], ["--optimistic", "--retry", "50"]))
        ended = self.command("--json", "run", *how, "-m", name, "counts", "--", "sh", "-c",
                             trees.BUMP, "sh", str(which), allowed=(0, 12), name="bump")
        self.stress.write("counts", name, ended)

    def step(self) -> None:
        """Begin, run, commit, abort; left to lie where it was killed, or tried again."""
        begun = self.command("--json", "begin", self.rng.choice(("site", "counts")))
        if begun.status != 0:
            return
        tx, ref = begun.json()["tx"], begun.json()["ref"]
        which, name = self.rng.randrange(trees.COUNTERS), self.name("step")
        stamp = name.replace(" ", ".")
        if ref == "counts":
            name, script, what = f"bump {which} by {name}", trees.BUMP, str(which)
        else:
            script, what = trees.RESTAMP, stamp
        ran = self.command("run", "--tx", tx, "--", "sh", "-c", script, "sh", what, name="run --tx")
        if ran.status == 0:
            self.commit(tx, ref, name, stamp)
        elif self.rng.random() < 0.5:  # while its processes end it is still in use
            self.command("abort", tx, allowed=(0, 11))

    def step_in_a_directory(self) -> None:
        shutil.rmtree(self.out, ignore_errors=True)
        begun = self.command("--json", "begin", "--checkout", self.out, "site",
                             name="begin --checkout")
        if begun.status != 0:
            return
        name = self.name("step")
        stamp = name.replace(" ", ".")
        subprocess.run(["sh", "-c", trees.RESTAMP, "sh", stamp], check=True,
                       env={**os.environ, "PLEACH_PATH": os.fsdecode(self.out)})
        self.commit(begun.json()["tx"], "site", name, stamp)

    def commit(self, tx: str, ref: str, name: str, stamp: str) -> None:
        """Killed, it is tried again: one of the two lands, never both."""
        again = name + " again"
        self.stress.stamps[name] = self.stress.stamps[again] = stamp
        ended = self.command("--json", "commit", "-m", name, tx, allowed=(0, 12))
        self.stress.write(ref, name, ended)
        if ended.status is None:
            ended = self.command("--json", "commit", "-m", again, tx, allowed=(0, 10, 12), kills=0,
                                 name="commit again")
            self.stress.write(ref, again, ended, name)
        if ended.status == 12:
            self.command("abort", tx, kills=0)

    # Reading, and what keeps and takes

    def pin(self) -> None:
        ref = self.rng.choice(("site", "cycle", "edit", "edit"))
        environment = {**self.place.environment, "PIN_BEGIN": str(time.monotonic_ns())}
        # A killed one leaves its reader, which still holds the pin: nobody waits for its output.
        self.command("pin", ref, "--", READER, "pinned", "-", self.place.at(f"held-{ref}"), "1500",
                     *trees.NAMES, env=environment, stdout=subprocess.DEVNULL,
                     stderr=subprocess.DEVNULL, pass_fds=(self.stress.alive[1],))

    def checkout(self) -> None:
        shutil.rmtree(self.out, ignore_errors=True)
        ref = self.rng.choice(("site", "cycle"))
        ended = self.command("checkout", "-q", ref, self.out)
        if os.path.lexists(self.out):
            stamp = self.stress.stamp_of(self.out, "checkout")
            self.stress.read(ref, ended, stamp, "checkout")
        elif ended.status == 0:
            self.stress.fault(f"{self.out!r} was checked out, and is not there")

    def path(self) -> None:
        """An older one is placed for it, and stays for the grace."""
        ref = self.rng.choice(("site", "cycle"))
        ended = self.command("path", f"{ref}@-{self.rng.randrange(1, 6)}", allowed=(0, 10))
        if ended.status != 0:
            return
        try:
            found = trees.contents(ended.out.rstrip(b"\n"))
        except OSError as error:
            found = {b"": str(error).encode()}
        is_whole = found == trees.contents_of(found.get(b"link", b"?").decode())
        if not is_whole and time.monotonic_ns() - ended.begin < (GRACE_MS[ref] - 50) * 1000000:
            self.stress.fault(f"{ended.out!r} is not whole within the grace: {found}")

    def cat(self) -> None:
        ref = self.rng.choice(("site", "cycle", "edit"))
        ended = self.command("cat", f"{ref}:{trees.STAMPED[2]}")
        if ended.status == 0:
            self.stress.read(ref, ended, ended.out.decode().rstrip("\n"), "cat")

    def tag(self) -> None:
        stress, ref, tag = self.stress, self.rng.choice(("site", "cycle")), self.name("t").replace(" ", "")
        ended = self.command("tag", ref, tag, f"@-{self.rng.randrange(6)}", allowed=(0, 10))
        if ended.status == 0 and self.rng.random() < 0.3:
            with stress.lock:
                stress.tagged[ref, tag] = True
        else:
            self.command("tag", "--delete", ref, tag, allowed=(0, 10), kills=0, name="tag --delete")

    def drop(self) -> None:
        ref = self.rng.choice(("site", "cycle", "cycle", "edit"))
        now = ["--now"] if ref == "edit" else []
        heads = self.command("--json", "log", "-n", "1", ref, kills=0, name="log").json()["generation"]
        number = heads - self.rng.randrange(7)
        if number < 1:
            return
        ended = self.command("drop", *now, f"{ref}@{number}", allowed=(0, 10, 11))
        if ended.status == 0:
            with self.stress.lock:
                self.stress.dropped.add((ref, number))

    def side(self) -> None:
        """A ref with trees that others have, too."""
        if self.rng.random() < 0.6:
            source = self.place.at(f"cycle{self.rng.randrange(CYCLE)}")
            self.command("publish", "-q", "side", source, allowed=(0, 10), name="publish side")
        else:
            self.command("drop", "--now", "side", allowed=(0, 10, 11), name="drop side")

    def check(self) -> None:
        ended = self.command("check", *self.rng.choice(([], ["--quick"])))
        if ended.status == 0 and ended.err:
            self.stress.fault(f"check says: {ended.err}")

    def status(self) -> None:
        self.command("--json", "status")


class Collector(threading.Thread):
    """Collects, again and again, killed now and then."""

    def __init__(self, stress, who: int):
        super().__init__(name=f"collector {who}")
        self.stress = stress
        self.rng = random.Random(f"{stress.seed}/collector {who}")

    def run(self) -> None:
        while not self.stress.stop.wait(self.rng.uniform(0, 0.1)):
            how = self.rng.choice(([], [], [], ["--max-time", "1s"], ["-n"]))
            self.stress.run(self.rng, "gc", "-q", *how, allowed=(0, 11), kills=0.3)


class Readers(threading.Thread):
    """Keeps the readers without pins at work, killed now and then."""

    def __init__(self, stress):
        super().__init__(name="readers")
        self.stress = stress
        self.rng = random.Random(f"{stress.seed}/readers")
        self.running: dict = {}

    def out(self, slot: int) -> bytes:
        return self.stress.place.at(f"seen-{READERS[slot]}-{slot}")

    def start_one(self, slot: int) -> None:
        ref = READERS[slot]
        mode, names = ("counts", trees.PAIRS) if ref == "counts" else ("free", trees.NAMES)
        self.running[slot] = subprocess.Popen(
            [READER, mode, self.stress.place.public(ref), self.out(slot), str(GRACE_MS[ref]), *names],
            stdin=subprocess.DEVNULL)

    def run(self) -> None:
        for slot in range(len(READERS)):
            self.start_one(slot)
        while not self.stress.stop.wait(self.rng.uniform(0.5, 1.5)):
            slot = self.rng.randrange(len(READERS))
            if self.running[slot].poll() is not None:
                self.stress.fault("a reader has ended: see its faults")
                break
            self.running[slot].kill()
            self.running[slot].wait()
            self.stress.counts["reader killed"] += 1
            self.start_one(slot)
        for process in self.running.values():
            process.terminate()
            process.wait()
