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
