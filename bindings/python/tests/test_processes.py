"""Threads, forks, signals, progress: who may use what at the same time, and how a long call ends."""

import multiprocessing
import os
import pathlib
import signal
import subprocess
import sys
import threading
import traceback

import pytest

from prepared import (  # noqa: F401
    SRC,
    fixture_root,
    fixture_store,
    needs_library,
    open_descriptors,
    pleach,
    unfinished,
    write,
)

pytestmark = needs_library


class Stop(Exception):
    pass


def together(*functions):
    """Runs each in a thread; what one raises is raised."""
    problems = []

    def guarded(function):
        try:
            function()
        except BaseException:
            problems.append(traceback.format_exc())

    threads = [threading.Thread(target=guarded, args=(f,), daemon=True) for f in functions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
        assert not thread.is_alive(), "a thread does not end"
    assert not problems, problems[0]


def in_child(function):
    """Runs it in a fork, in which it must not fail."""
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            function()
            status = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(status)
    return pid


def assert_good(pid):
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


# ---- threads ----


def test_threads_publish_side_by_side_in_one_store(store):
    published = []

    def publish(name):
        for number in range(4):
            done = store["site"].publish({f"{name}/{number}": "docs"})
            published.append(done.generation)

    together(*(lambda n=n: publish(n) for n in "abcd"))
    assert sorted(published) == list(range(3, 19)) and store["site"].head == 18
    assert store.check().is_sound


def test_thread_that_waits_does_not_keep_others_from_what_it_waits_for(store):
    first = store.transaction("site", workspace="none")
    began = threading.Event()

    def second():
        began.set()
        with store.transaction("site", workspace="none") as tx:
            tx.put("second", b"")

    def end_first():
        began.wait()
        first.put("first", b"")
        with first:
            pass

    together(second, end_first, lambda: store["site"].wait(after=3))
    assert store["site"].head == 4


def test_what_is_shared_by_threads_gives_each_item_once(store):
    for number in range(20):
        store["site"].tag(f"t{number}", 1)
        store["other"].publish({str(number): "docs"})
    log, found = store["other"].log(), []
    together(*[lambda: found.extend(g.number for g in log)] * 4)
    assert sorted(found) == list(range(1, 21)) and log.closed
    with store["other"] as reader:
        together(*[lambda: [reader.listdir() for _ in range(50)]] * 4)


def test_closing_while_others_use_it_is_an_error_there_and_no_more(store):
    for _ in range(30):
        reader = store["site"].reader()

        def use():
            try:
                while True:
                    reader.revision
            except ValueError:
                pass

        together(use, use, reader.close, reader.close)


# ---- forks ----


def test_fork_opens_the_store_anew_and_refuses_what_else_is_open(store):
    site = store["site"]
    log = site.log()
    with site as reader, store.transaction("site") as tx, site.pin() as pin:
        file = site.open("index.html", "rb")
        tx.put("from the parent", b"")

        def child():
            assert site.head == 2 and site.read_text("index.html") == "hello\n"
            for use in (lambda: reader.fd, lambda: pin.path, tx.commit, tx.abort, tx.info,
                        lambda: next(log), file.read, lambda: tx.put("x", b"")):
                with pytest.raises(pleach.ForkedError):
                    use()
            assert "another process" in repr(tx)
            for thing in (log, reader, pin, tx, store):
                thing.close()
            with pytest.raises(ValueError):
                site.head

        assert_good(in_child(child))
        assert reader.open("index.html").read() == "hello\n" and pin.path.exists()
        assert len(list(log)) == 2 and file.read() == b"hello\n"
        file.close()
    assert tx.result.generation == 3 and unfinished(store) == []


def test_block_that_ends_in_a_fork_commits_nothing(store):
    with store.transaction("site") as tx:
        (tx.path / "x").write_text("x")

        def child():
            with pytest.raises(pleach.ForkedError):
                tx.__exit__(None, None, None)
            assert tx.closed

        assert_good(in_child(child))
        assert store["site"].head == 2 and (tx.path / "x").exists()
    assert store["site"].head == 3


def test_child_that_closes_a_reader_lets_go_of_it(store):
    reader = store["site"].reader()
    ready, go = os.pipe(), os.pipe()

    def child():
        reader.close()
        os.write(ready[1], b"x")
        os.read(go[0], 1)

    pid = in_child(child)
    os.read(ready[0], 1)
    with pytest.raises(pleach.BusyError):
        store["site"].drop()  # the parent's
    reader.close()
    store["site"].drop()
    os.write(go[1], b"x")
    assert_good(pid)
    for fd in (*ready, *go):
        os.close(fd)


def test_fork_while_threads_are_at_work_does_not_hang(store):
    going = threading.Event()

    def publish():
        for number in range(10):
            store["site"].publish({str(number): "docs"})
            going.set()

    def fork():
        going.wait()
        for _ in range(5):
            assert_good(in_child(lambda: store["site"].generation()))

    together(publish, fork)


_shared = None


def head_of_shared(_):
    return _shared["site"].head


def test_pools_of_processes_share_a_store(store):
    global _shared
    _shared = store
    with multiprocessing.get_context("fork").Pool(2) as pool:
        assert pool.map(head_of_shared, range(6)) == [2] * 6
    with multiprocessing.get_context("fork").Pool(1) as pool:
        assert pool.apply(len, (list(store["site"]),)) == 2  # generations are pickled
    _shared = None


# ---- ends of long calls ----


def test_cancel_ends_what_others_wait_for_and_nothing_later(store):
    with store.transaction("site", workspace="none"):
        entered = threading.Event()

        def wait(call):
            entered.set()
            with pytest.raises(pleach.CancelledError) as caught:
                call()
            assert isinstance(caught.value, InterruptedError)
            assert caught.value.code is pleach.Code.INTERRUPTED

        waiters = [
            threading.Thread(target=wait, args=(call,))
            for call in (lambda: store["site"].wait(), lambda: store.transaction("site"))
        ]
        for thread in waiters:
            thread.start()
        entered.wait()
        while any(thread.is_alive() for thread in waiters):
            store.cancel()
            waiters[0].join(0.01)
            waiters[1].join(0.01)
    assert store["site"].publish("docs").unchanged and unfinished(store) == []


def test_exception_in_progress_ends_the_call_and_leaves_nothing(store):
    seen = []

    def stop(progress):
        seen.append(progress)
        raise Stop

    with store.transaction("site", workspace="none"):
        with pytest.raises(Stop):
            store.transaction("site", progress=stop)
        assert len(unfinished(store)) == 1
    assert [progress.phase for progress in seen] == ["wait"]
    assert store["site"].head == 2 and unfinished(store) == []


def test_progress_is_told_in_the_thread_that_called(store):
    write(pathlib.Path("many"), {f"{n % 50}/{n}": str(n) for n in range(1100)})
    seen = []

    def tell(progress):
        seen.append((threading.get_ident(), progress))
        assert store["site"].head in (2, 3)  # the store may be used meanwhile

    store["site"].publish("many", progress=tell)
    store.check(progress=tell)
    store["site"].checkout("copy", progress=tell)
    together(lambda: store["site"].checkout("copy2", progress=lambda p: seen.append(
        (threading.main_thread().ident, p))))
    assert {thread for thread, _ in seen} == {threading.get_ident()}
    phases = {progress.phase for _, progress in seen}
    assert "scan" in phases and len(phases) > 2 and all(p.done >= 0 for _, p in seen)


def test_transaction_is_not_used_by_its_own_progress(store):
    write(pathlib.Path("many"), {str(n): str(n) for n in range(1100)})
    store["many"].publish("many")
    tx = store.transaction("many", workspace="copy")
    for n in range(1100):
        (tx.path / str(n)).write_text("new")
    with pytest.raises(RuntimeError):
        tx.commit(progress=lambda _: tx.info())
    tx.close()
    assert unfinished(store) == []


def run_and_interrupt(code, number=signal.SIGINT):
    """Runs Python code that prints a line and then does not end by itself."""
    begin = (f"import signal, sys; sys.path.insert(0, {os.fspath(SRC)!r}); import pleach\n"
             "store = pleach.Store('store')\n")
    with subprocess.Popen([sys.executable, "-c", begin + code], stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "ready\n"
        process.send_signal(number)
        out, err = process.communicate(timeout=120)
    return process.returncode, out, err


@pytest.mark.parametrize("call", [
    "store['site'].wait()",
    "store['new'].wait(after=0)",
    "store.transaction('site')",
])
def test_interrupt_ends_a_call_that_waits(store, call):
    with store.transaction("site", workspace="none"):
        status, _, err = run_and_interrupt(f"print('ready', flush=True); {call}")
        assert "KeyboardInterrupt" in err and status in (1, -signal.SIGINT, 130), err
        assert len(unfinished(store)) == 1


def test_handlers_of_signals_run_while_a_call_waits(store):
    status, out, err = run_and_interrupt(
        "import threading\n"
        "handled = threading.Event()\n"
        "signal.signal(signal.SIGUSR1, lambda *_: handled.set())\n"
        "def end():\n"
        "    handled.wait(); done = False\n"
        "    while waiting.is_set():\n"
        "        store.cancel(); store['site'].head\n"
        "waiting = threading.Event(); waiting.set()\n"
        "thread = threading.Thread(target=end); thread.start()\n"
        "print('ready', flush=True)\n"
        "try:\n"
        "    store['site'].wait()\n"
        "except pleach.CancelledError:\n"
        "    print('cancelled')\n"
        "waiting.clear(); thread.join()\n", signal.SIGUSR1)
    assert (status, out) == (0, "cancelled\n"), err


def test_handler_of_a_signal_may_cancel(store):
    before = signal.signal(signal.SIGALRM, lambda *_: store.cancel())
    signal.setitimer(signal.ITIMER_REAL, 0.02, 0.02)  # again and again: it may come too early
    try:
        with pytest.raises(pleach.CancelledError):
            store["site"].wait()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert store["site"].head == 2


def test_interrupted_publish_is_done_or_not_at_all(store):
    write(pathlib.Path("many"), {f"{n % 50}/{n}": str(n) for n in range(1100)})
    status, _, err = run_and_interrupt("print('ready', flush=True); store['site'].publish('many')\n"
                                       "import time; time.sleep(1000)")
    assert "KeyboardInterrupt" in err and status != 0
    assert store["site"].head in (2, 3) and unfinished(store) == [] and store.check().is_sound


def test_nothing_stays_open_after_ends_by_exceptions(store):
    def once():
        with store.transaction("site", workspace="none"):
            with pytest.raises(pleach.BusyError):
                store.transaction("site", wait=0)
            with pytest.raises(Stop):
                store.transaction("site", progress=stop)

    def stop(_):
        raise Stop

    once()
    before = open_descriptors()
    for _ in range(3):
        once()
    assert open_descriptors() <= before and threading.active_count() == 1
