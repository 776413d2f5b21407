#!/usr/bin/env bats
# pleach attach --mode=exchange and --mode=mount

load helper

# The names beside the path that are ours.
beside() {
	find . -maxdepth 1 -name '.pleach-*' | wc -l
}

state_is() {
	it 0 status --json site
	json '.refs[0].attached | map([.mode, .state])' "[[\"$1\",\"$2\"]]"
}

@test "exchange: a real directory that follows the head" {
	two_generations
	it 0 attach --mode exchange site there
	same "$output$stderr" ""
	[ -d there ] && [ ! -L there ]
	same "$(cat there/a there/c)" "$(printf 'other\nthree')"
	put a third
	"$PLEACH" publish -q site ./src
	same "$(cat there/a)" third
	[ ! -L there ]
	"$PLEACH" rollback -q site
	same "$(cat there/a)" other
	"$PLEACH" rollback -q site site@1
	same "$(cat there/b)" two
	absent there/c
	state_is exchange ok
	it 0 check
}

@test "exchange: its files are those of the placed tree, no copies" {
	two_generations
	it 0 attach --mode exchange site there
	same "$(stat -c %i there/a)" "$(stat -L -c %i store/site/a)"
	same "$(stat -c '%Y %a' there/.)" "$(stat -L -c '%Y %a' store/site/.)"
}

@test "exchange: attach again is fine, a fixed generation stays" {
	two_generations
	it 0 attach --mode exchange --json site@1 there
	json .unchanged false
	it 0 attach --mode exchange --json site@1 there
	json .unchanged true
	put a third
	"$PLEACH" publish -q site ./src
	same "$(cat there/a)" one
	it 11 drop --now site@1
	like "$stderr" "attached at"
	it 0 attach --mode exchange site there
	same "$(cat there/a)" third
	it 0 attach --mode exchange site@2 there
	same "$(cat there/a)" other
	it 0 detach there
	it 0 drop --now site@1
}

@test "exchange: who stands in the old directory keeps it for the grace, then it is gone (G1)" {
	two_generations
	it 0 attach --mode exchange site there
	cd there
	put_from_within() { printf '%s\n' "$1" >../src/a; }
	put_from_within third
	"$PLEACH" publish -q site ../src
	same "$(cat a c)" "$(printf 'other\nthree')"
	same "$(cat ../there/a)" third
	cd ..
	same "$(beside)" 1
	it 0 status
	same "$(beside)" 1
	"$PLEACH" config grace=0s
	it 0 status
	same "$(beside)" 0
	same "$(cat there/a)" third
}

@test "exchange: what is not ours is never replaced, and told (G7)" {
	two_generations
	mkdir foreign
	echo mine >foreign/file
	it 1 attach --mode exchange site foreign
	like "$stderr" "not ours"
	same "$(cat foreign/file)" mine
	mkdir empty
	it 1 attach --mode exchange site empty
	it 0 attach --mode exchange site there
	rm -r there
	mkdir there
	echo mine >there/file
	put a third
	it 3 publish site ./src
	like "$stderr" "recorded, not shown at '.*/there': what is there is not ours"
	same "$(cat there/file)" mine
	same "$(cat store/site/a)" third
	state_is exchange foreign
	rm -r there
	it 0 status
	same "$(cat there/a)" third
	state_is exchange ok
}

@test "exchange: a directory that somebody has removed is made again" {
	two_generations
	it 0 attach --mode exchange site there
	rm -r there
	put a third
	it 0 publish site ./src
	same "$(cat there/a)" third
}

@test "exchange: files that others put into it are not erased (G7)" {
	two_generations
	"$PLEACH" config grace=0s
	it 0 attach --mode exchange site there
	echo mine >there/stray
	put a third
	it 0 publish site ./src
	same "$(cat there/a)" third
	absent there/stray
	same "$(cat .pleach-*.tree/stray)" mine
	it 0 status
	like "$output" "somebody has changed it"
	same "$(cat .pleach-*.tree/stray)" mine
	rm -r .pleach-*.tree
	echo mine >there/stray
	it 0 detach there
	like "$stderr" "not what attach made"
	same "$(cat there/stray)" mine
	same "$(beside)" 0
}

@test "exchange: detach takes away all that attach made" {
	two_generations
	it 0 attach --mode exchange site there
	put a third
	"$PLEACH" publish -q site ./src
	same "$(beside)" 1
	it 11 drop site
	it 0 detach there
	same "$stderr" ""
	absent there
	same "$(beside)" 0
	it 10 detach there
	it 0 drop site
}

@test "exchange: detach leaves what is not ours" {
	two_generations
	it 0 attach --mode exchange site there
	rm -r there
	echo mine >there
	it 0 detach there
	like "$stderr" "not what attach made"
	same "$(cat there)" mine
	it 10 detach there
}

@test "exchange: the directory that it lay in is gone" {
	two_generations
	mkdir deep
	it 0 attach --mode exchange site deep/there
	rm -r deep
	put a third
	it 3 publish site ./src
	state_is exchange missing
	it 0 detach deep/there
	it 10 detach deep/there
}

@test "a path is attached by one mode, to one ref" {
	two_generations
	"$PLEACH" publish -q other ./src
	it 0 attach --mode exchange site there
	it 1 attach site there
	like "$stderr" "by exchange"
	it 1 attach --mode exchange other there
	like "$stderr" "'site' already"
	it 0 attach site link
	it 1 attach --mode exchange site link
	like "$stderr" "by symlink"
	same "$(cat there/a)" other
	same "$(cat link/a)" other
}

@test "exchange: a root that its owner may not write, as an ordinary user" {
	two_generations
	chmod 555 src
	powerless "$PLEACH" publish -q site ./src
	powerless "$PLEACH" attach --mode exchange site there
	same "$(stat -c %a there)" 555
	chmod 755 src
	put a third
	chmod 555 src
	powerless "$PLEACH" publish -q site ./src
	same "$(stat -c '%a' there) $(cat there/a)" "555 third"
	powerless "$PLEACH" config grace=0s
	powerless "$PLEACH" status >/dev/null
	same "$(beside)" 0
	powerless "$PLEACH" check
	powerless "$PLEACH" detach there
	absent there
}

@test "exchange: elsewhere than on the store's file system it is refused with the reason" {
	two_generations
	local memory
	[ -w /dev/shm ] && [ "$(stat -c %d /dev/shm)" != "$(stat -c %d .)" ] ||
		skip "/dev/shm is no other file system"
	memory=$(mktemp -d /dev/shm/pleach-test-XXXXXX)
	run --separate-stderr "$PLEACH" attach --mode exchange site "$memory/there"
	local left
	left=$(ls -A "$memory")
	rm -rf "$memory"
	same "$status" 1
	like "$stderr" "not on the store's file system"
	same "$left" ""
}

@test "exchange: check verifies what is shown" {
	two_generations
	it 0 attach --mode exchange site there
	it 0 check
	touch there/stray
	it 13 check
	like "$output$stderr" "there"
	rm there/stray
	touch -r store/site/. there
	it 0 check
}

@test "exchange: a publish that is killed is finished by the next command (G2, G6)" {
	two_generations
	it 0 attach --mode exchange site there
	local i head
	for i in 1 2 3 4 5 6 7 8 9 10 11 12; do
		put a "turn $i"
		timeout -s KILL "0.0$((i % 4))$((i * 7 % 10))" "$PLEACH" publish -q site ./src || true
		grep -qxE 'other|turn [0-9]+' there/a
		it 0 status --json site
		json '.refs[0].attached[0].state' '"ok"'
		head=$(cat store/site/a)
		same "$(cat there/a)" "$head"
	done
	it 0 publish site ./src
	"$PLEACH" config grace=0s
	it 0 status
	same "$(beside)" 0
	it 0 check
}

# Reads in a loop, by one look-up each, until ./stop is there. Prints how often, and every mixture.
read_all_the_time() {
	python3 - "$1" <<'PYTHON'
import os, sys
n, bad = 0, []
while not os.path.exists("stop") or n < 100:
    fd = os.open(sys.argv[1], os.O_RDONLY | os.O_DIRECTORY)
    seen = set()
    for name in ("a", "d/b"):
        f = os.open(name, os.O_RDONLY, dir_fd=fd)
        seen.add(os.read(f, 100))
        os.close(f)
    os.close(fd)
    if len(seen) != 1:
        bad.append(seen)
    n += 1
print("mixtures", len(bad))
PYTHON
}

@test "exchange: readers see whole generations through 50 publishes (G1)" {
	put a 0
	put d/b 0
	"$PLEACH" publish -q site ./src
	it 0 attach --mode exchange site there
	read_all_the_time there >seen 2>&1 3>&- &
	local reader=$! i
	for i in $(seq 50); do
		put a "$i"
		put d/b "$i"
		"$PLEACH" publish -q site ./src
	done
	touch stop
	wait "$reader"
	same "$(cat seen)" "mixtures 0"
	same "$(cat there/a)" 50
}

@test "exchange: publishers side by side leave the newest, and nothing beside (G3, G6)" {
	two_generations
	"$PLEACH" config grace=0s
	it 0 attach --mode exchange site there
	local who n pids=()
	for who in 1 2 3; do
		cp -r src "src$who"
		for n in 1 2 3 4 5 6; do
			printf '%s.%s\n' "$who" "$n" >"src$who/a"
			"$PLEACH" publish -q site "./src$who" || exit 1
		done 3>&- &
		pids+=($!)
	done
	for who in "${pids[@]}"; do
		wait "$who"
	done
	it 0 status
	same "$(cat there/a)" "$(cat store/site/a)"
	same "$(heads site | wc -w)" 20
	same "$(beside)" 0
	it 0 check
}

@test "exchange: a publish beside a running transaction leaves PATH to its workspace (G4)" {
	[ "$(id -u)" -eq 0 ] || skip "an ordinary user may have no namespaces"
	two_generations
	it 0 attach --mode exchange site there
	mkfifo at go
	# shellcheck disable=SC2016
	"$PLEACH" run --optimistic site -- sh -c 'echo x >at; read -r line <go
		cat there/a >seen && echo inside >>there/a && echo new >there/new' 3>&- &
	local runner=$!
	read -r _ <at
	echo fourth >src/d
	it 0 publish site ./src
	same "$(cat store/site/d)" fourth
	absent there/d
	state_is exchange behind
	it 0 status
	like "$output" "left '.*/there' behind generation 3"
	it 11 attach --mode exchange site@1 there
	like "$stderr" "a transaction on 'site' is open"
	same "$(cat there/a)" other
	echo go >go
	wait "$runner"
	same "$(cat seen)" other
	same "$(cat there/a)" "$(printf 'other\ninside')"
	same "$(cat there/d there/new)" "$(printf 'fourth\nnew')"
	same "$(cat store/site/a)" "$(printf 'other\ninside')"
	state_is exchange ok
	it 0 check
}

@test "exchange: the end of a transaction without a commit catches up, too" {
	[ "$(id -u)" -eq 0 ] || skip "an ordinary user may have no namespaces"
	two_generations
	it 0 attach --mode exchange site there
	mkfifo at go
	"$PLEACH" run --optimistic site -- sh -c 'echo x >at; read -r line <go; exit 7' 2>/dev/null 3>&- &
	local runner=$!
	read -r _ <at
	put a third
	it 0 publish site ./src
	same "$(cat there/a)" other
	echo go >go
	wait "$runner" && return 1
	same "$(cat there/a)" third
	it 0 run site -- sh -c 'echo again >"$PLEACH_PATH/a"'
	same "$(cat there/a)" again
	it 0 check
}

@test "exchange: what is parked holds nothing, and has the new directory under it when it goes on" {
	[ "$(id -u)" -eq 0 ] || skip "an ordinary user may have no namespaces"
	two_generations
	it 0 attach --mode exchange site there
	it 0 begin site
	local tx=${lines[0]}
	put a third
	it 0 publish site ./src
	same "$(cat there/a)" third
	it 0 run --tx "$tx" site -- sh -c 'cat there/a && echo inside >there/b'
	same "$output" other
	absent there/b
	it 0 commit "$tx"
	same "$(cat there/a there/b)" "$(printf 'third\ninside')"
	it 0 check
}

# A mount namespace of its own, in which $PLEACH and `inside` work from here on; it ends with the test, and
# all its mounts with it. The mounts are bind mounts of the very file system that they lie on, so that
# st_dev tells nothing: is_mounted asks the kernel.
own_namespace() {
	[ "$(id -u)" -eq 0 ] || skip "only root may mount"
	unshare --mount --propagation private sleep 600 3>&- &
	namespace=$!
	until [ -e "/proc/$namespace/ns/mnt" ] &&
		[ "$(readlink "/proc/$namespace/ns/mnt")" != "$(readlink /proc/self/ns/mnt)" ]; do
		kill -0 "$namespace" 2>/dev/null || skip "no mount namespaces here"
	done
	outside=$PLEACH
	cat >pleach <<SCRIPT
#!/bin/sh
exec nsenter --target $namespace --mount sh -c 'cd "\$0" && exec "\$@"' "\$PWD" "$outside" "\$@"
SCRIPT
	chmod 755 pleach
	PLEACH=$PWD/pleach
}

inside() {
	# shellcheck disable=SC2016 # the inner shell expands it
	nsenter --target "$namespace" --mount sh -c 'cd "$0" && exec "$@"' "$PWD" "$@"
}

is_mounted() {
	inside mountpoint -q "$1" || return 1
	! mountpoint -q "$1" || return 1 # nowhere else
}

# How many mounts there are at PATH.
stacked() {
	inside grep -c " $PWD/$1 " /proc/self/mountinfo || true
}

teardown() {
	[ -z "${namespace:-}" ] || kill "$namespace"
	chmod -R u+rwX "$BATS_TEST_TMPDIR" 2>/dev/null || true
}

@test "mount: a read-only mount that follows the head" {
	own_namespace
	two_generations
	it 0 attach --mode mount site there
	is_mounted there
	same "$(inside cat there/a)" other
	run inside touch there/new
	[ "$status" -ne 0 ]
	like "$output" "[Rr]ead-only"
	put a third
	it 0 publish site ./src
	same "$(inside cat there/a)" third
	same "$(stacked there)" 1
	it 0 rollback site
	same "$(inside cat there/a)" other
	same "$(stacked there)" 1
	state_is mount ok
	it 0 check
	it 11 drop site
	like "$stderr" "attached at"
	it 0 detach there
	same "$(stacked there)" 0
	absent there
	it 0 drop site
}

@test "mount: an empty directory is used and kept, any other is refused (G7)" {
	own_namespace
	two_generations
	mkdir empty full
	echo mine >full/file
	ln -s empty link
	it 1 attach --mode mount site full
	like "$stderr" "not ours"
	it 1 attach --mode mount site link
	it 1 attach --mode mount site full/file
	it 0 attach --mode mount site empty
	is_mounted empty
	it 0 attach --mode mount --json site empty
	json .unchanged true
	same "$(stacked empty)" 1
	it 0 detach empty
	same "$(stacked empty)" 0
	[ -d empty ]
	same "$(ls -A empty)" ""
}

@test "mount: a fixed generation stays mounted and placed" {
	own_namespace
	two_generations
	it 0 attach --mode mount site@1 there
	"$PLEACH" config grace=0s keep-placed=1 spares=0
	local n
	for n in 3 4 5 6; do
		put a "$n"
		"$PLEACH" publish -q site ./src
	done
	same "$(inside cat there/b)" two
	it 11 drop --now site@1
	it 0 attach --mode mount site there
	same "$(inside cat there/a)" 6
	same "$(stacked there)" 1
}

@test "mount: what is mounted stays placed, also when the head has moved on without it" {
	own_namespace
	two_generations
	"$PLEACH" config grace=0s keep-placed=1 spares=0
	it 0 attach --mode mount site there
	local n
	for n in 3 4 5 6; do
		put a "$n"
		run inside setpriv --bounding-set=-all --inh-caps=-all "$outside" publish site ./src
		same "$status" 3
		like "$output" "not shown at '.*/there': .* only root"
	done
	same "$(inside cat there/a there/c)" "$(printf 'other\nthree')"
	it 0 status
	same "$(inside cat there/a)" 6
	same "$(stacked there)" 1
}

@test "mount: after a reboot status mounts what is listed" {
	own_namespace
	two_generations
	it 0 attach --mode mount site there
	inside umount there
	same "$(stacked there)" 0
	it 3 check
	it 0 status
	is_mounted there
	same "$(inside cat there/a)" other
	same "$(stacked there)" 1
	inside umount there
	put a third
	it 0 publish site ./src
	same "$(inside cat there/a)" third
}

@test "mount: what others have mounted there, or put there, stays (G7)" {
	own_namespace
	two_generations
	it 0 attach --mode mount site there
	inside mount -t tmpfs -o size=64k none there
	put a third
	it 3 publish site ./src
	like "$stderr" "recorded, not shown at '.*/there': what is there is not ours"
	same "$(inside stat -f -c %T there)" tmpfs
	state_is mount foreign
	inside umount there
	it 0 status
	same "$(inside cat there/a)" third
	same "$(stacked there)" 1
	inside umount there
	echo mine >there/file
	it 0 status
	same "$(cat there/file)" mine
	it 0 detach there
	like "$stderr" "not what attach made"
	same "$(cat there/file)" mine
}

@test "mount: who has it open keeps the old one (G1)" {
	own_namespace
	two_generations
	it 0 attach --mode mount site there
	mkfifo go
	# shellcheck disable=SC2016 # the inner shell expands it
	nsenter --target "$namespace" --mount sh -c 'cd "$0/there" && echo in >"$0/ready" &&
		read -r line <"$0/go" && cat a c "$0/there/a"' "$PWD" >seen 3>&- &
	local reader=$!
	until [ -s ready ]; do kill -0 "$reader"; done
	put a third
	"$PLEACH" publish -q site ./src
	echo go >go
	wait "$reader"
	same "$(cat seen)" "$(printf 'other\nthree\nthird')"
}

@test "mount: who may not mount is told so" {
	two_generations
	it 0 version
	run --separate-stderr powerless "$PLEACH" attach --mode mount site there
	same "$status" 1
	like "$stderr" "only root"
	absent there
	it 0 status --json site
	json '.refs[0].attached' '[]'
}

@test "mount: readers see whole generations through 50 publishes (G1)" {
	own_namespace
	put a 0
	put d/b 0
	"$PLEACH" publish -q site ./src
	it 0 attach --mode mount site there
	declare -f read_all_the_time >reader
	inside bash -c '. ./reader; read_all_the_time there' >seen 2>&1 3>&- &
	local reader=$! i
	for i in $(seq 50); do
		put a "$i"
		put d/b "$i"
		"$PLEACH" publish -q site ./src
	done
	touch stop
	wait "$reader"
	same "$(cat seen)" "mixtures 0"
	same "$(inside cat there/a)" 50
	same "$(stacked there)" 1
}

@test "check inside of a transaction says that what is attached is not seen from there" {
	local path
	own_namespace
	two_generations
	it 0 attach --mode exchange site there
	it 0 attach --mode mount site mounted
	# shellcheck disable=SC2016
	it 3 run site -- sh -c '"$1" check >"$0" 2>&1' "$PWD/out" "$outside"
	for path in there mounted; do
		like "$(cat out)" "$PWD/$path: is not seen from inside of a transaction on it"
	done
	unlike "$(cat out)" "pleach status"
	unlike "$(cat out)" "not ours"
	it 0 check
}
