#!/usr/bin/env bats
# pleach check --repair

load helper

@test "check --repair lists what was mended, exit 0, and the store is well" {
	put a 'first content'
	put b 'second content'
	"$PLEACH" publish -q site ./src
	chmod 600 "$(find store/.pleach/objects -type f | head -n 1)"
	rm store/site/b
	it 0 check --repair
	like "$output" "^mended: "
	unlike "$output" "fault"
	same "$stderr" ""
	it 0 check
	same "$output$stderr" ""
	same "$(cat store/site/a store/site/b)" "$(cat src/a src/b)"
}

@test "check --repair of a store that is well is silent, and changes nothing" {
	two_generations
	local before
	before=$(find store -type f -printf '%p %i %s %T@\n' | sort)
	it 0 check --repair
	same "$output$stderr" ""
	same "$(find store -type f -printf '%p %i %s %T@\n' | sort)" "$before"
	absent store/.pleach/damaged
}

@test "what cannot be mended is listed with the reason and whom it hurts, exit 13" {
	put a 'first content'
	"$PLEACH" publish -q site ./src
	damage 'first content'
	it 13 check --repair
	like "$output" "fault: object .*; not mended: its content is nowhere else in the store"
	like "$output" "hurts site@1: a"
	it 0 check --repair --from src
	like "$output" "mended: object .*: made anew from src/a"
	it 0 check
}

@test "check --repair --from STORE takes what it lacks from there" {
	put a 'first content'
	"$PLEACH" publish -q site ./src
	cp -a store backup
	damage 'first content'
	it 0 check --repair --from backup
	like "$output" "made anew from backup"
	it 0 check
	damage 'first content'
	it 1 check --repair --from nosuch
	like "$stderr" "cannot repair from 'nosuch': No such file"
}

@test "check --repair --json tells counts, what was mended and what was not" {
	put a 'first content'
	put b 'second content'
	"$PLEACH" publish -q site ./src
	damage 'first content'
	rm store/.pleach/refs/site/public/tree
	it 13 check --repair --json
	json '[.error.code, .mended, .faults]' '["corrupt",1,2]'
	json '[.findings[] | select(.mended) | [.kind, .fault, .ref, .generation]]' '[["public",false,"site",1]]'
	json '[.findings[] | select(.kind == "object") | .hurts]' '[[{"ref":"site","generation":1,"path":"a"}]]'
}

@test "what is damaged is set aside with a list of where it was, and gc leaves it" {
	two_generations
	echo stray >store/site/stray
	it 0 check --repair
	local dir
	dir=$(echo store/.pleach/damaged/*)
	same "$(cat "$dir"/1-placed-*/tree/stray)" stray
	like "$(cat "$dir/list")" "^1-placed-[0-9a-f]{64}-1 \.pleach/trees/[0-9a-f]{64}/1$"
	it 0 gc
	same "$(cat "$dir"/1-placed-*/tree/stray)" stray
	it 0 status
	like "$output" "damaged"
	it 0 du --json
	json '.totals.damaged > 0' true
	rm -r store/.pleach/damaged
	it 0 status
	unlike "$output" "set aside by"
	it 0 check
}

@test "--quick --repair finds stray writes by metadata" {
	two_generations
	echo stray >store/site/stray
	touch -d '2001-01-01' store/site/c
	it 0 check --quick --repair --from src
	like "$output" "laid out again"
	absent store/site/stray
	it 0 check
}

@test "check --from without --repair is a usage error" {
	it 2 check --from src
}

@test "a store on a read-only file system is not repaired" {
	[ "$(id -u)" -eq 0 ] || skip "needs root"
	two_generations
	mkdir -p mnt
	if mount --bind store mnt 2>/dev/null; then
		mount -o remount,bind,ro mnt || { umount mnt; skip "cannot mount read-only"; }
		run --separate-stderr "$PLEACH" --store mnt check --repair
		umount mnt
		same "$status" 1
		like "$stderr" "read-only|Read-only"
	fi
	it 0 check
}

@test "attachments of a damaged placing lead to the new one, or stay with the old" {
	two_generations
	"$PLEACH" attach site@1 fixed
	"$PLEACH" attach site head
	chmod u+w fixed/
	echo stray >fixed/stray
	echo stray >head/stray
	it 0 check --repair
	same "$(ls fixed head | tr '\n' ' ')" "fixed: a b  head: a c "
	same "$(cat fixed/b head/c)" "$(printf 'two\nthree')"
	it 0 check
	same "$output$stderr" ""
	it 0 detach fixed
	absent fixed
}

@test "a damaged directory that was attached by exchange is laid out again, the old one stays beside" {
	two_generations
	if ! "$PLEACH" attach site at --mode exchange 2>err; then
		skip "$(cat err)"
	fi
	echo stray >at/stray
	rm at/c
	it 13 check
	like "$output" "at/stray: is in no node"
	like "$output" "hurts site@2: c"
	it 0 check --repair
	like "$output" "mended: placed .*/at.*laid out again; the damaged one lies beside it"
	same "$(find . -maxdepth 1 -name '.pleach-*' | wc -l)" 1
	same "$(ls at | tr '\n' ' ')" "a c "
	same "$(cat .pleach-*.tree/stray)" stray
	it 0 check
	"$PLEACH" config grace=0
	it 0 status
	same "$(cat .pleach-*.tree/stray)" stray
	rm -r at
	it 3 check
	it 0 check --repair
	same "$(cat at/c)" three
}

@test "what is not ours at an attached path stays, with the reason (G7)" {
	two_generations
	if ! "$PLEACH" attach site at --mode exchange 2>err; then
		skip "$(cat err)"
	fi
	rm -r at
	mkdir at
	echo mine >at/mine
	it 3 check --repair
	like "$output" "not mended: what is at '.*/at' is not ours"
	same "$(cat at/mine)" mine
}

@test "a mount of a damaged placing is replaced" {
	[ "$(id -u)" -eq 0 ] || skip "needs root"
	two_generations
	if ! "$PLEACH" attach site at --mode mount 2>err; then
		skip "$(cat err)"
	fi
	local status=0
	(
		set -e
		[ "$(stat -c %d:%i at)" = "$(stat -L -c %d:%i store/site)" ]
		echo stray >store/site/stray
		"$PLEACH" check --repair >out 2>err
		[ "$(ls at | tr '\n' ' ')" = "a c " ]
		[ "$(stat -c %d:%i at)" = "$(stat -L -c %d:%i store/site)" ]
		"$PLEACH" check
	) || status=1
	"$PLEACH" detach at
	cat out err
	[ "$status" -eq 0 ]
}
