# What the tests of the command share. Each test has a directory of its own, which is the working
# directory, with a store in ./store and an empty ./src; bats removes it.
# The command is $PLEACH. Nothing here waits for time to pass: it waits for what must happen.

bats_require_minimum_version 1.5.0
: "${PLEACH:?is the path of the command}"

setup() {
	cd "$BATS_TEST_TMPDIR" || return 1
	umask 022
	export TZ=UTC LC_ALL=C PLEACH_STORE="$BATS_TEST_TMPDIR/store"
	unset NO_COLOR
	"$PLEACH" init -q "$PLEACH_STORE" || return 1
	mkdir src
}

teardown() {
	# an ordinary user cannot remove what is in read-only directories
	chmod -R u+rwX "$BATS_TEST_TMPDIR" 2>/dev/null || true
}

# it STATUS ARGUMENT...: runs the command, and fails unless it ends so. $output, $stderr, $lines.
it() {
	local want=$1
	shift
	run --separate-stderr "$PLEACH" "$@"
	[ "$status" -eq "$want" ] && return 0
	printf 'pleach %s\nended with %s instead of %s\nstdout: %s\nstderr: %s\n' \
		"$*" "$status" "$want" "$output" "$stderr"
	return 1
}

# same GOT WANTED
same() {
	[ "$1" = "$2" ] && return 0
	printf 'got:    %q\nwanted: %q\n' "$1" "$2"
	return 1
}

# like TEXT REGEX
like() {
	[[ $1 =~ $2 ]] && return 0
	printf 'got:    %q\nwanted to match: %s\n' "$1" "$2"
	return 1
}

# unlike TEXT REGEX
unlike() {
	[[ $1 =~ $2 ]] || return 0
	printf 'got:    %q\nmust not match: %s\n' "$1" "$2"
	return 1
}

# json FILTER WANTED: of $output, as jq -c prints it.
json() {
	local got
	if ! got=$(printf '%s\n' "$output" | jq -c "$1"); then
		printf 'not JSON: %s\n' "$output"
		return 1
	fi
	same "$got" "$2"
}

# error_is CODE: $output is the error document, and nothing else.
error_is() {
	same "$(printf '%s\n' "$output" | wc -l)" 1 || return 1
	json '[keys, (.error | keys), .error.code]' \
		"[[\"error\"],[\"code\",\"hint\",\"message\",\"path\"],\"$1\"]"
}

# absent PATH: nothing is there, no dangling symlink either.
absent() {
	[ -e "$1" ] || [ -L "$1" ] || return 0
	printf 'there is something at %s\n' "$1"
	return 1
}

# powerless COMMAND...: without the capabilities of root, so that modes and owners count.
powerless() {
	if [ "$(id -u)" -eq 0 ]; then
		setpriv --bounding-set=-all --inh-caps=-all "$@"
	else
		"$@"
	fi
}

# put FILE TEXT: writes src/FILE.
put() {
	mkdir -p "src/$(dirname -- "$1")"
	printf '%s\n' "$2" >"src/$1"
}

# Two generations of `site`: 1 has a and b; in 2 a is other, b is gone, c is new.
two_generations() {
	put a one
	put b two
	"$PLEACH" publish -q site ./src || return 1
	put a other
	rm src/b
	put c three
	"$PLEACH" publish -q site ./src
}

# heads REF: its generation numbers, newest first.
heads() {
	"$PLEACH" log --json "$1" | jq -r .generation | tr '\n' ' '
}

# on_terminal COMMAND...: what it prints when its standard files are a terminal.
on_terminal() {
	python3 - "$@" <<'PYTHON'
import os, pty, sys
pid, fd = pty.fork()
if pid == 0:
    os.environ["TERM"] = "xterm"
    os.execvp(sys.argv[1], sys.argv[1:])
out = b""
while True:
    try:
        part = os.read(fd, 65536)
    except OSError:
        break
    if not part:
        break
    out += part
status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
sys.stdout.buffer.write(out.replace(b"\r\n", b"\n"))
sys.stdout.flush()
sys.exit(status)
PYTHON
}

# hold REV: pins it in the background until `let_go`. $held is the path.
hold() {
	mkfifo pin.in pin.out
	"$PLEACH" pin "$1" <pin.in >pin.out 3>&- &
	holder=$!
	exec 8>pin.in
	read -r held <pin.out
}

let_go() {
	exec 8>&-
	wait "$holder"
}

# The file of an object whose content is one line, TEXT.
object_of() {
	grep -rlxF -- "$1" "$PLEACH_STORE/.pleach/objects" | head -n 1
}

# Turns one byte of an object over, behind the store's back.
damage() {
	local object
	object=$(object_of "$1")
	[ -n "$object" ] || return 1
	chmod u+w "$object"
	printf '#' | dd of="$object" conv=notrunc status=none
}
