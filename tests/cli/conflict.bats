#!/usr/bin/env bats
# Conflicts: what is said, what is kept, running again.

load helper

# meddle: run as a part of the command; publishes another `a` from outside, as another process would.
# The public path inside is the workspace, so that the store is spoken to by a helper outside.
setup_meddler() {
	two_generations
	mkfifo ask answer
	# shellcheck disable=SC2016
	bash -c '
		while read -r text <ask; do
			[ "$text" != end ] || exit 0
			echo "$text" >src/a
			"$PLEACH" publish -q site ./src
			echo done >answer
		done' 3>&- &
	meddler=$!
}

teardown() {
	if [ -n "${meddler:-}" ]; then
		kill "$meddler" 2>/dev/null || true
		wait "$meddler" 2>/dev/null || true
	fi
	chmod -R u+rwX "$BATS_TEST_TMPDIR" 2>/dev/null || true
}

MEDDLE='echo "$1" >ask; read -r line <answer; '

nothing_remains() {
	it 0 status --json
	json '[.transactions, .leftovers]' '[[],[]]'
	same "$(ls store/.pleach/tx)" ""
}

@test "a conflict is 12, every path is named with what each side did, nothing of it remains (G3)" {
	setup_meddler
	it 12 run site -- sh -c "$MEDDLE"'cd "$PLEACH_PATH"; echo mine >a; echo free >free' sh theirs
	like "${stderr_lines[0]}" '^pleach: '
	like "$stderr" 'pleach: conflict: a: head: modified, transaction: modified'
	unlike "$stderr" 'free'
	same "$output" ""
	same "$(cat store/site/a)" theirs
	absent store/site/free
	same "$(heads site)" "3 2 1 "
	nothing_remains
}

@test "a conflict as JSON" {
	setup_meddler
	it 12 --json run --status-fd 9 site -- sh -c "$MEDDLE"'rm "$PLEACH_PATH/a"' sh theirs 9>line
	json '[keys, (.error | keys), .error.code]' \
		'[["error"],["code","hint","message","path","paths","tx"],"conflict"]'
	json .error.paths '[{"path":"a","head":"modified","tx":"removed"}]'
	json .error.tx null
	output=$(cat line)
	json '[.by, .status, .error.code, .kept]' '["pleach",12,"conflict",false]'
	json '[.error.path, .error.paths, .error.tx]' \
		'["a",[{"path":"a","head":"modified","tx":"removed"}],null]'
	it 12 --json -q run site -- sh -c "$MEDDLE"'rm "$PLEACH_PATH/a"' sh again
	same "$stderr" ""
	json .error.paths '[{"path":"a","head":"modified","tx":"removed"}]'
}

@test "different paths are merged, with a queue and without (G3)" {
	setup_meddler
	it 0 run site -- sh -c "$MEDDLE"'echo mine >"$PLEACH_PATH/mine"' sh theirs
	like "$stderr" '^site@4 [0-9a-f]{12} \+1 ~0 -0, '
	same "$(cat store/site/a)" theirs
	same "$(cat store/site/mine)" mine
	it 0 run --optimistic site -- sh -c "$MEDDLE"'rm "$PLEACH_PATH/c"' sh again
	absent store/site/c
	same "$(cat store/site/a)" again
}

@test "--keep-conflict keeps the transaction, to be looked at, mended and committed" {
	setup_meddler
	it 12 --json run --keep-conflict --status-fd 9 site -- \
		sh -c "$MEDDLE"'cd "$PLEACH_PATH"; echo mine >a; echo free >free' sh theirs 9>line
	local tx
	tx=$(printf '%s\n' "$output" | jq -r .error.tx)
	like "$tx" '^[0-9a-f]{24}$'
	like "$stderr" "kept as transaction $tx"
	output=$(cat line)
	json '[.by, .status, .kept, .tx, .error.tx]' "[\"pleach\",12,true,\"$tx\",\"$tx\"]"
	json '.error.paths' '[{"path":"a","head":"modified","tx":"modified"}]'
	it 0 diff "$tx"
	same "$output" $'M a\nA free'
	it 12 commit "$tx"
	like "$stderr" 'conflict: a: head: modified, transaction: modified'
	it 12 --json commit "$tx"
	json '[.error.paths, .error.tx]' "[[{\"path\":\"a\",\"head\":\"modified\",\"tx\":\"modified\"}],\"$tx\"]"
	it 0 run --tx "$tx" site -- sh -c 'cd "$PLEACH_PATH"; cat a; echo theirs >a'
	same "$output" mine
	run --separate-stderr "$PLEACH" commit "$tx"
	if [ "$status" -eq 12 ]; then # the times of both differ
		it 0 run --tx "$tx" site -- touch -r store/site/a -d "$(stat -c %y src/a)" store/site/a
		it 0 commit "$tx"
	else
		same "$status" 0
	fi
	same "$(cat store/site/free)" free
	same "$(cat store/site/a)" theirs
	nothing_remains
}

@test "--keep-conflict keeps nothing else, --keep a conflict too" {
	setup_meddler
	it 5 run --keep-conflict site -- sh -c 'exit 5'
	nothing_remains
	it 12 run --keep site -- sh -c "$MEDDLE"'echo mine >"$PLEACH_PATH/a"' sh theirs
	like "$stderr" 'kept as transaction [0-9a-f]{24}'
	it 0 status --json
	it 0 abort "$(printf '%s\n' "$output" | jq -r '.transactions[0].tx')"
	nothing_remains
}

@test "a conflict in steps: the transaction stays" {
	two_generations
	it 0 begin site
	local tx=${lines[0]}
	it 0 run --tx "$tx" site -- sh -c 'echo mine >"$PLEACH_PATH/a"'
	put a theirs
	"$PLEACH" publish -q site ./src
	it 12 commit "$tx"
	it 12 commit "$tx"
	it 0 status --json "$tx"
	json '.transactions | map(.kind)' '["parked"]'
	it 0 abort "$tx"
	nothing_remains
}

@test "--retry runs again from the new head, and prints what the last run has printed, in order" {
	setup_meddler
	: >runs
	it 0 run --retry 3 site -- sh -c '
		echo "run on $PLEACH_BASE"
		echo run >>runs
		if test "$PLEACH_BASE" = 2; then echo theirs >ask; read -r line <answer; fi
		echo "to stderr" >&2
		cat "$PLEACH_PATH/a"
		echo mine >"$PLEACH_PATH/a"'
	same "$output" $'run on 3\ntheirs'
	same "${stderr_lines[0]}" "to stderr"
	like "${stderr_lines[1]}" '^site@4 '
	same "${#stderr_lines[@]}" 2
	same "$(wc -l <runs)" 2
	same "$(cat store/site/a)" mine
	nothing_remains
}

@test "--retry N gives up after N more runs, and says what the last one met" {
	setup_meddler
	: >runs
	it 12 run --retry 2 site -- sh -c '
		echo run >>runs
		n=$(wc -l <runs)
		echo "run $n"
		echo "theirs $n" >ask; read -r line <answer
		echo mine >"$PLEACH_PATH/a"'
	same "$output" "run 3"
	same "$(wc -l <runs)" 3
	like "$stderr" 'conflict: a: '
	same "$(grep -c 'conflict: a' <<<"$stderr")" 1
	same "$(cat store/site/a)" "theirs 3"
	nothing_remains
}

@test "--retry with a command that fails prints and passes the status on, without another run" {
	two_generations
	: >runs
	it 5 run --retry 3 site -- sh -c 'echo run >>runs; echo out; echo err >&2; exit 5'
	same "$output" out
	same "$stderr" err
	same "$(wc -l <runs)" 1
	it 127 run --retry 3 site -- nosuch-command
}

@test "--retry --keep: what is kept stays so if nobody reads what was printed" {
	two_generations
	mkfifo out
	exec 8<>out 9>out
	exec 8>&- # a pipe that nobody reads
	env --default-signal=PIPE "$PLEACH" run --retry 1 --keep site -- sh -c 'echo text; exit 5' >&9 2>err &&
		return 1
	exec 9>&-
	it 0 status --json
	json '.transactions | map(.kind)' '["parked"]'
}

@test "--retry keeps the order of both streams where they go to one place" {
	two_generations
	run bash -c '"$PLEACH" -q run --retry 1 site -- sh -c "echo 1; echo 2 >&2; echo 3; echo 4 >&2" 2>&1'
	same "$output" $'1\n2\n3\n4'
}

@test "--retry holds back in TMPDIR" {
	two_generations
	TMPDIR=$PWD/nowhere it 125 run --retry 1 site -- true
	like "$stderr" 'cannot hold the output back: No such file'
	mkdir temporary
	TMPDIR=$PWD/temporary it 0 run --retry 1 site -- echo text
	same "$output" text
	same "$(ls -A temporary)" ""
}

@test "--retry holds back much output" {
	two_generations
	it 0 -q run --retry 1 site -- sh -c 'seq 200000; seq 100000 >&2'
	same "${lines[199999]}" 200000
	same "${stderr_lines[99999]}" 100000
}

@test "--retry gives each run the same input: of a file, of a pipe" {
	setup_meddler
	local command='
		cat >"$PLEACH_PATH/got"
		if test "$PLEACH_BASE" = "$1"; then echo "theirs $1" >ask; read -r line <answer; fi
		echo mine >"$PLEACH_PATH/a"'
	seq 50000 >numbers
	it 0 run --retry 1 site -- sh -c "$command" sh 2 <numbers
	same "$(cat store/site/got)" "$(cat numbers)"
	run --separate-stderr bash -c 'cat numbers | "$PLEACH" run --retry 1 site -- sh -c "$1" sh 4' bash "$command"
	same "$status $stderr" "0 $stderr"
	same "$(cat store/site/got)" "$(cat numbers)"
	same "$(heads site)" "6 5 4 3 2 1 "
}

@test "--retry waits for no input that nobody reads" {
	two_generations
	mkfifo idle
	exec 8<>idle
	it 0 run --retry 1 site -- true <&8
	exec 8>&-
	# one that stops reading
	run --separate-stderr bash -c 'yes | "$PLEACH" run --retry 1 site -- head -n 1; echo "${PIPESTATUS[1]}"'
	same "$output" $'y\n0'
}

@test "--retry leaves the command no descriptor of its own" {
	two_generations
	local without
	without=$(sh -c 'ls /proc/self/fd | wc -l' </dev/null)
	it 0 run --retry 1 site -- sh -c 'ls /proc/self/fd | wc -l' </dev/null
	same "$output" "$without"
	run --separate-stderr bash -c ': | "$PLEACH" run --retry 1 site -- sh -c "ls /proc/self/fd | wc -l"'
	same "$output" "$without"
}

@test "policies: append keeps both, ignore commits nothing" {
	setup_meddler
	it 0 config --ref site 'merge=log:append *.lock:ignore'
	it 0 run site -- sh -c 'echo first >"$PLEACH_PATH/log"; echo l >"$PLEACH_PATH/x.lock"'
	absent store/site/x.lock
	mkfifo at go
	# shellcheck disable=SC2016
	"$PLEACH" run --optimistic site -- sh -c 'echo mine >>"$PLEACH_PATH/log"; echo at >at; read -r line <go' \
		2>err 3>&- &
	local runner=$!
	read -r line <at
	it 0 run --optimistic site -- sh -c 'echo theirs >>"$PLEACH_PATH/log"'
	echo go >go
	wait "$runner"
	same "$(cat store/site/log)" $'first\ntheirs\nmine'
}

@test "--serializable conflicts when what was read has changed" {
	setup_meddler
	run --separate-stderr "$PLEACH" run --serializable site -- true
	[ "$status" -eq 0 ] || skip "$stderr"
	it 12 --json run --serializable site -- sh -c 'cat "$PLEACH_PATH/a"; '"$MEDDLE"'echo x >"$PLEACH_PATH/x"' sh theirs
	output=${lines[1]}
	json '.error.paths | map(select(.path == "a")) | map([.path, .head, .tx])' '[["a","modified","read"]]'
	it 0 run site -- sh -c 'cat "$PLEACH_PATH/a"; '"$MEDDLE"'echo x >"$PLEACH_PATH/x"' sh more
	nothing_remains
}

@test "--serializable sees what is read in a mount namespace of its own, and by another path" {
	setup_meddler
	unshare -m true || skip "mount namespaces cannot be made"
	run --separate-stderr "$PLEACH" run --serializable --workspace overlay site -- true
	[ "$status" -eq 0 ] || skip "$stderr"
	local command
	# shellcheck disable=SC2016
	for command in 'unshare -m cat "$PLEACH_PATH/a"' \
		'mkdir -p at; unshare -m sh -c "mount --bind \"$PLEACH_PATH\" at && cat at/a"'; do
		it 12 run --serializable --workspace overlay site -- \
			sh -c "$command; $MEDDLE"'echo x >"$PLEACH_PATH/x"' sh "theirs $command"
		like "$stderr" 'conflict: a: head: modified, transaction: read'
	done
	nothing_remains
}
