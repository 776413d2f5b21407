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
