"""Memory of forked processes, shared again or copied at once: what they hold is what they have made of it."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="asks Linux for its memory")

_BEGIN = """
import ctypes, gc, mmap, multiprocessing, os, random, re, resource, signal, subprocess, sys, threading, time, traceback
from paglets.core.pages import copy_pages, give_back, keep_originals, own_pages

signal.signal(signal.SIGINT, signal.SIG_DFL)
held = [[number] for number in range(50_000)]
gc.collect()
gc.freeze()
"""

_FORK = """
kept = keep_originals()

def touch():  # count a reference on each, and take it back
    for each in held:
        pass

def own():  # KiB that this process shares with nobody
    with open("/proc/self/smaps_rollup") as file:
        return int(re.search(r"Private_Dirty: +(\\d+) kB", file.read())[1])

def in_fork(work):
    if not (pid := os.fork()):
        try:
            work()
        except BaseException:
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
"""


_READ = """
import tempfile

read = bytes(range(256)) * 65_536
"""


def test_it_was_built() -> None:
    assert importlib.util.find_spec("paglets.core._pages"), "it takes a C compiler and the headers of Python"


def test_what_was_only_looked_at_is_shared_again() -> None:
    _run("""
    def work():
        touch()
        before = own()
        given = give_back()
        assert given > 500, given
        assert before - own() > 500 * 4, (before, own())
        assert held == [[number] for number in range(50_000)]
    in_fork(work)
    """)


def test_what_was_changed_stays_changed_for_who_changed_it() -> None:
    _run("""
    def work():
        touch()
        for number in range(0, 50_000, 5_000):
            held[number].append("changed")
        assert give_back() > 500
        expected = [[number] if number % 5_000 else [number, "changed"] for number in range(50_000)]
        assert held == expected
        touch()
        give_back()
        assert held == expected
    in_fork(work)
    assert held == [[number] for number in range(50_000)]
    def see():
        assert held == [[number] for number in range(50_000)]
    in_fork(see)
    """)


def test_a_process_goes_on_as_if_nothing_were_given_back() -> None:
    _run("""
    def work():
        chance, model = random.Random(7), {number: [number] for number in range(50_000)}
        for _ in range(60):
            for _ in range(300):
                number = chance.randrange(50_000)
                match chance.randrange(4):
                    case 0:
                        held[number] = [number]
                        model[number] = [number]
                    case 1:
                        new = "x" * chance.randrange(2_000)
                        held[number].append(new)
                        model[number].append(new)
                    case 2:
                        del held[number][1:], model[number][1:]
                    case 3:
                        held[number], held[0] = held[0], held[number]
                        model[number], model[0] = model[0], model[number]
            if not chance.randrange(4):
                gc.collect()
            give_back()
        assert held == [model[number] for number in range(50_000)]
    in_fork(work)
    """)


def test_memory_that_was_freed_and_had_anew_is_not_given_back() -> None:
    _run(
        """
    def work():
        assert libc.munmap(address, size) == 0
        assert libc.mmap(address, size, MAPPED[0], MAPPED[1] | mmap_fixed, -1, 0) == address
        ctypes.memset(address, 0xab, size)  # as its original is, though that is not its original any more
        give_back()
        assert ctypes.string_at(address, size) == b"\\xab" * size
    in_fork(work)
    """,
        before="""
size, mmap_fixed = 1 << 20, 0x10
MAPPED = mmap.PROT_READ | mmap.PROT_WRITE, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
libc = ctypes.CDLL(None)
libc.mmap.restype = ctypes.c_void_p
libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long]
libc.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
address = libc.mmap(None, size, *MAPPED, -1, 0)
ctypes.memset(address, 0xab, size)
""",
    )


def test_the_original_cannot_be_written_to() -> None:
    _run("""
    def work():
        address, size = next(
            (int(start, 16), int(end, 16) - int(start, 16))
            for start, end in re.findall(
                r"^(\\w+)-(\\w+) r--p .*/memfd:paglets-originals", open("/proc/self/maps").read(), re.M)
        )
        libc = ctypes.CDLL(None, use_errno=True)
        libc.mprotect.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
        assert libc.mprotect(address, size, mmap.PROT_READ | mmap.PROT_WRITE) == 0
        ctypes.memset(address, 0xee, size)  # what a hostile paglet would do: it becomes this process's own
    in_fork(work)
    def see():
        touch()
        assert give_back() > 500
        assert held == [[number] for number in range(50_000)]
    in_fork(see)
    """)


def test_nothing_is_left_open() -> None:
    _run("""
    assert kept > 0
    in_fork(give_back)
    assert os.listdir("/proc/self/fd") == before, os.listdir("/proc/self/fd")
    """, before='before = os.listdir("/proc/self/fd")')  # fmt: skip


def test_nothing_is_given_back_while_another_thread_could_run() -> None:
    _run("""
    def with_thread(work, *arguments):
        def give():
            thread = threading.Thread(target=work, args=arguments, daemon=True)
            thread.start()
            time.sleep(0.1)
            touch()
            assert give_back(thread.native_id) == 0, work
        in_fork(give)
    with_thread(time.sleep, 20)
    with_thread(threading.Event().wait, 20)
    with_thread(lambda: [None for _ in iter(int, 1)])
    with_thread(os.read, os.pipe()[0], 10)
    between_processes = multiprocessing.get_context("fork").Lock()
    between_processes.acquire()
    with_thread(between_processes.acquire)
    """)


def test_only_the_thread_that_was_named_may_be_there() -> None:
    _run("""
    def work():
        locks = [threading.Lock() for _ in range(2)]
        threads = [threading.Thread(target=lock.acquire, daemon=True) for lock in locks]
        for lock in locks:
            lock.acquire()
        threads[0].start()
        time.sleep(0.1)
        touch()
        assert give_back() == 0
        assert give_back(os.getpid()) == 0
        assert give_back(threads[0].native_id) > 500
        threads[1].start()
        time.sleep(0.1)
        touch()
        assert give_back(threads[0].native_id) == 0
    in_fork(work)
    """)


def test_a_thread_that_sleeps_until_it_is_woken_can_be_woken() -> None:
    _run("""
    def work():
        for _ in range(50):
            go, gone = threading.Lock(), []
            go.acquire()
            def wait():
                with go:
                    gone.append(1)
            thread = threading.Thread(target=wait)
            thread.start()
            for _ in range(500):
                touch()
                if give_back(thread.native_id) > 500:
                    break
            else:
                raise AssertionError("it never slept")
            go.release()
            thread.join(10)
            assert gone
    in_fork(work)
    """)


def test_a_signal_that_comes_meanwhile_is_seen() -> None:
    _run("""
    def work():
        seen = 0
        def note(number, frame):
            nonlocal seen
            seen += 1
        signal.signal(signal.SIGTERM, note)  # as every child does
        go = threading.Lock()
        go.acquire()
        thread = threading.Thread(target=go.acquire)
        thread.start()
        sends = f"import os, time\\nwhile True: os.kill({os.getpid()}, 15); time.sleep(0.001)"
        sender = subprocess.Popen([sys.executable, "-c", sends])
        until, given = time.monotonic() + 2, 0
        while time.monotonic() < until:
            touch()
            given += give_back(thread.native_id)
        sender.kill()
        sender.wait()
        assert seen > 20 and given > 500, (seen, given)
        assert held == [[number] for number in range(50_000)]
        go.release()
        thread.join(10)
        assert not thread.is_alive()
    in_fork(work)
    """)


def test_nothing_is_given_back_while_other_signals_are_caught() -> None:
    _run("""
    def work():
        signal.signal(signal.SIGUSR1, lambda number, frame: None)
        touch()
        assert give_back() == 0
        signal.signal(signal.SIGUSR1, signal.SIG_DFL)
        assert give_back() > 500
    in_fork(work)
    """)


def test_a_large_block_can_be_made_larger() -> None:
    # The C library lengthens the mapping of one: neither into what is no memory, nor into what stays in a file.
    _run("""
    def mapping():  # of the block's first byte
        at = ctypes.addressof(ctypes.c_char.from_buffer(large))
        for line in open("/proc/self/maps"):
            start, end = (int(each, 16) for each in line.split()[0].split("-"))
            if start <= at < end:
                return line
    def work():
        assert "paglets-originals" not in mapping()
        large.extend(bytes(200 << 20))
        many.extend(range(4_000_000))
        touch()
        assert give_back() > 500
        assert large == bytes(205 << 20) and many[-1] == 3_999_999
        large[:] = b"x" * len(large)
        give_back()
        assert large.count(b"x") == 205 << 20
        assert "paglets-originals" not in mapping()
    in_fork(work)
    """, before="large, many = bytearray(5 << 20), list(range(500_000))")  # fmt: skip


def test_what_is_too_large_is_left_alone() -> None:
    _run("""
    assert kept == 0
    """, before="""
libc = ctypes.CDLL(None)
libc.sbrk.restype = ctypes.c_void_p
libc.sbrk(200 << 20)
""")  # fmt: skip


def test_what_has_been_set_apart_stays_where_it_is() -> None:
    _run(
        """
    def work():
        assert ctypes.string_at(address, size) == bytes(size)  # wiped, as it was asked for
        touch()
        assert give_back() > 500
    in_fork(work)
    """,
        before="""
size = 1 << 20
libc = ctypes.CDLL(None)
libc.mmap.restype = ctypes.c_void_p
libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long]
libc.madvise.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
address = libc.mmap(None, size, mmap.PROT_READ | mmap.PROT_WRITE, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, -1, 0)
assert libc.madvise(address, size, 18) == 0  # MADV_WIPEONFORK
ctypes.memset(address, 0xab, size)
""",
    )


def test_the_stack_of_an_ended_thread_is_not_kept() -> None:
    _run("""
    assert 0 < kept < 60 << 20, kept
    """, before="""
threading.stack_size(64 << 20)
thread = threading.Thread(target=len, args=[()])
thread.start()
thread.join()
threading.stack_size(0)
while len(os.listdir("/proc/self/task")) > 1:
    time.sleep(0.001)
""")  # fmt: skip


def test_a_second_time_changes_nothing() -> None:
    _run("""
    assert kept > 0
    assert keep_originals() == 0
    def work():
        assert keep_originals() == 0
        touch()
        assert give_back() > 500
    in_fork(work)
    """)


def test_nothing_is_given_back_where_nothing_is_kept() -> None:
    _run("assert give_back() == 0", fork="")


def test_a_process_with_another_thread_goes_on_without() -> None:
    _run("""
    threading.Thread(target=time.sleep, args=[20], daemon=True).start()
    assert keep_originals() == 0
    assert give_back() == 0
    """, fork="")  # fmt: skip


def test_a_process_with_another_allocator_goes_on_without(tmp_path: Path) -> None:
    source, library = tmp_path / "other.c", tmp_path / "other.so"
    source.write_text(
        "#include <stddef.h>\nextern void *__libc_malloc(size_t);\nvoid *malloc(size_t n) { return __libc_malloc(n); }"
    )
    subprocess.run(["cc", "-shared", "-fPIC", "-o", library, source], check=True, timeout=50)
    _run("assert keep_originals() == 0", fork="", environ={"LD_PRELOAD": str(library)})


def test_a_process_that_may_not_write_so_much_goes_on_without() -> None:
    _run("""
    signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))
    assert keep_originals() == 0
    assert give_back() == 0
    assert held == [[number] for number in range(50_000)]
    """, fork="")  # fmt: skip


@pytest.mark.parametrize("fork", ["keep_originals()", ""], ids=["of originals", "of plain memory"])
def test_what_one_fork_has_copied_the_next_one_copies_at_once(fork: str) -> None:
    _run("""
    def faults():
        return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

    def one():  # writes to pages, and tells which
        sum(read)  # and to those only
        before = faults()
        touch()
        copied = faults() - before
        assert copied > 500, copied
        told = own_pages()
        word = ctypes.sizeof(ctypes.c_void_p)
        ends = [int.from_bytes(told[at:at + word], sys.byteorder) for at in range(0, len(told), word)]
        pages = sum(end - start for start, end in zip(ends[::2], ends[1::2])) // mmap.PAGESIZE
        assert copied <= pages < copied + 1000, (copied, pages)
        assert len(ends) < pages, "pages side by side are told as one run"
        theirs.write(told)
        theirs.flush()

    def next_one():
        assert copy_pages(pages) > 500
        before = faults()
        touch()
        assert faults() - before < 50, faults() - before
        held[7].append("changed")
        assert held == [[number] if number != 7 else [7, "changed"] for number in range(50_000)]

    with tempfile.TemporaryFile() as theirs:
        in_fork(one)
        theirs.seek(0)
        pages = theirs.read()
    in_fork(next_one)
    assert held == [[number] for number in range(50_000)]
    """, before=_READ, fork=_FORK.replace("keep_originals()", fork or "0"))  # fmt: skip


def test_pages_that_are_not_there_or_not_to_be_written_to_are_passed_over() -> None:
    _run("""
    page, libc = mmap.PAGESIZE, ctypes.CDLL(None, use_errno=True)
    libc.mmap.restype = ctypes.c_void_p
    libc.mmap.argtypes = [ctypes.c_void_p] + [ctypes.c_size_t] + 3 * [ctypes.c_int] + [ctypes.c_long]
    private = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
    readable = libc.mmap(None, page, mmap.PROT_READ, private, -1, 0)
    gone = libc.mmap(None, page, mmap.PROT_READ, private, -1, 0)
    writable = libc.mmap(None, page, mmap.PROT_READ | mmap.PROT_WRITE, private, -1, 0)
    libc.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
    assert libc.munmap(gone, page) == 0

    def run(start, end):
        return b"".join(each.to_bytes(ctypes.sizeof(ctypes.c_void_p), sys.byteorder) for each in (start, end))

    def of(*addresses):
        return b"".join(run(each, each + page) for each in addresses)

    assert copy_pages(of(readable, gone)) == 0
    assert copy_pages(of(readable, gone, writable)) == 1
    assert copy_pages(run(writable + page, writable)) == 0
    assert copy_pages(run(writable + 1, writable + page)) == 0
    assert copy_pages(b"") == 0
    """, fork="")  # fmt: skip


def test_pages_that_nobody_has_told_are_refused() -> None:
    _run("""
    for wrong, error in ((b"seven..", ValueError), ("text", TypeError), (None, TypeError)):
        try:
            copy_pages(wrong)
        except error:
            continue
        raise AssertionError(wrong)
    """, fork="")  # fmt: skip


def _run(code: str, *, before: str = "", fork: str = _FORK, environ: dict[str, str] | None = None) -> None:
    lines = code.splitlines()
    indent = min((len(line) - len(line.lstrip()) for line in lines if line.strip()), default=0)
    script = "\n".join([_BEGIN, before, fork, *(line[indent:] for line in lines)])
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
        env={**os.environ, **(environ or {})},
    )
    assert done.returncode == 0, done.stderr
