#!/usr/bin/env python3
"""Proves the rules of the house that a compiler does not: layers, cycles, banned calls, lists.

  layering.py [ROOT]       checks the checkout (default: the one this file is in)
  layering.py --self-test  feeds each rule small bad trees and sees that it fails for them

Prints TAP, one case a rule. A rule is a function that takes a Tree and yields lines that name file,
line and remedy; it is in RULES with its name, and has its bad trees in BAD_TREES.
"""

import os
import re
import sys
import tempfile

LAYERS = ["base", "sys", "object", "tree", "ref", "place", "source", "gc", "tx", "api"]

# What reaches the kernel: only src/sys may call these.
RAW_CALLS = set("""
    open openat openat2 open64 creat close close_range read write pread pwrite readv writev preadv
    pwritev lseek sendfile splice copy_file_range link linkat unlink unlinkat rename renameat
    renameat2 mkdir mkdirat rmdir remove mknod mknodat mkfifo mkfifoat symlink symlinkat readlink
    readlinkat realpath truncate ftruncate fallocate posix_fallocate fsync fdatasync sync syncfs
    sync_file_range fcntl ioctl flock lockf stat lstat fstat fstatat statx statfs fstatfs statvfs
    fstatvfs access faccessat euidaccess chmod fchmod fchmodat chown fchown lchown fchownat utime
    utimes futimes lutimes utimensat futimens getxattr lgetxattr fgetxattr setxattr lsetxattr
    fsetxattr listxattr llistxattr flistxattr removexattr lremovexattr fremovexattr mmap munmap
    msync mount umount umount2 move_mount open_tree fsopen fsmount fsconfig unshare setns chroot
    pivot_root chdir fchdir umask fork vfork clone execve execv execvp execvpe execl execlp
    posix_spawn posix_spawnp wait waitpid waitid kill signal sigaction sigprocmask pthread_sigmask
    pipe pipe2 dup dup2 dup3 poll ppoll select epoll_create1 epoll_ctl epoll_wait eventfd
    inotify_init1 inotify_add_watch socket socketpair connect bind listen accept send recv opendir
    fdopendir readdir closedir getdents64 nftw fts_open scandir fopen fdopen freopen tmpfile mkstemp
    mkostemp mkdtemp popen syscall clock_gettime gettimeofday time nanosleep usleep sleep getuid
    geteuid getgid getegid getpid getenv secure_getenv setenv dprintf
""".split())

BANNED_CALLS = {
    **dict.fromkeys(["alloca", "strdupa", "__builtin_alloca"], "allocate, and check the size"),
    **dict.fromkeys("""strtol strtoul strtoll strtoull strtoimax strtoumax atoi atol atoll
                       sscanf""".split(), "use pl_parse_u64"),
    **dict.fromkeys(["basename", "dirname"], "they change their argument; use the path functions"),
    **dict.fromkeys("sprintf vsprintf strcpy stpcpy strcat gets".split(),
                    "use what is told the size"),
    "system": "start the program itself",
}
NUMBER_PARSERS = {name for name, hint in BANNED_CALLS.items() if hint == "use pl_parse_u64"}
NUMBERS_ALLOWED_IN = "cli/options.c"

LOUD_CALLS = set("""
    printf vprintf fprintf vfprintf puts putchar putc fputs fputc perror exit abort quick_exit err
    errx warnx syslog
""".split())
LOUD_ALLOWED_IN = "src/base/assert.c"

LONGEST, LONG = 120, 70


# Reading C

TOKEN = re.compile(
    r"""//(?:\\\n|[^\n])*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'""", re.DOTALL)


def blank(text):
    return re.sub(r"[^\n]", " ", text)


def strip_comments(text, strings_too=False):
    """Comments (and the insides of strings) become blanks; every line keeps its number."""

    def replace(match):
        token = match.group()
        if token[0] == "/":
            return blank(token)
        return token[0] + blank(token[1:-1]) + token[-1] if strings_too else token

    return TOKEN.sub(replace, text)


class Source:
    """One C file: its text, without comments, and without comments and strings."""

    def __init__(self, root, path):
        self.path = path
        with open(os.path.join(root, path), encoding="utf-8", errors="replace") as file:
            self.text = file.read()
        self.code = strip_comments(self.text, strings_too=True)
        self.includes = []
        for number, line in enumerate(strip_comments(self.text).split("\n"), 1):
            match = re.match(r'\s*#\s*include\s*(["<])([^">]+)[">]', line)
            if match:
                self.includes.append((number, match.group(1) == '"', match.group(2)))

    @property
    def layer(self):
        parts = self.path.split("/")
        return parts[1] if parts[0] == "src" and len(parts) > 2 else None

    def calls(self, names):
        """Yields (line, name) of each call; members (x->read) do not count."""
        for number, line in enumerate(self.code.split("\n"), 1):
            if line.lstrip().startswith("#") and "define" not in line:
                continue
            for match in re.finditer(r"(?<![\w.])(\w+)\s*\(", line):
                name, before = match.group(1), line[:match.start()]
                if name in names and not before.rstrip().endswith("->"):
                    yield number, name


class Tree:
    """The C files and the meson lists of a checkout."""

    def __init__(self, root):
        self.root = root
        self.sources = [Source(root, path) for path in self.find("src", "cli")
                        if path.endswith((".c", ".h"))]
        self.paths = {source.path for source in self.sources}

    def find(self, *folders):
        found = []
        for folder in folders:
            for where, folders_below, names in os.walk(os.path.join(self.root, folder)):
                folders_below[:] = sorted(n for n in folders_below if n != "__pycache__")
                where = os.path.relpath(where, self.root)
                found += [f"{where}/{name}" for name in sorted(names)]
        return found

    def exists(self, path):
        return os.path.exists(os.path.join(self.root, path))

    def listed(self, path):
        """The strings in a meson file, comments left out."""
        if not self.exists(path):
            return set()
        with open(os.path.join(self.root, path), encoding="utf-8") as file:
            text = "\n".join(re.sub(r"#.*", "", line) for line in file.read().split("\n"))
        return set(re.findall(r"'([^'\n]*)'", text))

    def resolve(self, source, name):
        """The path of a header of this project, or None."""
        beside = os.path.normpath(os.path.join(os.path.dirname(source.path), name))
        for path in (beside, os.path.normpath("src/" + name), "include/" + name):
            if path in self.paths or self.exists(path):
                return path
        return None


# The rules

def rule_layers(tree):
    for source in tree.sources:
        if source.path.startswith("src/") and source.layer not in LAYERS:
            yield f"{source.path}:1: is in no layer; the layers are {' '.join(LAYERS)}"
            continue
        for number, quoted, name in source.includes:
            path = tree.resolve(source, name)
            where = f"{source.path}:{number}"
            if path is None:
                if quoted:
                    yield f"{where}: there is no header {name} in this project"
            elif source.layer is None:
                if path != "include/pleach.h" and not path.startswith("cli/"):
                    yield f"{where}: cli sees pleach.h and nothing else of the library, not {name}"
            elif path.startswith("src/"):
                other = path.split("/")[1]
                if other not in LAYERS or LAYERS.index(other) > LAYERS.index(source.layer):
                    yield f"{where}: {source.layer} is below {other}, and may not include {name}"
            elif path != "include/pleach.h":  # includes nothing itself, and holds struct pleach_error
                yield f"{where}: {path} is no part of the library"


def rule_cycles(tree):
    edges = {}
    for source in tree.sources:
        module = os.path.splitext(source.path)[0]
        edges.setdefault(module, set())
        for _, _, name in source.includes:
            path = tree.resolve(source, name)
            if path and os.path.dirname(path) == os.path.dirname(source.path):
                edges[module].add(os.path.splitext(path)[0])
    reported = set()
    for start in sorted(edges):
        for cycle in cycles_through(start, edges):
            if frozenset(cycle) not in reported:
                reported.add(frozenset(cycle))
                yield f"modules include each other: {' -> '.join([*cycle, start])}"


def cycles_through(start, edges):
    """Yields one shortest way from start back to itself, if there is one."""
    ways, seen = [[start]], set()
    while ways:
        way = ways.pop(0)
        for following in sorted(edges.get(way[-1], ())):
            if following == start and len(way) > 1:
                yield way
                return
            if following not in seen and following != start:
                seen.add(following)
                ways.append([*way, following])


def rule_raw_calls(tree):
    for source in tree.sources:
        if source.layer not in (None, "sys"):
            for number, name in source.calls(RAW_CALLS):
                yield f"{source.path}:{number}: {name}(): use pl_… of src/sys instead"


def rule_banned_calls(tree):
    for source in tree.sources:
        for number, name in source.calls(BANNED_CALLS):
            if name not in NUMBER_PARSERS or source.path != NUMBERS_ALLOWED_IN:
                yield f"{source.path}:{number}: {name}(): {BANNED_CALLS[name]}"


def rule_loud_calls(tree):
    for source in tree.sources:
        if source.layer is not None and source.path != LOUD_ALLOWED_IN:
            for number, name in source.calls(LOUD_CALLS):
                yield f"{source.path}:{number}: {name}(): the library neither prints nor exits"


def rule_first_comment(tree):
    for source in tree.sources:
        if not source.text.lstrip().startswith(("/*", "//")):
            yield f"{source.path}:1: does not begin with a comment that tells what lives here"


def rule_listed(tree):
    def check(paths, meson, name_of):
        listed = tree.listed(meson)
        for path in paths:
            if name_of(path) not in listed:
                yield f"{path}: is not in {meson} (as '{name_of(path)}')"

    def under(folder, end):
        return [path for path in tree.find(folder) if path.endswith(end)]

    yield from check(under("src", ".c"), "src/meson.build", lambda p: p[len("src/"):])
    yield from check(under("cli", ".c"), "cli/meson.build", lambda p: p[len("cli/"):])
    yield from check(under("tests/unit", ".c"), "tests/meson.build",
                     lambda p: p[len("tests/unit/"):-len(".c")])
    yield from check(under("tests/cli", ".bats"), "tests/meson.build",
                     lambda p: p[len("tests/cli/"):-len(".bats")])
    listed = tree.listed("tests/meson.build")
    homes = ["tests", "bindings/python/tests", "integrations"]
    for home, path in [(home, path) for home in homes for path in under(home, ".py")]:
        name = path[len(home) + 1:]
        is_listed = any(name == entry or name.startswith(entry + "/") for entry in listed)
        if re.match(r"(test_.*|.*_test)\.py$", os.path.basename(path)) and not is_listed:
            yield f"{path}: neither it nor a folder of it is in tests/meson.build"


def functions(source):
    """Yields (first, last, why): line numbers of a function from its name to its closing brace,
    and the comments right above and at its head. Needs the formatting of .clang-format, in which
    the braces of a function, and of nothing else, stand alone in the first column."""
    code, text = source.code.split("\n"), source.text.split("\n")
    opened = None
    for index, line in enumerate(code):
        if opened is None and line.rstrip() == "{":
            opened = index
        elif opened is not None and line.startswith("}"):
            first = opened
            while first > 0 and code[first - 1].strip() and code[first - 1][0] not in "}#":
                first -= 1
            above = first
            while above > 0 and text[above - 1].strip() and not code[above - 1].strip():
                above -= 1
            head = opened + 1
            while head < index and not code[head].strip():
                head += 1
            yield first + 1, index + 1, "\n".join(text[above:first] + text[opened + 1:head])
            opened = None


def rule_function_length(tree):
    for source in tree.sources:
        for first, last, why in functions(source):
            length = last - first + 1
            if length > LONGEST:
                yield f"{source.path}:{first}: {length} lines; more than {LONGEST} is too long"
            elif length > LONG and "long:" not in why:
                yield (f"{source.path}:{first}: {length} lines; more than {LONG} needs the reason "
                       "in the comment above it, after the word 'long:'")


RULES = [
    ("a layer includes only itself and lower layers, the command only pleach.h", rule_layers),
    ("no modules of a folder include each other in a circle", rule_cycles),
    ("only src/sys makes system calls", rule_raw_calls),
    ("no banned calls", rule_banned_calls),
    ("the library prints nothing and never exits", rule_loud_calls),
    ("every file begins with a comment", rule_first_comment),
    ("every source and test file is in a meson list", rule_listed),
    ("no function is too long", rule_function_length),
]


def check(root):
    tree = Tree(root)
    print(f"1..{len(RULES)}")
    bad = 0
    for number, (name, rule) in enumerate(RULES, 1):
        faults = list(rule(tree))
        bad += bool(faults)
        print(f"{'not ok' if faults else 'ok'} {number} - {name}")
        for fault in faults:
            print(f"# {fault}")
    return 1 if bad else 0


# Self-test

C = "/* What lives here. */\n"


def lines(count):
    return "int f(void)\n{\n" + "\tg();\n" * (count - 3) + "}\n"


GOOD_TREE = {
    "include/pleach.h": C,
    "src/meson.build": "files('base/buf.c', 'base/assert.c', 'sys/file.c', 'api/open.c')",
    "cli/meson.build": "files('main.c', 'options.c')",
    "tests/meson.build": "x = ['base/buf', 'publish', 'format', 'crash/test_kill.py', 'test_abi.py',"
                         " 'thing/tests/test_thing.py']",
    "src/base/base.h": C,
    "src/base/buf.h": C + '#include "base/base.h"\n',
    "src/base/buf.c": C + '#include "base/buf.h"\n#include <stdio.h>\n'
                      '// open("x") \n/* printf("x") */\nint f(struct ops *ops)\n{\n'
                      '\tops->read(1);\n\treturn ops.write("open(", \'"\') + pl_open() + fopenx();\n}\n'
                      "/* long: a table */\n" + lines(80) + lines(70),
    "src/base/assert.c": C + "int f(void)\n{\n\tfprintf(x);\n\tabort();\n}\n",
    "src/sys/file.c": C + '#include "base/base.h"\nint f(void)\n{\n\t_exit(openat(1));\n}\n',
    "src/api/open.c": C + '#include "pleach.h"\n#include "sys/../base/buf.h"\n',
    "cli/cli.h": C,
    "cli/main.c": C + '#include "cli.h"\n#include <pleach.h>\nint f(void)\n{\n\topen(puts());\n}\n',
    "cli/options.c": C + "int f(void)\n{\n\tstrtoull(1);\n}\n",
    "tests/unit/base/buf.c": "",
    "tests/cli/publish.bats": "",
    "tests/format/test_reader.py": "",
    "tests/crash/test_kill.py": "",
    "bindings/python/tests/test_abi.py": "",
    "integrations/thing/tests/test_thing.py": "",
}


def call(text):
    return C + "int f(void)\n{\n\t" + text + "\n}\n"


# Rule, and the files that, put over the good tree, must make this rule fail.
BAD_TREES = [
    (rule_layers, {"src/base/buf.c": C + '#include "sys/file.h"\n', "src/sys/file.h": C}),
    (rule_layers, {"src/base/buf.c": C + '#include "../sys/file.h"\n', "src/sys/file.h": C}),
    (rule_layers, {"src/base/buf.c": C + "#include <sys/file.h>\n", "src/sys/file.h": C}),
    (rule_layers, {"src/base/buf.c": C + '#include "../../cli/cli.h"\n'}),
    (rule_layers, {"src/base/buf.c": C + '#include "nowhere.h"\n'}),
    (rule_layers, {"src/other/x.c": C}),
    (rule_layers, {"cli/main.c": C + '#include "base/buf.h"\n'}),
    (rule_layers, {"cli/main.c": C + '#include "../src/base/buf.h"\n'}),
    (rule_cycles, {"src/base/base.h": C + '#include "base/buf.h"\n'}),
    (rule_cycles, {"src/base/a.c": C + '#include "base/buf.h"\n', "src/base/a.h": C,
                   "src/base/base.h": C + '#include "a.h"\n'}),
    *[(rule_raw_calls, {"src/base/buf.c": call(f"x = {name}(1);")})
      for name in ("open", "renameat2", "fstatat", "fsetxattr", "mmap", "fork", "utimensat")],
    (rule_raw_calls, {"src/api/open.c": call("if (read (fd))")}),
    *[(rule_banned_calls, {where: call(f"{name}(x);")})
      for where in ("src/sys/file.c", "cli/main.c")
      for name in ("alloca", "strtol", "atoi", "basename", "dirname", "sprintf", "strcpy",
                   "strcat", "gets", "system")],
    (rule_banned_calls, {"cli/options.c": call("strcat(x);")}),
    *[(rule_loud_calls, {"src/sys/file.c": call(f"{name}(x);")})
      for name in ("printf", "fprintf", "puts", "exit", "abort")],
    (rule_first_comment, {"src/base/buf.h": "#pragma once\n" + C}),
    (rule_first_comment, {"cli/main.c": "int x;\n"}),
    (rule_listed, {"src/base/new.c": C}),
    (rule_listed, {"src/meson.build": "# 'base/buf.c'\n"}),
    (rule_listed, {"cli/new.c": C}),
    (rule_listed, {"tests/unit/base/new.c": C}),
    (rule_listed, {"tests/cli/new.bats": ""}),
    (rule_listed, {"tests/other/test_new.py": ""}),
    (rule_listed, {"bindings/python/tests/test_new.py": ""}),
    (rule_listed, {"integrations/thing/tests/test_new.py": ""}),
    (rule_function_length, {"src/base/buf.c": C + "\n" + lines(71)}),
    (rule_function_length, {"src/base/buf.c": C + "/* long: too long */\n" + lines(121)}),
    (rule_function_length, {"cli/main.c": C + "/* long: another's */\n\n" + lines(75)}),
]


def write_tree(root, files):
    for path, text in files.items():
        path = os.path.join(root, path)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)


def faults_of(files):
    """The faults that each rule finds in a tree of these files, as {rule: [fault]}."""
    with tempfile.TemporaryDirectory() as root:
        write_tree(root, files)
        tree = Tree(root)
        return {rule: list(rule(tree)) for _, rule in RULES}


def self_test():
    print(f"1..{len(RULES) + 1}")
    good = [fault for faults in faults_of(GOOD_TREE).values() for fault in faults]
    print(f"{'not ok' if good else 'ok'} 1 - a good tree has no faults")
    for fault in good:
        print(f"# {fault}")
    bad = bool(good)
    for number, (name, rule) in enumerate(RULES, 2):
        trees = [files for other, files in BAD_TREES if other is rule]
        blind = [files for files in trees if not faults_of({**GOOD_TREE, **files})[rule]]
        fails = bool(blind) or not trees
        bad |= fails
        print(f"{'not ok' if fails else 'ok'} {number} - can fail: {name}")
        for files in blind:
            print(f"# found nothing wrong with {files!r}")
    return 1 if bad else 0


def main(arguments):
    if arguments == ["--self-test"]:
        return self_test()
    if len(arguments) > 1 or arguments[:1] == ["--help"]:
        print(__doc__)
        return 2
    here = os.path.dirname(os.path.abspath(__file__))
    return check(arguments[0] if arguments else os.path.dirname(os.path.dirname(here)))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
