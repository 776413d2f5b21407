#!/usr/bin/env bats
# pleach sync: rsync and git in a transaction, retries, ages, the lock, and how it ends when the network dies.

load helper

# nothing_remains: no transaction, no leftovers.
nothing_remains() {
	it 0 status --json
	json '[.transactions, .leftovers]' '[[],[]]'
	same "$(ls store/.pleach/tx)" ""
}

# busy ARGUMENT...: a sync of site that is at work until done_being_busy.
busy() {
	mkfifo busy.go busy.at
	"$PLEACH" sync "$@" site -- sh -c 'echo at >"$1"; read -r line <"$2"; echo busy >{}/busy' \
		sh "$PWD/busy.at" "$PWD/busy.go" 3>&- >busy.out 2>busy.err &
	worker=$!
	read -r line <busy.at
	same "$line" at
}

done_being_busy() {
	echo go >busy.go
	status=0
	wait "$worker" || status=$?
	same "$status" "${1:-0}" || { cat busy.err; return 1; }
}

# A remote shell for rsync: a connection that ends after so many bytes while there is a file `cut`.
make_connection() {
	cat >connection <<-'PYTHON'
		#!/usr/bin/env python3
		# connection HOST COMMAND...
		import os, select, subprocess, sys
		here = os.path.dirname(os.path.abspath(__file__))
		cut, once = os.path.join(here, "cut"), os.path.join(here, "once")
		if not os.path.exists(cut):
		    os.execvp(sys.argv[2], sys.argv[2:])
		with open(cut) as file:
		    left = int(file.read())
		if os.path.exists(once):
		    os.unlink(cut)
		with subprocess.Popen(sys.argv[2:], stdout=subprocess.PIPE) as server:
		    while left:
		        data = os.read(server.stdout.fileno(), min(left, 65536))
		        if not data:
		            break
		        left -= len(data)
		        while data:
		            select.select([], [1], []) # rsync has made it one that does not block
		            data = data[os.write(1, data[:512]):]
		    server.stdout.close()
	PYTHON
	chmod +x connection
}

git_in() {
	git -C "$1" -c user.name=a -c user.email=a@example.org "${@:2}"
}

@test "sync publishes what rsync has brought, makes the ref, and tells of it on stdout" {
	put a one
	put d/b two
	it 0 sync site -m "by rsync" -- rsync -a --delete --out-format='sent %n' src/ {}
	like "$output" '^site@1 [0-9a-f]{12} \+3 ~0 -0, 8 B new$'
	like "$stderr" 'sent d/b'
	unlike "$output" sent
	same "$(cat store/site/d/b)" two
	it 0 log --json site
	json '[.kind, .message]' '["run","by rsync"]'
	put a other
	rm -r src/d
	it 0 sync site -- rsync -a --delete src/ {}
	like "$output" '^site@2 [0-9a-f]{12} \+0 ~1 -2'
	absent store/site/d
	nothing_remains
	it 0 check
}

@test "{} is the workspace wherever it stands in a word; PLEACH_PATH is the same" {
	it 0 sync site -- sh -c 'printf "%s\n" "$@" >{}/words; test {} = "$PLEACH_PATH"' sh a{}b{} {} '{ }' ''
	local path=$PWD/store/site
	same "$(cat store/site/words)" "a${path}b$path"$'\n'"$path"$'\n'"{ }"
}

@test "nothing changed: exit 0, no generation; --json says so, and -q nothing" {
	put a one
	it 0 sync -q site -- rsync -a src/ {}
	same "$output" ""
	it 0 sync site -- rsync -a src/ {}
	like "$output" '^site@1 [0-9a-f]{12} unchanged$'
	it 0 sync --json site -- sh -c 'echo noise; rsync -a src/ {}'
	json '[.ref, .generation, .unchanged, .fresh, .attempts]' '["site",1,true,false,1]'
	same "$(heads site)" "1 "
}

@test "rsync --inplace changes no generation that was public" {
	head -c 300000 /dev/zero >src/big
	cp src/big before
	it 0 sync site -- rsync -a src/ {}
	exec 9<store/site/big
	printf x | dd of=src/big bs=1 seek=150000 conv=notrunc status=none
	it 0 sync site -- rsync -a --inplace --no-whole-file --checksum src/ {}
	cmp src/big store/site/big
	cmp before <(cat <&9)
	exec 9<&-
	cmp before "$("$PLEACH" path site@1)/big"
	it 0 check
}

@test "a network that dies midway leaves what was public, exit 1, and a message that says so" {
	make_connection
	put a one
	it 0 sync site -- rsync -a -e ./connection HOST:src/ {}
	head -c 400000 /dev/urandom >src/big
	put a other
	echo 100000 >cut
	it 1 sync site -- rsync -a -e ./connection "HOST:$PWD/src/" {}
	same "$output" ""
	like "$stderr" "pleach: cannot sync 'site': 'rsync' ended with 12 \(attempt 1 of 1\); site@1 stays public"
	like "$stderr" "hint: "
	same "$(cat store/site/a)" one
	absent store/site/big
	same "$(heads site)" "1 "
	nothing_remains
	it 1 sync other -- rsync -a -e ./connection "HOST:$PWD/src/" {}
	like "$stderr" "nothing was published"
	it 10 log other
	absent store/other
	it 1 sync --json site --retry=1 --delay=0 -- rsync -a -e ./connection "HOST:$PWD/src/" {}
	json '.error | [.code, .attempts, .status, .signal, .timed_out]' '["failed",2,12,null,false]'
	rm cut
	it 0 sync site -- rsync -a -e ./connection "HOST:$PWD/src/" {}
	cmp src/big store/site/big
}

@test "a retry goes on where the last attempt was, and lands" {
	make_connection
	put a one
	it 0 sync site -- rsync -a -e ./connection "HOST:$PWD/src/" {}
	for n in 1 2 3 4; do
		head -c 100000 /dev/urandom >src/file$n
	done
	echo 250000 >cut
	: >once
	it 0 sync site --retry=2 --delay=0 -- \
		rsync -a -e ./connection --out-format='sent %n' "HOST:$PWD/src/" {}
	like "$output" '^site@2 [0-9a-f]{12} \+4 '
	like "$stderr" "'rsync' ended with 12: attempt 2 of 3 in 0s"
	# what had come was not sent again
	same "$(printf '%s\n' "$stderr" | grep -c '^sent file1$')" 1
	diff -r src store/site
	same "$(heads site)" "2 1 "
}

@test "a retry works in the same workspace; --anew in a new one" {
	put a one
	"$PLEACH" publish -q site ./src
	local count='echo x >>{}/tries; test "$(wc -l <{}/tries)" -ge 3'
	it 1 sync site --retry=2 --delay=0 --anew -- sh -c "$count"
	like "$stderr" "attempt 3 of 3"
	absent store/site/tries
	it 1 sync site --retry=1 --delay=0 -- sh -c "$count"
	it 0 sync site --json --retry=2 --delay=0 -- sh -c "$count"
	json '[.generation, .attempts]' '[2,3]'
	same "$(wc -l <store/site/tries)" 3
	nothing_remains
}

@test "what a signal or --timeout has ended is run again in a new workspace" {
	put a one
	"$PLEACH" publish -q site ./src
	local litter='test ! -e {}/litter || exit 9; : >{}/litter
		if test -e "$0"; then rm {}/litter; echo b >{}/b; exit; fi; : >"$0"; '
	it 0 sync site --retry=1 --delay=0 -- sh -c "$litter kill -KILL \$\$" "$PWD/flag"
	like "$stderr" "'sh' was ended by signal 9: attempt 2 of 2"
	absent store/site/litter
	same "$(cat store/site/b)" b
	rm flag
	it 0 sync site --retry=1 --delay=0 --timeout=1s -- sh -c "$litter exec sleep 1000" "$PWD/flag"
	like "$stderr" "'sh' was ended, it took longer than 1s: attempt 2 of 2"
	absent store/site/litter
	it 1 sync --json site --timeout=1s -- sleep 1000
	json '.error | [.status, .signal, .timed_out]' '[null,null,true]'
	it 1 sync --json site -- sh -c 'kill -KILL $$'
	json '.error | [.status, .signal, .timed_out]' '[null,9,false]'
	nothing_remains
}

@test "a command's status is never taken for one of pleach's" {
	put a one
	"$PLEACH" publish -q site ./src
	for command in 10 11 12 13 14 125 126 255; do
		it 1 sync site -- sh -c 'echo spoilt >{}/a; exit "$0"' "$command"
		like "$stderr" "'sh' ended with $command"
	done
	it 1 sync site --retry=5 --delay=1h -- nosuch-command {}
	like "$stderr" "cannot run 'nosuch-command'"
	it 1 sync --json site -- ./src
	error_is failed
	same "$(cat store/site/a)" one
	same "$(heads site)" "1 "
	nothing_remains
}

@test "a wrong command line is 2" {
	it 2 sync
	it 2 sync site
	like "$stderr" "no command stands behind '--'"
	it 2 sync site --
	it 2 sync -- true
	it 2 sync site other -- true
	it 2 sync --wait=5s --no-wait site -- true
	it 2 sync --max-age=5 site -- true
	it 2 sync 'not a ref' -- true
	it 10 --store nowhere sync site -- true
	nothing_remains
}

@test "--max-age: nothing is done while the last sync is younger, one that changed nothing too" {
	put a one
	it 0 sync site --max-age=1h -- rsync -a src/ {}
	like "$output" '^site@1 [0-9a-f]{12} \+1'
	it 0 sync site --max-age=1h -- sh -c 'echo b >{}/b'
	like "$output" '^site@1 [0-9a-f]{12} synced [0-9]+s ago$'
	it 0 sync site --max-age=1h --json -- sh -c 'echo b >{}/b'
	json '[.ref, .generation, .unchanged, .fresh]' '["site",1,true,true]'
	it 0 sync site --max-age=1h -q -- sh -c 'echo b >{}/b'
	same "$output" ""
	absent store/site/b
	# an hour ago and more; then again by a sync that changes nothing
	it 0 config --ref site synced=$(($(date +%s) - 3600))
	it 0 sync site --max-age=1h -- rsync -a src/ {}
	like "$output" unchanged
	it 0 sync site --max-age=1h -- sh -c 'echo b >{}/b'
	like "$output" 'synced [0-9]+s ago'
	it 0 sync site --max-age=0 -- sh -c 'echo b >{}/b'
	like "$output" '^site@2 '
}

@test "--max-age: a sync that failed does not count, nor one of the future, nor of another ref" {
	put a one
	it 0 sync site -- rsync -a src/ {}
	it 0 config --ref site synced=1
	it 1 sync site -- false
	same "$("$PLEACH" config --ref site synced)" 1
	it 0 sync site --max-age=1h -- sh -c 'echo b >{}/b'
	like "$output" '^site@2 '
	it 0 config --ref site synced=$(($(date +%s) + 1000000))
	it 0 sync site --max-age=1h -- sh -c 'echo c >{}/c'
	like "$output" '^site@3 '
	it 0 sync other --max-age=1h -- sh -c 'echo c >{}/c'
	like "$output" '^other@1 '
	# the store's setting is nobody's
	it 0 config --unset synced --ref site
	it 0 config synced="$(date +%s)"
	it 0 sync site --max-age=1h -- sh -c 'echo d >{}/d'
	like "$output" '^site@4 '
}

@test "one sync at a time: another waits or ends with 11, and with --max-age finds that it is done" {
	put a one
	"$PLEACH" publish -q site ./src
	busy
	it 11 sync site --no-wait -- true
	it 11 sync site --wait=0s -- true
	it 11 run --no-wait site -- true
	"$PLEACH" sync site --max-age=1h -- sh -c 'echo twice >{}/twice' >second.out 2>second.err &
	second=$!
	until [ "$("$PLEACH" status --json | jq '.refs[0].queued')" -eq 2 ]; do :; done
	done_being_busy
	wait "$second"
	like "$(cat second.out)" '^site@2 [0-9a-f]{12} synced [0-9]+s ago$'
	same "$(heads site)" "2 1 "
	absent store/site/twice
}

@test "a publish meanwhile of the same path is a conflict; with --retry the command is run on it" {
	put a one
	"$PLEACH" publish -q site ./src
	busy
	put busy other
	"$PLEACH" publish -q site ./src
	done_being_busy 12
	like "$(cat busy.err)" 'conflict: busy: head: added, transaction: added'
	same "$(cat store/site/busy)" other
	rm busy.go busy.at
	busy --retry=1 --delay=0
	put busy third
	"$PLEACH" publish -q site ./src
	echo go >busy.go
	read -r line <busy.at
	done_being_busy
	same "$(cat store/site/busy)" busy
	nothing_remains
}

@test "TERM while the command runs, or before a retry, ends it: nothing is published" {
	put a one
	"$PLEACH" publish -q site ./src
	mkfifo at
	"$PLEACH" sync --retry=9 --delay=0 site -- sh -c \
		'echo spoilt >{}/a; ! test -e "$1" || exit 0; : >"$1"; echo at >"$0"; exec sleep 1000' \
		"$PWD/at" "$PWD/again" 3>&- 2>err &
	worker=$!
	read -r line <at
	kill -TERM "$worker"
	status=0
	wait "$worker" || status=$?
	same "$status" 143
	like "$(cat err)" "the sync of 'site' was interrupted by signal 15: nothing was published"
	# in the pause
	"$PLEACH" sync --retry=9 --delay=1h site -- sh -c 'echo spoilt >{}/a; exit 1' 3>&- 2>err &
	worker=$!
	until grep -q 'attempt 2 of 10 in 3600s' err; do :; done
	kill -TERM "$worker"
	status=0
	wait "$worker" || status=$?
	same "$status" 143
	same "$(cat store/site/a)" one
	same "$(heads site)" "1 "
	nothing_remains
}

@test "killed, it leaves what was public, and the next one lands" {
	put a one
	"$PLEACH" publish -q site ./src
	busy
	kill -KILL "$worker"
	wait "$worker" || true
	same "$(heads site)" "1 "
	put b two
	it 0 sync site -- rsync -a src/ {}
	like "$output" '^site@2 [0-9a-f]{12} \+1'
	nothing_remains
	it 0 check
}

@test "git: a clone, pulls, and one that cannot reach its origin" {
	git init -q -b main origin
	echo one >origin/a
	git_in origin add a
	git_in origin commit -qm one
	it 0 sync site -- git clone -q "$PWD/origin" {}
	same "$(cat store/site/a)" one
	echo two >origin/a
	echo new >origin/b
	git_in origin add a b
	git_in origin commit -qm two
	it 0 sync site -- git -C {} pull -q --ff-only
	same "$(cat store/site/a store/site/b)" $'two\nnew'
	same "$(git -C store/site rev-parse HEAD)" "$(git -C origin rev-parse HEAD)"
	same "$(cat "$("$PLEACH" path site@1)/a")" one
	mv origin gone
	it 1 sync site -- git -C {} pull -q --ff-only
	like "$stderr" "'git' ended with [0-9]+ .*; site@2 stays public"
	same "$(git --no-optional-locks -C store/site status --porcelain)" ""
	nothing_remains
	it 0 check
}
