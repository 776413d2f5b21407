#!/usr/bin/env bats
# What another user than the owner of a store may do, and what not.

load helper

# other ARGUMENT...: the command as another user. What it needs is readable for everybody.
other() {
	run --separate-stderr setpriv --reuid 65534 --regid 65534 --clear-groups \
		"$PLEACH" --store "$open/store" "$@"
}

setup() {
	cd "$BATS_TEST_TMPDIR" || return 1
	umask 022
	export TZ=UTC LC_ALL=C
	[ "$(id -u)" -eq 0 ] || skip "needs root to be somebody else"
	command -v setpriv >/dev/null || skip "setpriv was not found"
	# the directories of bats are closed to others
	open=$(mktemp -d)
	chmod 755 "$open"
	export PLEACH_STORE=$open/store
	"$PLEACH" init -q "$PLEACH_STORE" || return 1
	mkdir src "$open/src"
	two_generations
	other version
	[ "$status" -eq 0 ] || skip "other users cannot reach the command at $PLEACH"
}

teardown() {
	[ -z "${open:-}" ] || rm -rf "$open"
}

@test "another user may path, pin, log, status, and read what is placed" {
	other path site
	same "$status" 0
	same "$(setpriv --reuid 65534 --regid 65534 --clear-groups cat "$output/a")" other
	other log site
	same "$status" 0
	same "${#lines[@]}" 2
	other status
	same "$status" 0
	other pin site -- sh -c 'cat "$PLEACH_PATH/a"'
	same "$status" 0
	same "$output" other
}

@test "another user may name a tree by all of its id" {
	local tree
	tree=$("$PLEACH" log --json -n 1 site | jq -r .tree)
	other path "tree:$tree"
	same "$status" 0
	other path "tree:${tree:0:12}"
	same "$status" 1
	like "$stderr" "only its owner may"
}

@test "another user is told that what he asks for is not placed" {
	"$PLEACH" config grace=0 keep-placed=1 spares=0
	put a third
	"$PLEACH" publish -q site ./src
	other path site@1
	same "$status" 1
	like "$stderr" "only its owner may"
	like "$stderr" "hint: the tree is not placed"
}

@test "for the rest: exit 1, 'only its owner may'" {
	local words
	for words in "publish site $open/src" "rollback site" "tag site v" "config grace=1h" \
		"drop site@1" "attach site $open/there" "check" "cat site:a" "ls site" \
		"checkout site $open/out"; do
		# shellcheck disable=SC2086 # words
		other $words
		same "$words: $status" "$words: 1"
		like "$stderr" "only its owner may"
	done
	same "$(heads site)" "2 1 "
}

# owned DIRECTORY: makes a store of the other user's there, with garbage in it.
owned() {
	install -d -o 65534 -g 65534 "$1"
	PLEACH_STORE=$1/store
	as_owner() { setpriv --reuid 65534 --regid 65534 --clear-groups "$PLEACH" "$@"; }
	as_owner init -q "$PLEACH_STORE"
	as_owner config grace=0 spares=0 keep-placed=1 keep=1 metadata=portable
	for text in one two three; do
		put a "$text"
		as_owner publish -q site ./src
	done
}

@test "root collects what is another user's, and nothing there is root's then" {
	chmod 755 .
	owned "$open/theirs"
	it 0 gc -n
	like "$output" "would go: 2 generations"
	same "$(find "$PLEACH_STORE" ! -uid 65534)" ""
	it 0 gc
	like "$output" "2 generations, .* freed"
	same "$(find "$PLEACH_STORE" ! -uid 65534)" ""
	it 0 check
	same "$(find "$PLEACH_STORE" ! -uid 65534)" ""
	put a four
	as_owner publish -q site ./src
	run as_owner gc
	same "$status" 0
	run as_owner check
	same "$status" 0
	it 1 publish site ./src
	like "$stderr" "only its owner may"
}

@test "root who collects erases nothing that the owner could not" {
	chmod 755 .
	owned "$open/theirs"
	local part n=0
	install -d -m 700 "$open/victim" "$open/victim/o" "$open/victim/n"
	for part in objects nodes trash cache tx trees; do
		echo precious >"$open/victim/precious"
		cp "$open/victim/precious" "$open/victim/o/precious"
		mv "$PLEACH_STORE/.pleach/$part" "$open/aside"
		ln -s "$open/victim" "$PLEACH_STORE/.pleach/$part"
		run "$PLEACH" gc
		same "$(cat "$open/victim/precious" "$open/victim/o/precious")" $'precious\nprecious'
		rm "$PLEACH_STORE/.pleach/$part"
		mv "$open/aside" "$PLEACH_STORE/.pleach/$part"
	done
	# what is swapped while it is at work, by a directory whose names look like ours
	for part in "$PLEACH_STORE"/.pleach/objects/*/*; do
		install -D -m 600 /dev/null "$open/victim/${part#"$PLEACH_STORE/.pleach/objects/"}"
	done
	find "$open/victim" | sort >before
	setpriv --reuid 65534 --regid 65534 --clear-groups sh -c '
		cd "$1/.pleach/objects" || exit
		while [ ! -e "$1/stop" ]; do
			for name in ??; do mv "$name" "../$name" && ln -s "$2/$name" "$name" && rm "$name" && mv "../$name" "$name"; done
		done 2>/dev/null' sh "$PLEACH_STORE" "$open/victim" 3>&- &
	local swapper=$!
	while [ $((n += 1)) -le 15 ]; do
		"$PLEACH" gc >/dev/null 2>&1 || true
	done
	touch "$PLEACH_STORE/stop"
	wait "$swapper" || true
	same "$(find "$open/victim" | sort)" "$(cat before)"
}

@test "another user does not repair a store" {
	other check --repair
	[ "$status" -eq 1 ]
	like "$stderr" "only its owner may"
}
