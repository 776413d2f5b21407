#!/usr/bin/env bats
# pleach run: what lands, what does not, exit statuses, the queue, the client, the runs inside of runs.
# Conflicts are in conflict.bats, steps in tx.bats, terminals in tests/tx.

load helper

# busy ARGUMENT...: a transaction on site that is at work until done_being_busy.
busy() {
	mkfifo busy.go busy.at
	# shellcheck disable=SC2016
	"$PLEACH" run "$@" site -- sh -c 'echo at >"$1"; read -r line <"$2"; echo busy >"$PLEACH_PATH/busy"' \
		sh "$PWD/busy.at" "$PWD/busy.go" 3>&- 2>busy.err &
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

# nothing_remains: no transaction, no leftovers.
nothing_remains() {
	it 0 status --json
	json '[.transactions, .leftovers]' '[[],[]]'
	same "$(ls store/.pleach/tx)" ""
}

@test "run commits what the command has made of the tree, and says so on stderr" {
	two_generations
	it 0 run site -m "by hand" -- sh -c '
		set -e
		cd "$PLEACH_PATH"
		cat a
		echo changed >a
		rm c
		mkdir d
		echo new >d/e'
	same "$output" other
	like "$stderr" '^site@3 [0-9a-f]{12} \+2 ~1 -1, [0-9.]+ B new$'
	same "$(cat store/site/a)" changed
	same "$(cat store/site/d/e)" new
	absent store/site/c
	same "$(heads site)" "3 2 1 "
	it 0 log --json -n 1 site
	json '[.kind, .message, .parent]' '["run","by hand",2]'
	same "$("$PLEACH" cat site@2:a)" other
	nothing_remains
	it 0 check
}

@test "-q prints nothing, --json prints as publish --json does, on stderr" {
	two_generations
	it 0 -q run site -- sh -c 'echo x >"$PLEACH_PATH/x"'
	same "$output$stderr" ""
	it 0 --json run site -- sh -c 'echo y >"$PLEACH_PATH/y"; echo of the command'
	same "$output" "of the command"
	output=$stderr
	json '[keys, .ref, .generation, .parent, .changed]' \
		'[["bytes_new","changed","generation","parent","ref","tree","unchanged"],"site",4,3,{"added":1,"modified":0,"removed":0}]'
}

@test "--json of a command that fails says on stderr how it ended, as --status-fd does" {
	two_generations
	it 3 --json run --status-fd 9 site -- sh -c 'echo of the command; echo "$PLEACH_TX" >"$0"; exit 3' "$PWD/id" 9>line
	same "$output" "of the command"
	same "$stderr" "$(cat line)"
	output=$stderr
	json '[.by, .status, .ref, .tx, .base, .generation, .kept, .error]' \
		"[\"command\",3,\"site\",\"$(cat id)\",2,null,false,null]"
	it 137 --json run site -- sh -c 'kill -KILL $$'
	output=$stderr
	json '[.by, .status]' '["command",137]'
	it 3 --json -q run site -- sh -c 'exit 3'
	same "$output$stderr" ""
	it 3 run site -- sh -c 'exit 3'
	same "$output$stderr" ""
	# inside of another one: of the outer one comes what it always prints, behind it
	it 0 --json run site -- sh -c 'echo z >"$PLEACH_PATH/z"; "$PLEACH" --json run site -- sh -c "exit 3" || exit 0'
	same "$(printf '%s\n' "$stderr" | jq -c '[.joined, .status, .generation]')" $'[true,3,null]\n[null,null,3]'
}

@test "nothing changed: exit 0, no generation, and it says so" {
	two_generations
	it 0 run site -- true
	like "$stderr" '^site@2 [0-9a-f]{12} unchanged$'
	it 0 run site -- sh -c 'cd "$PLEACH_PATH" && cp -p a b && mv b a && touch . && mkdir d && rmdir d'
	like "$stderr" 'unchanged$'
	same "$(heads site)" "2 1 "
	nothing_remains
}

@test "a command that fails aborts, and its status is passed on" {
	two_generations
	for wanted in 1 2 7 11 12 125 126 127 255; do
		it "$wanted" run site -- sh -c 'echo spoilt >"$PLEACH_PATH/a"; exit "$1"' sh "$wanted"
		same "$stderr" ""
	done
	same "$(cat store/site/a)" other
	same "$(heads site)" "2 1 "
	nothing_remains
}

@test "a command that a signal ends aborts with 128+n" {
	two_generations
	it 137 run site -- sh -c 'echo spoilt >"$PLEACH_PATH/a"; kill -KILL $$'
	it 143 run site -- sh -c 'kill -TERM $$'
	it 134 run site -- sh -c 'ulimit -c 0; kill -ABRT $$'
	same "$(cat store/site/a)" other
	nothing_remains
}

@test "own failures are 125, not executable 126, not found 127" {
	two_generations
	it 125 run nosuch -- true
	like "$stderr" '^pleach: '
	it 125 --json run nosuch -- true
	error_is not-found
	it 125 --store nowhere run site -- true
	it 127 run site -- nosuch-command
	like "$stderr" "cannot run 'nosuch-command'"
	it 127 run site -- ./nosuch
	: >file
	it 126 run site -- ./file
	it 126 run site -- ./src
	it 126 --json run site -- ./src
	error_is failed
	same "$(heads site)" "2 1 "
	nothing_remains
}

@test "a wrong command line is 125: a program can end with 2" {
	two_generations
	it 125 run
	it 2 --bogus run site -- true
	it 125 run site
	like "$stderr" "no command stands behind '--'"
	it 125 run site --
	it 125 run -- true
	it 125 run site other -- true
	it 125 run --wait=5s --no-wait site -- true
	it 125 run --wait=5 site -- true
	it 125 run --status-fd 77 site -- true
	like "$stderr" 'descriptor 77 is not open'
	it 125 run --watch-fd 77 site -- true
	it 125 run --workspace=bogus site -- true
	like "$stderr" "bogus"
	it 125 run 'not a ref' -- true
	for option in --create --serializable --workspace=copy --retry=1 --keep-conflict -mx; do
		it 125 run --tx 0123456789ab "$option" site -- true
		like "$stderr" "does not go with"
	done
	it 125 run site --bogus -- true
	it 125 run --json --bogus site -- true
	error_is usage
	nothing_remains
}

@test "a missing ref is made with --create, and only if the command succeeds" {
	it 125 run new -- true
	it 3 run --create new -- sh -c 'echo a >"$PLEACH_PATH/a"; exit 3'
	absent store/new
	it 10 log new
	it 0 run --create new -- sh -c 'ls -A "$PLEACH_PATH"; echo "<$PLEACH_BASE>"; echo a >"$PLEACH_PATH/a"'
	same "$output" "<0>"
	like "$stderr" '^new@1 [0-9a-f]{12} \+1 ~0 -0, '
	same "$(cat store/new/a)" a
}

@test "the environment says which transaction it is, and the rest is as outside" {
	two_generations
	export OF_OURS='a b'
	it 0 run site -- sh -c 'echo "$PLEACH_REF $PLEACH_PATH $PLEACH_BASE $PLEACH_TX"; echo "$OF_OURS"; pwd; id -u; hostname'
	like "${lines[0]}" "^site $PWD/store/site 2 [0-9a-f]{24}$"
	same "${lines[1]}" "a b"
	same "${lines[2]}" "$PWD"
	same "${lines[3]}" "$(id -u)"
	same "${lines[4]}" "$(hostname)"
}

@test "the store is named so that a program finds it from anywhere" {
	two_generations
	local show='cd / && echo "$PLEACH_STORE" && "$PLEACH" status --json'
	PLEACH_STORE=store it 0 run site -- sh -c "$show"
	same "${lines[0]}" "$PWD/store"
	like "${lines[1]}" '"refs":\['
	unset PLEACH_STORE
	it 0 --store ./store run site -- sh -c "$show"
	same "${lines[0]}" "$PWD/store"
	cd store
	PLEACH_STORE='' it 0 run site -- sh -c "$show"
	same "${lines[0]}" "$PWD"
}

@test "a working directory inside leads to the workspace, any other stays" {
	put sub/dir/f one
	"$PLEACH" publish -q site ./src
	cd store/site/sub
	it 0 run site -- sh -c 'pwd; cat dir/f; echo two >dir/f'
	same "${lines[1]}" one
	cd ../../..
	same "$(cat store/site/sub/dir/f)" two
	it 0 run site -- sh -c 'echo other >file-outside'
	same "$(cat file-outside)" other
	same "$(heads site)" "2 1 "
}

@test "attached paths lead to the workspace too" {
	two_generations
	"$PLEACH" attach site there
	it 0 run site -- sh -c 'echo by there >there/a; cat store/site/a'
	same "$output" "by there"
	same "$(cat there/a)" "by there"
	cd there
	it 0 run site -- sh -c 'echo again >a'
	same "$(cat "$BATS_TEST_TMPDIR/store/site/a")" again
}

@test "a working directory that is attached by exchange leads to the workspace, also once it was replaced" {
	put sub/f one
	"$PLEACH" publish -q site ./src
	"$PLEACH" attach --mode exchange site there
	cd there/sub
	it 0 run site -- sh -c 'pwd; cat f; echo two >f'
	same "${lines[0]}" "$BATS_TEST_TMPDIR/store/site/sub"
	same "${lines[1]}" one
	# it lies beside ./there now; the shell still says there/sub
	it 0 run site -- sh -c 'cat f; echo three >f'
	same "${lines[0]}" two
	same "$(cat "$BATS_TEST_TMPDIR/there/sub/f")" three
	local beside
	beside=$(find "$BATS_TEST_TMPDIR" -maxdepth 1 -name '.pleach-*.tree' | head -n 1)
	[ -n "$beside" ]
	cd "$beside/sub"
	it 125 run site -- sh -c 'echo bad >f'
	like "$stderr" "no longer what is attached at '$BATS_TEST_TMPDIR/there'"
	cd "$BATS_TEST_TMPDIR"
	same "$(heads site)" "3 2 1 "
	it 0 check
}

@test "a working directory that the transaction does not have is named" {
	put sub/f one
	"$PLEACH" publish -q site ./src
	cd store/site/sub
	rm -r "$BATS_TEST_TMPDIR/src/sub"
	(cd "$BATS_TEST_TMPDIR" && put a one && "$PLEACH" publish -q site ./src)
	it 125 run site -- true
	like "$stderr" "working directory '$BATS_TEST_TMPDIR/store/site/sub'"
	like "$stderr" "cd to a directory"
}

@test "options of the command are its own" {
	two_generations
	it 0 run site -- sh -c 'echo "$*"' sh --json -n --help --tx -- -q
	same "$output" "--json -n --help --tx -- -q"
}

@test "the command has the standard files, descriptors and signals that it would have" {
	two_generations
	run --separate-stderr bash -c 'echo hello | "$PLEACH" run site -- cat'
	same "$output" hello
	local as_it_is
	as_it_is=$(sh -c 'grep -E "^Sig(Ign|Blk|Cgt)" /proc/self/status')
	run --separate-stderr "$PLEACH" run site -- sh -c 'grep -E "^Sig(Ign|Blk|Cgt)" /proc/self/status'
	same "$output" "$as_it_is"
	as_it_is=$(sh -c 'trap "" INT HUP XFSZ PIPE; exec grep -E "^SigIgn" /proc/self/status')
	run --separate-stderr sh -c 'trap "" INT HUP XFSZ PIPE
		exec "$PLEACH" run site -- grep -E "^SigIgn" /proc/self/status'
	same "$output" "$as_it_is"
	run --separate-stderr bash -c 'exec 7<src/a; "$PLEACH" run site -- sh -c "cat <&7"'
	same "$output" other
	run -127 --separate-stderr bash -c '"$PLEACH" run site -- nosuch-command <&- >&-'
}

@test "the command is not PID 1, and what it leaves behind is gone before the commit" {
	two_generations
	it 0 run site -- sh -c '
		test $$ -ne 1 || exit 9
		(trap "" HUP TERM; exec setsid sh -c "while :; do echo late >>$PLEACH_PATH/late; sleep 0.01; done") \
			>/dev/null 2>&1 &
		until test -s "$PLEACH_PATH/late"; do sleep 0.01; done
		echo "$PLEACH_TX" >tx'
	same "$(grep -c late store/site/late)" "$(wc -l <store/site/late)"
	same "$(grep -lzs "^PLEACH_TX=$(cat tx)\$" /proc/[0-9]*/environ)" ""
}

@test "inside, a publish from outside does not show, and names of the store stay live" {
	two_generations
	busy --optimistic
	put z from-outside
	"$PLEACH" publish -q other ./src
	same "$(cat store/other/z)" from-outside
	same "$(cat store/site/a)" other
	absent store/site/busy
	done_being_busy
	same "$(cat store/site/busy)" busy
}

@test "transactions on a ref queue up: --no-wait and --wait=D end with 11" {
	two_generations
	busy
	it 11 run --no-wait site -- touch ran
	like "$stderr" "another transaction on 'site'"
	it 11 run --wait=1s site -- touch ran
	it 11 --json run --no-wait site -- touch ran
	error_is busy
	absent ran
	"$PLEACH" publish -q other ./src
	it 0 run --no-wait other -- true
	it 0 run --no-wait --optimistic site -- true
	done_being_busy
	it 0 run --no-wait site -- true
	nothing_remains
}

@test "whoever waits sees what the one before has committed (G3)" {
	two_generations
	busy
	# shellcheck disable=SC2016
	"$PLEACH" run site -- sh -c 'cat "$PLEACH_PATH/busy"; echo second >>"$PLEACH_PATH/busy"' \
		>second.out 2>second.err 3>&- &
	local second=$!
	until [ "$("$PLEACH" status --json site | jq '.refs[0].queued')" -ge 2 ]; do :; done
	done_being_busy
	wait "$second"
	same "$(cat second.out)" busy
	like "$(cat second.err)" '^site@4 '
	same "$(cat store/site/busy)" $'busy\nsecond'
}

@test "waiting is told: on a terminal, with -v in a note, else not at all" {
	two_generations
	busy
	it 11 run --wait=2s site -- true
	unlike "$stderr" "waiting"
	it 11 -v run --wait=2s site -- true
	like "$stderr" "^pleach: waiting for another transaction"
	it 11 --progress=plain run --wait=2s site -- true
	like "$stderr" "waiting for another transaction: [0-9]+ s"
	run on_terminal "$PLEACH" run --wait=2s site -- true
	same "$status" 11
	like "$output" "waiting for another transaction"
	done_being_busy
}

@test "TERM while it waits ends it with 143, and nothing of it remains" {
	two_generations
	busy
	"$PLEACH" run site -- touch ran 2>/dev/null 3>&- &
	local waiting=$!
	until [ "$("$PLEACH" status --json site | jq '.refs[0].queued')" -ge 2 ]; do :; done
	kill -TERM "$waiting"
	status=0
	wait "$waiting" || status=$?
	same "$status" 143
	done_being_busy
	absent ran
	nothing_remains
}

@test "signals that are sent to pleach reach the command" {
	two_generations
	mkfifo at
	local signal
	for signal in TERM HUP INT QUIT USR1 USR2; do
		# shellcheck disable=SC2016
		env --default-signal "$PLEACH" run site -- sh -c '
			trap "echo got >\"$PLEACH_PATH/$1\"; exit 0" "$1"
			echo at >at
			while :; do sleep 0.05; done' sh "$signal" 2>err 3>&- &
		local runner=$!
		read -r line <at
		kill -"$signal" "$runner"
		status=0
		wait "$runner" || status=$?
		same "$signal $status" "$signal 0"
		same "$(cat store/site/"$signal")" got
	done
	# shellcheck disable=SC2016
	"$PLEACH" run site -- sh -c 'echo spoilt >"$PLEACH_PATH/a"; echo at >at; while :; do sleep 0.05; done' \
		2>err 3>&- &
	runner=$!
	read -r line <at
	kill -TERM "$runner"
	status=0
	wait "$runner" || status=$?
	same "$status" 143
	same "$(cat store/site/a)" other
	nothing_remains
}

@test "pleach killed aborts: nothing runs on, nothing changes, the next command cleans up (G2 G6)" {
	two_generations
	mkfifo at
	# shellcheck disable=SC2016
	"$PLEACH" run site -- sh -c 'echo spoilt >"$PLEACH_PATH/a"; echo "$PLEACH_TX" >at
		(setsid sleep 1000 &) ; sleep 1000' 3>&- &
	local runner=$! tx
	read -r tx <at
	like "$(grep -lzs "^PLEACH_TX=$tx\$" /proc/[0-9]*/environ)" environ
	kill -KILL "$runner"
	wait "$runner" || true
	until [ -z "$(grep -lzs "^PLEACH_TX=$tx\$" /proc/[0-9]*/environ)" ]; do :; done
	it 0 status
	like "$output" "dead +$tx  transaction site: the next command that changes something removes it"
	it 0 run --no-wait site -- true
	same "$(cat store/site/a)" other
	same "$(heads site)" "2 1 "
	nothing_remains
	it 0 status --json
	json '.events | map([.kind, .tx])' "[[\"recovered\",\"$tx\"]]"
	json '.events[0].what | endswith("removed what a killed \"transaction site\" had left")' true
}

@test "inside of it, its id is told apart from one that others use; diff shows what it did so far" {
	two_generations
	# shellcheck disable=SC2016
	it 0 run site -- sh -c 'echo x >"$PLEACH_PATH/x"; rm "$PLEACH_PATH/c"
		for command in commit abort; do
			"$PLEACH" $command "$PLEACH_TX" 2>"$0.$command" && exit 9
			test $? = 11 || exit 8
		done
		"$PLEACH" diff "$PLEACH_TX" >"$0.diff" && "$PLEACH" diff -p "${PLEACH_TX%????????????}" -- x >"$0.patch" &&
			"$PLEACH" status --json "$PLEACH_TX" >"$0.status"' "$PWD/out"
	like "$(cat out.commit)" "this is inside of transaction [0-9a-f]{24}"
	like "$(cat out.commit)" "hint: it ends with its command: 0 commits, any other exit status aborts"
	same "$(cat out.abort)" "$(cat out.commit)"
	same "$(cat out.diff)" $'D c\nA x'
	like "$(cat out.patch)" $'\n\+x'
	same "$(jq -c '.transactions | map(.kind)' out.status)" '["open"]'
	same "$(heads site)" "3 2 1 "
	nothing_remains
}

# ---- --status-fd

@test "--status-fd says whose the status is" {
	two_generations
	local keys='["base","by","error","generation","joined","kept","ref","status","tree","tx","unchanged"]'
	it 0 run --status-fd 9 site -- sh -c 'echo x >"$PLEACH_PATH/x"' 9>line
	output=$(cat line)
	same "$(wc -l <line)" 1
	json keys "$keys"
	json '[.by, .status, .ref, .base, .generation, .unchanged, .joined, .kept, .error]' \
		'["command",0,"site",2,3,false,false,false,null]'
	json '[(.tx | length), (.tree | length)]' '[24,64]'
	it 0 run --status-fd 9 site -- true 9>line
	output=$(cat line)
	json '[.by, .status, .generation, .tree, .unchanged]' '["command",0,null,null,true]'
	for wanted in 11 12 125 127; do
		it "$wanted" run --status-fd 9 site -- sh -c 'exit "$1"' sh "$wanted" 9>line
		output=$(cat line)
		json '[.by, .status, .generation, .error]' "[\"command\",$wanted,null,null]"
	done
	it 137 run --status-fd 9 site -- sh -c 'kill -KILL $$' 9>line
	output=$(cat line)
	json '[.by, .status]' '["command",137]'
	it 127 run --status-fd 9 site -- nosuch-command 9>line
	output=$(cat line)
	json '[keys, .by, .status, .error.code, .error.path]' "[$keys,\"pleach\",127,\"failed\",\"nosuch-command\"]"
	it 125 run --status-fd 9 nosuch -- true 9>line
	output=$(cat line)
	json '[.by, .status, .ref, .tx, .base, .error.code]' '["pleach",125,"nosuch",null,null,"not-found"]'
}

@test "the descriptor of --status-fd is not the command's, and 1 and 2 will do" {
	two_generations
	it 7 run --status-fd 9 site -- sh -c '(echo hello >&9) 2>/dev/null || exit 7' 9>line
	same "$(wc -l <line)" 1
	it 0 run --status-fd 1 site -- echo hello
	same "${lines[0]}" hello
	output=${lines[1]}
	json '.by' '"command"'
	# whoever was to read it is gone
	it 0 run --status-fd 9 site -- true 9> >(:)
	it 0 run --status-fd 9 site -- true 9>/dev/full
	like "$stderr" "cannot tell the status"
}

# ---- --watch-fd

@test "--watch-fd: the client is gone, the command is killed, nothing has happened, exit 125" {
	two_generations
	mkfifo client at
	# shellcheck disable=SC2016
	"$PLEACH" run --watch-fd 9 --status-fd 8 site -- sh -c 'trap "" HUP TERM INT
		echo spoilt >"$PLEACH_PATH/a"; echo at >at; while :; do sleep 0.05; done' \
		9<client 8>line 2>err 3>&- &
	local runner=$!
	exec 7>client
	read -r line <at
	kill -0 "$runner"
	exec 7>&-
	status=0
	wait "$runner" || status=$?
	same "$status" 125
	like "$(cat err)" "the client at descriptor 9 is gone"
	output=$(cat line)
	json '[.by, .status, .error.code]' '["pleach",125,"failed"]'
	same "$(cat store/site/a)" other
	nothing_remains
}

@test "--watch-fd: gone before it begins, gone while it waits, or not at all" {
	two_generations
	# shellcheck disable=SC2016
	run -125 --separate-stderr bash -c 'exec 9< <(:); wait $!
		exec "$PLEACH" run --watch-fd 9 site -- touch ran'
	like "$stderr" "the client at descriptor 9 is gone"
	absent ran
	busy
	mkfifo client
	"$PLEACH" run --watch-fd 9 site -- touch ran 9<client 2>err 3>&- &
	local waiting=$!
	exec 7>client
	until [ "$("$PLEACH" status --json site | jq '.refs[0].queued')" -ge 2 ]; do :; done
	exec 7>&-
	status=0
	wait "$waiting" || status=$?
	same "$status" 125
	like "$(cat err)" "is gone"
	done_being_busy
	absent ran
	"$PLEACH" run --watch-fd 9 site -- sh -c 'echo x >"$PLEACH_PATH/x"' 9<client 2>err 3>&- &
	waiting=$!
	exec 7>client
	wait "$waiting"
	exec 7>&-
	same "$(cat store/site/x)" x
	nothing_remains
}

@test "--watch-fd leaves what the client sends to the command" {
	two_generations
	mkfifo client
	# shellcheck disable=SC2016
	"$PLEACH" run --watch-fd 0 site -- sh -c 'read -r line; echo "$line"' <client >out 2>err 3>&- &
	local runner=$!
	exec 7>client
	echo hello >&7
	wait "$runner"
	exec 7>&-
	same "$(cat out)" hello
}

# ---- runs inside of runs

@test "a run on the same ref inside of a run is a part of it" {
	two_generations
	it 0 run site -- sh -c '
		set -e
		echo outer >"$PLEACH_PATH/outer"
		"$PLEACH" run --status-fd 9 site -- sh -c "echo inner >\"\$PLEACH_PATH/inner\"; echo \$PLEACH_TX" 9>line
		echo "$PLEACH_TX"
		cat "$PLEACH_PATH/inner"'
	same "${lines[0]}" "${lines[1]}"
	same "${lines[2]}" inner
	same "${#stderr_lines[@]}" 1
	like "$stderr" '^site@3 [0-9a-f]{12} \+2 ~0 -0, '
	output=$(cat line)
	json '[.by, .status, .ref, .generation, .joined]' '["command",0,"site",null,true]'
	same "$(heads site)" "3 2 1 "
}

@test "a run inside passes the status on, and commits nothing by itself" {
	two_generations
	it 3 run site -- sh -c '
		"$PLEACH" run site -- sh -c "echo inner >\"\$PLEACH_PATH/inner\""
		"$PLEACH" run site -- sh -c "exit 9"; test $? = 9 || exit 1
		"$PLEACH" run site -- sh -c "kill -KILL \$\$"; test $? = 137 || exit 2
		"$PLEACH" run site -- nosuch-command 2>/dev/null; test $? = 127 || exit 4
		exit 3'
	same "$(heads site)" "2 1 "
	absent store/site/inner
	nothing_remains
}

@test "the environment alone makes no run a part of another one" {
	two_generations
	PLEACH_TX=0123456789abcdef01234567 PLEACH_REF=site PLEACH_BASE=2 PLEACH_PATH=$PWD/store/site \
		it 0 run site -- sh -c 'echo x >"$PLEACH_PATH/x"'
	same "$(heads site)" "3 2 1 "
}

@test "a run on another ref inside of a run is one of its own" {
	two_generations
	"$PLEACH" publish -q other ./src
	it 4 run site -- sh -c '
		echo x >"$PLEACH_PATH/x"
		"$PLEACH" run other -- sh -c "echo y >\"\$PLEACH_PATH/y\"" || exit 1
		exit 4'
	same "$(heads other)" "2 1 "
	same "$(cat store/other/y)" y
	same "$(heads site)" "2 1 "
}

# ---- workspaces

@test "--workspace takes that one, and -v says which were passed over" {
	two_generations
	it 0 -v run --workspace=copy site -- sh -c 'echo x >"$PLEACH_PATH/x"'
	like "$stderr" 'transaction [0-9a-f]{24}, workspace: copy'
	it 0 -v run site -- true
	like "$stderr" 'workspace: (overlay|snapshot|reflink|user-overlay|copy)'
	for workspace in overlay snapshot reflink user-overlay copy; do
		run --separate-stderr "$PLEACH" run --workspace="$workspace" site -- \
			sh -c 'echo "$1" >"$PLEACH_PATH/by"' sh "$workspace"
		if [ "$status" -eq 0 ]; then
			same "$(cat store/site/by)" "$workspace"
		else
			same "$workspace $status" "$workspace 125"
			like "$stderr" "$workspace"
		fi
	done
	nothing_remains
}

@test "--keep keeps the transaction after any failure, and tells its id" {
	two_generations
	it 7 run --keep --status-fd 9 site -- sh -c 'echo kept >"$PLEACH_PATH/kept"; exit 7' 9>line
	like "$stderr" 'kept as transaction [0-9a-f]{24}'
	output=$(cat line)
	json '[.by, .status, .kept]' '["command",7,true]'
	local tx
	tx=$(jq -r .tx line)
	it 0 diff "$tx"
	same "$output" "A kept"
	it 0 commit "$tx"
	like "$output" '^site@3 '
	same "$(cat store/site/kept)" kept
	it 0 run --keep site -- sh -c 'echo x >"$PLEACH_PATH/x"'
	unlike "$stderr" "kept as"
	nothing_remains
}

@test "the help of run names every option of the manual" {
	it 0 run --help
	for option in --wait --no-wait --optimistic --serializable --retry --workspace --tx --keep \
		--keep-conflict --create --status-fd --watch-fd --message; do
		like "$output" "$option"
	done
}

@test "equal files that share an inode in the base stay files of their own, whatever the ref says now" {
	mkdir src/d
	echo same >src/e1
	echo same >src/e2
	touch -d '2020-01-01 00:00:00' src/e1 src/e2
	"$PLEACH" config share=content
	"$PLEACH" publish -q cc ./src
	same "$(stat -L -c %i store/cc/e1)" "$(stat -L -c %i store/cc/e2)"
	"$PLEACH" config share=names
	"$PLEACH" publish -q ce cc@1
	same "$(stat -L -c %i store/ce/e1)" "$(stat -L -c %i store/cc/e2)"
	# shellcheck disable=SC2016
	it 0 run ce -- sh -c 'cd "$PLEACH_PATH" && echo x >>e1 && cp e2 e3'
	same "$(cat store/ce/e1)" "$(printf 'same\nx')"
	same "$(cat store/ce/e2 store/ce/e3)" "$(printf 'same\nsame')"
	"$PLEACH" config --ref ce share=content
	it 0 run ce -- sh -c 'echo y >"$PLEACH_PATH/e4"'
	same "$(cat store/ce/e2)" same
	it 0 check
}

@test "a ref that another run makes, too, stays shown when one of them gives up" {
	mkfifo at go
	# shellcheck disable=SC2016
	"$PLEACH" run --create --optimistic new -- sh -c 'echo x >at; read -r line <go
		echo a >"$PLEACH_PATH/a"' 2>/dev/null 3>&- &
	local runner=$!
	read -r _ <at
	it 3 run --create --optimistic new -- sh -c 'exit 3'
	[ -L store/new ]
	echo go >go
	wait "$runner"
	same "$(cat store/new/a)" a
}

@test "a run that was killed while it made a ref leaves no public path" {
	mkfifo at
	# shellcheck disable=SC2016
	"$PLEACH" run --create new -- sh -c 'echo x >at; exec sleep 1000' 2>/dev/null 3>&- &
	local runner=$!
	read -r _ <at
	[ -L store/new ]
	kill -9 "$runner"
	wait "$runner" || true
	until "$PLEACH" publish -q other ./src && [ ! -L store/new ]; do
		[ $((tries = ${tries:-0} + 1)) -lt 500 ]
	done
	it 10 log new
	it 0 run --create new -- sh -c 'echo a >"$PLEACH_PATH/a"'
	same "$(cat store/new/a)" a
}
